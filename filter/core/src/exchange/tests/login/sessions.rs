//! What a session may do, and how it ends.

use super::*;
use crate::testing::test;

#[test]
fn a_session_belongs_to_its_host_and_its_key() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    let elsewhere = || {
        head("GET", "x.pbx.csp.com", "/rest/x")
            .with("x-forwarded-proto", "https")
            .with("sec-fetch-mode", "cors")
    };
    assert_eq!(desk.send(&mut jar.clone(), elsewhere()).what, "401 no_credential");

    let mut document = login_document();
    for (keys, expect) in [
        (json!([{"id": "k2", "inline": OTHER_KEY}, {"id": "k1", "inline": KEY}]), "allowed rest"),
        (json!([{"id": "k2", "inline": OTHER_KEY}]), "401 no_credential"),
        (json!([{"id": "k1", "inline": OTHER_KEY}]), "401 no_credential"),
    ] {
        document["realms"]["customers"]["login"]["cookie_keys"] = keys;
        let rotated = Desk::with(&document);
        assert_eq!(rotated.send(&mut jar.clone(), script("GET", "/rest/x")).what, expect);
    }
}

#[test]
fn a_touched_session_is_none_whatever_was_touched() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in_as(&mut jar, "/rest/x", json!({"padding": "p".repeat(9_000)}));
    let pieces = jar.count("session-");
    assert!(pieces > 2, "{pieces}");
    let refused = |jar: &Jar, what: &str| {
        let outcome = desk.send(&mut jar.clone(), script("GET", "/rest/x"));
        assert_eq!(outcome.what, "401 no_credential", "{what}");
    };
    for at in 0..pieces {
        let mut less = jar.clone();
        less.0.retain(|(name, _)| *name != format!("__Host-portcullis-session-{at}"));
        refused(&less, "a piece is missing");
        let mut touched = jar.clone();
        let value =
            &mut touched.0.iter_mut().find(|(name, _)| name.ends_with(&format!("session-{at}"))).unwrap().1;
        let last = if value.ends_with('A') { "B" } else { "A" };
        value.replace_range(value.len() - 1.., last);
        refused(&touched, "a piece was touched");
    }
    // Cut at another place, it is the same when put together.
    let mut shifted = jar.clone();
    let at =
        |number: usize| shifted.0.iter().position(|(name, _)| name.ends_with(&format!("session-{number}")));
    let (first, second) = (at(0).unwrap(), at(1).unwrap());
    let moved = shifted.0[first].1.pop().unwrap();
    shifted.0[second].1.insert(0, moved);
    refused(&shifted, "a piece was cut elsewhere");
    let mut twice = jar.clone();
    twice.0.push(twice.0.iter().find(|(name, _)| name.ends_with("session-0")).unwrap().clone());
    refused(&twice, "a name is there twice");

    // Pieces of two sessions of the same size.
    let mut other = Jar::default();
    desk.sign_in_as(&mut other, "/rest/x", json!({"padding": "q".repeat(9_000)}));
    let mut mixed = jar.clone();
    let piece = |jar: &Jar| jar.0.iter().position(|(name, _)| name.ends_with("session-1")).unwrap();
    let (to, from) = (piece(&mixed), piece(&other));
    mixed.0[to] = other.0[from].clone();
    refused(&mixed, "pieces of two sessions");
    let (padded, signed) = (format!("0{pieces}"), format!("+{pieces}"));
    for count in ["0", "1", "17", "1000000000", "-1", "x", "", &padded, &signed] {
        let mut counted = jar.clone();
        let value = &mut counted.0.iter_mut().find(|(name, _)| name.ends_with("session-0")).unwrap().1;
        *value = format!("{count}.{}", value.split_once('.').unwrap().1);
        refused(&counted, "another count");
    }
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "allowed rest");
}

#[test]
fn a_large_token_fits_and_a_smaller_session_takes_its_pieces_back() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in_as(&mut jar, "/rest/x", json!({"padding": "p".repeat(9_000)}));
    let pieces = jar.count("session-");
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "allowed rest");
    let asked = desk.begin(&mut jar, "/sso/start?return=/rest/x");
    desk.issue(&asked, json!({}), json!({}));
    assert_eq!(desk.call_back(&mut jar, &asked).what, "303 login_completed");
    assert!(jar.count("session-") < pieces);
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "allowed rest");
}

#[test]
fn a_session_ends_unused_and_in_any_case() {
    let mut document = login_document();
    document["realms"]["customers"]["login"]["session"] = json!({"idle": "100s", "absolute": "250s"});
    let (mut desk, mut jar) = (Desk::with(&document), Jar::default());
    desk.sign_in_as(&mut jar, "/rest/x", json!({"exp": NOW.0 + 3_000}));
    for _ in 0..3 {
        desk.gate.pass(80);
        let outcome = desk.send(&mut jar, script("GET", "/rest/x"));
        assert_eq!(outcome.what, "allowed rest");
        assert!(!outcome.set_cookies.is_empty(), "its use is noted");
        assert!(desk.send(&mut jar, script("GET", "/rest/x")).set_cookies.is_empty(), "not every time");
    }
    desk.gate.pass(10);
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "401 no_credential", "the absolute limit");

    let mut jar = Jar::default();
    let asked = desk.begin(&mut jar, "/rest/x");
    desk.issue(
        &asked,
        json!({"iat": desk.gate.env.now.0, "exp": desk.gate.env.now.0 + 300}),
        json!({"exp": desk.gate.env.now.0 + 300}),
    );
    assert_eq!(desk.call_back(&mut jar, &asked).what, "303 login_completed");
    desk.gate.pass(100);
    assert_eq!(desk.send(&mut jar, script("GET", "/rest/x")).what, "401 no_credential", "the idle limit");
}

#[test]
fn a_session_and_a_bearer_token_are_one_too_many() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    let token = Minter::customers().token();
    let outcome = desk.send(&mut jar.clone(), script("GET", "/rest/x").bearer(&token));
    assert_eq!(outcome.what, "400 ambiguous_credential");
    let outcome = desk.send(&mut jar.clone(), script("GET", "/sso/session").bearer(&token));
    assert_eq!(outcome.what, "400 ambiguous_credential");
    // What is no session does not count.
    let mut broken = jar.clone();
    broken.0[0].1.push('x');
    assert_eq!(desk.send(&mut broken, script("GET", "/rest/x").bearer(&token)).what, "allowed rest");
}

#[test]
fn a_session_sends_its_own_token_upstream_where_tokens_go_and_nothing_of_the_clients() {
    for forward in [false, true] {
        let mut document = login_document();
        document["identity"]["forward_token"] = json!(forward);
        let (desk, mut jar) = (Desk::with(&document), Jar::default());
        desk.sign_in(&mut jar, "/rest/x");
        let token = format!("Bearer {}", Minter::customers().token());
        for scheme in ["", "Basic YTpi", "Token eyJ", "Negotiate x"] {
            let head = script("GET", "/rest/x").with("authorization", scheme);
            let upstream = desk.send(&mut jar.clone(), head).upstream.unwrap();
            let sent: Vec<_> = upstream.iter().filter(|(name, _)| name == "authorization").collect();
            let expect = forward.then(|| ("authorization".to_owned(), token.clone().into_bytes()));
            assert_eq!(sent, expect.iter().collect::<Vec<_>>(), "{forward} {scheme}");
        }
    }
}

#[test]
fn public_and_legacy_rules_ignore_a_session_and_upstreams_never_see_one() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    for (path, expect) in [
        ("/health", "allowed health"),
        ("/rest/Session/ping", "allowed password-login"),
        ("/rest/x", "allowed rest"),
    ] {
        let cookies = format!("theme=dark; {}; lang=de", jar.header());
        let outcome = desk.send(&mut Jar::default(), script("GET", path).with("cookie", cookies));
        assert_eq!(outcome.what, expect);
        let upstream = outcome.upstream.unwrap();
        let cookie = upstream.iter().find(|(name, _)| name == "cookie").map(|(_, value)| value.as_slice());
        assert_eq!(cookie, Some(&b"theme=dark; lang=de"[..]), "{path}");
    }
}

#[test]
fn only_the_site_itself_changes_anything_with_a_session() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    let post = |fields: &[(&str, &str)]| {
        let mut head = head("POST", SELFCARE, "/rest/x").with("x-forwarded-proto", "https");
        for (name, value) in fields {
            head = head.with(name, value);
        }
        desk.send(&mut jar.clone(), head).what
    };
    assert_eq!(post(&[("origin", ORIGIN)]), "allowed rest");
    assert_eq!(post(&[("sec-fetch-site", "same-origin")]), "allowed rest");
    assert_eq!(post(&[]), "403 cross_site");
    assert_eq!(post(&[("origin", "https://evil.com")]), "403 cross_site");
    assert_eq!(post(&[("origin", "null")]), "403 cross_site");
    assert_eq!(post(&[("sec-fetch-site", "same-site")]), "403 cross_site");
    let socket = get(SELFCARE, "/rest/x").with("x-forwarded-proto", "https").with("upgrade", "websocket");
    assert_eq!(desk.send(&mut jar.clone(), socket.with("origin", "https://evil.com")).what, "403 cross_site");
}

/// Another login would bring the same claims, and so on without an end.
#[test]
fn claims_that_fit_into_no_header_end_no_session_and_begin_no_login() {
    for (claims, reason) in [
        (json!({"preferred_username": "a\nb"}), "claim_control"),
        (json!({"preferred_username": "x".repeat(3_000)}), "claim_too_long"),
    ] {
        let (desk, mut jar) = (Desk::new(), Jar::default());
        desk.sign_in_as(&mut jar, "/rest/x", claims);
        let outcome = desk.navigate(&mut jar, "/rest/x");
        assert_eq!(outcome.what, format!("401 {reason}"));
        assert!(jar.count("session-") > 0, "{:?}", outcome.set_cookies);
    }
}

#[test]
fn a_page_may_ask_who_is_here() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    assert_eq!(desk.send(&mut jar, script("GET", "/sso/session")).what, "401 no_credential");
    desk.sign_in(&mut jar, "/rest/x");
    let outcome = desk.send(&mut jar, script("GET", "/sso/session"));
    assert_eq!(outcome.what, "200 session_shown");
    let body: Value = serde_json::from_str(&outcome.body).unwrap();
    assert_eq!(
        body,
        json!({"realm": "customers", "user": "bob", "subject": claims_with(json!({}))["sub"],
               "roles": ["customer", "offline_access", "portaswitch:billing"],
               "session_expires_at": desk.gate.env.now.0 + 1_800, "token_expires_at": NOW.0 + 300})
    );
    assert_eq!(desk.send(&mut jar, script("POST", "/sso/session")).what, "405 method");
}

#[test]
fn a_step_up_is_asked_for_once_and_then_explained() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    let outcome = desk.send(&mut jar, script("GET", "/rest/Sim/swap"));
    assert_eq!(outcome.what, "401 step_up");
    let asked = desk.begin(&mut jar, "/rest/Sim/swap");
    assert_eq!((asked["acr_values"].as_str(), asked["max_age"].as_str()), ("gold 2", "900"));
    desk.issue(&asked, json!({}), json!({}));
    assert_eq!(desk.call_back(&mut jar, &asked).location, "/rest/Sim/swap");
    let outcome = desk.navigate(&mut jar, "/rest/Sim/swap");
    assert_eq!((outcome.what.as_str(), outcome.location.as_str()), ("401 step_up", ""));

    let asked = desk.begin(&mut jar, "/sso/start?return=/rest/Sim/swap");
    desk.issue(&asked, json!({}), json!({"acr": "gold", "amr": ["pwd", "otp"]}));
    assert_eq!(desk.call_back(&mut jar, &asked).what, "303 login_completed");
    assert_eq!(desk.navigate(&mut jar, "/rest/Sim/swap").what, "allowed sensitive");
}

#[test]
fn the_user_logs_out_and_nobody_else_logs_him_out() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    desk.sign_in(&mut jar, "/rest/x");
    let copy = jar.clone();
    let with = |fetch_site: &str, head: Head| head.with("sec-fetch-site", fetch_site);
    for head in [
        with("cross-site", navigation("/sso/logout")),
        with("same-site", navigation("/sso/logout")),
        script("GET", "/sso/logout"),
        with("cross-site", head("POST", SELFCARE, "/sso/logout").with("x-forwarded-proto", "https")),
    ] {
        let outcome = desk.send(&mut jar.clone(), head);
        assert_eq!((outcome.what.as_str(), outcome.set_cookies.len()), ("403 cross_site", 0));
    }
    let outcome = desk.send(&mut jar.clone(), navigation("/sso/logout"));
    assert_eq!(outcome.what, "200 logout_asked", "a browser that does not say where it comes from");

    let outcome = desk.send(&mut jar, with("same-origin", navigation("/sso/logout")));
    assert_eq!(outcome.what, "303 logout");
    let (endpoint, query) = outcome.location.split_once('?').unwrap();
    let query: HashMap<_, _> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(endpoint, format!("{CUSTOMERS}/logout"));
    assert_eq!(query["post_logout_redirect_uri"], format!("{ORIGIN}/"));
    assert!(query["id_token_hint"].starts_with("ey"));
    assert_eq!(jar.names(), [""; 0]);
    // A copy of the cookies dies with the session.
    assert_eq!(desk.send(&mut copy.clone(), script("GET", "/rest/x")).what, "401 session_revoked");
    // Without a session there is nothing to end.
    let outcome = desk.send(&mut jar, with("same-origin", navigation("/sso/logout")));
    assert_eq!((outcome.what.as_str(), outcome.location.as_str()), ("303 logout", "/"));
}

#[test]
fn the_own_paths_belong_to_the_filter() {
    let desk = Desk::new();
    for path in ["/sso", "/sso/", "/sso/x", "/sso/callback/", "/sso/start/x", "/%73so/x"] {
        assert_eq!(desk.navigate(&mut Jar::default(), path).what, "404 no_such_path", "{path}");
    }
    let other = navigation("/ssox");
    assert_eq!(desk.send(&mut Jar::default(), other).what, "303 login_begun");
    assert_eq!(desk.send(&mut Jar::default(), script("POST", "/sso/start")).what, "401 no_credential");
    // A realm without a login has no such paths.
    assert_eq!(desk.send(&mut Jar::default(), get(ADMIN, "/sso/start")).what, "401 no_credential");
}
