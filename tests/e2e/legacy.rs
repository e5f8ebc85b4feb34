//! Routes on which PortaBilling judges its own credentials: they pass untouched, Keycloak's do not, and nobody becomes anybody.

use portcullis_tests::client::{H2Request, Raw};
use portcullis_tests::upstream::Seen;
use portcullis_tests::{EnvoyConfig, TokenBuilder};
use serde_json::{Value, json};

use crate::ask::{Ask as _, Forwarded, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, world_with};

const LEGACY: crate::ask::Verdict = Forwarded("legacy");

/// Sessions and everything below /old are legacy, on both sites; only selfcare has logins.
fn config(legacy: Value) -> EnvoyConfig {
    EnvoyConfig::file("two-realms.yaml").edit_plugin(|plugin| {
        for site in 0..2 {
            let rules = plugin["sites"][site]["rules"].as_array_mut().unwrap();
            rules.insert(
                0,
                json!({"name": "sessions", "path": {"prefix": "/rest/Session"}, "access": "legacy"}),
            );
            rules.insert(1, json!({"name": "old", "path": {"prefix": "/old"}, "access": "legacy"}));
            rules.insert(2, json!({"name": "soap", "path": {"prefix": "/soap"}, "access": "legacy"}));
        }
        plugin["legacy"] = legacy;
    })
}

fn logins() -> Value {
    json!({"logins": {"Selfcare.csp.com": ["ZZZPortaOne"]}})
}

/// A JWT as PortaBilling signs them: HS256, no `kid`, no `iss`.
fn porta_jwt(token: TokenBuilder) -> String {
    token
        .only_claims(json!({"is_super_user": true, "login": "ZZZPortaOne", "exp": 1, "realm": "admin"}))
        .without_header("kid")
        .sign_with(b"porta")
}

#[track_caller]
fn assert_nobody(seen: &Seen) {
    assert!(seen.headers_with_prefix("x-porta-").is_empty(), "{:?}", seen.headers);
}

#[tokio::test]
async fn portabillings_credentials_pass_untouched() {
    let Some(world) = world_with(config(logins())).await else { return };
    let jwt = format!("Bearer {}", porta_jwt(world.customers.token()));
    let kidless = format!(
        "Bearer {}",
        world.customers.token().only_claims(json!({"login": "x"})).without_header("kid").sign()
    );
    let issuerless = format!("Bearer {}", world.customers.token().only_claims(json!({"login": "x"})).sign());
    for (what, authorization) in [
        ("none", None),
        ("a JWT of PortaBilling", Some(jwt.as_str())),
        ("RS256 without kid and iss", Some(&kidless)),
        ("a key, but no issuer", Some(&issuerless)),
        ("an opaque session id", Some("Bearer a3f9c2d1e0b74658")),
        ("an opaque one with dots", Some("Bearer a.b.c")),
        ("a password", Some("Basic YWxpY2U6c2VjcmV0")),
        ("a digest", Some("Digest username=\"alice\", nonce=\"x\"")),
        ("nothing after Bearer", Some("Bearer")),
        ("an empty one", Some("")),
    ] {
        let cookie = "session_id=a3f9; other=1";
        let mut h1 = Raw::post("/old/Customer/get")
            .host(SELFCARE)
            .header("cookie", cookie)
            .header("x-porta-user", "root");
        let mut h2 = H2Request::new("POST", SELFCARE, "/old/Customer/get")
            .header("cookie", cookie)
            .header("X-Porta-Realm", "admins");
        if let Some(value) = authorization {
            (h1, h2) = (h1.header("Authorization", value), h2.header("authorization", value));
        }
        for outcome in [world.ask(what, &h1.body("{\"auth_info\":{}}")).await, world.ask(what, &h2).await] {
            let seen = outcome.is(LEGACY).of_realm("customers").seen();
            let expected: Vec<_> = authorization.into_iter().map(str::to_owned).collect();
            assert_eq!(seen.header_all("authorization"), expected, "{what}");
            assert_eq!(seen.header("cookie").as_deref(), Some(cookie), "{what}");
            assert_nobody(seen);
        }
    }
}

#[tokio::test]
async fn keycloaks_tokens_have_no_business_there() {
    let Some(world) = world_with(config(logins())).await else { return };
    let token = || world.customers.token();
    let refused = Refused(400, "token_on_legacy_route");
    for (what, token) in [
        ("a good token", token().sign()),
        ("an expired token", token().expired(60).sign()),
        ("the other realm's", world.admins.token().sign()),
        ("without kid", token().without_header("kid").sign()),
        ("an ID token", token().claim("typ", "ID").sign()),
        ("unsigned", token().unsigned("none")),
        ("HS256", token().sign_with(b"x")),
        ("with a bad signature", format!("{}AAAA", token().sign())),
    ] {
        world.ask(what, &Raw::post("/old/x").host(SELFCARE).bearer(&token)).await.is(refused);
        world
            .ask(what, &H2Request::new("POST", SELFCARE, "/rest/Session/ping").bearer(&token))
            .await
            .is(refused);
    }
    let good = token().sign();
    for value in [
        format!("Bearer  {good}"),
        format!("Bearer\t{good}"),
        format!("Bearer \"{good}\""),
        format!("bearer a3f9,{good}"),
        format!("DPoP {good}"),
        format!("Token token={good}"),
        good.clone(),
    ] {
        let request = Raw::post("/old/x").host(SELFCARE).header("authorization", &value);
        world.ask(&value, &request).await.is(refused);
    }
    for name in ["access_token", "access%5Ftoken"] {
        let request = Raw::post(format!("/old/x?{name}={good}")).host(SELFCARE);
        world.ask(name, &request).await.is(refused);
    }
    let opaque = Raw::post("/old/x").host(SELFCARE).bearer("a3f9");
    let password = Raw::post("/old/x").host(SELFCARE).header("authorization", "Basic YTpi");
    for (what, request, reason) in [
        ("a second one", opaque.clone().bearer(&good), "token_on_legacy_route"),
        (
            "a second one before",
            Raw::post("/old/x").host(SELFCARE).bearer(&good).bearer("a3f9"),
            "token_on_legacy_route",
        ),
        ("a password and a token", password.clone().bearer(&good), "token_on_legacy_route"),
        ("the same one twice", opaque.clone().bearer("a3f9"), "ambiguous_credential"),
    ] {
        world.ask(what, &request).await.is(Refused(400, reason));
    }
    // Two of PortaBilling's own are its own affair: Envoy joins them to one field.
    let outcome = world.ask("two passwords", &password.header("authorization", "Basic Yzpk")).await;
    assert_eq!(outcome.is(LEGACY).seen().header("authorization").as_deref(), Some("Basic YTpi,Basic Yzpk"));
    // And PortaBilling's credentials open no guarded route.
    let guarded = Raw::get(INVOICES).host(SELFCARE);
    world
        .ask("a JWT of PortaBilling", &guarded.clone().bearer(&porta_jwt(token())))
        .await
        .is(Refused(401, "token_algorithm"));
    world.ask("a session id", &guarded.bearer("a3f9c2")).await.is(Refused(401, "token_malformed"));
}

#[tokio::test]
async fn a_password_opens_only_hosts_with_logins() {
    let Some(world) = world_with(config(logins())).await else { return };
    let refused = Refused(403, "legacy_login");
    for path in [
        "/rest/Session/login",
        "/rest/Session/login/{\"login\":\"root\"}",
        "/rest/session/login",
        "/rest/SESSION/login",
        "/rest/%53ession/login",
        "/rest/Session/refresh_access_token",
        "/rest/Session/generate_otp",
        "/rest/Session/Ping",
        "/rest/Session/ping/x",
        "/rest/Session",
        "/rest/Session/",
        "/soap/Session",
        "/soap/session/login",
        "/rest/Session/login2",
    ] {
        let body = "{\"params\":{\"login\":\"porta-support\",\"password\":\"x\"}}";
        let status = world.ask(path, &Raw::post(path).host(ADMIN).body(body)).await;
        if path.to_lowercase().starts_with("/rest/session")
            && !path.starts_with("/rest/Session")
            && !path.contains('%')
        {
            // Another spelling is another path: the rule is not matched, and the next one asks for a token.
            status.is(Refused(401, "no_credential"));
        } else {
            status.is(refused).of_realm("admins");
        }
    }
    for path in ["/rest/Session/ping", "/rest/Session/logout", "/old/x"] {
        let outcome = world.ask(path, &Raw::post(path).host(ADMIN)).await;
        assert_nobody(outcome.is(LEGACY).of_realm("admins").seen());
    }
    for host in [SELFCARE, "SELFCARE.csp.com:443", "selfcare.csp.com."] {
        world
            .ask(host, &Raw::post("/rest/Session/login").host(host).body("{}"))
            .await
            .is(LEGACY)
            .of_realm("customers");
    }
    // The wildcard host of the same site has no logins.
    world.ask("x.pbx", &Raw::post("/rest/Session/login").host("x.pbx.csp.com").body("{}")).await.is(refused);
}

#[tokio::test]
async fn a_legacy_route_can_be_bound_to_networks() {
    for (networks, inside) in [
        (json!(["203.0.113.0/24"]), false),
        (json!(["203.0.113.0/24", "127.0.0.0/8"]), true),
        (json!(["::/0"]), false),
    ] {
        let legacy = json!({"logins": {SELFCARE: ["ZZZPortaOne"]}, "networks": networks});
        let Some(world) = world_with(config(legacy)).await else { return };
        let expected = if inside { LEGACY } else { Refused(403, "legacy_network") };
        let request = || Raw::post("/old/x").host(SELFCARE);
        world.ask("from the loopback", &request()).await.is(expected);
        for name in
            ["x-forwarded-for", "x-real-ip", "forwarded", "x-envoy-external-address", "true-client-ip"]
        {
            for address in ["203.0.113.7", "127.0.0.1, 203.0.113.7", "203.0.113.7, 127.0.0.1"] {
                world.ask(name, &request().header(name, address)).await.is(expected);
            }
        }
        let token = world.customers.token().sign();
        world
            .ask("tokens are good from anywhere", &Raw::get(INVOICES).host(SELFCARE).bearer(&token))
            .await
            .forwarded();
        world.ask("so are assets", &Raw::get("/assets/x").host(SELFCARE)).await.is(Forwarded("public"));
    }
}
