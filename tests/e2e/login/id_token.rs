//! Lies of the issuer about its tokens. Each changes one fact and keeps the others right, so that the reason is the only possible one.

use portcullis_tests::issuer::{Lie, User};
use portcullis_tests::{Algorithm, Realm, TokenBuilder, Visit};
use serde_json::{Value, json};

use super::{PAGE, Portal, SELFCARE, SESSION, cookies, portal};

/// A login with a lie: refused for this reason, and no session comes of it.
async fn refused(portal: &Portal, what: &str, lie: Lie, status: u16, reason: &str) {
    let provider = portal.world.customers.provider();
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    let calls = provider.token_requests().len();
    provider.lie(lie);
    let outcome = portal.send(what, &mut browser, &callback).await;
    provider.tell_the_truth();
    outcome.refused(status, reason).with_page();
    assert_eq!(provider.token_requests().len(), calls + 1, "{what}: the code is redeemed, once");
    assert!(cookies(&browser, SELFCARE, SESSION).is_empty(), "{what}");
    let again = portal.send(what, &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await;
    again.begun();
}

/// A login with something unusual that is no lie.
async fn accepted(portal: &Portal, what: &str, lie: Lie) {
    let provider = portal.world.customers.provider();
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    provider.lie(lie);
    let outcome = portal.send(what, &mut browser, &callback).await;
    provider.tell_the_truth();
    assert_eq!(outcome.page.status, 303, "{}", outcome.context());
    portal.send(what, &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.forwarded();
}

fn claim(name: &'static str, value: impl Into<Value>) -> Lie {
    Lie::id_claim(name, value)
}

/// Matrix row 107.
#[tokio::test]
async fn each_claim_of_the_id_token_counts() {
    let Some(mut portal) = portal().await else { return };
    let now = portcullis_tests::now();
    let without = Lie::no_id_claim;
    for (what, lie, reason) in [
        ("another nonce", claim("nonce", "0123456789abcdefghijkl"), "login_id_token_nonce"),
        ("no nonce", without("nonce"), "login_id_token_nonce"),
        ("a nonce that is a list", claim("nonce", json!(["x"])), "login_id_token_nonce"),
        ("another audience", claim("aud", "cloudpbx-ui"), "login_id_token_aud"),
        ("no audience", without("aud"), "login_id_token_aud"),
        ("an empty audience", claim("aud", json!([])), "login_id_token_aud"),
        ("a beginning of the audience", claim("aud", "selfcare"), "login_id_token_aud"),
        ("another party", claim("azp", "cloudpbx-ui"), "login_id_token_azp"),
        ("a party that is a number", claim("azp", 1), "login_id_token_azp"),
        (
            "many audiences and no party",
            Lie::id_token(|token| token.claim("aud", json!(["selfcare-ui", "other"])).without("azp").sign()),
            "login_id_token_azp",
        ),
        ("another issuer", claim("iss", "https://evil.example/realms/customers"), "login_id_token_iss"),
        ("the other realm", claim("iss", "https://sso-admin.csp.com/realms/admins"), "login_id_token_iss"),
        ("no issuer", without("iss"), "login_id_token_iss"),
        (
            "the issuer and a slash",
            claim("iss", "https://sso.csp.com/realms/customers/"),
            "login_id_token_iss",
        ),
        ("another subject", claim("sub", "11111111-2222-3333-4444-555555555555"), "login_id_token_sub"),
        ("no subject", without("sub"), "login_id_token_sub"),
        ("an empty subject", claim("sub", ""), "login_id_token_sub"),
        ("a wrong at_hash", claim("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "login_id_token_at_hash"),
        ("an at_hash that is a number", claim("at_hash", 7), "login_id_token_at_hash"),
        ("another sid", claim("sid", "other"), "login_id_token_sid"),
        ("typ Bearer", claim("typ", "Bearer"), "login_id_token_typ"),
        ("typ Refresh", claim("typ", "Refresh"), "login_id_token_typ"),
        ("typ Logout", claim("typ", "Logout"), "login_id_token_typ"),
        ("no typ", without("typ"), "login_id_token_typ"),
        (
            "header typ at+jwt",
            Lie::id_token(|token| token.header("typ", "at+jwt").sign()),
            "login_id_token_typ",
        ),
        (
            "header typ logout+jwt",
            Lie::id_token(|token| token.header("typ", "logout+jwt").sign()),
            "login_id_token_typ",
        ),
        ("an exp in the past", claim("exp", now - 60), "login_id_token_exp"),
        ("no exp", without("exp"), "login_id_token_exp"),
        ("an exp in words", claim("exp", "tomorrow"), "login_id_token_exp"),
        ("not valid before an hour has passed", claim("nbf", now + 3600), "login_id_token_nbf"),
        ("an old iat", claim("iat", now - 3600), "login_id_token_iat"),
        ("an iat ahead", claim("iat", now + 3600), "login_id_token_iat"),
        ("no iat", without("iat"), "login_id_token_iat"),
    ] {
        refused(&portal, what, lie, 400, reason).await;
    }
    portal.assert_sound();
}

#[tokio::test]
async fn nobody_but_the_realms_key_signs_an_id_token() {
    let Some(mut portal) = portal().await else { return };
    let stranger = Realm::customers();
    let (realm, admins) = (portal.world.customers.realm().clone(), portal.world.admins.realm().clone());
    // The public key as an attacker knows it.
    let public = realm.jwks()["keys"][0]["n"].as_str().expect("an RSA key").as_bytes().to_vec();
    let id_token = |sign: fn(TokenBuilder) -> String| Lie::id_token(sign);
    for (what, lie, reason) in [
        ("alg none", id_token(|token| token.unsigned("none")), "login_id_token_alg"),
        ("alg None", id_token(|token| token.unsigned("None")), "login_id_token_alg"),
        (
            "HS256 with the client secret",
            id_token(|token| token.sign_with(super::CLIENT_SECRET.as_bytes())),
            "login_id_token_alg",
        ),
        (
            "HS256 with the public key",
            Lie::id_token(move |token| token.sign_with(&public)),
            "login_id_token_alg",
        ),
        ("PS256", id_token(|token| token.alg(Algorithm::PS256).sign()), "login_id_token_alg"),
        (
            "a foreign key",
            Lie::id_token(move |token| token.key_of(&stranger).sign()),
            "login_id_token_signature",
        ),
        (
            "the other realm's key",
            Lie::id_token(move |token| token.key_of(&admins).sign()),
            "login_id_token_signature",
        ),
        (
            "an unknown key id",
            id_token(|token| token.kid("0123456789012345678901234567890123456789012").sign()),
            "login_id_token_kid",
        ),
        (
            "a flipped bit",
            id_token(|token| portcullis_tests::token::flip_bit(&token.sign(), 2, 77)),
            "login_id_token_signature",
        ),
        ("crit", id_token(|token| token.header("crit", json!(["exp"])).sign()), "login_id_token_malformed"),
        ("no token", id_token(|_| "x.y.z".to_owned()), "login_id_token_malformed"),
    ] {
        refused(&portal, what, lie, 400, reason).await;
    }
    portal.assert_sound();
}

/// The access token that a login brings is judged like any bearer token of the realm.
#[tokio::test]
async fn the_access_token_of_a_login_is_judged_too() {
    let Some(mut portal) = portal().await else { return };
    let now = portcullis_tests::now();
    let stranger = Realm::customers();
    let set = |name: &'static str, value: Value| {
        Lie::access_token(move |token| token.claim(name, value.clone()).sign())
    };
    for (what, lie) in [
        ("a foreign key", Lie::access_token(move |token| token.key_of(&stranger).sign())),
        ("alg none", Lie::access_token(|token| token.unsigned("none"))),
        ("another audience", set("aud", "other".into())),
        ("another client", set("azp", "other".into())),
        ("another issuer", set("iss", "https://evil.example/realms/customers".into())),
        ("typ ID", set("typ", "ID".into())),
        ("expired", set("exp", (now - 60).into())),
        ("a lifetime of a day", set("exp", (now + 86_400).into())),
        ("issued ahead", set("iat", (now + 3600).into())),
    ] {
        refused(&portal, what, lie, 502, "login_access_token").await;
    }
    // The subjects differ, seen from the other side.
    refused(&portal, "another subject", set("sub", "other".into()), 400, "login_id_token_sub").await;
    portal.assert_sound();
}

#[tokio::test]
async fn what_is_unusual_and_right_is_accepted() {
    let Some(mut portal) = portal().await else { return };
    accepted(
        &portal,
        "audiences",
        Lie::id_token(|token| token.claim("aud", json!(["other", "selfcare-ui"])).sign()),
    )
    .await;
    accepted(&portal, "one audience and no party", Lie::no_id_claim("azp")).await;
    accepted(&portal, "no sid", Lie::no_id_claim("sid")).await;
    accepted(&portal, "bearer in lower case", Lie::member("token_type", "bearer")).await;
    accepted(&portal, "members that nobody knows", Lie::member("x", json!({"y": [1, 2, 3]}))).await;
    // A key that is new since the keys were fetched last, in the middle of a login.
    let provider = portal.world.customers.provider();
    provider.sign_in(User::new());
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    portal.world.customers.rotate(portcullis_tests::RotateOptions { keep_old: false });
    let outcome = portal.send("a new key", &mut browser, &callback).await;
    assert_eq!(outcome.page.status, 303, "{}", outcome.context());
    portal.send("a new key", &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.forwarded();
    portal.assert_sound();
}
