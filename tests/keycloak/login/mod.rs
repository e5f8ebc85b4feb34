//! The browser login of `envoy/login.yaml`, over TLS: a person with a browser at one end, Keycloak's own pages at the other.
//!
//! Each test has an Envoy, clients and users of its own: a client has one back-channel URL, and Keycloak takes a one-time code once.

mod logout;
mod mistakes;
mod realms;
mod renewal;
mod sign_in;
mod step_up;

use portcullis_tests::browser::{Page, Site};
use portcullis_tests::envoy::{Envoy, SECRETS};
use portcullis_tests::keycloak::{Keycloak, realm_file, sign_in};
use portcullis_tests::upstream::Seen;
use portcullis_tests::{Browser, EnvoyConfig, Upstream, Visit};
use serde_json::{Value, json};

use crate::edge::IN_THE_END;
use crate::servers::{HOSTS, Servers};

/// Where customers sign in.
const SELFCARE: &str = "https://selfcare.csp.com";
/// Where customers sign in, too.
const PBX: &str = "https://alpha.pbx.csp.com";
/// Where administrators sign in.
const ADMIN: &str = "https://admin.csp.com";

/// A page of the customers that wants the realm role `customer`.
const PAGE: &str = "/rest/Account/get_account_info?tab=1";
/// A page of the customers that wants a recent second factor.
const SIM: &str = "/rest/Sim/swap";

/// Name of every cookie of a session, up to the number.
const SESSION: &str = "__Host-portcullis-session-";

/// Sites that sign browsers in, and the Keycloaks where they do.
struct Portal<'s> {
    servers: &'s Servers,
    envoy: Envoy,
    upstream: Upstream,
}

/// A client of the filter's: what an operator makes of the UI's client in the realm's file.
struct Client<'a> {
    keycloak: &'a Keycloak,
    realm: &'a str,
    /// The client in the file, and where it signs in.
    like: (&'a str, &'a str),
    id: &'a str,
    secret: &'a str,
}

impl<'a> Client<'a> {
    fn of_customers(servers: &'a Servers, id: &'a str) -> Self {
        let (keycloak, secret) = (&servers.customers, SECRETS[0].1);
        Self { keycloak, realm: "customers", like: ("selfcare-ui", SELFCARE), id, secret }
    }

    fn of_administrators(servers: &'a Servers, id: &'a str) -> Self {
        let (keycloak, secret) = (&servers.admins, SECRETS[1].1);
        Self { keycloak, realm: "admins", like: ("admin-ui", ADMIN), id, secret }
    }

    /// Makes it, for this Envoy and with a change.
    async fn make(&self, envoy: &Envoy, edit: impl FnOnce(&mut Value)) {
        let (like, site) = self.like;
        let file = realm_file(self.realm);
        let clients = file["clients"].as_array().expect("the realm has clients");
        let client = clients.iter().find(|client| client["clientId"] == like);
        let mut client = client.expect("the file has this client").clone();
        client["clientId"] = self.id.into();
        client["publicClient"] = false.into();
        client["secret"] = self.secret.into();
        // The public name, and the port that Envoy has here.
        let url = format!("{site}:{}/sso/backchannel-logout", envoy.port());
        client["attributes"]["backchannel.logout.url"] = url.into();
        edit(&mut client);
        self.keycloak.admin().post(&format!("/{}/clients", self.realm), client).await;
    }
}

/// `envoy/login.yaml` before these servers, with this client for customers and this one for administrators. Patience is where it differs
/// from the file: this machine starts servers meanwhile.
fn config(servers: &Servers, customers: &str, admins: &str) -> EnvoyConfig {
    let config = EnvoyConfig::file("login.yaml").tls(&HOSTS);
    let config = config
        .cluster("keycloak_customers", servers.customers.addr())
        .cluster("keycloak_admins", servers.admins.addr());
    let config = config.edit_manager(|manager| {
        for timeout in ["request_timeout", "stream_idle_timeout"] {
            manager[timeout] = "60s".into();
        }
    });
    config.edit_plugin(|plugin| {
        plugin["limits"] = json!({"wait_timeout": "30s"});
        let realms = &mut plugin["realms"];
        realms["customers"]["clients"] = json!([customers, "cloudpbx-ui"]);
        realms["admins"]["issuer"] = servers.admins.issuer("admins").into();
        for (realm, client) in [("customers", customers), ("admins", admins)] {
            realms[realm]["keys"]["fetch_timeout"] = "30s".into();
            realms[realm]["login"]["client_id"] = client.into();
            realms[realm]["login"]["timeout"] = "30s".into();
        }
    })
}

impl<'s> Portal<'s> {
    /// Customers sign in by a client of this name, and nobody else does.
    async fn of_customers(servers: &'s Servers, client: &str) -> Self {
        let portal = Self::start(servers, config(servers, client, "admin-ui")).await;
        Client::of_customers(servers, client).make(&portal.envoy, |_| {}).await;
        portal
    }

    /// Administrators sign in by a client of this name, and nobody else does.
    async fn of_administrators(servers: &'s Servers, client: &str) -> Self {
        let portal = Self::start(servers, config(servers, "selfcare-ui", client)).await;
        Client::of_administrators(servers, client).make(&portal.envoy, |_| {}).await;
        portal
    }

    async fn start(servers: &'s Servers, config: EnvoyConfig) -> Self {
        let upstream = Upstream::start().await;
        let config = config.cluster("upstream", upstream.addr());
        let envoy = config.start().await.unwrap_or_else(|e| panic!("{e}"));
        Self { servers, envoy, upstream }
    }

    /// A new browser, which finds Envoy and both Keycloaks.
    fn browser(&self) -> Browser {
        self.lead(Browser::new())
    }

    /// A browser as it is, cookies included, which finds Envoy and both Keycloaks.
    fn lead(&self, browser: Browser) -> Browser {
        let sites = [SELFCARE, PBX, ADMIN].into_iter();
        let browser = sites.fold(browser, |browser, site| browser.tls_route(site, self.envoy.addr()));
        let Servers { customers, admins } = self.servers;
        let browser = browser.route(customers.base(), customers.addr()).route(admins.base(), admins.addr());
        browser.patience(IN_THE_END)
    }

    /// Signs this user in on the way to a page, from the first redirect to the page; what the upstream saw.
    async fn sign_in(&self, browser: &mut Browser, url: &str, username: &str) -> Seen {
        let mut pages = browser.open(&Visit::navigation(url)).await;
        if let Some(form) = pages.pop_if(|page| page.form().is_some()) {
            pages = sign_in(browser, form, username).await;
        }
        self.arrived(browser, &pages, url)
    }

    /// The last of these answers is the page at this URL, by way of the callback and with a session.
    #[track_caller]
    fn arrived(&self, browser: &Browser, pages: &[Page], url: &str) -> Seen {
        let [.., callback, page] = pages else { panic!("nobody is let in: {}", self.context(pages)) };
        assert_eq!((page.status, page.url.as_str()), (200, url), "{}", self.context(pages));
        assert!(callback.status == 303 && callback.url.path() == "/sso/callback", "{}", self.context(pages));
        assert!(browser.refused_cookies().is_empty(), "{:?}", browser.refused_cookies());
        assert!(has_session(browser, url), "{}", self.context(pages));
        self.upstream.last().expect("the upstream saw the page")
    }

    /// A script of a page asks for something.
    async fn fetch(&self, browser: &mut Browser, url: impl AsRef<str>) -> Page {
        browser.go(&Visit::fetch(url)).await
    }

    /// What the session endpoint tells the pages of a site.
    async fn session(&self, browser: &mut Browser, site: &str) -> Value {
        let page = self.fetch(browser, format!("{site}/sso/session")).await;
        assert_eq!(page.status, 200, "{}", self.context([&page]));
        page.json()
    }

    /// The filter refused this for that reason.
    #[track_caller]
    fn refused(&self, page: &Page, status: u16, reason: &str) {
        assert_eq!(page.status, status, "{}", self.context([page]));
        let line = format!("refused status={status} reason={reason} ");
        assert!(self.envoy.log().contains(&line), "no line {line:?}: {}", self.context([page]));
    }

    /// These answers, and what Envoy logged of late.
    fn context<'p>(&self, pages: impl IntoIterator<Item = &'p Page>) -> String {
        let pages: Vec<String> =
            pages.into_iter().map(|page| format!("{} {}\n{}", page.status, page.url, page.text())).collect();
        let log = self.envoy.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
        format!("{}\nlog:\n{end}", pages.join("\n"))
    }
}

/// The link of an error page that leads back into the login.
#[track_caller]
fn way_back(page: &Page) -> Visit {
    let kind = page.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("text/html"), "{kind}: {}", page.text());
    let link = page.link("/sso/start");
    let link = link.unwrap_or_else(|| panic!("no way back: {}", page.text()));
    Visit::navigation(link).from(Site::SameOrigin)
}

/// Whether the browser has a session at the site of this URL.
fn has_session(browser: &Browser, url: &str) -> bool {
    browser.cookies(url).iter().any(|(name, _)| name.starts_with(SESSION))
}

/// Whether this is Keycloak's page that asks for a password.
fn asks_for_password(page: &Page) -> bool {
    page.status == 200 && page.form().is_some_and(|form| form.has("password"))
}
