//! The realms of `/envoy/keycloak`, which are for production, with the users and clients of `/tests/keycloak`, which are not.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// A realm for a test: the file that an operator imports, and what the tests need on top of it.
///
/// # Panics
/// When there is no such realm, or a file of it is no JSON.
pub fn realm_file(name: &str) -> Value {
    let root = crate::repository();
    let mut realm = read(&root.join(format!("envoy/keycloak/{name}-realm.json")));
    merge(&mut realm, read(&root.join(format!("tests/keycloak/{name}-test.json"))));
    realm
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Objects are merged member by member, and so are list items of the same client or user; what else is in a list is added to it.
fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(more)) => {
            for item in more {
                let same =
                    into.iter_mut().find(|old| name_of(old).is_some() && name_of(old) == name_of(&item));
                match same {
                    Some(old) => merge(old, item),
                    None => into.push(item),
                }
            }
        }
        (into, more) => *into = more,
    }
}

fn name_of(item: &Value) -> Option<&str> {
    item["clientId"].as_str().or_else(|| item["username"].as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_test_adds_to_a_realm() {
        let mut realm = json!({"realm": "r", "clients": [{"clientId": "a", "redirectUris": ["x"]}], "n": 1});
        let more = json!({"clients": [{"clientId": "b"}, {"clientId": "a", "redirectUris": ["y"]}], "users": [], "n": 2});
        merge(&mut realm, more);
        let clients = json!([{"clientId": "a", "redirectUris": ["x", "y"]}, {"clientId": "b"}]);
        assert_eq!(realm, json!({"realm": "r", "clients": clients, "users": [], "n": 2}));
    }

    /// What an operator imports admits nobody whom he did not make.
    #[test]
    fn nobody_is_in_the_realms_that_are_shipped() {
        for name in ["customers", "admins"] {
            let realm = read(&crate::repository().join(format!("envoy/keycloak/{name}-realm.json")));
            assert_eq!((&realm["users"], &realm["realm"]), (&Value::Null, &json!(name)));
            let clients = realm["clients"].as_array().expect("there are clients");
            assert!(clients.iter().all(|client| client.get("secret").is_none()), "{name}");
            assert!(clients.iter().all(|client| client["directAccessGrantsEnabled"] != true), "{name}");
        }
    }
}
