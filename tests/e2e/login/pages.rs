//! The pages of the filter: they need nobody else, show nothing of the request, and lead back.

use portcullis_tests::issuer::User;
use portcullis_tests::{Endpoint, Fault, Visit};
use serde_json::json;

use super::{ADMIN, Outcome, PAGE, PORTAL, Portal, SELFCARE, portal, portal_with};

/// One page of each kind.
async fn pages(portal: &Portal) -> Vec<Outcome> {
    let customers = &portal.world.customers;
    let mut pages = Vec::new();
    let mut browser = portal.browser();
    for (what, visit) in [
        ("sign in", Visit::navigation(format!("{PORTAL}{PAGE}"))),
        ("a form without a session", Visit::form(format!("{SELFCARE}{PAGE}"), &[("a", "b")])),
        ("a callback of nobody", Visit::navigation(format!("{SELFCARE}/sso/callback?state=x&code=y"))),
        ("an unknown path of ours", Visit::navigation(format!("{SELFCARE}/sso/x"))),
        ("an ambiguous path", Visit::navigation(format!("{SELFCARE}/a%252fb"))),
    ] {
        pages.push(portal.send(what, &mut browser, &visit).await);
    }
    let mut signed_in = portal.signed_in().await;
    let staff = Visit::navigation(format!("{SELFCARE}/rest/Staff/x"));
    pages.push(portal.send("no role", &mut signed_in, &staff).await);
    let mut user = User::new();
    user.error = Some("access_denied".to_owned());
    customers.provider().sign_in(user);
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    pages.push(portal.send("cancelled", &mut browser, &callback).await);
    customers.provider().sign_in(User::new());
    let callback = portal.to_callback(&mut browser, &format!("{SELFCARE}{PAGE}")).await;
    customers.fault(Endpoint::Token, Fault::Status(500));
    pages.push(portal.send("Keycloak is down", &mut browser, &callback).await);
    customers.clear_faults();
    let mut old = signed_in.without_fetch_metadata();
    let logout = Visit::navigation(format!("{SELFCARE}/sso/logout"));
    pages.push(portal.send("sign out?", &mut old, &logout).await);
    pages
}

#[tokio::test]
async fn a_page_needs_nobody_else_and_nobody_frames_or_keeps_it() {
    let Some(mut portal) = portal().await else { return };
    for outcome in pages(&portal).await {
        outcome.with_page();
        let (text, context) = (outcome.page.text(), outcome.context());
        let policy = outcome.page.header("content-security-policy").unwrap_or_default();
        for directive in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action"] {
            assert!(policy.contains(directive), "{directive}: {context}");
        }
        assert!(!policy.contains("script-src") && !policy.contains('*'), "{policy}");
        assert_eq!(outcome.page.header("x-content-type-options").as_deref(), Some("nosniff"), "{context}");
        assert_eq!(outcome.page.header("cache-control").as_deref(), Some("no-store"), "{context}");
        assert_eq!(outcome.page.header("x-frame-options").as_deref(), Some("DENY"), "{context}");
        // The form that signs out must say where it comes from.
        let referrer = if outcome.what.as_str() == "sign out?" { "same-origin" } else { "no-referrer" };
        assert_eq!(outcome.page.header("referrer-policy").as_deref(), Some(referrer), "{context}");
        assert_eq!(
            outcome.page.header("content-type").as_deref(),
            Some("text/html; charset=utf-8"),
            "{context}"
        );
        for outside in [
            "<script",
            "<link",
            "<img",
            "@import",
            "url(",
            "src=",
            "http://",
            "https://",
            "onload",
            "javascript:",
        ] {
            assert!(!text.contains(outside), "{outside}: {context}");
        }
        for part in ["<!doctype html>", "<html lang=\"en\"", "<title>", "name=\"viewport\"", "<main", "<h1"] {
            assert!(text.contains(part), "{part}: {context}");
        }
        assert_eq!(text.matches("<h1").count(), 1, "{context}");
        assert_eq!(outcome.reached, 0, "{context}");
    }
    portal.assert_sound();
}

#[tokio::test]
async fn a_page_bears_the_request_id_and_a_way_back() {
    let Some(portal) = portal().await else { return };
    for outcome in pages(&portal).await {
        if outcome.page.status < 400 {
            continue;
        }
        let id = outcome.log.split("request_id=\"").nth(1).and_then(|rest| rest.split('"').next());
        let id = id.unwrap_or_else(|| panic!("the log names the request: {}", outcome.context()));
        assert!(outcome.page.text().contains(id), "{}", outcome.context());
        let ours =
            !matches!(outcome.what.as_str(), "no role" | "an ambiguous path" | "an unknown path of ours");
        assert!(!ours || outcome.page.text().contains("/sso/start"), "a way back: {}", outcome.context());
    }
}

/// What a request says is on no page, or escaped.
#[tokio::test]
async fn nothing_of_a_request_is_markup_on_a_page() {
    let Some(portal) = portal().await else { return };
    let mut browser = portal.browser();
    for url in [
        format!("{PORTAL}/rest/\"><b>x?y=\"><script>alert(1)</script>"),
        format!("{PORTAL}/rest/%22%3E%3Cscript%3Ealert(1)%3C/script%3E?'onmouseover=alert(1)//"),
        format!("{SELFCARE}/sso/callback?state=\"><script>alert(1)</script>&error=<b>x"),
    ] {
        let outcome = portal.send(&url, &mut browser, &Visit::navigation(&url)).await;
        let text = outcome.with_page().page.text();
        for markup in ["<script", "<b>", "'onmouseover", "\"><"] {
            assert!(
                !text.contains(&format!("{markup}alert")) && !text.contains(&format!("{markup}x")),
                "{}",
                outcome.context()
            );
        }
        assert!(!text.contains("<script") && !text.contains("alert(1)</"), "{}", outcome.context());
    }
}

/// The portals' scripts read a fault, and a person finds the way to the login.
#[tokio::test]
async fn on_a_portabilling_site_scripts_read_a_fault_and_people_a_page() {
    let config =
        super::config().edit_plugin(|plugin| plugin["sites"][1]["error_format"] = json!("portabilling"));
    let Some(portal) = portal_with(config).await else { return };
    let url = format!("{PORTAL}{PAGE}");
    let script = portal.send("a script", &mut portal.browser(), &Visit::fetch(&url)).await;
    assert_eq!(script.page.status, 500, "{}", script.context());
    assert_eq!(script.page.json()["faultcode"], "Server.Session.check_auth.auth_failed");
    for visit in [Visit::navigation(&url), Visit::form(&url, &[("a", "b")])] {
        let outcome = portal.send("a person", &mut portal.browser(), &visit).await;
        outcome.refused(401, "no_credential").without_cookies().with_page();
        assert!(outcome.page.text().contains("/sso/start"), "{}", outcome.context());
    }
}

/// English unless told otherwise; any language can be supplied.
#[tokio::test]
async fn names_and_languages_are_the_operators() {
    let config = super::config().edit_plugin(|plugin| {
        plugin["text"] = json!({
            "names": {"customers": "Self-Care <Portal>"},
            "languages": {"de": {"sign_in.title": "Anmelden"}},
        });
    });
    let Some(portal) = portal_with(config).await else { return };
    let mut browser = portal.browser();
    let visit = Visit::navigation(format!("{PORTAL}{PAGE}"));
    let english = portal.send("English", &mut browser, &visit.clone().header("accept-language", "fr")).await;
    assert!(english.with_page().page.text().contains("lang=\"en\""), "{}", english.context());
    assert!(english.page.text().contains("Self-Care &lt;Portal&gt;"), "{}", english.context());
    let german = visit.header("accept-language", "de-AT,de;q=0.9,en;q=0.5");
    let german = portal.send("German", &mut browser, &german).await;
    let text = german.with_page().page.text();
    assert!(
        text.contains("lang=\"de\"")
            && text.contains("Anmelden")
            && text.contains("Self-Care &lt;Portal&gt;"),
        "{text}"
    );
    assert!(german.page.header("vary").is_none_or(|vary| vary.to_lowercase().contains("accept-language")));
    portal.send("admin", &mut browser, &Visit::navigation(format!("{ADMIN}/"))).await.begun();
}
