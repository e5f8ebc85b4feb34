//! The two Keycloaks that all tests share.

use portcullis_tests::keycloak::{self, Keycloak, KeycloakOptions, NewUser, Tokens, realm_file};
use portcullis_tests::{Login, envoy};
use serde_json::{Value, json};
use tokio::sync::{OnceCell, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The customers' Keycloak at `https://sso.csp.com`, the administrators' at `https://sso-admin.csp.com/auth`.
pub(crate) struct Servers {
    pub(crate) customers: Keycloak,
    pub(crate) admins: Keycloak,
}

/// The hosts of the sites that sign browsers in.
pub(crate) const HOSTS: [&str; 3] = ["selfcare.csp.com", "alpha.pbx.csp.com", "admin.csp.com"];

/// The servers, shared with other tests; none where a prerequisite is missing.
pub(crate) async fn servers() -> Option<RwLockReadGuard<'static, Servers>> {
    Some(started().await?.read().await)
}

/// The servers, while no other test uses them; none where a prerequisite is missing.
pub(crate) async fn servers_alone() -> Option<RwLockWriteGuard<'static, Servers>> {
    Some(started().await?.write().await)
}

async fn started() -> Option<&'static RwLock<Servers>> {
    static SERVERS: OnceCell<RwLock<Servers>> = OnceCell::const_new();
    if let Err(missing) = envoy::prerequisites().and(keycloak::prerequisites()) {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
        return None;
    }
    Some(SERVERS.get_or_init(start).await)
}

async fn start() -> RwLock<Servers> {
    let (customers, admins) = tokio::join!(
        Keycloak::start(KeycloakOptions::customers().finding(&HOSTS)),
        Keycloak::start(KeycloakOptions::admins().below("/auth").finding(&HOSTS)),
    );
    let [customers, admins] = [customers, admins].map(|server| server.unwrap_or_else(|e| panic!("{e}")));
    RwLock::new(Servers { customers, admins })
}

/// A customer who signs in to the self-care portal.
pub(crate) fn selfcare(username: &str) -> Login {
    Login::to("customers", "selfcare-ui", "https://selfcare.csp.com/sso/callback").user(username)
}

/// An administrator who signs in.
pub(crate) fn administration(username: &str) -> Login {
    Login::to("admins", "admin-ui", "https://admin.csp.com/sso/callback").user(username)
}

/// Tokens of an administrator who is made for it.
pub(crate) async fn an_administrator(servers: &Servers, username: &str) -> Tokens {
    servers.admins.admin().make_user("admins", &NewUser::administrator(username)).await;
    administration(username).from_a_new_browser(&servers.admins).await
}

/// Makes another realm at the customers' Keycloak, like `customers` but for its name.
pub(crate) async fn another_realm(customers: &Keycloak, name: &str, edit: impl FnOnce(&mut Value)) {
    let text = realm_file("customers").to_string().replace("/realms/customers/", &format!("/realms/{name}/"));
    let mut realm: Value = serde_json::from_str(&text).expect("a realm is JSON");
    realm["realm"] = json!(name);
    edit(&mut realm);
    customers.admin().post("", realm).await;
}
