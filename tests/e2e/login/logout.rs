//! Logout by the user (OpenID Connect RP-Initiated Logout 1.0).

use portcullis_tests::browser::Site;
use portcullis_tests::{Endpoint, Fault, Visit};
use serde_json::Value;

use super::{
    PAGE, Portal, SELFCARE, SESSION, cookies, portal, portal_with, set_cookies, takes_back, with_login,
};

fn logout() -> Visit {
    Visit::navigation(format!("{SELFCARE}/sso/logout")).from(Site::SameOrigin)
}

fn page() -> Visit {
    Visit::navigation(format!("{SELFCARE}{PAGE}"))
}

/// Matrix row 112: cookies go with their attributes, the session at Keycloak ends, and a copy of the cookies is worth nothing.
#[tokio::test]
async fn a_logout_ends_the_session_here_and_at_keycloak() {
    let Some(mut portal) = portal().await else { return };
    let form = Visit::form(format!("{SELFCARE}/sso/logout"), &[]);
    let typed = Visit::navigation(format!("{SELFCARE}/sso/logout"));
    for (what, visit) in [("a link", logout()), ("a form", form), ("the address bar", typed)] {
        let mut browser = portal.signed_in().await;
        let mut copy = browser.clone();
        let pieces = cookies(&browser, SELFCARE, SESSION).len();
        let out = portal.send(what, &mut browser, &visit).await;
        assert_eq!((out.page.status, out.reached), (303, 0), "{}", out.context());
        assert_eq!(out.page.header("cache-control").as_deref(), Some("no-store"));
        let lines = set_cookies(&out.page, SESSION);
        assert!(lines.len() == pieces && lines.iter().all(|line| takes_back(line)), "{}", out.context());
        assert!(cookies(&browser, SELFCARE, SESSION).is_empty(), "{what}");

        let there = out.page.location().expect("a location");
        let endpoint = format!("{}/protocol/openid-connect/logout", portal.world.customers.issuer());
        assert_eq!(there.as_str().split('?').next(), Some(endpoint.as_str()));
        let hint = out.page.location_parameter("id_token_hint").expect("a hint");
        let claims: Value = serde_json::from_slice(&portcullis_tests::token::part(&hint, 1)).unwrap();
        assert_eq!(claims["typ"], "ID");
        assert_eq!(out.page.location_parameter("post_logout_redirect_uri"), Some(format!("{SELFCARE}/")));
        let back = browser.follow(&out.page).await;
        assert_eq!(back.location().map(|url| url.path().to_owned()).as_deref(), Some("/"));
        assert!(portal.world.customers.provider().last_session().ended, "{what}");
        portal.send("signed out", &mut browser, &page()).await.begun();
        // The tokens in the copy would be good for five minutes.
        let outcome =
            portal.send("a copy of the cookies", &mut copy, &Visit::fetch(format!("{SELFCARE}{PAGE}"))).await;
        outcome.refused(401, "session_revoked");
    }
    portal.assert_sound();
}

#[tokio::test]
async fn nobody_else_signs_a_user_out() {
    let Some(mut portal) = portal().await else { return };
    let url = format!("{SELFCARE}/sso/logout");
    let browser = portal.signed_in().await;
    for (what, visit) in [
        ("a link of another site", logout().from(Site::CrossSite)),
        ("a link of a sibling", logout().from(Site::SameSite)),
        ("an image", Visit::image(&url)),
        ("an image of another site", Visit::image(&url).from(Site::CrossSite)),
        ("a frame", Visit::frame(&url)),
        ("a frame of another site", Visit::frame(&url).from(Site::CrossSite)),
        ("a script by GET", Visit::fetch(&url)),
        ("a prefetch", Visit::prefetch(&url)),
        ("a page in advance", Visit::prerender(&url)),
        ("a form of another site", Visit::form(&url, &[]).from(Site::CrossSite)),
        ("a form of a sibling", Visit::form(&url, &[]).from(Site::SameSite)),
        ("a form without an origin", Visit::form(&url, &[]).origin(Some("null"))),
    ] {
        // SameSite would keep most of them from having a session at all.
        let mut browser = browser.clone().without_same_site();
        let outcome = portal.send(what, &mut browser, &visit).await;
        outcome.refused(403, "cross_site").without_cookies();
        portal.send(what, &mut browser, &page()).await.forwarded();
    }
    assert_eq!(portal.world.customers.provider().logouts().len(), 0);
    // A browser that does not say where the link was: the user is asked, and the answer is a form of ours.
    let mut old = browser.clone().without_fetch_metadata();
    let asked = portal.send("an old browser", &mut old, &logout()).await;
    assert_eq!(asked.page.status, 200, "{}", asked.context());
    asked.without_cookies().with_page();
    portal.send("still signed in", &mut old, &page()).await.forwarded();
    let yes = Visit::submission(&asked.page.form().expect("a form"));
    let out = portal.send("yes", &mut old, &yes).await;
    assert_eq!((out.page.status, cookies(&old, SELFCARE, SESSION).len()), (303, 0), "{}", out.context());
    portal.assert_sound();
}

#[tokio::test]
async fn a_logout_works_without_keycloak_and_without_a_session() {
    let config = with_login(super::config(), |login| login["post_logout"] = "/goodbye".into());
    let Some(portal) = portal_with(config).await else { return };
    let mut nobody = portal.browser();
    let out = portal.send("nobody", &mut nobody, &logout()).await;
    assert_eq!(out.page.status, 303, "{}", out.context());
    assert_eq!(out.page.location().map(|url| url.path().to_owned()).as_deref(), Some("/goodbye"));
    let mut browser = portal.signed_in().await;
    portal.world.customers.fault(Endpoint::EndSession, Fault::Status(500));
    portal.world.customers.stop().await;
    let out = portal.send("Keycloak is down", &mut browser, &logout()).await;
    assert_eq!((out.page.status, cookies(&browser, SELFCARE, SESSION).len()), (303, 0), "{}", out.context());
    assert_eq!(out.page.location_parameter("post_logout_redirect_uri"), Some(format!("{SELFCARE}/goodbye")));
    assert_no_open_redirect(&portal).await;
}

/// Where a logout leads is not what a request says.
async fn assert_no_open_redirect(portal: &Portal) {
    for query in
        ["post_logout_redirect_uri=https%3A%2F%2Fevil.example", "return=%2F%2Fevil.example", "redirect=x"]
    {
        let visit = Visit::navigation(format!("{SELFCARE}/sso/logout?{query}")).from(Site::SameOrigin);
        let out = portal.send(query, &mut portal.browser(), &visit).await;
        let location = out.page.header("location").unwrap_or_default();
        assert!(!location.contains("evil"), "{location}");
    }
}
