//! Use cases 1.2 and 2.2: a sign-in that fails leaves nothing half open, and the way back.

use portcullis_tests::keycloak::{NewUser, PASSWORD, totp};

use crate::edge::{ADMIN, Edge, SELFCARE, Servers, servers};

#[tokio::test]
async fn uc_1_2_a_wrong_password_and_a_wrong_code_open_nothing() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("wanda.alpha").with_otp()).await;
    wrong_password_and_code(servers, SELFCARE, "wanda.alpha").await;
}

#[tokio::test]
async fn uc_2_2_a_wrong_password_and_a_wrong_code_open_nothing() {
    let Some(servers) = servers().await else { return };
    servers.admins.admin().make_user("admins", &NewUser::administrator("wim.admin")).await;
    wrong_password_and_code(servers, ADMIN, "wim.admin").await;
}

#[tokio::test]
async fn uc_1_2_a_stale_page_ends_on_a_page_that_starts_again() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("stella.alpha").with_otp()).await;
    stale_page(servers, SELFCARE, "stella.alpha").await;
}

#[tokio::test]
async fn uc_2_2_a_stale_page_ends_on_a_page_that_starts_again() {
    let Some(servers) = servers().await else { return };
    servers.admins.admin().make_user("admins", &NewUser::administrator("stan.admin")).await;
    stale_page(servers, ADMIN, "stan.admin").await;
}

async fn wrong_password_and_code(servers: &Servers, site: &str, user: &str) {
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(site).await;
    browser.click("#sso").await;
    browser.give_password(user, "a guess").await;
    browser.shows("body", "Invalid username or password").await;
    browser.shot("wrong-password").await;
    browser.give_password(user, PASSWORD).await;
    browser.visible("#otp").await;
    let wrong = if totp() == "000000" { "000001" } else { "000000" };
    browser.give_code(wrong).await;
    browser.shows("body", "Invalid authenticator code").await;
    browser.shot("wrong-code").await;
    let tab = browser.open_tab(site).await;
    edge.nobody_is_in(&browser, site).await;
    browser.switch_to(&tab).await;

    browser.give_code(&totp()).await;
    browser.arrives(&format!("{site}/dashboard")).await;
    browser.shows("#user", user).await;
}

/// What a login left behind, a page or a callback, ends on a page that starts again.
async fn stale_page(servers: &Servers, site: &str, user: &str) {
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(site).await;
    browser.click("#sso").await;
    browser.visible("#username").await;
    let tab = browser.open_tab(site).await;
    let cookies = browser.cookies().await;
    assert!(cookies.iter().any(|name| name.starts_with("__Host-portcullis-login-")), "{cookies:?}");
    browser.forget_cookies().await;
    browser.switch_to(&tab).await;
    browser.sign_in(user).await;
    browser.arrives(&format!("{site}/sso/callback")).await;
    browser.shows("h1", "Sign-in no longer valid").await;
    browser.shot("stale").await;
    let tab = browser.open_tab(site).await;
    edge.nobody_is_in(&browser, site).await;
    browser.switch_to(&tab).await;

    // Keycloak remembers who signed in a moment ago.
    browser.click("main a").await;
    browser.arrives(&format!("{site}/")).await;
    browser.open(&format!("{site}/dashboard")).await;
    browser.shows("#user", user).await;
}
