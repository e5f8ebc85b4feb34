//! The browser login, in a real Envoy over TLS, against the testkit's issuer: what the browser, the issuer and the upstream see, and the
//! reason that the filter logs.

mod backchannel;
mod callback;
mod cookies;
mod csrf;
mod id_token;
mod limits;
mod log_scan;
mod logout;
mod pages;
mod refresh;
mod session;
mod start;
mod step_up;
mod token_endpoint;
mod two_envoys;

use std::time::Duration;

use portcullis_tests::browser::{Page, Site};
use portcullis_tests::issuer::{Client, User};
use portcullis_tests::upstream::Seen;
use portcullis_tests::{Browser, EnvoyConfig, Stage, Visit, World};
use serde_json::{Value, json};

use crate::realms::until;

/// Customers; a navigation without a session is sent to sign in.
const SELFCARE: &str = "https://selfcare.csp.com";
/// Customers, too; a login is offered, and nobody is sent.
const PORTAL: &str = "https://portal.csp.com";
/// Customers, too, without a login of its own.
const API: &str = "https://api.csp.com";
/// Administrators.
const ADMIN: &str = "https://admin.csp.com";
/// All of them.
const ORIGINS: [&str; 4] = [SELFCARE, PORTAL, API, ADMIN];

/// The secret of the client `selfcare-ui`: what goes wrong unless it is encoded as RFC 6749 section 2.3.1 says.
const CLIENT_SECRET: &str = "p%ss:w+rd &=";
/// 32 bytes in base64url.
const COOKIE_KEY: &str = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA";
/// Another 32 bytes.
const OTHER_COOKIE_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";

/// Name of every cookie of a session, up to the number.
const SESSION: &str = "__Host-portcullis-session-";
/// Name of every cookie of a login that is under way, up to its own.
const ATTEMPT: &str = "__Host-portcullis-login-";

/// A path of the customers that wants a role which they have.
const PAGE: &str = "/rest/Customer/overview?tab=1";
/// One that wants a second factor.
const SENSITIVE: &str = "/rest/Sim/swap";

/// The world with people in it who sign in.
struct Portal {
    world: World,
}

/// What came of a request.
struct Outcome {
    what: String,
    page: Page,
    /// What Envoy logged meanwhile, in the end.
    log: String,
    /// How many requests reached the upstream.
    reached: u64,
    seen: Option<Seen>,
}

/// Every site and both realms with a login, over TLS.
fn config() -> EnvoyConfig {
    let hosts = ORIGINS.map(|origin| &origin["https://".len()..]);
    plain_config().tls(&hosts)
}

/// The same without TLS.
fn plain_config() -> EnvoyConfig {
    EnvoyConfig::file("login.yaml")
        .vm_env("CUSTOMERS_CLIENT_SECRET", CLIENT_SECRET)
        .vm_env("ADMINS_CLIENT_SECRET", "the administrators' secret")
        .vm_env("PORTCULLIS_COOKIE_KEY", COOKIE_KEY)
        .edit_manager(|manager| {
            // On a starved machine a hundred logins take their time.
            for timeout in ["request_timeout", "stream_idle_timeout"] {
                manager[timeout] = "60s".into();
            }
        })
        .edit_plugin(|plugin| {
            plugin["limits"] = json!({"wait_timeout": "30s"});
            for (realm, client, secret) in [
                ("customers", "selfcare-ui", "CUSTOMERS_CLIENT_SECRET"),
                ("admins", "admin-ui", "ADMINS_CLIENT_SECRET"),
            ] {
                plugin["realms"][realm]["keys"]["fetch_timeout"] = "60s".into();
                plugin["realms"][realm]["login"] = json!({
                    "client_id": client,
                    "client_secret": {"env": secret},
                    "scopes": ["profile"],
                    "cookie_keys": [{"id": "one", "env": "PORTCULLIS_COOKIE_KEY"}],
                    "timeout": "20s",
                });
            }
            plugin["sites"] = sites();
        })
}

fn sites() -> Value {
    let customer = json!({"realm_roles": {"any": ["customer"]}});
    let rules = json!([
        {"name": "assets", "methods": ["GET", "HEAD"], "path": {"prefix": "/assets"}, "access": "public"},
        {"name": "legacy", "path": {"prefix": "/legacy"}, "access": "legacy"},
        {"name": "sensitive", "path": {"prefix": "/rest/Sim"}, "require": {"acr": ["gold"]}},
        {"name": "recent", "path": {"prefix": "/rest/Recent"}, "require": {"max_age": "60s"}},
        {"name": "staff", "path": {"prefix": "/rest/Staff"}, "require": {"realm_roles": {"any": ["staff"]}}},
        {"name": "rest", "path": {"prefix": "/"}, "require": customer},
    ]);
    let admins = json!([
        {"name": "all", "path": {"prefix": "/"}, "require": {"realm_roles": {"any": ["admin"]}}},
    ]);
    json!([
        {"hosts": ["selfcare.csp.com"], "realm": "customers", "login": "required", "rules": rules},
        {"hosts": ["portal.csp.com"], "realm": "customers", "login": "offered", "rules": rules},
        {"hosts": ["api.csp.com"], "realm": "customers", "rules": rules},
        {"hosts": ["admin.csp.com"], "realm": "admins", "login": "required", "rules": admins},
    ])
}

/// Changes the login of the realm `customers`.
fn with_login(config: EnvoyConfig, edit: impl FnOnce(&mut Value)) -> EnvoyConfig {
    config.edit_plugin(|plugin| edit(&mut plugin["realms"]["customers"]["login"]))
}

/// Access tokens end when they say so, and not half a minute later.
fn without_skew(config: EnvoyConfig) -> EnvoyConfig {
    config.edit_plugin(|plugin| plugin["realms"]["customers"]["clock_skew"] = "1s".into())
}

/// Two realms with people in them; none where a prerequisite is missing.
async fn stage() -> Option<Stage> {
    let stage = crate::support::stage().await?;
    stage.customers.provider().register(Client::confidential("selfcare-ui", CLIENT_SECRET));
    stage.admins.provider().register(Client::confidential("admin-ui", "the administrators' secret"));
    Some(stage)
}

async fn portal() -> Option<Portal> {
    portal_with(config()).await
}

async fn portal_with(config: EnvoyConfig) -> Option<Portal> {
    let world = stage().await?.start(config).await.unwrap_or_else(|e| panic!("{e}"));
    Some(Portal { world })
}

impl Portal {
    /// A new browser, which finds Envoy and the issuers.
    fn browser(&self) -> Browser {
        self.browser_at(self.world.envoy.addr())
    }

    /// A new browser, which finds this Envoy and the issuers.
    fn browser_at(&self, envoy: std::net::SocketAddr) -> Browser {
        let browser = ORIGINS.iter().fold(Browser::new(), |browser, origin| browser.tls_route(origin, envoy));
        browser
            .route(self.world.customers.issuer(), self.world.customers.addr())
            .route(self.world.admins.issuer(), self.world.admins.addr())
    }

    /// A browser whose user has signed in at `SELFCARE`.
    async fn signed_in(&self) -> Browser {
        let mut browser = self.browser();
        self.sign_in(&mut browser, SELFCARE).await;
        browser
    }

    /// Signs a browser in at a site; what the upstream saw of the page that it came for.
    async fn sign_in(&self, browser: &mut Browser, origin: &str) -> Seen {
        let callback = self.to_callback(browser, &format!("{origin}{PAGE}")).await;
        let back = self.send("the callback", browser, &callback).await;
        let location = back.page.location();
        assert_eq!(back.page.status, 303, "{}", back.context());
        assert_eq!(location.map(String::from), Some(format!("{origin}{PAGE}")), "{}", back.context());
        let page = Visit::navigation(format!("{origin}{PAGE}")).from(Site::CrossSite);
        let page = self.send("the page behind the login", browser, &page).await;
        assert!(browser.refused_cookies().is_empty(), "{:?}", browser.refused_cookies());
        page.forwarded()
    }

    /// Goes to a page, to Keycloak, and up to the callback, which is not sent: a navigation from another site, which is what Keycloak is.
    async fn to_callback(&self, browser: &mut Browser, url: &str) -> Visit {
        let start = self.send("the page", browser, &Visit::navigation(url)).await;
        self.through_keycloak(browser, &start.begun()).await
    }

    /// Goes on to Keycloak from an answer that sends there, and up to the callback.
    async fn through_keycloak(&self, browser: &mut Browser, begun: &Page) -> Visit {
        let keycloak = browser.follow(begun).await;
        let callback = keycloak.location();
        let callback = callback.unwrap_or_else(|| panic!("{}: {}", keycloak.status, keycloak.text()));
        Visit::navigation(callback).from(Site::CrossSite)
    }

    /// Sends one request and watches all sides. `what` says in a failure which line of a table it was.
    async fn send(&self, what: &str, browser: &mut Browser, visit: &Visit) -> Outcome {
        let (logged, requests) = (self.world.envoy.log().len(), self.world.upstream.requests());
        let page = browser.go(visit).await;
        let reached = self.world.upstream.requests() - requests;
        let seen = (reached > 0).then(|| self.world.upstream.last()).flatten();
        let log = self.world.envoy.log().get(logged..).unwrap_or_default().to_owned();
        Outcome { what: what.to_owned(), page, log, reached, seen }
    }

    /// Sends a request that no browser would send, over TLS.
    async fn send_raw(
        &self,
        host: &str,
        raw: &portcullis_tests::Raw,
    ) -> portcullis_tests::client::RawResponse {
        let response = raw.send_tls(self.world.envoy.addr(), host).await;
        response.unwrap_or_else(|e| panic!("no answer: {e}\n{}", self.world.envoy.log()))
    }

    /// A metric of the filter.
    async fn metric(&self, name: &str) -> u64 {
        self.world.envoy.stat(&crate::realms::metric(name)).await.unwrap_or(0)
    }

    /// Nothing trapped, nothing crashed.
    fn assert_sound(&mut self) {
        assert!(self.world.envoy.is_running());
        let log = self.world.envoy.log();
        for complaint in ["panicked", "[critical]", "wasm_fail", "Function: proxy_", "restricted proxy-wasm"]
        {
            assert!(!log.contains(complaint), "{complaint}:\n{log}");
        }
    }
}

impl Outcome {
    /// The upstream answered; what it saw.
    #[track_caller]
    fn forwarded(&self) -> Seen {
        assert_eq!((self.page.status, self.reached), (200, 1), "{}", self.context());
        let seen = self.seen.clone().expect("the upstream saw a request");
        let cookies = seen.header("cookie").unwrap_or_default();
        assert!(
            !cookies.to_ascii_lowercase().contains("portcullis"),
            "our cookies are ours alone: {cookies}"
        );
        seen
    }

    /// A login has begun: the browser is sent to Keycloak.
    #[track_caller]
    fn begun(&self) -> Page {
        let location = self.page.location().map(String::from).unwrap_or_default();
        let endpoint = "/protocol/openid-connect/auth?";
        assert!(self.page.status == 303 && location.contains(endpoint), "{}", self.context());
        assert_eq!(self.page.header("cache-control").as_deref(), Some("no-store"), "{}", self.context());
        assert_eq!(self.reached, 0, "{}", self.context());
        self.page.clone()
    }

    /// The filter refused with this status, for this reason, and the upstream saw nothing.
    #[track_caller]
    fn refused(&self, status: u16, reason: &str) -> &Self {
        assert_eq!((self.page.status, self.reached), (status, 0), "{}", self.context());
        let line = format!("refused status={status} reason={reason} ");
        assert!(self.log.contains(&line), "the log does not say {line:?}: {}", self.context());
        assert_eq!(self.page.header("cache-control").as_deref(), Some("no-store"), "{}", self.context());
        assert_eq!(self.page.location(), None, "{}", self.context());
        if status == 503 {
            let seconds: Option<u64> = self.page.header("retry-after").and_then(|value| value.parse().ok());
            assert!(seconds.is_some_and(|seconds| seconds > 0), "{}", self.context());
        }
        self
    }

    /// The answer is a page for people.
    #[track_caller]
    fn with_page(&self) -> &Self {
        let kind = self.page.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("text/html"), "{kind}: {}", self.context());
        self
    }

    /// The answer is for programs.
    #[track_caller]
    fn with_problem(&self) -> Value {
        let kind = self.page.header("content-type");
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{}", self.context());
        self.page.json()
    }

    /// The answer touches no cookie.
    #[track_caller]
    fn without_cookies(&self) -> &Self {
        assert_eq!(self.page.header_all("set-cookie"), Vec::<String>::new(), "{}", self.context());
        self
    }

    fn context(&self) -> String {
        let Self { what, page, log, reached, .. } = self;
        let headers: Vec<String> = page
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
            .collect();
        format!(
            "{what}\n{} {}\n{}\n{}\nreached the upstream {reached} times\nlog:\n{log}",
            page.status,
            page.url,
            headers.join("\n"),
            page.text()
        )
    }
}

/// The cookies of a browser at a site whose names begin so.
fn cookies(browser: &Browser, origin: &str, start: &str) -> Vec<(String, String)> {
    browser.cookies(format!("{origin}/")).into_iter().filter(|(name, _)| name.starts_with(start)).collect()
}

/// Gives a browser the cookies of another one, of a site and whose names begin so.
fn copy_cookies(from: &Browser, to: &mut Browser, origin: &str, start: &str) {
    for (name, value) in cookies(from, origin, start) {
        to.put_cookie(format!("{origin}/"), &name, &value);
    }
}

/// The value of a parameter of a URL.
fn parameter(url: &str, name: &str) -> Option<String> {
    let url: http::Uri = url.parse().expect("a URL");
    let pairs = url.query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(|(n, _)| *n == name).map(|(_, value)| value.to_owned()).next()
}

/// A user whose access token has about so many bytes.
fn user_of_size(bytes: usize) -> User {
    // What no compression makes small; three quarters become the whole in base64.
    let filler: Vec<String> =
        (0..bytes * 3 / 4 / 32).map(|_| format!("{:032x}", rand::random::<u128>())).collect();
    User::new().with(json!({"filler": filler.concat()}))
}

/// Waits until the access tokens of the session that was begun last have ended.
async fn until_tokens_end(seconds: u64) {
    let end = portcullis_tests::now() + seconds;
    until("the access token ends", async || portcullis_tests::now() > end).await;
}

/// Every `set-cookie` of an answer whose name begins so.
fn set_cookies(page: &Page, start: &str) -> Vec<String> {
    page.header_all("set-cookie").into_iter().filter(|line| line.starts_with(start)).collect()
}

/// Whether a `set-cookie` line takes the cookie back, with the attributes that it was set with.
fn takes_back(line: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    ["max-age=0", "path=/", "secure", "httponly", "samesite=lax"]
        .iter()
        .all(|attribute| lower.contains(attribute))
        && line.split(';').next().is_some_and(|pair| pair.ends_with('='))
}

/// A short span that passes while the test looks on.
const SHORT: Duration = Duration::from_secs(3);
