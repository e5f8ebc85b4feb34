use super::*;
use crate::testing::test;

#[track_caller]
fn check(authority: &str, secure: bool, expect: Option<&str>) {
    let origin = Origin::of(authority.as_bytes(), secure);
    assert_eq!(origin.as_ref().map(Origin::as_str), expect, "{authority}");
}

#[test]
fn one_site_has_one_origin() {
    for same in ["Selfcare.CSP.com", "selfcare.csp.com:443", "selfcare.csp.com.", "selfcare.csp.com:"] {
        check(same, true, Some("https://selfcare.csp.com"));
    }
    check("a:80", false, Some("http://a"));
    check("a:80", true, Some("https://a:80"));
    check("a:8443", true, Some("https://a:8443"));
    check("[::1]:8443", true, Some("https://[::1]:8443"));
    for none in ["", "a b", "a/b", "u@a", "a:x"] {
        check(none, true, None);
    }
}

#[test]
fn origins_are_read_as_browsers_send_them() {
    assert_eq!(Origin::parse("https://A.com:443").unwrap().as_str(), "https://a.com");
    for none in
        ["null", "", "a.com", "https://", "https://a/", "ftp://a", "https://a/b", "https:a", "https://*.a"]
    {
        assert_eq!(Origin::parse(none), None, "{none}");
    }
}

#[test]
fn only_a_loopback_host_does_without_https() {
    let trustworthy = |text| Origin::parse(text).unwrap().is_trustworthy();
    for yes in ["https://a", "http://localhost:8080", "http://selfcare.localhost", "http://127.0.0.1:1"] {
        assert!(trustworthy(yes), "{yes}");
    }
    for no in
        ["http://a", "http://localhost.a", "http://notlocalhost", "http://127.0.0.1.a", "http://10.0.0.1"]
    {
        assert!(!trustworthy(no), "{no}");
    }
}

#[track_caller]
fn shield(fields: &[(&str, &str)], admitted: bool) {
    let headers: Vec<Header> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
    let own = Origin::parse("https://selfcare.csp.com").unwrap();
    let result = expect_own(&headers, &own, &["https://portal.csp.com".to_owned()]);
    assert_eq!(result, if admitted { Ok(()) } else { Err(Denial::CrossSite) }, "{fields:?}");
}

#[test]
fn the_site_itself_and_allowed_origins_may_act() {
    shield(&[("origin", "https://selfcare.csp.com")], true);
    shield(&[("origin", "https://selfcare.csp.com"), ("sec-fetch-site", "same-origin")], true);
    shield(&[("sec-fetch-site", "same-origin")], true);
    shield(&[("sec-fetch-site", "none")], true);
    shield(&[("origin", "https://portal.csp.com"), ("sec-fetch-site", "same-site")], true);
    shield(&[("origin", "https://portal.csp.com")], true);
}

#[test]
fn others_and_clients_that_say_nothing_may_not() {
    shield(&[], false);
    for origin in [
        "null",
        "https://evil.com",
        "http://selfcare.csp.com",
        "https://selfcare.csp.com:8443",
        "https://selfcare.csp.com.evil.com",
        "https://x.selfcare.csp.com",
        "",
    ] {
        shield(&[("origin", origin)], false);
        shield(&[("origin", origin), ("sec-fetch-site", "same-origin")], false);
    }
    shield(&[("sec-fetch-site", "same-site")], false);
    shield(&[("sec-fetch-site", "cross-site")], false);
    shield(&[("sec-fetch-site", "Same-Origin")], false);
    // No browser says both.
    shield(&[("origin", "https://selfcare.csp.com"), ("sec-fetch-site", "cross-site")], false);
    shield(&[("origin", "https://selfcare.csp.com"), ("origin", "https://selfcare.csp.com")], false);
    shield(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")], false);
}

#[test]
fn methods_that_change_something_and_websockets_are_unsafe() {
    let head = |name: &str, value: &str| vec![(name.to_owned(), value.as_bytes().to_vec())];
    for method in ["POST", "PUT", "PATCH", "DELETE", "get", "CONNECT"] {
        assert!(is_unsafe(method, &[]), "{method}");
    }
    for method in ["GET", "HEAD", "OPTIONS"] {
        assert!(!is_unsafe(method, &[]), "{method}");
        assert!(is_unsafe(method, &head("upgrade", "h2c, WebSocket")));
        assert!(is_unsafe(method, &head(":protocol", "websocket")));
        assert!(!is_unsafe(method, &head("upgrade", "h2c")));
    }
}
