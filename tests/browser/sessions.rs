//! What happens to a session, as the person sees it whose session it is.

use portcullis_tests::keycloak::{NewUser, totp};
use serde_json::json;

use crate::chromium::Chromium;
use crate::edge::{Edge, SELFCARE, SSO, Servers, servers, uses_client};

/// A browser whose person is at the dashboard.
async fn signed_in(servers: &Servers, edge: &Edge, username: &str) -> Chromium {
    servers.customers.admin().make_user("customers", &NewUser::customer(username).with_otp()).await;
    let browser = edge.browser().await;
    browser.open(&format!("{SELFCARE}/dashboard")).await;
    browser.sign_in(username).await;
    browser.arrives(&format!("{SELFCARE}/dashboard")).await;
    browser.shows("#user", username).await;
    browser
}

#[tokio::test]
async fn uc_1_1_logout_ends_both_sessions() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::of(servers).await;
    let browser = signed_in(servers, &edge, "lara.alpha").await;
    browser.click("#logout").await;
    browser.visible("#sso").await;
    browser.shot("after-logout").await;
    let (status, _) = browser.fetch("/whoami").await;
    assert_eq!(status, 401);
    browser.click("#sso").await;
    browser.arrives(SSO).await;
    browser.visible("#password").await;
}

/// An administrator, or the user from elsewhere, ends the session at Keycloak, which tells the filter.
#[tokio::test]
async fn uc_1_1_a_logout_at_keycloak_ends_the_session_here() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::with(servers, |plugin| uses_client(plugin, "browser-backchannel")).await;
    let back_channel = format!("https://selfcare.csp.com:{}/sso/backchannel-logout", edge.envoy.port());
    servers
        .make_client("browser-backchannel", |client| {
            client["attributes"]["backchannel.logout.url"] = json!(back_channel);
        })
        .await;
    let browser = signed_in(servers, &edge, "klara.alpha").await;
    let admin = servers.customers.admin();
    let user = admin.user("customers", "klara.alpha").await;
    admin.post(&format!("/customers/users/{user}/logout"), json!(null)).await;
    browser
        .until("the session ends", async || (browser.fetch("/sso/session").await.0 == 401).then_some(()))
        .await;
    browser.click("#load").await;
    browser.visible("#ended").await;
    browser.shot("the-script-is-told").await;
    browser.click("#again").await;
    browser.arrives(SSO).await;
    browser.visible("#password").await;
}

/// Access tokens of a few seconds: two tabs go on working through several of them, and nobody signs in again.
#[tokio::test]
async fn uc_1_1_two_tabs_work_while_tokens_expire() {
    const WORK: &str = "window.results = []
        const work = () => fetch('/rest/Account/get_account_list', {method: 'POST'})
            .then(r => r.status, e => String(e)).then(s => { results.push(s); setTimeout(work, 50) })
        work()";
    let Some(servers) = servers().await else { return };
    servers
        .make_client("browser-short", |client| client["attributes"]["access.token.lifespan"] = json!("6"))
        .await;
    let edge = Edge::with(servers, |plugin| {
        uses_client(plugin, "browser-short");
        plugin["realms"]["customers"]["clock_skew"] = json!("1s");
        plugin["realms"]["customers"]["login"]["session"] = json!({"refresh_before": "3s"});
    })
    .await;
    let browser = signed_in(servers, &edge, "tabea.alpha").await;
    browser.script(WORK).await;
    let first = browser.open_tab(&format!("{SELFCARE}/dashboard")).await;
    browser.shows("#user", "tabea.alpha").await;
    browser.script(WORK).await;
    let mut ends = vec![];
    while ends.len() < 4 {
        let end = browser
            .until("the token is renewed", async || {
                let (status, session) = browser.fetch("/sso/session").await;
                assert_eq!(status, 200, "{session}");
                let end = session["token_expires_at"].clone();
                (ends.last() != Some(&end)).then_some(end)
            })
            .await;
        ends.push(end);
    }
    for tab in [None, Some(&first)] {
        if let Some(tab) = tab {
            browser.switch_to(tab).await;
        }
        let results = browser.script("return window.results").await;
        let results = results.as_array().cloned().unwrap_or_default();
        assert!(!results.is_empty() && results.iter().all(|status| *status == 200), "{results:?}");
    }
}

/// A session that nobody used. A form that is sent off then is not processed, a script is told, and the person can go on after signing in.
#[tokio::test]
async fn uc_1_1_a_form_after_the_session_ended_is_not_processed() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::with(servers, |plugin| {
        plugin["realms"]["customers"]["login"]["session"] = json!({"idle": "10s", "refresh_before": "1s"});
    })
    .await;
    let browser = signed_in(servers, &edge, "fiona.alpha").await;
    browser
        .until("the session ends", async || {
            // Asking for the session is no use of it.
            (browser.fetch("/sso/session").await.0 == 401).then_some(())
        })
        .await;
    browser.click("#load").await;
    browser.visible("#ended").await;
    browser.shot("the-script-is-told").await;
    browser.click("#save").await;
    browser.arrives(&format!("{SELFCARE}/profile")).await;
    browser.shows("main", "What you sent was not processed").await;
    browser.shot("not-processed").await;
    assert!(edge.portaswitch.seen_at("/profile").is_empty());
    // Back to the form. Keycloak remembers who this is, so the way there leads through it and asks nothing.
    browser.back().await;
    browser.shows("#user", "fiona.alpha").await;
    browser.click("#save").await;
    browser.shows("#saved", "was saved").await;
}

/// With a password in, and with a code for what wants one: the same session at Keycloak, made stronger.
#[tokio::test]
async fn uc_1_1_a_page_asks_for_the_second_factor() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("steffi.alpha").with_otp()).await;
    let edge = Edge::with(servers, |plugin| {
        plugin["realms"]["customers"]["login"]["acr_values"] = json!([]);
        let rules = plugin["sites"][0]["rules"].as_array_mut().expect("the site has rules");
        let portal = rules.iter_mut().find(|rule| rule["name"] == "portal").expect("the portal's rule");
        portal["require"].as_object_mut().expect("a requirement").remove("acr");
    })
    .await;
    let browser = edge.browser().await;
    browser.open(&format!("{SELFCARE}/dashboard")).await;
    browser.give_password("steffi.alpha", portcullis_tests::keycloak::PASSWORD).await;
    browser.shows("#user", "steffi.alpha").await;
    browser.click("#sim-link").await;
    browser.arrives(SSO).await;
    browser.visible("#otp").await;
    browser.shot("only-the-code").await;
    assert!(edge.portaswitch.seen_at("/sim").is_empty());
    browser.give_code(&totp()).await;
    browser.arrives(&format!("{SELFCARE}/sim")).await;
    browser.shows("#sim", "swap a SIM card").await;
    browser.shot("sim").await;
}

/// A WebSocket is judged when it opens. One that is open outlives its session, up to the route's `max_stream_duration`; none opens after it.
#[tokio::test]
async fn uc_1_1_no_websocket_opens_after_the_session_ended() {
    const LOGOUT: &str =
        "fetch('/sso/logout', {method: 'POST', redirect: 'manual'}).then(() => { window.left = true })";
    let Some(servers) = servers().await else { return };
    let edge = Edge::start(servers, |config| {
        config.edit_manager(|manager| {
            let route = &mut manager["route_config"]["virtual_hosts"][0]["routes"][0];
            assert_eq!(route["match"]["prefix"], "/ws");
            route["route"]["max_stream_duration"] = json!({"max_stream_duration": "20s"});
        })
    })
    .await;
    let browser = signed_in(servers, &edge, "willa.alpha").await;
    browser.click("#connect").await;
    browser.shows("#socket", "open, echoed 1").await;
    browser.shot("open").await;
    browser.script(LOGOUT).await;
    browser
        .until("the session ends", async || (browser.fetch("/sso/session").await.0 == 401).then_some(()))
        .await;
    browser.script("say()").await;
    browser.shows("#socket", "open, echoed 2").await;
    browser.shows("#socket", "ended").await;
    browser.click("#connect").await;
    browser.shows("#socket", "refused").await;
    browser.shot("refused").await;
    let opened = edge.portaswitch.seen_at("/ws").len();
    assert_eq!(opened, 1);
}
