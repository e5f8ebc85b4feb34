#![allow(clippy::needless_pass_by_value, reason = "tables of literals read better without ampersands")]

use super::*;
use crate::testing::test;
use crate::testing::{compile, two_realms_json};

/// The realm of the site that a host selects.
#[track_caller]
fn check(authority: &str, expect: Option<&str>) {
    let mut document = two_realms_json();
    // `one.pbx` is the admins' by its exact name, though the customers have the wildcard.
    document["sites"][1]["hosts"] =
        serde_json::json!(["admin.csp.com", "one.pbx.csp.com", "[::1]", "*.local"]);
    let filter = compile(&document);
    let host = Host::parse(authority.as_bytes()).unwrap_or_else(|| panic!("{authority} is no host"));
    let site = filter.sites().select(&host);
    assert_eq!(site.map(|site| &*site.realm.name), expect, "{authority}");
}

#[test]
fn one_host_in_any_form_selects_one_site() {
    for host in [
        "selfcare.csp.com",
        "SELFCARE.csp.com",
        "selfcare.csp.com:443",
        "selfcare.csp.com.",
        "SelfCare.CSP.com.:8443",
    ] {
        check(host, Some("customers"));
    }
    for host in ["admin.csp.com", "ADMIN.CSP.COM:10000"] {
        check(host, Some("admins"));
    }
    check("[::1]:8443", Some("admins"));
    check("[0:0::1]", Some("admins"));
}

#[test]
fn a_wildcard_is_one_label() {
    for host in ["a.pbx.csp.com", "A.PBX.csp.com:443", "x--y_z.pbx.csp.com."] {
        check(host, Some("customers"));
    }
    for host in
        ["pbx.csp.com", "a.b.pbx.csp.com", "apbx.csp.com", "a.pbx.csp.com.evil.example", "a.pbx.csp.comx"]
    {
        check(host, None);
    }
    check("x.local", Some("admins"));
    check("local", None);
}

#[test]
fn an_exact_name_beats_a_wildcard() {
    check("one.pbx.csp.com", Some("admins"));
    check("two.pbx.csp.com", Some("customers"));
}

#[test]
fn a_host_that_only_looks_like_ours_selects_nothing() {
    for host in [
        "csp.com",
        "admincsp.com",
        "adminxcsp.com",
        "evil-admin.csp.com",
        "evil.admin.csp.com",
        "x.admin.csp.com.evil.example",
        "admin.csp.com.evil.example",
        "admin.csp.co",
        "admin.csp.comm",
        "127.0.0.1",
        "[::2]",
        "com",
    ] {
        check(host, None);
    }
}

#[track_caller]
fn check_pattern(text: &str, expect: Option<HostPattern>) {
    assert_eq!(HostPattern::parse(text).ok(), expect, "{text}");
}

#[test]
fn patterns_are_read_in_canonical_form() {
    let exact = |host: &str| Some(HostPattern::Exact(host.to_owned()));
    let wildcard = |host: &str| Some(HostPattern::Wildcard(host.to_owned()));
    check_pattern("A.Example.", exact("a.example"));
    check_pattern("a.example:8443", exact("a.example"));
    check_pattern("*.A.example.:443", wildcard("a.example"));
    check_pattern("*.example", wildcard("example"));
    for text in
        ["", "*", "*.", "a.*", "*a.b", "**.b", "*.*.b", "a b", "http://a", "a/b", "*.a/b", "u@a", "a,b"]
    {
        check_pattern(text, None);
    }
}
