//! From a navigation to a session.

use super::*;
use crate::jose::base64url;
use crate::testing::test;

#[test]
fn a_navigation_without_a_session_signs_in_and_comes_back() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    let asked = desk.begin(&mut jar, "/rest/x?y=z");
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], "selfcare-ui");
    assert_eq!(asked["scope"], "openid");
    assert_eq!(asked["redirect_uri"], format!("{ORIGIN}/sso/callback"));
    assert_eq!(asked["code_challenge_method"], "S256");
    for secret in ["state", "nonce", "code_challenge"] {
        assert_eq!(asked[secret].len(), 43, "{secret}");
    }
    assert_eq!(jar.count("login-"), 1);
    desk.issue(&asked, json!({}), json!({}));
    let outcome = desk.call_back(&mut jar, &asked);
    assert_eq!((outcome.what.as_str(), outcome.location.as_str()), ("303 login_completed", "/rest/x?y=z"));
    assert_eq!((jar.count("login-"), jar.count("session-")), (0, 1));
    let form = desk.posted.borrow().concat();
    assert!(!form.contains("client_secret"), "it goes into the header: {form}");

    let outcome = desk.navigate(&mut jar, "/rest/x?y=z");
    assert_eq!(outcome.what, "allowed rest");
    let upstream = outcome.upstream.unwrap();
    let value =
        |name: &str| upstream.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
    assert_eq!(value("x-porta-user"), Some(&b"bob"[..]));
    assert_eq!((value("cookie"), value("authorization")), (None, None));
    assert_eq!(jar.names(), ["session-0"], "the count of logins is taken back");
}

/// RFC 7523 section 3, and the issuer is the one audience.
#[test]
fn a_client_with_a_key_asserts_who_it_is() {
    let mut document = login_document();
    let login = document["realms"]["customers"]["login"].as_object_mut().unwrap();
    login.remove("client_secret");
    let key = json!({"algorithm": "ES256", "id": "k", "inline": "-----BEGIN PRIVATE KEY-----"});
    login.insert("client_key".to_owned(), key);
    let (desk, mut jar) = (Desk::with(&document), Jar::default());
    let asked = desk.begin(&mut jar, "/rest/x");
    desk.issue(&asked, json!({}), json!({}));
    assert_eq!(desk.call_back(&mut jar, &asked).what, "303 login_completed");
    let form = desk.posted.borrow().concat();
    let field = |name: &str| {
        let mut fields = form_urlencoded::parse(form.as_bytes()).filter(|(known, _)| known == name);
        fields.next().map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    assert_eq!(field("client_id"), "selfcare-ui");
    assert_eq!(field("client_assertion_type"), "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let assertion = field("client_assertion");
    let parts: Vec<_> = assertion.split('.').map(|part| base64url(part).unwrap()).collect();
    let json = |part: &[u8]| serde_json::from_slice::<Value>(part).unwrap();
    assert_eq!(json(&parts[0]), json!({"alg": "ES256", "typ": "JWT", "kid": "k"}));
    let mut claims = json(&parts[1]);
    let iat = claims["iat"].as_u64().unwrap();
    assert!(iat >= NOW.0, "{claims}");
    assert_eq!(claims["jti"].take().as_str().map(str::len), Some(43));
    assert_eq!(
        claims,
        json!({
            "iss": "selfcare-ui", "sub": "selfcare-ui", "aud": "https://sso.csp.com/realms/customers",
            "iat": iat, "exp": iat + 60, "jti": null,
        })
    );
    assert_eq!(parts[2], b"signed");
}

#[test]
fn only_a_navigation_is_sent_to_sign_in() {
    let desk = Desk::new();
    let refused = |head: Head, expect: &str| {
        let outcome = desk.send(&mut Jar::default(), head);
        assert_eq!(outcome.what, expect);
        assert_eq!(outcome.set_cookies, [""; 0]);
        outcome.body
    };
    let body = refused(script("GET", "/rest/x"), "401 no_credential");
    assert!(body.contains(r#""login_url":"/sso/start?return=%2F""#), "{body}");
    for head in [
        script("POST", "/rest/x"),
        navigation("/rest/x").with("sec-fetch-dest", "iframe"),
        navigation("/rest/x").with("sec-purpose", "prefetch"),
        get(SELFCARE, "/rest/x").with("x-forwarded-proto", "https"),
        head("HEAD", SELFCARE, "/rest/x")
            .with("x-forwarded-proto", "https")
            .with("sec-fetch-mode", "navigate"),
    ] {
        refused(head, "401 no_credential");
    }
    let form = head("POST", SELFCARE, "/rest/x")
        .with("x-forwarded-proto", "https")
        .with("sec-fetch-mode", "navigate");
    assert!(refused(form, "401 no_credential").starts_with("<!doctype html>"));
}

#[test]
fn a_login_is_offered_or_not_as_the_site_says() {
    for (login, link) in [("none", false), ("offered", true)] {
        let mut document = login_document();
        document["sites"][0]["login"] = json!(login);
        let desk = Desk::with(&document);
        let outcome = desk.navigate(&mut Jar::default(), "/rest/x");
        assert_eq!(outcome.what, "401 no_credential");
        assert_eq!(outcome.body.contains("/sso/start?return=%2Frest%2Fx"), link, "{login}: {}", outcome.body);
        let asked = desk.begin(&mut Jar::default(), "/sso/start?return=/rest/x");
        assert_eq!(asked["client_id"], "selfcare-ui", "the login is there for whoever asks");
    }
}

#[test]
fn without_https_nobody_signs_in_but_on_the_loopback() {
    let desk = Desk::new();
    for proto in ["http", "HTTPS", "https,http", ""] {
        let head =
            get(SELFCARE, "/rest/x").with("sec-fetch-mode", "navigate").with("x-forwarded-proto", proto);
        assert_eq!(desk.send(&mut Jar::default(), head).what, "400 login_insecure", "{proto}");
    }
    let mut document = login_document();
    document["sites"][0]["hosts"] = json!(["localhost"]);
    let desk = Desk::with(&document);
    let head = get("localhost:10000", "/rest/x")
        .with("sec-fetch-mode", "navigate")
        .with("x-forwarded-proto", "http");
    let outcome = desk.send(&mut Jar::default(), head);
    assert!(
        outcome.location.contains("redirect_uri=http%3A%2F%2Flocalhost%3A10000%2Fsso%2Fcallback"),
        "{outcome:?}"
    );
}

#[test]
fn a_callback_belongs_to_one_running_login_of_this_browser() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    let asked = desk.begin(&mut jar, "/rest/x");
    desk.issue(&asked, json!({}), json!({}));
    let state = &asked["state"];
    let refused = |jar: &Jar, path: &str| {
        let outcome = desk.navigate(&mut jar.clone(), path);
        assert_eq!(outcome.what, "400 login_state", "{path}");
        assert!(outcome.set_cookies.is_empty() && outcome.location.is_empty());
    };
    refused(&Jar::default(), &callback(state));
    refused(&jar, &callback("A".repeat(43).as_str()));
    refused(&jar, &callback(&format!("{}{}", &state[..16], "A".repeat(27))));
    refused(&jar, "/sso/callback");
    refused(&jar, "/sso/callback?code=c0de");
    for twice in ["state", "code", "iss"] {
        refused(&jar, &format!("{}&{twice}=x", callback(state)));
    }
    let elsewhere = head("GET", "x.pbx.csp.com", &callback(state)).with("x-forwarded-proto", "https");
    assert_eq!(desk.send(&mut jar.clone(), elsewhere).what, "400 login_state");
    assert_eq!(desk.call_back(&mut jar, &asked).what, "303 login_completed");
    refused(&jar, &callback(state));
}

#[test]
fn a_login_runs_out() {
    let (mut desk, mut jar) = (Desk::new(), Jar::default());
    let asked = desk.begin(&mut jar, "/rest/x");
    desk.gate.pass(600);
    assert_eq!(desk.call_back(&mut jar, &asked).what, "400 login_state");
}

#[test]
fn what_keycloak_sends_back_instead_of_a_code_ends_the_login() {
    for (query, expect) in [
        ("error=access_denied", "400 login_cancelled"),
        ("error=server_error&error_description=<script>", "400 login_refused"),
        ("error=x&code=c0de", "400 login_refused"),
        ("code=", "400 login_code"),
        ("", "400 login_code"),
    ] {
        let (desk, mut jar) = (Desk::new(), Jar::default());
        let asked = desk.begin(&mut jar, "/rest/x");
        let iss = form_urlencoded::byte_serialize(CUSTOMERS.as_bytes()).collect::<String>();
        let outcome =
            desk.navigate(&mut jar, &format!("/sso/callback?state={}&iss={iss}&{query}", asked["state"]));
        assert_eq!(outcome.what, expect, "{query}");
        assert!(!outcome.body.contains("script>"), "{}", outcome.body);
        assert_eq!(jar.names(), [""; 0], "the attempt is used up");
    }
}

#[test]
fn a_callback_of_another_issuer_is_a_mix_up() {
    for iss in ["", "&iss=https%3A%2F%2Fevil", "&iss="] {
        let (desk, mut jar) = (Desk::new(), Jar::default());
        let asked = desk.begin(&mut jar, "/rest/x");
        let outcome =
            desk.navigate(&mut jar, &format!("/sso/callback?state={}&code=c0de{iss}", asked["state"]));
        assert_eq!(outcome.what, "400 login_issuer", "{iss}");
    }
}

#[test]
fn each_lie_of_an_id_token_is_found_and_named() {
    let now = NOW.0 + 60;
    for (lie, slug) in [
        (json!({"nonce": "x"}), "nonce"),
        (json!({"nonce": null}), "nonce"),
        (json!({"typ": "Bearer"}), "typ"),
        (json!({"iss": "https://evil"}), "iss"),
        (json!({"aud": "other"}), "aud"),
        (json!({"aud": []}), "aud"),
        (json!({"aud": ["selfcare-ui", "other"], "azp": null}), "azp"),
        (json!({"azp": "other"}), "azp"),
        (json!({"exp": now - 30}), "exp"),
        (json!({"exp": null}), "exp"),
        (json!({"nbf": now + 31}), "nbf"),
        (json!({"nbf": "x"}), "nbf"),
        (json!({"iat": now - 631}), "iat"),
        (json!({"iat": now + 31}), "iat"),
        (json!({"sub": "somebody-else"}), "sub"),
        (json!({"sub": null}), "sub"),
        (json!({"at_hash": "x"}), "at_hash"),
        (json!({"at_hash": 7}), "at_hash"),
        (json!({"sid": "another"}), "sid"),
    ] {
        let (desk, mut jar) = (Desk::new(), Jar::default());
        let asked = desk.begin(&mut jar, "/rest/x");
        desk.issue(&asked, lie.clone(), json!({}));
        let outcome = desk.call_back(&mut jar, &asked);
        assert_eq!(outcome.what, format!("400 login_id_token_{slug}"), "{lie}");
        assert_eq!(jar.names(), [""; 0], "{lie}");
    }
}

#[test]
fn an_id_token_may_leave_out_what_another_claim_proves() {
    for (id, access) in [
        (json!({"at_hash": null}), json!({})),
        (json!({}), json!({"sub": null})),
        (json!({"aud": ["selfcare-ui"], "azp": null}), json!({})),
        (json!({"sid": null}), json!({})),
        (json!({"nbf": NOW.0}), json!({})),
    ] {
        let (desk, mut jar) = (Desk::new(), Jar::default());
        let asked = desk.begin(&mut jar, "/rest/x");
        desk.issue(&asked, id.clone(), access);
        assert_eq!(desk.call_back(&mut jar, &asked).what, "303 login_completed", "{id}");
    }
    let (desk, mut jar) = (Desk::new(), Jar::default());
    let asked = desk.begin(&mut jar, "/rest/x");
    desk.issue(&asked, json!({"at_hash": null}), json!({"sub": null}));
    assert_eq!(
        desk.call_back(&mut jar, &asked).what,
        "400 login_id_token_at_hash",
        "nothing ties the tokens"
    );
}

#[test]
fn the_access_token_of_a_login_is_judged_like_any_other() {
    for lie in [json!({"aud": "other"}), json!({"azp": "other"}), json!({"typ": "ID"}), json!({"exp": NOW.0})]
    {
        let (desk, mut jar) = (Desk::new(), Jar::default());
        let asked = desk.begin(&mut jar, "/rest/x");
        desk.issue(&asked, json!({}), lie.clone());
        assert_eq!(desk.call_back(&mut jar, &asked).what, "502 login_access_token", "{lie}");
    }
}

#[test]
fn an_answer_of_the_token_endpoint_that_is_none_ends_the_login() {
    let whole = json!({"access_token": "a", "id_token": "b", "token_type": "Bearer"});
    let without = |name: &str| {
        let mut answer = whole.clone();
        answer.as_object_mut().unwrap().remove(name);
        answer.to_string()
    };
    for (answered, expect) in [
        (status(400, r#"{"error":"invalid_grant"}"#), "502 login_code_refused"),
        (status(400, "{}"), "502 login_tokens"),
        (status(401, r#"{"error":"invalid_client"}"#), "502 login_tokens"),
        (status(302, ""), "502 login_tokens"),
        (status(200, "<html>"), "502 login_tokens"),
        (status(200, &without("access_token")), "502 login_tokens"),
        (status(200, &without("token_type")), "502 login_tokens"),
        (status(200, &without("id_token")), "502 login_id_token_absent"),
        (status(200, &whole.to_string()), "400 login_id_token_malformed"),
        (status(500, ""), "503 idp_unreachable"),
        (status(504, ""), "503 idp_unreachable"),
        (Err(CallError::Unreachable), "503 idp_unreachable"),
        (Err(CallError::TooLarge), "502 login_tokens"),
    ] {
        let (desk, mut jar) = (Desk::new(), Jar::default());
        let asked = desk.begin(&mut jar, "/rest/x");
        desk.answers(move |_| answered.clone());
        let outcome = desk.call_back(&mut jar, &asked);
        assert_eq!(outcome.what, expect);
        assert_eq!((outcome.location.as_str(), jar.names()), ("", vec![]));
    }
}

#[test]
fn a_login_that_finds_too_many_waiting_is_told_so() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    let asked = desk.begin(&mut jar, "/rest/x");
    let head = navigation(&callback(&asked["state"])).with("cookie", jar.header());
    let Step::Wait(exchange, Need::Call(_)) = desk.gate.start(&head) else { panic!("Keycloak is not asked") };
    let outcome = desk.settle(&head, desk.gate.resume(exchange, Input::Overflow), None);
    assert_eq!(outcome.what, "503 too_many_waiting");
}

#[test]
fn the_logins_of_one_browser_are_bounded() {
    let (mut desk, mut jar) = (Desk::new(), Jar::default());
    let first = desk.begin(&mut jar, "/rest/first");
    desk.gate.pass(1);
    let mut last = HashMap::new();
    for n in 0..6 {
        last = desk.begin(&mut jar, &format!("/rest/{n}"));
        desk.gate.pass(1);
    }
    assert_eq!(jar.count("login-"), 4);
    assert_eq!(desk.call_back(&mut jar.clone(), &first).what, "400 login_state", "the oldest gave way");
    desk.issue(&last, json!({"iat": desk.gate.env.now.0}), json!({}));
    assert_eq!(desk.call_back(&mut jar, &last).location, "/rest/5");
}

/// A second is not short enough to tell which login is the oldest.
#[test]
fn the_oldest_login_gives_way_within_a_second_too() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    let begun: Vec<_> = (0..12).map(|n| desk.begin(&mut jar, &format!("/rest/{n}"))).collect();
    for (n, asked) in begun.iter().enumerate() {
        desk.issue(asked, json!({}), json!({}));
        let outcome = desk.call_back(&mut jar.clone(), asked);
        let expect = if n < 8 { "400 login_state" } else { "303 login_completed" };
        assert_eq!(outcome.what, expect, "{n}");
    }
}

#[test]
fn a_login_loop_ends_on_a_page() {
    let (desk, mut jar) = (Desk::new(), Jar::default());
    for _ in 0..3 {
        desk.sign_in(&mut jar, "/rest/x");
        jar.0.retain(|(name, _)| !name.contains("session"));
    }
    let outcome = desk.navigate(&mut jar, "/rest/x");
    assert_eq!((outcome.what.as_str(), outcome.set_cookies.len()), ("400 login_loop", 0));
    // Whoever asks for it tries again.
    desk.begin(&mut jar, "/sso/start?return=/rest/x");
}

#[test]
fn a_cold_worker_waits_for_the_endpoints_or_says_that_it_cannot_tell() {
    let mut gate = Gate::cold(&login_document());
    let head = navigation("/rest/x");
    gate.check(&head, "wait customers any");
    let Step::Wait(exchange, _) = gate.start(&head) else { panic!("decided") };
    gate.fetch("customers", Ok(&[Minter::customers().jwk()]));
    gate.check_step(&head, &gate.resume(exchange, Input::KeysChanged), "303 login_begun");

    let mut gate = Gate::cold(&login_document());
    gate.fetch("customers", Err(CallError::Unreachable));
    gate.check(&head, "503 keys_unavailable");
}
