//! What comes of a login with a password: every worker knows its tokens, nobody else's pass, and failures are counted.

use portcullis_tests::EnvoyConfig;
use portcullis_tests::client::{H2Request, Raw};
use portcullis_tests::upstream::Canned;
use serde_json::{Value, json};

use crate::ask::{Ask as _, Forwarded, Refused};
use crate::support::{SELFCARE, world_with};

const LEGACY: crate::ask::Verdict = Forwarded("legacy");
const UNSEEN: crate::ask::Verdict = Refused(401, "legacy_unseen");
const SESSION: &str = "2cfc62c22529547256913502b270cc3c";
const REFRESH: &str = "829d5f00112233445566778899aabbcc";

fn config(legacy: Value) -> EnvoyConfig {
    EnvoyConfig::file("two-realms.yaml").reads_bodies().edit_plugin(|plugin| {
        let rules = plugin["sites"][0]["rules"].as_array_mut().unwrap();
        rules.insert(0, json!({"name": "sessions", "path": {"prefix": "/rest/Session"}, "access": "legacy"}));
        rules.insert(1, json!({"name": "old", "path": {"prefix": "/old"}, "access": "legacy"}));
        plugin["legacy"] = legacy;
    })
}

fn call(method: &str, params: &Value) -> Raw {
    Raw::post(format!("/rest/Session/{method}"))
        .host(SELFCARE)
        .header("content-type", "application/json")
        .header("accept-encoding", "gzip")
        .body(json!({ "params": params }).to_string())
}

fn login(name: &str) -> Raw {
    call("login", &json!({"login": name, "password": "s3cr3tMark"}))
}

fn tokens(session: &str, refresh: &str) -> Canned {
    let body = json!({"access_token": "e30.e30.e30", "session_id": session, "refresh_token": refresh, "expires_at": "2026-12-01 00:00:00"});
    Canned {
        status: 200,
        cookies: vec![format!("sid={session}; Path=/; HttpOnly")],
        body: format!(" {body}\n"),
    }
}

fn fault() -> Canned {
    let body = json!({"faultcode": "Server.Session.auth_failed", "faultstring": "Authentication failed"});
    Canned { status: 500, cookies: Vec::new(), body: body.to_string() }
}

/// Requests on connections of their own, so that each worker answers some of them.
#[tokio::test]
async fn every_worker_knows_the_tokens_of_a_login_that_any_has_seen() {
    let config = config(json!({"logins": {SELFCARE: ["ZZZPortaOne"]}})).concurrency(2);
    let Some(world) = world_with(config).await else { return };
    let by_header = || Raw::post("/old/x").host(SELFCARE).bearer(SESSION);
    let by_cookie = || H2Request::new("GET", SELFCARE, "/old/x").header("cookie", format!("sid={SESSION}"));
    let renew = |token: &str| call("refresh_access_token", &json!({ "refresh_token": token }));
    for _ in 0..8 {
        world.ask("unseen", &by_header()).await.is(UNSEEN);
        world.ask("unseen, as a cookie", &by_cookie()).await.is(UNSEEN);
        world.ask("unseen, to renew", &renew(REFRESH)).await.is(UNSEEN);
    }
    let canned = tokens(SESSION, REFRESH);
    world.upstream.answers(Some(canned.clone()));
    let response = world.send(&login("ZZZPortaOne")).await;
    assert_eq!(
        (response.status, response.text()),
        (200, canned.body),
        "what the client gets is PortaBilling's"
    );
    assert_eq!(response.header("set-cookie"), canned.cookies.first().cloned());
    assert_eq!(world.upstream.last().unwrap().header("accept-encoding"), None);
    for _ in 0..8 {
        world.ask("seen", &by_header()).await.is(LEGACY);
        world.ask("seen, as a cookie", &by_cookie()).await.is(LEGACY);
        world.ask("another one", &Raw::post("/old/x").host(SELFCARE).bearer(REFRESH)).await.is(LEGACY);
    }
    // What a renewal brings is known as well.
    let renewed = "00112233445566778899aabbccddeeff";
    world.upstream.answers(Some(tokens(renewed, "a renewed one")));
    assert_eq!(world.send(&renew(REFRESH)).await.status, 200);
    for _ in 0..8 {
        world.ask("renewed", &Raw::post("/old/x").host(SELFCARE).bearer(renewed)).await.is(LEGACY);
    }
    // And nothing that a failed login says.
    let failed = "ffffffffffffffffffffffffffffffff";
    world.upstream.answers(Some(Canned { status: 500, ..tokens(failed, failed) }));
    assert_eq!(world.send(&login("ZZZPortaOne")).await.status, 500);
    world.upstream.answers(None);
    world.ask("of a failed login", &Raw::post("/old/x").host(SELFCARE).bearer(failed)).await.is(UNSEEN);
    let log = world.envoy.log();
    for line in ["password login succeeded status=200", "password login failed status=500"] {
        assert!(log.lines().any(|known| known.contains("warning") && known.contains(line)), "{line}: {log}");
    }
    for secret in ["s3cr3tMark", SESSION, REFRESH, renewed, failed] {
        assert!(!log.contains(secret), "the log holds {secret}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_long_to_be_read_arrives_all_the_same() {
    let Some(world) = world_with(config(json!({"logins": {SELFCARE: ["ZZZPortaOne"]}}))).await else {
        return;
    };
    for length in [16_000, 17_000, 200_000] {
        let mut canned = tokens(SESSION, REFRESH);
        canned.body = " ".repeat(length - canned.body.len()) + &canned.body;
        world.upstream.answers(Some(Canned { cookies: Vec::new(), ..canned.clone() }));
        let response = world.send(&login("ZZZPortaOne")).await;
        assert_eq!((response.status, response.text().len()), (200, length));
    }
    world.upstream.answers(None);
    let empty = Canned { status: 200, cookies: Vec::new(), body: String::new() };
    world.upstream.answers(Some(empty));
    assert_eq!(world.send(&login("ZZZPortaOne")).await.status, 200);
}

#[tokio::test]
async fn logins_that_fail_too_often_are_refused_by_every_worker() {
    let legacy = json!({"logins": {SELFCARE: ["ZZZPortaOne", "second"]}, "attempts": {"per_login": 3, "per_source": 100}});
    let Some(world) = world_with(config(legacy).concurrency(2)).await else { return };
    for _ in 0..3 {
        world.ask("nobody", &login("bob")).await.is(Refused(403, "legacy_login"));
    }
    let outcome = world.ask("nobody, again", &login("bob")).await;
    outcome.is(Refused(429, "legacy_attempts"));
    let wait: u64 =
        outcome.response().header("retry-after").expect("when to come back").parse().expect("seconds");
    assert!((1..=300).contains(&wait), "{wait}");
    world.upstream.answers(Some(fault()));
    for _ in 0..3 {
        assert_eq!(world.send(&login("ZZZPortaOne")).await.status, 500);
    }
    for _ in 0..4 {
        world.ask("a wrong password, again", &login("ZZZPortaOne")).await.is(Refused(429, "legacy_attempts"));
    }
    // Another login is not locked out, nor one that succeeds.
    world.upstream.answers(Some(tokens(SESSION, REFRESH)));
    for _ in 0..5 {
        assert_eq!(world.send(&login("second")).await.status, 200);
    }
}

#[tokio::test]
async fn the_operator_may_let_tokens_pass_unseen() {
    let legacy = json!({"logins": {SELFCARE: ["ZZZPortaOne"]}, "unseen_tokens": "allow"});
    let Some(world) = world_with(config(legacy)).await else { return };
    let request = Raw::post("/old/x").host(SELFCARE).header("content-type", "application/json");
    world.ask("one", &request.clone().bearer(SESSION)).await.is(LEGACY);
    let two = request.bearer(SESSION).body(json!({"auth_info": {"session_id": REFRESH}}).to_string());
    world.ask("two", &two).await.is(Refused(400, "ambiguous_credential"));
}
