//! Sessions end: when nobody uses them, and in any case.

use portcullis_tests::{Browser, Visit};
use serde_json::json;

use super::{PAGE, Portal, SELFCARE, SESSION, cookies, portal_with, set_cookies, takes_back, with_login};
use crate::realms::{IN_THE_END, until};

fn page() -> Visit {
    Visit::fetch(format!("{SELFCARE}{PAGE}"))
}

/// Asks again and again with the first browser, which keeps what it is given, until the second one is refused; how often the first was
/// served.
async fn use_until_refused(portal: &Portal, used: &mut Browser, unused: Option<&Browser>) -> u32 {
    let deadline = tokio::time::Instant::now() + IN_THE_END;
    for served in 0.. {
        assert!(tokio::time::Instant::now() < deadline, "in vain: the session ends");
        let status = portal.send("in use", used, &page()).await.page.status;
        let Some(unused) = unused else {
            if status == 401 {
                return served;
            }
            continue;
        };
        assert_eq!(status, 200, "{}", portal.world.envoy.log());
        // A clone forgets what it is given: its cookies stay those of the beginning.
        if unused.clone().go(&page()).await.status == 401 {
            return served;
        }
    }
    0
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends() {
    let config =
        with_login(super::config(), |login| login["session"] = json!({"idle": "3s", "absolute": "1h"}));
    let Some(portal) = portal_with(config).await else { return };
    let (mut used, unused) = (portal.signed_in().await, portal.signed_in().await);
    assert!(use_until_refused(&portal, &mut used, Some(&unused)).await > 0);
    portal.send("in use", &mut used, &page()).await.forwarded();
    portal.send("ended", &mut unused.clone(), &page()).await.refused(401, "no_credential");
    portal.send("ended", &mut unused.clone(), &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.begun();
}

#[tokio::test]
async fn a_session_ends_however_much_it_is_used() {
    let config =
        with_login(super::config(), |login| login["session"] = json!({"idle": "4s", "absolute": "4s"}));
    let Some(portal) = portal_with(config).await else { return };
    let mut browser = portal.signed_in().await;
    let began = portal.world.customers.provider().last_session().auth_time;
    assert!(use_until_refused(&portal, &mut browser, None).await > 0);
    assert!(portcullis_tests::now() >= began + 4, "not before its time");
    portal.send("ended", &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.begun();
}

/// Row 116: with one worker and with many. That the memory of each is recorded is the benchmark's business.
#[tokio::test]
async fn a_login_is_the_same_with_any_number_of_workers() {
    for workers in [1, 4, 16] {
        let Some(mut portal) = portal_with(super::config().concurrency(workers)).await else { return };
        let what = format!("{workers} workers");
        let browser = portal.signed_in().await;
        let session = portal.world.customers.provider().last_session();
        let tabs = futures_util::future::join_all((0..32).map(|_| {
            let mut tab = browser.clone();
            async move { tab.go(&page()).await.status }
        }));
        assert_eq!(tabs.await, [200; 32], "{what}");
        let token = portal.world.customers.provider().logout_token(&session).sign();
        assert_eq!(super::backchannel::deliver(&portal, &token).await.status, 200, "{what}");
        let ask = || async { browser.clone().go(&page()).await.status };
        until(&what, async || {
            futures_util::future::join_all((0..32).map(|_| ask())).await.iter().all(|status| *status == 401)
        })
        .await;
        portal.assert_sound();
    }
}

/// A session that is over is given back.
#[tokio::test]
async fn a_session_without_a_refresh_token_ends_with_its_access_token() {
    let Some(portal) = portal_with(super::without_skew(super::config())).await else { return };
    let provider = portal.world.customers.provider();
    provider.lie(portcullis_tests::issuer::Lie::no_member("refresh_token"));
    provider.access_tokens_live(4);
    let browser = portal.signed_in().await;
    until("the token ends", async || browser.clone().go(&page()).await.status == 401).await;
    let mut script = browser.clone();
    let outcome = portal.send("a script", &mut script, &page()).await;
    outcome.refused(401, "token_expired");
    let lines = set_cookies(&outcome.page, SESSION);
    assert!(!lines.is_empty() && lines.iter().all(|line| takes_back(line)), "{}", outcome.context());
    assert!(cookies(&script, SELFCARE, SESSION).is_empty());
    let mut navigation = browser.clone();
    portal
        .send("a navigation", &mut navigation, &Visit::navigation(format!("{SELFCARE}{PAGE}")))
        .await
        .begun();
    assert_eq!(provider.grants("refresh_token"), 0);
}
