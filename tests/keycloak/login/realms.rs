//! Two realms, two hosts: what one of them issued is nothing to the other.

use portcullis_tests::browser::{Site, encode_form};
use portcullis_tests::keycloak::{NewUser, PASSWORD};
use portcullis_tests::{Browser, Visit};

use super::{ADMIN, Client, PAGE, Portal, SELFCARE, asks_for_password, config, has_session};
use crate::servers::{Servers, servers};

/// Customers and administrators sign in by clients of this name.
async fn portal<'s>(servers: &'s Servers, client: &str) -> Portal<'s> {
    let portal = Portal::start(servers, config(servers, client, client)).await;
    Client::of_customers(servers, client).make(&portal.envoy, |_| {}).await;
    Client::of_administrators(servers, client).make(&portal.envoy, |_| {}).await;
    portal
}

#[tokio::test]
async fn a_session_of_one_realm_is_none_at_the_hosts_of_the_other() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("carl")).await;
    servers.admins.admin().make_user("admins", &NewUser::administrator("asta")).await;
    let portal = portal(&servers, "login-realms").await;
    let (mut customer, mut admin) = (portal.browser(), portal.browser());
    portal.sign_in(&mut customer, &format!("{SELFCARE}{PAGE}"), "carl").await;
    portal.sign_in(&mut admin, &format!("{ADMIN}/"), "asta").await;
    let keycloaks = [servers.customers.base(), servers.admins.base()];
    for (signed_in, own, other, keycloak) in
        [(&customer, SELFCARE, ADMIN, keycloaks[1]), (&admin, ADMIN, SELFCARE, keycloaks[0])]
    {
        let mut carried: Browser = signed_in.clone();
        for (name, value) in signed_in.cookies(own) {
            carried.put_cookie(other, &name, &value);
        }
        assert!(has_session(&carried, other));
        let page = portal.fetch(&mut carried, format!("{other}{PAGE}")).await;
        portal.refused(&page, 401, "no_credential");
        let page = carried.navigate(format!("{other}/")).await;
        assert!(asks_for_password(&page), "{}", portal.context([&page]));
        assert_eq!(page.url.host_str(), keycloak.host_str());
    }
    for (browser, own, user) in [(&mut customer, SELFCARE, "carl"), (&mut admin, ADMIN, "asta")] {
        assert_eq!(portal.session(browser, own).await["user"], user);
    }
}

#[tokio::test]
async fn a_code_of_one_keycloak_is_none_to_the_other() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("cody")).await;
    let portal = portal(&servers, "login-codes").await;
    let (mut browser, url) = (portal.browser(), format!("{SELFCARE}{PAGE}"));
    let begun = browser.go(&Visit::navigation(format!("{ADMIN}/"))).await;
    let admins_state = begun.location_parameter("state").expect("a login has begun");
    let page = browser.navigate(&url).await;
    let form = page.form().expect("a login page").set("username", "cody").set("password", PASSWORD);
    let answer = browser.go(&Visit::submission(&form)).await;
    let [code, state, iss] = ["code", "state", "iss"].map(|name| {
        answer.location_parameter(name).unwrap_or_else(|| panic!("no {name}: {}", answer.text()))
    });

    let admins_issuer = servers.admins.issuer("admins");
    for (state, iss, status, reason) in [
        (&state, &iss, 400, "login_state"),
        (&admins_state, &iss, 400, "login_issuer"),
        // Even if the callback lies about where the code comes from.
        (&admins_state, &admins_issuer, 502, "login_code_refused"),
    ] {
        let mut browser = browser.clone();
        let query = encode_form(&[("state", state), ("iss", iss), ("code", &code)]);
        let callback = Visit::navigation(format!("{ADMIN}/sso/callback?{query}")).from(Site::CrossSite);
        let page = browser.go(&callback).await;
        portal.refused(&page, status, reason);
        assert!(!has_session(&browser, ADMIN));
    }
    // Where it belongs it is still good.
    let callback = Visit::navigation(answer.location().expect("a callback")).from(Site::CrossSite);
    let pages = browser.open(&callback).await;
    portal.arrived(&browser, &pages, &url);
}
