use crate::testing::test;
use serde_json::{Value, json};

use super::*;
use crate::testing::{ADMINS, CUSTOMERS, NOW, admin_claims, claims, realm, two_realms};

const N: u64 = NOW.0;
/// Of the customers' realm.
const SKEW: u64 = 30;
const MAX_LIFETIME: u64 = 3600;

fn accept(realm_name: &str, claims: Value) -> Result<AccessToken, TokenError> {
    AccessToken::accept(Claims::of(claims), &realm(&two_realms(), realm_name), NOW)
}

/// Judges a good customer's token in which one claim has another value.
#[track_caller]
fn check(name: &str, value: impl Into<Value>, expect: Result<(), TokenError>) {
    let value = value.into();
    let mut claims = claims();
    claims[name] = value.clone();
    assert_eq!(accept("customers", claims).map(|_| ()), expect, "{name} = {value}");
}

#[track_caller]
fn check_without(name: &str, expect: Result<(), TokenError>) {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    assert_eq!(accept("customers", claims).map(|_| ()), expect, "without {name}");
}

#[track_caller]
fn check_times(iat: u64, exp: u64, expect: Result<(), TokenError>) {
    let mut claims = claims();
    claims["iat"] = json!(iat);
    claims["exp"] = json!(exp);
    assert_eq!(accept("customers", claims).map(|_| ()), expect, "iat {iat} exp {exp}");
}

/// What no time is: strings, fractions, exponents, negative numbers, numbers beyond 64 bits.
fn no_times() -> Vec<Value> {
    let texts = [
        "null",
        "true",
        "\"1794315500\"",
        "-1",
        "1794315500.0",
        "1794315500.5",
        "1.7943155e9",
        "1e308",
        "-0",
    ];
    let more = ["18446744073709551616", "100000000000000000000", "[]", "{}", "[1794315500]"];
    texts.into_iter().chain(more).map(|text| serde_json::from_str(text).unwrap()).collect()
}

#[test]
fn tokens_of_both_realms_are_accepted_at_home() {
    assert!(accept("customers", claims()).is_ok());
    assert!(accept("admins", admin_claims()).is_ok());
    assert_eq!(accept("admins", claims()).err(), Some(TokenError::Issuer));
    assert_eq!(accept("customers", admin_claims()).err(), Some(TokenError::Issuer));
}

#[test]
fn only_bearer_tokens_are_access_tokens() {
    for typ in [
        json!("ID"),
        json!("Refresh"),
        json!("Offline"),
        json!("Logout"),
        json!("DPoP"),
        json!("Serialized-ID"),
        json!("JWT"),
        json!("bearer"),
        json!("Bearer "),
        json!(""),
        json!(1),
        json!(null),
        json!(["Bearer"]),
    ] {
        check("typ", typ, Err(TokenError::PayloadType));
    }
    check_without("typ", Err(TokenError::PayloadType));
}

#[test]
fn a_token_that_is_bound_to_a_key_is_refused() {
    for cnf in [json!({ "jkt": "x" }), json!({ "x5t#S256": "x" }), json!({}), json!(null), json!("")] {
        check("cnf", cnf, Err(TokenError::Confirmation));
    }
}

#[test]
fn the_issuer_is_one_string_and_equal_in_every_byte() {
    for iss in [
        json!(format!("{CUSTOMERS}/")),
        json!(CUSTOMERS.replace("https", "http")),
        json!(CUSTOMERS.replace("sso", "SSO")),
        json!(CUSTOMERS.replace("customers", "Customers")),
        json!(CUSTOMERS.replace("customers", "customer")),
        json!(CUSTOMERS.replace("sso.csp.com", "sso.csp.com:443")),
        json!(CUSTOMERS.replace("/realms", "/x/../realms")),
        json!(CUSTOMERS.replace("customers", "c\u{443}stomers")),
        json!("https://evil.example/realms/customers"),
        json!(format!(" {CUSTOMERS}")),
        json!(format!("{CUSTOMERS}\u{0}")),
        json!(ADMINS),
        json!("https://sso.csp.com/realms/partners"),
        json!([CUSTOMERS]),
        json!([CUSTOMERS, "x"]),
        json!({ "0": CUSTOMERS }),
        json!(""),
        json!(1),
        json!(null),
    ] {
        check("iss", iss, Err(TokenError::Issuer));
    }
    check_without("iss", Err(TokenError::Issuer));
}

#[test]
fn the_audience_names_us() {
    for aud in [
        json!("portaswitch"),
        json!(["portaswitch"]),
        json!(["account", "portaswitch"]),
        json!(["portaswitch", "portaswitch"]),
    ] {
        check("aud", aud, Ok(()));
    }
    for aud in [
        json!([]),
        json!(""),
        json!("account"),
        json!(["account", "broker"]),
        json!("portaswitch-admin"),
        json!("portaswitc"),
        json!("Portaswitch"),
        json!("portaswitch "),
        json!("portaswitch account"),
        json!(1),
        json!(null),
        json!(["portaswitch", 1]),
        json!(["portaswitch", null]),
        json!([["portaswitch"]]),
        json!({ "portaswitch": true }),
    ] {
        check("aud", aud, Err(TokenError::Audience));
    }
    check_without("aud", Err(TokenError::Audience));
}

#[test]
fn the_client_is_one_of_those_that_are_allowed() {
    check("azp", "cloudpbx-ui", Ok(()));
    for azp in [
        json!("admin-ui"),
        json!("selfcare-u"),
        json!("Selfcare-ui"),
        json!("selfcare-ui "),
        json!(""),
        json!(["selfcare-ui"]),
        json!(1),
        json!(null),
    ] {
        check("azp", azp, Err(TokenError::Client));
    }
    check_without("azp", Err(TokenError::Client));
}

#[test]
fn a_realm_without_a_list_of_clients_takes_any_client_that_is_a_string() {
    let with = |azp: Value| {
        let mut claims = admin_claims();
        claims["azp"] = azp;
        accept("admins", claims).map(|_| ())
    };
    assert_eq!(with(json!("whoever")), Ok(()));
    assert_eq!(with(json!(["whoever"])), Err(TokenError::Client));
    assert_eq!(with(json!(null)), Err(TokenError::Client));
    let mut claims = admin_claims();
    claims.as_object_mut().unwrap().remove("azp");
    assert!(accept("admins", claims).is_ok());
}

#[test]
fn a_token_lives_until_its_expiry_and_the_skew() {
    check_times(N - 300, N + 1, Ok(()));
    check_times(N - 300, N, Ok(()));
    check_times(N - 300, N - SKEW + 1, Ok(()));
    check_times(N - 300, N - SKEW, Err(TokenError::Expired));
    check_times(N - 300, N - SKEW - 1, Err(TokenError::Expired));
    check("exp", 0, Err(TokenError::Expired));
    for exp in no_times() {
        check("exp", exp, Err(TokenError::NoExpiry));
    }
    check_without("exp", Err(TokenError::NoExpiry));
}

#[test]
fn a_token_serves_from_its_time_less_the_skew() {
    for nbf in [0, N, N + SKEW] {
        check("nbf", nbf, Ok(()));
    }
    check("nbf", N + SKEW + 1, Err(TokenError::NotYetValid));
    check("nbf", u64::MAX, Err(TokenError::NotYetValid));
    for nbf in no_times() {
        check("nbf", nbf, Err(TokenError::NotYetValid));
    }
    check_without("nbf", Ok(()));
}

#[test]
fn a_token_says_when_it_was_issued() {
    check_times(N + SKEW, N + 300, Ok(()));
    check_times(N + SKEW + 1, N + 300, Err(TokenError::IssuedAt));
    check_times(u64::MAX, N + 300, Err(TokenError::IssuedAt));
    for iat in no_times() {
        check("iat", iat, Err(TokenError::IssuedAt));
    }
    check_without("iat", Err(TokenError::IssuedAt));
}

#[test]
fn a_token_lives_no_longer_than_the_realm_allows() {
    check_times(N, N + MAX_LIFETIME, Ok(()));
    check_times(N, N + MAX_LIFETIME + 1, Err(TokenError::Lifetime));
    check_times(N - 1, N + MAX_LIFETIME, Err(TokenError::Lifetime));
    check_times(0, N, Err(TokenError::Lifetime));
    for exp in [N + 10 * 365 * 86_400, 1 << 53, 1 << 63, u64::MAX] {
        check_times(N, exp, Err(TokenError::Lifetime));
    }
    // It expires before it is issued, or at once: the skew alone decides for how long it serves.
    check_times(N, N - SKEW + 1, Ok(()));
    check_times(N, N, Ok(()));
    check_times(N + SKEW, N, Ok(()));
    check_times(N, N - SKEW, Err(TokenError::Expired));
}

#[test]
fn a_clock_at_its_end_does_not_overflow() {
    let realm = realm(&two_realms(), "customers");
    let mut claims = claims();
    claims["iat"] = json!(u64::MAX - 10);
    claims["exp"] = json!(u64::MAX);
    let judge = |now| AccessToken::accept(Claims::of(claims.clone()), &realm, UnixTime(now)).map(|_| ());
    assert_eq!(judge(u64::MAX - 5), Ok(()));
    assert_eq!(judge(u64::MAX), Err(TokenError::Expired));
    assert_eq!(judge(0), Err(TokenError::IssuedAt));
}

#[test]
fn a_subject_is_a_short_printable_string_or_absent() {
    for sub in [
        "b".repeat(MAX_SUBJECT_BYTES),
        "f:1:bob smith".to_owned(),
        "\u{fc}\u{20ac}\u{85}".to_owned(),
        " ".to_owned(),
    ] {
        check("sub", sub, Ok(()));
    }
    for sub in [
        json!(""),
        json!("b".repeat(MAX_SUBJECT_BYTES + 1)),
        json!("\u{fc}".repeat(128)),
        json!("a\nb"),
        json!("a\r\nx: y"),
        json!("a\u{0}"),
        json!("\u{7f}"),
        json!(1),
        json!(null),
        json!(["bob"]),
        json!({}),
    ] {
        check("sub", sub, Err(TokenError::Subject));
    }
    let mut lightweight = claims();
    lightweight.as_object_mut().unwrap().remove("sub");
    assert_eq!(accept("customers", lightweight).unwrap().subject(), None);
    assert_eq!(accept("customers", claims()).unwrap().subject(), claims()["sub"].as_str());
}

#[test]
fn the_first_claim_that_speaks_against_a_token_is_told() {
    let mut claims = json!({ "cnf": {}, "typ": "ID", "iss": "x", "aud": "x", "azp": "x", "sub": 1 });
    let good = crate::testing::claims();
    for (name, error) in [
        ("typ", TokenError::PayloadType),
        ("cnf", TokenError::Confirmation),
        ("iss", TokenError::Issuer),
        ("aud", TokenError::Audience),
        ("azp", TokenError::Client),
        ("exp", TokenError::NoExpiry),
        ("iat", TokenError::IssuedAt),
        ("sub", TokenError::Subject),
    ] {
        assert_eq!(accept("customers", claims.clone()).err(), Some(error));
        match good.get(name) {
            Some(value) => claims[name] = value.clone(),
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
    }
    assert!(accept("customers", claims).is_ok());
}
