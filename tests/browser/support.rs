//! Use cases 1.3 and 2.3: support signs in with a password, which Keycloak does not know.

use portcullis_tests::portaswitch::{ALPHA, PORTA_SUPPORT, User, ZZZ_PORTAONE};

use crate::edge::{ADMIN, Edge, SELFCARE, Servers, servers};

#[tokio::test]
async fn uc_1_3_support_signs_in_with_a_password() {
    let Some(servers) = servers().await else { return };
    signs_in_with_a_password(servers, SELFCARE, ZZZ_PORTAONE).await;
}

#[tokio::test]
async fn uc_2_3_support_signs_in_with_a_password() {
    let Some(servers) = servers().await else { return };
    signs_in_with_a_password(servers, ADMIN, PORTA_SUPPORT).await;
}

/// An ordinary customer has a password at PortaSwitch, too.
#[tokio::test]
async fn uc_1_3_nobody_else_signs_in_with_a_password() {
    let Some(servers) = servers().await else { return };
    is_sent_to_sso(servers, SELFCARE, ALPHA).await;
}

/// Whom one host lets in, another does not.
#[tokio::test]
async fn uc_2_3_nobody_else_signs_in_with_a_password() {
    let Some(servers) = servers().await else { return };
    is_sent_to_sso(servers, ADMIN, ZZZ_PORTAONE).await;
}

/// PortaSwitch lets support in and the filter lets it pass: to PortaSwitch's own sessions, and to nothing that asks for an identity.
async fn signs_in_with_a_password(servers: &Servers, site: &str, user: User) {
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(site).await;
    browser.give_portal_password(user.login, "a guess").await;
    browser.shows("#problem", "The login or the password is not correct").await;
    browser.shot("wrong-password").await;
    browser.give_portal_password(user.login, user.password).await;
    browser.shows("#support-user", user.login).await;
    browser.shows("#support-identity", "none").await;
    browser.shot("signed-in").await;
    let (status, _) = browser.fetch("/whoami").await;
    assert_eq!(status, 401, "a password is no single sign-on");
    for seen in edge.portaswitch.seen() {
        assert_eq!(seen.headers_with_prefix("x-porta-"), [], "{}", seen.path);
    }
    browser.click("#support-logout").await;
    browser.visible("#sso").await;
    edge.nobody_is_in(&browser, site).await;
}

/// PortaSwitch is not even asked. Who it was is on record, and the password is not.
async fn is_sent_to_sso(servers: &Servers, site: &str, user: User) {
    let edge = Edge::of(servers).await;
    let browser = edge.browser().await;
    browser.open(site).await;
    browser.give_portal_password(user.login, user.password).await;
    browser.shows("#problem", "Sign in with SSO").await;
    browser.shot("refused").await;
    assert!(edge.portaswitch.seen_at("/rest/Session/login").is_empty());
    let log = edge.envoy.log();
    let line = log.lines().find(|line| line.contains("reason=legacy_login"));
    let line = line.unwrap_or_else(|| panic!("no line of a refused login in\n{log}"));
    assert!(line.contains(&format!("login=\"{}\"", user.login)) && line.contains("source="), "{line}");
    assert!(!log.contains(user.password));
    edge.nobody_is_in(&browser, site).await;
}
