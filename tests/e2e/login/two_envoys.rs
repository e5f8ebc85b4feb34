//! Two Envoys with the same keys, as behind a load balancer: nothing of a login is kept in either.

use portcullis_tests::{Browser, Visit};

use super::{PAGE, SELFCARE, config, portal, portal_with, until_tokens_end, with_login, without_skew};

fn page() -> Visit {
    Visit::navigation(format!("{SELFCARE}{PAGE}"))
}

/// The same browser, whose requests the load balancer sends to this Envoy.
fn at(browser: &Browser, envoy: &portcullis_tests::Envoy) -> Browser {
    browser.clone().tls_route(SELFCARE, envoy.addr())
}

#[tokio::test]
async fn a_login_that_begins_at_one_ends_at_the_other() {
    let Some(mut portal) = portal().await else { return };
    let other = portal.world.wire(config()).start().await.unwrap_or_else(|e| panic!("{e}"));
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, page().url().as_str()).await;
    let mut there = at(&browser, &other);
    let back = there.go(&callback).await;
    assert_eq!(back.status, 303, "{}\n{}", back.text(), other.log());
    assert_eq!(there.go(&page()).await.status, 200, "{}", other.log());
    let mut here = at(&there, &portal.world.envoy);
    portal.send("at the first", &mut here, &page()).await.forwarded();
    drop(other);
    portal.send("the second is gone", &mut here, &page()).await.forwarded();
    portal.assert_sound();
}

/// Each renews for itself: the session that either has renewed goes on at both.
#[tokio::test]
async fn a_session_that_one_has_renewed_goes_on_at_the_other() {
    let config = || {
        let session = serde_json::json!({"refresh_before": "1s"});
        without_skew(with_login(config(), |login| login["session"] = session))
    };
    let Some(mut portal) = portal_with(config()).await else { return };
    let other = portal.world.wire(config()).start().await.unwrap_or_else(|e| panic!("{e}"));
    let provider = portal.world.customers.provider().clone();
    provider.access_tokens_live(3);
    let mut browser = portal.signed_in().await;
    for round in 1..=2 {
        until_tokens_end(5).await;
        let mut there = at(&browser, &other);
        assert_eq!(there.go(&page()).await.status, 200, "{}", other.log());
        until_tokens_end(5).await;
        browser = at(&there, &portal.world.envoy);
        portal.send("at the first", &mut browser, &page()).await.forwarded();
        assert_eq!(provider.grants("refresh_token"), 2 * round);
        assert!(!provider.last_session().ended);
    }
    portal.assert_sound();
}

/// Other keys open nothing.
#[tokio::test]
async fn an_envoy_with_other_keys_knows_no_session_of_the_first() {
    let Some(portal) = portal().await else { return };
    let stranger = portal.world.wire(config().vm_env("PORTCULLIS_COOKIE_KEY", super::OTHER_COOKIE_KEY));
    let stranger = stranger.start().await.unwrap_or_else(|e| panic!("{e}"));
    let browser = portal.signed_in().await;
    let status = at(&browser, &stranger).go(&Visit::fetch(page().url())).await.status;
    assert_eq!(status, 401, "{}", stranger.log());
}
