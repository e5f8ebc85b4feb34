//! How a login begins: who is sent to Keycloak, with what, and where to.

use portcullis_tests::browser::Site;
use portcullis_tests::{Browser, Endpoint, Fault, Raw, Visit};
use serde_json::json;

use super::{
    ADMIN, API, ATTEMPT, PAGE, PORTAL, SELFCARE, cookies, parameter, plain_config, portal, portal_with,
    set_cookies, stage, with_login,
};

/// Matrix row 100.
#[tokio::test]
async fn a_navigation_goes_to_keycloak_with_all_that_a_code_flow_needs() {
    let Some(mut portal) = portal().await else { return };
    let mut states = std::collections::BTreeSet::new();
    for (origin, issuer, client) in [
        (SELFCARE, portal.world.customers.issuer(), "selfcare-ui"),
        (ADMIN, portal.world.admins.issuer(), "admin-ui"),
        (SELFCARE, portal.world.customers.issuer(), "selfcare-ui"),
    ] {
        let mut browser = portal.browser();
        let outcome = portal.send(origin, &mut browser, &Visit::navigation(format!("{origin}{PAGE}"))).await;
        let page = outcome.begun();
        let location = page.location().unwrap();
        assert_eq!(
            location.as_str().split('?').next().unwrap(),
            format!("{issuer}/protocol/openid-connect/auth")
        );
        let get = |name: &str| page.location_parameter(name).unwrap_or_default();
        assert_eq!(get("response_type"), "code");
        assert_eq!(get("client_id"), client);
        assert_eq!(get("redirect_uri"), format!("{origin}/sso/callback"));
        assert_eq!(get("code_challenge_method"), "S256");
        assert_eq!(get("code_challenge").len(), 43);
        let scope = get("scope");
        assert!(
            scope.split(' ').any(|s| s == "openid") && scope.split(' ').any(|s| s == "profile"),
            "{scope}"
        );
        for secret in ["code_verifier", "client_secret"] {
            assert_eq!(page.location_parameter(secret), None);
        }
        for random in ["state", "nonce", "code_challenge"] {
            assert!(get(random).len() >= 22, "128 bits at least: {random}={}", get(random));
            assert!(states.insert(get(random)), "{random} is used once");
        }
        let attempts = cookies(&browser, origin, ATTEMPT);
        assert_eq!(attempts.len(), 1, "{:?}", page.header_all("set-cookie"));
        assert!(browser.refused_cookies().is_empty(), "{:?}", browser.refused_cookies());
        for open in [get("nonce"), PAGE.to_owned()] {
            assert!(!attempts[0].1.contains(&open), "the attempt is sealed");
        }
        let line = &set_cookies(&page, ATTEMPT)[0];
        for attribute in ["Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(line.contains(attribute), "{line}");
        }
    }
    portal.assert_sound();
}

/// Row 101.
#[tokio::test]
async fn nothing_but_a_navigation_is_sent_to_sign_in() {
    let Some(mut portal) = portal().await else { return };
    let url = format!("{SELFCARE}{PAGE}");
    let xhr = |visit: Visit| visit.header("x-requested-with", "XMLHttpRequest");
    for (what, visit) in [
        ("fetch", Visit::fetch(&url)),
        ("XMLHttpRequest", xhr(Visit::fetch(&url))),
        ("fetch that takes HTML", Visit::fetch(&url).header("accept", "text/html")),
        ("a frame", Visit::frame(&url)),
        ("a frame of another site", Visit::frame(&url).from(Site::CrossSite)),
        ("an image", Visit::image(&url)),
        ("an image on another site", Visit::image(&url).from(Site::CrossSite)),
        ("a prefetch", Visit::prefetch(&url)),
        ("a page in advance", Visit::prerender(&url)),
        ("HEAD", Visit::navigation(&url).method("HEAD")),
        ("PUT", Visit::fetch(&url).method("PUT")),
        ("DELETE", Visit::fetch(&url).method("DELETE")),
        ("POST by a script", Visit::fetch(&url).method("POST")),
    ] {
        let mut browser = portal.browser();
        let outcome = portal.send(what, &mut browser, &visit).await;
        let outcome = outcome.refused(401, "no_credential").without_cookies();
        let challenge = outcome.page.header("www-authenticate").unwrap_or_default();
        assert!(challenge.starts_with("Bearer"), "{what}: {challenge}");
        if what != "HEAD" {
            let problem = outcome.with_problem();
            assert!(problem.to_string().contains("/sso/start"), "{what} is told where to sign in: {problem}");
        }
    }
    let browser = portal.browser();
    assert_eq!(browser.websocket(&Visit::websocket(format!("{SELFCARE}/ws"))).await, 401);
    let mut browser = portal.browser();
    let form = Visit::form(&url, &[("amount", "5")]);
    let outcome = portal.send("a form", &mut browser, &form).await;
    outcome.refused(401, "no_credential").without_cookies().with_page();
    assert!(outcome.page.text().contains("/sso/start"), "{}", outcome.context());

    // Without Fetch Metadata, `accept` decides.
    let mut old = portal.browser().without_fetch_metadata();
    portal.send("an old browser", &mut old, &Visit::navigation(&url)).await.begun();
    let mut old = portal.browser().without_fetch_metadata();
    portal
        .send("an old script", &mut old, &Visit::fetch(&url))
        .await
        .refused(401, "no_credential")
        .without_cookies();
    // Some of it, and not that it navigates: no browser from before. And what a script's library says of itself.
    for (name, value) in
        [("sec-fetch-dest", "document"), ("sec-fetch-site", "none"), ("x-requested-with", "XMLHttpRequest")]
    {
        for visit in [Visit::navigation(&url), Visit::navigation(format!("{SELFCARE}/sso/start"))] {
            let mut old = portal.browser().without_fetch_metadata();
            let outcome = portal.send(name, &mut old, &visit.header(name, value)).await;
            outcome.refused(401, "no_credential").without_cookies().with_problem();
        }
    }
    let mut view = portal.browser().without_fetch_metadata();
    let visit = Visit::navigation(&url).header("x-requested-with", "com.example.browser");
    portal.send("a web view", &mut view, &visit).await.begun();
    assert_eq!(portal.world.upstream.requests(), 0);
    portal.assert_sound();
}

/// Nobody begins a login in the user's place: neither in a frame, nor in advance, nor by a script.
#[tokio::test]
async fn the_start_of_a_login_is_navigated_to() {
    let Some(portal) = portal().await else { return };
    let url = format!("{SELFCARE}/sso/start?return=%2Frest");
    for (what, visit) in [
        ("a script", Visit::fetch(&url)),
        ("a frame", Visit::frame(&url).from(Site::CrossSite)),
        ("an image", Visit::image(&url).from(Site::CrossSite)),
        ("a prefetch", Visit::prefetch(&url)),
        ("a page in advance", Visit::prerender(&url)),
        ("HEAD", Visit::navigation(&url).method("HEAD")),
        ("a form", Visit::form(&url, &[])),
    ] {
        portal
            .send(what, &mut portal.browser(), &visit)
            .await
            .refused(401, "no_credential")
            .without_cookies();
    }
    let mut old = portal.browser().without_fetch_metadata();
    let early = Visit::navigation(&url).header("purpose", "prefetch");
    portal.send("an old prefetch", &mut old, &early).await.refused(401, "no_credential").without_cookies();
    portal.send("a link elsewhere", &mut old, &Visit::navigation(&url).from(Site::CrossSite)).await.begun();
}

#[tokio::test]
async fn where_a_login_is_offered_the_page_has_a_link_to_it() {
    let Some(portal) = portal().await else { return };
    let mut browser = portal.browser();
    let outcome =
        portal.send("offered", &mut browser, &Visit::navigation(format!("{PORTAL}/rest/a?b=c"))).await;
    let text = outcome.refused(401, "no_credential").without_cookies().with_page().page.text();
    let href = text.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a link");
    assert_eq!(href, "/sso/start?return=%2Frest%2Fa%3Fb%3Dc");
    let start = Visit::navigation(format!("{PORTAL}{href}")).from(Site::SameOrigin);
    let begun = portal.send("the link", &mut browser, &start).await.begun();
    let callback = portal.through_keycloak(&mut browser, &begun).await;
    let back = portal.send("the callback", &mut browser, &callback).await;
    assert_eq!(
        back.page.location().map(String::from),
        Some(format!("{PORTAL}/rest/a?b=c")),
        "{}",
        back.context()
    );
    portal
        .send("the page", &mut browser, &Visit::navigation(format!("{PORTAL}/rest/a?b=c")))
        .await
        .forwarded();
    let mut script = portal.browser();
    let outcome = portal.send("fetch", &mut script, &Visit::fetch(format!("{PORTAL}{PAGE}"))).await;
    assert!(outcome.refused(401, "no_credential").with_problem().to_string().contains("/sso/start"));
    // No login: the page stands alone. The realm's own paths are there nevertheless.
    let outcome =
        portal.send("none", &mut portal.browser(), &Visit::navigation(format!("{API}{PAGE}"))).await;
    assert!(!outcome.refused(401, "no_credential").with_page().page.text().contains("/sso/start"));
    portal.send("start", &mut portal.browser(), &Visit::navigation(format!("{API}/sso/start"))).await.begun();
}

/// Row 102: the whole way, for a few of each shape; the long table is a unit test of the core.
#[tokio::test]
async fn a_login_returns_to_a_local_path_or_to_the_root() {
    let Some(mut portal) = portal().await else { return };
    let long = format!("/{}", "a".repeat(2_000));
    let too_long = long.repeat(2);
    let quotes = format!("/?{}", "\"".repeat(2_000));
    for (target, expected) in [
        ("/rest/a?b=c&d=e", "/rest/a?b=c&d=e"),
        ("/%C3%A4?x=https://evil.example/", "/%C3%A4?x=https://evil.example/"),
        ("/ssox", "/ssox"),
        ("", "/"),
        ("rest/a", "/"),
        ("//evil.example/", "/"),
        ("///evil.example", "/"),
        ("/\\evil.example", "/"),
        ("\\/evil.example", "/"),
        ("/%5cevil.example", "/"),
        ("/%2fevil.example", "/"),
        ("/\tevil.example", "/"),
        ("/%09/evil.example", "/"),
        ("https://evil.example/", "/"),
        ("https:evil.example", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nset-cookie: x=1", "/"),
        ("/a/../..//evil.example", "/"),
        ("/a#b", "/"),
        ("@evil.example", "/"),
        ("/sso/logout", "/"),
        ("/sso", "/"),
        ("/%73so/start", "/"),
        ("https://selfcare.csp.com/rest/a", "/"),
        (long.as_str(), long.as_str()),
        (too_long.as_str(), "/"),
        (quotes.as_str(), "/"),
    ] {
        let mut browser = portal.browser();
        let query = portcullis_tests::browser::encode_form(&[("return", target)]);
        let start = Visit::navigation(format!("{SELFCARE}/sso/start?{query}"));
        let begun = portal.send(target, &mut browser, &start).await.begun();
        let callback = portal.through_keycloak(&mut browser, &begun).await;
        let back = portal.send(target, &mut browser, &callback).await;
        assert_eq!(
            (back.page.status, back.page.header("location").as_deref()),
            (303, Some(expected)),
            "{}",
            back.context()
        );
    }
    let twice = Visit::navigation(format!("{SELFCARE}/sso/start?return=%2Fa&return=%2F%2Fevil.example"));
    let mut browser = portal.browser();
    let begun = portal.send("twice", &mut browser, &twice).await.begun();
    let callback = portal.through_keycloak(&mut browser, &begun).await;
    let back = portal.send("twice", &mut browser, &callback).await;
    assert_eq!(back.page.header("location").as_deref(), Some("/"), "{}", back.context());
    portal.assert_sound();
}

#[tokio::test]
async fn the_redirect_uri_is_the_hosts_own_whatever_a_client_says() {
    let Some(portal) = portal().await else { return };
    let navigate = |host: &str| {
        Raw::get(PAGE).host(host).header("sec-fetch-mode", "navigate").header("accept", "text/html")
    };
    for (what, request, expected) in [
        ("upper case", navigate("SelfCare.CSP.com"), "https://selfcare.csp.com/sso/callback"),
        ("a trailing dot", navigate("selfcare.csp.com."), "https://selfcare.csp.com/sso/callback"),
        ("the scheme's own port", navigate("selfcare.csp.com:443"), "https://selfcare.csp.com/sso/callback"),
        ("another port", navigate("selfcare.csp.com:8443"), "https://selfcare.csp.com:8443/sso/callback"),
        (
            "forwarding headers",
            navigate("selfcare.csp.com")
                .header("x-forwarded-host", "evil.example")
                .header("x-forwarded-proto", "http")
                .header("x-forwarded-port", "81")
                .header("forwarded", "host=evil.example;proto=http")
                .header("x-original-url", "https://evil.example/"),
            "https://selfcare.csp.com/sso/callback",
        ),
    ] {
        let response = portal.send_raw("selfcare.csp.com", &request).await;
        assert_eq!(response.status, 303, "{what}: {}\n{}", response.text(), portal.world.envoy.log());
        let location = response.header("location").unwrap_or_default();
        let redirect_uri = parameter(&location, "redirect_uri").unwrap_or_default();
        assert_eq!(redirect_uri.replace("%3A", ":").replace("%2F", "/"), expected, "{what}");
        assert!(!location.contains("evil"), "{what}: {location}");
    }
    assert_eq!(portal.world.upstream.requests(), 0);
}

#[tokio::test]
async fn over_plain_http_nobody_signs_in_except_on_the_loopback() {
    let config = plain_config().edit_plugin(|plugin| {
        let mut site = plugin["sites"][0].clone();
        site["hosts"] = json!(["localhost", "portal.localhost"]);
        plugin["sites"].as_array_mut().expect("sites").push(site);
    });
    let Some(mut portal) = portal_with(config).await else { return };
    let addr = portal.world.envoy.addr();
    let insecure = "http://selfcare.csp.com";
    for spoof in [false, true] {
        let mut browser = Browser::new().route(insecure, addr);
        let mut visit = Visit::navigation(format!("{insecure}{PAGE}"));
        if spoof {
            visit = visit.header("forwarded", "proto=https").header("x-forwarded-scheme", "https");
        }
        let outcome = portal.send("plain HTTP", &mut browser, &visit).await;
        outcome.refused(400, "login_insecure").without_cookies().with_page();
        let start = Visit::navigation(format!("{insecure}/sso/start"));
        portal.send("start", &mut browser, &start).await.refused(400, "login_insecure").without_cookies();
    }
    let response = Raw::get(PAGE)
        .host("selfcare.csp.com")
        .header("accept", "text/html")
        .header("x-forwarded-proto", "https")
        .send(addr)
        .await
        .expect("an answer");
    assert_eq!(response.status, 400, "Envoy says itself what the connection is: {}", response.text());

    for origin in
        [format!("http://localhost:{}", addr.port()), format!("http://portal.localhost:{}", addr.port())]
    {
        let mut browser = Browser::new()
            .route(&origin, addr)
            .route(portal.world.customers.issuer(), portal.world.customers.addr());
        let mut client = portcullis_tests::issuer::Client::confidential("selfcare-ui", super::CLIENT_SECRET);
        client.redirect_uris = vec![format!("{origin}/sso/callback")];
        portal.world.customers.provider().register(client);
        let pages = browser.open(&Visit::navigation(format!("{origin}{PAGE}"))).await;
        let last = pages.last().unwrap();
        assert_eq!(
            (last.status, last.url.as_str()),
            (200, format!("{origin}{PAGE}").as_str()),
            "{}",
            portal.world.envoy.log()
        );
        assert!(browser.refused_cookies().is_empty(), "{:?}", browser.refused_cookies());
    }
    portal.assert_sound();
}

#[tokio::test]
async fn logins_of_many_tabs_are_bounded_and_each_returns_to_its_page() {
    let Some(mut portal) =
        portal_with(with_login(super::config(), |login| login["attempt"] = json!({"at_most": 3}))).await
    else {
        return;
    };
    let mut browser = portal.browser();
    let mut callbacks = Vec::new();
    for tab in 0..6 {
        callbacks.push(portal.to_callback(&mut browser, &format!("{SELFCARE}/rest/tab?n={tab}")).await);
        assert!(cookies(&browser, SELFCARE, ATTEMPT).len() <= 3, "tab {tab}");
    }
    for (tab, callback) in callbacks.iter().enumerate().rev() {
        let back = portal.send(&format!("tab {tab}"), &mut browser, callback).await;
        if tab < 3 {
            back.refused(400, "login_state").with_page();
        } else {
            let target = format!("{SELFCARE}/rest/tab?n={tab}");
            assert_eq!(back.page.location().map(String::from), Some(target), "{}", back.context());
        }
    }
    assert!(cookies(&browser, SELFCARE, ATTEMPT).is_empty());
    portal.send("signed in", &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}"))).await.forwarded();
    portal.assert_sound();
}

#[tokio::test]
async fn without_keycloak_a_login_does_not_begin() {
    let Some(stage) = stage().await else { return };
    stage.customers.fault(Endpoint::Discovery, Fault::Status(500));
    let world = stage.start(super::config()).await.unwrap_or_else(|e| panic!("{e}"));
    let portal = super::Portal { world };
    let mut browser = portal.browser();
    let visit = Visit::navigation(format!("{SELFCARE}{PAGE}"));
    let outcome = portal.send("down", &mut browser, &visit).await;
    outcome.refused(503, "keys_unavailable").without_cookies().with_page();
    portal.world.customers.clear_faults();
    crate::realms::until("Keycloak is back", async || portal.browser().go(&visit).await.status == 303).await;
    portal.sign_in(&mut browser, SELFCARE).await;
}

#[tokio::test]
async fn the_paths_of_the_login_are_the_filters_own() {
    let config = super::config().edit_plugin(|plugin| {
        let open = json!({"name": "open", "path": {"prefix": "/"}, "access": "public"});
        plugin["sites"][1]["rules"] = json!([open]);
    });
    let Some(mut portal) = portal_with(config).await else { return };
    let mut browser = portal.signed_in().await;
    portal.send("public", &mut browser, &Visit::navigation(format!("{PORTAL}/ssox"))).await.forwarded();
    let requests = portal.world.upstream.requests();
    for origin in [SELFCARE, PORTAL, API] {
        for path in ["/sso", "/sso/", "/sso/unknown", "/%73so/start/x", "/sso/callback/", "/sso/start/"] {
            for visit in
                [Visit::navigation(format!("{origin}{path}")), Visit::fetch(format!("{origin}{path}"))]
            {
                let outcome = portal.send(path, &mut browser, &visit).await;
                assert_eq!(outcome.page.status, 404, "{}", outcome.context());
            }
        }
        for (path, method) in [
            ("/sso/start", "POST"),
            ("/sso/start", "HEAD"),
            ("/sso/callback", "POST"),
            ("/sso/session", "POST"),
            ("/sso/session", "DELETE"),
            ("/sso/logout", "PUT"),
            ("/sso/backchannel-logout", "GET"),
        ] {
            let visit = Visit::fetch(format!("{origin}{path}")).method(method);
            let outcome = portal.send(path, &mut browser, &visit).await;
            assert!((400..500).contains(&outcome.page.status), "{method} {}", outcome.context());
            assert_eq!(outcome.page.location(), None);
        }
    }
    assert_eq!(portal.world.upstream.requests(), requests, "none of them is the upstream's");
    portal
        .send("still signed in", &mut browser, &Visit::navigation(format!("{SELFCARE}{PAGE}")))
        .await
        .forwarded();
    portal.assert_sound();
}
