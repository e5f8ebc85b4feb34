//! Keys come and go at a real Keycloak, through its admin REST API.

use portcullis_tests::keycloak::{Keycloak, Tokens};
use portcullis_tests::token::part;
use serde_json::{Value, json};

use crate::edge::{ACCOUNT, Edge, SELFCARE};
use crate::servers::{Servers, another_realm, servers};

/// The realm that these tests change.
const REALM: &str = "rotation";

async fn edge(servers: &Servers, refresh_interval: &str) -> Edge {
    Edge::with(servers, |config| {
        config.edit_plugin(|plugin| {
            let customers = &mut plugin["realms"]["customers"];
            customers["issuer"] = json!(servers.customers.issuer(REALM));
            customers["clients"] = json!(["test-direct"]);
            customers["keys"]["refresh_interval"] = json!(refresh_interval);
            customers["keys"]["refetch_cooldown"] = json!("1s");
        })
    })
    .await
}

fn kid(tokens: &Tokens) -> Value {
    serde_json::from_slice::<Value>(&part(&tokens.access, 0)).expect("the header is JSON")["kid"].take()
}

/// The provider of the key with this identifier.
async fn provider(keycloak: &Keycloak, kid: &Value) -> String {
    let keys = keycloak.admin().get(&format!("/{REALM}/keys")).await;
    let keys = keys["keys"].as_array().expect("there are keys");
    let key = keys.iter().find(|key| key["kid"] == *kid).expect("the key is listed");
    key["providerId"].as_str().expect("a key has a provider").to_owned()
}

/// A new provider of higher priority: tokens of both keys pass. The old one disabled: its tokens end with the next refresh.
#[tokio::test]
async fn a_key_is_rotated_without_a_refusal_and_withdrawn_by_the_next_refresh() {
    let Some(servers) = servers().await else { return };
    another_realm(&servers.customers, REALM, |_| {}).await;
    let (keycloak, at) = (&servers.customers, (SELFCARE, ACCOUNT));
    let (slow, quick) = (edge(&servers, "1h").await, edge(&servers, "2s").await);
    let old = keycloak.direct(REALM, "test-direct", "alice").await;
    for edge in [&slow, &quick] {
        edge.comes_to(at, &old.access, 503, 200).await.forwarded("customers");
    }

    let realm = keycloak.admin().get(&format!("/{REALM}")).await;
    let component = json!({
        "name": "rs256-next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
        "parentId": realm["id"], "config": {"priority": ["200"], "algorithm": ["RS256"], "keySize": ["2048"]},
    });
    keycloak.admin().post(&format!("/{REALM}/components"), component).await;
    let new = keycloak.direct(REALM, "test-direct", "alice").await;
    assert_ne!(kid(&new), kid(&old));
    for edge in [&slow, &quick] {
        // The first token with the new key brings it in; only inside the cooldown of another fetch it may have to come again.
        edge.comes_to(at, &new.access, 401, 200).await.forwarded("customers");
        edge.ask(SELFCARE, ACCOUNT, &old.access).await.forwarded("customers");
    }

    let path = format!("/{REALM}/components/{}", provider(keycloak, &kid(&old)).await);
    let mut component = keycloak.admin().get(&path).await;
    component["config"]["enabled"] = json!(["false"]);
    component["config"]["active"] = json!(["false"]);
    keycloak.admin().put(&path, component).await;
    quick.comes_to(at, &old.access, 200, 401).await.refused(401, "customers", "token_unknown_kid");
    quick.ask(SELFCARE, ACCOUNT, &new.access).await.forwarded("customers");
    slow.ask(SELFCARE, ACCOUNT, &old.access).await.forwarded("customers");
}
