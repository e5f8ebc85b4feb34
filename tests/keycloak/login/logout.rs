//! A session ends by the user's wish, here or elsewhere, or by an administrator's.

use portcullis_tests::browser::Site;
use portcullis_tests::keycloak::{NewUser, sign_in};
use portcullis_tests::{Browser, Login, Visit};
use serde_json::json;
use tokio::time::Instant;

use super::{Client, PAGE, PBX, Portal, SELFCARE, asks_for_password, config, has_session};
use crate::edge::IN_THE_END;
use crate::servers::{Servers, servers};

fn url() -> String {
    format!("{SELFCARE}{PAGE}")
}

/// Two workers.
async fn portal<'s>(servers: &'s Servers, client: &str) -> Portal<'s> {
    let portal = Portal::start(servers, config(servers, client, "admin-ui").concurrency(2)).await;
    Client::of_customers(servers, client).make(&portal.envoy, |_| {}).await;
    portal
}

/// A user who signed in to another application first, which sends its token by itself, and then to the portal: one session at Keycloak.
async fn signed_in_twice(portal: &Portal<'_>, username: &str) -> (Browser, Visit) {
    let keycloak = &portal.servers.customers;
    keycloak.admin().make_user("customers", &NewUser::customer(username)).await;
    let mut browser = keycloak.browser();
    let other = Login::to("customers", "cloudpbx-ui", &format!("{PBX}/sso/callback")).user(username);
    let tokens = other.through(&mut browser, keycloak).await;
    let mut browser = portal.lead(browser);
    portal.sign_in(&mut browser, &url(), username).await;
    (browser, Visit::fetch(url()).header("authorization", format!("Bearer {}", tokens.access)))
}

/// Many requests, each on a connection of its own so that every worker gets some of them, come to this status.
async fn comes_to(portal: &Portal<'_>, status: u16, browser: &Browser, visit: &Visit) {
    let (mut in_a_row, deadline) = (0, Instant::now() + IN_THE_END);
    while in_a_row < 16 {
        let page = browser.clone().go(visit).await;
        in_a_row = if page.status == status { in_a_row + 1 } else { 0 };
        assert!(Instant::now() < deadline, "not {status}: {}", portal.context([&page]));
    }
}

/// Every worker refuses the session and its bearer token, and does not mind those of another.
async fn assert_out(portal: &Portal<'_>, browser: &Browser, bearer: &Visit) {
    for (browser, visit) in [(browser, &Visit::fetch(url())), (&portal.browser(), bearer)] {
        comes_to(portal, 401, browser, visit).await;
        let page = browser.clone().go(visit).await;
        portal.refused(&page, 401, "session_revoked");
    }
}

/// One session at Keycloak, and a session at each of two hosts: a logout at one of them ends all three.
#[tokio::test]
async fn a_logout_ends_the_session_at_keycloak_too() {
    let Some(servers) = servers().await else { return };
    let admin = servers.customers.admin();
    admin.make_user("customers", &NewUser::customer("otto")).await;
    let portal = Portal::of_customers(&servers, "login-logout").await;
    let user = admin.user("customers", "otto").await;
    let sessions = async || admin.get(&format!("/customers/users/{user}/sessions")).await;
    let mut browser = portal.browser();
    for (site, other) in [(SELFCARE, PBX), (PBX, SELFCARE)] {
        portal.sign_in(&mut browser, &format!("{site}{PAGE}"), "otto").await;
        portal.sign_in(&mut browser, &format!("{other}{PAGE}"), "otto").await;
        assert_eq!(sessions().await.as_array().map(Vec::len), Some(1));
        let copy = browser.clone();

        let logout = Visit::navigation(format!("{site}/sso/logout")).from(Site::SameOrigin);
        let pages = browser.open(&logout).await;
        let [ours, keycloaks, home, login] = &*pages else { panic!("{}", portal.context(&pages)) };
        assert!(ours.location_parameter("id_token_hint").is_some(), "{}", portal.context(&pages));
        // Keycloak asks nothing, since the hint says whose session it is.
        let back = keycloaks.location().map(String::from);
        assert_eq!(back, Some(format!("{site}/")), "{}", portal.context(&pages));
        assert!(home.status == 303 && asks_for_password(login), "{}", portal.context(&pages));
        assert!(!has_session(&browser, site));
        assert_eq!(sessions().await, json!([]));
        for host in [site, other] {
            assert!(has_session(&copy, host));
            let page = portal.fetch(&mut copy.clone(), format!("{host}{PAGE}")).await;
            portal.refused(&page, 401, "session_revoked");
        }
        browser.drop_cookies();
    }
    portal.sign_in(&mut browser, &url(), "otto").await;
}

/// Keycloak calls `https://selfcare.csp.com/sso/backchannel-logout`, whose certificate it checks.
#[tokio::test]
async fn a_session_that_an_administrator_ends_is_over_in_every_worker() {
    let Some(servers) = servers().await else { return };
    let admin = servers.customers.admin();
    let portal = portal(&servers, "login-ended").await;
    let (mut gone, of_gone) = signed_in_twice(&portal, "gina").await;
    let (stays, of_stays) = signed_in_twice(&portal, "stan").await;
    // Every worker has seen all four.
    for (browser, visit) in
        [(&gone, &Visit::fetch(url())), (&portal.browser(), &of_gone), (&portal.browser(), &of_stays)]
    {
        comes_to(&portal, 200, browser, visit).await;
    }
    let user = admin.user("customers", "gina").await;
    let sessions = admin.get(&format!("/customers/users/{user}/sessions")).await;
    let sid = sessions[0]["id"].as_str().expect("a session").to_owned();
    admin.delete(&format!("/customers/sessions/{sid}")).await;
    assert_out(&portal, &gone, &of_gone).await;
    assert!(portal.envoy.log().contains("backchannel_logout realm=\"customers\""), "{}", portal.envoy.log());
    for (browser, visit) in [(&stays, &Visit::fetch(url())), (&portal.browser(), &of_stays)] {
        comes_to(&portal, 200, browser, visit).await;
    }
    // Keycloak has forgotten her as well, and she may come back.
    let page = gone.navigate(url()).await;
    assert!(asks_for_password(&page), "{}", portal.context([&page]));
    let pages = sign_in(&mut gone, page, "gina").await;
    portal.arrived(&gone, &pages, &url());
}

/// Keycloak's own page for it, where any other application may have sent the user.
#[tokio::test]
async fn a_logout_elsewhere_ends_the_session_here() {
    let Some(servers) = servers().await else { return };
    let portal = portal(&servers, "login-elsewhere").await;
    let (mut browser, bearer) = signed_in_twice(&portal, "elsa").await;
    let logout = format!("{}/protocol/openid-connect/logout", servers.customers.issuer("customers"));
    let asked = browser.navigate(&logout).await;
    let form = asked.form().unwrap_or_else(|| panic!("no question: {}", asked.text()));
    let page = browser.submit(form.set("confirmLogout", "Logout")).await;
    assert!(page.text().contains("You are logged out"), "{}", page.text());
    assert_out(&portal, &browser, &bearer).await;
    assert!(asks_for_password(&browser.navigate(url()).await));
}
