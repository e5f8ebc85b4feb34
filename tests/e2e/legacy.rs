//! Routes on which PortaBilling judges its own credentials: they pass untouched, Keycloak's do not, and nobody becomes anybody.

use std::fmt::Write as _;

use portcullis_tests::client::{H2Request, Raw};
use portcullis_tests::upstream::Seen;
use portcullis_tests::{EnvoyConfig, TokenBuilder};
use serde_json::{Value, json};

use crate::ask::{Ask as _, Forwarded, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, world_with};

const LEGACY: crate::ask::Verdict = Forwarded("legacy");

/// Sessions and everything below /old are legacy, on both sites; only selfcare has logins.
fn config(legacy: Value) -> EnvoyConfig {
    EnvoyConfig::file("two-realms.yaml").reads_bodies().edit_plugin(|plugin| {
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

/// Tokens pass unseen here: what becomes of them otherwise is in `legacy_sessions`.
fn logins() -> Value {
    json!({"logins": {"Selfcare.csp.com": ["ZZZPortaOne"]}, "unseen_tokens": "allow"})
}

/// A login of the list.
const ZZZ: &str = "{\"params\":{\"login\":\"ZZZPortaOne\",\"password\":\"x\"}}";

fn login(path: &str) -> Raw {
    Raw::post(path).header("content-type", "application/json")
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
    for (what, authorization) in [
        ("none", None),
        ("a JWT of PortaBilling", Some(jwt.as_str())),
        ("an opaque session id", Some("Bearer a3f9c2d1e0b74658")),
        ("an opaque one with dots", Some("Bearer a.b.c")),
        ("an empty one", Some("")),
    ] {
        let cookie = "session=a3f9; other=1";
        let mut h1 = Raw::post("/old/Customer/get")
            .host(SELFCARE)
            .header("content-type", "application/json")
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
    for other in ["Basic YWxpY2U6c2VjcmV0", "Digest username=\"alice\", nonce=\"x\"", "Bearer"] {
        let request = Raw::post("/old/x").host(SELFCARE).header("authorization", other);
        world.ask(other, &request).await.is(Refused(401, "malformed_credential"));
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
    let two = password.header("authorization", "Basic Yzpk");
    world.ask("two passwords", &two).await.is(Refused(401, "malformed_credential"));
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
        let status = world.ask(path, &login(path).host(ADMIN).body(ZZZ)).await;
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
        let request = login("/rest/Session/login").host(host).body(ZZZ);
        world.ask(host, &request).await.is(LEGACY).of_realm("customers");
    }
    // The wildcard host of the same site has no logins.
    world.ask("x.pbx", &login("/rest/Session/login").host("x.pbx.csp.com").body(ZZZ)).await.is(refused);
}

/// The body that was judged arrives, byte for byte, however it came.
#[tokio::test]
async fn the_upstream_gets_the_body_that_was_judged() {
    let Some(world) = world_with(config(logins())).await else { return };
    let path = "/rest/Session/login";
    let json =
        " {\t\"params\" :{\"password\": \"p\\u00e4ss\\/\", \"login\":\"\\u005aZZPortaOne\"}}\n".to_owned();
    let padded = format!("{{\"x\":\"{}\",{}", "y".repeat(60_000), &ZZZ[1..]);
    for body in [ZZZ, &json, &padded] {
        let whole = login(path).host(SELFCARE).body(body);
        let h2 = H2Request::new("POST", SELFCARE, path)
            .header("content-type", "application/json")
            .body(body.to_owned());
        let mut chunked = format!(
            "POST {path} HTTP/1.1\r\nHost: {SELFCARE}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
        );
        for piece in body.as_bytes().chunks(7.max(body.len() / 50)) {
            let piece = std::str::from_utf8(piece).expect("ASCII");
            write!(chunked, "{:x}\r\n{piece}\r\n", piece.len()).expect("a string takes it");
        }
        chunked += "0\r\n\r\n";
        for outcome in [
            world.ask("HTTP/1.1", &whole).await,
            world.ask("HTTP/2", &h2).await,
            world.ask("chunked, with Expect", &chunked.into_bytes()).await,
        ] {
            let seen = outcome.seen();
            assert_eq!(seen.body, body.as_bytes());
            assert_nobody(seen);
        }
    }
}

#[tokio::test]
async fn a_login_is_read_from_its_body_and_compared_with_the_list() {
    let Some(world) = world_with(config(logins())).await else { return };
    let path = "/rest/Session/login";
    let form = |body: &str| {
        Raw::post(path).host(SELFCARE).header("content-type", "application/x-www-form-urlencoded").body(body)
    };
    let multipart = |body: &str| {
        let body = body.replace('|', "\r\n");
        Raw::post(path).host(SELFCARE).header("content-type", "multipart/form-data; boundary=XX").body(body)
    };
    let json = |body: &str| login(path).host(SELFCARE).body(body);
    for (what, request) in [
        ("form", form("params=%7B%22login%22%3A%22ZZZPortaOne%22%2C%22password%22%3A%22x%22%7D")),
        ("plain form", form("login=ZZZPortaOne&password=x")),
        (
            "multipart",
            multipart(
                "--XX|Content-Disposition: form-data; name=\"params\"||{\"login\":\"ZZZPortaOne\"}|--XX--|",
            ),
        ),
        ("auth_info", json("{\"auth_info\":{\"login\":\"ZZZPortaOne\",\"password\":\"x\"}}")),
    ] {
        assert_nobody(world.ask(what, &request).await.is(LEGACY).seen());
    }
    let long = format!("{{\"x\":\"{}\",{}", "y".repeat(70_000), &ZZZ[1..]);
    let gzip = json(ZZZ).header("content-encoding", "gzip");
    for (what, request, refusal) in [
        ("another login", json("{\"params\":{\"login\":\"bob\"}}"), Refused(403, "legacy_login")),
        ("another login in a form", form("login=bob&password=x"), Refused(403, "legacy_login")),
        (
            "twice",
            json("{\"params\":{\"login\":\"ZZZPortaOne\",\"login\":\"bob\"}}"),
            Refused(400, "legacy_body_malformed"),
        ),
        (
            "two",
            json("{\"params\":{\"login\":\"ZZZPortaOne\"},\"auth_info\":{\"login\":\"bob\"}}"),
            Refused(400, "legacy_not_one_login"),
        ),
        ("no type", Raw::post(path).host(SELFCARE).body(ZZZ), Refused(415, "legacy_content_type")),
        (
            "XML",
            Raw::post(path)
                .host(SELFCARE)
                .header("content-type", "text/xml")
                .body("<login>ZZZPortaOne</login>"),
            Refused(415, "legacy_content_type"),
        ),
        ("two types", json(ZZZ).header("content-type", "text/xml"), Refused(415, "legacy_content_type")),
        ("encoded", gzip, Refused(415, "legacy_content_encoding")),
        ("too long", json(&long), Refused(413, "legacy_body_too_large")),
        ("GET", Raw::get(path).host(SELFCARE), Refused(405, "method")),
        (
            "in the query",
            login("/rest/Session/login?login=ZZZPortaOne").host(SELFCARE).body(ZZZ),
            Refused(400, "legacy_credential_in_url"),
        ),
        ("no body", login(path).host(SELFCARE), Refused(400, "legacy_not_one_login")),
    ] {
        let outcome = world.ask(what, &request).await;
        outcome.is(refusal).of_realm("customers");
    }
    let chunked = format!(
        "POST {path} HTTP/1.1\r\nHost: {SELFCARE}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{long}\r\n0\r\n\r\n",
        long.len()
    );
    let outcome = world.ask("too long, in chunks", &chunked.into_bytes()).await;
    outcome.is(Refused(413, "legacy_body_too_large"));
    let lines = world.envoy.log();
    for part in [
        "legacy credential forwarded",
        "reason=legacy_login",
        "login=\"bob\" host=\"selfcare.csp.com\" source=127.0.0.1",
    ] {
        assert!(lines.lines().any(|line| line.contains("warning") && line.contains(part)), "{part}: {lines}");
    }
}

/// Where the plugin may not read bodies, a login does not hang and does not pass.
#[tokio::test]
async fn without_the_setting_a_login_is_refused() {
    let blind = EnvoyConfig::file("two-realms.yaml").plugin(config(logins()).plugin_value());
    let blind = blind.edit_plugin(|plugin| plugin["limits"]["wait_timeout"] = "1s".into());
    let Some(world) = world_with(blind).await else { return };
    let request = login("/rest/Session/login").host(SELFCARE).body(ZZZ);
    world.ask("a login", &request).await.is(Refused(503, "legacy_body_unread"));
    // Nor does it wait for an answer that it may not read.
    let jwt = porta_jwt(world.customers.token());
    let renewal = Raw::post("/rest/Session/refresh_access_token").host(SELFCARE).bearer(&jwt);
    world.ask("a renewal", &renewal).await.is(Refused(400, "legacy_not_one_login"));
    world.ask("no body", &Raw::post("/rest/Session/ping").host(SELFCARE)).await.is(LEGACY);
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
