use super::*;
use crate::upstream::Upstream;

const HOST: &str = "selfcare.csp.com";

fn url(path: &str) -> String {
    format!("https://{HOST}{path}")
}

fn jar_with(set_cookie: &str) -> Browser {
    let mut browser = Browser::new();
    browser.jar.take(set_cookie, &Url::parse(&url("/a/b")).unwrap());
    browser
}

#[tokio::test]
async fn it_says_what_it_asks_for() {
    let upstream = Upstream::start().await;
    let mut browser = Browser::new().route(url("/"), upstream.addr());
    browser.put_cookie(url("/"), "__Host-a", "1");
    for (visit, mode, dest, site, origin) in [
        (Visit::navigation(url("/")), "navigate", "document", "none", None),
        (Visit::form(url("/"), &[("a", "1")]), "navigate", "document", "same-origin", Some(url(""))),
        (
            Visit::fetch(url("/")).from(Site::CrossSite),
            "cors",
            "empty",
            "cross-site",
            Some(STRANGER.to_owned()),
        ),
        (Visit::frame(url("/")), "navigate", "iframe", "same-origin", None),
        (Visit::image(url("/")).from(Site::SameSite), "no-cors", "image", "same-site", None),
    ] {
        let page = browser.go(&visit).await;
        assert_eq!(page.status, 200);
        let seen = upstream.last().unwrap();
        assert_eq!(seen.authority.as_deref(), Some(HOST));
        assert_eq!(seen.header("sec-fetch-mode").as_deref(), Some(mode));
        assert_eq!(seen.header("sec-fetch-dest").as_deref(), Some(dest));
        assert_eq!(seen.header("sec-fetch-site").as_deref(), Some(site));
        assert_eq!(seen.header("origin"), origin);
        let cookie = (site != "cross-site").then(|| "__Host-a=1".to_owned());
        assert_eq!(seen.header("cookie"), cookie, "{mode} {site}");
    }
    assert_eq!(upstream.last().unwrap().header("x-forwarded-proto").as_deref(), Some("https"));
    let mut old = browser.clone().without_fetch_metadata().without_same_site();
    old.go(&Visit::fetch(url("/")).from(Site::CrossSite)).await;
    let seen = upstream.last().unwrap();
    assert!(seen.headers_with_prefix("sec-fetch").is_empty());
    assert_eq!(seen.header("cookie").as_deref(), Some("__Host-a=1"));
    assert_eq!(browser.websocket(&Visit::websocket(url("/ws"))).await, 101);
}

const STRANGER: &str = "https://evil.example";

#[test]
fn cookies_obey_their_prefix() {
    for good in
        ["__Host-a=1; Path=/; Secure", "__Host-a=1; Path=/; Secure; HttpOnly; SameSite=Lax", "a=1; Path=/"]
    {
        let browser = jar_with(good);
        assert!(browser.refused_cookies().is_empty(), "{good}");
        assert_eq!(browser.cookies(url("/")).len(), 1, "{good}");
    }
    for bad in [
        "__Host-a=1; Path=/",
        "__Host-a=1; Secure",
        "__Host-a=1; Path=/a; Secure",
        "__Host-a=1; Path=/; Secure; Domain=csp.com",
        "__host-a=1; Path=/; Secure; Domain=csp.com",
        "__Secure-a=1; Path=/",
        "a=1; Path=/; SameSite=None",
    ] {
        let browser = jar_with(bad);
        assert_eq!((browser.refused_cookies().len(), browser.cookies(url("/")).len()), (1, 0), "{bad}");
    }
    let large = format!("__Host-a={}; Path=/; Secure", "x".repeat(4090));
    assert_eq!(jar_with(&large).refused_cookies().len(), 1);
}

#[test]
fn a_cookie_is_deleted_only_with_its_attributes() {
    let deleted = |line: &str| {
        let mut browser = jar_with("__Host-a=1; Path=/; Secure");
        browser.jar.take(line, &Url::parse(&url("/")).unwrap());
        browser.cookies(url("/")).is_empty()
    };
    assert!(deleted("__Host-a=; Path=/; Secure; Max-Age=0"));
    assert!(!deleted("__Host-a=; Path=/; Max-Age=0"), "CVE-2025-55162");
    let mut browser = jar_with("__Host-a=1; Path=/; Secure");
    browser.put_cookie(url("/"), "__Host-b", "2");
    browser.drop_cookie("__Host-a");
    assert_eq!(browser.cookies(url("/")), [("__Host-b".to_owned(), "2".to_owned())]);
    assert_eq!(browser.cookie("https://admin.csp.com/", "__Host-b"), None);
}

#[test]
fn a_redirect_after_a_form_asks_with_get() {
    let there = Url::parse("https://sso.csp.com/x").unwrap();
    let form = Visit::form(url("/"), &[("a", "1 &")]);
    let next = form.redirected(303, there.clone()).request(true);
    assert_eq!((next.method(), next.body().len()), (&http::Method::GET, 0));
    assert_eq!(next.headers().get("sec-fetch-site").unwrap(), "cross-site");
    assert_eq!(next.headers().get("content-type"), None);
    let next = form.redirected(307, there).request(true);
    assert_eq!((next.method(), &next.body()[..]), (&http::Method::POST, &b"a=1+%26"[..]));
}
