use super::*;
use crate::testing::test;

const ID: &str = "3b1c0a5e-1f2d-4c3b-9a8f-7e6d5c4b3a21";

fn audience() -> Audience {
    Audience { realm: Some("customers".to_owned()), request_id: Some(ID.to_owned()), ..Audience::default() }
}

fn header<'r>(reply: &'r LocalReply, name: &str) -> Option<&'r str> {
    let mut values =
        reply.headers.iter().filter(|(known, _)| *known == name).map(|(_, value)| value.as_str());
    let value = values.next();
    assert_eq!(values.next(), None, "{name} is there twice");
    value
}

fn scopes(scopes: &[&str]) -> Denial {
    Denial::MissingScope { scopes: scopes.iter().map(|scope| (*scope).to_owned()).collect() }
}

fn step_up(acr: &[&str], max_age: Option<u64>) -> Denial {
    let acr_values = acr.iter().map(|acr| (*acr).to_owned()).collect();
    Denial::StepUp { acr_values, max_age: max_age.map(Duration::from_secs) }
}

fn unavailable(seconds: u64) -> Denial {
    Denial::KeysUnavailable { retry_after: Duration::from_secs(seconds) }
}

/// A denial, its slug, status, error code of the challenge (none: no challenge, empty: a bare one), wait.
type Row = (Denial, &'static str, u16, Option<&'static str>, Option<&'static str>);

fn attempts(seconds: u64) -> Denial {
    Denial::LegacyAttempts { retry_after: Duration::from_secs(seconds) }
}

/// Each denial once.
fn table() -> Vec<Row> {
    let request = Some("invalid_request");
    let scope = Some("insufficient_scope");
    let mut table: Vec<Row> = vec![
        (Denial::BadRequest(RequestError::HeadTooLarge), "head_too_large", 400, request, None),
        (Denial::BadRequest(RequestError::PseudoHeader), "pseudo_header", 400, request, None),
        (Denial::BadRequest(RequestError::Authority), "bad_authority", 400, request, None),
        (Denial::BadRequest(RequestError::Path), "ambiguous_path", 400, request, None),
        (Denial::UnknownHost, "unknown_host", 421, None, None),
        (Denial::NoRule, "no_rule", 403, None, None),
        (Denial::NoCredential, "no_credential", 401, Some(""), None),
        (Denial::MalformedCredential, "malformed_credential", 401, Some("invalid_token"), None),
        (Denial::AmbiguousCredential, "ambiguous_credential", 400, request, None),
        (Denial::TokenOnLegacyRoute, "token_on_legacy_route", 400, request, None),
        (Denial::LegacyNetwork, "legacy_network", 403, None, None),
        (Denial::LegacyLogin, "legacy_login", 403, None, None),
        (Denial::LegacyUnseen, "legacy_unseen", 401, Some("invalid_token"), None),
        (attempts(300), "legacy_attempts", 429, None, Some("300")),
        (Denial::MissingRole, "missing_role", 403, scope, None),
        (Denial::MissingGroup, "missing_group", 403, scope, None),
        (scopes(&["a"]), "missing_scope", 403, scope, None),
        (Denial::MissingClaim, "missing_claim", 403, scope, None),
        (Denial::MissingIdentity, "missing_identity", 403, scope, None),
        (step_up(&["2"], None), "step_up", 401, Some("insufficient_user_authentication"), None),
        (Denial::CrossSite, "cross_site", 403, None, None),
        (Denial::SessionEnded, "session_ended", 401, Some("invalid_token"), None),
        (Denial::Revoked, "session_revoked", 401, Some("invalid_token"), None),
        (Denial::Method { allow: &["GET"] }, "method", 405, None, None),
        (Denial::NoSuchPath, "no_such_path", 404, None, None),
        (Denial::IdpUnreachable, "idp_unreachable", 503, None, Some("1")),
        (Denial::IdpAnswer, "idp_answer", 502, None, None),
        (unavailable(7), "keys_unavailable", 503, None, Some("7")),
        (Denial::TooManyWaiting, "too_many_waiting", 503, None, Some("1")),
        (Denial::WaitedTooLong, "waited_too_long", 503, None, Some("1")),
    ];
    table.extend(
        TOKEN_ERRORS.map(|(error, slug)| (Denial::Token(error), slug, 401, Some("invalid_token"), None)),
    );
    table.extend(LOGIN_ERRORS.map(|(error, slug, status)| (Denial::Login(error), slug, status, None, None)));
    table.extend(
        LEGACY_ERRORS.map(|(error, slug, status, wait)| (Denial::Legacy(error), slug, status, None, wait)),
    );
    table
}

const LEGACY_ERRORS: [(LegacyError, &str, u16, Option<&str>); 7] = [
    (LegacyError::ContentType, "legacy_content_type", 415, None),
    (LegacyError::ContentEncoding, "legacy_content_encoding", 415, None),
    (LegacyError::TooLarge, "legacy_body_too_large", 413, None),
    (LegacyError::Unread, "legacy_body_unread", 503, Some("1")),
    (LegacyError::Malformed, "legacy_body_malformed", 400, None),
    (LegacyError::Login, "legacy_not_one_login", 400, None),
    (LegacyError::InUrl, "legacy_credential_in_url", 400, None),
];

/// What the browser or the user did wrong is 400, and so is an ID token that is not for this login; an answer of
/// Keycloak's that is none is 502.
const LOGIN_ERRORS: [(LoginError, &str, u16); 15] = [
    (LoginError::Insecure, "login_insecure", 400),
    (LoginError::State, "login_state", 400),
    (LoginError::Cancelled, "login_cancelled", 400),
    (LoginError::Refused, "login_refused", 400),
    (LoginError::Issuer, "login_issuer", 400),
    (LoginError::Code, "login_code", 400),
    (LoginError::CodeRefused, "login_code_refused", 502),
    (LoginError::Tokens, "login_tokens", 502),
    (LoginError::IdToken(IdTokenError::Absent), "login_id_token_absent", 502),
    (LoginError::IdToken(IdTokenError::Nonce), "login_id_token_nonce", 400),
    (LoginError::IdToken(IdTokenError::AccessTokenHash), "login_id_token_at_hash", 400),
    (LoginError::IdToken(IdTokenError::Jws(TokenError::Signature)), "login_id_token_signature", 400),
    (LoginError::AccessToken(TokenError::Audience), "login_access_token", 502),
    (LoginError::TooLarge, "login_too_large", 502),
    (LoginError::Loop, "login_loop", 400),
];

const TOKEN_ERRORS: [(TokenError, &str); 23] = [
    (TokenError::TooLarge, "token_too_large"),
    (TokenError::Malformed, "token_malformed"),
    (TokenError::HeaderMember, "token_header_member"),
    (TokenError::Algorithm, "token_algorithm"),
    (TokenError::HeaderType, "token_header_typ"),
    (TokenError::KeyId, "token_kid"),
    (TokenError::UnknownKey, "token_unknown_kid"),
    (TokenError::Signature, "token_signature"),
    (TokenError::PayloadType, "token_typ"),
    (TokenError::Confirmation, "token_cnf"),
    (TokenError::Issuer, "token_issuer"),
    (TokenError::OtherRealm, "token_other_realm"),
    (TokenError::Audience, "token_audience"),
    (TokenError::Client, "token_client"),
    (TokenError::NoExpiry, "token_no_exp"),
    (TokenError::Expired, "token_expired"),
    (TokenError::NotYetValid, "token_not_yet_valid"),
    (TokenError::IssuedAt, "token_iat"),
    (TokenError::Lifetime, "token_lifetime"),
    (TokenError::Subject, "token_subject"),
    (TokenError::ClaimControl, "claim_control"),
    (TokenError::ClaimNumber, "claim_number"),
    (TokenError::ClaimTooLong, "claim_too_long"),
];

#[test]
fn every_denial_has_its_status_and_its_challenge() {
    for (denial, slug, status, error, wait) in table() {
        let reply = render(&denial, &audience());
        assert_eq!((denial.slug(), denial.status().as_u16(), reply.status), (slug, status, status));
        let challenge = header(&reply, "www-authenticate");
        match error {
            None => assert_eq!(challenge, None, "{slug}"),
            Some("") => assert_eq!(challenge, Some(r#"Bearer realm="customers""#), "{slug}"),
            Some(error) => {
                let expect = format!(r#"Bearer realm="customers", error="{error}""#);
                assert!(
                    challenge.is_some_and(|challenge| challenge.starts_with(&expect)),
                    "{slug}: {challenge:?}"
                );
            }
        }
        assert_eq!(header(&reply, "retry-after"), wait, "{slug}");
        assert_eq!(header(&reply, "cache-control"), Some("no-store"), "{slug}");
        assert_eq!(header(&reply, "x-content-type-options"), Some("nosniff"), "{slug}");
        // RFC 9110 section 15.5.2: no 401 without a challenge.
        assert!(reply.status != 401 || challenge.is_some(), "{slug}");
    }
}

#[test]
fn slugs_are_unique_words_for_metrics() {
    let slugs: Vec<&str> = table().iter().map(|row| row.1).collect();
    for (at, slug) in slugs.iter().enumerate() {
        assert!(slug.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{slug}");
        assert!(!slugs[..at].contains(slug), "{slug}");
    }
}

#[track_caller]
fn check_challenge(denial: &Denial, realm: Option<&str>, expect: &str) {
    let audience = Audience { realm: realm.map(str::to_owned), ..Audience::default() };
    assert_eq!(header(&render(denial, &audience), "www-authenticate"), Some(expect));
}

#[test]
fn challenges_say_what_would_do_and_no_more() {
    let realm = Some("customers");
    check_challenge(&Denial::NoCredential, realm, r#"Bearer realm="customers""#);
    for (error, _) in TOKEN_ERRORS {
        check_challenge(&Denial::Token(error), realm, r#"Bearer realm="customers", error="invalid_token""#);
    }
    check_challenge(&Denial::MissingRole, realm, r#"Bearer realm="customers", error="insufficient_scope""#);
    check_challenge(
        &scopes(&["a", "b"]),
        realm,
        r#"Bearer realm="customers", error="insufficient_scope", scope="a b""#,
    );
    check_challenge(&scopes(&[]), realm, r#"Bearer realm="customers", error="insufficient_scope""#);
    check_challenge(
        &Denial::BadRequest(RequestError::Path),
        realm,
        r#"Bearer realm="customers", error="invalid_request""#,
    );
    // Where no site was found there is no realm to name.
    check_challenge(&Denial::BadRequest(RequestError::Authority), None, r#"Bearer error="invalid_request""#);
}

/// RFC 9470 section 3.
#[test]
fn a_step_up_names_acr_values_and_max_age() {
    let challenge = |denial: &Denial, rest: &str| {
        let expect = format!(r#"Bearer realm="customers", error="insufficient_user_authentication"{rest}"#);
        check_challenge(denial, Some("customers"), &expect);
    };
    challenge(&step_up(&["gold", "2"], Some(900)), r#", acr_values="gold 2", max_age="900""#);
    challenge(&step_up(&["2"], None), r#", acr_values="2""#);
    challenge(&step_up(&[], Some(60)), r#", max_age="60""#);
    challenge(&step_up(&[], None), "");
}

#[test]
fn nobody_is_told_to_come_back_at_once() {
    for (wait, expect) in [
        (Duration::ZERO, "1"),
        (Duration::from_millis(1), "1"),
        (Duration::from_secs(1), "1"),
        (Duration::from_millis(1001), "2"),
        (Duration::from_secs(59), "59"),
    ] {
        let reply = render(&Denial::KeysUnavailable { retry_after: wait }, &audience());
        assert_eq!(header(&reply, "retry-after"), Some(expect));
    }
}

#[test]
fn a_problem_says_no_more_than_the_challenge() {
    for (denial, slug, status, error, _) in table() {
        let reply = render(&denial, &audience());
        assert_eq!(header(&reply, "content-type"), Some("application/problem+json"), "{slug}");
        assert_eq!(header(&reply, "content-security-policy"), None);
        let body: Value = serde_json::from_str(&reply.body).unwrap();
        let title = StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
        let mut expect = json!({ "type": "about:blank", "title": title, "status": status, "request_id": ID });
        if let Some(error) = error.filter(|error| !error.is_empty()) {
            expect["error"] = json!(error);
        }
        if let Some(detail) = denial.detail() {
            expect["detail"] = json!(detail);
        }
        assert_eq!(body, expect, "{slug}");
    }
    let anonymous = Audience { request_id: None, ..audience() };
    let body: Value = serde_json::from_str(&render(&Denial::NoRule, &anonymous).body).unwrap();
    assert_eq!(body, json!({ "type": "about:blank", "title": "Forbidden", "status": 403 }));
}

/// PortaBilling's clients go to their sign-in page on the one code, and only what is 401 elsewhere is it.
#[test]
fn portabilling_hears_of_401_in_its_own_words_and_of_the_rest_by_status() {
    for errand in [Errand::Other, Errand::Navigation] {
        let audience = Audience { format: ErrorFormat::Portabilling, errand, ..audience() };
        for (denial, slug, status, error, wait) in table() {
            let reply = render(&denial, &audience);
            // A person who signs in is no client of PortaBilling's.
            if errand == Errand::Navigation && matches!(denial, Denial::Login(_)) {
                assert_eq!(header(&reply, "content-type"), Some("text/html; charset=utf-8"), "{slug}");
                continue;
            }
            let body: Value = serde_json::from_str(&reply.body).unwrap();
            assert_eq!(header(&reply, "content-type"), Some("application/json"), "{slug}");
            assert_eq!(header(&reply, "www-authenticate").is_some(), error.is_some(), "{slug}");
            assert_eq!(header(&reply, "retry-after"), wait, "{slug}");
            // What is recorded does not depend on how it is written.
            assert_eq!(denial.status().as_u16(), status, "{slug}");
            if status == 401 {
                let expect = json!({
                    "faultcode": "Server.Session.check_auth.auth_failed",
                    "faultstring": "Authentication failed",
                });
                assert_eq!((reply.status, body), (500, expect), "{slug}");
            } else {
                assert_eq!(reply.status, status, "{slug}");
                assert_eq!(body["faultcode"], format!("Portcullis.{slug}"));
                let text = body["faultstring"].as_str().unwrap();
                assert!(text.ends_with(&format!(" (request {ID})")), "{text}");
                assert_eq!(body.as_object().unwrap().len(), 2);
            }
        }
    }
    let audience = Audience { format: ErrorFormat::Portabilling, request_id: None, ..audience() };
    let body: Value = serde_json::from_str(&render(&Denial::NoRule, &audience).body).unwrap();
    assert_eq!(body, json!({ "faultcode": "Portcullis.no_rule", "faultstring": "Forbidden" }));
}

/// Where a login is offered, a person needs the way to it, and whoever sent a form the word that it was not processed.
#[test]
fn a_person_who_may_sign_in_gets_a_page_on_a_portabilling_site_too() {
    for (errand, page) in [(Errand::Navigation, true), (Errand::Form, true), (Errand::Other, false)] {
        let login_url = Some("/sso/start?return=%2F".to_owned());
        let audience = Audience { format: ErrorFormat::Portabilling, errand, login_url, ..audience() };
        for (denial, status) in
            [(Denial::NoCredential, 401), (Denial::SessionEnded, 401), (Denial::NoRule, 403)]
        {
            let reply = render(&denial, &audience);
            let is_page = page && status == 401;
            assert_eq!(reply.body.contains("href=\"/sso/start"), is_page, "{denial:?} {errand:?}");
            assert_eq!(
                reply.status,
                if status == 401 && !page { 500 } else { status },
                "{denial:?} {errand:?}"
            );
        }
    }
}

#[test]
fn a_navigation_gets_a_page_that_loads_nothing() {
    let audience = Audience { errand: Errand::Navigation, ..audience() };
    for (denial, slug, status, error, _) in table() {
        let reply = render(&denial, &audience);
        assert_eq!(reply.status, status, "{slug}");
        assert_eq!(header(&reply, "content-type"), Some("text/html; charset=utf-8"), "{slug}");
        assert_eq!(header(&reply, "www-authenticate").is_some(), error.is_some(), "{slug}");
        let policy = header(&reply, "content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{slug}");
        assert_eq!(header(&reply, "cache-control"), Some("no-store"), "{slug}");
        let (page, _) = page_for(&denial, &audience);
        let heading = format!("<h1>{}</h1>", Texts::default().speak(None).title(page).text);
        assert!(reply.body.starts_with("<!doctype html>") && reply.body.contains(&heading), "{slug}");
        assert!(reply.body.contains(&format!(">{ID}</code>")), "{slug}");
        for never in ["<script", "\"http", "url(", "src=", "href=", "customers", slug] {
            assert!(!reply.body.contains(never), "{slug}: {never}");
        }
    }
    let audience = Audience { request_id: None, ..audience };
    assert!(!render(&Denial::NoRule, &audience).body.contains("Reference"));
}

#[test]
fn a_page_leads_back_into_the_login_where_that_would_help() {
    let (start, logout) = (Some("/sso/start?return=%2Fx"), Some("/sso/logout"));
    let (navigation, form) = (Errand::Navigation, Errand::Form);
    let login = |error| Denial::Login(error);
    for (denial, errand, title, link) in [
        (Denial::NoCredential, navigation, "Sign in", start),
        (Denial::SessionEnded, navigation, "Sign in", start),
        (Denial::NoCredential, form, "Your session has ended", start),
        (Denial::SessionEnded, form, "Your session has ended", start),
        (Denial::Revoked, form, "Your session has ended", start),
        (step_up(&["2"], None), navigation, "Stronger sign-in needed", start),
        (step_up(&["2"], None), form, "Stronger sign-in needed", start),
        (Denial::MissingRole, navigation, "No access", logout),
        (Denial::CrossSite, form, "No access", None),
        (Denial::UnknownHost, navigation, "Unknown address", None),
        (Denial::NoSuchPath, navigation, "Unknown address", None),
        (Denial::Method { allow: &["GET"] }, form, "Bad request", None),
        (Denial::IdpUnreachable, navigation, "Temporarily unavailable", start),
        (Denial::IdpAnswer, navigation, "Sign-in failed", start),
        (login(LoginError::CodeRefused), navigation, "Sign-in failed", start),
        (login(LoginError::State), navigation, "Sign-in no longer valid", start),
        (login(LoginError::Cancelled), navigation, "Not signed in", start),
        (login(LoginError::Loop), navigation, "Sign-in does not last", start),
        (login(LoginError::Insecure), navigation, "Secure connection needed", None),
    ] {
        let [login_url, logout_url] = [start, logout].map(|url| url.map(str::to_owned));
        let with_login = Audience { errand, login_url, logout_url, ..audience() };
        let body = render(&denial, &with_login).body;
        assert!(body.contains(&format!("<h1>{title}</h1>")), "{denial:?}: {body}");
        let expect = link.map(|link| format!("<a href=\"{link}\""));
        assert_eq!(body.contains("href="), link.is_some(), "{denial:?}: {body}");
        assert!(expect.is_none_or(|link| body.contains(&link)), "{denial:?}: {body}");
        let without = render(&denial, &Audience { errand, ..audience() }).body;
        assert!(!without.contains("href="), "{denial:?}: {without}");
    }
    let no_login = Audience { errand: form, ..audience() };
    assert!(render(&Denial::NoCredential, &no_login).body.contains("<h1>Sign in</h1>"));
}

#[test]
fn whether_to_sign_out_is_asked_by_a_form() {
    let logout_url = Some("/sso/logout".to_owned());
    let reply = LocalReply::logout_question(&Audience { logout_url, ..audience() });
    assert_eq!((reply.status, header(&reply, "content-type")), (200, Some("text/html; charset=utf-8")));
    assert!(reply.body.contains("<form method=\"post\" action=\"/sso/logout\">"), "{}", reply.body);
}

fn headers(fields: &[(&str, &[u8])]) -> Vec<Header> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect()
}

#[test]
fn a_request_id_is_repeated_only_if_it_is_short_and_printable() {
    let id =
        |value: &[u8]| Audience::of(&headers(&[("x-request-id", value)]), None, &Arc::default()).request_id;
    let (most, more) = ("a".repeat(128), "a".repeat(129));
    for good in [ID, "a", "<script>alert(1)</script>", "\"'&", &most] {
        assert_eq!(id(good.as_bytes()).as_deref(), Some(good));
    }
    for bad in [&b"a b"[..], b"a\nb", b"a\0", b"\xff", "\u{fc}".as_bytes(), b"a\x7f", more.as_bytes()] {
        assert_eq!(id(bad), None, "{bad:?}");
    }
    assert_eq!(Audience::of(&[], None, &Arc::default()).request_id, None);
}

#[test]
fn a_request_id_is_escaped_wherever_it_is_written() {
    let hostile = r#"</p><script>alert("1")</script>&'\"#;
    let audience = Audience { request_id: Some(hostile.to_owned()), ..audience() };
    let body: Value = serde_json::from_str(&render(&Denial::NoRule, &audience).body).unwrap();
    assert_eq!(body["request_id"], hostile);
    let portabilling = Audience { format: ErrorFormat::Portabilling, ..audience.clone() };
    let body: Value = serde_json::from_str(&render(&Denial::NoRule, &portabilling).body).unwrap();
    assert_eq!(body["faultstring"], format!("Forbidden (request {hostile})"));
    let page = render(&Denial::NoRule, &Audience { errand: Errand::Navigation, ..audience }).body;
    assert!(
        page.contains("&lt;/p&gt;&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\\"),
        "{page}"
    );
    assert!(!page.contains("<script"));
}

#[test]
fn the_audience_is_of_the_site() {
    let audience = Audience::of(&[], Some(("customers", ErrorFormat::Portabilling)), &Arc::default());
    assert_eq!((audience.realm.as_deref(), audience.format), (Some("customers"), ErrorFormat::Portabilling));
    assert_eq!(Audience::of(&[], None, &Arc::default()), Audience::default());
}

#[test]
fn the_language_is_read_of_a_navigation_only() {
    let languages =
        |fields: &[(&str, &[u8])]| Audience::of(&headers(fields), None, &Arc::default()).languages;
    let page = (":method", &b"GET"[..]);
    let navigation = [page, ("sec-fetch-mode", b"navigate"), ("accept-language", b"uk, en;q=0.5")];
    assert_eq!(languages(&navigation).as_deref(), Some(&b"uk, en;q=0.5"[..]));
    assert_eq!(languages(&navigation[..2]), None);
    assert_eq!(languages(&[page, ("sec-fetch-mode", b"cors"), navigation[2]]), None);
    let (most, more) = ([b'a'; 1024], [b'a'; 1025]);
    assert!(languages(&[page, navigation[1], ("accept-language", &most)]).is_some());
    assert_eq!(languages(&[page, navigation[1], ("accept-language", &more)]), None);
}

#[track_caller]
fn check_navigation(fields: &[(&str, &str)], expect: bool) {
    let fields: Vec<(&str, &[u8])> = fields.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let errand = Audience::of(&headers(&fields), None, &Arc::default()).errand;
    assert_eq!(errand == Errand::Navigation, expect, "{fields:?}");
}

#[test]
fn a_page_is_for_a_browser_that_navigates() {
    let firefox = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    check_navigation(&[(":method", "GET"), ("sec-fetch-mode", "navigate"), ("accept", firefox)], true);
    check_navigation(&[(":method", "GET"), ("sec-fetch-mode", "navigate")], true);
    check_navigation(&[(":method", "POST"), ("sec-fetch-mode", "navigate"), ("accept", firefox)], false);
    for mode in ["cors", "no-cors", "same-origin", "websocket", "Navigate", ""] {
        check_navigation(&[(":method", "GET"), ("sec-fetch-mode", mode), ("accept", firefox)], false);
    }
    for (dest, page) in
        [("document", true), ("iframe", false), ("frame", false), ("embed", false), ("object", false)]
    {
        check_navigation(
            &[(":method", "GET"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)],
            page,
        );
    }
    // Browsers without Fetch Metadata.
    check_navigation(&[(":method", "GET"), ("accept", firefox)], true);
    check_navigation(&[(":method", "GET"), ("accept", "TEXT/HTML")], true);
    check_navigation(&[(":method", "GET"), ("accept", "application/json, text/html ; q=0.1")], true);
    check_navigation(&[(":method", "GET"), ("accept", "application/json, text/html;q=0")], false);
    check_navigation(&[(":method", "GET"), ("accept", "text/htmlx, x/text/html")], false);
    check_navigation(&[(":method", "HEAD"), ("accept", firefox)], false);
    check_navigation(&[(":method", "GET"), ("accept", "application/json"), ("accept", "text/html")], true);
    check_navigation(&[(":method", "POST"), ("accept", firefox)], false);
    check_navigation(&[(":method", "GET"), ("accept", "*/*")], false);
    check_navigation(&[(":method", "GET"), ("accept", "application/json")], false);
    check_navigation(&[(":method", "GET")], false);
}
