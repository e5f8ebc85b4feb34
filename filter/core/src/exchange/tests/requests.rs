//! Requests by their heads: hosts, paths, methods, the client's own headers, and the order of the steps.

use super::*;
use crate::testing::test;

fn customer(head: Head) -> Head {
    head.bearer(&Minter::customers().token())
}

#[test]
fn the_authority_selects_the_realm_in_every_spelling() {
    let gate = Gate::warm();
    for host in [SELFCARE, "SELFCARE.CSP.com", "selfcare.csp.com:443", "selfcare.csp.com.", "a.pbx.csp.com"] {
        gate.check(&customer(get(host, "/rest/x")), "allowed rest token");
    }
    for host in [
        "other.csp.com",
        "csp.com",
        "127.0.0.1",
        "[::1]",
        "adminadmin.csp.com",
        "x.admin.csp.com.evil",
        "pbx.csp.com",
        "a.b.pbx.csp.com",
        "evilselfcare.csp.com",
        "xpbx.csp.com",
    ] {
        gate.check(&customer(get(host, "/rest/x")), "421 unknown_host");
    }
    for host in
        ["", "a,b", "selfcare.csp.com,admin.csp.com", "u@selfcare.csp.com", "self care", &"a".repeat(300)]
    {
        gate.check(&customer(get(host, "/rest/x")), "400 bad_authority");
    }
    gate.check(&customer(get(SELFCARE, "/rest/x").with("host", ADMIN)), "400 bad_authority");
    gate.check(
        &customer(get(SELFCARE, "/rest/x").with("host", "SelfCare.csp.com:443")),
        "allowed rest token",
    );
    gate.check(&customer(get(SELFCARE, "/rest/x").with(":authority", ADMIN)), "400 pseudo_header");
}

#[test]
fn forwarding_headers_have_no_say() {
    let gate = Gate::warm();
    for name in ["x-forwarded-host", "x-host", "x-forwarded-server", "forwarded", "x-original-host"] {
        gate.check(&customer(get(ADMIN, "/x").with(name, SELFCARE)), "401 token_other_realm");
        gate.check(&get("other.csp.com", "/x").with(name, SELFCARE), "421 unknown_host");
    }
    for name in
        ["x-envoy-original-path", "x-original-url", "x-rewrite-url", "x-forwarded-uri", "x-original-uri"]
    {
        gate.check(&get(SELFCARE, "/rest/x").with(name, "/health"), "401 no_credential");
        gate.check(&get(SELFCARE, "/health").with(name, "/rest/x"), "allowed health public");
    }
}

#[test]
fn an_override_of_path_or_method_never_reaches_the_upstream() {
    let gate = Gate::warm();
    for name in ["x-http-method-override", "X_HTTP_Method_Override", "x-original-url", "x-rewrite-url"] {
        let head = get(SELFCARE, "/health").with(name, "DELETE");
        gate.check(&head, "allowed health public");
        let Step::Done(Decision::Forward { request, .. }) = gate.start(&head) else { panic!("refused") };
        assert!(!upstream(&head, &request).iter().any(|(known, _)| known == name), "{name}");
    }
}

#[test]
fn identity_headers_of_the_client_are_stripped_on_every_kind_of_rule() {
    let gate = Gate::warm();
    for (mut head, expect) in [
        (get(SELFCARE, "/health"), "allowed health public"),
        (customer(head("OPTIONS", SELFCARE, "/rest/x")), "allowed rest token"),
        (head("POST", SELFCARE, "/rest/Session/ping"), "allowed password-login legacy"),
        (customer(get(SELFCARE, "/rest/x")), "allowed rest token"),
    ] {
        for name in
            ["x-porta-user", "X-Porta-User", "x_porta_user", "X_Porta-uSER", "x-porta-user", "x-porta-z"]
        {
            head = head.with(name, "admin").with(name, "");
        }
        head = head.with("connection", "close, x-porta-user, X_Porta_Realm").with("x-unrelated", b"\x80\xff");
        // `check` looks at what is left of them.
        gate.check(&head, expect);
        let Step::Done(Decision::Forward { request, .. }) = gate.judge(&head, "") else { panic!("refused") };
        let sent = upstream(&head, &request);
        let value =
            |name: &str| sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
        assert_eq!(value("connection"), Some(&b"close"[..]));
        assert_eq!(value("x-unrelated"), Some(&b"\x80\xff"[..]));
    }
}

#[test]
fn bytes_beyond_ascii_change_nothing() {
    let gate = Gate::warm();
    for byte in 0x80..=0xff_u8 {
        gate.check(&customer(get(SELFCARE, "/rest/x").with("x-any", [b'a', byte])), "allowed rest token");
    }
    gate.check(&get(SELFCARE, "/rest/x").with("authorization", b"Bearer \xff"), "401 malformed_credential");
    gate.check(&get(SELFCARE, "/rest/x").with("authorization", b"\xff"), "401 no_credential");
    let mut bad = get(SELFCARE, "/x");
    bad.0[1].1 = b"selfcare.csp.com\xff".to_vec();
    gate.check(&bad, "400 bad_authority");
    bad.0[1].1 = SELFCARE.into();
    bad.0[2].1 = b"/\xff".to_vec();
    gate.check(&bad, "400 ambiguous_path");
    bad.0[2].1 = b"/x".to_vec();
    bad.0[0].1 = b"G\xff".to_vec();
    gate.check(&bad, "400 pseudo_header");
}

#[test]
fn ambiguous_paths_are_refused_before_any_rule() {
    let gate = Gate::warm();
    for path in [
        "/health/..%2fpublic",
        "/health/%2e%2e/rest",
        "/health/../rest/x",
        "/health/..;/rest",
        "//health",
        "/./health",
        "/health%2Fx",
        "/health%5Cx",
        "/health\\x",
        "/health%00",
        "/health%23",
        "/health#x",
        "/%252frest",
        "/health;x=1",
        "/health%3bx",
        "/health%",
        "/%ff",
        "health",
        "*",
        "http://selfcare.csp.com/health",
        "",
    ] {
        gate.check(&get(SELFCARE, path), "400 ambiguous_path");
        gate.check(&customer(get(SELFCARE, path)), "400 ambiguous_path");
    }
}

#[test]
fn only_the_exact_path_is_public() {
    let gate = Gate::warm();
    gate.check(&get(SELFCARE, "/health"), "allowed health public");
    gate.check(&get(SELFCARE, "/%68ealth"), "allowed health public");
    gate.check(&get(SELFCARE, "/health?x=/rest"), "allowed health public");
    gate.check(&get(SELFCARE, "/health?"), "allowed health public");
    gate.check(&get(SELFCARE, "/healthz"), "403 no_rule");
    gate.check(&get(SELFCARE, "/health/"), "403 no_rule");
    gate.check(&get(SELFCARE, "/Health"), "403 no_rule");
    gate.check(&get(SELFCARE, "/rest/x?/health"), "401 no_credential");
    gate.check(&get(SELFCARE, "/assets/app.js"), "allowed assets public");
    gate.check(&get(SELFCARE, "/assets"), "403 no_rule");
    gate.check(&get(SELFCARE, "/restful"), "403 no_rule");
    gate.check(&get(SELFCARE, "/"), "403 no_rule");
}

#[test]
fn methods_are_what_the_rule_says() {
    let gate = Gate::warm();
    gate.check(&head("HEAD", SELFCARE, "/health"), "allowed health public");
    for method in ["POST", "OPTIONS", "TRACE", "CONNECT", "get", "Get", "", "BREW", "GET "] {
        gate.check(&head(method, SELFCARE, "/health"), "403 no_rule");
    }
    gate.check(&head("POST", SELFCARE, "/open"), "allowed open-post public");
    gate.check(&head("HEAD", SELFCARE, "/open"), "403 no_rule");
    for method in ["TRACE", "CONNECT", "BREW"] {
        gate.check(&customer(head(method, SELFCARE, "/rest/x")), "403 no_rule");
    }
    let preflight = head("OPTIONS", SELFCARE, "/rest/x").with("origin", "https://selfcare.csp.com");
    gate.check(&preflight.with("access-control-request-method", "DELETE"), "401 no_credential");
    let overridden = head("GET", SELFCARE, "/health").with("x-http-method-override", "DELETE");
    gate.check(&overridden, "allowed health public");
}

#[test]
fn the_steps_come_in_their_order() {
    let gate = Gate::warm();
    let good = Minter::customers().token();
    // A head that cannot be read is refused whatever its host, and a host that is not known whatever its path.
    gate.check(&get("other.csp.com", "/../x").bearer(&good), "400 ambiguous_path");
    gate.check(&get("a,b", "/../x").bearer(&good), "400 bad_authority");
    gate.check(&get("other.csp.com", "/rest/x").bearer("junk"), "421 unknown_host");
    // A rule comes before the credential.
    gate.check(&get(SELFCARE, "/nowhere").bearer(&good), "403 no_rule");
    gate.check(&get(SELFCARE, "/nowhere").bearer("junk"), "403 no_rule");
    gate.check(&get(SELFCARE, "/health").bearer("junk"), "allowed health public");
    gate.check(&get(SELFCARE, "/health").bearer("a").bearer("b"), "allowed health public");
    let large = get(SELFCARE, "/health").with("x-large", "x".repeat(66_000));
    gate.check(&large, "400 head_too_large");
    for at in 0..3 {
        let mut head = get(SELFCARE, "/health");
        head.0.remove(at);
        gate.check(&head, "400 pseudo_header");
        let mut head = get(SELFCARE, "/health");
        let again = head.0[at].clone();
        head.0.push(again);
        gate.check(&head, "400 pseudo_header");
    }
}

#[test]
fn legacy_rules_may_be_bound_to_networks() {
    let mut document = document();
    document["legacy"]["networks"] = json!(["203.0.113.0/24", "2001:db8::/32"]);
    let gate = Gate::with(&document);
    let ping = || head("POST", SELFCARE, "/rest/Session/ping");
    for inside in ["203.0.113.7", "2001:db8::7"] {
        gate.check(&ping().from(inside), "allowed password-login legacy");
    }
    for outside in ["203.0.114.1", "::1", "2001:db9::1"] {
        gate.check(&ping().from(outside), "403 legacy_network");
    }
    gate.check(&ping(), "403 legacy_network");
    gate.check(&ping().with("x-forwarded-for", "203.0.113.7"), "403 legacy_network");
    gate.check(&get(SELFCARE, "/health").from("::1"), "allowed health public");
}

#[test]
fn refusals_are_written_for_whoever_asked() {
    let gate = Gate::warm();
    let reply = |head: &Head| match gate.start(head) {
        Step::Done(Decision::Reply { reply, .. }) => {
            let value = |name: &str| {
                reply.headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone())
            };
            let kind = value("content-type").unwrap();
            (reply.status, kind, value("www-authenticate"), reply.body)
        }
        step => panic!("{step:?}"),
    };
    let (status, kind, challenge, body) = reply(&get(SELFCARE, "/rest/x").bearer("junk"));
    assert_eq!((status, kind.as_str()), (401, "application/problem+json"));
    assert_eq!(challenge.unwrap(), r#"Bearer realm="customers", error="invalid_token""#);
    assert_eq!(
        serde_json::from_str::<Value>(&body).unwrap(),
        json!({"type": "about:blank", "title": "Unauthorized", "status": 401, "error": "invalid_token",
               "request_id": "id-1"})
    );

    let (status, kind, ..) = reply(&get(SELFCARE, "/rest/x").with("sec-fetch-mode", "navigate"));
    assert_eq!((status, kind.as_str()), (401, "text/html; charset=utf-8"));
    let (_, kind, ..) =
        reply(&get(SELFCARE, "/rest/x").with("sec-fetch-mode", "cors").with("accept", "text/html"));
    assert_eq!(kind, "application/problem+json");

    let (status, kind, challenge, body) = reply(&get(PORTAL, "/x").with("sec-fetch-mode", "navigate"));
    assert_eq!((status, kind.as_str()), (500, "application/json"));
    assert_eq!(challenge.unwrap(), r#"Bearer realm="customers""#);
    let fault: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(fault["faultcode"], "Server.Session.check_auth.auth_failed");
    let no_role = get(PORTAL, "/x").bearer(&Minter::customers().token_with(json!({"realm_access": null})));
    let (status, _, challenge, body) = reply(&no_role);
    assert_eq!(status, 403);
    assert_eq!(challenge.unwrap(), r#"Bearer realm="customers", error="insufficient_scope""#);
    let fault: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(fault["faultcode"], "Portcullis.missing_role");

    // Nobody knows whose an unknown host's realm would be.
    let (status, kind, challenge, _) = reply(&get("other.csp.com", "/x"));
    assert_eq!((status, kind.as_str(), challenge), (421, "application/problem+json", None));
}
