//! `identity`, `legacy` and `limits`.

use crate::testing::test;
use serde_json::{Value, json};

use super::{check, check_good};

#[test]
fn a_header_has_one_source() {
    let user = "/identity/headers/x-porta-user";
    let place = "identity.headers.x-porta-user";
    check(user, json!({}), place, "needs a source");
    check(user, json!({ "required": true }), place, "needs a source");
    let sources = [
        ("realm", json!(true)),
        ("claim", json!(["a"])),
        ("roles", json!({ "realm": true })),
        ("has_role", json!("a")),
    ];
    for (one, value) in &sources {
        check_good(user, json!({ *one: value }));
        for (other, second) in sources.iter().filter(|(other, _)| other != one) {
            check(user, json!({ *one: value, *other: second }), place, "only one source");
        }
    }
    check(user, json!({ "realm": false }), "identity.headers.x-porta-user.realm", "false");
    check(user, json!({ "realm": false, "claim": ["a"] }), place, "only one source");
}

#[test]
fn roles_are_of_the_realm_or_of_clients() {
    let user = "/identity/headers/x-porta-user";
    let place = "identity.headers.x-porta-user";
    check(user, json!({ "roles": {} }), &format!("{place}.roles"), "needs realm: true or clients");
    check(user, json!({ "roles": { "realm": false } }), &format!("{place}.roles"), "needs realm: true");
    check(user, json!({ "has_role": "" }), &format!("{place}.has_role"), "required");
    check(user, json!({ "has_role": { "role": "a" } }), &format!("{place}.has_role.client"), "required");
    check(user, json!({ "has_role": { "client": "a" } }), &format!("{place}.has_role.role"), "required");
    check(user, json!({ "has_role": {} }), &format!("{place}.has_role.client"), "required");
    check_good(user, json!({ "has_role": { "client": "a", "role": "b" } }));
}

#[test]
fn options_go_with_their_source() {
    let user = "/identity/headers/x-porta-user";
    let place = "identity.headers.x-porta-user";
    for source in [json!({ "realm": true }), json!({ "claim": ["a"] }), json!({ "has_role": "a" })] {
        let mut header = source.clone();
        header["rename"] = json!({ "a": "b" });
        check(user, header, &format!("{place}.rename"), "goes with roles only");
        if source.get("claim").is_none() {
            let mut header = source;
            header["separator"] = json!(",");
            check(user, header, &format!("{place}.separator"), "goes with roles and claim only");
        }
    }
    let roles = |rename: Value| json!({ "roles": { "realm": true }, "rename": rename });
    check(user, roles(json!({ "": "b" })), &format!("{place}.rename"), "required");
    check(user, roles(json!({ "a": "" })), &format!("{place}.rename.a"), "required");
    for separator in ["", "%", "a", "0", "\n", "\u{fc}", ", , ,", ",x"] {
        let header = json!({ "claim": ["a"], "separator": separator });
        check(user, header, &format!("{place}.separator"), "one to four ASCII");
    }
    for separator in [",", "; ", " ", "|", ", ; "] {
        check_good(user, json!({ "claim": ["a"], "separator": separator }));
    }
}

#[test]
fn header_names_are_tokens_that_nobody_else_needs() {
    for name in ["", "x porta", "x:porta", ":path", ":authority", "x-pört", "x-porta\n", "x-porta,"] {
        let word = if name.is_empty() { "required" } else { "no header name" };
        check(
            &format!("/identity/headers/{name}"),
            json!({ "realm": true }),
            &format!("identity.headers.{name}"),
            word,
        );
    }
    for name in [
        "host",
        "Host",
        "content-length",
        "content_length",
        "Transfer-Encoding",
        "transfer_encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "content-type",
        "forwarded",
        "x-forwarded-for",
        "X_Forwarded_Proto",
        "x-forwarded-host",
        "x-request-id",
        "x-envoy-original-path",
        "x_envoy_anything",
        "x-original-url",
        "X_HTTP_Method_Override",
        "sec-fetch-mode",
        "grpc-timeout",
        "Access_Control_Request_Method",
        "content-language",
        "if-match",
        "proxy-anything",
        "x-real-ip",
        "traceparent",
    ] {
        let problem = format!("`{name}` is needed by");
        check(
            &format!("/identity/headers/{name}"),
            json!({ "realm": true }),
            &format!("identity.headers.{name}"),
            &problem,
        );
    }
    for name in ["X-PORTA-USER", "x_porta_user", "X-Porta_User"] {
        let headers = format!("/identity/headers/{name}");
        let first = if name < "x-porta-user" { "x-porta-user" } else { name };
        check(&headers, json!({ "realm": true }), &format!("identity.headers.{first}"), "is there twice");
    }
}

#[test]
fn prefixes_that_would_take_what_http_needs_are_refused() {
    for prefix in [
        "a",
        "auth",
        "sec",
        "sec-fetch-",
        "proxy-x",
        "if-",
        "content-",
        "Content_",
        "cookie",
        "ho",
        "host",
        "t",
        "transfer-encoding",
        "c",
        "set-",
    ] {
        check("/identity/strip/1", json!(prefix), "identity.strip[1]", "would strip");
    }
    check("/identity/strip/1", json!("x-porta-*"), "identity.strip[1]", "without *");
    for prefix in [" x-", "x:", "\u{fc}", ":"] {
        check("/identity/strip/1", json!(prefix), "identity.strip[1]", "not how a header name begins");
    }
    for prefix in ["x-", "X_User", "portaone", "authorizations", "zz"] {
        check_good("/identity/strip/1", json!(prefix));
    }
}

#[test]
fn password_logins_are_by_host_and_networks_are_networks() {
    let logins = |host: &str| format!("/legacy/logins/{host}");
    for host in ["a b", "user@a", "a,b"] {
        check(&logins(host), json!(["x"]), &format!("legacy.logins.{host}"), "is no host");
    }
    check(&logins("*a.com"), json!(["x"]), "legacy.logins.*a.com", "whole first label");
    check_good(&logins("*.csp.com"), json!(["x"]));
    for (one, other) in [("A.com", "a.com"), ("*.A.com", "*.a.com")] {
        let twice = json!({ "logins": { one: ["x"], other: ["x"] } });
        check("/legacy", twice, &format!("legacy.logins.{other}"), "twice");
    }
    for network in ["203.0.113.0/33", "2001:db8::/129", "x", "", "10.0.0.0-10.0.0.9"] {
        check(
            "/legacy/networks",
            json!(["10.0.0.0/8", network]),
            "legacy.networks[1]",
            &format!("`{network}`"),
        );
    }
    let networks = json!(["10.0.0.0/8", "::1/128", "203.0.113.7", "::1"]);
    assert_eq!(check_good("/legacy/networks", networks).legacy().networks.as_ref().map(Vec::len), Some(4));
}

#[test]
fn what_legacy_rules_take_is_bounded() {
    for (pointer, value, path, word) in [
        ("/legacy/max_body_bytes", json!(0), "legacy.max_body_bytes", "between 1 and 1048576"),
        ("/legacy/max_body_bytes", json!(1_048_577), "legacy.max_body_bytes", "between 1 and 1048576"),
        ("/legacy/unseen_tokens", json!("pass"), "legacy.unseen_tokens", "`pass`"),
        ("/legacy/session_lifetime", json!("0s"), "legacy.session_lifetime", "1s"),
        ("/legacy/attempts/per_login", json!(0), "legacy.attempts.per_login", "between 1"),
        ("/legacy/attempts/per_login", json!(101), "legacy.attempts.per_source", "per_login, 101"),
        ("/legacy/attempts/per_source", json!(9), "legacy.attempts.per_source", "per_login, 10"),
        ("/legacy/attempts/window", json!("x"), "legacy.attempts.window", "duration"),
        ("/legacy/attempts/per_user", json!(1), "legacy.attempts.per_user", "unknown field"),
    ] {
        check(pointer, value, path, word);
    }
    check_good("/legacy/attempts", json!({"per_login": 1, "per_source": 1, "window": "1h"}));
    check_good("/legacy/unseen_tokens", json!("allow"));
}

#[test]
fn limits_are_bounded() {
    for (field, most) in [
        ("max_head_bytes", 1024 * 1024 - 1),
        ("max_token_bytes", 65_536),
        ("max_jwks_bytes", 16 * 1024 * 1024),
        ("waiting_requests", 100_000),
    ] {
        let (pointer, path) = (format!("/limits/{field}"), format!("limits.{field}"));
        check(&pointer, json!(0), &path, "0 is not between 1 and");
        check(&pointer, json!(most + 1), &path, "is not between 1 and");
        check_good(&pointer, json!(1));
        check_good(&pointer, json!(most));
    }
    // A token travels in the head, so its bound is no higher; the default gives way to a lower head.
    let filter = check_good("/limits/max_head_bytes", json!(8192));
    assert_eq!(filter.limits().max_token_bytes, 8192);
    let both = json!({ "max_head_bytes": 8192, "max_token_bytes": 8193 });
    check("/limits", both, "limits.max_token_bytes", "8193 is not between 1 and 8192");
    check("/identity/max_value_bytes", json!(0), "identity.max_value_bytes", "0 is not between 1 and 32768");
    check("/identity/max_value_bytes", json!(32_769), "identity.max_value_bytes", "not between");
    check_good("/identity/max_value_bytes", json!(32_768));
}
