//! What counts as a credential: one bearer token in one `Authorization` field, whatever else the request carries.

use portcullis_tests::client::{H2Request, Raw};

use crate::ask::{Ask as _, Forwarded, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, world};

#[tokio::test]
async fn one_authorization_field_with_one_token() {
    let Some(world) = world().await else { return };
    let good = world.customers.token().sign();
    let bad = world.customers.token().expired(60).sign();
    let with = |values: &[String]| {
        let requests = (Raw::get(INVOICES).host(SELFCARE), H2Request::new("GET", SELFCARE, INVOICES));
        values.iter().fold(requests, |(h1, h2), value| {
            (h1.header("authorization", value), h2.header("authorization", value))
        })
    };
    let none = Refused(401, "no_credential");
    let malformed = Refused(401, "malformed_credential");
    let ambiguous = Refused(400, "ambiguous_credential");
    for (what, values, expected) in [
        ("none", vec![], none),
        ("Bearer", vec![format!("Bearer {good}")], Forwarded("token")),
        ("bearer", vec![format!("bearer {good}")], Forwarded("token")),
        ("BEARER", vec![format!("BEARER {good}")], Forwarded("token")),
        ("two spaces", vec![format!("Bearer  {good}")], malformed),
        ("a tab", vec![format!("Bearer\t{good}")], malformed),
        ("no token", vec!["Bearer".into()], malformed),
        ("quotes", vec![format!("Bearer \"{good}\"")], malformed),
        ("no space", vec![format!("Bearer{good}")], none),
        ("the token alone", vec![good.clone()], none),
        ("an empty field", vec![String::new()], none),
        ("Basic", vec!["Basic YWxpY2U6c2VjcmV0".into()], none),
        ("Negotiate", vec!["Negotiate YIIC".into()], none),
        ("DPoP", vec![format!("DPoP {good}")], none),
        ("a good and a bad one", vec![format!("Bearer {good}"), format!("Bearer {bad}")], ambiguous),
        ("a bad and a good one", vec![format!("Bearer {bad}"), format!("Bearer {good}")], ambiguous),
        ("the same one twice", vec![format!("Bearer {good}"), format!("Bearer {good}")], ambiguous),
        ("Basic and Bearer", vec!["Basic YTpi".into(), format!("Bearer {good}")], ambiguous),
        ("Bearer and Basic", vec![format!("Bearer {good}"), "Basic YTpi".into()], ambiguous),
        // Envoy joins the two to what the good one alone says, for the filter and the upstream alike.
        ("a good and an empty one", vec![format!("Bearer {good}"), String::new()], Forwarded("token")),
        ("an empty one and a good one", vec![String::new(), format!("Bearer {good}")], Forwarded("token")),
        ("joined with a comma", vec![format!("Bearer {good},Bearer {good}")], ambiguous),
        ("joined with comma and space", vec![format!("Basic YTpi, Bearer {good}")], ambiguous),
        ("two words", vec![format!("Bearer {good} {good}")], ambiguous),
    ] {
        let (h1, h2) = with(&values);
        world.ask(&format!("{what}, HTTP/1"), &h1).await.is(expected);
        world.ask(&format!("{what}, HTTP/2"), &h2).await.is(expected);
    }
}

#[tokio::test]
async fn a_token_anywhere_else_is_no_credential() {
    let Some(world) = world().await else { return };
    let good = world.customers.token().sign();
    let none = Refused(401, "no_credential");
    let request = || Raw::get(INVOICES).host(SELFCARE);
    let query = |name: &str| Raw::get(format!("{INVOICES}?{name}={good}")).host(SELFCARE);
    world.ask("in the query", &query("access_token")).await.is(none);
    world.ask("in the query, by another name", &query("token")).await.is(none);
    for name in ["access_token", "access%5Ftoken", "%61ccess_token"] {
        let outcome = world.ask("in the query and in Authorization", &query(name).bearer(&good)).await;
        outcome.is(Refused(400, "ambiguous_credential"));
    }
    let form = Raw::post(INVOICES).host(SELFCARE).header("content-type", "application/x-www-form-urlencoded");
    world.ask("in a form", &form.body(format!("access_token={good}"))).await.is(none);
    for name in [
        "cookie",
        "proxy-authorization",
        "x-authorization",
        "x-access-token",
        "x-forwarded-access-token",
        "x-auth-token",
        "sec-websocket-protocol",
        "x-amzn-oidc-accesstoken",
    ] {
        let value = if name == "cookie" {
            format!("access_token={good}; Authorization=Bearer {good}")
        } else {
            format!("Bearer {good}")
        };
        world.ask(name, &request().header(name, value)).await.is(none);
    }
    // Headers that let probes and previews in elsewhere.
    for (name, value) in [
        ("user-agent", "GoogleHC/1.0"),
        ("user-agent", "kube-probe/1.30"),
        ("user-agent", "Envoy/HC"),
        ("x-envoy-internal", "true"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-client-cert", "By=a"),
        ("purpose", "prefetch"),
        ("authorization_", "Bearer x"),
    ] {
        // Envoy itself refuses a name with an underscore, as the shipped configuration tells it.
        if name.contains('_') {
            assert_eq!(world.ask(name, &request().header(name, value)).await.status(), 400);
        } else {
            world.ask(value, &request().header(name, value)).await.is(none);
        }
    }
}

#[tokio::test]
async fn bytes_beyond_ascii_change_nothing() {
    let Some(world) = world().await else { return };
    let good = world.customers.token().sign();
    let bytes: Vec<Vec<u8>> = vec![
        (0x80..=0xff).collect(),
        b"\xff".to_vec(),
        b"\x80abc".to_vec(),
        "\u{e4}\u{20ac}".as_bytes().to_vec(),
        b"\xed\xa0\x80".to_vec(),
    ];
    let names = [
        "cookie",
        "x-anything",
        "user-agent",
        "x-request-id",
        "accept",
        "origin",
        "referer",
        "x-porta-user",
        "content-type",
        "sec-fetch-mode",
        "x-forwarded-for",
        "connection",
        "upgrade",
        "te",
    ];
    for value in &bytes {
        for name in names {
            let with = |request: Raw| request.header(name, value);
            let request = || with(Raw::get(INVOICES).host(SELFCARE));
            let what = format!("{name}: {:?}", String::from_utf8_lossy(value));
            let outcome = world.ask(&what, &request().bearer(&good)).await;
            assert_eq!(outcome.forwarded().header("x-porta-user").as_deref(), Some("alice"), "{what}");
            world.ask(&what, &request()).await.is(Refused(401, "no_credential"));
            world.ask(&what, &with(Raw::get("/assets/x").host(SELFCARE))).await.is(Forwarded("public"));
        }
        for name in names.iter().filter(|name| !["connection", "upgrade", "te"].contains(*name)) {
            let request = H2Request::new("GET", SELFCARE, INVOICES).header(name, value);
            world.ask(name, &request.clone().bearer(&good)).await.is(Forwarded("token"));
            world.ask(name, &request).await.is(Refused(401, "no_credential"));
        }
        let authorization = [&b"Bearer "[..], value].concat();
        let request = Raw::get(INVOICES).host(SELFCARE).header("authorization", &authorization);
        world.ask("authorization", &request).await.is(Refused(401, "malformed_credential"));
        world.ask("authorization", &request.bearer(&good)).await.is(Refused(400, "ambiguous_credential"));
        let path = [INVOICES.as_bytes(), value].concat();
        let request = Raw::get(path).host(SELFCARE).bearer(&good);
        assert_eq!(world.ask("path", &request).await.status(), 400);
        let query = [INVOICES.as_bytes(), b"?x=", value].concat();
        let request = Raw::get(query).host(SELFCARE);
        let status = world.ask("query", &request).await.status();
        assert!([400, 401].contains(&status), "{status}");
    }
    world
        .ask("and the worker lives", &Raw::get("/").host(ADMIN).bearer(&world.admins.token().sign()))
        .await
        .forwarded();
    assert_eq!(
        world.envoy.stat("wasm.envoy.wasm.runtime.v8.active").await.map(|active| active > 0),
        Some(true)
    );
    assert!(!world.envoy.log().contains("Function: proxy_on"), "no trap:\n{}", world.envoy.log());
}
