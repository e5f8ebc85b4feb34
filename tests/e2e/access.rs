//! Rules: which requests they match, and what they ask of a token.

use portcullis_tests::client::{H2Request, Raw};
use portcullis_tests::{EnvoyConfig, TokenBuilder, World, now};
use serde_json::{Value, json};

use crate::ask::{Ask as _, ByEnvoy, Forwarded, Outcome, Refused, Verdict};
use crate::support::{ADMIN, INVOICES, SELFCARE, world, world_with};

/// `two-realms.yaml` with these rules for the customers.
async fn with_rules(rules: Value) -> Option<World> {
    world_with(EnvoyConfig::file("two-realms.yaml").edit_plugin(|plugin| plugin["sites"][0]["rules"] = rules))
        .await
}

async fn get(world: &World, what: &str, path: &str, token: TokenBuilder) -> Outcome {
    world.ask(what, &Raw::get(path).host(SELFCARE).bearer(&token.sign())).await
}

#[tokio::test]
async fn without_a_token_nothing_but_the_public_passes() {
    let Some(world) = world().await else { return };
    for (host, path, realm) in
        [(SELFCARE, INVOICES, "customers"), (SELFCARE, "/rest/x", "customers"), (ADMIN, "/", "admins")]
    {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"] {
            let what = format!("{method} {host}{path}");
            let outcome = world.ask(&what, &Raw::new(method, path).host(host)).await;
            outcome.is(Refused(401, "no_credential")).of_realm(realm);
            assert_eq!(
                outcome.challenge(),
                format!("Bearer realm=\"{realm}\""),
                "{what}: nothing was presented, so no error"
            );
            world.ask(&what, &H2Request::new(method, host, path)).await.is(Refused(401, "no_credential"));
        }
    }
    world.ask("assets", &Raw::get("/assets/x").host(SELFCARE)).await.is(Forwarded("public"));
    for path in ["/", "/admin", "/favicon.ico", "/assets", "/Rest/x", "/ws/x"] {
        world.ask(path, &Raw::get(path).host(SELFCARE)).await.is(Refused(403, "no_rule"));
        get(&world, path, path, world.customers.token()).await.is(Refused(403, "no_rule"));
    }
}

#[tokio::test]
async fn what_a_rule_requires_must_hold() {
    let rules = json!([
        {"name": "roles", "path": {"exact": "/roles"}, "require": {
            "realm_roles": {"any": ["customer", "customer-individual"], "all": ["verified"], "none": ["suspended"]},
        }},
        {"name": "client", "path": {"exact": "/client"}, "require": {"client_roles": {"portaswitch": {"all": ["billing", "reports"]}}}},
        {"name": "groups", "path": {"exact": "/groups"}, "require": {"groups": {"any": ["/alpha/finance"]}}},
        {"name": "scopes", "path": {"exact": "/scopes"}, "require": {"scopes": {"all": ["billing", "invoices"]}}},
        {"name": "claims", "path": {"exact": "/claims"}, "require": {
            "claims": [{"path": ["email_verified"], "equals": true}, {"path": ["plan", "level"], "equals": 3}],
        }},
    ]);
    let Some(world) = with_rules(rules).await else { return };
    let token = || world.customers.token();
    let having = |roles: Value| token().claim("realm_access", json!({ "roles": roles }));
    let client = |name: &str, roles: Value| token().claim("resource_access", json!({name: {"roles": roles}}));
    let plan = |plan: Value| token().claim("plan", plan);
    let (ok, role) = (Forwarded("token"), Refused(403, "missing_role"));
    let (group, scope, claim) =
        (Refused(403, "missing_group"), Refused(403, "missing_scope"), Refused(403, "missing_claim"));
    let table: Vec<(&str, &str, TokenBuilder, Verdict)> = vec![
        ("one of two and all", "/roles", having(json!(["customer", "verified"])), ok),
        ("the other of two", "/roles", having(json!(["verified", "customer-individual", "x"])), ok),
        ("none of two", "/roles", having(json!(["verified"])), role),
        ("not all", "/roles", having(json!(["customer"])), role),
        ("suspended", "/roles", having(json!(["customer", "verified", "suspended"])), role),
        ("no roles", "/roles", having(json!([])), role),
        ("no claim", "/roles", token().without("realm_access"), role),
        ("other case", "/roles", having(json!(["Customer", "verified"])), role),
        ("a space behind", "/roles", having(json!(["customer ", "verified"])), role),
        ("a look-alike", "/roles", having(json!(["\u{441}ustomer", "verified"])), role),
        ("one text", "/roles", having(json!("customer verified")), role),
        ("a list in a list", "/roles", having(json!([["customer", "verified"]])), role),
        ("an object", "/roles", having(json!({"customer": true, "verified": true})), role),
        ("a number among them", "/roles", having(json!(["customer", "verified", 1])), role),
        (
            "a client's roles",
            "/roles",
            client("portaswitch", json!(["customer", "verified"])).without("realm_access"),
            role,
        ),
        ("1500 others", "/roles", having((0..1500).map(|n| json!(format!("r{n}"))).collect()), role),
        ("client roles", "/client", client("portaswitch", json!(["reports", "billing"])), ok),
        ("half of them", "/client", client("portaswitch", json!(["billing"])), role),
        ("of another client", "/client", client("portaswitch2", json!(["reports", "billing"])), role),
        ("of the realm", "/client", having(json!(["reports", "billing", "portaswitch:billing"])), role),
        ("the group", "/groups", token().claim("groups", json!(["/alpha", "/alpha/finance"])), ok),
        ("its parent", "/groups", token().claim("groups", json!(["/alpha"])), group),
        ("its child", "/groups", token().claim("groups", json!(["/alpha/finance/x"])), group),
        ("no groups", "/groups", token(), group),
        ("both scopes", "/scopes", token().claim("scope", "openid invoices billing"), ok),
        ("one scope", "/scopes", token().claim("scope", "openid billing"), scope),
        ("a longer scope", "/scopes", token().claim("scope", "billing invoices2"), scope),
        ("scopes as a list", "/scopes", token().claim("scope", json!(["billing", "invoices"])), scope),
        ("both claims", "/claims", plan(json!({"level": 3})), ok),
        ("a whole fraction", "/claims", plan(json!({"level": 3.0})), ok),
        ("another value", "/claims", plan(json!({"level": 4})), claim),
        ("another type", "/claims", plan(json!({"level": "3"})), claim),
        ("no such claim", "/claims", token(), claim),
        ("not true but text", "/claims", plan(json!({"level": 3})).claim("email_verified", "true"), claim),
    ];
    for (what, path, token, expected) in table {
        let outcome = get(&world, &format!("{path}: {what}"), path, token).await;
        outcome.is(expected).of_realm("customers");
        let challenge = match expected {
            Refused(_, "missing_scope") => {
                r#"Bearer realm="customers", error="insufficient_scope", scope="billing invoices""#
            }
            Refused(..) => r#"Bearer realm="customers", error="insufficient_scope""#,
            _ => "",
        };
        assert_eq!(outcome.challenge(), challenge, "{path}: {what}");
    }
}

#[tokio::test]
async fn a_stronger_login_can_be_asked_for() {
    let Some(world) = world().await else { return };
    let now = now();
    let token = || world.customers.token().claim("acr", "2").claim("amr", json!(["pwd", "otp"]));
    let step_up = r#"Bearer realm="customers", error="insufficient_user_authentication", acr_values="gold 2", max_age="900""#;
    for (what, token, passes) in [
        ("strong and lately", token(), true),
        ("the other acr", token().claim("acr", "gold"), true),
        ("weak", token().claim("acr", "1"), false),
        ("acr 0", token().claim("acr", "0"), false),
        ("a number", token().claim("acr", 2), false),
        ("no acr", token().without("acr"), false),
        ("no second factor", token().claim("amr", json!(["pwd"])), false),
        ("no amr", token().without("amr"), false),
        ("amr as text", token().claim("amr", "otp"), false),
        ("long ago", token().claim("auth_time", now - 960), false),
        ("14 minutes ago", token().claim("auth_time", now - 840), true),
        ("in the future", token().claim("auth_time", now + 120), false),
        ("at an unknown time", token().without("auth_time"), false),
        ("at a time in text", token().claim("auth_time", now.to_string()), false),
    ] {
        let outcome = get(&world, what, "/rest/Sim/swap", token).await;
        outcome.is(if passes { Forwarded("token") } else { Refused(401, "step_up") });
        assert_eq!(outcome.challenge(), if passes { "" } else { step_up }, "{what}");
    }
}

#[tokio::test]
async fn the_first_rule_that_matches_decides() {
    let require = json!({"realm_roles": {"any": ["customer"]}});
    let admin = json!({"realm_roles": {"any": ["boss"]}});
    let rules = json!([
        {"name": "health", "methods": ["GET"], "path": {"exact": "/health"}, "access": "public"},
        {"name": "reads", "methods": ["POST"], "path": {"template": "/rest/{service}/get_*"}, "require": require},
        {"name": "item", "path": {"template": "/items/{id}/photo"}, "require": require},
        {"name": "rest", "path": {"prefix": "/rest"}, "require": admin},
        {"name": "files", "path": {"prefix": "/files/"}, "require": require},
        {"name": "odd", "methods": ["PROPFIND", "TRACE"], "path": {"prefix": "/dav"}, "require": require},
    ]);
    let Some(world) = with_rules(rules).await else { return };
    let token = world.customers.token().sign();
    let (ok, role, none) = (Forwarded("token"), Refused(403, "missing_role"), Refused(403, "no_rule"));
    for (method, path, expected) in [
        ("GET", "/health", Forwarded("public")),
        ("HEAD", "/health", Forwarded("public")),
        ("POST", "/health", none),
        ("GET", "/health/", none),
        ("GET", "/healthz", none),
        ("GET", "/Health", none),
        ("GET", "/health?x=/admin", Forwarded("public")),
        ("GET", "/admin?/health", none),
        ("GET", "/%68ealth", Forwarded("public")),
        ("POST", "/rest/Invoice/get_list", ok),
        ("POST", "/rest/Invoice/get_", ok),
        ("POST", "/rest/%49nvoice/get%5Flist", ok),
        ("GET", "/rest/Invoice/get_list", role),
        ("POST", "/rest/Invoice/get_list/x", role),
        ("POST", "/rest/a/b/get_list", role),
        ("POST", "/rest/Invoice/forget_list", role),
        ("POST", "/rest/Invoice/Get_list", role),
        ("GET", "/rest", role),
        ("GET", "/rest/", role),
        ("GET", "/restful", none),
        ("GET", "/items/7/photo", ok),
        ("GET", "/items/7/photo/", none),
        ("GET", "/items/photo", none),
        ("GET", "/items/7/8/photo", none),
        ("GET", "/files", none),
        ("GET", "/files/", ok),
        ("GET", "/files/a/b", ok),
        ("PROPFIND", "/dav", ok),
        ("TRACE", "/dav/x", ok),
        ("GET", "/dav", none),
    ] {
        // HTTP/2, since Envoy knows no PROPFIND in HTTP/1.
        let request = H2Request::new(method, SELFCARE, path).bearer(&token);
        world.ask(&format!("{method} {path}"), &request).await.is(expected);
    }
}

#[tokio::test]
async fn methods_are_those_of_the_rule() {
    let Some(world) = world().await else { return };
    let token = world.customers.token().sign();
    let (ok, none) = (Forwarded("token"), Refused(403, "no_rule"));
    for (method, h1, h2) in [
        ("GET", ok, ok),
        ("HEAD", ok, ok),
        ("POST", ok, ok),
        ("PUT", ok, ok),
        ("PATCH", ok, ok),
        ("DELETE", ok, ok),
        ("OPTIONS", ok, ok),
        ("TRACE", none, none),
        ("PROPFIND", none, none),
        ("PURGE", none, none),
        ("get", ByEnvoy(400), none),
        ("Get", ByEnvoy(400), none),
        ("FOO", ByEnvoy(400), none),
        ("CONNECT", ByEnvoy(400), ByEnvoy(400)),
    ] {
        world
            .ask(&format!("{method} over HTTP/1"), &Raw::new(method, INVOICES).host(SELFCARE).bearer(&token))
            .await
            .is(h1);
        // Over HTTP/2 a CONNECT has no path, so it cannot be sent here; the one with an authority follows.
        if method != "CONNECT" {
            world
                .ask(
                    &format!("{method} over HTTP/2"),
                    &H2Request::new(method, SELFCARE, INVOICES).bearer(&token),
                )
                .await
                .is(h2);
        }
        let target = Raw::new(method, SELFCARE.to_owned() + ":443").host(SELFCARE).bearer(&token);
        let outcome = world.ask(&format!("{method} of an authority"), &target).await;
        assert!((400..500).contains(&outcome.status()), "{method}: {}", outcome.status());
    }
    // HEAD is judged and answered as GET.
    let head = Raw::new("HEAD", "/assets/x").host(SELFCARE);
    world.ask("HEAD", &head).await.is(Forwarded("public"));
    let head = Raw::new("HEAD", INVOICES).host(SELFCARE);
    let outcome = world.ask("HEAD without a token", &head).await;
    outcome.is(Refused(401, "no_credential"));
    assert!(outcome.response().body.is_empty());
}

#[tokio::test]
async fn a_preflight_is_a_request_like_any_other() {
    let Some(world) = world().await else { return };
    for fields in [
        vec!["origin"],
        vec!["origin", "access-control-request-method"],
        vec!["access-control-request-method"],
        vec!["origin", "access-control-request-method", "access-control-request-headers"],
    ] {
        let request = Raw::new("OPTIONS", INVOICES).host(SELFCARE);
        let request = fields.iter().fold(request, |request, name| {
            request.header(name, if *name == "origin" { "https://selfcare.csp.com" } else { "DELETE" })
        });
        world.ask(&fields.join(" "), &request).await.is(Refused(401, "no_credential"));
        let with_token = request.bearer(&world.customers.token().sign());
        world.ask(&fields.join(" "), &with_token).await.is(Forwarded("token"));
    }
    let server = Raw::new("OPTIONS", "*").host(SELFCARE);
    world.ask("OPTIONS *", &server).await.is(ByEnvoy(404));
    let public = Raw::new("OPTIONS", "/assets/x").host(SELFCARE).header("origin", "https://x.example");
    world
        .ask("OPTIONS is not among the methods of the public rule", &public)
        .await
        .is(Refused(403, "no_rule"));
}
