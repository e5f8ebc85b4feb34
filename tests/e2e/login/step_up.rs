//! A rule that wants more than the session brings: the browser signs in again, once, and then is told.

use portcullis_tests::Visit;
use portcullis_tests::issuer::User;

use super::{PAGE, PORTAL, Portal, SELFCARE, SENSITIVE, portal};

fn sensitive() -> Visit {
    Visit::navigation(format!("{SELFCARE}{SENSITIVE}"))
}

async fn complete(portal: &Portal, browser: &mut portcullis_tests::Browser, outcome: &super::Outcome) {
    let begun = outcome.begun();
    let callback = portal.through_keycloak(browser, &begun).await;
    let back = portal.send("the callback", browser, &callback).await;
    assert_eq!(back.page.status, 303, "{}", back.context());
}

#[tokio::test]
async fn a_rule_that_needs_a_level_asks_for_it() {
    let Some(mut portal) = portal().await else { return };
    let mut user = User::new();
    user.reaches = vec!["gold".to_owned()];
    portal.world.customers.provider().sign_in(user);
    let mut browser = portal.signed_in().await;
    let outcome = portal.send("sensitive", &mut browser, &sensitive()).await;
    assert_eq!(outcome.begun().location_parameter("acr_values").as_deref(), Some("gold"));
    complete(&portal, &mut browser, &outcome).await;
    portal.send("with gold", &mut browser, &sensitive()).await.forwarded();
    portal
        .send("an ordinary page", &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}")))
        .await
        .forwarded();

    // A script is told what is missing (RFC 9470), and nothing is begun for it.
    portal.world.customers.provider().sign_in(User::new());
    let mut ordinary = portal.signed_in().await;
    for visit in [
        Visit::fetch(format!("{SELFCARE}{SENSITIVE}")),
        Visit::form(format!("{SELFCARE}{SENSITIVE}"), &[("sim", "1")]),
        Visit::frame(format!("{SELFCARE}{SENSITIVE}")),
    ] {
        let outcome = portal.send("no navigation", &mut ordinary, &visit).await;
        outcome.refused(401, "step_up").without_cookies();
        let challenge = outcome.page.header("www-authenticate").unwrap_or_default();
        assert!(
            challenge.contains("insufficient_user_authentication")
                && challenge.contains("acr_values=\"gold\""),
            "{challenge}"
        );
    }
    portal
        .send("an ordinary page", &mut ordinary, &Visit::navigation(format!("{SELFCARE}{PAGE}")))
        .await
        .forwarded();
    portal.assert_sound();
}

#[tokio::test]
async fn a_level_that_is_not_reached_is_asked_for_once() {
    let Some(mut portal) = portal().await else { return };
    let mut browser = portal.signed_in().await;
    let outcome = portal.send("the first time", &mut browser, &sensitive()).await;
    complete(&portal, &mut browser, &outcome).await;
    for time in ["the second time", "the third time"] {
        let outcome = portal.send(time, &mut browser, &sensitive()).await;
        outcome.refused(401, "step_up").with_page();
    }
    portal
        .send("an ordinary page", &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}")))
        .await
        .forwarded();
    let authorizations = portal.world.customers.provider().authorizations();
    let asked = authorizations.iter().filter(|query| query.get("acr_values") == Some("gold")).count();
    assert_eq!(asked, 1);
    portal.assert_sound();
}

#[tokio::test]
async fn a_login_that_is_too_old_is_done_anew() {
    let Some(mut portal) = portal().await else { return };
    let recent = Visit::navigation(format!("{SELFCARE}/rest/Recent/x"));
    let mut user = User::new();
    user.auth_time = Some(portcullis_tests::now() - 3600);
    portal.world.customers.provider().sign_in(user);
    let mut browser = portal.signed_in().await;
    let script = Visit::fetch(format!("{SELFCARE}/rest/Recent/x"));
    let outcome = portal.send("a script", &mut browser, &script).await;
    let challenge = outcome.refused(401, "step_up").page.header("www-authenticate").unwrap_or_default();
    assert!(challenge.contains("max_age=\"60\""), "{challenge}");
    let outcome = portal.send("too old", &mut browser, &recent).await;
    assert_eq!(outcome.begun().location_parameter("max_age").as_deref(), Some("60"));
    complete(&portal, &mut browser, &outcome).await;
    portal.send("just now", &mut browser, &recent).await.forwarded();
    portal.assert_sound();
}

/// Keycloak's users can take `acr_values` out of the URL: what counts is the token.
#[tokio::test]
async fn a_login_that_was_tampered_with_on_the_way_steps_up_nothing() {
    let Some(mut portal) = portal().await else { return };
    let mut user = User::new();
    user.reaches = vec!["gold".to_owned()];
    portal.world.customers.provider().sign_in(user);
    let mut browser = portal.signed_in().await;
    let begun = portal.send("sensitive", &mut browser, &sensitive()).await.begun();
    let without = begun.location().expect("a location").as_str().replace("acr_values=gold", "acr_values=1");
    let keycloak = browser.go(&Visit::navigation(without)).await;
    let callback = Visit::navigation(keycloak.location().expect("a callback"));
    assert_eq!(portal.send("the callback", &mut browser, &callback).await.page.status, 303);
    portal.send("no gold", &mut browser, &sensitive()).await.refused(401, "step_up").with_page();
    portal.assert_sound();
}

/// Every login may ask for a level.
#[tokio::test]
async fn levels_of_the_configuration_are_asked_for_at_every_login() {
    let config = super::with_login(super::config(), |login| {
        login["acr_values"] = serde_json::json!(["silver", "gold"]);
    });
    let Some(portal) = super::portal_with(config).await else { return };
    let visit = Visit::navigation(format!("{SELFCARE}{PAGE}"));
    let begun = portal.send("required", &mut portal.browser(), &visit).await.begun();
    assert_eq!(begun.location_parameter("acr_values").as_deref(), Some("silver gold"));
    let visit = Visit::navigation(format!("{PORTAL}/sso/start"));
    let begun = portal.send("offered", &mut portal.browser(), &visit).await.begun();
    assert_eq!(begun.location_parameter("acr_values").as_deref(), Some("silver gold"));
}
