//! Who is let in as whom: signed in as a browser does it, or not at all.

use serde_json::json;

use crate::edge::{ACCOUNT, ADMIN, Edge, INVOICES, SELFCARE};
use crate::servers::{administration, selfcare, servers};

/// Authorization code with PKCE through the login page, in both realms.
#[tokio::test]
async fn the_upstream_learns_who_signed_in() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::of(&servers).await;
    let alice = selfcare("alice").from_a_new_browser(&servers.customers).await;
    assert_eq!(alice.claims()["groups"], json!(["/alpha/finance"]));
    let outcome = edge.ask(SELFCARE, INVOICES, &alice.access).await;
    let seen = outcome.forwarded("customers").clone();
    let header = |name: &str| seen.header(name);
    assert_eq!(header("x-porta-realm").as_deref(), Some("customers"));
    assert_eq!(header("x-porta-user").as_deref(), Some("alice"));
    assert_eq!(header("x-porta-email").as_deref(), Some("alice@example.com"));
    assert_eq!(header("x-porta-customer").as_deref(), Some("1042"));
    assert_eq!(header("x-porta-roles").as_deref(), Some("customer,portaswitch:billing"));
    assert_eq!(header("x-porta-superuser").as_deref(), Some("false"));
    assert_eq!(header("x-porta-subject"), alice.claims()["sub"].as_str().map(str::to_owned));
    assert_eq!(header("authorization"), None);

    let root = administration("root.admin").from_a_new_browser(&servers.admins).await;
    let outcome = edge.ask(ADMIN, "/", &root.access).await;
    let seen = outcome.forwarded("admins").clone();
    assert_eq!(seen.header("x-porta-user").as_deref(), Some("root.admin"));
    assert_eq!(seen.header("x-porta-superuser").as_deref(), Some("true"));
    let roles = seen.header("x-porta-roles").unwrap_or_default();
    let mut roles: Vec<_> = roles.split(',').collect();
    roles.sort_unstable();
    assert_eq!(roles, ["Root", "admin"]);
}

/// Roles decide: bob has none of the client, sam one that excludes him, nora none at all.
#[tokio::test]
async fn roles_are_those_of_keycloak() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::of(&servers).await;
    let bob = selfcare("bob").from_a_new_browser(&servers.customers).await;
    edge.ask(SELFCARE, ACCOUNT, &bob.access).await.forwarded("customers");
    edge.ask(SELFCARE, INVOICES, &bob.access).await.refused(403, "customers", "missing_role");
    let sam = selfcare("sam").from_a_new_browser(&servers.customers).await;
    edge.ask(SELFCARE, ACCOUNT, &sam.access).await.forwarded("customers");
    edge.ask(SELFCARE, INVOICES, &sam.access).await.refused(403, "customers", "missing_role");
    // Signed in, and nothing more: that is no reason to sign in again.
    let nora = selfcare("nora").from_a_new_browser(&servers.customers).await;
    assert_eq!(nora.claims()["aud"], "portaswitch");
    edge.ask(SELFCARE, ACCOUNT, &nora.access).await.refused(403, "customers", "missing_role");
}

/// The clients that are shipped take no password from anybody but Keycloak's page, and no code without its verifier.
#[tokio::test]
async fn there_is_no_way_in_but_the_login_page() {
    let Some(servers) = servers().await else { return };
    let password = |client: &'static str| {
        [
            ("grant_type", "password"),
            ("client_id", client),
            ("username", "alice"),
            ("password", portcullis_tests::keycloak::PASSWORD),
        ]
    };
    for client in ["selfcare-ui", "cloudpbx-ui"] {
        let refused =
            servers.customers.grant("customers", &password(client)).await.expect_err("no direct grant");
        assert_eq!(refused["error"], "unauthorized_client", "{refused}");
    }
    let refused =
        servers.customers.grant("customers", &password("admin-cli")).await.expect_err("it is disabled");
    assert_eq!(refused["error"], "invalid_client", "{refused}");
    servers.customers.direct("customers", "test-direct", "alice").await;

    let mut browser = servers.customers.browser();
    let mut plain = selfcare("alice").authorization_request(&servers.customers, "");
    let without: Vec<(String, String)> =
        plain.query_pairs().into_owned().filter(|(name, _)| !name.starts_with("code_challenge")).collect();
    plain.query_pairs_mut().clear().extend_pairs(without);
    let back = browser.navigate(plain).await.location().expect("the client is told");
    assert!(back.query().is_some_and(|query| query.contains("error=invalid_request")), "{back}");
    let elsewhere =
        portcullis_tests::Login::to("customers", "selfcare-ui", "https://evil.example/sso/callback");
    let page = browser.navigate(elsewhere.authorization_request(&servers.customers, "x")).await;
    assert_eq!((page.status, page.location()), (400, None), "a redirect URI that nobody registered");
}

/// A user cannot write the identifiers that PortaSwitch believes.
#[tokio::test]
async fn the_ids_of_portaswitch_are_not_the_users_to_edit() {
    let Some(servers) = servers().await else { return };
    let profile = servers.customers.admin().get("/customers/users/profile").await;
    let attributes = profile["attributes"].as_array().expect("the profile has attributes");
    for name in ["i_env", "i_customer", "i_account"] {
        let attribute = attributes.iter().find(|attribute| attribute["name"] == name);
        let attribute = attribute.unwrap_or_else(|| panic!("{name} is no attribute: {profile}"));
        assert_eq!(attribute["permissions"]["edit"], json!(["admin"]), "{name}");
    }
    assert_eq!(
        profile.get("unmanagedAttributePolicy"),
        None,
        "an attribute that is not listed is not stored"
    );
}

/// A service of the provider's own: client credentials.
#[tokio::test]
async fn a_service_is_a_client_with_roles_of_its_own() {
    let Some(servers) = servers().await else { return };
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", "test-service"),
        ("client_secret", "service-secret"),
    ];
    let service = servers.customers.grant("customers", &form).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(service.claims()["preferred_username"], "service-account-test-service");
    let edge = Edge::of(&servers).await;
    edge.ask(SELFCARE, ACCOUNT, &service.access).await.refused(401, "customers", "token_client");
    let edge = Edge::with(&servers, |config| {
        config.edit_plugin(|plugin| plugin["realms"]["customers"]["clients"] = json!(["test-service"]))
    })
    .await;
    edge.ask(SELFCARE, INVOICES, &service.access).await.refused(403, "customers", "missing_role");
    let outcome = edge.ask(SELFCARE, ACCOUNT, &service.access).await;
    let seen = outcome.forwarded("customers");
    assert_eq!(seen.header("x-porta-user").as_deref(), Some("service-account-test-service"));
    assert_eq!(seen.header("x-porta-customer"), None);
}
