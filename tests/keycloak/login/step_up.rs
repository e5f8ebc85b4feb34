//! A page that wants more than the session brings: Keycloak is asked for it, once.

use portcullis_tests::Visit;
use portcullis_tests::keycloak::{NewUser, sign_in};
use serde_json::{Value, json};

use super::{Client, PAGE, Portal, SELFCARE, SIM, asks_for_password, config};
use crate::servers::servers;

#[tokio::test]
async fn a_page_that_wants_a_second_factor_asks_for_the_code_alone() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("stella").with_otp()).await;
    let portal = Portal::of_customers(&servers, "login-step-up").await;
    let (mut browser, url) = (portal.browser(), format!("{SELFCARE}{SIM}"));
    portal.sign_in(&mut browser, &format!("{SELFCARE}{PAGE}"), "stella").await;
    // A script is told what is missing, and its page has to go there.
    let page = portal.fetch(&mut browser, &url).await;
    portal.refused(&page, 401, "step_up");

    let begun = browser.go(&Visit::navigation(&url)).await;
    assert_eq!(
        begun.location_parameter("acr_values").as_deref(),
        Some("gold 2"),
        "{}",
        portal.context([&begun])
    );
    let page = browser.follow(&begun).await;
    let form = page.form().unwrap_or_else(|| panic!("no form: {}", page.text()));
    assert!(form.has("otp") && !form.has("password"), "{}", page.text());
    let pages = sign_in(&mut browser, page, "stella").await;
    portal.arrived(&browser, &pages, &url);
    assert_eq!(portal.fetch(&mut browser, &url).await.status, 200);
    assert_eq!(portal.session(&mut browser, SELFCARE).await["user"], "stella");
}

/// A public client for which Keycloak uses its stock browser flow, which asks for the password again and reaches no level.
#[tokio::test]
async fn who_cannot_have_a_second_factor_is_told_so_once() {
    let Some(servers) = servers().await else { return };
    let admin = servers.customers.admin();
    admin.make_user("customers", &NewUser::customer("paul")).await;
    let flows = admin.get("/customers/authentication/flows").await;
    let stock = flows.as_array().and_then(|flows| flows.iter().find(|flow| flow["alias"] == "browser"));
    let stock = stock.expect("Keycloak has a flow for browsers").clone();
    let config = config(&servers, "login-stock-flow", "admin-ui").edit_plugin(|plugin| {
        let login = plugin["realms"]["customers"]["login"].as_object_mut();
        login.expect("the realm has a login").remove("client_secret");
    });
    let portal = Portal::start(&servers, config).await;
    let public = |client: &mut Value| {
        client["publicClient"] = true.into();
        client["authenticationFlowBindingOverrides"] = json!({"browser": stock["id"]});
    };
    Client::of_customers(&servers, "login-stock-flow").make(&portal.envoy, public).await;

    let mut browser = portal.browser();
    let (page, sim) = (format!("{SELFCARE}{PAGE}"), format!("{SELFCARE}{SIM}"));
    portal.sign_in(&mut browser, &page, "paul").await;
    let asked = browser.navigate(&sim).await;
    assert!(asks_for_password(&asked), "{}", portal.context([&asked]));
    let told = sign_in(&mut browser, asked, "paul").await.pop().expect("a page");
    let again = browser.go(&Visit::navigation(&sim)).await;
    for told in [told, again] {
        assert_eq!(told.url.path(), SIM);
        portal.refused(&told, 401, "step_up");
        assert!(told.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    }
    assert_eq!(browser.navigate(&page).await.status, 200, "the session goes on");
}
