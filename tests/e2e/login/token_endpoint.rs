//! What the token endpoint may answer to a code: tokens, or a page that says that it did not work.

use std::time::Duration;

use portcullis_tests::issuer::{Client, Lie, User};
use portcullis_tests::key::{Key, name};
use portcullis_tests::{Algorithm, Endpoint, Fault, Visit};
use serde_json::json;

use super::{ATTEMPT, PAGE, Portal, SELFCARE, SESSION, cookies, portal, portal_with, with_login};

async fn redeem(portal: &Portal, what: &str) -> super::Outcome {
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    let hits = portal.world.customers.hits(Endpoint::Token);
    let outcome = portal.send(what, &mut browser, &callback).await;
    assert!(portal.world.customers.hits(Endpoint::Token) <= hits + 1, "{what}: asked once");
    assert!(cookies(&browser, SELFCARE, SESSION).is_empty(), "{what}");
    assert!(cookies(&browser, SELFCARE, ATTEMPT).is_empty(), "{what}: the login is over");
    assert!(outcome.page.text().contains("/sso/start?return="), "{what}: a way back into the login");
    outcome
}

/// RFC 7523: the issuer verifies each assertion, takes its `jti` once, and would refuse a client that sends a secret.
#[tokio::test]
async fn a_client_may_show_who_it_is_with_a_private_key() {
    for algorithm in [Algorithm::RS256, Algorithm::ES256] {
        let (key, other) = (Key::generate(algorithm), Key::generate(algorithm));
        let keyed = |key: &Key| {
            let id = key.kid().to_owned();
            with_login(super::config(), |login| {
                login.as_object_mut().expect("a login is an object").remove("client_secret");
                login["client_key"] = json!({"algorithm": name(algorithm), "id": id, "env": "CLIENT_KEY"});
                login["session"] = json!({"refresh_before": "10m"});
            })
            .vm_env("CLIENT_KEY", &key.private_pem())
        };
        let Some(mut portal) = portal_with(keyed(&key)).await else { return };
        let provider = portal.world.customers.provider().clone();
        provider.register(Client::keyed("selfcare-ui", key));
        let mut browser = portal.signed_in().await;
        let page = Visit::fetch(format!("{SELFCARE}{PAGE}"));
        portal.send("renewed on the way", &mut browser, &page).await.forwarded();
        let requests = provider.token_requests();
        assert!(requests.iter().all(|request| request.status == 200 && request.authorization.is_none()));
        assert_eq!((provider.grants("authorization_code"), provider.grants("refresh_token")), (1, 1));
        assert!(!portal.world.envoy.log().contains("PRIVATE KEY"));
        portal.assert_sound();

        provider.register(Client::keyed("selfcare-ui", other));
        redeem(&portal, "another key").await.refused(502, "login_tokens").with_page();
    }
}

/// What the host cannot sign with is found when the configuration is, and not by the first user.
#[tokio::test]
async fn a_key_that_signs_nothing_is_refused() {
    let Some(stage) = super::stage().await else { return };
    let broken = "-----BEGIN PRIVATE KEY-----\nbm8ga2V5\n-----END PRIVATE KEY-----\n".to_owned();
    for (algorithm, pem) in [
        ("RS256", broken),
        ("RS256", Key::generate(Algorithm::ES256).private_pem()),
        ("ES256", Key::generate(Algorithm::RS256).private_pem()),
    ] {
        let config = with_login(super::config(), |login| {
            login.as_object_mut().expect("a login is an object").remove("client_secret");
            login["client_key"] = json!({"algorithm": algorithm, "inline": pem});
        });
        let refused = stage.wire(config).start().await.err().expect("a configuration that is refused");
        assert!(
            refused.log.contains("realms.customers.login.client_key: the host does not sign"),
            "{refused}"
        );
        assert!(!refused.log.contains("PRIVATE KEY"));
    }
}

/// Matrix row 106: unreachable is 503, any other wrong answer 502, and none a redirect.
#[tokio::test]
async fn an_answer_that_is_none_ends_the_login_on_a_page() {
    let Some(mut portal) =
        portal_with(with_login(super::config(), |login| login["timeout"] = "2s".into())).await
    else {
        return;
    };
    for (fault, status, reason) in [
        (Fault::Status(500), 503, "idp_unreachable"),
        (Fault::Status(503), 503, "idp_unreachable"),
        (Fault::Stall, 503, "idp_unreachable"),
        (Fault::ResetMidBody, 503, "idp_unreachable"),
        (Fault::Drip, 503, "idp_unreachable"),
        (Fault::Status(400), 502, "login_tokens"),
        (Fault::Status(401), 502, "login_tokens"),
        (Fault::Status(404), 502, "login_tokens"),
        (Fault::html(), 502, "login_tokens"),
        (Fault::truncated(), 502, "login_tokens"),
        (Fault::gzip(), 502, "login_tokens"),
        (Fault::NoContent, 502, "login_tokens"),
        (Fault::Redirect, 502, "login_tokens"),
        (Fault::json(&json!([])), 502, "login_tokens"),
        (Fault::json(&json!({})), 502, "login_tokens"),
        (Fault::body("application/json", ""), 502, "login_tokens"),
        (Fault::body("application/json", "x".repeat(1_000_000)), 502, "login_tokens"),
    ] {
        let what = format!("{fault:.60?}");
        portal.world.customers.fault(Endpoint::Token, fault);
        redeem(&portal, &what).await.refused(status, reason).with_page();
        portal.world.customers.clear_faults();
    }
    portal.signed_in().await;
    portal.assert_sound();
}

#[tokio::test]
async fn an_answer_without_one_of_its_members_is_none() {
    let Some(mut portal) = portal().await else { return };
    for (what, lie, status, reason) in [
        ("no ID token", Lie::no_member("id_token"), 502, "login_id_token_absent"),
        ("no access token", Lie::no_member("access_token"), 502, "login_tokens"),
        ("no token type", Lie::no_member("token_type"), 502, "login_tokens"),
        ("a token type that is not ours", Lie::member("token_type", "DPoP"), 502, "login_tokens"),
        ("an access token that is a number", Lie::member("access_token", 1), 502, "login_tokens"),
        ("an empty access token", Lie::member("access_token", ""), 502, "login_tokens"),
        ("a header in the access token", Lie::member("access_token", "a\r\nx: y"), 502, "login_tokens"),
        ("an ID token that is an object", Lie::member("id_token", json!({})), 502, "login_id_token_absent"),
    ] {
        portal.world.customers.provider().lie(lie);
        redeem(&portal, what).await.refused(status, reason).with_page();
        portal.world.customers.provider().tell_the_truth();
    }
    // The ID token in the access token's place: both are signed by the same key.
    let swapped = Lie::answer(|answer| answer["access_token"] = answer["id_token"].clone());
    portal.world.customers.provider().lie(swapped);
    redeem(&portal, "an ID token as the access token").await.refused(502, "login_access_token");
    let swapped = Lie::answer(|answer| answer["id_token"] = answer["access_token"].clone());
    portal.world.customers.provider().tell_the_truth();
    portal.world.customers.provider().lie(swapped);
    redeem(&portal, "an access token as the ID token").await.refused(400, "login_id_token_typ");
    portal.assert_sound();
}

/// How long a token lives is what it says itself; what is unusual around it is nobody's harm.
#[tokio::test]
async fn what_the_answer_says_beside_the_tokens_decides_nothing() {
    let Some(mut portal) = portal().await else { return };
    let provider = portal.world.customers.provider().clone();
    for (what, lie) in [
        ("it ends at once", Lie::member("expires_in", 0)),
        ("it has ended", Lie::member("expires_in", -1)),
        ("it never ends", Lie::member("expires_in", u64::MAX)),
        ("its end in words", Lie::member("expires_in", "soon")),
        ("no end", Lie::no_member("expires_in")),
        ("another scope", Lie::member("scope", "admin")),
        ("no refresh token", Lie::no_member("refresh_token")),
        ("a refresh token that is a number", Lie::member("refresh_token", 7)),
        ("a refresh token with a line break", Lie::member("refresh_token", "a\r\nx: y")),
        ("BEARER", Lie::member("token_type", "BEARER")),
    ] {
        provider.lie(lie);
        let mut browser = portal.browser();
        let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
        let outcome = portal.send(what, &mut browser, &callback).await;
        assert_eq!(outcome.page.status, 303, "{}", outcome.context());
        provider.tell_the_truth();
        let page = Visit::navigation(format!("{SELFCARE}{PAGE}"));
        portal.send(what, &mut browser, &page).await.forwarded();
    }
    // A member that is there twice: which of the two?
    let twice = r#"{"token_type":"Bearer","access_token":"a","access_token":"b","id_token":"c"}"#;
    portal.world.customers.fault(Endpoint::Token, Fault::body("application/json", twice));
    redeem(&portal, "twice").await.refused(502, "login_tokens");
    portal.assert_sound();
}

#[tokio::test]
async fn a_slow_answer_is_waited_for_and_a_user_who_is_gone_is_not() {
    let Some(mut portal) = portal().await else { return };
    let customers = &portal.world.customers;
    customers.fault(Endpoint::Token, Fault::Delay(Duration::from_millis(700)));
    portal.signed_in().await;
    customers.clear_faults();
    // The session at Keycloak ends between the redirect and the code.
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    customers.provider().end_sessions();
    portal
        .send("ended meanwhile", &mut browser, &callback)
        .await
        .refused(502, "login_code_refused")
        .with_page();
    // A client that leaves while its code is redeemed.
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    customers.fault(Endpoint::Token, Fault::Hold);
    let hits = customers.hits(Endpoint::Token);
    let mut leaving = browser.clone();
    let gone = tokio::spawn(async move { leaving.go(&callback).await });
    crate::realms::until("the code is redeemed", async || customers.hits(Endpoint::Token) > hits).await;
    gone.abort();
    let _ = gone.await;
    customers.clear_faults();
    portal.signed_in().await;
    portal.assert_sound();
}

/// Keycloak's tokens for a customer with many roles have 12 kB, and still fit.
#[tokio::test]
async fn large_tokens_fit_and_too_large_ones_are_told() {
    let Some(mut portal) = portal().await else { return };
    let provider = portal.world.customers.provider().clone();
    let mut browser = portal.browser();
    for kilobytes in [1, 4, 12] {
        provider.sign_in(super::user_of_size(kilobytes * 1000));
        portal.sign_in(&mut browser, SELFCARE).await;
        let pieces = cookies(&browser, SELFCARE, SESSION);
        assert!(pieces.len() > kilobytes / 4, "{} pieces for {kilobytes} kB", pieces.len());
        for (name, value) in &pieces {
            assert!(name.len() + value.len() <= 4096, "{name} has {} bytes", value.len());
        }
        for name in pieces.into_iter().map(|(name, _)| name) {
            browser.drop_cookie(&name);
        }
    }
    // A session that is smaller than the one before leaves nothing of that one behind.
    provider.sign_in(super::user_of_size(12_000));
    portal.sign_in(&mut browser, SELFCARE).await;
    let many = cookies(&browser, SELFCARE, SESSION).len();
    provider.sign_in(User::new());
    let start = Visit::navigation(format!("{SELFCARE}/sso/start"));
    let begun = portal.send("again", &mut browser, &start).await.begun();
    let callback = portal.through_keycloak(&mut browser, &begun).await;
    portal.send("smaller", &mut browser, &callback).await;
    assert!(cookies(&browser, SELFCARE, SESSION).len() < many);
    portal.send("smaller", &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.forwarded();
    portal.assert_sound();
}
