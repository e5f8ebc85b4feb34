//! A password is not enough for everything: step-up as RFC 9470 has it, from the challenge to the door.

use portcullis_tests::keycloak::NewUser;
use serde_json::json;

use crate::edge::{ACCOUNT, ADMIN, Edge, SELFCARE, SIM};
use crate::servers::{administration, selfcare, servers};

/// The challenge names what to ask Keycloak for; the same browser gets it for a one-time code, without the password again.
#[tokio::test]
async fn the_challenge_leads_to_a_token_that_is_enough() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("olive").with_otp()).await;
    let edge = Edge::of(&servers).await;
    let mut browser = servers.customers.browser();
    let olive = selfcare("olive");
    let weak = olive.through(&mut browser, &servers.customers).await;
    assert_eq!((&weak.claims()["acr"], &weak.claims()["amr"]), (&json!("silver"), &json!(["pwd"])));
    edge.ask(SELFCARE, ACCOUNT, &weak.access).await.forwarded("customers");
    let challenge = edge.ask(SELFCARE, SIM, &weak.access).await.refused(401, "customers", "step_up");
    assert_eq!(
        challenge,
        "Bearer realm=\"customers\", error=\"insufficient_user_authentication\", acr_values=\"gold 2\", max_age=\"900\""
    );

    let acr_values = challenge.split("acr_values=\"").nth(1).and_then(|rest| rest.split('"').next());
    let strong = olive.parameter("acr_values", acr_values.expect("the challenge names levels"));
    let strong = strong.through(&mut browser, &servers.customers).await;
    assert_eq!((&strong.claims()["acr"], &strong.claims()["amr"]), (&json!("gold"), &json!(["pwd", "otp"])));
    assert_eq!(strong.claims()["sid"], weak.claims()["sid"], "the same session, made stronger");
    edge.ask(SELFCARE, SIM, &strong.access).await.forwarded("customers");
    edge.ask(SELFCARE, SIM, &weak.access).await.refused(401, "customers", "step_up");
}

/// What a user changes in the address bar changes the token, and the filter reads the token.
#[tokio::test]
async fn a_user_who_asks_for_less_gets_less() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::of(&servers).await;
    let claims = json!({"id_token": {"acr": {"essential": true, "values": ["silver"]}}}).to_string();
    let bob = selfcare("bob").parameter("claims", &claims).from_a_new_browser(&servers.customers).await;
    edge.ask(SELFCARE, SIM, &bob.access).await.refused(401, "customers", "step_up");
}

/// Administrators have no level without the code, and one who has no app yet has to set it up first.
#[tokio::test]
async fn an_administrator_is_never_let_in_by_password_alone() {
    let Some(servers) = servers().await else { return };
    let edge = Edge::with(&servers, |config| {
        config.edit_plugin(|plugin| {
            plugin["sites"][1]["rules"][0]["require"]["amr"] = json!({"any": ["otp", "hwk"]});
        })
    })
    .await;
    servers.admins.admin().make_user("admins", &NewUser::administrator("ada")).await;
    // Keycloak calls the level as little as the address bar asks for, and asks for the code all the same.
    let ada = administration("ada").parameter("acr_values", "0").from_a_new_browser(&servers.admins).await;
    assert_eq!((&ada.claims()["acr"], &ada.claims()["amr"]), (&json!("0"), &json!(["pwd", "otp"])));
    edge.ask(ADMIN, "/", &ada.access).await.forwarded("admins");

    let mut browser = servers.admins.browser();
    let challenge = "x".repeat(43);
    let request = administration("new.admin").authorization_request(&servers.admins, &challenge);
    let page = browser.navigate(request).await;
    let form = page.form().expect("a login page");
    let form = form.set("username", "new.admin").set("password", portcullis_tests::keycloak::PASSWORD);
    let page = browser.submit(form).await;
    let form = page.form().unwrap_or_else(|| panic!("a page to set up a code: {}", page.text()));
    assert!(form.has("totp") && form.has("totpSecret"), "{}", page.text());
}
