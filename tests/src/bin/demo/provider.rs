//! Who issues the tokens of the tour: two stand-ins of Portcullis' own, or two real Keycloaks.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_tests::browser::Page;
use portcullis_tests::envoy::{SECRETS, StartError};
use portcullis_tests::issuer::{Client, User};
use portcullis_tests::keycloak::{ADMINISTRATOR, NewUser, PASSWORD, totp_secret};
use portcullis_tests::process::free_port;
use portcullis_tests::{
    Browser, EnvoyConfig, Issuer, Keycloak, KeycloakOptions, Login, Realm, RotateOptions,
};
use reqwest::Url;
use serde_json::{Value, json};

use crate::screen::Screen;

/// How long, in seconds, the tokens last that are printed at the end; the realm `customers` allows an hour.
const LONG: u64 = 3300;

/// The customer who signs in with a browser, and has an authenticator app.
pub(crate) const SUBSCRIBER: &str = "olive";
/// The administrator who does.
pub(crate) const OPERATOR: &str = "ida";

/// Two realms and those who can sign in there.
pub(crate) enum Provider {
    StandIns { customers: Issuer, admins: Issuer },
    Keycloaks { customers: Box<Keycloak>, admins: Box<Keycloak> },
}

use Provider::{Keycloaks, StandIns};

impl Provider {
    pub(crate) async fn start(keycloak: bool, screen: Screen) -> Result<Self, StartError> {
        if !keycloak {
            screen.say("Keycloak's part is played by Portcullis' own issuer: it has Keycloak's shape (discovery, keys, tokens), but it is");
            screen.say("NOT Keycloak, and asks nobody for a password. Envoy and the filter in it are real, and so is everything they answer.");
            let [customers, admins] = [Realm::customers(), Realm::admins()].map(stand_in);
            return Ok(StandIns { customers: customers.await?, admins: admins.await? });
        }
        screen.say("Two real Keycloaks with the realms of envoy/keycloak, and the filter in a real Envoy. Each token is got by signing in");
        screen.say("through Keycloak's pages: with a password, as an administrator with a one-time code too. The servers take a minute to start.");
        let (customers, admins) = tokio::try_join!(
            Keycloak::start(KeycloakOptions::customers().at_localhost()),
            Keycloak::start(KeycloakOptions::admins().at_localhost()),
        )
        .map_err(|problem| StartError { problem, log: String::new() })?;
        Ok(Keycloaks { customers: Box::new(customers), admins: Box::new(admins) })
    }

    /// Leads the configuration's realms here.
    pub(crate) fn wire(&self, config: EnvoyConfig) -> EnvoyConfig {
        let realms = self.realms();
        realms.into_iter().fold(config, |config, (realm, addr, issuer)| {
            let config = config.cluster(&format!("keycloak_{realm}"), addr);
            config.edit_plugin(|plugin| plugin["realms"][realm]["issuer"] = json!(issuer))
        })
    }

    /// Each realm with its address and issuer.
    pub(crate) fn realms(&self) -> [(&'static str, SocketAddr, String); 2] {
        match self {
            StandIns { customers, admins } => [
                ("customers", customers.addr(), customers.issuer().to_owned()),
                ("admins", admins.addr(), admins.issuer().to_owned()),
            ],
            Keycloaks { customers, admins } => [
                ("customers", customers.addr(), customers.issuer("customers")),
                ("admins", admins.addr(), admins.issuer("admins")),
            ],
        }
    }

    /// Leads the realms of a configuration with a login here.
    pub(crate) fn wire_login(&self, config: EnvoyConfig) -> EnvoyConfig {
        let config = self.wire(config);
        match self {
            StandIns { .. } => config,
            // The realms of envoy/keycloak have public clients.
            Keycloaks { .. } => config.edit_plugin(|plugin| {
                for realm in ["customers", "admins"] {
                    let login = plugin["realms"][realm]["login"].as_object_mut();
                    login.expect("the realm has a login").remove("client_secret");
                }
            }),
        }
    }

    /// The issuer of a realm.
    pub(crate) fn issuer(&self, realm: &str) -> String {
        let realms = self.realms().into_iter();
        realms.filter(|(name, ..)| *name == realm).map(|(.., issuer)| issuer).collect()
    }

    /// In what the logins differ from the file.
    pub(crate) fn about_logins(&self) -> &'static str {
        match self {
            StandIns { .. } => {
                "Different from the file: the addresses. The stand-in signs everybody in at once, as whom the tour says."
            }
            Keycloaks { .. } => {
                "Different from the file: the addresses; and no client_secret, since the clients of envoy/keycloak are public."
            }
        }
    }

    /// Makes those who sign in with browsers.
    pub(crate) async fn enrol(&self) {
        match self {
            StandIns { customers, admins } => {
                let secret = |variable| {
                    let secret = SECRETS.into_iter().find(|(name, _)| *name == variable);
                    secret.expect("the variable is set").1
                };
                for (issuer, client, secret, user) in [
                    (customers, "selfcare-ui", secret("CUSTOMERS_CLIENT_SECRET"), SUBSCRIBER),
                    (admins, "admin-ui", secret("ADMINS_CLIENT_SECRET"), OPERATOR),
                ] {
                    issuer.provider().register(Client::confidential(client, secret));
                    let email = format!("{user}@example.com");
                    let mut user = User::new().with(json!({"preferred_username": user, "email": email}));
                    user.reaches = vec!["gold".to_owned()];
                    issuer.provider().sign_in(user);
                }
            }
            Keycloaks { customers, admins } => {
                customers.admin().make_user("customers", &NewUser::customer(SUBSCRIBER).with_otp()).await;
                admins.admin().make_user("admins", &NewUser::administrator(OPERATOR)).await;
            }
        }
    }

    /// Signs a browser in that was sent here, with what is asked for; where the browser is sent back to.
    pub(crate) async fn authenticate(
        &self,
        browser: &mut Browser,
        begun: &Page,
        (realm, user): (&str, &str),
    ) -> Option<Url> {
        let (keycloak, login) = match self {
            StandIns { .. } => return browser.follow(begun).await.location(),
            Keycloaks { customers, .. } if realm == "customers" => (customers, selfcare()),
            Keycloaks { admins, .. } => (admins, administration()),
        };
        let page = browser.follow(begun).await;
        login.user(user).answer_forms(browser, keycloak, page).await.location()
    }

    /// From now on, the customers' access tokens last so many seconds.
    pub(crate) async fn customers_tokens_last(&self, seconds: u64) {
        match self {
            StandIns { customers, .. } => customers.provider().access_tokens_live(seconds),
            Keycloaks { customers, .. } => lifespan(customers, "customers", seconds).await,
        }
    }

    /// A token of alice, who may see invoices.
    pub(crate) async fn customer(&self) -> String {
        match self {
            StandIns { customers, .. } => customers.token().sign(),
            Keycloaks { customers, .. } => token(customers, selfcare().user("alice")).await,
        }
    }

    /// Alice's roles, as the upstream is told.
    pub(crate) fn roles(&self) -> &'static str {
        match self {
            StandIns { .. } => "customer,offline_access,portaswitch:billing",
            Keycloaks { .. } => "customer,portaswitch:billing",
        }
    }

    /// A token of a customer who may not.
    pub(crate) async fn customer_without_billing(&self) -> String {
        match self {
            StandIns { customers, .. } => customers.token().without("resource_access").sign(),
            Keycloaks { customers, .. } => token(customers, selfcare().user("bob")).await,
        }
    }

    /// A token of root.admin, a superuser.
    pub(crate) async fn admin(&self) -> String {
        match self {
            StandIns { admins, .. } => admins.token().sign(),
            Keycloaks { admins, .. } => token(admins, administration().user("root.admin")).await,
        }
    }

    /// A token of alice that has expired.
    pub(crate) async fn expired(&self) -> String {
        match self {
            StandIns { customers, .. } => customers.token().expired(60).sign(),
            Keycloaks { customers, .. } => {
                lifespan(customers, "customers", 1).await;
                let token = token(customers, selfcare().user("alice")).await;
                lifespan(customers, "customers", 300).await;
                // A second of life, one of skew, and one since both are whole.
                tokio::time::sleep(Duration::from_secs(3)).await;
                token
            }
        }
    }

    /// A token of alice that lasts for a while.
    pub(crate) async fn lasting_customer(&self) -> String {
        match self {
            StandIns { customers, .. } => {
                customers.token().claim("exp", portcullis_tests::now() + LONG).sign()
            }
            Keycloaks { customers, .. } => {
                lifespan(customers, "customers", LONG).await;
                token(customers, selfcare().user("alice")).await
            }
        }
    }

    /// A token of an administrator that lasts for a while.
    pub(crate) async fn lasting_admin(&self) -> String {
        match self {
            StandIns { admins, .. } => admins.token().claim("exp", portcullis_tests::now() + LONG).sign(),
            Keycloaks { admins, .. } => {
                lifespan(admins, "admins", LONG).await;
                // root.admin's one-time code of this moment may be used up.
                admins.admin().make_user("admins", &NewUser::administrator("second.admin")).await;
                token(admins, administration().user("second.admin")).await
            }
        }
    }

    /// The customers have a new key, and the old one is gone.
    pub(crate) async fn rotate(&self) {
        match self {
            StandIns { customers, .. } => {
                customers.rotate(RotateOptions { keep_old: false });
            }
            Keycloaks { customers, .. } => {
                let admin = customers.admin();
                let realm = admin.get("/customers").await;
                let old =
                    admin.get("/customers/components?type=org.keycloak.keys.KeyProvider&name=rs256").await;
                let component = json!({
                    "name": "rs256-next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
                    "parentId": realm["id"],
                    "config": {"priority": ["200"], "algorithm": ["RS256"], "keySize": ["2048"]},
                });
                admin.post("/customers/components", component).await;
                let old = old[0]["id"].as_str().unwrap_or_default();
                admin.delete(&format!("/customers/components/{old}")).await;
            }
        }
    }

    /// The customers' issuer is down.
    pub(crate) async fn stop(&self) {
        match self {
            StandIns { customers, .. } => customers.stop().await,
            Keycloaks { customers, .. } => customers.kill(),
        }
    }

    /// The customers' issuer is back.
    pub(crate) async fn restart(&mut self) -> Result<(), String> {
        match self {
            StandIns { customers, .. } => {
                customers.restart().await;
                Ok(())
            }
            Keycloaks { customers, .. } => customers.restart().await,
        }
    }

    /// Prints what a person needs to look behind the scenes.
    pub(crate) fn keep(&self, screen: Screen) {
        let Keycloaks { customers, admins } = self else { return };
        let (user, password) = ADMINISTRATOR;
        for (realm, keycloak) in [("customers", customers), ("admins", admins)] {
            screen.say(&format!("Keycloak, {realm}: {}admin/master/console/#/{realm}", keycloak.base()));
        }
        screen.say(&format!("    there: {user}, password {password}"));
    }

    /// Prints who can sign in with a browser, and how.
    pub(crate) fn tell_logins(&self, screen: Screen) {
        if let StandIns { .. } = self {
            screen.say(&format!(
                "The stand-in asks for nothing: everybody is {SUBSCRIBER}, or {OPERATOR} as an administrator."
            ));
            return;
        }
        screen.say(&format!("Keycloak's passwords: {PASSWORD}"));
        screen.say(&format!(
            "An authenticator app for {SUBSCRIBER}, {OPERATOR} and root.admin has the secret {}",
            totp_secret()
        ));
        screen.say("alice, bob and sam have none, and set one up when they sign in. Each code serves each of them once.");
    }

    /// Whether somebody has to type one-time codes.
    pub(crate) fn asks_for_codes(&self) -> bool {
        matches!(self, Keycloaks { .. })
    }
}

fn selfcare() -> Login {
    Login::to("customers", "selfcare-ui", "https://selfcare.csp.com/sso/callback")
}

fn administration() -> Login {
    Login::to("admins", "admin-ui", "https://admin.csp.com/sso/callback")
}

async fn token(keycloak: &Keycloak, login: Login) -> String {
    login.from_a_new_browser(keycloak).await.access
}

/// A stand-in whose issuer is where it listens, so that any browser on this machine finds it.
async fn stand_in(realm: Realm) -> Result<Issuer, StartError> {
    let port = free_port().map_err(|problem| StartError { problem, log: String::new() })?;
    let issuer = format!("http://localhost:{port}/realms/{}", realm.name());
    Ok(Issuer::serve(realm.issued_by(&issuer), port).await)
}

/// From now on, access tokens of the realm last so long.
async fn lifespan(keycloak: &Keycloak, realm: &str, seconds: u64) {
    let path = format!("/{realm}");
    let mut representation: Value = keycloak.admin().get(&path).await;
    representation["accessTokenLifespan"] = json!(seconds);
    keycloak.admin().put(&path, representation).await;
}
