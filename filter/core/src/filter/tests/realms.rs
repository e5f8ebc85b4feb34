//! `realms`.

use crate::testing::test;
use std::time::Duration;

use serde_json::json;

use super::{check, check_document, check_good, with};
use crate::jose::alg::Algorithm;
use crate::testing::{compile, realm, two_realms_json};

#[test]
fn an_issuer_is_a_url_and_nothing_more() {
    for issuer in [
        "sso.csp.com",
        "/realms/customers",
        "ftp://sso.csp.com/realms/customers",
        "https://",
        "https:///realms",
        "https://user@sso.csp.com/",
        "https://user:secret@sso.csp.com/",
        "https://sso.csp.com/?x",
        "https://sso.csp.com/#x",
        "https://sso.csp.com/ x",
        " https://sso.csp.com/",
        "https://sso.csp.com/\n",
        "https://sso.csp.com/\u{fc}",
        "https://ss\u{f6}.csp.com/",
        "https://sso..csp.com/",
        "https://sso.csp.com:99999/",
    ] {
        check("/realms/customers/issuer", json!(issuer), "realms.customers.issuer", "no issuer");
    }
    let filter = check_good("/realms/customers/issuer", json!("HTTPS://SSO.csp.com:8443/Realms/customers/"));
    let customers = realm(&filter, "customers");
    assert_eq!(customers.issuer, "HTTPS://SSO.csp.com:8443/Realms/customers/");
    assert_eq!(customers.authority, "SSO.csp.com:8443");
    assert_eq!(customers.discovery_path, "/Realms/customers/.well-known/openid-configuration");
}

#[test]
fn realms_have_plain_names_and_reachable_endpoints() {
    for name in ["", "a b", "a:b", "a\"b", "custom\u{e9}rs", &"r".repeat(65)] {
        check(&format!("/realms/{name}"), json!({}), &format!("realms.{name}"), "no realm name");
    }
    check("/realms/customers/authority", json!("a/b"), "realms.customers.authority", "`a/b` is no host");
    check("/realms/customers/authority", json!(""), "realms.customers.authority", "no host");
    for field in ["discovery_path", "jwks_path"] {
        for path in ["", "keys", "https://x/keys", "/a b", "/a#b", "/\u{fc}"] {
            let pointer = format!("/realms/customers/{field}");
            check(&pointer, json!(path), &format!("realms.customers.{field}"), "no path");
        }
    }
    let mut both = with("/realms/customers/jwks_path", json!("/keys?format=jwk"));
    compile(&both);
    both["realms"]["customers"]["discovery_path"] = json!("/d");
    check_document(both.to_string().as_bytes(), "realms.customers.discovery_path", "contradicts jwks_path");
    let keys = "realms.customers.keys.bootstrap";
    check("/realms/customers/keys/bootstrap", json!({ "keys": [] }), keys, "no usable key");
    check("/realms/customers/keys/bootstrap", json!("x"), keys, "no JWK Set");
}

#[test]
fn account_alone_is_no_audience() {
    check("/realms/customers/audiences", json!(["account"]), "realms.customers.audiences", "`account` alone");
    check_good("/realms/customers/audiences", json!(["account", "portaswitch"]));
}

#[test]
fn algorithms_are_asymmetric_and_known() {
    for name in ["none", "None", "HS256", "HS512", "rs256", "ES512", "RSA-OAEP", "RS256 "] {
        let problem = format!("`{name}` is not supported");
        check(
            "/realms/customers/algorithms",
            json!(["RS256", name]),
            "realms.customers.algorithms[1]",
            &problem,
        );
    }
    let all = Algorithm::ALL.map(Algorithm::name);
    assert_eq!(
        realm(&check_good("/realms/customers/algorithms", json!(all)), "customers").algorithms,
        Algorithm::ALL
    );
}

#[test]
fn durations_run_from_one_second_to_ten_years() {
    for (text, seconds) in [
        ("1s", 1),
        ("1s 500ms", 1),
        ("1m 1s", 61),
        ("24h", 86_400),
        ("10y", 315_576_000),
        ("87660h", 315_576_000),
        ("3653days", 315_619_200),
    ] {
        let filter = check_good("/realms/customers/keys/refetch_cooldown", json!(text));
        assert_eq!(realm(&filter, "customers").refetch_cooldown.as_secs(), seconds, "{text}");
    }
    for text in ["0s", "999ms", "0h 0m", "11y", "87841h", "1000000000000y"] {
        check(
            "/realms/customers/clock_skew",
            json!(text),
            "realms.customers.clock_skew",
            &format!("`{text}`"),
        );
    }
    for text in ["", "5", "m", "-1s", "5 parsecs", "1s;", "infinity"] {
        check("/realms/customers/clock_skew", json!(text), "realms.customers.clock_skew", "no duration");
    }
    for (pointer, path) in [
        ("/realms/customers/max_token_lifetime", "realms.customers.max_token_lifetime"),
        ("/realms/customers/keys/refresh_interval", "realms.customers.keys.refresh_interval"),
        ("/realms/customers/keys/max_stale", "realms.customers.keys.max_stale"),
        ("/realms/customers/keys/refetch_cooldown", "realms.customers.keys.refetch_cooldown"),
        ("/realms/customers/keys/fetch_timeout", "realms.customers.keys.fetch_timeout"),
        ("/sites/0/rules/2/require/max_age", "sites[0].rules[2].require.max_age"),
        ("/limits/wait_timeout", "limits.wait_timeout"),
    ] {
        check(pointer, json!("0s"), path, "between 1s and 10 years");
    }
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    let lifetime = "/realms/customers/max_token_lifetime";
    check(lifetime, json!("29s"), "realms.customers.max_token_lifetime", "shorter than clock_skew");
    let filter = check_good(lifetime, json!("30s"));
    assert_eq!(realm(&filter, "customers").max_token_lifetime, Duration::from_secs(30));
    let stale = "/realms/customers/keys/max_stale";
    check(stale, json!("4m 59s"), "realms.customers.keys.max_stale", "shorter than refresh_interval");
    check_good(stale, json!("5m"));
    check("/realms/customers/clock_skew", json!("2h"), "realms.customers.max_token_lifetime", "clock_skew");
    check(
        "/realms/customers/keys/refresh_interval",
        json!("25h"),
        "realms.customers.keys.max_stale",
        "refresh",
    );
}

#[test]
fn a_default_gives_way_to_what_is_written() {
    let admins = |field: &str, value: &str| {
        let mut document = two_realms_json();
        document["realms"]["admins"]["keys"] = json!({});
        let place = if field == "clock_skew" { "/realms/admins" } else { "/realms/admins/keys" };
        document.pointer_mut(place).unwrap()[field] = json!(value);
        let realm = realm(&compile(&document), "admins");
        [realm.max_token_lifetime, realm.refresh_interval, realm.max_stale].map(|span| span.as_secs())
    };
    assert_eq!(admins("clock_skew", "48h"), [172_800, 300, 86_400]);
    assert_eq!(admins("max_stale", "1m"), [86_400, 60, 60]);
    assert_eq!(admins("refresh_interval", "48h"), [86_400, 172_800, 172_800]);
}
