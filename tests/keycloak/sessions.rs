//! What ends when a session ends: the refresh token at once, the access token by itself.

use portcullis_tests::Upstream;
use portcullis_tests::keycloak::NewUser;
use portcullis_tests::token::part;
use serde_json::{Value, json};

use crate::edge::{ACCOUNT, Edge, SELFCARE, until};
use crate::servers::{Servers, selfcare, servers};

/// A user and a client whose tokens last two seconds, before a filter that grants them thirty more.
async fn short_lived(servers: &Servers, client: &str, username: &str) -> Edge {
    let admin = servers.customers.admin();
    admin.make_user("customers", &NewUser::customer(username)).await;
    let rep = json!({
        "clientId": client, "publicClient": true, "directAccessGrantsEnabled": true, "fullScopeAllowed": false,
        "attributes": {"access.token.lifespan": "2"},
        "defaultClientScopes": ["basic", "profile", "email", "acr", "roles", "portaswitch", "portaswitch-roles"],
    });
    admin.post("/customers/clients", rep).await;
    let clients = json!([client]);
    Edge::with(servers, |config| {
        config.edit_plugin(|plugin| {
            plugin["realms"]["customers"]["clients"] = clients;
            plugin["realms"]["customers"]["clock_skew"] = json!("30s");
        })
    })
    .await
}

#[tokio::test]
async fn a_disabled_user_goes_on_until_the_token_expires() {
    let Some(servers) = servers().await else { return };
    let edge = short_lived(&servers, "test-disabled", "dora").await;
    let (keycloak, realm) = (&servers.customers, "customers");
    let dora = keycloak.direct(realm, "test-disabled", "dora").await;
    let user = format!("/customers/users/{}", keycloak.admin().user(realm, "dora").await);
    let mut disabled = keycloak.admin().get(&user).await;
    disabled["enabled"] = json!(false);
    keycloak.admin().put(&user, disabled).await;
    edge.ask(SELFCARE, ACCOUNT, &dora.access).await.forwarded("customers");
    let refused =
        keycloak.refresh(realm, "test-disabled", &dora.refresh).await.expect_err("nothing to refresh");
    assert_eq!(refused["error"], "invalid_grant");
    let expired = edge.comes_to((SELFCARE, ACCOUNT), &dora.access, 200, 401).await;
    expired.refused(401, "customers", "token_expired");
}

#[tokio::test]
async fn a_session_that_is_logged_out_goes_on_until_the_token_expires() {
    let Some(servers) = servers().await else { return };
    let edge = short_lived(&servers, "test-logged-out", "lola").await;
    let (keycloak, realm) = (&servers.customers, "customers");
    let lola = keycloak.direct(realm, "test-logged-out", "lola").await;
    let sid = lola.claims()["sid"].as_str().expect("a session").to_owned();
    keycloak.admin().delete(&format!("/customers/sessions/{sid}")).await;
    edge.ask(SELFCARE, ACCOUNT, &lola.access).await.forwarded("customers");
    let refused =
        keycloak.refresh(realm, "test-logged-out", &lola.refresh).await.expect_err("nothing to refresh");
    assert_eq!(refused["error"], "invalid_grant");
    let expired = edge.comes_to((SELFCARE, ACCOUNT), &lola.access, 200, 401).await;
    expired.refused(401, "customers", "token_expired");
}

/// Refresh tokens rotate: one that was used is used up, and who uses it again ends the session for both.
#[tokio::test]
async fn a_refresh_token_serves_once() {
    let Some(servers) = servers().await else { return };
    let (keycloak, realm, client) = (&servers.customers, "customers", "selfcare-ui");
    let edge = Edge::of(&servers).await;
    let first = selfcare("alice").from_a_new_browser(keycloak).await;
    let second = keycloak.refresh(realm, client, &first.refresh).await.unwrap_or_else(|e| panic!("{e}"));
    edge.ask(SELFCARE, ACCOUNT, &second.access).await.forwarded("customers");
    let reused = keycloak.refresh(realm, client, &first.refresh).await.expect_err("it was used");
    assert_eq!(reused["error"], "invalid_grant");
    let after = keycloak.refresh(realm, client, &second.refresh).await.expect_err("whose is it?");
    assert_eq!(after["error"], "invalid_grant");
}

/// Keycloak tells a client that a session has ended (back-channel logout). What it says so with is a token of the realm, well signed, and no
/// way in.
#[tokio::test]
async fn a_logout_token_is_no_access_token() {
    let Some(servers) = servers().await else { return };
    let (keycloak, receiver) = (&servers.customers, Upstream::start().await);
    let admin = keycloak.admin();
    let url = format!("http://{}/sso/backchannel-logout", receiver.addr());
    let rep = json!({
        "clientId": "test-backchannel", "publicClient": true, "directAccessGrantsEnabled": true, "fullScopeAllowed": false,
        "attributes": {"backchannel.logout.url": url, "backchannel.logout.session.required": "true"},
        "defaultClientScopes": ["basic", "profile", "email", "acr", "roles", "portaswitch", "portaswitch-roles"],
    });
    admin.post("/customers/clients", rep).await;
    admin.make_user("customers", &NewUser::customer("boris")).await;
    let boris = keycloak.direct("customers", "test-backchannel", "boris").await;
    let user = admin.user("customers", "boris").await;
    admin.post(&format!("/customers/users/{user}/logout"), Value::Null).await;
    until("Keycloak calls", async || receiver.requests() > 0).await;
    until("its call is read", async || receiver.last().is_some()).await;
    let call = receiver.last().expect("there was a call");
    assert_eq!((&*call.method, &*call.path), ("POST", "/sso/backchannel-logout"));
    let body = String::from_utf8(call.body).expect("a form is text");
    let token = body.strip_prefix("logout_token=").expect("the form has one field");
    let part = |index| serde_json::from_slice::<Value>(&part(token, index)).expect("the token is JSON");
    assert_eq!((&part(0)["typ"], &part(1)["typ"]), (&json!("logout+jwt"), &json!("Logout")));
    assert_eq!(part(1)["sid"], boris.claims()["sid"]);
    let edge = Edge::of(&servers).await;
    edge.ask(SELFCARE, ACCOUNT, token).await.refused(401, "customers", "token_header_typ");
}
