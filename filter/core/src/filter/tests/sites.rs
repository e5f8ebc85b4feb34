//! `sites`: hosts, rules, requirements.

use crate::testing::test;
use serde_json::{Value, json};

use super::{check, check_good};
use crate::authority::Host;
use crate::path::NormalPath;

const REQUIRE: &str = "/sites/0/rules/1/require";

#[test]
fn a_site_names_a_realm_that_there_is() {
    for name in ["nobody", "Customers", "customers "] {
        check("/sites/0/realm", json!(name), "sites[0].realm", &format!("`{name}`"));
    }
}

#[test]
fn hosts_are_names_without_anything_around() {
    for host in [
        "",
        "https://selfcare.csp.com",
        "selfcare.csp.com/",
        "selfcare.csp.com/path",
        "user@selfcare.csp.com",
        "a b",
        "a,b",
        ".csp.com",
        "a..b",
        "csp.com:x",
        "b\u{fc}cher.de",
        "*.",
        "a:99999",
    ] {
        check("/sites/0/hosts/1", json!(host), "sites[0].hosts[1]", "is no host");
    }
    for host in ["*", "a.*.com", "*a.com", "a*.com", "*.*.com", "**.com", "www.*"] {
        check("/sites/0/hosts/1", json!(host), "sites[0].hosts[1]", "whole first label");
    }
    for host in ["B.example.:8443", "[::1]:80", "127.0.0.1", "_a-b.c"] {
        check_good("/sites/0/hosts/1", json!(host));
    }
}

#[test]
fn a_host_belongs_to_one_site() {
    for host in ["selfcare.csp.com", "SelfCare.CSP.com", "selfcare.csp.com.", "selfcare.csp.com:8443"] {
        let problem = format!("`{host}` is there twice");
        check("/sites/0/hosts/2", json!(host), "sites[0].hosts[2]", &problem);
        check("/sites/1/hosts/1", json!(host), "sites[1].hosts[1]", &problem);
    }
    check("/sites/1/hosts/1", json!("*.PBX.csp.com:1"), "sites[1].hosts[1]", "is there twice");
    // An exact name beats the wildcard, so both may stand.
    check_good("/sites/1/hosts/1", json!("one.pbx.csp.com"));
    check_good("/sites/1/hosts/1", json!("pbx.csp.com"));
}

#[test]
fn rules_have_names_of_their_own() {
    check("/sites/0/rules/1/name", json!("assets"), "sites[0].rules[1].name", "`assets` is there twice");
    check("/sites/0/rules/1/name", json!("a\nb"), "sites[0].rules[1].name", "control character");
    // Another site may use the same name.
    check_good("/sites/1/rules/0/name", json!("assets"));
}

#[test]
fn a_rule_has_either_access_or_require() {
    check("/sites/0/rules/0/access", Value::Null, "sites[0].rules[0].access", "needs access or require");
    check("/sites/0/rules/1/access", json!("public"), "sites[0].rules[1].access", "contradict");
    check("/sites/0/rules/1/access", json!("legacy"), "sites[0].rules[1].access", "contradict");
    check(REQUIRE, json!({}), "sites[0].rules[1].require", "is empty");
}

#[test]
fn a_path_is_one_of_three_and_in_normal_form() {
    let two = [json!({ "exact": "/a", "prefix": "/a" }), json!({ "prefix": "/a", "template": "/a" })];
    let three = json!({ "exact": "/a", "prefix": "/a", "template": "/a" });
    for paths in two.into_iter().chain([three]) {
        check("/sites/0/rules/0/path", paths, "sites[0].rules[0].path", "only one");
    }
    for kind in ["exact", "prefix", "template"] {
        let field = format!("sites[0].rules[0].path.{kind}");
        for path in [
            "",
            "rest",
            "/a//b",
            "/a/../b",
            "/a/./b",
            "/a/..",
            "/a\\b",
            "/a;b",
            "/a?b",
            "/a#b",
            "/a%2fb",
            "/a%252f",
            "/a%",
            "/a%zz",
            "/a\u{0}b",
            "/b\u{fc}cher",
        ] {
            check("/sites/0/rules/0/path", json!({ kind: path }), &field, "normal form");
        }
        check("/sites/0/rules/0/path", json!({ kind: "/%61" }), &field, "write `/a`");
        check("/sites/0/rules/0/path", json!({ kind: "/a".repeat(1025) }), &field, "longer than");
    }
    for template in ["/a{b}", "/{}", "/{a-b}", "/{a", "/a}"] {
        let path = "sites[0].rules[0].path.template";
        check("/sites/0/rules/0/path", json!({ "template": template }), path, "`");
    }
}

#[test]
fn methods_are_tokens_in_capitals() {
    for (method, word) in [
        ("get", "case-sensitive"),
        ("Get", "case-sensitive"),
        ("GE T", "no method"),
        ("G\u{c9}T", "no method"),
    ] {
        check("/sites/0/rules/0/methods/1", json!(method), "sites[0].rules[0].methods[1]", word);
    }
    // GET includes HEAD; nothing includes anything else.
    let filter = check_good("/sites/0/rules/0/methods", json!(["GET", "PROPFIND"]));
    let site = filter.sites().select(&Host::parse(b"selfcare.csp.com").unwrap()).unwrap();
    let path = NormalPath::parse(b"/assets/x").unwrap();
    for (method, takes) in
        [("GET", true), ("HEAD", true), ("PROPFIND", true), ("POST", false), ("OPTIONS", false)]
    {
        assert_eq!(site.rules.select(method, &path).is_some(), takes, "{method}");
    }
}

#[test]
fn a_rule_that_an_earlier_one_hides_is_refused() {
    // `/rest` before `/rest/Sim` takes all of its requests.
    let hiding = json!({ "name": "first", "path": { "prefix": "/rest" }, "access": "public" });
    check("/sites/0/rules/1", hiding, "sites[0].rules[2]", "`sensitive` can never match: `first`");
    let same = json!({ "name": "again", "path": { "prefix": "/rest" }, "access": "public" });
    check("/sites/0/rules/4", same, "sites[0].rules[4]", "`again` can never match: `rest`");
    // Another method makes it reachable.
    let other = json!({ "name": "again", "methods": ["PROPFIND"], "path": { "prefix": "/rest" }, "access": "public" });
    check_good("/sites/0/rules/4", other);
}

#[test]
fn conditions_on_names_ask_for_something_that_can_be() {
    for (field, pointer) in [
        ("realm_roles", "realm_roles"),
        ("groups", "groups"),
        ("scopes", "scopes"),
        ("amr", "amr"),
        ("client_roles.a", "client_roles/a"),
    ] {
        let place = format!("sites[0].rules[1].require.{field}");
        let pointer = format!("{REQUIRE}/{pointer}");
        check(&pointer, json!({}), &place, "needs any, all or none");
        for other in ["any", "all"] {
            let both = json!({ other: ["x", "y"], "none": ["z", "y"] });
            check(&pointer, both, &format!("{place}.none"), "`y` is asked for and excluded");
        }
        check_good(&pointer, json!({ "any": ["x"], "all": ["x", "y"], "none": ["z"] }));
    }
    check(
        &format!("{REQUIRE}/client_roles/"),
        json!({ "any": ["x"] }),
        "sites[0].rules[1].require.client_roles.",
        "empty",
    );
}

#[test]
fn a_challenge_can_repeat_what_it_asks_for() {
    for word in ["a b", "a\"b", "a\\b", "\u{fc}", "a\nb", "\u{7f}"] {
        let path = "sites[0].rules[1].require.acr[1]";
        check(&format!("{REQUIRE}/acr"), json!(["gold", word]), path, "no challenge can");
        for list in ["any", "all"] {
            let path = format!("sites[0].rules[1].require.scopes.{list}[0]");
            check(&format!("{REQUIRE}/scopes"), json!({ list: [word] }), &path, "no challenge can");
        }
    }
    check(&format!("{REQUIRE}/acr"), json!(["1", "0"]), "sites[0].rules[1].require.acr", "`0`");
    check_good(&format!("{REQUIRE}/acr"), json!(["urn:mace:incommon:iap:silver", "2"]));
}

#[test]
fn a_claim_is_compared_with_a_scalar() {
    let place = "sites[0].rules[1].require.claims[0]";
    let claims = format!("{REQUIRE}/claims");
    for equals in [json!([]), json!({}), json!(["a"])] {
        check(
            &claims,
            json!([{ "path": ["a"], "equals": equals }]),
            &format!("{place}.equals"),
            "string, a number",
        );
    }
    check(&claims, json!([{ "path": ["a"] }]), &format!("{place}.equals"), "string, a number");
    check(&claims, json!([{ "equals": 1 }]), &format!("{place}.path"), "required");
    check(&claims, json!([{ "path": [], "equals": 1 }]), &format!("{place}.path"), "required");
    check(&claims, json!([{ "path": ["a", ""], "equals": 1 }]), &format!("{place}.path[1]"), "required");
    let twice = json!([{ "path": ["a"], "equals": 1 }, { "path": ["a"], "equals": 2 }]);
    check(&claims, twice, "sites[0].rules[1].require.claims[1].path", "has a condition already");
}
