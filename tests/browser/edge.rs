//! What a browser comes to: one Envoy, for the portals with the filter, and for the Keycloaks, which speak plain HTTP, without it.

use portcullis_tests::keycloak::{Keycloak, KeycloakOptions, realm_file};
use portcullis_tests::{Envoy, EnvoyConfig, PortaSwitch, envoy, keycloak, portaswitch};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::chromium::{self, Chromium, Device};

/// The customers' portal.
pub(crate) const SELFCARE: &str = "https://selfcare.csp.com";
/// The administrators' portal.
pub(crate) const ADMIN: &str = "https://admin.csp.com";
/// The customers' Keycloak.
pub(crate) const SSO: &str = "https://sso.csp.com/realms/customers/";
/// The administrators' Keycloak.
pub(crate) const SSO_ADMIN: &str = "https://sso-admin.csp.com/realms/admins/";

const HOSTS: [&str; 4] = ["selfcare.csp.com", "admin.csp.com", "sso.csp.com", "sso-admin.csp.com"];

/// The two Keycloaks that all tests share.
pub(crate) struct Servers {
    pub(crate) customers: Keycloak,
    pub(crate) admins: Keycloak,
}

/// The servers; none where a prerequisite is missing.
pub(crate) async fn servers() -> Option<&'static Servers> {
    static SERVERS: OnceCell<Servers> = OnceCell::const_new();
    let missing =
        envoy::prerequisites().and(keycloak::prerequisites()).and(chromium::find_driver().map(drop));
    if let Err(missing) = missing {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
        return None;
    }
    Some(SERVERS.get_or_init(start).await)
}

async fn start() -> Servers {
    let (customers, admins) = tokio::join!(
        Keycloak::start(KeycloakOptions::customers().finding(&HOSTS)),
        Keycloak::start(KeycloakOptions::admins()),
    );
    let [customers, admins] = [customers, admins].map(|server| server.unwrap_or_else(|e| panic!("{e}")));
    Servers { customers, admins }
}

impl Servers {
    /// Makes a client like the self-care portal's, with a change. A filter that uses it has `uses_client` in its configuration.
    pub(crate) async fn make_client(&self, id: &str, edit: impl FnOnce(&mut Value)) {
        let file = realm_file("customers");
        let clients = file["clients"].as_array().expect("the realm has clients");
        let client = clients.iter().find(|client| client["clientId"] == "selfcare-ui");
        let mut client = client.expect("the portal is a client").clone();
        client["clientId"] = id.into();
        edit(&mut client);
        self.customers.admin().post("/customers/clients", client).await;
    }
}

/// Customers sign in by this client.
pub(crate) fn uses_client(plugin: &mut Value, id: &str) {
    let customers = &mut plugin["realms"]["customers"];
    customers["clients"] = json!([id]);
    customers["login"]["client_id"] = id.into();
}

/// The portals behind the filter.
pub(crate) struct Edge {
    pub(crate) envoy: Envoy,
    pub(crate) portaswitch: PortaSwitch,
}

impl Edge {
    /// The portals as they are.
    pub(crate) async fn of(servers: &Servers) -> Self {
        Self::with(servers, |_| {}).await
    }

    /// With a change of the plugin's configuration.
    pub(crate) async fn with(servers: &Servers, edit: impl FnOnce(&mut Value)) -> Self {
        Self::start(servers, |config| config.edit_plugin(edit)).await
    }

    /// With a change of anything.
    pub(crate) async fn start(servers: &Servers, change: impl FnOnce(EnvoyConfig) -> EnvoyConfig) -> Self {
        let portaswitch = PortaSwitch::start().await;
        let config = config(servers).cluster("upstream", portaswitch.addr());
        let envoy = change(config).start().await.unwrap_or_else(|e| panic!("{e}"));
        Self { envoy, portaswitch }
    }

    /// Nobody is signed in, nothing is left of a login but what a browser forgets, and nothing of it has reached PortaSwitch.
    pub(crate) async fn nobody_is_in(&self, browser: &Chromium, site: &str) {
        browser.open(site).await;
        let cookies = browser.cookies().await;
        let session = cookies.iter().find(|name| name.starts_with("__Host-portcullis-session"));
        assert_eq!(session, None, "{cookies:?}");
        let (status, _) = browser.fetch("/whoami").await;
        assert_eq!(status, 401);
        for path in ["/dashboard", "/whoami"] {
            assert!(self.portaswitch.seen_at(path).is_empty(), "{path} was reached");
        }
    }

    /// A new browser.
    pub(crate) async fn browser(&self) -> Chromium {
        Chromium::start(self.envoy.port(), Device::Desktop).await
    }

    /// A new browser on a phone.
    pub(crate) async fn phone(&self) -> Chromium {
        Chromium::start(self.envoy.port(), Device::Phone).await
    }
}

/// `envoy/login.yaml` with the portals' sites. The clients are public, as in the realms' files.
fn config(servers: &Servers) -> EnvoyConfig {
    EnvoyConfig::file("login.yaml")
        .cluster("keycloak_customers", servers.customers.addr())
        .cluster("keycloak_admins", servers.admins.addr())
        .tls(&HOSTS)
        .edit_manager(|manager| {
            // On a starved machine a Keycloak that has just started takes its time.
            for timeout in ["request_timeout", "stream_idle_timeout"] {
                manager[timeout] = "60s".into();
            }
            let hosts = manager["route_config"]["virtual_hosts"].as_array_mut().expect("there are hosts");
            hosts.push(around("sso.csp.com", "keycloak_customers"));
            hosts.push(around("sso-admin.csp.com", "keycloak_admins"));
        })
        .edit_plugin(|plugin| {
            portaswitch::configure(plugin);
            plugin["limits"] = json!({"wait_timeout": "30s"});
            for realm in ["customers", "admins"] {
                let realm = &mut plugin["realms"][realm];
                realm["keys"]["fetch_timeout"] = "30s".into();
                realm["login"]["timeout"] = "30s".into();
                realm["login"].as_object_mut().expect("the realm has a login").remove("client_secret");
            }
        })
}

/// A host that is led around the filter.
fn around(host: &str, cluster: &str) -> Value {
    json!({
        "name": host, "domains": [host],
        "routes": [{"match": {"prefix": "/"}, "route": {"cluster": cluster, "timeout": "60s"}}],
        "typed_per_filter_config": {"portcullis": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true}},
    })
}
