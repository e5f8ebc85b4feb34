//! One Keycloak, several names: the public issuer, the cluster's own name for it, and the prefix `/auth`.

use portcullis_tests::EnvoyConfig;
use serde_json::{Value, json};

use crate::edge::{ACCOUNT, ADMIN, Edge, SELFCARE};
use crate::servers::{Servers, an_administrator, another_realm, selfcare, servers};

/// Changes a realm of the plugin's configuration.
fn realm(name: &'static str, edit: impl FnOnce(&mut Value)) -> impl FnOnce(EnvoyConfig) -> EnvoyConfig {
    move |config| config.edit_plugin(|plugin| edit(&mut plugin["realms"][name]))
}

/// Asked under the cluster's own name, Keycloak names the public issuer and internal endpoints. Tokens got there are the public issuer's.
#[tokio::test]
async fn keycloak_is_reached_by_an_internal_name() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::with(
        &servers,
        realm("customers", |realm| realm["authority"] = json!("keycloak.internal:8080")),
    )
    .await;
    let alice = selfcare("alice").from_a_new_browser(&servers.customers).await;
    assert_eq!(alice.claims()["iss"], "https://sso.csp.com/realms/customers");
    edge.ask(SELFCARE, ACCOUNT, &alice.access).await.forwarded("customers");
}

/// The issuer is a name and not an address: a configuration that has it otherwise gets no keys, and says why.
#[tokio::test]
async fn an_issuer_that_keycloak_does_not_call_itself_gets_no_keys() {
    let Some(servers) = servers().await else { return };
    let alice = selfcare("alice").from_a_new_browser(&servers.customers).await;
    let edge = Edge::with(
        &servers,
        realm("customers", |realm| {
            realm["issuer"] = json!("http://keycloak.internal:8080/realms/customers");
        }),
    )
    .await;
    edge.metric_reaches("customers.keys_fetch.issuer", 1).await;
    edge.ask(SELFCARE, ACCOUNT, &alice.access).await.refused(401, "customers", "token_issuer");
    // Nor would the keys help: a token is judged by the name in it.
    let edge = Edge::with(
        &servers,
        realm("customers", |realm| {
            realm["issuer"] = json!("http://keycloak.internal:8080/realms/customers");
            realm["jwks_path"] = json!("/realms/customers/protocol/openid-connect/certs");
        }),
    )
    .await;
    edge.metric_reaches("customers.keys_fetch.success", 1).await;
    edge.ask(SELFCARE, ACCOUNT, &alice.access).await.refused(401, "customers", "token_issuer");
}

/// The administrators' Keycloak lies below `/auth`. The prefix is part of the issuer, and of every path that follows from it.
#[tokio::test]
async fn the_prefix_is_part_of_the_issuer() {
    let Some(servers) = servers().await else { return };
    let root = an_administrator(&servers, "hugo").await;
    assert_eq!(root.claims()["iss"], "https://sso-admin.csp.com/auth/realms/admins");
    Edge::of(&servers).await.ask(ADMIN, "/", &root.access).await.forwarded("admins");
    let edge = Edge::with(
        &servers,
        realm("admins", |realm| realm["issuer"] = json!("https://sso-admin.csp.com/realms/admins")),
    )
    .await;
    edge.metric_reaches("admins.keys_fetch.status", 1).await;
    edge.ask(ADMIN, "/", &root.access).await.refused(401, "admins", "token_issuer");
}

/// A proxy adds `/auth` on the outside only. Keycloak's frontend URL says so, and the filter is told the inner path.
#[tokio::test]
async fn a_prefix_that_only_the_outside_sees() {
    let Some(servers) = servers().await else { return };
    another_realm(&servers.customers, "outside", |realm| {
        realm["attributes"]["frontendUrl"] = json!("https://sso.csp.com/auth");
    })
    .await;
    let alice = servers.customers.direct("outside", "test-direct", "alice").await;
    assert_eq!(alice.claims()["iss"], "https://sso.csp.com/auth/realms/outside");
    let outside = |paths: Value| {
        realm("customers", move |realm| {
            realm["issuer"] = json!("https://sso.csp.com/auth/realms/outside");
            realm["authority"] = json!("keycloak.internal:8080");
            realm["clients"] = json!(["test-direct"]);
            for (name, path) in paths.as_object().into_iter().flatten() {
                realm[name] = path.clone();
            }
        })
    };
    let ask = async |servers: &Servers, paths: Value| {
        Edge::with(servers, outside(paths)).await.ask(SELFCARE, ACCOUNT, &alice.access).await
    };
    let discovery = "/realms/outside/.well-known/openid-configuration";
    let keys = "/realms/outside/protocol/openid-connect/certs";
    ask(&servers, json!({})).await.refused(503, "customers", "keys_unavailable");
    ask(&servers, json!({"jwks_path": keys})).await.forwarded("customers");
    ask(&servers, json!({"discovery_path": discovery})).await.forwarded("customers");
}
