//! Use case 1: customers and self-care.

use portcullis_tests::keycloak::{NewUser, PASSWORD, next_totp, totp};
use serde_json::json;

use crate::edge::{Edge, SELFCARE, SSO, Servers, servers, uses_client};

/// Makes a customer with an authenticator app.
async fn make_customer(servers: &Servers, username: &str) {
    servers.customers.admin().make_user("customers", &NewUser::customer(username).with_otp()).await;
}

#[tokio::test]
async fn uc_1_1_a_customer_signs_in_with_a_second_factor() {
    let Some(servers) = servers().await else { return };
    make_customer(servers, "bob.alpha").await;
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;

    browser.open(SELFCARE).await;
    browser.shot("sign-in").await;
    browser.click("#sso").await;
    browser.arrives(SSO).await;
    browser.shot("keycloak-password").await;
    browser.give_password("bob.alpha", PASSWORD).await;
    browser.visible("#otp").await;
    browser.shot("keycloak-code").await;
    assert!(edge.portaswitch.seen_at("/dashboard").is_empty(), "a password alone opens nothing");
    browser.give_code(&totp()).await;

    browser.arrives(&format!("{SELFCARE}/dashboard")).await;
    browser.shows("#user", "bob.alpha").await;
    browser.shows("#realm", "customers").await;
    browser.shows("#superuser", "false").await;
    browser.click("#load").await;
    browser.shows("#accounts", "loaded for bob.alpha").await;
    browser.shot("dashboard").await;
    let call = edge.portaswitch.seen_at("/rest/Account/get_account_list").pop().expect("the call arrived");
    assert_eq!(call.header("x-porta-user").as_deref(), Some("bob.alpha"));
    assert_eq!(call.header("x-porta-roles").as_deref(), Some("customer,portaswitch:billing"));
    assert_eq!((call.header("cookie"), call.header("authorization")), (None, None));
}

/// Who comes for a page of the portal is sent to sign in, and then to that page.
#[tokio::test]
async fn uc_1_1_a_link_into_the_portal_leads_there_after_signing_in() {
    let Some(servers) = servers().await else { return };
    make_customer(servers, "bella.alpha").await;
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(&format!("{SELFCARE}/sim?card=7")).await;
    browser.arrives(SSO).await;
    browser.sign_in("bella.alpha").await;
    browser.arrives(&format!("{SELFCARE}/sim?card=7")).await;
    browser.shows("#sim", "swap a SIM card").await;
}

/// Keycloak's way to cancel is the page that asks for consent.
#[tokio::test]
async fn uc_1_2_who_cancels_can_start_again() {
    let Some(servers) = servers().await else { return };
    make_customer(servers, "carl.alpha").await;
    servers
        .make_client("browser-consent", |client| {
            client["consentRequired"] = json!(true);
            client["attributes"]["display.on.consent.screen"] = json!("true");
        })
        .await;
    let edge = Edge::with(servers, |plugin| uses_client(plugin, "browser-consent")).await;
    let browser = edge.browser().await;
    browser.open(SELFCARE).await;
    browser.click("#sso").await;
    browser.sign_in("carl.alpha").await;
    browser.visible("#kc-cancel").await;
    browser.shot("keycloak-consent").await;
    browser.click("#kc-cancel").await;
    browser.arrives(&format!("{SELFCARE}/sso/callback")).await;
    browser.shows("h1", "Not signed in").await;
    browser.shot("cancelled").await;
    let tab = browser.open_tab(SELFCARE).await;
    edge.nobody_is_in(&browser, SELFCARE).await;
    browser.switch_to(&tab).await;

    // Nothing came of the code, but it is used up.
    browser.click("main a").await;
    browser.give_password("carl.alpha", PASSWORD).await;
    browser.give_code(&next_totp()).await;
    browser.visible("#kc-cancel").await;
    browser.click("#kc-login").await;
    browser.arrives(&format!("{SELFCARE}/dashboard")).await;
    browser.shows("#user", "carl.alpha").await;
    browser.shot("started-again").await;
}

/// Back to Keycloak's pages and forward again: whatever they say, the session is not lost, and no code counts twice.
#[tokio::test]
async fn uc_1_2_the_back_button_harms_nobody() {
    let Some(servers) = servers().await else { return };
    make_customer(servers, "barbara.alpha").await;
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(SELFCARE).await;
    browser.click("#sso").await;
    browser.sign_in("barbara.alpha").await;
    browser.arrives(&format!("{SELFCARE}/dashboard")).await;
    browser.shows("#user", "barbara.alpha").await;
    browser.back().await;
    browser.shot("back").await;
    browser.open(&format!("{SELFCARE}/sso/callback?code=old&state=used")).await;
    browser.shows("h1", "Sign-in no longer valid").await;
    browser.shot("old-callback").await;
    browser.open(&format!("{SELFCARE}/dashboard")).await;
    browser.shows("#user", "barbara.alpha").await;
}
