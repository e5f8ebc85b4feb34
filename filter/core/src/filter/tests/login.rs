//! `realms.<name>.login`.

use serde_json::json;

use super::{check, check_good};
use crate::testing::test;

#[test]
fn a_client_has_one_way_to_show_who_it_is() {
    let key = "-----BEGIN PRIVATE KEY-----\nMC4=\n-----END PRIVATE KEY-----\n";
    let key = || json!({"algorithm": "RS256", "inline": key});
    let login = |more: serde_json::Value| {
        let keys = json!([{"id": "k", "inline": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]);
        let mut login = json!({"client_id": "selfcare-ui", "cookie_keys": keys});
        login.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        login
    };
    for good in [
        json!({"client_key": key()}),
        json!({"client_key": key(), "client_authentication": "private_key_jwt"}),
        json!({"client_key": {"algorithm": "ES256", "id": "2026-11", "inline": key()["inline"]}}),
    ] {
        check_good("/realms/customers/login", login(good));
    }
    for (wrong, field, problem) in [
        (
            json!({"client_key": key(), "client_secret": {"inline": "x"}}),
            "client_key",
            "contradicts client_secret",
        ),
        (
            json!({"client_key": key(), "client_authentication": "none"}),
            "client_authentication",
            "contradicts client_key",
        ),
        (json!({"client_authentication": "private_key_jwt"}), "client_authentication", "needs client_key"),
        (
            json!({"client_authentication": "client_secret_post"}),
            "client_authentication",
            "needs client_secret",
        ),
        (json!({"client_key": {"inline": key()["inline"]}}), "client_key.algorithm", "is required"),
        (json!({"client_key": {"algorithm": "RS256"}}), "client_key", "exactly one of env and inline"),
        (json!({"client_key": {"algorithm": "RS256", "inline": "x"}}), "client_key", "no private key"),
        (
            json!({"client_key": {"algorithm": "RS256", "env": "X"}}),
            "client_key.env",
            "no environment variable",
        ),
    ] {
        check("/realms/customers/login", login(wrong), &format!("realms.customers.login.{field}"), problem);
    }
}
