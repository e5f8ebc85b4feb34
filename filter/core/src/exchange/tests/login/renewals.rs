//! Access tokens are renewed before they end.

use super::*;
use crate::testing::test;

/// A desk with a session whose access token has ended, and its browser.
fn expired() -> (Desk, Jar) {
    let (mut desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    desk.gate.pass(240);
    desk.posted.borrow_mut().clear();
    (desk, jar)
}

/// New tokens, valid from now.
fn renew(desk: &Desk, refresh_token: &str, access: Value) -> Result<HttpAnswer, CallError> {
    let now = desk.gate.env.now.0;
    let mut claims = claims_with(json!({"iat": now, "exp": now + 300}));
    change(&mut claims, access);
    let minter = Minter::customers();
    let access_token = minter.mint(&minter.header(), &claims);
    answer(&json!({"access_token": access_token, "refresh_token": refresh_token, "token_type": "Bearer"}))
}

#[test]
fn a_token_is_renewed_before_it_ends_and_the_old_cookie_still_serves() {
    let (mut desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    desk.posted.borrow_mut().clear();
    desk.gate.pass(209);
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "allowed rest");
    assert_eq!(desk.posted.borrow().len(), 0, "31 seconds before its end");
    desk.gate.pass(1);
    let old = jar.clone();
    let renewed = renew(&desk, "r.1.x", json!({}));
    desk.answers(move |_| renewed.clone());
    let outcome = desk.send(&mut jar, script("GET", "/rest/x"));
    assert_eq!(outcome.what, "allowed rest");
    assert_eq!(*desk.posted.borrow(), ["grant_type=refresh_token&refresh_token=r.0.x"]);
    assert!(!outcome.set_cookies.is_empty());
    // Parallel tabs still bring the old cookie, and the refresh token in it is used up.
    desk.answers(|_| panic!("asked again"));
    for _ in 0..3 {
        let mut tab = old.clone();
        let outcome = desk.send(&mut tab, script("GET", "/rest/x"));
        assert_eq!(outcome.what, "allowed rest");
        assert_eq!(tab.count("session-"), 1);
    }
    desk.gate.pass(120);
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "allowed rest");
}

#[test]
fn a_renewal_that_is_refused_ends_the_session() {
    let (desk, jar) = expired();
    desk.answers(|_| status(400, r#"{"error":"invalid_grant"}"#));
    let mut script_jar = jar.clone();
    assert_eq!(desk.send(&mut script_jar, script("GET", "/rest/x")).what, "401 session_ended");
    assert_eq!(script_jar.names(), ["loop"], "the browser gives the session back");
    // Nobody asks again, and a navigation signs in anew.
    desk.answers(|_| panic!("asked again"));
    assert_eq!(desk.navigate(&mut jar.clone(), "/rest/x").what, "303 login_begun");
    assert_eq!(desk.posted.borrow().len(), 1);
}

#[test]
fn a_session_outlives_an_outage_of_keycloak() {
    for down in [Err(CallError::Unreachable), status(503, ""), status(500, "<html>")] {
        let (mut desk, mut jar) = (Desk::new(), Jar::default());
        desk.sign_in(&mut jar, "/rest/x");
        desk.answers(move |_| down.clone());
        desk.gate.pass(230);
        assert_eq!(
            desk.send(&mut jar, script("GET", "/rest/x")).what,
            "allowed rest",
            "the token is still good"
        );
        desk.gate.pass(20);
        let outcome = desk.send(&mut jar, script("GET", "/rest/x"));
        assert_eq!((outcome.what.as_str(), outcome.set_cookies.len()), ("503 idp_unreachable", 0));
        desk.gate.pass(3);
        let renewed = renew(&desk, "r.1.x", json!({}));
        desk.answers(move |_| renewed.clone());
        assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "allowed rest");
    }
}

#[test]
fn a_wrong_answer_is_neither_a_session_nor_its_end() {
    for wrong in [status(401, r#"{"error":"invalid_client"}"#), status(200, "{}"), status(404, "")] {
        let (desk, mut jar) = expired();
        desk.answers(move |_| wrong.clone());
        let outcome = desk.send(&mut jar, script("GET", "/rest/x"));
        assert_eq!((outcome.what.as_str(), outcome.set_cookies.len()), ("502 idp_answer", 0));
    }
}

#[test]
fn the_tokens_of_another_user_renew_nothing() {
    let (desk, mut jar) = expired();
    let other = renew(&desk, "r.1.x", json!({"sub": "somebody-else"}));
    desk.answers(move |_| other.clone());
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "502 idp_answer");
}

/// The ID token of a renewal, too, is about the user who signed in (OpenID Connect Core section 12.2).
#[test]
fn an_id_token_of_another_user_renews_nothing() {
    let minter = Minter::customers();
    let id_token = |changes: Value| minter.mint(&minter.header(), &claims_with(changes));
    for (id_token, expect) in [
        (id_token(json!({"typ": "ID"})), "allowed rest"),
        (id_token(json!({"typ": "ID", "sub": "somebody-else"})), "502 idp_answer"),
        (id_token(json!({"typ": "ID", "sub": null})), "502 idp_answer"),
        ("x.y.z".to_owned(), "502 idp_answer"),
    ] {
        let (desk, mut jar) = expired();
        let mut renewed: Value =
            serde_json::from_slice(&renew(&desk, "r.1.x", json!({})).unwrap().body).unwrap();
        renewed["id_token"] = json!(id_token);
        desk.answers(move |_| answer(&renewed));
        assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, expect);
    }
}

/// A page that asks who is here keeps the tokens fresh and the session no longer alive.
#[test]
fn to_ask_who_is_here_is_no_use_of_a_session() {
    let (mut desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    for round in 1..=7 {
        desk.gate.pass(250);
        let renewed = renew(&desk, &format!("r.{round}.x"), json!({}));
        desk.answers(move |_| renewed.clone());
        assert_eq!(desk.send(&mut jar, script("GET", "/sso/session")).what, "200 session_shown", "{round}");
    }
    desk.gate.pass(50);
    assert_eq!(desk.send(&mut jar, script("GET", "/sso/session")).what, "401 no_credential", "1800 s unused");
}

#[test]
fn what_renews_is_judged_like_any_token() {
    let (desk, mut jar) = expired();
    let other = renew(&desk, "r.1.x", json!({"aud": "other"}));
    desk.answers(move |_| other.clone());
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "401 token_audience");
}

#[test]
fn a_refusal_after_a_renewal_still_hands_out_the_new_session() {
    let (desk, mut jar) = expired();
    let renewed = renew(&desk, "r.1.x", json!({"realm_access": {"roles": []}}));
    desk.answers(move |_| renewed.clone());
    let outcome = desk.send(&mut jar, script("GET", "/rest/x"));
    assert_eq!(outcome.what, "403 missing_role");
    assert!(
        outcome.set_cookies.iter().any(|cookie| cookie.contains("session-0=1.")),
        "{:?}",
        outcome.set_cookies
    );
}

#[test]
fn one_of_many_requests_renews_for_all() {
    let (desk, jar) = expired();
    let head = script("GET", "/rest/x").with("cookie", jar.header());
    // The first holds the lease; its call is under way.
    let step = desk.gate.start(&head);
    let holder = drive_until_call(&desk, step);
    let mut others: Vec<Box<Exchange>> = (0..5)
        .map(|_| match drive(&desk, desk.gate.start(&head)) {
            Step::Wait(exchange, Need::Later(_)) => exchange,
            step => panic!("{step:?}"),
        })
        .collect();
    let renewed = renew(&desk, "r.1.x", json!({}));
    desk.answers(|_| panic!("asked again"));
    let outcome = desk.settle(&head, desk.gate.resume(holder, Input::Called(renewed)), None);
    assert_eq!(outcome.what, "allowed rest");
    for exchange in others.drain(..) {
        let outcome = desk.settle(&head, desk.gate.resume(exchange, Input::Elapsed), None);
        assert_eq!((outcome.what.as_str(), outcome.set_cookies.is_empty()), ("allowed rest", false));
    }
}

#[test]
fn a_holder_that_died_gives_way_when_its_lease_ends() {
    let (mut desk, jar) = expired();
    let head = script("GET", "/rest/x").with("cookie", jar.header());
    let holder = drive_until_call(&desk, desk.gate.start(&head));
    drop(holder);
    assert!(matches!(drive(&desk, desk.gate.start(&head)), Step::Wait(_, Need::Later(_))));
    desk.gate.pass(6);
    drop(drive_until_call(&desk, desk.gate.start(&head)));
}

/// A worker that came too late every time, or a host that has lost the record: no loop without an end, and no end of the
/// session.
#[test]
fn a_lease_that_cannot_be_had_is_given_up() {
    for (after, expect) in [(240, "503 idp_unreachable"), (220, "allowed rest")] {
        let (mut desk, mut jar) = (Desk::new(), Jar::default());
        desk.sign_in(&mut jar, "/rest/x");
        desk.gate.pass(after);
        let head = script("GET", "/rest/x").with("cookie", jar.header());
        let mut step = desk.gate.start(&head);
        for _ in 0..100 {
            step = match step {
                Step::Wait(exchange, Need::Shared(_)) => {
                    desk.gate.resume(exchange, Input::Shared(None, None))
                }
                Step::Wait(exchange, Need::Swap { .. }) => desk.gate.resume(exchange, Input::Swapped(false)),
                step => step,
            };
        }
        let outcome = desk.settle(&head, step, None);
        assert_eq!(outcome.what, expect);
        let taken_back = |cookie: &String| cookie.contains("session-0=;");
        assert!(!outcome.set_cookies.iter().any(taken_back), "{:?}", outcome.set_cookies);
    }
}

/// Too many requests wait: that is no reason to end a session.
#[test]
fn a_session_outlives_a_crowd() {
    let (desk, jar) = expired();
    let head = script("GET", "/rest/x").with("cookie", jar.header());
    let holder = drive_until_call(&desk, desk.gate.start(&head));
    let Step::Wait(exchange, Need::Later(_)) = drive(&desk, desk.gate.start(&head)) else { panic!("alone") };
    for exchange in [exchange, holder] {
        let outcome = desk.settle(&head, desk.gate.resume(exchange, Input::Overflow), None);
        assert_eq!((outcome.what.as_str(), outcome.set_cookies.len()), ("503 too_many_waiting", 0));
    }
    // One whose token is still good goes on without.
    let (mut desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    desk.gate.pass(220);
    let head = script("GET", "/rest/x").with("cookie", jar.header());
    let holder = drive_until_call(&desk, desk.gate.start(&head));
    let outcome = desk.settle(&head, desk.gate.resume(holder, Input::Overflow), None);
    assert_eq!(outcome.what, "allowed rest");
}

#[test]
fn damaged_shared_bytes_count_as_none() {
    let (desk, jar) = expired();
    for damage in [&b""[..], b"{}", b"[", b"[{\"name\":1}]", &[0xff; 300]] {
        for (bytes, version) in desk.shared.borrow_mut().values_mut() {
            *bytes = damage.to_vec();
            *version += 1;
        }
        let renewed = renew(&desk, "r.1.x", json!({}));
        desk.answers(move |_| renewed.clone());
        assert_eq!(desk.send(&mut jar.clone(), script("GET", "/rest/x")).what, "allowed rest");
    }
}

/// Drives a request as far as shared data goes.
fn drive(desk: &Desk, mut step: Step) -> Step {
    loop {
        let (exchange, input) = match step {
            Step::Wait(exchange, Need::Shared(name)) => {
                let shared = desk.shared.borrow();
                let (bytes, version) = shared[&name].clone();
                (exchange, Input::Shared(Some(bytes), Some(version)))
            }
            Step::Wait(exchange, Need::Swap { name, version, bytes }) => {
                let mut shared = desk.shared.borrow_mut();
                let slot = shared.get_mut(&name).unwrap();
                assert_eq!(Some(slot.1), version);
                *slot = (bytes, slot.1 + 1);
                (exchange, Input::Swapped(true))
            }
            step => return step,
        };
        step = desk.gate.resume(exchange, input);
    }
}

fn drive_until_call(desk: &Desk, step: Step) -> Box<Exchange> {
    match drive(desk, step) {
        Step::Wait(exchange, Need::Call(_)) => exchange,
        step => panic!("{step:?}"),
    }
}
