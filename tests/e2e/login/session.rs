//! A session: what it lets through, what of it reaches whom, and what it says of itself.

use portcullis_tests::browser::Site;
use portcullis_tests::issuer::User;
use portcullis_tests::{Raw, Visit};
use serde_json::json;

use super::{
    ADMIN, API, COOKIE_KEY, OTHER_COOKIE_KEY, PAGE, PORTAL, SELFCARE, SESSION, cookies, portal, portal_with,
    with_login,
};

/// Matrix row 110.
#[tokio::test]
async fn our_cookies_are_ours_and_the_applications_are_its_own() {
    let Some(mut portal) = portal().await else { return };
    let mut browser = portal.signed_in().await;
    browser.put_cookie(format!("{SELFCARE}/"), "JSESSIONID", "app-1");
    browser.put_cookie(format!("{SELFCARE}/"), "__Host-other", "\"q\"");
    for path in [PAGE, "/assets/logo.svg", "/legacy/Session/ping"] {
        let outcome = portal.send(path, &mut browser, &Visit::navigation(format!("{SELFCARE}{path}"))).await;
        let cookie = outcome.forwarded().header("cookie").unwrap_or_default();
        let mut names: Vec<&str> = cookie.split("; ").collect();
        names.sort_unstable();
        assert_eq!(names, ["JSESSIONID=app-1", "__Host-other=\"q\""], "{path}");
        outcome.without_cookies();
    }
    // Names that a careless upstream would fold into ours, and a session at a host that has no login of its own.
    let ours = cookies(&browser, SELFCARE, SESSION)[0].1.clone();
    for host in ["selfcare.csp.com", "api.csp.com"] {
        let cookie = format!("a=1; __host-PORTCULLIS-session-0={ours}; b=2; __Host-portcullis-x=1");
        let raw = Raw::get("/assets/x")
            .host(host)
            .header("cookie", cookie)
            .header("cookie", "__Host-portcullis-y=2");
        assert_eq!(portal.send_raw(host, &raw).await.status, 200);
        let seen = portal.world.upstream.last().unwrap();
        assert_eq!(seen.header("cookie").as_deref(), Some("a=1; b=2"), "{host}");
    }
    let raw = Raw::get("/assets/x").host("selfcare.csp.com").header("cookie", "__Host-portcullis-x=1");
    portal.send_raw("selfcare.csp.com", &raw).await;
    let cookie = portal.world.upstream.last().unwrap().header("cookie");
    assert!(cookie.is_none_or(|cookie| cookie.is_empty()));
    portal.assert_sound();
}

/// Row 50.
#[tokio::test]
async fn a_session_and_a_bearer_token_are_one_too_many() {
    let Some(mut portal) = portal().await else { return };
    let mut browser = portal.signed_in().await;
    let url = format!("{SELFCARE}{PAGE}");
    let token = portal.world.customers.token().sign();
    for (what, authorization) in [
        ("good", token),
        ("expired", portal.world.customers.token().expired(60).sign()),
        ("none", "x".to_owned()),
    ] {
        let visit = Visit::fetch(&url).header("authorization", format!("Bearer {authorization}"));
        let outcome = portal.send(what, &mut browser, &visit).await;
        outcome.refused(400, "ambiguous_credential").without_cookies();
        let visit = Visit::fetch(format!("{SELFCARE}/sso/session"))
            .header("authorization", format!("Bearer {authorization}"));
        portal.send(what, &mut browser, &visit).await.refused(400, "ambiguous_credential").without_cookies();
    }
    // A bearer alone is what it was before.
    let token = portal.world.customers.token().sign();
    let visit = Visit::fetch(&url).header("authorization", format!("Bearer {token}"));
    portal.send("a bearer", &mut portal.browser(), &visit).await.forwarded();
    // A cookie that is no session is no credential.
    let mut stranger = portal.browser();
    stranger.put_cookie(format!("{SELFCARE}/"), &format!("{SESSION}0"), "1.garbage");
    portal.send("a bearer and garbage", &mut stranger, &visit).await.forwarded();
    portal.assert_sound();
}

/// A session is a way to carry a token: where tokens go upstream, its own does, and nothing that the client claims beside it.
#[tokio::test]
async fn the_token_of_a_session_goes_upstream_only_where_asked_for() {
    for forward in [false, true] {
        let config =
            super::config().edit_plugin(|plugin| plugin["identity"]["forward_token"] = forward.into());
        let Some(mut portal) = portal_with(config).await else { return };
        let mut browser = portal.signed_in().await;
        let visit = || Visit::fetch(format!("{SELFCARE}{PAGE}"));
        let basic = visit().header("authorization", "Basic YTpi");
        for (what, visit) in [("nothing else", visit()), ("a password", basic)] {
            let seen = portal.send(what, &mut browser, &visit).await.forwarded();
            let sent = seen.header_all("authorization");
            assert_eq!(sent.len(), usize::from(forward), "{what}: {sent:?}");
            for value in sent {
                let token = value.strip_prefix("Bearer ").expect("a token");
                let claims: serde_json::Value =
                    serde_json::from_slice(&portcullis_tests::token::part(token, 1)).expect("claims");
                let session = portal.world.customers.provider().last_session();
                assert_eq!(
                    (&claims["typ"], &claims["sub"]),
                    (&json!("Bearer"), &json!(session.sub)),
                    "{what}"
                );
            }
        }
        portal.assert_sound();
    }
}

/// A claim that fits into no header is refused, and sends nobody round and round.
#[tokio::test]
async fn a_claim_that_fits_into_no_header_begins_no_further_login() {
    let Some(portal) = portal().await else { return };
    for (name, reason) in
        [("a\r\nx-porta-user: root".to_owned(), "claim_control"), ("x".repeat(3_000), "claim_too_long")]
    {
        portal.world.customers.provider().sign_in(User::new().with(json!({"preferred_username": name})));
        let mut browser = portal.browser();
        let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
        assert_eq!(portal.send("the callback", &mut browser, &callback).await.page.status, 303);
        let page = Visit::navigation(format!("{SELFCARE}{PAGE}"));
        portal.send(reason, &mut browser, &page).await.refused(401, reason).with_page();
        assert!(!cookies(&browser, SELFCARE, SESSION).is_empty(), "{reason}");
    }
}

/// On public and legacy rules a session is ignored: neither used, nor renewed, nor in the way.
#[tokio::test]
async fn a_session_is_nothing_where_nobody_asks_for_one() {
    let Some(portal) = portal().await else { return };
    let mut browser = portal.signed_in().await;
    for path in ["/assets/x", "/legacy/Customer/get"] {
        let outcome = portal.send(path, &mut browser, &Visit::fetch(format!("{SELFCARE}{path}"))).await;
        let seen = outcome.forwarded();
        assert!(seen.headers_with_prefix("x-porta-").is_empty(), "{path}: {:?}", seen.headers);
    }
    let form = Visit::form(format!("{SELFCARE}/legacy/Customer/update"), &[("a", "b")]).from(Site::CrossSite);
    portal.send("an unsafe request without a session's power", &mut browser, &form).await.forwarded();
}

#[tokio::test]
async fn the_session_endpoint_tells_a_page_who_is_there() {
    let Some(mut portal) = portal().await else { return };
    let user = User::new().with(json!({"preferred_username": "bob", "email": "bob@example.com"}));
    portal.world.customers.provider().sign_in(user.clone());
    let mut browser = portal.signed_in().await;
    let endpoint = |origin: &str| Visit::fetch(format!("{origin}/sso/session"));
    let outcome = portal.send("session", &mut browser, &endpoint(SELFCARE)).await;
    assert_eq!((outcome.page.status, outcome.reached), (200, 0), "{}", outcome.context());
    assert_eq!(outcome.page.header("content-type").as_deref(), Some("application/json"));
    assert_eq!(outcome.page.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(outcome.page.header("access-control-allow-origin"), None);
    let told = outcome.page.json();
    assert_eq!((&told["realm"], &told["user"]), (&"customers".into(), &"bob".into()), "{told}");
    let roles = told["roles"].to_string();
    assert!(
        roles.contains("customer") && roles.contains("portaswitch:billing"),
        "as the upstream gets them: {told}"
    );
    let now = portcullis_tests::now();
    let expiry = told["session_expires_at"].as_u64().unwrap_or_default();
    assert!((now + 60..=now + 1800).contains(&expiry), "{told}");
    for secret in ["eyJ", "token\":\"", "refresh_token", "access_token", "code_verifier"] {
        assert!(!told.to_string().contains(secret), "{told}");
    }
    let nobody = portal.send("nobody", &mut portal.browser(), &endpoint(SELFCARE)).await;
    assert!(
        nobody
            .refused(401, "no_credential")
            .without_cookies()
            .with_problem()
            .to_string()
            .contains("/sso/start")
    );
    let elsewhere = portal.send("elsewhere", &mut browser, &endpoint(ADMIN)).await;
    elsewhere.refused(401, "no_credential");
    portal.assert_sound();
}

/// A session of one host says nothing at another: each seal is bound to its host and realm.
#[tokio::test]
async fn a_session_is_of_one_host() {
    let Some(mut portal) = portal().await else { return };
    let mut browser = portal.signed_in().await;
    for (name, value) in cookies(&browser, SELFCARE, SESSION) {
        for origin in [PORTAL, API, ADMIN] {
            browser.put_cookie(format!("{origin}/"), &name, &value);
        }
    }
    for origin in [PORTAL, API, ADMIN] {
        let outcome = portal.send(origin, &mut browser, &Visit::fetch(format!("{origin}{PAGE}"))).await;
        outcome.refused(401, "no_credential");
    }
    portal.send("at home", &mut browser, &Visit::fetch(format!("{SELFCARE}{PAGE}"))).await.forwarded();
    portal.assert_sound();
}

/// Matrix row 114: sealed with the old key it opens while that is in the ring, and is sealed anew with the first.
#[tokio::test]
async fn keys_of_the_cookies_are_rotated_by_configuration() {
    let keys = |keys: serde_json::Value| {
        with_login(super::config(), |login| login["cookie_keys"] = keys)
            .vm_env("OTHER_KEY", OTHER_COOKIE_KEY)
            .dynamic()
    };
    let (old, new) =
        (json!({"id": "one", "env": "PORTCULLIS_COOKIE_KEY"}), json!({"id": "two", "env": "OTHER_KEY"}));
    let Some(mut portal) = portal_with(keys(json!([old]))).await else { return };
    let visit = Visit::navigation(format!("{SELFCARE}{PAGE}"));
    let before = portal.signed_in().await;
    let both = portal.world.wire(keys(json!([new, old])));
    portal.world.envoy.update_listener(&both).await.unwrap_or_else(|e| panic!("{e}"));
    let mut before = moved(&portal, &before);
    portal.send("the old key opens", &mut before, &visit).await.forwarded();
    let after = portal.signed_in().await;
    let only_new = portal.world.wire(keys(json!([new])));
    portal.world.envoy.update_listener(&only_new).await.unwrap_or_else(|e| panic!("{e}"));
    let mut after = moved(&portal, &after);
    portal.send("the new key", &mut after, &visit).await.forwarded();
    let mut before = moved(&portal, &before);
    portal.send("the old key is gone", &mut before, &visit).await.begun();
    // The same id with other bytes opens nothing.
    let inline = json!([{"id": "two", "inline": COOKIE_KEY}]);
    let other_bytes = portal.world.wire(keys(inline));
    portal.world.envoy.update_listener(&other_bytes).await.unwrap_or_else(|e| panic!("{e}"));
    let mut after = moved(&portal, &after);
    portal.send("the bytes count, not the id", &mut after, &visit).await.begun();
    portal.assert_sound();
}

/// The browser with its cookies, at the port where Envoy listens by now.
fn moved(portal: &super::Portal, browser: &portcullis_tests::Browser) -> portcullis_tests::Browser {
    super::ORIGINS
        .iter()
        .fold(browser.clone(), |browser, origin| browser.tls_route(origin, portal.world.envoy.addr()))
}
