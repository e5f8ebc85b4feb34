//! Access tokens are renewed before anybody notices: once for a session, and not at all while Keycloak is away.

use portcullis_tests::issuer::{Lie, User};
use portcullis_tests::{Browser, Endpoint, EnvoyConfig, Fault, Realm, Visit};
use serde_json::json;

use super::{
    PAGE, Portal, SELFCARE, SESSION, SHORT, cookies, portal_with, set_cookies, takes_back, until_tokens_end,
    with_login,
};
use crate::realms::until;

fn page() -> Visit {
    Visit::fetch(format!("{SELFCARE}{PAGE}"))
}

/// Access tokens that are renewed a second before they end, and count for no longer than they say.
fn config() -> EnvoyConfig {
    super::without_skew(with_login(super::config(), |login| {
        login["session"] = json!({"refresh_before": "1s"});
    }))
}

/// A browser whose access token has ended since it signed in.
async fn with_ended_token(portal: &Portal) -> Browser {
    let provider = portal.world.customers.provider();
    provider.access_tokens_live(SHORT.as_secs());
    let browser = portal.signed_in().await;
    provider.access_tokens_live(300);
    until_tokens_end(SHORT.as_secs() + 2).await;
    browser
}

/// Matrix row 111: however many ask at once, in whatever worker, Keycloak is asked once and everybody is served.
#[tokio::test]
async fn twenty_requests_with_an_expired_token_make_one_token_call() {
    let Some(mut portal) = portal_with(config().concurrency(2)).await else { return };
    let provider = portal.world.customers.provider().clone();
    let browser = with_ended_token(&portal).await;
    let before = portal.world.upstream.requests();
    portal.world.customers.fault(Endpoint::Token, Fault::Hold);
    let asked: Vec<_> = (0..20)
        .map(|_| {
            // Each request of a browser has a connection of its own.
            let mut browser = browser.clone().patience(crate::realms::IN_THE_END);
            tokio::spawn(async move { (browser.go(&page()).await, browser) })
        })
        .collect();
    until("all of them are there", async || {
        portal.world.envoy.stat("http.ingress.downstream_rq_active").await == Some(20)
    })
    .await;
    assert_eq!(portal.world.upstream.requests(), before, "nobody passes with a token that has ended");
    portal.world.customers.clear_faults();
    let mut renewed = Vec::new();
    for asked in asked {
        let (page, browser) = asked.await.expect("the task ends");
        assert_eq!(page.status, 200, "{}\n{}", page.text(), portal.world.envoy.log());
        assert!(browser.refused_cookies().is_empty());
        renewed.push(browser);
    }
    assert_eq!((provider.grants("refresh_token"), portal.world.customers.hits(Endpoint::Token)), (1, 2));
    assert_eq!(portal.world.upstream.requests(), before + 20);
    assert!(!provider.last_session().ended, "no refresh token was used twice");
    // Parallel tabs: the cookie from before goes on for a while, without another call.
    for (what, browser) in
        [("the old cookie", browser), ("the new one", renewed.remove(0)), ("another", renewed.remove(7))]
    {
        portal.send(what, &mut browser.clone(), &page()).await.forwarded();
    }
    assert_eq!(provider.grants("refresh_token"), 1);
    portal.assert_sound();
}

#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let config = with_login(super::config(), |login| login["session"] = json!({"refresh_before": "4m"}));
    let Some(mut portal) = portal_with(config).await else { return };
    let provider = portal.world.customers.provider().clone();
    provider.access_tokens_live(60);
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    portal.send("the callback", &mut browser, &callback).await;
    let before = cookies(&browser, SELFCARE, SESSION);
    provider.access_tokens_live(300);
    let outcome = portal.send("due", &mut browser, &page()).await;
    outcome.forwarded();
    assert_eq!(provider.grants("refresh_token"), 1, "it is good for a minute, and renewed");
    assert!(!set_cookies(&outcome.page, SESSION).is_empty(), "{}", outcome.context());
    assert_ne!(cookies(&browser, SELFCARE, SESSION), before);
    portal.send("no longer due", &mut browser, &page()).await.forwarded();
    assert_eq!(provider.grants("refresh_token"), 1);
    portal.assert_sound();
}

/// Each refresh token works once, and the filter never sends one a second time: many renewals in a row, by many tabs.
#[tokio::test]
async fn rotation_goes_on_for_as_long_as_the_session() {
    let Some(mut portal) = portal_with(config().concurrency(2)).await else { return };
    let provider = portal.world.customers.provider().clone();
    provider.access_tokens_live(SHORT.as_secs());
    let mut browser = portal.signed_in().await;
    for round in 1..=3 {
        until_tokens_end(SHORT.as_secs() + 3).await;
        let tabs = futures_util::future::join_all((0..6).map(|_| {
            let mut tab = browser.clone();
            async move { (tab.go(&page()).await.status, tab) }
        }));
        let tabs = tabs.await;
        assert!(tabs.iter().all(|(status, _)| *status == 200), "round {round}\n{}", portal.world.envoy.log());
        // The browser keeps the cookies of the answer that came last.
        browser = tabs.into_iter().next_back().expect("there are tabs").1;
        assert_eq!(provider.grants("refresh_token"), round);
        assert!(!provider.last_session().ended, "round {round}");
    }
    portal.assert_sound();
}

#[tokio::test]
async fn without_keycloak_a_good_token_goes_on_and_an_ended_one_waits_out_the_outage() {
    let config = with_login(config(), |login| {
        login["timeout"] = "2s".into();
        login["session"] = json!({"refresh_before": "4m"});
    });
    let Some(mut portal) = portal_with(config).await else { return };
    let provider = portal.world.customers.provider().clone();
    // Due at once, and good for a while.
    provider.access_tokens_live(60);
    let mut good = portal.browser();
    let callback = portal.to_callback(&mut good, &format!("{SELFCARE}{PAGE}")).await;
    portal.send("the callback", &mut good, &callback).await;
    portal.world.customers.stop().await;
    for _ in 0..3 {
        portal.send("a good token", &mut good, &page()).await.forwarded();
    }
    portal.world.customers.restart().await;

    let ended = with_ended_token(&portal).await;
    let session = cookies(&ended, SELFCARE, SESSION);
    let faults =
        [None, Some(Fault::Status(500)), Some(Fault::Stall), Some(Fault::html()), Some(Fault::Status(401))];
    for fault in faults {
        let what = format!("{fault:.40?}");
        let wrong = matches!(fault, Some(Fault::Body { .. } | Fault::Status(401)));
        match fault {
            None => portal.world.customers.stop().await,
            Some(fault) => portal.world.customers.fault(Endpoint::Token, fault),
        }
        for visit in [page(), Visit::navigation(format!("{SELFCARE}{PAGE}"))] {
            let mut browser = ended.clone();
            let outcome = portal.send(&what, &mut browser, &visit).await;
            let (status, reason) = (outcome.page.status, outcome.log.contains("reason=idp_"));
            assert!(reason && (status == 503 || (wrong && status == 502)), "{}", outcome.context());
            outcome.without_cookies();
            assert_eq!(
                (outcome.reached, cookies(&browser, SELFCARE, SESSION)),
                (0, session.clone()),
                "{what}"
            );
        }
        portal.world.customers.clear_faults();
        if !portal_reachable(&portal).await {
            portal.world.customers.restart().await;
        }
    }
    // The session has survived all that.
    let seen = |mut browser: Browser| async move { browser.go(&page()).await.status };
    until("the session goes on", async || seen(ended.clone()).await == 200).await;
    assert!(!provider.last_session().ended);
    portal.assert_sound();
}

async fn portal_reachable(portal: &Portal) -> bool {
    tokio::net::TcpStream::connect(portal.world.customers.addr()).await.is_ok()
}

#[tokio::test]
async fn a_refused_refresh_is_the_end_of_the_session() {
    let Some(mut portal) = portal_with(config()).await else { return };
    let browser = with_ended_token(&portal).await;
    portal.world.customers.provider().end_sessions();
    let mut script = browser.clone();
    let outcome = portal.send("a script", &mut script, &page()).await;
    outcome.refused(401, "session_ended");
    let lines = set_cookies(&outcome.page, SESSION);
    assert!(!lines.is_empty() && lines.iter().all(|line| takes_back(line)), "{}", outcome.context());
    assert!(cookies(&script, SELFCARE, SESSION).is_empty());
    // Another tab of it, which still has the cookie, does not ask Keycloak again.
    let mut tab = browser.clone();
    portal.send("a navigation", &mut tab, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.begun();
    assert!(cookies(&tab, SELFCARE, SESSION).is_empty());
    assert_eq!(portal.world.customers.provider().grants("refresh_token"), 1);
    let mut form = browser.clone();
    let post = Visit::form(format!("{SELFCARE}{PAGE}"), &[("amount", "5")]);
    let outcome = portal.send("a form", &mut form, &post).await;
    outcome.refused(401, "session_ended").with_page();
    assert!(outcome.page.text().contains("/sso/start"), "it says how to go on: {}", outcome.context());
    portal.sign_in(&mut browser.clone(), SELFCARE).await;
    portal.assert_sound();
}

/// What a refresh brings is judged like everything else.
#[tokio::test]
async fn a_refresh_that_lies_lets_nobody_through() {
    let Some(mut portal) = portal_with(config()).await else { return };
    let provider = portal.world.customers.provider().clone();
    let stranger = Realm::customers();
    let now = portcullis_tests::now();
    for (what, lie) in [
        ("another user", Lie::access_token(|token| token.claim("sub", "other").sign())),
        ("a foreign key", Lie::access_token(move |token| token.key_of(&stranger).sign())),
        ("alg none", Lie::access_token(|token| token.unsigned("none"))),
        ("another audience", Lie::access_token(|token| token.claim("aud", "other").sign())),
        ("typ ID", Lie::access_token(|token| token.claim("typ", "ID").sign())),
        ("expired", Lie::access_token(move |token| token.claim("exp", now - 60).sign())),
        ("an ID token of another user", Lie::id_claim("sub", "other")),
        ("an ID token of nobody", Lie::no_id_claim("sub")),
        ("an ID token that is none", Lie::member("id_token", "x.y.z")),
        ("no access token", Lie::no_member("access_token")),
        ("no token at all", Lie::member("access_token", "x")),
    ] {
        let mut browser = with_ended_token(&portal).await;
        provider.lie(lie);
        let outcome = portal.send(what, &mut browser, &page()).await;
        provider.tell_the_truth();
        assert!(
            outcome.reached == 0 && [401, 502, 503].contains(&outcome.page.status),
            "{}",
            outcome.context()
        );
        assert!(outcome.log.contains("refused status="), "{}", outcome.context());
    }
    // Roles are those of the new token: what was taken away is gone.
    let mut browser = with_ended_token(&portal).await;
    provider.lie(Lie::access_token(|token| token.realm_roles(&["other"]).sign()));
    portal.send("the role is gone", &mut browser, &page()).await.refused(403, "missing_role");
    portal.assert_sound();
}

#[tokio::test]
async fn what_a_refresh_leaves_out_stays_as_it_was() {
    let Some(portal) = portal_with(config()).await else { return };
    let provider = portal.world.customers.provider();
    provider.rotate_refresh_tokens(false);
    for member in ["refresh_token", "id_token"] {
        let mut browser = with_ended_token(&portal).await;
        provider.lie(Lie::no_member(member));
        provider.access_tokens_live(SHORT.as_secs());
        portal.send(member, &mut browser, &page()).await.forwarded();
        until_tokens_end(SHORT.as_secs() + 3).await;
        portal.send(member, &mut browser, &page()).await.forwarded();
        provider.tell_the_truth();
    }
}

#[tokio::test]
async fn a_body_waits_with_its_request_and_arrives_whole() {
    let Some(mut portal) = portal_with(config()).await else { return };
    portal.world.customers.provider().sign_in(User::new());
    let mut browser = with_ended_token(&portal).await;
    portal.world.customers.fault(Endpoint::Token, Fault::Delay(std::time::Duration::from_millis(500)));
    let body = vec![b'x'; 3_000_000];
    let upload = page().method("POST").body("application/octet-stream", body.clone());
    let seen = portal.send("an upload", &mut browser, &upload).await.forwarded();
    assert_eq!((seen.body.len(), seen.method.as_str()), (body.len(), "POST"));
    portal.assert_sound();
}
