//! Use case 2: administrators and the Admin UI.

use portcullis_tests::keycloak::{NewUser, PASSWORD, totp};

use crate::edge::{ADMIN, Edge, SELFCARE, SSO_ADMIN, servers};

#[tokio::test]
async fn uc_2_1_an_administrator_signs_in_and_is_a_superuser() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(ADMIN).await;
    browser.shot("sign-in").await;
    browser.click("#sso").await;
    browser.arrives(SSO_ADMIN).await;
    browser.shot("keycloak-password").await;
    browser.give_password("root.admin", PASSWORD).await;
    browser.visible("#otp").await;
    browser.shot("keycloak-code").await;
    browser.give_code(&totp()).await;
    browser.arrives(&format!("{ADMIN}/dashboard")).await;
    browser.shows("#user", "root.admin").await;
    browser.shows("#realm", "admins").await;
    browser.shows("#superuser", "true").await;
    browser.shot("dashboard").await;
    let call = edge.portaswitch.seen_at("/whoami").pop().expect("the call arrived");
    assert_eq!(call.header("x-porta-superuser").as_deref(), Some("true"));
}

/// A session of self-care is worth nothing in the Admin UI, nor is a session at the customers' Keycloak.
#[tokio::test]
async fn uc_2_1_a_customer_is_nobody_in_the_admin_ui() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("cora.alpha").with_otp()).await;
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(&format!("{SELFCARE}/sim")).await;
    browser.sign_in("cora.alpha").await;
    browser.shows("#sim", "swap a SIM card").await;
    edge.nobody_is_in(&browser, ADMIN).await;
    browser.open(&format!("{ADMIN}/dashboard")).await;
    browser.arrives(SSO_ADMIN).await;
    browser.give_password("cora.alpha", PASSWORD).await;
    browser.shows("body", "Invalid username or password").await;
}

/// An administrator without an authenticator app is not let in by his password: he has to set one up first.
#[tokio::test]
async fn uc_2_2_an_administrator_without_a_second_factor_is_not_in_yet() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(ADMIN).await;
    browser.click("#sso").await;
    browser.give_password("new.admin", PASSWORD).await;
    browser.visible("#totp").await;
    browser.shot("keycloak-set-up").await;
    edge.nobody_is_in(&browser, ADMIN).await;
}
