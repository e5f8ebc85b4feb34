//! Who issues the tokens of the tour: two stand-ins of Portcullis' own, or two real Keycloaks.

use std::net::SocketAddr;
use std::time::Duration;

use portcullis_tests::envoy::StartError;
use portcullis_tests::keycloak::{ADMINISTRATOR, NewUser, PASSWORD, totp_secret};
use portcullis_tests::{EnvoyConfig, Issuer, Keycloak, KeycloakOptions, Login, RotateOptions};
use serde_json::{Value, json};

use crate::screen::Screen;

/// How long, in seconds, the tokens last that are printed at the end; the realm `customers` allows an hour.
const LONG: u64 = 3300;

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
            screen.say("NOT Keycloak, and nobody logs in. Envoy and the filter in it are real, and so is everything they answer.");
            return Ok(StandIns { customers: Issuer::customers().await, admins: Issuer::admins().await });
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

    /// A token of alice, who may see invoices.
    pub(crate) async fn customer(&self) -> String {
        match self {
            StandIns { customers, .. } => customers.token().sign(),
            Keycloaks { customers, .. } => selfcare(customers, "alice").await,
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
            Keycloaks { customers, .. } => selfcare(customers, "bob").await,
        }
    }

    /// A token of root.admin, a superuser.
    pub(crate) async fn admin(&self) -> String {
        match self {
            StandIns { admins, .. } => admins.token().sign(),
            Keycloaks { admins, .. } => administration(admins, "root.admin").await,
        }
    }

    /// A token of alice that has expired.
    pub(crate) async fn expired(&self) -> String {
        match self {
            StandIns { customers, .. } => customers.token().expired(60).sign(),
            Keycloaks { customers, .. } => {
                lifespan(customers, "customers", 1).await;
                let token = selfcare(customers, "alice").await;
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
                selfcare(customers, "alice").await
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
                administration(admins, "second.admin").await
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
        screen.say(&format!("Users of the realms: alice, bob, sam; root.admin. Their password: {PASSWORD}"));
        screen.say(&format!("    an authenticator app for root.admin has the secret {}", totp_secret()));
    }
}

async fn selfcare(keycloak: &Keycloak, username: &str) -> String {
    let login = Login::to("customers", "selfcare-ui", "https://selfcare.csp.com/sso/callback");
    login.user(username).from_a_new_browser(keycloak).await.access
}

async fn administration(keycloak: &Keycloak, username: &str) -> String {
    let login = Login::to("admins", "admin-ui", "https://admin.csp.com/sso/callback");
    login.user(username).from_a_new_browser(keycloak).await.access
}

/// From now on, access tokens of the realm last so long.
async fn lifespan(keycloak: &Keycloak, realm: &str, seconds: u64) {
    let path = format!("/{realm}");
    let mut representation: Value = keycloak.admin().get(&path).await;
    representation["accessTokenLifespan"] = json!(seconds);
    keycloak.admin().put(&path, representation).await;
}
