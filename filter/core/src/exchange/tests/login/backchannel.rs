//! Keycloak says that a session has ended.

use super::*;
use crate::testing::test;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// A logout token of Bob's session, with these changes.
fn logout_token(changes: Value) -> String {
    logout_token_with(json!({"typ": "logout+jwt"}), changes)
}

fn logout_token_with(header: Value, changes: Value) -> String {
    let minter = Minter::customers();
    let mut head = minter.header();
    change(&mut head, header);
    let claims = claims_with(json!({}));
    let now = NOW.0 + 60;
    let mut payload = json!({
        "iat": now, "exp": now + 120, "jti": "j-1", "iss": CUSTOMERS, "aud": "selfcare-ui", "typ": "Logout",
        "sub": claims["sub"], "sid": claims["sid"], "events": {EVENT: {}},
    });
    change(&mut payload, changes);
    minter.mint(&head, &payload)
}

fn post(desk: &Desk, body: &str) -> String {
    let head = head("POST", SELFCARE, "/sso/backchannel-logout")
        .with("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    desk.send_body(&mut Jar::default(), head, Some(body)).what
}

fn log_out(desk: &Desk, changes: Value) -> String {
    post(desk, &format!("logout_token={}", logout_token(changes)))
}

#[test]
fn a_logged_out_session_is_worth_nothing_to_browsers_and_programs() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    let token = Minter::customers().token();
    let bearer = |desk: &Desk| desk.send(&mut Jar::default(), get(SELFCARE, "/rest/x").bearer(&token)).what;
    assert_eq!(bearer(&desk), "allowed rest");
    assert_eq!(log_out(&desk, json!({})), "200 backchannel_logout");
    assert_eq!(bearer(&desk), "401 session_revoked", "though it was remembered");
    let mut script_jar = jar.clone();
    assert_eq!(desk.send(&mut script_jar, script("GET", "/rest/x")).what, "401 session_revoked");
    assert_eq!(script_jar.count("session-"), 0);
    assert_eq!(desk.navigate(&mut jar, "/rest/x").what, "303 login_begun");
    // Another session is untouched.
    let other = Minter::customers().token_with(json!({"sid": "another"}));
    assert_eq!(desk.send(&mut Jar::default(), get(SELFCARE, "/rest/x").bearer(&other)).what, "allowed rest");
}

#[test]
fn the_other_workers_learn_it_from_the_record() {
    let desk = Desk::new();
    assert_eq!(log_out(&desk, json!({})), "200 backchannel_logout");
    let other = Desk::new();
    let token = Minter::customers().token();
    let bearer = || other.send(&mut Jar::default(), get(SELFCARE, "/rest/x").bearer(&token)).what;
    assert_eq!(bearer(), "allowed rest");
    for (realm, name) in crate::revoked_records(&other.gate.filter) {
        let (record, version) = desk.shared.borrow()[&name].clone();
        let mut memory = other.gate.memory.lock().unwrap();
        memory.revoked.observe(realm, &record, Some(version), other.gate.env.now);
    }
    assert_eq!(bearer(), "401 session_revoked");
}

#[test]
fn a_user_is_logged_out_of_what_began_before() {
    let (mut desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    assert_eq!(log_out(&desk, json!({"sid": null})), "200 backchannel_logout");
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "401 session_revoked");
    desk.gate.pass(1);
    let later = Minter::customers().token_with(json!({"iat": desk.gate.env.now.0, "sid": "new"}));
    assert_eq!(desk.send(&mut Jar::default(), get(SELFCARE, "/rest/x").bearer(&later)).what, "allowed rest");
}

#[test]
fn a_logout_token_counts_once() {
    let desk = Desk::new();
    assert_eq!(log_out(&desk, json!({})), "200 backchannel_logout");
    assert_eq!(log_out(&desk, json!({})), "400 logout_token_replayed");
    assert_eq!(log_out(&desk, json!({"jti": "j-2"})), "200 backchannel_logout");
}

#[test]
fn each_lie_of_a_logout_token_is_found_and_named() {
    let now = NOW.0 + 60;
    for (lie, slug) in [
        (json!({"typ": "ID"}), "typ"),
        (json!({"iss": "https://evil"}), "iss"),
        (json!({"aud": "other"}), "aud"),
        (json!({"aud": null}), "aud"),
        (json!({"iat": null}), "time"),
        (json!({"iat": now + 31}), "time"),
        (json!({"iat": now - 331}), "time"),
        (json!({"exp": now - 30}), "time"),
        (json!({"exp": "x"}), "time"),
        (json!({"exp": null}), "time"),
        (json!({"events": null}), "events"),
        (json!({"events": {}}), "events"),
        (json!({"events": {EVENT: null}}), "events"),
        (json!({"nonce": "n"}), "nonce"),
        (json!({"jti": null}), "jti"),
        (json!({"jti": ""}), "jti"),
        (json!({"jti": 7}), "jti"),
        (json!({"sid": null, "sub": null}), "sub"),
        (json!({"sid": 7}), "sub"),
    ] {
        let desk = Desk::new();
        assert_eq!(log_out(&desk, lie.clone()), format!("400 logout_token_{slug}"), "{lie}");
        let token = Minter::customers().token();
        assert_eq!(
            desk.send(&mut Jar::default(), get(SELFCARE, "/rest/x").bearer(&token)).what,
            "allowed rest"
        );
    }
    let desk = Desk::new();
    for (header, expect) in [
        (json!({"typ": "at+jwt"}), "400 logout_token_typ"),
        (json!({"typ": "JWT"}), "200 backchannel_logout"),
        (json!({"alg": "none"}), "400 logout_token_jws"),
        (json!({"jwk": {}}), "400 logout_token_jws"),
    ] {
        let token = logout_token_with(header.clone(), json!({}));
        assert_eq!(post(&desk, &format!("logout_token={token}")), expect, "{header}");
    }
    let mut forged = logout_token(json!({"jti": "j-3"}));
    let last = if forged.ends_with('A') { "Q" } else { "A" };
    forged.replace_range(forged.len() - 1.., last);
    assert_eq!(post(&desk, &format!("logout_token={forged}")), "400 logout_token_jws");
}

#[test]
fn what_is_no_form_with_one_token_is_refused() {
    let desk = Desk::new();
    let token = logout_token(json!({}));
    for body in [
        "",
        "x=y",
        "logout_token=",
        "logout_token=x",
        &format!("logout_token={token}&logout_token={token}"),
        &token,
    ] {
        let what = post(&desk, body);
        assert!(what.starts_with("400 logout_token_"), "{body:.40}: {what}");
    }
    let json = head("POST", SELFCARE, "/sso/backchannel-logout").with("content-type", "application/json");
    let body = format!("logout_token={token}");
    assert_eq!(desk.send_body(&mut Jar::default(), json, Some(&body)).what, "400 logout_token_absent");
    let get = get(SELFCARE, "/sso/backchannel-logout");
    assert_eq!(desk.send(&mut Jar::default(), get).what, "405 method");
}
