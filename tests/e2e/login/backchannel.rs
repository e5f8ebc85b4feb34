//! Keycloak says that a session is over (OpenID Connect Back-Channel Logout 1.0): sessions and bearer tokens of it end, on every worker.

use portcullis_tests::client::RawResponse;
use portcullis_tests::issuer::User;
use portcullis_tests::{Raw, Realm, Visit};
use serde_json::json;

use super::{PAGE, Portal, SELFCARE, config, portal, portal_with};
use crate::realms::until;

fn page() -> Visit {
    Visit::fetch(format!("{SELFCARE}{PAGE}"))
}

/// What Keycloak sends.
fn post(body: &str) -> Raw {
    Raw::post("/sso/backchannel-logout")
        .host("selfcare.csp.com")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
}

/// Sends a logout token as Keycloak does.
pub(super) async fn deliver(portal: &Portal, token: &str) -> RawResponse {
    portal.send_raw("selfcare.csp.com", &post(&format!("logout_token={token}"))).await
}

/// Many connections, so that every worker answers some of them, come to this status.
async fn comes_to(what: &str, status: u16, mut ask: impl AsyncFnMut() -> u16) {
    let mut in_a_row = 0;
    let deadline = tokio::time::Instant::now() + crate::realms::IN_THE_END;
    while in_a_row < 16 {
        in_a_row = if ask().await == status { in_a_row + 1 } else { 0 };
        assert!(tokio::time::Instant::now() < deadline, "in vain: {what}");
    }
}

#[tokio::test]
async fn a_logout_at_keycloak_ends_sessions_and_bearer_tokens_of_every_worker() {
    let Some(mut portal) = portal_with(config().concurrency(2)).await else { return };
    let provider = portal.world.customers.provider().clone();
    let (mut gone, stays) = (portal.signed_in().await, portal.signed_in().await);
    let (stays_session, gone_session) = (provider.last_session(), provider.sessions()[0].clone());
    assert_ne!(stays_session.sid, gone_session.sid);
    let bearer = |sid: &str| {
        let token = portal.world.customers.token().claim("sid", sid).claim("sub", gone_session.sub.as_str());
        page().header("authorization", format!("Bearer {}", token.sign()))
    };
    let (of_gone, of_stays) = (bearer(&gone_session.sid), bearer(&stays_session.sid));
    // Both have been seen by every worker.
    for _ in 0..16 {
        portal.send("a bearer", &mut portal.browser(), &of_gone).await.forwarded();
    }
    let response = deliver(&portal, &provider.logout_token(&gone_session).sign()).await;
    assert_eq!(response.status, 200, "{}\n{}", response.text(), portal.world.envoy.log());
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    comes_to("the session ends everywhere", 401, async || gone.clone().go(&page()).await.status).await;
    comes_to("its bearer tokens, too", 401, async || portal.browser().go(&of_gone).await.status).await;
    let outcome = portal.send("the session", &mut gone.clone(), &page()).await;
    outcome.refused(401, "session_revoked");
    portal.send("the bearer", &mut portal.browser(), &of_gone).await.refused(401, "session_revoked");
    portal.send("a navigation", &mut gone, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.begun();
    for _ in 0..8 {
        portal.send("another session", &mut stays.clone(), &page()).await.forwarded();
        portal.send("its bearer", &mut portal.browser(), &of_stays).await.forwarded();
    }
    // The user may come back.
    portal.sign_in(&mut gone, SELFCARE).await;
    portal.assert_sound();
}

#[tokio::test]
async fn a_logout_of_a_subject_ends_all_its_sessions_of_before() {
    let Some(mut portal) = portal_with(config().concurrency(2)).await else { return };
    let provider = portal.world.customers.provider().clone();
    provider.sign_in(User::new());
    let (one, two) = (portal.signed_in().await, portal.signed_in().await);
    let session = provider.last_session();
    provider.sign_in(User::new());
    let other = portal.signed_in().await;
    let response = deliver(&portal, &provider.logout_token(&session).without("sid").sign()).await;
    assert_eq!(response.status, 200, "{}", response.text());
    for browser in [one, two] {
        comes_to("the sessions end", 401, async || browser.clone().go(&page()).await.status).await;
    }
    portal.send("another user", &mut other.clone(), &page()).await.forwarded();
    // A login after that is a new one.
    let after = portcullis_tests::now() + 1;
    until("a second passes", async || portcullis_tests::now() > after).await;
    let mut user = User::new();
    user.sub = session.sub;
    provider.sign_in(user);
    portal.sign_in(&mut portal.browser(), SELFCARE).await;
    portal.assert_sound();
}

/// Each of them changes one fact of a good logout token, and the session goes on.
#[tokio::test]
async fn a_logout_token_is_checked_in_full() {
    let Some(mut portal) = portal().await else { return };
    let provider = portal.world.customers.provider().clone();
    let browser = portal.signed_in().await;
    let session = provider.last_session();
    let token = || provider.logout_token(&session);
    let (stranger, now) = (Realm::customers(), portcullis_tests::now());
    let event = "http://schemas.openid.net/event/backchannel-logout";
    for (what, token, reason) in [
        ("a foreign key", token().key_of(&stranger).sign(), "logout_token_jws"),
        ("the other realm's key", token().key_of(portal.world.admins.realm()).sign(), "logout_token_jws"),
        ("alg none", token().unsigned("none"), "logout_token_jws"),
        ("HS256", token().sign_with(super::CLIENT_SECRET.as_bytes()), "logout_token_jws"),
        ("no token", "x.y.z".to_owned(), "logout_token_jws"),
        (
            "another issuer",
            token().claim("iss", "https://evil.example/realms/customers").sign(),
            "logout_token_iss",
        ),
        ("the other realm", token().claim("iss", portal.world.admins.issuer()).sign(), "logout_token_iss"),
        ("another client", token().claim("aud", "cloudpbx-ui").sign(), "logout_token_aud"),
        ("no audience", token().without("aud").sign(), "logout_token_aud"),
        ("header typ at+jwt", token().header("typ", "at+jwt").sign(), "logout_token_typ"),
        ("typ ID", token().claim("typ", "ID").sign(), "logout_token_typ"),
        ("typ Bearer", token().claim("typ", "Bearer").sign(), "logout_token_typ"),
        ("no events", token().without("events").sign(), "logout_token_events"),
        ("another event", token().claim("events", json!({"http://x": {}})).sign(), "logout_token_events"),
        ("an event that is none", token().claim("events", json!({event: "x"})).sign(), "logout_token_events"),
        ("events in a list", token().claim("events", json!([event])).sign(), "logout_token_events"),
        ("a nonce", token().claim("nonce", "x").sign(), "logout_token_nonce"),
        ("no jti", token().without("jti").sign(), "logout_token_jti"),
        ("nobody", token().without("sid").without("sub").sign(), "logout_token_sub"),
        ("expired", token().claim("exp", now - 60).claim("iat", now - 180).sign(), "logout_token_time"),
        ("issued ahead", token().claim("iat", now + 3600).sign(), "logout_token_time"),
        ("no iat", token().without("iat").sign(), "logout_token_time"),
        ("no exp", token().without("exp").sign(), "logout_token_time"),
        ("issued long ago", token().claim("iat", now - 3600).sign(), "logout_token_time"),
        ("a sid that is a number", token().claim("sid", 7).sign(), "logout_token_sub"),
        ("a sub that is a list", token().claim("sub", json!(["x"])).sign(), "logout_token_sub"),
        ("a nonce that is null", token().claim("nonce", json!(null)).sign(), "logout_token_nonce"),
        ("an empty jti", token().claim("jti", "").sign(), "logout_token_jti"),
        (
            "an access token",
            portal.world.customers.token().claim("sid", session.sid.as_str()).sign(),
            "logout_token_typ",
        ),
    ] {
        let logged = portal.world.envoy.log().len();
        let response = deliver(&portal, &token).await;
        let log = portal.world.envoy.log().get(logged..).unwrap_or_default().to_owned();
        assert_eq!(response.status, 400, "{what}: {}\n{log}", response.text());
        assert!(log.contains(&format!("reason={reason} ")), "{what}: {log}");
        portal.send(what, &mut browser.clone(), &page()).await.forwarded();
    }
    let good = token().sign();
    for (what, request) in [
        ("an empty body", post("")),
        ("another field", post(&format!("token={good}"))),
        ("twice", post(&format!("logout_token={good}&logout_token={good}"))),
        ("100 kB", post(&format!("logout_token={}", "x".repeat(100_000)))),
        ("in the query", post("").header("x", "y")),
        (
            "as JSON",
            Raw::post("/sso/backchannel-logout")
                .host("selfcare.csp.com")
                .header("content-type", "application/json")
                .body(json!({ "logout_token": good }).to_string()),
        ),
    ] {
        let response = portal.send_raw("selfcare.csp.com", &request).await;
        assert!((400..500).contains(&response.status), "{what}: {} {}", response.status, response.text());
        portal.send(what, &mut browser.clone(), &page()).await.forwarded();
    }
    // Nothing of that has used the good one up; once it is used, it is.
    assert_eq!(deliver(&portal, &good).await.status, 200);
    let logged = portal.world.envoy.log().len();
    assert_eq!(deliver(&portal, &good).await.status, 400);
    assert!(portal.world.envoy.log()[logged..].contains("reason=logout_token_replayed "));
    portal.send("at last", &mut browser.clone(), &page()).await.refused(401, "session_revoked");
    portal.assert_sound();
}

/// Keycloak sends it from its own network, to any host of the realm; a body may come in pieces, and needs no cookie.
#[tokio::test]
async fn a_logout_token_comes_as_any_body_may() {
    let Some(mut portal) = portal().await else { return };
    let provider = portal.world.customers.provider().clone();
    let mut browser = portal.signed_in().await;
    let token = provider.logout_token(&provider.last_session()).header("typ", "JWT").sign();
    let body = format!("logout_token={token}");
    let (first, second) = body.split_at(200);
    let chunked = format!(
        "POST /sso/backchannel-logout HTTP/1.1\r\nhost: api.csp.com\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
         content-type: application/x-www-form-urlencoded; charset=utf-8\r\n\r\n{:x}\r\n{first}\r\n{:x}\r\n{second}\r\n0\r\n\r\n",
        first.len(),
        second.len()
    );
    let response = portal_tls(&portal, "api.csp.com", chunked.as_bytes()).await;
    assert_eq!(response.status, 200, "{}\n{}", response.text(), portal.world.envoy.log());
    portal.send("the session", &mut browser, &page()).await.refused(401, "session_revoked");
    // At a host of the other realm it is another realm's.
    let mut browser = portal.signed_in().await;
    let token = provider.logout_token(&provider.last_session()).sign();
    let request = Raw::post("/sso/backchannel-logout")
        .host("admin.csp.com")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!("logout_token={token}"));
    assert_eq!(portal.send_raw("admin.csp.com", &request).await.status, 400);
    portal.send("the session", &mut browser, &page()).await.forwarded();
    assert_eq!(portal.world.upstream.requests(), 3, "no logout token reaches the upstream");
    portal.assert_sound();
}

async fn portal_tls(portal: &Portal, host: &str, bytes: &[u8]) -> RawResponse {
    portcullis_tests::client::raw_tls(portal.world.envoy.addr(), host, bytes).await.expect("an answer")
}
