//! The pages that the filter itself shows, and all of them on a phone.

use portcullis_tests::keycloak::{NewUser, PASSWORD, totp};
use serde_json::json;

use crate::edge::{Edge, SELFCARE, SSO, servers};

#[tokio::test]
async fn uc_1_1_on_a_phone_every_page_fits() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("paula.alpha").with_otp()).await;
    let edge = Edge::with(servers, |plugin| {
        let rules = plugin["sites"][0]["rules"].as_array_mut().expect("the site has rules");
        let staff = json!({"realm_roles": {"any": ["staff"]}});
        rules.insert(0, json!({"name": "staff", "path": {"prefix": "/staff"}, "require": staff}));
    })
    .await;
    let browser = edge.phone().await;
    browser.open(SELFCARE).await;
    browser.fits().await;
    browser.shot("sign-in").await;
    browser.open(&format!("{SELFCARE}/sso/callback?code=old&state=used")).await;
    browser.shows("h1", "Sign-in no longer valid").await;
    browser.fits().await;
    browser.shot("old-callback").await;
    browser.click("main a").await;
    browser.arrives(SSO).await;
    browser.shot("keycloak-password").await;
    browser.give_password("paula.alpha", PASSWORD).await;
    browser.visible("#otp").await;
    browser.shot("keycloak-code").await;
    browser.give_code(&totp()).await;
    browser.arrives(&format!("{SELFCARE}/")).await;
    browser.open(&format!("{SELFCARE}/dashboard")).await;
    browser.shows("#user", "paula.alpha").await;
    browser.fits().await;
    browser.shot("dashboard").await;
    browser.open(&format!("{SELFCARE}/staff")).await;
    browser.visible("h1").await;
    browser.fits().await;
    browser.shot("forbidden").await;
    assert!(edge.portaswitch.seen_at("/staff").is_empty());
    browser.open(&format!("{SELFCARE}/sso/logout")).await;
    browser.visible("#sso").await;
    browser.shot("after-logout").await;
}
