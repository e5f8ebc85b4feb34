//! What a callback must bring, and what becomes of one that does not.

use portcullis_tests::browser::{Site, encode_form};
use portcullis_tests::issuer::{Lie, User};
use portcullis_tests::{Browser, Endpoint, Fault, Visit};
use serde_json::{Value, json};

use super::{
    ADMIN, ATTEMPT, PAGE, PORTAL, Portal, SELFCARE, SESSION, cookies, copy_cookies, portal, portal_with,
    set_cookies, stage, takes_back, with_login,
};
use crate::realms::until;

fn page() -> Visit {
    Visit::navigation(format!("{SELFCARE}{PAGE}"))
}

/// A refused callback: a page without a way elsewhere but back into the login, and the session that the browser had lives on.
async fn refused_beside_a_session(
    portal: &Portal,
    what: &str,
    browser: &mut Browser,
    callback: &Visit,
    reason: &str,
) {
    let outcome = portal.send(what, browser, callback).await;
    let text = outcome.refused(400, reason).with_page().page.text();
    assert!(text.contains("href=\"/sso/start"), "a way to start again: {}", outcome.context());
    assert!(set_cookies(&outcome.page, SESSION).is_empty(), "{}", outcome.context());
    portal.send("the old session", browser, &page()).await.forwarded();
}

#[tokio::test]
async fn a_good_callback_brings_a_session() {
    let Some(mut portal) = portal().await else { return };
    for (origin, realm, user) in [(SELFCARE, "customers", "alice"), (ADMIN, "admins", "root.admin")] {
        let mut browser = portal.browser();
        let callback = portal.to_callback(&mut browser, &format!("{origin}{PAGE}")).await;
        let back = portal.send("the callback", &mut browser, &callback).await;
        assert_eq!((back.page.status, back.reached), (303, 0), "{}", back.context());
        assert_eq!(back.page.header("location").as_deref(), Some(PAGE), "a local path, of this host");
        assert_eq!(back.page.header("cache-control").as_deref(), Some("no-store"));
        assert!(!cookies(&browser, origin, SESSION).is_empty());
        assert!(cookies(&browser, origin, ATTEMPT).is_empty(), "the attempt is used up");
        assert!(set_cookies(&back.page, ATTEMPT).iter().all(|line| takes_back(line)), "{}", back.context());
        let visit = Visit::navigation(format!("{origin}{PAGE}")).from(Site::CrossSite);
        let seen = portal.send("the page", &mut browser, &visit).await.forwarded();
        assert_eq!(seen.header("x-porta-realm").as_deref(), Some(realm));
        assert_eq!(seen.header("x-porta-user").as_deref(), Some(user));
        assert_eq!(seen.header("authorization"), None);
    }
    let requests = portal.world.customers.provider().token_requests();
    let names: std::collections::BTreeSet<&str> = requests[0].parameters.names().into_iter().collect();
    assert_eq!(names, ["code", "code_verifier", "grant_type", "redirect_uri"].into());
    assert_eq!((portal.metric("customers.login_completed").await, requests.len()), (1, 1));
    portal.assert_sound();
}

/// Matrix row 103.
#[tokio::test]
async fn a_callback_that_belongs_to_no_login_is_a_page_and_nothing_else() {
    let Some(mut portal) = portal().await else { return };
    let mut browser = portal.signed_in().await;
    let calls = portal.world.customers.provider().token_requests().len();
    let issuer = portal.world.customers.issuer().to_owned();
    let long = "x".repeat(40_000);
    let script = "<script>alert(1)</script>";
    let state = "A".repeat(43);
    for (what, query) in [
        ("nothing", vec![]),
        ("no state", vec![("code", "c"), ("iss", issuer.as_str())]),
        ("an empty state", vec![("code", "c"), ("state", ""), ("iss", &issuer)]),
        ("an unknown state", vec![("code", "c"), ("state", &state), ("iss", &issuer)]),
        ("a short state", vec![("code", "c"), ("state", "x"), ("iss", &issuer)]),
        ("two states", vec![("code", "c"), ("state", &state), ("state", &state), ("iss", &issuer)]),
        ("two codes", vec![("code", "c"), ("code", "c"), ("state", &state), ("iss", &issuer)]),
        ("markup", vec![("code", script), ("state", script), ("iss", script)]),
        ("markup in an error", vec![("error", script), ("error_description", script), ("state", script)]),
        ("an error and no login", vec![("error", "access_denied"), ("state", &state), ("iss", &issuer)]),
        ("a response object (JARM)", vec![("response", "eyJhbGciOiJub25lIn0.e30.")]),
        ("names in another case", vec![("Code", "c"), ("State", &state), ("iss", &issuer)]),
        ("a list", vec![("code[]", "c"), ("state[]", &state), ("iss", &issuer)]),
        ("a state and NUL", vec![("code", "c"), ("state", "AAAAAAAAAAAAAAAA\0"), ("iss", &issuer)]),
        (
            "a state that is no ASCII",
            vec![
                ("code", "c"),
                ("state", "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{20ac}"),
                ("iss", &issuer),
            ],
        ),
        ("40 kB", vec![("code", &long), ("state", &state), ("iss", &issuer)]),
        ("a state like a path", vec![("code", "c"), ("state", "../../../../../session-0"), ("iss", &issuer)]),
        ("a state with a cookie's end", vec![("code", "c"), ("state", "a; b=c\r\nx: y"), ("iss", &issuer)]),
    ] {
        let url = format!("{SELFCARE}/sso/callback?{}", encode_form(&query));
        let visit = Visit::navigation(url).from(Site::CrossSite);
        refused_beside_a_session(&portal, what, &mut browser, &visit, "login_state").await;
        let text = portal.send(what, &mut browser, &visit).await.page.text();
        assert!(!text.contains("<script"), "{what}: {text}");
        assert!(!text.contains(&state) && !text.contains("alert"), "{what}: {text}");
    }
    assert_eq!(portal.world.customers.provider().token_requests().len(), calls, "Keycloak is not asked");
    portal.assert_sound();
}

/// A callback with a running login, in which one parameter is wrong; and rows 103 and 105.
#[tokio::test]
async fn every_parameter_of_a_callback_counts() {
    let Some(mut portal) = portal().await else { return };
    let provider = portal.world.customers.provider().clone();
    let twice = |name: &'static str| {
        Lie::callback(move |parameters| {
            let again = parameters.iter().find(|(n, _)| n == name).cloned();
            parameters.extend(again);
        })
    };
    for (what, lie, reason) in [
        ("the state twice", twice("state"), "login_state"),
        ("the code twice", twice("code"), "login_state"),
        ("the issuer twice", twice("iss"), "login_state"),
        ("another state", Lie::callback(|parameters| parameters[0].1.push('x')), "login_state"),
        ("no code", Lie::no_parameter("code"), "login_code"),
        ("an empty code", Lie::parameter("code", ""), "login_code"),
        ("no issuer", Lie::no_parameter("iss"), "login_issuer"),
        ("another issuer", Lie::parameter("iss", "https://evil.example/realms/customers"), "login_issuer"),
        (
            "the issuer and a slash",
            Lie::parameter("iss", "https://sso.csp.com/realms/customers/"),
            "login_issuer",
        ),
        ("the other realm", Lie::parameter("iss", "https://sso-admin.csp.com/realms/admins"), "login_issuer"),
        ("an error beside the code", Lie::parameter("error", "server_error"), "login_refused"),
    ] {
        let mut browser = portal.signed_in().await;
        provider.lie(lie);
        let start = Visit::navigation(format!("{SELFCARE}/sso/start?return=%2Frest"));
        let begun = portal.send(what, &mut browser, &start).await.begun();
        let calls = provider.token_requests().len();
        let callback = portal.through_keycloak(&mut browser, &begun).await;
        refused_beside_a_session(&portal, what, &mut browser, &callback, reason).await;
        assert_eq!(provider.token_requests().len(), calls, "{what}: the code is not redeemed");
        provider.tell_the_truth();
    }
    portal.assert_sound();
}

#[tokio::test]
async fn an_issuer_that_announces_no_iss_need_not_name_itself() {
    let Some(stage) = stage().await else { return };
    let mut discovery = stage.customers.discovery();
    discovery["authorization_response_iss_parameter_supported"] = false.into();
    stage.customers.fault(Endpoint::Discovery, Fault::json(&discovery));
    let world = stage.start(super::config()).await.unwrap_or_else(|e| panic!("{e}"));
    let portal = Portal { world };
    let provider = portal.world.customers.provider();
    provider.lie(Lie::no_parameter("iss"));
    portal.signed_in().await;
    provider.lie(Lie::parameter("iss", "https://evil.example/realms/customers"));
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    portal.send("another issuer", &mut browser, &callback).await.refused(400, "login_issuer");
}

/// Row 104.
#[tokio::test]
async fn a_callback_works_once_here_and_now() {
    let Some(mut portal) = portal().await else { return };
    let url = format!("{SELFCARE}{PAGE}");
    // Login CSRF: the attacker's own callback, in the victim's browser.
    let (mut attacker, mut victim) = (portal.browser(), portal.signed_in().await);
    let foreign = portal.to_callback(&mut attacker, &url).await;
    refused_beside_a_session(&portal, "another browser", &mut victim, &foreign, "login_state").await;
    // The victim has a login of its own under way.
    let start = Visit::navigation(format!("{SELFCARE}/sso/start"));
    portal.send("start", &mut victim, &start).await.begun();
    refused_beside_a_session(&portal, "another browser", &mut victim, &foreign, "login_state").await;

    let attempt = cookies(&attacker, SELFCARE, ATTEMPT);
    let back = portal.send("its own browser", &mut attacker, &foreign).await;
    assert_eq!(back.page.status, 303, "{}", back.context());
    refused_beside_a_session(&portal, "again", &mut attacker, &foreign, "login_state").await;
    // With a copy of the attempt's cookie it is Keycloak who says no: a code works once.
    attacker.put_cookie(format!("{SELFCARE}/"), &attempt[0].0, &attempt[0].1);
    let outcome = portal.send("replayed", &mut attacker, &foreign).await;
    outcome.refused(502, "login_code_refused").with_page();

    // At another host of the realm, and at the other realm's.
    for origin in [PORTAL, ADMIN] {
        let mut browser = portal.browser();
        let callback = portal.to_callback(&mut browser, &url).await;
        copy_cookies(&browser.clone(), &mut browser, SELFCARE, ATTEMPT);
        for (name, value) in cookies(&browser, SELFCARE, ATTEMPT) {
            browser.put_cookie(format!("{origin}/"), &name, &value);
        }
        let elsewhere = callback.url().as_str().replace(SELFCARE, origin);
        let outcome = portal.send(origin, &mut browser, &Visit::navigation(elsewhere)).await;
        outcome.refused(400, "login_state").with_page();
        let back = portal.send("where it began", &mut browser, &callback).await;
        assert_eq!(back.page.status, 303, "{}", back.context());
    }
    portal.assert_sound();
}

#[tokio::test]
async fn a_login_that_takes_too_long_is_over() {
    let config = with_login(super::config(), |login| login["attempt"] = json!({"lifetime": "2s"}));
    let Some(portal) = portal_with(config).await else { return };
    let mut browser = portal.browser();
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    let attempt = cookies(&browser, SELFCARE, ATTEMPT);
    until("the browser forgets the login", async || cookies(&browser, SELFCARE, ATTEMPT).is_empty()).await;
    portal.send("forgotten", &mut browser, &callback).await.refused(400, "login_state").with_page();
    // A browser that remembers for longer does not change that.
    browser.put_cookie(format!("{SELFCARE}/"), &attempt[0].0, &attempt[0].1);
    portal.send("expired", &mut browser, &callback).await.refused(400, "login_state").with_page();
    assert_eq!(portal.world.customers.provider().token_requests().len(), 0);
}

/// Use cases 1.2 and 2.2.
#[tokio::test]
async fn a_login_that_fails_at_keycloak_can_be_begun_again() {
    let Some(mut portal) = portal().await else { return };
    let provider = portal.world.customers.provider().clone();
    for (error, reason) in [
        ("access_denied", "login_cancelled"),
        ("temporarily_unavailable", "login_refused"),
        ("<b>x", "login_refused"),
    ] {
        let mut user = User::new();
        user.error = Some(error.to_owned());
        provider.sign_in(user);
        let mut browser = portal.browser();
        let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
        let outcome = portal.send(error, &mut browser, &callback).await;
        let text = outcome.refused(400, reason).with_page().page.text();
        assert!(!text.contains("<b>x") && !text.contains("User cancelled"), "{text}");
        assert!(
            text.contains("/sso/start?return=%2Frest%2FCustomer%2Foverview%3Ftab%3D1"),
            "back to the page: {text}"
        );
        assert!(cookies(&browser, SELFCARE, ATTEMPT).is_empty(), "nothing is left half-open");
        assert!(cookies(&browser, SELFCARE, SESSION).is_empty());
        provider.sign_in(User::new());
        portal.sign_in(&mut browser, SELFCARE).await;
    }
    portal.assert_sound();
}

/// Row 113: the browser keeps no cookies, or loses the session; or nobody can get in with what the login brings.
#[tokio::test]
async fn a_login_that_leads_nowhere_stops() {
    let Some(mut portal) = portal().await else { return };
    let mut blocked = portal.browser().without_cookies();
    let pages = blocked.open(&page()).await;
    let last = pages.last().expect("an answer");
    assert_eq!((last.status, pages.len()), (400, 3), "{}", last.text());
    assert!(last.text().to_lowercase().contains("cookie"), "it says why: {}", last.text());

    let mut forgetful = portal.browser();
    let mut logins = 0;
    let outcome = loop {
        let outcome = portal.send("the page", &mut forgetful, &page()).await;
        if outcome.page.status != 303 {
            break outcome;
        }
        logins += 1;
        assert!(logins < 10, "a loop without an end");
        let callback = portal.through_keycloak(&mut forgetful, &outcome.page).await;
        assert_eq!(portal.send("the callback", &mut forgetful, &callback).await.page.status, 303);
        for (name, _) in cookies(&forgetful, SELFCARE, SESSION) {
            forgetful.drop_cookie(&name);
        }
    };
    outcome.refused(400, "login_loop").with_page();
    assert!(logins > 1, "once may happen to everybody");
    // The user may try on.
    portal.send("again", &mut forgetful, &Visit::navigation(format!("{SELFCARE}/sso/start"))).await.begun();

    // Starts are no loop.
    let mut impatient = portal.browser();
    for _ in 0..12 {
        portal.send("a start", &mut impatient, &page()).await.begun();
    }
    portal.sign_in(&mut impatient, SELFCARE).await;
    for _ in 0..5 {
        portal.sign_in(&mut portal.browser(), SELFCARE).await;
    }
    // A user without the role is told so, and not sent round.
    let staff = Visit::navigation(format!("{SELFCARE}/rest/Staff/x"));
    portal.send("no role", &mut impatient, &staff).await.refused(403, "missing_role").with_page();
    portal.assert_sound();
}

#[tokio::test]
async fn a_client_authenticates_as_it_is_registered() {
    use portcullis_tests::issuer::{Authentication, Client};
    let edit = |authentication, login: &mut Value| match authentication {
        Authentication::Post => login["client_authentication"] = "client_secret_post".into(),
        Authentication::None => drop(login.as_object_mut().map(|login| login.remove("client_secret"))),
        // A key is a matter of `token_endpoint`.
        Authentication::Basic | Authentication::PrivateKeyJwt => {}
    };
    for authentication in [Authentication::Basic, Authentication::Post, Authentication::None] {
        let config = with_login(super::config(), |login| edit(authentication, login));
        let Some(portal) = portal_with(config).await else { return };
        let client = match authentication {
            Authentication::None => Client::public("selfcare-ui"),
            _ => Client::confidential("selfcare-ui", super::CLIENT_SECRET).authenticated_by(authentication),
        };
        let provider = portal.world.customers.provider();
        provider.register(client);
        portal.signed_in().await;
        let request = &provider.token_requests()[0];
        let secret = request.parameters.get("client_secret").is_some();
        let expected = (authentication == Authentication::Basic, authentication == Authentication::Post);
        assert_eq!((request.authorization.is_some(), secret), expected, "{authentication:?}");
    }
}
