#![allow(clippy::needless_pass_by_value, reason = "tables of literals read better without ampersands")]

use crate::testing::test;
use serde_json::json;

use super::*;
use crate::filter::Filter;
use crate::jose::alg::Algorithm;
use crate::request::{self, Header};
use crate::testing::{Holder, Minter, claims, compile, encode, two_realms_json};

fn filter(legacy: &serde_json::Value) -> Filter {
    let mut document = two_realms_json();
    document["legacy"] = legacy.clone();
    compile(&document)
}

fn judge(
    filter: &Filter,
    authority: &str,
    path: &str,
    bearer: Option<&str>,
    source: Option<&str>,
) -> Result<(), Denial> {
    let mut headers: Vec<Header> = [
        (":authority", authority),
        (":method", "POST"),
        (":path", path),
        ("content-type", "application/json"),
    ]
    .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
    .to_vec();
    if let Some(token) = bearer {
        headers.push(("authorization".to_owned(), format!("Bearer {token}").into_bytes()));
    }
    let request = Request::parse(&headers, request::host(&headers), 65_536).unwrap();
    filter.legacy().admit(&request, &headers, source.map(|source| source.parse().unwrap())).map(drop)
}

/// Asks with this `Authorization`.
fn judge_value(filter: &Filter, value: &str) -> Result<(), Denial> {
    let headers: Vec<Header> = [
        (":authority", "selfcare.csp.com"),
        (":method", "POST"),
        (":path", "/rest/Customer/get"),
        ("authorization", value),
    ]
    .map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()))
    .to_vec();
    let request = Request::parse(&headers, request::host(&headers), 65_536).unwrap();
    filter.legacy().admit(&request, &headers, None).map(drop)
}

/// Asks for a path on a host that admits somebody, and on one that admits nobody.
#[track_caller]
fn check_login(path: &str, is_login: bool) {
    let filter = filter(&json!({ "logins": { "Selfcare.csp.com.:443": ["ZZZPortaOne"] } }));
    assert_eq!(judge(&filter, "selfcare.csp.com", path, None, None), Ok(()), "{path}");
    let expect = if is_login { Err(Denial::LegacyLogin) } else { Ok(()) };
    assert_eq!(judge(&filter, "admin.csp.com", path, None, None), expect, "{path}");
}

#[track_caller]
fn check_token(token: &str, expect: Result<(), Denial>) {
    let filter = filter(&json!({}));
    assert_eq!(
        judge(&filter, "selfcare.csp.com", "/rest/Customer/get", Some(token), None),
        expect,
        "{token:.80}"
    );
}

#[test]
fn methods_that_take_credentials_need_a_host_that_admits_somebody() {
    for path in [
        "/rest/Session/login",
        "/rest/Session/login?user=bob",
        "/rest/session/LOGIN",
        "/rest/SESSION/login",
        "/rest/%53ession/login",
        "/soap/session/login",
        "/soap/Session",
        "/rest/Session",
        "/rest/Session/",
        "/rest/Session/refresh_access_token",
        "/rest/Session/change_password",
        "/rest/Session/whatever_comes",
        "/rest/Session/login/",
        "/rest/Session%20/login",
        "/rest/Session./ping%20",
        "/rest/Session/ping/",
        "/rest/Session/Ping",
        "/rest/Session/ping%20",
        "/rest/Session/pings",
        "/Session/login",
        "/api/v1/rest/Session/login",
    ] {
        check_login(path, true);
    }
    for path in [
        "/rest/Session/ping",
        "/rest/Session/logout",
        "/rest/Session/%70ing?x",
        "/api/v1/rest/Session/ping",
        "/rest/Customer/get_list",
        "/rest/Sessions/login",
        "/rest",
        "/",
    ] {
        check_login(path, false);
    }
}

#[test]
fn a_keycloak_token_has_no_business_there() {
    for alg in Algorithm::ALL {
        check_token(&Minter::new(Holder::Other, alg, "k").token(), Err(Denial::TokenOnLegacyRoute));
    }
    // Whatever its header says, the payload names an issuer.
    let minter = Minter::customers();
    for header in [
        json!({ "alg": "HS256" }),
        json!({ "alg": "none" }),
        json!({}),
        json!({ "alg": "RS256", "crit": [] }),
    ] {
        check_token(&minter.mint(&header, &claims()), Err(Denial::TokenOnLegacyRoute));
    }
    // Wherever the token stands in the field.
    let token = minter.token();
    for field in
        [format!("{token}, x"), format!("x {token}"), format!("\"{token}\""), format!("x,y=\"{token}\";z")]
    {
        check_token(&field, Err(Denial::TokenOnLegacyRoute));
    }
    let query = format!("/rest/Customer/get?access_token={token}");
    let judged = judge(&filter(&json!({})), "selfcare.csp.com", &query, None, None);
    assert_eq!(judged, Err(Denial::TokenOnLegacyRoute));
}

#[test]
fn a_keycloak_token_is_found_under_any_scheme() {
    let filter = filter(&json!({}));
    let token = Minter::customers().token();
    for value in [
        token.clone(),
        format!("DPoP {token}"),
        format!("bearer\t{token}"),
        format!("Bearer  {token}"),
        format!("Basic dTpw, Bearer {token}"),
        format!("Digest token=\"{token}\""),
    ] {
        assert_eq!(judge_value(&filter, &value), Err(Denial::TokenOnLegacyRoute), "{value:.30}");
    }
    for value in ["", " ", "Bearer f4b3", "bearer a.b.c"] {
        assert_eq!(judge_value(&filter, value), Ok(()), "{value}");
    }
    let others = [
        "Basic dTpw",
        "Negotiate YII=",
        "Digest a=\"b\", c=\"d\"",
        "Bearer",
        "Bearer ",
        "Bearer  a",
        "Bearer a b",
        "a",
    ];
    for value in others {
        assert_eq!(judge_value(&filter, value), Err(Denial::MalformedCredential), "{value}");
    }
}

#[test]
fn a_wildcard_admits_one_label() {
    let filter =
        filter(&json!({ "logins": { "*.csp.com": ["x"], "pbx.example": ["y"], "a.csp.com": ["z"] } }));
    let judge = |host| judge(&filter, host, "/rest/Session/login", None, None);
    for host in ["selfcare.csp.com", "Admin.CSP.com:443", "pbx.example"] {
        assert_eq!(judge(host), Ok(()), "{host}");
    }
    for host in ["csp.com", "a.b.csp.com", "acsp.com", "a.pbx.example"] {
        assert_eq!(judge(host), Err(Denial::LegacyLogin), "{host}");
    }
}

#[test]
fn the_list_of_the_closer_pattern_counts() {
    let filter = filter(&json!({ "logins": { "*.csp.com": ["x"], "a.csp.com": ["z"] } }));
    let of = |host: &str| {
        filter.legacy().logins(&crate::authority::Host::parse(host.as_bytes()).unwrap()).to_vec()
    };
    assert_eq!(
        (of("b.csp.com"), of("a.csp.com"), of("csp.com")),
        (vec!["x".to_owned()], vec!["z".to_owned()], vec![])
    );
}

#[test]
fn portabillings_own_credentials_go_on() {
    for token in ["f4b3c2d1e0", "abc.def", "abc.def.ghi", "a.b.c.d", "...", "e30.e30.e30"] {
        check_token(token, Ok(()));
    }
    // Its own JWT names neither key nor issuer.
    let own = Minter::customers()
        .mint(&json!({ "alg": "HS256", "typ": "JWT" }), &json!({ "sub": "bob", "exp": 1 }));
    check_token(&own, Ok(()));
    let deep = encode("[".repeat(5_000).as_bytes());
    check_token(&format!("{deep}.{deep}.{deep}"), Ok(()));
}

#[test]
fn two_credentials_are_refused_there_too() {
    let filter = filter(&json!({}));
    let judge = |bearer: &str| judge(&filter, "selfcare.csp.com", "/rest/Customer/get", Some(bearer), None);
    assert_eq!(judge("a, Bearer b"), Err(Denial::AmbiguousCredential));
    assert_eq!(judge("a,bearer b,c"), Err(Denial::AmbiguousCredential));
    assert_eq!(judge("a, b"), Err(Denial::MalformedCredential));
}

#[test]
fn networks_bound_where_requests_come_from() {
    let inside = filter(&json!({ "networks": ["203.0.113.0/24", "2001:db8::/32", "198.51.100.7/32"] }));
    let judge = |source| judge(&inside, "selfcare.csp.com", "/rest/Customer/get", None, source);
    for source in ["203.0.113.0", "203.0.113.255", "198.51.100.7", "2001:db8::1", "2001:db8:ffff::"] {
        assert_eq!(judge(Some(source)), Ok(()), "{source}");
    }
    for source in
        ["203.0.112.255", "203.0.114.0", "198.51.100.6", "198.51.100.8", "2001:db9::", "::1", "0.0.0.0"]
    {
        assert_eq!(judge(Some(source)), Err(Denial::LegacyNetwork), "{source}");
    }
    assert_eq!(judge(None), Err(Denial::LegacyNetwork), "an address that nobody knows");
}

#[test]
fn without_networks_requests_come_from_anywhere() {
    let filter = filter(&json!({}));
    for source in [None, Some("203.0.113.1"), Some("::1")] {
        assert_eq!(judge(&filter, "selfcare.csp.com", "/rest/Customer/get", None, source), Ok(()));
    }
}

#[test]
fn the_network_is_judged_before_the_credential_and_the_login_last() {
    let filter = filter(&json!({ "networks": ["203.0.113.0/24"] }));
    let token = Minter::customers().token();
    let login = "/rest/Session/login";
    let judge = |token, source| judge(&filter, "selfcare.csp.com", login, token, Some(source));
    assert_eq!(judge(Some(&token), "10.0.0.1"), Err(Denial::LegacyNetwork));
    assert_eq!(judge(Some(&token), "203.0.113.1"), Err(Denial::TokenOnLegacyRoute));
    assert_eq!(judge(None, "203.0.113.1"), Err(Denial::LegacyLogin));
}
