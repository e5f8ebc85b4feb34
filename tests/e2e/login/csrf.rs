//! Who may use a session: an unsafe request or a WebSocket needs the word of a browser that a page of the site itself sends it.

use portcullis_tests::browser::Site;
use portcullis_tests::{Browser, Visit};
use serde_json::json;

use super::{PAGE, Portal, SELFCARE, portal, portal_with};

fn url() -> String {
    format!("{SELFCARE}{PAGE}")
}

async fn allowed(portal: &Portal, what: &str, browser: &Browser, visit: &Visit) {
    portal.send(what, &mut browser.clone(), visit).await.forwarded();
}

async fn refused(portal: &Portal, what: &str, browser: &Browser, visit: &Visit) {
    let outcome = portal.send(what, &mut browser.clone(), visit).await;
    outcome.refused(403, "cross_site").without_cookies();
}

#[tokio::test]
async fn an_unsafe_request_with_a_session_is_one_of_the_sites_own_pages() {
    let Some(mut portal) = portal().await else { return };
    // The cookies are there, as in a browser that knows no SameSite.
    let browser = portal.signed_in().await.without_same_site();
    for method in ["POST", "PUT", "PATCH", "DELETE"] {
        let visit = Visit::fetch(url()).method(method);
        allowed(&portal, method, &browser, &visit).await;
        refused(&portal, method, &browser, &visit.clone().from(Site::CrossSite)).await;
        refused(&portal, method, &browser, &visit.from(Site::SameSite)).await;
    }
    let post = || Visit::form(url(), &[("amount", "5")]);
    allowed(&portal, "a form", &browser, &post()).await;
    for (what, visit) in [
        ("a form of another site", post().from(Site::CrossSite)),
        ("a form of a sibling", post().from(Site::SameSite)),
        ("an opaque origin", post().origin(Some("null"))),
        ("the other scheme", post().origin(Some("http://selfcare.csp.com"))),
        ("another port", post().origin(Some("https://selfcare.csp.com:8443"))),
        ("a longer host", post().origin(Some("https://selfcare.csp.com.evil.example"))),
        ("a beginning", post().origin(Some("https://selfcare.csp"))),
        ("no URL", post().origin(Some("x"))),
        ("cross-site with our origin", post().from(Site::CrossSite).origin(Some(SELFCARE))),
        ("two origins", post().header("origin", "https://evil.example")),
        ("two sites", post().header("sec-fetch-site", "cross-site")),
    ] {
        refused(&portal, what, &browser, &visit).await;
    }
    // One of the two headers is enough, none is not.
    let old = browser.clone().without_fetch_metadata();
    allowed(&portal, "an old browser", &old, &post()).await;
    refused(&portal, "an old browser on another site", &old, &post().from(Site::CrossSite)).await;
    refused(&portal, "a site that nobody knows", &old, &post().header("sec-fetch-site", "x")).await;
    refused(&portal, "neither header", &old, &post().origin(None)).await;
    allowed(&portal, "Fetch Metadata alone", &browser, &post().origin(None)).await;
    // Reading is not writing: a link from anywhere leads to the page.
    for site in [Site::CrossSite, Site::SameSite, Site::None] {
        allowed(&portal, "a link", &browser, &Visit::navigation(url()).from(site)).await;
        allowed(&portal, "HEAD", &browser, &Visit::fetch(url()).method("HEAD").from(site)).await;
    }
    portal.assert_sound();
}

#[tokio::test]
async fn a_websocket_with_a_session_is_opened_by_the_sites_own_pages() {
    let Some(mut portal) = portal().await else { return };
    let browser = portal.signed_in().await.without_same_site();
    let before = portal.world.upstream.requests();
    let socket = || Visit::websocket(format!("{SELFCARE}/ws/events"));
    for (what, visit, status) in [
        ("its own", socket(), 101),
        ("another site", socket().from(Site::CrossSite), 403),
        ("a sibling", socket().from(Site::SameSite), 403),
        ("an opaque origin", socket().origin(Some("null")), 403),
    ] {
        assert_eq!(browser.websocket(&visit).await, status, "{what}\n{}", portal.world.envoy.log());
    }
    let old = browser.clone().without_fetch_metadata();
    assert_eq!(old.websocket(&socket()).await, 101);
    assert_eq!(old.websocket(&socket().origin(None)).await, 403, "neither header");
    assert_eq!(old.websocket(&socket().from(Site::CrossSite)).await, 403);
    assert_eq!(portal.world.upstream.requests() - before, 2);
    portal.assert_sound();
}

#[tokio::test]
async fn origins_that_are_allowed_may_and_bearers_need_none() {
    let config = super::config().edit_plugin(|plugin| {
        plugin["sites"][0]["allowed_origins"] =
            json!(["https://www.csp.com", "https://partner.example:8443"]);
    });
    let Some(mut portal) = portal_with(config).await else { return };
    let browser = portal.signed_in().await.without_same_site();
    let post = |site: Site| Visit::fetch(url()).method("POST").from(site);
    allowed(&portal, "a sibling that is listed", &browser, &post(Site::SameSite)).await;
    allowed(
        &portal,
        "a partner",
        &browser,
        &post(Site::CrossSite).origin(Some("https://partner.example:8443")),
    )
    .await;
    refused(
        &portal,
        "the partner's other port",
        &browser,
        &post(Site::CrossSite).origin(Some("https://partner.example")),
    )
    .await;
    refused(&portal, "a stranger", &browser, &post(Site::CrossSite)).await;
    refused(&portal, "nobody in particular", &browser, &post(Site::CrossSite).origin(None)).await;
    let socket = Visit::websocket(format!("{SELFCARE}/ws/x")).from(Site::SameSite);
    assert_eq!(browser.websocket(&socket).await, 101);
    // Nobody can make a browser send a bearer token.
    let token = portal.world.customers.token().sign();
    let bearer = post(Site::CrossSite).header("authorization", format!("Bearer {token}"));
    allowed(&portal, "a bearer", &portal.browser(), &bearer).await;
    portal.assert_sound();
}
