//! What the upstream learns of a token: each source of a header, and how its value is written.

use portcullis_tests::client::Raw;
use portcullis_tests::{EnvoyConfig, TokenBuilder, World};
use serde_json::{Value, json};

use crate::ask::{Ask as _, Forwarded, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, world_with};

fn config(identity: Value) -> EnvoyConfig {
    EnvoyConfig::file("two-realms.yaml").edit_plugin(|plugin| plugin["identity"] = identity)
}

fn invoices(token: TokenBuilder) -> Raw {
    Raw::get(INVOICES).host(SELFCARE).bearer(&token.sign())
}

/// Asserts what the upstream reads in one header.
async fn check(world: &World, what: &str, token: TokenBuilder, name: &str, expected: Option<&str>) {
    let outcome = world.ask(what, &invoices(token)).await;
    assert_eq!(outcome.forwarded().header(name).as_deref(), expected, "{what}");
}

#[tokio::test]
async fn claims_become_visible_ascii() {
    let Some(world) = world_with(config(json!({"headers": {
        "x-name": {"claim": ["name"]},
        "x-city": {"claim": ["address", "city"]},
        "x-dotted": {"claim": ["address.city"]},
        "X-Tags": {"claim": ["tags"]},
        "x-tags-wide": {"claim": ["tags"], "separator": "; "},
    }})))
    .await
    else {
        return;
    };
    let token = || world.customers.token();
    for (what, value, expected) in [
        ("text", json!("alice"), Some("alice")),
        ("a space", json!("Alice Doe"), Some("Alice%20Doe")),
        (
            "letters of all kinds",
            json!("Zo\u{eb} M\u{fc}ller \u{65e5}\u{1f600}"),
            Some("Zo%C3%AB%20M%C3%BCller%20%E6%97%A5%F0%9F%98%80"),
        ),
        ("a percent sign", json!("100%41"), Some("100%2541")),
        ("punctuation", json!("a,b;c=\"d\"'<e>&{f}\\"), Some("a,b;c=\"d\"'<e>&{f}\\")),
        ("an invisible one", json!("a\u{200b}\u{202e}b"), Some("a%E2%80%8B%E2%80%AEb")),
        ("a C1 control", json!("a\u{85}\u{9f}b"), Some("a%C2%85%C2%9Fb")),
        ("a number", json!(1042), Some("1042")),
        ("a negative one", json!(-7), Some("-7")),
        ("a large one", json!(9_007_199_254_740_993_u64), Some("9007199254740993")),
        ("a fraction", json!(1.5), Some("1.5")),
        ("true", json!(true), Some("true")),
        ("false", json!(false), Some("false")),
        ("nothing", json!(""), None),
        ("null", json!(null), None),
        ("an object", json!({"a": 1}), None),
    ] {
        check(&world, what, token().claim("name", value), "x-name", expected).await;
    }
    check(&world, "no such claim", token(), "x-name", None).await;
    let address = json!({"city": "Graz"});
    check(&world, "a claim in a claim", token().claim("address", address.clone()), "x-city", Some("Graz"))
        .await;
    check(&world, "a dot is part of a name", token().claim("address", address), "x-dotted", None).await;
    check(&world, "as here", token().claim("address.city", "Wien"), "x-dotted", Some("Wien")).await;
    check(&world, "no object", token().claim("address", "Graz"), "x-city", None).await;

    for (what, value, narrow, wide) in [
        ("a list", json!(["a", "b"]), Some("a,b"), Some("a; b")),
        (
            "separators in items",
            json!(["a,b", "c; d", "50%"]),
            Some("a%2Cb,c;%20d,50%25"),
            Some("a,b; c%3B%20d; 50%25"),
        ),
        ("scalars", json!(["x", 1, true]), Some("x,1,true"), Some("x; 1; true")),
        ("nothing in it", json!([]), None, None),
        ("one", json!(["a"]), Some("a"), Some("a")),
    ] {
        check(&world, what, token().claim("tags", value.clone()), "x-tags", narrow).await;
        check(&world, what, token().claim("tags", value), "x-tags-wide", wide).await;
    }
    for (what, value) in
        [("a list in a list", json!(["a", ["b"]])), ("an object in it", json!(["a", {"b": 1}]))]
    {
        check(&world, what, token().claim("tags", value), "x-tags", None).await;
    }
    for control in ["\0", "\t", "\n", "\r\n", "\u{1f}", "\u{7f}"] {
        let refused = Refused(401, "claim_control");
        world.ask("a control", &invoices(token().claim("name", format!("a{control}b")))).await.is(refused);
        world
            .ask("in a list", &invoices(token().claim("tags", json!(["ok", format!("a{control}b")]))))
            .await
            .is(refused);
    }
}

#[tokio::test]
async fn roles_keep_apart_who_gave_them() {
    let Some(world) = world_with(config(json!({"headers": {
        "x-roles": {"roles": {"realm": true, "clients": ["portaswitch", "reports"]}, "rename": {"superuser": "Root", "portaswitch:billing": "Bill, Paid"}},
        "x-realm-roles": {"roles": {"realm": true}, "separator": "|"},
        "x-client-roles": {"roles": {"clients": ["reports"]}},
        "x-superuser": {"has_role": "superuser"},
        "x-biller": {"has_role": {"client": "portaswitch", "role": "billing"}},
        "x-realm": {"realm": true},
    }})))
    .await
    else {
        return;
    };
    let token = |realm: Value, clients: Value| {
        let mut clients = clients;
        // What the route asks for.
        clients["portaswitch"]["roles"].as_array_mut().unwrap().push(json!("billing"));
        world
            .customers
            .token()
            .claim("realm_access", json!({ "roles": realm }))
            .claim("resource_access", clients)
    };
    let cases = [
        (
            "realm and client roles",
            token(
                json!(["customer", "superuser"]),
                json!({"portaswitch": {"roles": []}, "reports": {"roles": ["read"]}}),
            ),
            [
                "customer,Root,Bill%2C%20Paid,reports:read",
                "customer|superuser",
                "reports:read",
                "true",
                "true",
            ],
        ),
        (
            "a client's superuser is none of the realm",
            token(
                json!(["customer"]),
                json!({"portaswitch": {"roles": ["superuser"]}, "other": {"roles": ["superuser"]}}),
            ),
            ["customer,portaswitch:superuser,Bill%2C%20Paid", "customer", "", "false", "true"],
        ),
        (
            "a realm's billing is no client's",
            token(json!(["customer", "billing"]), json!({"portaswitch": {"roles": []}})),
            ["customer,billing,Bill%2C%20Paid", "customer|billing", "", "false", "true"],
        ),
        (
            "separators and spaces in names",
            token(
                json!(["customer", "a,b", "c|d", "e f", "Superuser", "superuser "]),
                json!({"portaswitch": {"roles": []}}),
            ),
            [
                "customer,a%2Cb,c|d,e%20f,Superuser,superuser%20,Bill%2C%20Paid",
                "customer|a,b|c%7Cd|e%20f|Superuser|superuser%20",
                "",
                "false",
                "true",
            ],
        ),
    ];
    for (what, token, expected) in cases {
        let outcome = world.ask(what, &invoices(token)).await;
        let seen = outcome.forwarded();
        let got = ["x-roles", "x-realm-roles", "x-client-roles", "x-superuser", "x-biller"]
            .map(|name| seen.header(name).unwrap_or_default());
        assert_eq!(got, expected, "{what}");
        assert_eq!(seen.header("x-realm").as_deref(), Some("customers"));
    }
    let admin = Raw::get("/").host(ADMIN).bearer(&world.admins.token().sign());
    let outcome = world.ask("an administrator", &admin).await;
    let seen = outcome.forwarded();
    let got =
        ["x-realm", "x-roles", "x-superuser", "x-biller"].map(|name| seen.header(name).unwrap_or_default());
    assert_eq!(got, ["admins", "admin,Root", "true", "false"]);
}

#[tokio::test]
async fn what_is_required_is_there_and_nothing_is_cut_off() {
    let headers = json!({
        "x-user": {"claim": ["preferred_username"], "required": true}, "x-subject": {"claim": ["sub"]},
        "x-list": {"claim": ["tags"]}, "x-roles": {"roles": {"realm": true}, "required": true},
    });
    let Some(world) = world_with(config(json!({"headers": headers, "max_value_bytes": 64}))).await else {
        return;
    };
    let token = || world.customers.token();
    for (what, token) in [
        ("absent", token().without("preferred_username")),
        ("empty", token().claim("preferred_username", "")),
        ("null", token().claim("preferred_username", Value::Null)),
        ("an object", token().claim("preferred_username", json!({}))),
        ("an empty list", token().claim("preferred_username", json!([]))),
    ] {
        let outcome = world.ask(what, &invoices(token)).await;
        outcome.is(Refused(403, "missing_identity"));
        assert_eq!(outcome.challenge(), r#"Bearer realm="customers", error="insufficient_scope""#);
    }
    check(&world, "a lightweight token", token().without("sub"), "x-subject", None).await;
    for (what, name, fits, too_long) in [
        ("text", "preferred_username", json!("n".repeat(64)), json!("n".repeat(65))),
        ("as written", "preferred_username", json!("\u{fc}".repeat(10)), json!("\u{fc}".repeat(11))),
        ("a list", "tags", json!(["t".repeat(31), "u".repeat(32)]), json!(["t".repeat(32), "u".repeat(32)])),
    ] {
        world.ask(what, &invoices(token().claim(name, fits))).await.forwarded();
        world.ask(what, &invoices(token().claim(name, too_long))).await.is(Refused(401, "claim_too_long"));
    }
    let roles: Vec<String> = (0..40).map(|n| format!("role{n}")).chain(["customer".to_owned()]).collect();
    let many = token().claim("realm_access", json!({ "roles": roles }));
    world.ask("many roles", &invoices(many)).await.is(Refused(401, "claim_too_long"));
}

#[tokio::test]
async fn the_token_goes_upstream_only_where_asked_for() {
    for forward in [false, true] {
        let Some(world) = world_with(config(json!({"forward_token": forward, "headers": {}}))).await else {
            return;
        };
        let token = world.customers.token().sign();
        let outcome = world.ask("a guarded route", &Raw::get(INVOICES).host(SELFCARE).bearer(&token)).await;
        assert_eq!(outcome.forwarded().header("authorization"), forward.then(|| format!("Bearer {token}")));
        // A public route never passes credentials on, good or bad, one or many.
        let public = || Raw::get("/assets/x").host(SELFCARE);
        for (what, request) in [
            ("a token", public().bearer(&token)),
            ("no token", public()),
            ("nonsense", public().bearer("nonsense")),
            ("a password", public().header("authorization", "Basic YTpi")),
            ("two", public().bearer(&token).header("Authorization", "Basic YTpi")),
        ] {
            let outcome = world.ask(what, &request).await;
            assert_eq!(outcome.is(Forwarded("public")).seen().header("authorization"), None, "{what}");
        }
    }
}
