//! Logins that go wrong, at Keycloak or on the way back: they bring no session, and everybody may begin again.

use portcullis_tests::browser::{Page, Site};
use portcullis_tests::keycloak::{NewUser, PASSWORD, sign_in};
use portcullis_tests::{Browser, Visit};
use serde_json::{Value, json};

use super::{ADMIN, Client, PAGE, Portal, SELFCARE, asks_for_password, config, has_session, way_back};
use crate::edge::until;
use crate::servers::servers;

/// Keycloak shows its form again, and says why.
#[track_caller]
fn assert_asked_again(page: &Page, field: &str, why: &str) {
    let form = page.form().unwrap_or_else(|| panic!("no form: {}", page.text()));
    assert!(form.has(field) && page.text().contains(why), "{}", page.text());
}

/// Nobody is signed in here.
async fn assert_nobody(portal: &Portal<'_>, browser: &mut Browser, site: &str) {
    assert!(!has_session(browser, site));
    let page = portal.fetch(browser, format!("{site}/sso/session")).await;
    portal.refused(&page, 401, "no_credential");
}

#[tokio::test]
async fn a_wrong_password_brings_no_session() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("walter")).await;
    let portal = Portal::of_customers(&servers, "login-wrong-password").await;
    let (mut browser, url) = (portal.browser(), format!("{SELFCARE}{PAGE}"));
    let page = browser.navigate(&url).await;
    let form = page.form().expect("a login page").set("username", "walter").set("password", "wrong");
    let page = browser.submit(form).await;
    assert_asked_again(&page, "password", "Invalid username or password");
    assert_nobody(&portal, &mut browser, SELFCARE).await;
    let pages = sign_in(&mut browser, page, "walter").await;
    portal.arrived(&browser, &pages, &url);
}

#[tokio::test]
async fn a_wrong_code_brings_no_session() {
    let Some(servers) = servers().await else { return };
    servers.admins.admin().make_user("admins", &NewUser::administrator("wanda")).await;
    let portal = Portal::of_administrators(&servers, "login-wrong-code").await;
    let (mut browser, url) = (portal.browser(), format!("{ADMIN}/"));
    let page = browser.navigate(&url).await;
    let form = page.form().expect("a login page").set("username", "wanda").set("password", PASSWORD);
    let page = browser.submit(form).await;
    let form = page.form().filter(|form| form.has("otp")).unwrap_or_else(|| panic!("{}", page.text()));
    let page = browser.submit(form.set("otp", "no code")).await;
    assert_asked_again(&page, "otp", "Invalid authenticator code");
    assert_nobody(&portal, &mut browser, ADMIN).await;
    let pages = sign_in(&mut browser, page, "wanda").await;
    portal.arrived(&browser, &pages, &url);
}

/// The one page of Keycloak's own with a way to say no is the one that asks for consent.
#[tokio::test]
async fn who_says_no_at_keycloak_may_begin_again() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("nadia")).await;
    let portal = Portal::start(&servers, config(&servers, "login-consent", "admin-ui")).await;
    let consent = |client: &mut Value| {
        client["consentRequired"] = json!(true);
        client["attributes"]["display.on.consent.screen"] = "true".into();
    };
    Client::of_customers(&servers, "login-consent").make(&portal.envoy, consent).await;
    let (mut browser, url) = (portal.browser(), format!("{SELFCARE}{PAGE}"));
    let page = browser.navigate(&url).await;
    let asked = sign_in(&mut browser, page, "nadia").await.pop().expect("a page");
    let form = asked.form().unwrap_or_else(|| panic!("no form: {}", portal.context([&asked])));
    let page = browser.submit(form.set("cancel", "No")).await;
    portal.refused(&page, 400, "login_cancelled");
    let back = way_back(&page);
    assert_nobody(&portal, &mut browser, SELFCARE).await;

    let page = browser.open(&back).await.pop().expect("an answer");
    let asked = sign_in(&mut browser, page, "nadia").await.pop().expect("a page");
    let form = asked.form().unwrap_or_else(|| panic!("no form: {}", portal.context([&asked])));
    let pages = browser.open(&Visit::submission(&form.set("accept", "Yes"))).await;
    portal.arrived(&browser, &pages, &url);
}

/// Keycloak does not know a scope that it is asked for, until somebody makes it.
#[tokio::test]
async fn an_error_of_keycloak_is_explained() {
    let Some(servers) = servers().await else { return };
    let admin = servers.customers.admin();
    admin.make_user("customers", &NewUser::customer("erik")).await;
    let config = config(&servers, "login-scope", "admin-ui").edit_plugin(|plugin| {
        plugin["realms"]["customers"]["login"]["scopes"] = json!(["profile", "login-scope"]);
    });
    let portal = Portal::start(&servers, config).await;
    Client::of_customers(&servers, "login-scope").make(&portal.envoy, |_| {}).await;
    let (mut browser, url) = (portal.browser(), format!("{SELFCARE}{PAGE}"));
    let page = browser.navigate(&url).await;
    portal.refused(&page, 400, "login_refused");
    let back = way_back(&page);
    assert_nobody(&portal, &mut browser, SELFCARE).await;

    let scope = json!({"id": "login-scope", "name": "login-scope", "protocol": "openid-connect"});
    admin.post("/customers/client-scopes", scope).await;
    let client = admin.get("/customers/clients?clientId=login-scope").await;
    let client = client[0]["id"].as_str().expect("the client is there");
    admin.put(&format!("/customers/clients/{client}/optional-client-scopes/login-scope"), Value::Null).await;
    let page = browser.open(&back).await.pop().expect("an answer");
    let pages = sign_in(&mut browser, page, "erik").await;
    portal.arrived(&browser, &pages, &url);
}

#[tokio::test]
async fn who_takes_too_long_begins_again() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("lazy")).await;
    let config = config(&servers, "login-expired", "admin-ui").edit_plugin(|plugin| {
        plugin["realms"]["customers"]["login"]["attempt"] = json!({"lifetime": "20s"});
    });
    let portal = Portal::start(&servers, config).await;
    Client::of_customers(&servers, "login-expired").make(&portal.envoy, |_| {}).await;
    let (mut browser, url) = (portal.browser(), format!("{SELFCARE}{PAGE}"));
    let page = browser.navigate(&url).await;
    assert_eq!(browser.cookies(&url).len(), 1, "the login that is under way");
    until("the login expires", async || browser.cookies(&url).is_empty()).await;
    let page = sign_in(&mut browser, page, "lazy").await.pop().expect("a page");
    portal.refused(&page, 400, "login_state");
    let back = way_back(&page);
    assert_nobody(&portal, &mut browser, SELFCARE).await;
    // Keycloak knows who that is by now. The page that he came for was forgotten with the login.
    let pages = browser.open(&back).await;
    portal.arrived(&browser, &pages, &format!("{SELFCARE}/"));
}

#[tokio::test]
async fn a_callback_serves_once_and_in_its_own_browser() {
    let Some(servers) = servers().await else { return };
    let admin = servers.customers.admin();
    admin.make_user("customers", &NewUser::customer("twain")).await;
    admin.make_user("customers", &NewUser::customer("other")).await;
    let portal = Portal::of_customers(&servers, "login-replay").await;
    let (mut browser, url) = (portal.browser(), format!("{SELFCARE}{PAGE}"));
    let page = browser.navigate(&url).await;
    let form = page.form().expect("a login page").set("username", "twain").set("password", PASSWORD);
    let answer = browser.go(&Visit::submission(&form)).await;
    let callback = Visit::navigation(answer.location().expect("a callback")).from(Site::CrossSite);

    // Whoever is made to open it: it is of no use to him, and uses nothing up.
    let mut stranger = portal.browser();
    let page = stranger.go(&callback).await;
    portal.refused(&page, 400, "login_state");
    let back = way_back(&page);
    assert_nobody(&portal, &mut stranger, SELFCARE).await;
    let page = stranger.open(&back).await.pop().expect("an answer");
    assert!(asks_for_password(&page), "{}", portal.context([&page]));
    let pages = sign_in(&mut stranger, page, "other").await;
    portal.arrived(&stranger, &pages, &format!("{SELFCARE}/"));

    let pages = browser.open(&callback).await;
    portal.arrived(&browser, &pages, &url);
    let page = browser.go(&callback).await;
    portal.refused(&page, 400, "login_state");
    assert_eq!(portal.session(&mut browser, SELFCARE).await["user"], "twain", "the session goes on");
}
