#![allow(clippy::needless_pass_by_value, reason = "tables of literals read better without ampersands")]

use crate::testing::test;
use serde_json::json;

use super::*;
use crate::filter::Filter;
use crate::testing::{NOW, claims, compile, realm, two_realms, two_realms_json};

fn filter(identity: Value) -> Filter {
    let mut document = two_realms_json();
    document["identity"] = identity;
    compile(&document)
}

fn headers(fields: &[(&str, &[u8])]) -> Vec<Header> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect()
}

/// Whether the policy of the design lets a client's field of this name pass.
#[track_caller]
fn check_name(name: &str, stripped: bool) {
    let filter = two_realms();
    let edits = filter.identity().strip(&headers(&[("accept", b"*/*"), (name, b"root")]));
    let expect = if stripped { vec![name.to_owned()] } else { Vec::new() };
    assert_eq!(edits.removed(), expect, "{name}");
    assert_eq!(edits.set(), [], "{name}");
    assert!(filter.strips_trailer(name) || !stripped, "{name} as a trailer");
}

/// What the `connection` field becomes: `None` where it is removed, the same where it stays.
#[track_caller]
fn check_connection(values: &[&[u8]], expect: Option<&str>) {
    let fields: Vec<(&str, &[u8])> = values.iter().map(|value| ("connection", *value)).collect();
    let edits = two_realms().identity().strip(&headers(&fields));
    let joined = values.iter().map(|value| String::from_utf8_lossy(value)).collect::<Vec<_>>().join(", ");
    let removed = edits.removed().contains(&"connection".to_owned());
    let set =
        edits.set().iter().find(|(name, _)| &**name == "connection").map(|(_, value)| value.to_string());
    let got = if removed { None } else { Some(set.unwrap_or_else(|| joined.clone())) };
    assert_eq!(got.as_deref(), expect, "{joined}");
}

/// The headers that a customer's token yields, with one rule for `x-it`, where some claims have other values.
fn identify(rule: Value, changes: Value) -> Result<Option<String>, Denial> {
    let filter = filter(json!({ "headers": { "x-it": rule }, "max_value_bytes": 64 }));
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    let realm = realm(&filter, "customers");
    let token = AccessToken::accept(Claims::of(claims), &realm, NOW).unwrap();
    let identity = filter.identity().render(&token, &realm)?;
    let edits = filter.identity().identified(filter.identity().strip(&[]), &identity);
    assert_eq!(edits.removed(), ["authorization"]);
    Ok(edits.set().first().map(|(_, value)| value.to_string()))
}

#[track_caller]
fn check(rule: Value, changes: Value, expect: Result<Option<&str>, Denial>) {
    let got = identify(rule.clone(), changes.clone());
    assert_eq!(got.as_ref().map(Option::as_deref), expect.as_ref().map(|value| *value), "{rule} {changes}");
}

/// One claim in a header.
#[track_caller]
fn check_claim(value: Value, expect: Result<Option<&str>, Denial>) {
    check(json!({ "claim": ["it"] }), json!({ "it": value }), expect);
}

#[test]
fn identity_headers_are_stripped_in_every_spelling() {
    for name in [
        "x-porta-user",
        "X-Porta-User",
        "X-PORTA-USER",
        "x_porta_user",
        "X_PORTA-User",
        "x-porta_user",
        "x-porta-",
        "x_porta_",
        "x-porta-whatever",
    ] {
        check_name(name, true);
    }
    for name in
        ["x-porta", "x-port", "xporta-user", "x--porta-user", "ax-porta-user", "porta-user", "x.porta.user"]
    {
        check_name(name, false);
    }
}

/// Upstreams that take the path or the method from these would judge another request than we did.
#[test]
fn headers_that_replace_what_was_judged_are_always_stripped() {
    let filter = filter(json!({}));
    for name in OVERRIDES {
        for spelling in [name.to_owned(), name.to_uppercase(), name.replace('-', "_")] {
            check_name(&spelling, true);
            assert!(filter.strips_trailer(&spelling), "{spelling} without a strip list");
        }
    }
    for name in
        ["x-forwarded-for", "x-forwarded-host", "x-request-id", "authorization", "cookie", "x-original"]
    {
        check_name(name, false);
    }
}

#[test]
fn headers_that_are_set_are_stripped_though_no_prefix_names_them() {
    let filter = filter(json!({ "headers": { "Remote-User": { "claim": ["sub"] } } }));
    for name in ["remote-user", "Remote_User", "REMOTE-USER"] {
        assert!(filter.strips_trailer(name), "{name}");
    }
    for name in ["remote-users", "remote-use", "remoteuser", "remote-user-id"] {
        assert!(!filter.strips_trailer(name), "{name}");
    }
}

#[test]
fn prefixes_are_folded_too() {
    let filter = filter(json!({ "strip": ["X_Porta_"] }));
    for name in ["x-porta-a", "x_porta_a", "X-PORTA-a"] {
        assert!(filter.strips_trailer(name), "{name}");
    }
}

#[test]
fn repeated_and_empty_fields_are_stripped_each_name_once() {
    let fields = headers(&[
        ("x-porta-user", b"root"),
        ("x-porta-user", b""),
        ("X-Porta-User", b"\xff"),
        ("x_porta_user", b"root"),
        ("x-porta-user", b"root"),
    ]);
    let edits = two_realms().identity().strip(&fields);
    assert_eq!(edits.removed(), ["x-porta-user", "X-Porta-User", "x_porta_user"]);
}

#[test]
fn the_connection_field_cannot_have_ours_removed() {
    check_connection(&[b"keep-alive"], Some("keep-alive"));
    check_connection(&[b"Upgrade, keep-alive"], Some("Upgrade, keep-alive"));
    check_connection(&[b"x-porta-user"], None);
    check_connection(&[b"X_Porta_User"], None);
    check_connection(&[b"keep-alive, x-porta-user"], Some("keep-alive"));
    check_connection(&[b" x-porta-user ,\tUpgrade,x-porta-roles"], Some("Upgrade"));
    check_connection(&[b"keep-alive", b"x-porta-user", b"Upgrade"], Some("keep-alive, Upgrade"));
    check_connection(&[b"x-porta-user", b"x-porta-user"], None);
    check_connection(&[b"keep-alive, \xff"], Some("keep-alive"));
    check_connection(&[b"close\0, x-porta-user"], None);
    check_connection(&[b"close, a b, (x), x-porta-user"], Some("close"));
    check_connection(&[b"close,, "], Some("close,, "));
    check_connection(&[b"x-http-method-override, close"], Some("close"));
}

#[test]
fn the_token_goes_no_further_unless_it_is_forwarded() {
    for (forward, removed) in [(false, vec!["authorization"]), (true, vec![])] {
        let filter = filter(json!({ "forward_token": forward }));
        let realm = realm(&filter, "customers");
        let token = AccessToken::accept(Claims::of(claims()), &realm, NOW).unwrap();
        let identity = filter.identity().render(&token, &realm).unwrap();
        let edits = filter.identity().identified(filter.identity().strip(&[]), &identity);
        assert_eq!(edits.removed(), removed);
        // Nobody looked at it on a public route, so it never goes on there.
        let edits = IdentityPolicy::anonymous(filter.identity().strip(&[]));
        assert_eq!(edits.removed(), ["authorization"]);
    }
}

#[test]
fn the_design_s_headers_say_what_the_token_says() {
    let filter = two_realms();
    let realm = realm(&filter, "customers");
    let token = AccessToken::accept(Claims::of(claims()), &realm, NOW).unwrap();
    let begun = filter.identity().strip(&headers(&[("x-porta-user", b"root")]));
    let identity = filter.identity().render(&token, &realm).unwrap();
    let edits = filter.identity().identified(begun, &identity);
    assert_eq!(edits.removed(), ["x-porta-user", "authorization"]);
    let set: Vec<(&str, &str)> = edits.set().iter().map(|(name, value)| (&**name, &**value)).collect();
    assert_eq!(
        set,
        [
            ("x-porta-customer", "4711"),
            ("x-porta-email", "bob@example.com"),
            ("x-porta-realm", "customers"),
            ("x-porta-roles", "customer,offline_access,portaswitch:billing"),
            ("x-porta-subject", "8f0b7d1e-3c55-4f5a-9d0c-2f4f5b6a7c81"),
            ("x-porta-superuser", "false"),
            ("x-porta-user", "bob"),
        ]
    );
}

#[test]
fn scalars_have_a_text() {
    check_claim(json!("bob"), Ok(Some("bob")));
    check_claim(json!(4711), Ok(Some("4711")));
    check_claim(json!(-1), Ok(Some("-1")));
    check_claim(json!(u64::MAX), Ok(Some("18446744073709551615")));
    check_claim(json!(true), Ok(Some("true")));
    check_claim(json!(false), Ok(Some("false")));
    for nothing in
        [json!(""), json!(null), json!({}), json!({ "a": 1 }), json!([]), json!([null]), json!(["a", {}])]
    {
        check_claim(nothing, Ok(None));
    }
}

/// It was rounded when it was read, and a rounded id is another user's.
#[test]
fn a_number_too_large_to_be_exact_refuses_the_request() {
    for number in ["1e30", "-1e19", "18446744073709551616", "123456789012345678901234567890"] {
        let number: Value = serde_json::from_str(number).unwrap();
        check_claim(number.clone(), Err(Denial::Token(TokenError::ClaimNumber)));
        check_claim(json!(["a", number]), Err(Denial::Token(TokenError::ClaimNumber)));
    }
}

#[test]
fn claims_are_found_by_path() {
    let address = json!({ "address": { "country.code": "DE", "list": ["x"] } });
    check(json!({ "claim": ["address", "country.code"] }), address.clone(), Ok(Some("DE")));
    check(json!({ "claim": ["address", "list"] }), address.clone(), Ok(Some("x")));
    for path in [
        &["address"][..],
        &["address", "country"],
        &["address.country.code"],
        &["address", "list", "0"],
        &["none"],
    ] {
        check(json!({ "claim": path }), address.clone(), Ok(None));
    }
}

#[test]
fn bytes_that_are_not_visible_ascii_are_percent_encoded() {
    for (value, encoded) in [
        ("a b", "a%20b"),
        ("100%", "100%25"),
        ("%41", "%2541"),
        ("M\u{fc}ller", "M%C3%BCller"),
        ("\u{20ac}\u{1f600}", "%E2%82%AC%F0%9F%98%80"),
        ("\u{2028}\u{85}", "%E2%80%A8%C2%85"),
        (" a ", "%20a%20"),
        // Alone, a separator separates nothing.
        ("a,b;c:d", "a,b;c:d"),
        ("!\"#$&'()*+-./<=>?@[\\]^_`{|}~", "!\"#$&'()*+-./<=>?@[\\]^_`{|}~"),
    ] {
        check_claim(json!(value), Ok(Some(encoded)));
    }
}

#[test]
fn control_characters_refuse_the_request() {
    for control in ['\r', '\n', '\0', '\t', '\u{1b}', '\u{7f}'] {
        let refused = || Err(Denial::Token(TokenError::ClaimControl));
        check_claim(json!(format!("a{control}b")), refused());
        check_claim(json!(["a", control.to_string()]), refused());
        let roles = json!({ "realm_access": { "roles": [format!("a{control}x-porta-user: root")] } });
        check(json!({ "roles": { "realm": true } }), roles, refused());
    }
    check_claim(json!("bob\r\nx-porta-superuser: true"), Err(Denial::Token(TokenError::ClaimControl)));
}

#[test]
fn lists_keep_their_items_apart() {
    check_claim(json!(["a", "b"]), Ok(Some("a,b")));
    check_claim(json!(["a,b", "c"]), Ok(Some("a%2Cb,c")));
    check_claim(json!(["a", 1, true]), Ok(Some("a,1,true")));
    let spaced = |value: Value| (json!({ "claim": ["it"], "separator": "; " }), json!({ "it": value }));
    let (rule, changes) = spaced(json!(["a;b", "c d", "e,f"]));
    check(rule, changes, Ok(Some("a%3Bb; c%20d; e,f")));
    let (rule, changes) = spaced(json!("a;b"));
    check(rule, changes, Ok(Some("a;b")));
}

#[test]
fn a_value_that_is_too_long_refuses_the_request() {
    let too_long = || Err(Denial::Token(TokenError::ClaimTooLong));
    let (most, more) = ("b".repeat(64), "b".repeat(65));
    check_claim(json!(most), Ok(Some(&most)));
    check_claim(json!(more), too_long());
    // It is the encoded value that counts, and the whole list.
    check_claim(json!(" ".repeat(21)), Ok(Some(&"%20".repeat(21))));
    check_claim(json!(" ".repeat(22)), too_long());
    check_claim(json!(vec!["b"; 32]), Ok(Some(&vec!["b"; 32].join(","))));
    check_claim(json!(vec!["bb"; 22]), too_long());
}

#[test]
fn a_required_header_needs_a_value() {
    let required = json!({ "claim": ["it"], "required": true });
    check(required.clone(), json!({ "it": "x" }), Ok(Some("x")));
    check(required.clone(), json!({ "it": false }), Ok(Some("false")));
    for nothing in
        [json!({}), json!({ "it": "" }), json!({ "it": null }), json!({ "it": [] }), json!({ "it": {} })]
    {
        check(required.clone(), nothing, Err(Denial::MissingIdentity));
    }
    let roles = json!({ "roles": { "realm": true }, "required": true });
    check(roles.clone(), json!({ "realm_access": { "roles": ["a"] } }), Ok(Some("a")));
    check(roles.clone(), json!({ "realm_access": { "roles": [] } }), Err(Denial::MissingIdentity));
    check(roles, json!({ "realm_access": { "roles": "a" } }), Err(Denial::MissingIdentity));
}

#[test]
fn the_realm_is_ours_and_not_the_token_s() {
    check(json!({ "realm": true }), json!({ "realm": "admins", "it": "admins" }), Ok(Some("customers")));
}

/// Realm roles `a`, `superuser`; client roles `superuser`, `b` at `portaswitch` and `c` at `other`.
fn roles() -> Value {
    json!({
        "realm_access": { "roles": ["superuser", "a"] },
        "resource_access": {
            "other": { "roles": ["c"] },
            "portaswitch": { "roles": ["superuser", "b"] },
        },
    })
}

#[test]
fn roles_are_listed_realm_first_then_each_client() {
    for (listed, expect) in [
        (json!({ "realm": true }), "superuser,a"),
        (json!({ "clients": ["portaswitch"] }), "portaswitch:superuser,portaswitch:b"),
        (json!({ "clients": ["portaswitch", "other"] }), "portaswitch:superuser,portaswitch:b,other:c"),
        (json!({ "realm": true, "clients": ["other", "none"] }), "superuser,a,other:c"),
    ] {
        check(json!({ "roles": listed }), roles(), Ok(Some(expect)));
    }
    check(json!({ "roles": { "clients": ["none"] } }), roles(), Ok(None));
}

#[test]
fn a_client_role_never_becomes_a_realm_role() {
    let realm =
        json!({ "roles": { "realm": true, "clients": ["portaswitch"] }, "rename": { "superuser": "Root" } });
    check(realm, roles(), Ok(Some("Root,a,portaswitch:superuser,portaswitch:b")));
    let client = json!({
        "roles": { "realm": true, "clients": ["portaswitch"] },
        "rename": { "portaswitch:superuser": "Operator", "b": "Root", "other:c": "Root" },
    });
    check(client, roles(), Ok(Some("superuser,a,Operator,portaswitch:b")));
    // A separator in a role's name does not make two of it, nor does an item that is encoded already.
    let smuggled = json!({ "realm_access": { "roles": ["a,superuser", "a%2Csuperuser"] } });
    check(json!({ "roles": { "realm": true } }), smuggled, Ok(Some("a%2Csuperuser,a%252Csuperuser")));
}

#[test]
fn roles_of_a_wrong_type_are_none() {
    for wrong in [json!("superuser"), json!([["superuser"]]), json!(["superuser", 1]), json!(null), json!({})]
    {
        let changes = json!({ "realm_access": { "roles": wrong } });
        check(json!({ "roles": { "realm": true } }), changes.clone(), Ok(None));
        check(json!({ "has_role": "superuser" }), changes, Ok(Some("false")));
    }
}

#[test]
fn has_role_says_true_or_false() {
    let client = |client: &str, role: &str| json!({ "has_role": { "client": client, "role": role } });
    for (rule, has) in [
        (json!({ "has_role": "superuser" }), true),
        (json!({ "has_role": "Superuser" }), false),
        (json!({ "has_role": "b" }), false),
        (json!({ "has_role": "portaswitch:b" }), false),
        (client("portaswitch", "b"), true),
        (client("portaswitch", "superuser"), true),
        (client("portaswitch", "a"), false),
        (client("other", "superuser"), false),
        (client("none", "b"), false),
    ] {
        check(rule, roles(), Ok(Some(if has { "true" } else { "false" })));
    }
    check(json!({ "has_role": "superuser" }), json!({ "realm_access": {} }), Ok(Some("false")));
}
