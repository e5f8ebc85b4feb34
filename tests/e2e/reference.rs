//! `envoy/reference.yaml` is the operator's documentation: it loads, and no field is missing from it.

use portcullis_core::{ConfigError, Filter};
use portcullis_tests::EnvoyConfig;
use portcullis_tests::envoy::SECRETS;
use serde_json::{Map, Value, json};

use crate::support::{Assert as _, SELFCARE, world_with};

fn reference() -> Value {
    EnvoyConfig::file("reference.yaml").plugin_value()
}

/// Reads a document with the secrets that it names.
fn parse(document: &Value) -> Result<Filter, ConfigError> {
    let secrets = SECRETS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Filter::parse_in(document.to_string().as_bytes(), &secrets.into())
}

/// The names that the parser would take beside an unknown one, from its own message.
fn fields_at(document: &Value, pointer: &str) -> Vec<String> {
    let mut document = document.clone();
    let place = document.pointer_mut(pointer).and_then(Value::as_object_mut).expect(pointer);
    place.insert("no-such-field".to_owned(), json!(1));
    let problem = parse(&document).expect_err(pointer).problem;
    let (_, expected) = problem.split_once("expected ").unwrap_or_else(|| panic!("{pointer}: {problem}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The names of the pages, likewise.
fn pages_at(document: &Value) -> Vec<String> {
    let mut document = document.clone();
    document["text"]["languages"]["uk"]["no-such-page.title"] = json!("x");
    let problem = parse(&document).expect_err("no such page").problem;
    let (_, names) = problem.split_once("action of ").unwrap_or_else(|| panic!("{problem}"));
    names.split(", ").map(str::to_owned).collect()
}

#[test]
fn the_reference_leaves_no_field_out() {
    let document = reference();
    parse(&document).unwrap_or_else(|error| panic!("{error}"));
    // Places of one kind share the documentation: a field may stand at any of them.
    let places: [&[&str]; 21] = [
        &[""],
        &["/realms/customers", "/realms/admins"],
        &["/realms/customers/keys"],
        &["/realms/customers/login", "/realms/admins/login"],
        &["/realms/admins/login/client_key", "/realms/customers/login/client_secret"],
        &["/realms/customers/login/client_secret", "/realms/customers/login/cookie_keys/1"],
        &["/realms/customers/login/cookie_keys/0", "/realms/customers/login/cookie_keys/1"],
        &["/realms/customers/login/session"],
        &["/realms/customers/login/attempt"],
        &["/sites/0"],
        &["/sites/0/rules/0", "/sites/0/rules/3"],
        &["/sites/0/rules/0/path", "/sites/0/rules/1/path", "/sites/0/rules/2/path"],
        &["/sites/0/rules/3/require"],
        &["/sites/0/rules/3/require/realm_roles", "/sites/0/rules/3/require/client_roles/portaswitch"],
        &["/sites/0/rules/3/require/claims/0"],
        &["/legacy"],
        &["/legacy/attempts"],
        &["/identity"],
        &["/identity/headers/x-porta-roles/roles"],
        &["/limits"],
        &["/text"],
    ];
    for pointers in places {
        let written: Vec<&Map<String, Value>> = pointers
            .iter()
            .map(|pointer| document.pointer(pointer).and_then(Value::as_object).expect(pointer))
            .collect();
        for field in fields_at(&document, pointers[0]) {
            assert!(
                written.iter().any(|members| members.contains_key(&field)),
                "{}/{field} is not in the file",
                pointers[0]
            );
        }
    }
    let headers = document["identity"]["headers"].as_object().expect("headers");
    for field in fields_at(&document, "/identity/headers/x-porta-user") {
        assert!(headers.values().any(|header| header.get(&field).is_some()), "no header has {field}");
    }
    let texts = document["text"]["languages"]["uk"].as_object().expect("texts");
    for page in pages_at(&document) {
        for part in ["title", "body", "action"] {
            assert!(texts.contains_key(&format!("{page}.{part}")), "{page}.{part} is not in the file");
        }
    }
}

#[tokio::test]
async fn the_reference_loads_in_envoy() {
    let Some(world) = world_with(EnvoyConfig::file("reference.yaml")).await else { return };
    world.assert_refused(&world.get(SELFCARE, "/rest/Invoice/x", None).await, 401);
    let seen = world.assert_forwarded(&world.get(SELFCARE, "/health", None).await);
    assert!(seen.headers_with_prefix("x-porta-").is_empty());
}
