//! Every kind of token that a Keycloak signs, at the door where only one kind counts.

use portcullis_tests::client::Raw;
use portcullis_tests::keycloak::Tokens;
use portcullis_tests::token::part;
use portcullis_tests::{Algorithm, EnvoyConfig};
use serde_json::{Value, json};

use crate::edge::{ACCOUNT, ADMIN, Edge, SELFCARE};
use crate::servers::{Servers, an_administrator, another_realm, selfcare, servers};

/// Any client of the realm, and every algorithm that these clients use.
fn open(config: EnvoyConfig) -> EnvoyConfig {
    config.edit_plugin(|plugin| {
        let customers = plugin["realms"]["customers"].as_object_mut().expect("the realm is there");
        customers.remove("clients");
        customers.insert("algorithms".to_owned(), json!(["RS256", "ES256", "PS256"]));
    })
}

fn header(token: &str) -> Value {
    serde_json::from_slice(&part(token, 0)).expect("the header is JSON")
}

#[tokio::test]
async fn the_algorithm_is_one_of_the_realms() {
    let Some(servers) = servers().await else { return };
    let (narrow, open) = (Edge::of(&servers).await, Edge::with(&servers, open).await);
    for (client, algorithm, reason) in [
        ("test-direct", "RS256", "token_client"),
        ("test-es256", "ES256", "token_client"),
        ("test-ps256", "PS256", "token_algorithm"),
    ] {
        let token = servers.customers.direct("customers", client, "alice").await.access;
        assert_eq!(header(&token)["alg"], algorithm);
        open.ask(SELFCARE, ACCOUNT, &token).await.forwarded("customers");
        narrow.ask(SELFCARE, ACCOUNT, &token).await.refused(401, "customers", reason);
    }
}

/// Tokens of one login that are not for us to read.
#[tokio::test]
async fn only_the_access_token_is_an_access_token() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::with(&servers, open).await;
    let alice = selfcare("alice").from_a_new_browser(&servers.customers).await;
    edge.ask(SELFCARE, ACCOUNT, &alice.access).await.forwarded("customers");
    edge.ask(SELFCARE, ACCOUNT, &alice.id).await.refused(401, "customers", "token_typ");
    edge.ask(SELFCARE, ACCOUNT, &alice.refresh).await.refused(401, "customers", "token_algorithm");
    let offline = offline(&servers).await;
    assert_eq!(claims(&offline.refresh)["typ"], "Offline");
    edge.ask(SELFCARE, ACCOUNT, &offline.refresh).await.refused(401, "customers", "token_algorithm");
    edge.ask(SELFCARE, ACCOUNT, &offline.access).await.forwarded("customers");
}

/// Offline access, which no client has that is shipped.
async fn offline(servers: &Servers) -> Tokens {
    let form = [
        ("grant_type", "password"),
        ("client_id", "test-direct"),
        ("username", "alice"),
        ("password", portcullis_tests::keycloak::PASSWORD),
        ("scope", "openid offline_access"),
    ];
    servers.customers.grant("customers", &form).await.unwrap_or_else(|e| panic!("{e}"))
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&part(token, 1)).expect("the claims are JSON")
}

/// A lightweight token has neither roles nor audience; nor has one of a client that is no business of ours.
#[tokio::test]
async fn a_token_without_our_audience_is_none_for_us() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::with(&servers, open).await;
    let lightweight = servers.customers.direct("customers", "test-lightweight", "alice").await;
    assert_eq!(lightweight.claims().get("realm_access"), None);
    edge.ask(SELFCARE, ACCOUNT, &lightweight.access).await.refused(401, "customers", "token_audience");
    let other = servers.customers.direct("customers", "test-other", "alice").await;
    assert_eq!(other.claims().get("aud"), None);
    edge.ask(SELFCARE, ACCOUNT, &other.access).await.refused(401, "customers", "token_audience");
}

/// Another realm of the same server, and another server: one is a stranger, the other the wrong door.
#[tokio::test]
async fn a_realm_counts_at_its_own_hosts_only() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::with(&servers, open).await;
    let customer = selfcare("alice").from_a_new_browser(&servers.customers).await;
    let admin = an_administrator(&servers, "theo").await;
    edge.ask(ADMIN, "/", &customer.access).await.refused(401, "admins", "token_other_realm");
    edge.ask(SELFCARE, ACCOUNT, &admin.access).await.refused(401, "customers", "token_other_realm");

    another_realm(&servers.customers, "partners", |_| {}).await;
    let partner = servers.customers.direct("partners", "test-direct", "alice").await;
    assert_eq!(partner.claims()["aud"], "portaswitch");
    edge.ask(SELFCARE, ACCOUNT, &partner.access).await.refused(401, "customers", "token_issuer");
}

/// A token that is bound to a key (RFC 9449) is refused under either scheme: nobody here checks the proof.
#[tokio::test]
async fn a_bound_token_is_refused() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::with(&servers, open).await;
    let form = [
        ("grant_type", "password"),
        ("client_id", "test-direct"),
        ("username", "alice"),
        ("password", portcullis_tests::keycloak::PASSWORD),
    ];
    let endpoint = "http://keycloak.internal:8080/realms/customers/protocol/openid-connect/token";
    let proof = proof("POST", endpoint);
    let bound = servers.customers.grant_with("customers", &form, &[("dpop", &proof)]).await;
    let bound = bound.unwrap_or_else(|e| panic!("{e}"));
    assert!(bound.claims()["cnf"]["jkt"].is_string(), "{}", bound.claims());
    edge.ask(SELFCARE, ACCOUNT, &bound.access).await.refused(401, "customers", "token_typ");
    let by_its_own_scheme =
        Raw::get(ACCOUNT).host(SELFCARE).header("authorization", format!("DPoP {}", bound.access));
    let outcome = edge.send(&by_its_own_scheme.header("dpop", &proof)).await;
    outcome.refused(401, "customers", "no_credential");
}

/// A proof of possession of a fresh key (RFC 9449 section 4.2).
fn proof(method: &str, uri: &str) -> String {
    use portcullis_tests::key::{Key, encode};
    let key = Key::generate(Algorithm::ES256);
    let public = key.jwk();
    let jwk = json!({"kty": public["kty"], "crv": public["crv"], "x": public["x"], "y": public["y"]});
    let header = json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk});
    let claims = json!({"jti": portcullis_tests::key::fresh_kid(), "htm": method, "htu": uri, "iat": portcullis_tests::now()});
    let message =
        format!("{}.{}", encode(header.to_string().as_bytes()), encode(claims.to_string().as_bytes()));
    let signature = key.sign(Algorithm::ES256, message.as_bytes());
    format!("{message}.{}", encode(&signature))
}
