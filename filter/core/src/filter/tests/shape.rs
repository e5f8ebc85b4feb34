//! The document as such: JSON, fields, types, what is required.

use crate::testing::test;
use serde_json::{Value, json};

use super::{check, check_document};
use crate::testing::two_realms_json;

#[test]
fn what_is_no_json_object_says_so() {
    for document in ["", " ", "realms:", "{", "{} {}", "{'realms': 1}", "\u{feff}{}"] {
        check_document(document.as_bytes(), "", "not JSON");
    }
    check_document(b"{\"realms\":{\"a\":\"\xff\"}}", "", "not JSON");
    for document in ["[]", "null", "1", "\"{}\"", "true"] {
        check_document(document.as_bytes(), "", "must be a JSON object");
    }
    check_document(br#"{"realms":{"a":{"issuer":"x","issuer":"y"}}}"#, "", "`issuer` is there twice");
    check_document(b"{}", "realms", "at least one realm");
}

#[test]
fn unknown_fields_are_named_at_every_depth() {
    for (pointer, path) in [
        ("/realm", "realm"),
        ("/realms/customers/audience", "realms.customers.audience"),
        ("/realms/customers/keys/refresh", "realms.customers.keys.refresh"),
        ("/sites/0/host", "sites[0].host"),
        ("/sites/1/rules/0/method", "sites[1].rules[0].method"),
        ("/sites/0/rules/0/path/suffix", "sites[0].rules[0].path.suffix"),
        ("/sites/0/rules/1/require/roles", "sites[0].rules[1].require.roles"),
        ("/sites/0/rules/1/require/realm_roles/some", "sites[0].rules[1].require.realm_roles.some"),
        (
            "/sites/0/rules/1/require/client_roles/portaswitch/some",
            "sites[0].rules[1].require.client_roles.portaswitch.some",
        ),
        ("/sites/0/rules/2/require/amr/some", "sites[0].rules[2].require.amr.some"),
        ("/legacy/login", "legacy.login"),
        ("/identity/header", "identity.header"),
        ("/identity/headers/x-porta-user/clam", "identity.headers.x-porta-user.clam"),
        ("/identity/headers/x-porta-roles/roles/client", "identity.headers.x-porta-roles.roles.client"),
        ("/limits/max_tokens", "limits.max_tokens"),
    ] {
        let name = path.rsplit('.').next().unwrap();
        check(pointer, json!(["x"]), path, &format!("unknown field `{name}`"));
    }
    let has_role = json!({ "client": "a", "roll": "b" });
    let path = "identity.headers.x-porta-superuser.has_role.roll";
    check("/identity/headers/x-porta-superuser/has_role", has_role, path, "unknown field `roll`");
    let claims = json!([{ "path": ["a"], "equal": 1 }]);
    check("/sites/0/rules/1/require/claims", claims, "sites[0].rules[1].require.claims[0].equal", "`equal`");
}

#[test]
fn wrong_types_are_told_with_their_place() {
    for (pointer, value, path, word) in [
        ("/realms/customers/audiences", json!("portaswitch"), "realms.customers.audiences", "string \"porta"),
        ("/realms/customers/audiences/0", json!(1), "realms.customers.audiences[0]", "integer `1`"),
        ("/realms/customers/issuer", json!(["x"]), "realms.customers.issuer", "sequence"),
        ("/realms/customers/clock_skew", json!(30), "realms.customers.clock_skew", "integer `30`"),
        ("/sites", json!({}), "sites", "map"),
        ("/sites/0/error_format", json!("html"), "sites[0].error_format", "`html`"),
        ("/sites/0/error_format", json!(1), "sites[0].error_format", "integer `1`"),
        ("/sites/0/rules/0/access", json!("pubic"), "sites[0].rules[0].access", "`pubic`"),
        ("/sites/0/rules/0/access", json!({ "public": 1 }), "sites[0].rules[0].access", "map"),
        ("/sites/0/rules/0/path", json!("/x"), "sites[0].rules[0].path", "needs an object"),
        ("/identity/forward_token", json!("no"), "identity.forward_token", "\"no\""),
        ("/identity/max_value_bytes", json!(-1), "identity.max_value_bytes", "`-1`"),
        ("/limits/max_head_bytes", json!(1.5), "limits.max_head_bytes", "`1.5`"),
        (
            "/identity/headers/x-porta-superuser/has_role",
            json!(1),
            "identity.headers.x-porta-superuser.has_role",
            "realm role",
        ),
    ] {
        check(pointer, value, path, word);
    }
}

/// `serde` would take the items for the fields in their order.
#[test]
fn a_list_never_stands_for_an_object() {
    for (pointer, path) in [
        ("/realms/customers", "realms.customers"),
        ("/realms/customers/keys", "realms.customers.keys"),
        ("/sites/0", "sites[0]"),
        ("/sites/0/rules/0", "sites[0].rules[0]"),
        ("/sites/0/rules/0/path", "sites[0].rules[0].path"),
        ("/sites/0/rules/1/require", "sites[0].rules[1].require"),
        ("/sites/0/rules/1/require/realm_roles", "sites[0].rules[1].require.realm_roles"),
        ("/identity", "identity"),
        ("/identity/headers/x-porta-user", "identity.headers.x-porta-user"),
        ("/legacy", "legacy"),
        ("/limits", "limits"),
    ] {
        check(pointer, json!([]), path, "not a list");
        check(pointer, json!(["x"]), path, "not a list");
    }
}

#[test]
fn a_field_without_a_value_is_refused() {
    for path in [
        "realms",
        "realms.customers.clients",
        "identity.strip",
        "legacy.networks",
        "sites[0].rules[1].require",
    ] {
        let mut document = two_realms_json();
        let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
        let (parent, last) = pointer.rsplit_once('/').unwrap();
        if parent == "/legacy" {
            document["legacy"] = json!({});
        }
        document.pointer_mut(parent).unwrap()[last] = Value::Null;
        check_document(document.to_string().as_bytes(), path, "has no value");
    }
    let claims = json!([{ "path": ["a"], "equals": null }]);
    check(
        "/sites/0/rules/1/require/claims",
        claims,
        "sites[0].rules[1].require.claims[0].equals",
        "no value",
    );
}

#[test]
fn required_fields_are_there_and_not_empty() {
    for (pointer, path, empty) in [
        ("/realms", "realms", json!({})),
        ("/realms/customers/issuer", "realms.customers.issuer", json!("")),
        ("/realms/customers/cluster", "realms.customers.cluster", json!("")),
        ("/realms/customers/audiences", "realms.customers.audiences", json!([])),
        ("/sites", "sites", json!([])),
        ("/sites/1/hosts", "sites[1].hosts", json!([])),
        ("/sites/1/realm", "sites[1].realm", json!("")),
        ("/sites/1/rules", "sites[1].rules", json!([])),
        ("/sites/1/rules/0/name", "sites[1].rules[0].name", json!("")),
    ] {
        let word = if path == "realms" || path == "sites" { "at least one" } else { "required" };
        check(pointer, Value::Null, path, word);
        check(pointer, empty, path, word);
    }
    check("/sites/1/rules/0/path", Value::Null, "sites[1].rules[0].path", "needs exact, prefix or template");
    check("/sites/1/rules/0/path", json!({}), "sites[1].rules[0].path", "needs exact, prefix or template");
}

#[test]
fn lists_are_not_empty_and_name_nothing_twice() {
    for (pointer, path) in [
        ("/realms/customers/audiences", "realms.customers.audiences"),
        ("/realms/customers/clients", "realms.customers.clients"),
        ("/realms/customers/algorithms", "realms.customers.algorithms"),
        ("/sites/0/rules/0/methods", "sites[0].rules[0].methods"),
        ("/sites/0/rules/1/require/realm_roles/any", "sites[0].rules[1].require.realm_roles.any"),
        ("/sites/0/rules/1/require/realm_roles/none", "sites[0].rules[1].require.realm_roles.none"),
        (
            "/sites/0/rules/1/require/client_roles/portaswitch/all",
            "sites[0].rules[1].require.client_roles.portaswitch.all",
        ),
        ("/sites/0/rules/2/require/acr", "sites[0].rules[2].require.acr"),
        ("/sites/0/rules/2/require/amr/all", "sites[0].rules[2].require.amr.all"),
        ("/identity/strip", "identity.strip"),
        ("/identity/headers/x-porta-roles/roles/clients", "identity.headers.x-porta-roles.roles.clients"),
        ("/legacy/logins/selfcare.csp.com", "legacy.logins.selfcare.csp.com"),
    ] {
        check(pointer, json!([]), path, "empty");
        let word = if path.ends_with("methods") { "GET" } else { "RS256" };
        check(pointer, json!([word, ""]), &format!("{path}[1]"), "empty");
        check(pointer, json!([word, word]), &format!("{path}[1]"), &format!("`{word}` is there twice"));
    }
    check("/legacy/networks", json!([]), "legacy.networks", "empty");
    check("/sites/0/rules/1/require/claims", json!([]), "sites[0].rules[1].require.claims", "empty");
    check(
        "/sites/0/rules/1/require/client_roles",
        json!({}),
        "sites[0].rules[1].require.client_roles",
        "empty",
    );
    check("/identity/headers/x-porta-user/claim", json!([]), "identity.headers.x-porta-user.claim", "empty");
    check(
        "/identity/headers/x-porta-user/claim",
        json!(["a", ""]),
        "identity.headers.x-porta-user.claim[1]",
        "empty",
    );
}
