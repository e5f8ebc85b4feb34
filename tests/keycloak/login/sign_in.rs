//! People sign in, with what their realm asks for.

use portcullis_tests::key::{Key, name};
use portcullis_tests::keycloak::{NewUser, sign_in};
use portcullis_tests::upstream::Seen;
use portcullis_tests::{Algorithm, Visit};
use serde_json::{Value, json};

use super::{ADMIN, Client, PAGE, PBX, Portal, SELFCARE, SESSION, asks_for_password, config, has_session};
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

/// Clients without a secret: each shows who it is by JWTs (RFC 7523), whose public key Keycloak has, at the login and at each renewal.
#[tokio::test]
async fn clients_show_who_they_are_by_their_keys() {
    const CLIENT: &str = "login-key";
    let Some(servers) = servers().await else { return };
    servers.customers.admin().make_user("customers", &NewUser::customer("kay")).await;
    servers.admins.admin().make_user("admins", &NewUser::administrator("keith")).await;
    let keys = [("customers", Key::generate(Algorithm::ES256)), ("admins", Key::generate(Algorithm::RS256))];
    let mut config = config(&servers, CLIENT, CLIENT);
    for (realm, key) in &keys {
        let variable = format!("{}_CLIENT_KEY", realm.to_uppercase());
        config = config.vm_env(&variable, &key.private_pem()).edit_plugin(|plugin| {
            let login = &mut plugin["realms"][realm]["login"];
            login.as_object_mut().expect("the realm has a login").remove("client_secret");
            login["client_key"] = json!({"algorithm": name(key.alg()), "id": key.kid(), "env": variable});
            // Due at once.
            login["session"]["refresh_before"] = "10m".into();
        });
    }
    let portal = Portal::start(&servers, config).await;
    let clients = [Client::of_customers(&servers, CLIENT), Client::of_administrators(&servers, CLIENT)];
    for (client, (_, key)) in clients.iter().zip(&keys) {
        let keyed = |client: &mut Value| {
            client.as_object_mut().expect("a client is an object").remove("secret");
            client["clientAuthenticatorType"] = "client-jwt".into();
            let attributes = &mut client["attributes"];
            attributes["token.endpoint.auth.signing.alg"] = name(key.alg()).into();
            attributes["use.jwks.string"] = "true".into();
            attributes["jwks.string"] = json!({"keys": [key.jwk()]}).to_string().into();
        };
        client.make(&portal.envoy, keyed).await;
    }
    for (site, username) in [(SELFCARE, "kay"), (ADMIN, "keith")] {
        let mut browser = portal.browser();
        let url = format!("{site}/");
        let page = browser.navigate(&url).await;
        let pages = sign_in(&mut browser, page, username).await;
        portal.arrived(&browser, &pages, &url);
        let renewed = pages.last().map(|page| page.header_all("set-cookie")).unwrap_or_default();
        assert!(renewed.iter().any(|line| line.starts_with(SESSION)), "{}", portal.context(&pages));
    }
}
