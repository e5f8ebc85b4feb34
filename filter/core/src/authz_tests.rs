#![allow(clippy::needless_pass_by_value, reason = "tables of literals read better without ampersands")]

use crate::testing::test;
use serde_json::json;

use super::*;
use crate::authority::Host;
use crate::path::NormalPath;
use crate::rule::Access;
use crate::testing::{NOW, claims, compile, realm, two_realms_json};

const N: u64 = NOW.0;
const SKEW: u64 = 30;

/// Holds a customer's token in which some claims have other values against a `require` of the configuration.
fn judge(require: &Value, changes: Value) -> Result<(), Denial> {
    let mut document = two_realms_json();
    document["sites"][1]["rules"][0]["require"] = require.clone();
    let filter = compile(&document);
    let site = filter.sites().select(&Host::parse(b"admin.csp.com").unwrap()).unwrap();
    let rule = site.rules.select("GET", &NormalPath::parse(b"/").unwrap()).unwrap();
    let Access::Require(requirement) = &rule.access else { panic!("no requirement") };
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let realm = realm(&filter, "customers");
    let token = AccessToken::accept(Claims::of(claims), &realm, NOW).unwrap();
    authorize(&token, requirement, NOW, realm.clock_skew).map(|_| ())
}

#[track_caller]
fn check(require: &Value, changes: &Value, expect: Result<(), Denial>) {
    assert_eq!(judge(require, changes.clone()), expect, "{require} with {changes}");
}

/// A condition on realm roles against `realm_access.roles`.
#[track_caller]
fn check_roles(names: Value, roles: Value, holds: bool) {
    let expect = if holds { Ok(()) } else { Err(Denial::MissingRole) };
    check(&json!({ "realm_roles": names }), &json!({ "realm_access": { "roles": roles } }), expect);
}

#[test]
fn any_needs_one_all_needs_each_and_none_needs_not_one() {
    let any = || json!({ "any": ["a", "b"] });
    check_roles(any(), json!(["a"]), true);
    check_roles(any(), json!(["x", "b"]), true);
    check_roles(any(), json!(["a", "b"]), true);
    check_roles(any(), json!(["x"]), false);
    check_roles(any(), json!([]), false);
    let all = || json!({ "all": ["a", "b"] });
    check_roles(all(), json!(["b", "x", "a"]), true);
    check_roles(all(), json!(["a"]), false);
    check_roles(all(), json!([]), false);
    let none = || json!({ "none": ["a", "b"] });
    check_roles(none(), json!([]), true);
    check_roles(none(), json!(["x"]), true);
    check_roles(none(), json!(["x", "b"]), false);
    let each = || json!({ "any": ["a", "b"], "all": ["c"], "none": ["d"] });
    check_roles(each(), json!(["a", "c"]), true);
    check_roles(each(), json!(["a"]), false);
    check_roles(each(), json!(["c"]), false);
    check_roles(each(), json!(["a", "c", "d"]), false);
}

#[test]
fn roles_are_compared_byte_by_byte() {
    for role in [
        "Customer",
        "CUSTOMER",
        "customer ",
        " customer",
        "customer\u{0}",
        "customer,admin",
        "\u{441}ustomer",
        "custom\u{200b}er",
        "",
        "custome",
        "customers",
    ] {
        check_roles(json!({ "any": ["customer"] }), json!([role]), false);
    }
    // One letter in two normal forms.
    check_roles(json!({ "any": ["\u{e9}"] }), json!(["e\u{301}"]), false);
    check_roles(json!({ "any": ["\u{e9}"] }), json!(["\u{e9}"]), true);
}

#[test]
fn roles_of_a_wrong_type_fulfil_nothing_not_even_none() {
    let wrong = [
        json!("customer"),
        json!("customer admin"),
        json!(1),
        json!(null),
        json!(true),
        json!({ "customer": true }),
        json!([["customer"]]),
        json!(["customer", 1]),
        json!(["customer", null]),
    ];
    for roles in wrong {
        for names in
            [json!({ "any": ["customer"] }), json!({ "all": ["customer"] }), json!({ "none": ["suspended"] })]
        {
            check_roles(names, roles.clone(), false);
        }
    }
    for access in [json!(null), json!([]), json!("customer"), json!(["customer"]), json!(1)] {
        for names in [json!({ "any": ["customer"] }), json!({ "none": ["suspended"] })] {
            let changes = json!({ "realm_access": access });
            check(&json!({ "realm_roles": names }), &changes, Err(Denial::MissingRole));
        }
    }
}

#[test]
fn a_token_without_roles_has_none() {
    let empty = json!({ "realm_access": {}, "resource_access": {} });
    check(&json!({ "realm_roles": { "none": ["suspended"] } }), &empty, Ok(()));
    check(&json!({ "realm_roles": { "any": ["customer"] } }), &empty, Err(Denial::MissingRole));
    check(&json!({ "client_roles": { "portaswitch": { "none": ["x"] } } }), &empty, Ok(()));
    check(&json!({ "client_roles": { "portaswitch": { "all": ["x"] } } }), &empty, Err(Denial::MissingRole));
}

#[test]
fn ten_thousand_roles_are_searched() {
    let mut roles: Vec<String> = (0..10_000).map(|number| format!("role-{number}")).collect();
    check_roles(json!({ "any": ["customer"] }), json!(roles), false);
    roles.push("customer".to_owned());
    check_roles(json!({ "any": ["customer"], "none": ["suspended"] }), json!(roles), true);
}

#[test]
fn client_roles_and_realm_roles_are_different_things() {
    let realm = json!({ "realm_roles": { "any": ["billing"] } });
    let client = json!({ "client_roles": { "portaswitch": { "any": ["customer"] } } });
    // The default token is a customer in the realm, and has billing at portaswitch.
    check(&realm, &json!({}), Err(Denial::MissingRole));
    check(&client, &json!({}), Err(Denial::MissingRole));
    check(&json!({ "client_roles": { "portaswitch": { "any": ["billing"] } } }), &json!({}), Ok(()));
    check(
        &json!({ "client_roles": { "other": { "any": ["billing"] } } }),
        &json!({}),
        Err(Denial::MissingRole),
    );
    check(&realm, &json!({ "realm_access": { "roles": ["portaswitch:billing"] } }), Err(Denial::MissingRole));
}

#[test]
fn client_roles_are_found_by_the_whole_client_id() {
    let access =
        json!({ "resource_access": { "a.b": { "roles": ["x"] }, "a": { "b": { "roles": ["y"] } } } });
    check(&json!({ "client_roles": { "a.b": { "all": ["x"] } } }), &access, Ok(()));
    check(&json!({ "client_roles": { "a.b": { "all": ["y"] } } }), &access, Err(Denial::MissingRole));
    check(&json!({ "client_roles": { "a.b": { "all": ["x"] }, "c": { "none": ["x"] } } }), &access, Ok(()));
    check(
        &json!({ "client_roles": { "a.b": { "all": ["x"] }, "c": { "any": ["x"] } } }),
        &access,
        Err(Denial::MissingRole),
    );
    for wrong in
        [json!(null), json!([]), json!("x"), json!(["x"]), json!({ "roles": "x" }), json!({ "roles": [1] })]
    {
        let changes = json!({ "resource_access": { "c": wrong } });
        for names in [json!({ "any": ["x"] }), json!({ "none": ["y"] })] {
            check(&json!({ "client_roles": { "c": names } }), &changes, Err(Denial::MissingRole));
        }
    }
    for wrong in [json!(null), json!([]), json!("x")] {
        let changes = json!({ "resource_access": wrong });
        check(&json!({ "client_roles": { "c": { "none": ["y"] } } }), &changes, Err(Denial::MissingRole));
    }
}

#[test]
fn groups_are_an_array_of_whole_names() {
    let finance = json!({ "groups": { "any": ["/alpha/finance"] } });
    check(&finance, &json!({ "groups": ["/beta", "/alpha/finance"] }), Ok(()));
    for groups in [
        json!(["/alpha"]),
        json!(["/alpha/finance/"]),
        json!(["alpha/finance"]),
        json!(["/alpha/finance/sub"]),
        json!([]),
        json!("/alpha/finance"),
        json!(null),
    ] {
        check(&finance, &json!({ "groups": groups }), Err(Denial::MissingGroup));
    }
    check(&finance, &json!({}), Err(Denial::MissingGroup));
    let none = json!({ "groups": { "none": ["/blocked"] } });
    check(&none, &json!({}), Ok(()));
    check(&none, &json!({ "groups": [] }), Ok(()));
    check(&none, &json!({ "groups": ["/blocked"] }), Err(Denial::MissingGroup));
    check(&none, &json!({ "groups": "/other" }), Err(Denial::MissingGroup));
}

#[test]
fn scopes_are_words_of_one_string() {
    let missing = |scopes: &[&str]| {
        Err(Denial::MissingScope { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect() })
    };
    let all = json!({ "scopes": { "all": ["billing", "email"] } });
    check(&all, &json!({ "scope": "email billing" }), Ok(()));
    check(&all, &json!({ "scope": "  email   billing " }), Ok(()));
    for scope in [json!("email"), json!("email billings"), json!(["email", "billing"]), json!(null)] {
        check(&all, &json!({ "scope": scope }), missing(&["billing", "email"]));
    }
    // The challenge names all that is needed, or else what would do; never what excludes.
    check(&json!({ "scopes": { "any": ["a", "b"] } }), &json!({}), missing(&["a", "b"]));
    check(&json!({ "scopes": { "any": ["a"], "all": ["b"] } }), &json!({}), missing(&["b"]));
    check(&json!({ "scopes": { "none": ["email"] } }), &json!({}), missing(&[]));
    check(&json!({ "scopes": { "none": ["other"] } }), &json!({}), Ok(()));
    check(&json!({ "scopes": { "none": ["other"] } }), &json!({ "scope": ["x"] }), missing(&[]));
}

/// A claim of the configuration against a claim of the token.
#[track_caller]
fn check_claim(expected: Value, is: Value, holds: bool) {
    let require = json!({ "claims": [{ "path": ["it"], "equals": expected }] });
    check(&require, &json!({ "it": is }), if holds { Ok(()) } else { Err(Denial::MissingClaim) });
}

#[test]
fn claims_are_equal_in_type_and_value() {
    check_claim(json!(true), json!(true), true);
    check_claim(json!("a"), json!("a"), true);
    check_claim(json!(5), json!(5), true);
    check_claim(json!(-5), json!(-5), true);
    check_claim(json!(0.5), json!(0.5), true);
    for is in [json!("true"), json!(1), json!(false), json!(null), json!([true]), json!({})] {
        check_claim(json!(true), is, false);
    }
    for is in [json!("A"), json!("a "), json!(["a"]), json!(["a", "b"]), json!(null), json!("")] {
        check_claim(json!("a"), is, false);
    }
    for is in [json!("5"), json!(6), json!(-5), json!([5]), json!(true)] {
        check_claim(json!(5), is, false);
    }
    check_claim(json!(false), json!(0), false);
    check_claim(json!(0), json!(false), false);
    check_claim(json!(""), json!(null), false);
}

/// A protobuf Struct knows no integers, and Keycloak may write either form.
#[test]
fn numbers_are_equal_by_value() {
    for (expected, is, holds) in [
        ("5", "5.0", true),
        ("5.0", "5", true),
        ("5.0", "5e0", true),
        ("500", "5e2", true),
        ("0", "-0.0", true),
        ("-1", "-1.0", true),
        ("5", "5.000001", false),
        ("5.5", "5", false),
        ("18446744073709551615", "18446744073709551615", true),
        ("18446744073709551615", "18446744073709551614", false),
        ("9007199254740993", "9007199254740992", false),
        ("-9223372036854775808", "9223372036854775808", false),
    ] {
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        check_claim(number(expected), number(is), holds);
    }
}

#[test]
fn claims_are_found_by_path() {
    let require = |path: &[&str]| json!({ "claims": [{ "path": path, "equals": "x" }] });
    let token = json!({ "a": { "b": { "c": "x" }, "d": ["x"] }, "a.b": "x", "0": "x" });
    for path in [&["a", "b", "c"][..], &["a.b"], &["0"]] {
        check(&require(path), &token, Ok(()));
    }
    for path in [
        &["a", "b"][..],
        &["a"],
        &["a", "d"],
        &["a", "d", "0"],
        &["b"],
        &["a", "b", "c", "d"],
        &["a.b.c"],
        &["A.b"],
    ] {
        check(&require(path), &token, Err(Denial::MissingClaim));
    }
    let both = json!({ "claims": [{ "path": ["a.b"], "equals": "x" }, { "path": ["0"], "equals": "y" }] });
    check(&both, &token, Err(Denial::MissingClaim));
}

fn step_up(acr: &[&str], max_age: Option<u64>) -> Result<(), Denial> {
    Err(Denial::StepUp {
        acr_values: acr.iter().map(|acr| (*acr).to_owned()).collect(),
        max_age: max_age.map(Duration::from_secs),
    })
}

#[test]
fn acr_is_one_of_those_that_are_asked_for() {
    let require = json!({ "acr": ["gold", "2"] });
    check(&require, &json!({ "acr": "2" }), Ok(()));
    check(&require, &json!({ "acr": "gold" }), Ok(()));
    for acr in [
        json!("1"),
        json!("0"),
        json!("3"),
        json!("Gold"),
        json!(""),
        json!(2),
        json!(null),
        json!(["2"]),
        json!("gold 2"),
    ] {
        check(&require, &json!({ "acr": acr }), step_up(&["gold", "2"], None));
    }
    // `null` in `changes` stands for the value; `acr` left out altogether:
    let levels = json!({ "acr": ["1"] });
    check(&levels, &json!({}), Ok(()));
    // "0" says that nobody authenticated, and is worth nothing even where a requirement came to name it.
    let zero = Requirement { acr: vec!["0".to_owned()], ..Requirement::default() };
    let claims = Claims::of(json!({ "acr": "0" }));
    assert!(!authenticated(&claims, &zero, NOW, Duration::ZERO));
}

#[test]
fn amr_must_be_there_to_count() {
    let otp = json!({ "amr": { "all": ["otp"] } });
    check(&otp, &json!({ "amr": ["pwd", "otp"] }), Ok(()));
    check(&otp, &json!({}), step_up(&[], None));
    for amr in [
        json!([]),
        json!(["pwd"]),
        json!(["OTP"]),
        json!("otp"),
        json!(null),
        json!([["otp"]]),
        json!(["otp", 1]),
    ] {
        check(&otp, &json!({ "amr": amr }), step_up(&[], None));
    }
    let none = json!({ "amr": { "none": ["sms"] } });
    check(&none, &json!({}), Ok(()));
    check(&none, &json!({ "amr": ["sms"] }), step_up(&[], None));
    check(&none, &json!({ "amr": "otp" }), step_up(&[], None));
}

#[test]
fn a_login_may_be_as_old_as_max_age_and_as_new_as_the_skew() {
    let require = json!({ "max_age": "15m" });
    for auth_time in [N, N - 1, N - 900, N + SKEW] {
        check(&require, &json!({ "auth_time": auth_time }), Ok(()));
    }
    for auth_time in [
        json!(N - 901),
        json!(0),
        json!(N + SKEW + 1),
        json!(u64::MAX),
        json!(null),
        json!(N.to_string()),
        json!(1_794_315_200.0),
        json!(-1),
    ] {
        check(&require, &json!({ "auth_time": auth_time }), step_up(&[], Some(900)));
    }
    let claims = Claims::of(json!({}));
    let required = Requirement { max_age: Some(Duration::from_mins(15)), ..Requirement::default() };
    assert!(!authenticated(&claims, &required, NOW, Duration::ZERO), "auth_time is absent");
}

#[test]
fn a_step_up_asks_for_all_that_a_login_could_mend() {
    let require = json!({ "acr": ["2"], "max_age": "1m", "amr": { "any": ["otp"] } });
    check(&require, &json!({ "acr": "2", "amr": ["otp"] }), Ok(()));
    check(&require, &json!({ "acr": "1", "amr": ["otp"] }), step_up(&["2"], Some(60)));
    check(&require, &json!({ "acr": "2", "amr": ["pwd"] }), step_up(&["2"], Some(60)));
    check(&require, &json!({ "acr": "2", "amr": ["otp"], "auth_time": N - 61 }), step_up(&["2"], Some(60)));
}

/// Whoever lacks a role is not sent to sign in again in vain.
#[test]
fn what_the_user_lacks_is_told_before_what_a_login_could_mend() {
    let require = json!({
        "realm_roles": { "any": ["r"] },
        "groups": { "any": ["g"] },
        "scopes": { "any": ["s"] },
        "claims": [{ "path": ["c"], "equals": 1 }],
        "acr": ["2"],
    });
    let mut changes = json!({});
    for (name, value, denial) in [
        ("realm_access", json!({ "roles": ["r"] }), Denial::MissingRole),
        ("groups", json!(["g"]), Denial::MissingGroup),
        ("scope", json!("s"), Denial::MissingScope { scopes: vec!["s".to_owned()] }),
        ("c", json!(1), Denial::MissingClaim),
        ("acr", json!("2"), Denial::StepUp { acr_values: vec!["2".to_owned()], max_age: None }),
    ] {
        check(&require, &changes, Err(denial));
        changes[name] = value;
    }
    check(&require, &changes, Ok(()));
}
