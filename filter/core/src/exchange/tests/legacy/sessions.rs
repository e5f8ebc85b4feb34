//! What comes of a login: its tokens pass, other ones do not, and too many failures end it.

use super::*;
use crate::legacy::watch::{LegacyAnswer, Watch};
use crate::testing::test;

const SESSION: &str = "2cfc62c22529547256913502b270cc3c";
const REFRESH: &str = "829d5f00112233445566778899aabbcc";
const UNSEEN: &str = "401 legacy_unseen";
const OLD: &str = "allowed old legacy";

/// As the defaults are, with two logins here and another one there.
fn strict() -> Gate {
    gate_with(json!({"logins": {SELFCARE: ["ZZZPortaOne", "second"], PORTAL: ["ZZZPortaOne"]}}))
}

fn jwt(claims: &Value) -> String {
    Minter::customers().mint(&json!({"alg": "RS256", "typ": "JWT"}), claims)
}

fn access_token(login: &str) -> String {
    jwt(&json!({"exp": 1, "jti": SESSION, "realm": "customer", "i_env": 1, "login": login}))
}

/// What PortaBilling says to a login.
fn tokens() -> String {
    json!({"session_id": SESSION, "refresh_token": REFRESH, "access_token": jwt(&json!({"jti": SESSION}))})
        .to_string()
}

fn post(path: &str) -> Head {
    head("POST", SELFCARE, path).with("content-type", JSON)
}

fn with_session(session: &str) -> String {
    json!({"auth_info": {"session_id": session}}).to_string()
}

impl Gate {
    /// Sends a request that goes on and is watched.
    #[track_caller]
    fn watched(&self, head: &Head, body: &str) -> Box<Watch> {
        match self.judge(head, body) {
            Step::Done(Decision::Forward { watch, .. }) => watch.expect("it is watched"),
            step => panic!("{step:?}"),
        }
    }

    /// PortaBilling answers: what is recorded.
    fn answer(&self, watch: Watch, status: u16, cookies: &[&str], body: Option<&str>) -> String {
        let cookies: Vec<Vec<u8>> = cookies.iter().map(|cookie| cookie.as_bytes().to_vec()).collect();
        let answer = LegacyAnswer { status, cookies: &cookies, body: body.map(str::as_bytes) };
        let conclusion = watch.conclude(&answer, self.env.now);
        let mut shared = self.shared.lock().unwrap();
        for change in &conclusion.changes {
            let slot = shared.get_mut(&change.name).expect("it was seeded");
            *slot = (change.apply(&slot.0, self.env.now), slot.1 + 1);
        }
        conclusion.line
    }

    fn sign_in(&self) {
        let watch = self.watched(&login(), LISTED);
        self.answer(*watch, 200, &[], Some(&tokens()));
    }
}

#[test]
fn tokens_pass_once_their_login_was_seen() {
    let gate = strict();
    let refresh = json!({"params": {"refresh_token": REFRESH}}).to_string();
    let renew = call(SELFCARE, "refresh_access_token").with("content-type", JSON);
    gate.check_body(&post("/old/x"), &with_session(SESSION), UNSEEN);
    gate.check(&post("/old/x").bearer(SESSION), UNSEEN);
    gate.check_body(&renew, &refresh, UNSEEN);
    gate.sign_in();
    gate.check_body(&post("/old/x"), &with_session(SESSION), OLD);
    gate.check(&post("/old/x").bearer(SESSION), OLD);
    gate.check(&post("/old/x").bearer(&jwt(&json!({"jti": SESSION}))), OLD);
    gate.check(&post("/old/x").with("cookie", format!("sid={SESSION}; x=y")), OLD);
    gate.check(
        &post("/old/x").bearer(SESSION).with("cookie", format!("t={}", jwt(&json!({"jti": SESSION})))),
        OLD,
    );
    gate.check_body(&renew, &refresh, ALLOWED);
    // Another token, and one that is almost it.
    for other in [REFRESH.replace('8', "9"), SESSION.to_uppercase(), format!("{SESSION}0")] {
        gate.check(&post("/old/x").bearer(&other), UNSEEN);
    }
    // And no guarded route heeds them.
    gate.check(&post("/rest/Customer/get").bearer(SESSION), "401 token_malformed");
}

#[test]
fn a_renewal_brings_tokens_of_the_same_login() {
    let gate = strict();
    gate.sign_in();
    let renew = call(SELFCARE, "refresh_access_token").with("content-type", JSON);
    let watch = gate.watched(&renew, &json!({"params": {"refresh_token": REFRESH}}).to_string());
    assert_eq!(watch.needs_body(200), Some(16_384));
    let line = gate.answer(
        *watch,
        200,
        &[],
        Some(&json!({"access_token": "ffff", "refresh_token": "eeee"}).to_string()),
    );
    assert!(line.contains("login=\"ZZZPortaOne\""), "{line}");
    gate.check(&post("/old/x").bearer("ffff"), OLD);
    gate.check_body(&renew, &json!({"params": {"refresh_token": "eeee"}}).to_string(), ALLOWED);
}

#[test]
fn the_cookies_of_an_answer_count_too() {
    let gate = strict();
    let watch = gate.watched(&login(), LISTED);
    gate.answer(*watch, 200, &["sid=\"0123456789abcdef0123456789abcdef\"; Path=/; HttpOnly", "x"], None);
    gate.check(&post("/old/x").with("cookie", "sid=0123456789abcdef0123456789abcdef"), OLD);
    let watch = gate.watched(&login(), LISTED);
    gate.answer(*watch, 200, &["session_id=a%3Db; Path=/"], None);
    gate.check(&post("/old/x").with("cookie", "session_id=a%3Db"), OLD);
}

/// A session is one to every reader of cookies: some part them at commas as well, and decode names and values.
#[test]
fn a_cookie_that_is_written_otherwise_is_a_token_all_the_same() {
    let gate = strict();
    let encoded = SESSION.replacen('2', "%32", 1);
    for cookie in [
        format!("sid={encoded}"),
        format!("sid=\"{encoded}\""),
        format!("a=b,sid={SESSION}"),
        format!("a,sid={SESSION}"),
        format!("a=\"b, sid={SESSION}\""),
        "session%5fid=0a1b".to_owned(),
        "a=b, session_id=0a1b".to_owned(),
    ] {
        gate.check(&post("/old/x").with("cookie", &cookie), UNSEEN);
    }
    gate.sign_in();
    gate.check(&post("/old/x").with("cookie", format!("a=b,sid={encoded}")), OLD);
    let keycloak = Minter::customers().token();
    for cookie in [format!("a=b,c={keycloak}"), format!("c={}", keycloak.replace('.', "%2e"))] {
        gate.check(&post("/old/x").with("cookie", cookie), "400 token_on_legacy_route");
    }
}

#[test]
fn only_an_answer_that_is_a_success_brings_tokens() {
    for (status, body) in [
        (500, Some(tokens())),
        (401, Some(tokens())),
        (302, Some(tokens())),
        (200, None),
        (200, Some(format!("x{}", tokens()))),
        (200, Some(tokens().replace("\"session_id\"", "\"faultcode\":\"x\",\"session_id\""))),
        (200, Some(tokens().replace("session_id", "session"))),
    ] {
        let gate = strict();
        let watch = gate.watched(&login(), LISTED);
        gate.answer(*watch, status, &[], body.as_deref());
        gate.check(&post("/old/x").bearer(SESSION), UNSEEN);
    }
}

#[test]
fn tokens_are_forgotten_in_time() {
    let mut gate = strict();
    gate.sign_in();
    gate.pass(48 * 3600 - 1);
    gate.check(&post("/old/x").bearer(SESSION), OLD);
    gate.pass(1);
    gate.check(&post("/old/x").bearer(SESSION), UNSEEN);
}

#[test]
fn a_jwt_that_says_whose_it_is_needs_to_be_on_the_list() {
    let gate = strict();
    gate.check(&post("/old/x").bearer(&access_token("ZZZPortaOne")), OLD);
    for login in ["bob", "zzzportaone", ""] {
        gate.check(&post("/old/x").bearer(&access_token(login)), "403 legacy_login");
    }
    gate.check(&post("/old/x").bearer(&jwt(&json!({"login": ["ZZZPortaOne"]}))), UNSEEN);
    gate.check(&post("/old/x").bearer(&format!("{}.x", access_token("ZZZPortaOne"))), UNSEEN);
    // Nobody is on the list of that host.
    let open = gate_with(json!({}));
    open.check(&post("/old/x").bearer(&access_token("ZZZPortaOne")), "403 legacy_login");
    open.check(&post("/old/x").bearer(SESSION), UNSEEN);
}

/// A forged JWT of somebody on the list must not carry another one's session past the door.
#[test]
fn all_credentials_of_a_request_are_of_one_login() {
    let gate = strict();
    gate.sign_in();
    let stranger = "00000000000000000000000000000000";
    let ours = || post("/old/x").bearer(&access_token("ZZZPortaOne"));
    gate.check(&ours().with("cookie", format!("sid={stranger}")), UNSEEN);
    gate.check_body(&ours(), &with_session(stranger), UNSEEN);
    gate.check_body(&ours(), &with_session(SESSION), OLD);
    gate.check_body(
        &post("/old/x").bearer(&access_token("second")),
        &with_session(SESSION),
        "400 ambiguous_credential",
    );
    let second = r#"{"params":{"login":"second","password":"x"}}"#;
    gate.check_body(&login().bearer(&access_token("ZZZPortaOne")), second, "400 ambiguous_credential");
    gate.check_body(&login().bearer(&access_token("bob")), LISTED, "403 legacy_login");
    // What an earlier login left in the browser is not in the way of the next one.
    for head in [login(), call(SELFCARE, "login/").with("content-type", JSON)] {
        gate.check_body(&head.with("cookie", format!("sid={stranger}")), second, ALLOWED);
    }
    gate.check_body(&post("/rest/Session/x").with("cookie", format!("sid={stranger}")), second, UNSEEN);
}

#[test]
fn the_operator_may_let_tokens_pass_unseen() {
    let gate = gate();
    gate.check(&post("/old/x").bearer(SESSION), OLD);
    gate.check(&post("/old/x").bearer(&access_token("bob")), "403 legacy_login");
    // A JWT and the session that it is of are one; two sessions are not.
    gate.check_body(&post("/old/x").bearer(&access_token("ZZZPortaOne")), &with_session(SESSION), OLD);
    gate.check_body(&post("/old/x").bearer(&jwt(&json!({"jti": SESSION}))), &with_session(SESSION), OLD);
    gate.check_body(
        &post("/old/x").bearer(&access_token("ZZZPortaOne")),
        &with_session(REFRESH),
        "400 ambiguous_credential",
    );
    gate.check_body(&post("/old/x").bearer(REFRESH), &with_session(SESSION), "400 ambiguous_credential");
}

/// What opens nothing needs no login that was seen, so that whoever is forgotten can still log out.
#[test]
fn harmless_methods_take_one_token_of_anybodys() {
    let gate = strict();
    for method in ["ping", "logout"] {
        let harmless = || call(SELFCARE, method).with("content-type", JSON);
        let own = |token: &str| json!({"params": {"access_token": token}}).to_string();
        gate.check_body(&harmless(), &own("0a1b"), ALLOWED);
        gate.check_body(&harmless().bearer("0a1b"), &own("0a1b"), ALLOWED);
        gate.check_body(&harmless().bearer(&access_token("bob")), "{}", ALLOWED);
        gate.check_body(&harmless().bearer(&access_token("ZZZPortaOne")), &own(SESSION), ALLOWED);
        gate.check_body(&harmless().bearer("0a1b"), &own("ffff"), "400 ambiguous_credential");
        gate.check_body(
            &harmless().bearer(&access_token("ZZZPortaOne")),
            &own("ffff"),
            "400 ambiguous_credential",
        );
        gate.check(&call(PORTAL, method).bearer("0a1b"), "allowed sessions legacy");
    }
}

#[test]
fn a_password_may_be_changed_by_whoever_is_named_or_signed_in() {
    let gate = strict();
    let change = || call(SELFCARE, "change_password").with("content-type", JSON);
    let own = r#"{"params":{"password":"a","new_password":"b"}}"#;
    gate.check_body(&change(), own, "400 legacy_not_one_login");
    gate.check(&change().bearer(&access_token("ZZZPortaOne")), "400 legacy_not_one_login");
    gate.check_body(&change().bearer(SESSION), own, UNSEEN);
    gate.check_body(
        &change(),
        r#"{"params":{"login":"ZZZPortaOne","password":"a","new_password":"b"}}"#,
        ALLOWED,
    );
    gate.sign_in();
    gate.check_body(&change().bearer(SESSION), own, ALLOWED);
    // No other method lives on a token alone.
    for method in ["login", "login_to_realm", "x"] {
        let head = call(SELFCARE, method).with("content-type", JSON).bearer(SESSION);
        gate.check_body(&head, "{}", "400 legacy_not_one_login");
    }
}

#[test]
fn logins_that_fail_too_often_are_refused_for_a_while() {
    let mut gate = strict();
    let from = |source: &str| login().from(source);
    let bob = r#"{"params":{"login":"bob","password":"x"}}"#;
    for _ in 0..10 {
        gate.check_body(&from("203.0.113.7"), bob, "403 legacy_login");
    }
    gate.check_body(&from("203.0.113.7"), bob, "429 legacy_attempts");
    gate.check_body(&from("203.0.113.7"), LISTED, ALLOWED);
    for _ in 0..9 {
        let watch = gate.watched(&from("203.0.113.8"), LISTED);
        gate.answer(*watch, 500, &[], None);
    }
    let watch = gate.watched(&from("203.0.113.8"), LISTED);
    gate.check_body(&from("203.0.113.8"), LISTED, "429 legacy_attempts");
    // It was the right password after all.
    gate.answer(*watch, 200, &[], Some(&tokens()));
    gate.check_body(&from("203.0.113.8"), LISTED, ALLOWED);
    // From elsewhere nobody is locked out, and after the window nobody at all.
    gate.check_body(&from("203.0.113.9"), bob, "403 legacy_login");
    gate.pass(300);
    gate.check_body(&from("203.0.113.7"), bob, "403 legacy_login");
}

/// Neither an answer that says nothing of the password nor a call that checks none makes room for more guesses.
#[test]
fn what_is_no_failure_does_not_forget_the_failures_before_it() {
    let ping = || call(SELFCARE, "ping/").with("content-type", JSON);
    for (head, status) in [(login(), 200), (login(), 504), (ping(), 200)] {
        let gate = strict();
        for _ in 0..9 {
            let watch = gate.watched(&login(), LISTED);
            gate.answer(*watch, 500, &[], None);
        }
        let watch = gate.watched(&head, LISTED);
        gate.answer(*watch, status, &[], Some("{}"));
        let watch = gate.watched(&login(), LISTED);
        gate.answer(*watch, 500, &[], None);
        gate.check_body(&login(), LISTED, "429 legacy_attempts");
    }
}

#[test]
fn a_source_has_a_bound_of_its_own_and_an_ipv6_network_is_one() {
    let gate = strict();
    for n in 0..100 {
        let body = format!(r#"{{"params":{{"login":"n{n}","password":"x"}}}}"#);
        gate.check_body(&login().from(&format!("2001:db8::{n:x}")), &body, "403 legacy_login");
    }
    gate.check_body(&login().from("2001:db8::ffff"), LISTED, "429 legacy_attempts");
    gate.check_body(&login().from("2001:db8:0:1::1"), LISTED, ALLOWED);
    gate.check_body(&login(), LISTED, ALLOWED);
}

#[test]
fn what_never_reached_portabilling_is_nobodys_failure() {
    let gate = strict();
    for status in [200, 502, 503, 504, 0] {
        for _ in 0..11 {
            let watch = gate.watched(&login(), LISTED);
            gate.answer(*watch, status, &[], None);
        }
    }
    let watch = gate.watched(&login(), LISTED);
    let line = gate.answer(*watch, 500, &[], None);
    assert!(
        line.starts_with(
            "password login failed status=500 realm=\"customers\" rule=\"password-login\" login="
        )
    );
}

#[test]
fn shared_data_holds_no_token_and_no_login_and_stays_bounded() {
    let gate = strict();
    for n in 0..5_000 {
        let watch = gate.watched(&login(), LISTED);
        let body = json!({"session_id": format!("{n:032x}"), "access_token": access_token("ZZZPortaOne")});
        gate.answer(*watch, 200, &[], Some(&body.to_string()));
    }
    gate.sign_in();
    gate.check(&post("/old/x").bearer(SESSION), OLD);
    let shared = gate.shared.lock().unwrap();
    let legacy: Vec<_> = shared.iter().filter(|(name, _)| name.contains("/legacy/")).collect();
    assert_eq!(legacy.len(), 129);
    for (name, (bytes, _)) in legacy {
        assert!(bytes.len() <= 1 + 64 * 40, "{name} has {} bytes", bytes.len());
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("ZZZ") && !text.contains(SESSION), "{name}");
    }
}

/// The answer to a login must be readable, so it is asked for without compression.
#[test]
fn the_answer_to_a_login_is_not_compressed() {
    let gate = strict();
    let encodings = |head: &Head, body: &str| match gate.judge(head, body) {
        Step::Done(Decision::Forward { request, .. }) => {
            upstream(head, &request).iter().filter(|(name, _)| name == "accept-encoding").count()
        }
        step => panic!("{step:?}"),
    };
    assert_eq!(encodings(&login().with("accept-encoding", "gzip, br"), LISTED), 0);
    assert_eq!(encodings(&post("/old/x").with("accept-encoding", "gzip, br"), "{}"), 1);
}
