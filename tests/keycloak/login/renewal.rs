//! Sessions that outlive their access tokens, as long as Keycloak wants it.

use futures_util::future::join_all;
use portcullis_tests::keycloak::{NewUser, sign_in};
use portcullis_tests::{Browser, EnvoyConfig, Visit, now};
use serde_json::{Value, json};

use super::{Client, PAGE, Portal, SELFCARE, asks_for_password, config, has_session};
use crate::edge::until;
use crate::servers::{Servers, servers};

/// Access tokens of ten seconds, which count for as long as they say.
fn short_lived(client: &mut Value) {
    client["attributes"]["access.token.lifespan"] = "10".into();
}

fn short_lived_config(servers: &Servers, client: &str) -> EnvoyConfig {
    config(servers, client, "admin-ui").edit_plugin(|plugin| {
        plugin["realms"]["customers"]["clock_skew"] = "1s".into();
        plugin["realms"]["customers"]["login"]["session"] = json!({"refresh_before": "1s"});
    })
}

fn url() -> String {
    format!("{SELFCARE}{PAGE}")
}

/// Waits until the access token of a session has ended, and returns when that was.
async fn until_token_ends(portal: &Portal<'_>, browser: &mut Browser) -> u64 {
    let told = portal.session(browser, SELFCARE).await;
    let end = told["token_expires_at"].as_u64().expect("a token ends");
    until("the access token ends", async || now() > end + 1).await;
    end
}

/// The session is over for scripts and for people, and its cookies are gone.
async fn assert_over(portal: &Portal<'_>, browser: &Browser) {
    let mut script = browser.clone();
    let page = portal.fetch(&mut script, url()).await;
    portal.refused(&page, 401, "session_ended");
    let mut person = browser.clone();
    let page = person.go(&Visit::navigation(url())).await;
    let endpoint = "/protocol/openid-connect/auth";
    assert!(page.location().is_some_and(|to| to.path().ends_with(endpoint)), "{}", portal.context([&page]));
    assert!(!has_session(&script, SELFCARE) && !has_session(&person, SELFCARE));
}

/// The realm has refresh tokens rotate, and a used one ends the session: a copy of the cookies at another Envoy, which knows nothing of the
/// renewals of this one, uses one twice.
#[tokio::test]
async fn a_session_is_renewed_and_a_copy_of_it_from_before_ends_it() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("rita")).await;
    let config = short_lived_config(&servers, "login-renewal");
    let portal = Portal::start(&servers, config.clone()).await;
    Client::of_customers(&servers, "login-renewal").make(&portal.envoy, short_lived).await;
    let elsewhere = Portal::start(&servers, config).await;
    let mut browser = portal.browser();
    portal.sign_in(&mut browser, &url(), "rita").await;
    let copy = elsewhere.lead(browser.clone());

    let mut ended = until_token_ends(&portal, &mut browser).await;
    for visit in [Visit::fetch(url()), Visit::navigation(url())] {
        let page = browser.go(&visit).await;
        assert_eq!(page.status, 200, "{}", portal.context([&page]));
        assert_eq!(
            portal.upstream.last().and_then(|seen| seen.header("x-porta-user")).as_deref(),
            Some("rita")
        );
        let next = until_token_ends(&portal, &mut browser).await;
        assert!(next > ended, "each renewal brings a token that ends later");
        ended = next;
    }
    assert_over(&elsewhere, &copy).await;
    assert_over(&portal, &browser).await;
    // Whoever it was, the user may sign in again.
    portal.sign_in(&mut browser, &url(), "rita").await;
}

/// Tabs that ask at once, of whatever worker, use the refresh token once between them: Keycloak would take a second use for theft.
#[tokio::test]
async fn tabs_that_ask_at_once_do_not_end_their_session() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("tabitha")).await;
    let config = short_lived_config(&servers, "login-tabs").concurrency(2);
    let portal = Portal::start(&servers, config).await;
    Client::of_customers(&servers, "login-tabs").make(&portal.envoy, short_lived).await;
    let mut browser = portal.browser();
    portal.sign_in(&mut browser, &url(), "tabitha").await;
    for _ in 0..2 {
        until_token_ends(&portal, &mut browser).await;
        let tabs = join_all((0..8).map(|_| {
            let mut tab = browser.clone();
            async move { (tab.go(&Visit::fetch(url())).await, tab) }
        }));
        for (page, tab) in tabs.await {
            assert_eq!(page.status, 200, "{}", portal.context([&page]));
            browser = tab;
        }
    }
}

#[tokio::test]
async fn a_user_who_is_disabled_is_out_with_the_next_renewal() {
    let Some(servers) = servers().await else { return };
    let admin = servers.customers.admin();
    admin.make_user("customers", &NewUser::customer("dirk")).await;
    let portal = Portal::start(&servers, short_lived_config(&servers, "login-disabled")).await;
    Client::of_customers(&servers, "login-disabled").make(&portal.envoy, short_lived).await;
    let mut browser = portal.browser();
    portal.sign_in(&mut browser, &url(), "dirk").await;
    let user = format!("/customers/users/{}", admin.user("customers", "dirk").await);
    let mut dirk = admin.get(&user).await;
    dirk["enabled"] = json!(false);
    admin.put(&user, dirk.clone()).await;
    until_token_ends(&portal, &mut browser).await;
    assert_over(&portal, &browser).await;
    let page = browser.navigate(url()).await;
    let page = sign_in(&mut browser, page, "dirk").await.pop().expect("a page");
    assert!(page.text().contains("Account is disabled"), "{}", portal.context([&page]));
    assert!(!has_session(&browser, SELFCARE));

    dirk["enabled"] = json!(true);
    admin.put(&user, dirk).await;
    let mut browser = portal.browser();
    assert!(asks_for_password(&browser.navigate(url()).await));
    portal.sign_in(&mut browser, &url(), "dirk").await;
}
