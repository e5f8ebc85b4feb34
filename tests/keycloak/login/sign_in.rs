//! People sign in, with what their realm asks for.

use portcullis_tests::Visit;
use portcullis_tests::keycloak::NewUser;
use portcullis_tests::upstream::Seen;
use serde_json::json;

use super::{ADMIN, Client, PAGE, PBX, Portal, SELFCARE, asks_for_password, config, has_session};
use crate::servers::servers;

/// The upstream is told who is there, and gets neither tokens nor cookies of ours.
#[track_caller]
fn assert_identified(seen: &Seen, expected: &[(&str, &str)]) {
    for (name, value) in expected {
        assert_eq!(seen.header(name).as_deref(), Some(*value), "{name}: {:?}", seen.headers);
    }
    assert_eq!(seen.header("authorization"), None);
    assert!(!seen.header("cookie").unwrap_or_default().contains("portcullis"));
}

#[tokio::test]
async fn a_customer_signs_in_with_a_password() {
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("lena")).await;
    let portal = Portal::of_customers(&servers, "login-password").await;
    let mut browser = portal.browser();
    let url = format!("{SELFCARE}{PAGE}");
    let seen = portal.sign_in(&mut browser, &url, "lena").await;
    let roles = "customer,portaswitch:billing";
    assert_identified(
        &seen,
        &[("x-porta-realm", "customers"), ("x-porta-user", "lena"), ("x-porta-roles", roles)],
    );
    assert_eq!(seen.path, PAGE);

    let told = portal.session(&mut browser, SELFCARE).await;
    let sub = servers.customers.admin().user("customers", "lena").await;
    assert_eq!(
        (&told["realm"], &told["user"], &told["subject"]),
        (&json!("customers"), &json!("lena"), &json!(sub))
    );
    assert_eq!(told["roles"], json!(["customer", "portaswitch:billing"]), "{told}");
    let now = portcullis_tests::now();
    let (token, session) = (told["token_expires_at"].as_u64(), told["session_expires_at"].as_u64());
    assert!(token > Some(now) && session > token, "{told}");
    assert!(!told.to_string().contains("eyJ"), "{told}");
    // What is allowed to whom is not the login's business.
    let page = browser.navigate(format!("{SELFCARE}/rest/Invoice/get_invoice_list")).await;
    assert_eq!(page.status, 200, "{}", portal.context([&page]));

    // The other host of the site has no session of its own yet; Keycloak knows the user, and asks for nothing.
    assert!(!has_session(&browser, PBX));
    let pages = browser.open(&Visit::navigation(format!("{PBX}{PAGE}"))).await;
    let seen = portal.arrived(&browser, &pages, &format!("{PBX}{PAGE}"));
    assert_identified(&seen, &[("x-porta-user", "lena")]);
}

#[tokio::test]
async fn an_administrator_signs_in_with_a_password_and_a_code() {
    let Some(servers) = servers().await else { return };
    servers.admins.admin().make_user("admins", &NewUser::administrator("adele")).await;
    let config = config(&servers, "selfcare-ui", "login-admin").edit_plugin(|plugin| {
        plugin["realms"]["admins"]["login"]["client_authentication"] = "client_secret_post".into();
    });
    let portal = Portal::start(&servers, config).await;
    Client::of_administrators(&servers, "login-admin").make(&portal.envoy, |_| {}).await;
    let mut browser = portal.browser();
    let url = format!("{ADMIN}/tariffs");
    let seen = portal.sign_in(&mut browser, &url, "adele").await;
    assert_identified(
        &seen,
        &[("x-porta-realm", "admins"), ("x-porta-user", "adele"), ("x-porta-roles", "admin")],
    );
    let told = portal.session(&mut browser, ADMIN).await;
    assert_eq!((&told["realm"], &told["user"]), (&json!("admins"), &json!("adele")), "{told}");
    assert_eq!(told["roles"], json!(["admin"]), "{told}");
    assert!(!asks_for_password(&browser.navigate(&url).await));
}
