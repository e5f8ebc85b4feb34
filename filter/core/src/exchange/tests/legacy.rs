//! Requests to legacy routes: who may sign in with a password, and what such a request may look like.

mod sessions;

use super::*;
use crate::testing::test;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const LISTED: &str = r#"{"params":{"login":"ZZZPortaOne","password":"s3cret-1"}}"#;
const ALLOWED: &str = "allowed password-login legacy";

fn call(host: &str, method: &str) -> Head {
    head("POST", host, &format!("/rest/Session/{method}"))
}

fn login() -> Head {
    call(SELFCARE, "login").with("content-type", JSON)
}

/// A gate that lets tokens pass whose login it does not know, and does not count.
fn gate() -> Gate {
    gate_with(json!({
        "logins": {SELFCARE: ["ZZZPortaOne", "second"]},
        "unseen_tokens": "allow",
        "attempts": {"per_login": 1000, "per_source": 1000},
    }))
}

/// The document of the other tests, with other services on legacy rules.
fn gate_with(legacy: Value) -> Gate {
    let mut document = document();
    document["legacy"] = legacy;
    let rules = document["sites"][0]["rules"].as_array_mut().unwrap();
    for rule in rules.iter_mut().filter(|rule| rule["name"] == "password-login") {
        rule["path"] = json!({"prefix": "/rest/Session"});
    }
    rules.insert(0, json!({"name": "old", "path": {"prefix": "/old"}, "access": "legacy"}));
    rules.insert(1, json!({"name": "soap", "path": {"prefix": "/soap"}, "access": "legacy"}));
    Gate::with(&document)
}

/// Each question to the host costs every request that asks it.
#[test]
fn the_source_is_asked_for_on_legacy_rules_alone() {
    let gate = gate();
    for (path, expect) in
        [("/old/x", 1), ("/assets/a.js", 0), ("/rest/Invoice/get_invoice", 0), ("/nowhere", 0)]
    {
        let asked = std::cell::Cell::new(0);
        let source = || {
            asked.set(asked.get() + 1);
            None
        };
        let mut memory = Memory::new(&gate.filter);
        Exchange::start(&mut gate.knowledge(&mut memory), &get(SELFCARE, path).0, source);
        assert_eq!(asked.get(), expect, "{path}");
    }
}

#[test]
fn only_logins_of_the_list_sign_in_and_every_byte_counts() {
    let gate = gate();
    gate.check_body(&login(), LISTED, ALLOWED);
    for name in [
        "porta-support",
        "zzzportaone",
        "ZZZPORTAONE",
        "ZZZPortaOne ",
        " ZZZPortaOne",
        "ZZZPortaOn",
        "ZZZPortaOne2",
        "ZZZPort\u{430}One",
        "ZZZPortaOne\u{200b}",
        "ZZZPortaOne\\n",
        "",
        "*",
        "bob",
    ] {
        let body = format!(r#"{{"params":{{"login":"{name}","password":"s3cret-1"}}}}"#);
        gate.check_body(&login(), &body, "403 legacy_login");
    }
    for body in [
        r#"{"auth_info":{"login":"ZZZPortaOne","password":"s3cret-1"}}"#,
        r#"{"auth_info":{"login":"ZZZPortaOne","token":"s3cret-1"},"params":{}}"#,
        r#"{"params":{"login":"ZZZPortaOne","token":"s3cret-1"},"auth_info":null}"#,
        r#" {"params": {"password": "s3cret-1", "login": "\u005aZZPortaOne"}} "#,
    ] {
        gate.check_body(&login(), body, ALLOWED);
    }
}

#[test]
fn a_body_that_is_not_one_login_is_refused() {
    let gate = gate();
    for (body, expect) in [
        ("", "400 legacy_not_one_login"),
        ("{}", "400 legacy_not_one_login"),
        (r#"{"params":{}}"#, "400 legacy_not_one_login"),
        (r#"{"params":{"user":"ZZZPortaOne"}}"#, "400 legacy_not_one_login"),
        (r#"{"params":{"login":["ZZZPortaOne"]}}"#, "400 legacy_not_one_login"),
        (r#"{"params":{"login":{"a":"ZZZPortaOne"}}}"#, "400 legacy_not_one_login"),
        (r#"{"params":{"login":1}}"#, "400 legacy_not_one_login"),
        (r#"{"params":{"login":null}}"#, "400 legacy_not_one_login"),
        (r#"{"params":{"x":{"login":"ZZZPortaOne"}}}"#, "400 legacy_not_one_login"),
        (r#"{"x":[{"login":"ZZZPortaOne"}]}"#, "400 legacy_not_one_login"),
        (r#"{"params":{"login":"ZZZPortaOne"},"auth_info":{"login":"bob"}}"#, "400 legacy_not_one_login"),
        (
            r#"{"params":{"login":"ZZZPortaOne"},"auth_info":{"login":"ZZZPortaOne"}}"#,
            "400 legacy_not_one_login",
        ),
        (r#"{"params":{"login":"ZZZPortaOne"},"login":"ZZZPortaOne"}"#, "400 legacy_not_one_login"),
        (r#"{"params":{"login":"ZZZPortaOne","x":{"login":"bob"}}}"#, "400 legacy_not_one_login"),
        (
            r#"{"params":{"login":"ZZZPortaOne","password":"a"},"auth_info":{"password":"b"}}"#,
            "400 legacy_not_one_login",
        ),
        (r#"{"params":{"login":"ZZZPortaOne","login":"ZZZPortaOne"}}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne","\u006cogin":"bob"}}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"bob"},"params":{"login":"ZZZPortaOne"}}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne","Login":"bob"}}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne"," login":"bob"}}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne"},"Params":{"x":"bob"}}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne\u0000bob"}}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne","x\u0000":1}}"#, "400 legacy_body_malformed"),
        (r#"{"params":"{\"login\":\"ZZZPortaOne\"}"}"#, "400 legacy_body_malformed"),
        (r#"{"params":[{"login":"ZZZPortaOne"}]}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"params":{"login":"bob"},"login":"ZZZPortaOne"}}"#, "400 legacy_body_malformed"),
        (r#"[{"params":{"login":"ZZZPortaOne"}}]"#, "400 legacy_body_malformed"),
        (r#""ZZZPortaOne""#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne"}} {}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne"}"#, "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne",}}"#, "400 legacy_body_malformed"),
        ("{'params':{'login':'ZZZPortaOne'}}", "400 legacy_body_malformed"),
        (r#"{"params":{"login":"ZZZPortaOne"}/**/}"#, "400 legacy_body_malformed"),
        ("\u{feff}{\"params\":{\"login\":\"ZZZPortaOne\"}}", "400 legacy_body_malformed"),
        ("params={\"login\":\"ZZZPortaOne\"}", "400 legacy_body_malformed"),
    ] {
        gate.check_body(&login(), body, expect);
    }
    let deep =
        format!(r#"{{"params":{{"login":"ZZZPortaOne","x":{}1{}}}}}"#, "[".repeat(200), "]".repeat(200));
    gate.check_body(&login(), &deep, "400 legacy_body_malformed");
}

#[test]
fn forms_are_read_as_strictly() {
    let gate = gate();
    let form =
        || call(SELFCARE, "login/").with("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    for body in [
        r#"params={"login":"ZZZPortaOne","password":"s3cret-1"}"#,
        "params=%7B%22login%22%3A%22ZZZPortaOne%22%2C+%22password%22%3A%22a%3Bb%26c%22%7D&auth_info=",
        "auth_info=%7B%22login%22%3A%22ZZZPortaOne%22%7D&params=%7B%7D",
        "login=ZZZPortaOne&password=s3cret-1",
    ] {
        gate.check_body(&form(), body, ALLOWED);
    }
    for (body, expect) in [
        ("login=bob&password=s3cret-1", "403 legacy_login"),
        ("login=ZZZPortaOne+&password=s3cret-1", "403 legacy_login"),
        (r#"params={"login":"bob"}"#, "403 legacy_login"),
        ("password=s3cret-1", "400 legacy_not_one_login"),
        (r#"params={"login":"ZZZPortaOne"}&login=bob"#, "400 legacy_not_one_login"),
        (r#"params={"login":"ZZZPortaOne"}&auth_info={"login":"bob"}"#, "400 legacy_not_one_login"),
        ("login=ZZZPortaOne&login=bob", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne&%6cogin=bob", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne;login=bob", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne&login[]=bob", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne&params[login]=bob", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne&LOGIN=bob", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne&_charset_=utf-16", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne%00bob", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne%0", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne%u0041", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne%ff", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne&", "400 legacy_body_malformed"),
        ("login", "400 legacy_body_malformed"),
        ("login=ZZZPortaOne\r\n&x=y", "400 legacy_body_malformed"),
        (r#"params={"login":"ZZZPortaOne","login":"bob"}"#, "400 legacy_body_malformed"),
        (r#"params="ZZZPortaOne""#, "400 legacy_body_malformed"),
        (r#"params={"login":"ZZZPortaOne"}&params={"login":"ZZZPortaOne"}"#, "400 legacy_body_malformed"),
        (LISTED, "400 legacy_body_malformed"),
    ] {
        gate.check_body(&form(), body, expect);
    }
}

/// The same fields in parts; what parts may look like is tested beside their reader.
#[test]
fn multipart_is_read_as_strictly() {
    let gate = gate();
    let multipart = || call(SELFCARE, "login").with("content-type", "multipart/form-data; boundary=\"X-X\"");
    let part = |name: &str, value: &str| {
        format!("--X-X\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let (params, bob) = (part("params", r#"{"login":"ZZZPortaOne"}"#), part("login", "bob"));
    for (parts, expect) in [
        (params.clone(), ALLOWED),
        (part("login", "ZZZPortaOne") + &part("password", "x"), ALLOWED),
        (bob.clone(), "403 legacy_login"),
        (part("login", "ZZZPortaOne\r\n"), "403 legacy_login"),
        (params.clone() + &bob, "400 legacy_not_one_login"),
        (params.clone() + &params, "400 legacy_body_malformed"),
        (part("login", "ZZZPortaOne") + &bob, "400 legacy_body_malformed"),
        (part("params[login]", "bob") + &params, "400 legacy_body_malformed"),
        (part("params", r#"{"login":"ZZZPortaOne","login":"bob"}"#), "400 legacy_body_malformed"),
    ] {
        gate.check_body(&multipart(), &format!("{parts}--X-X--\r\n"), expect);
    }
    gate.check_body(&multipart(), &params, "400 legacy_body_malformed");
    gate.check_body(&multipart(), LISTED, "400 legacy_body_malformed");
}

#[test]
fn a_login_has_one_plain_type_and_no_encoding() {
    let gate = gate();
    let login = || call(SELFCARE, "login");
    for kind in [JSON, "application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\""] {
        gate.check_body(&login().with("content-type", kind), LISTED, ALLOWED);
    }
    for kind in [
        "",
        "text/plain",
        "text/json",
        "application/xml",
        "text/xml; charset=utf-8",
        "application/soap+xml",
        "application/json; charset=utf-16",
        "application/json; charset=iso-8859-1",
        "application/json; charset=utf-7",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; version=1",
        "application/json;",
        "application/json, text/xml",
        "application/json application/xml",
        "application/vnd.api+json",
        "*/*",
        "multipart/form-data",
        "multipart/form-data; boundary=a; boundary=b",
        "multipart/mixed; boundary=a",
        "application/json; boundary=x",
    ] {
        gate.check_body(&login().with("content-type", kind), LISTED, "415 legacy_content_type");
    }
    gate.check_body(&login(), LISTED, "415 legacy_content_type");
    gate.check_body(
        &login().with("content-type", JSON).with("content-type", JSON),
        LISTED,
        "415 legacy_content_type",
    );
    gate.check_body(
        &login().with("content-type", FORM).with("content-type", JSON),
        LISTED,
        "415 legacy_content_type",
    );
    for encoding in ["gzip", "identity", "br", "", "deflate, gzip"] {
        let head = login().with("content-type", JSON).with("content-encoding", encoding);
        gate.check_body(&head, LISTED, "415 legacy_content_encoding");
    }
}

#[test]
fn every_method_of_session_that_is_not_known_to_be_harmless_is_a_login() {
    let gate = gate();
    for method in [
        "login",
        "login/",
        "LOGIN",
        "%6cogin",
        "change_password",
        "login_to_realm",
        "generate_otp",
        "Ping",
        "ping/",
        "ping%20",
        "refresh_access_token/",
        "Refresh_access_token",
        "set_session_context",
        "",
    ] {
        let head = call(SELFCARE, method).with("content-type", JSON);
        gate.check_body(&head, LISTED, ALLOWED);
        gate.check_body(&head, r#"{"params":{"login":"bob"}}"#, "403 legacy_login");
        gate.check_body(&head, "{}", "400 legacy_not_one_login");
    }
    for path in [
        "/old/rest/Session/login/",
        "/soap/session/login",
        "/soap/Session",
        "/old/session%20/login",
        "/old/Session./login",
        "/old/session~/x",
        "/old/SESSION/ping/",
    ] {
        let head = head("POST", SELFCARE, path).with("content-type", JSON);
        gate.check_body(&head, r#"{"params":{"login":"bob"}}"#, "403 legacy_login");
    }
    for harmless in ["ping", "logout"] {
        let head = call(SELFCARE, harmless).with("content-type", JSON);
        gate.check_body(&head, r#"{"params":{"access_token":"0a1b"}}"#, ALLOWED);
        gate.check_body(&head, r#"{"auth_info":{"login":"bob","password":"x"}}"#, "403 legacy_login");
        gate.check(&call(SELFCARE, harmless), ALLOWED);
    }
}

#[test]
fn a_login_is_a_post_and_nothing_of_it_is_in_the_url() {
    let gate = gate();
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let head = head(method, SELFCARE, "/rest/Session/login").with("content-type", JSON);
        gate.check_body(&head, LISTED, "405 method");
    }
    for path in [
        "/old/Session/login?login=ZZZPortaOne",
        "/old/Session/login?params={%22login%22:%22bob%22}",
        "/old/Session/login?params={}",
        "/old/Session/login?x=1;password=s3cret-1",
        "/old/Session/login?params[login]=bob",
        "/old/Session/login?%61uth_info=x",
        "/old/Session/login?AUTH_INFO=x",
        "/old/Session/login/x",
        "/old/Session/login/{\"login\":\"ZZZPortaOne\"}",
        "/old/Session/login/%7B%22login%22%3A%22ZZZPortaOne%22%7D/",
        "/old/Session/ping/{}",
        "/old/Account/get_account_list/{\"session_id\":\"0a1b\"}/{\"i_customer\":\"1\"}",
        "/old/Account/get_account_list/%20{\"login\":\"bob\",\"password\":\"x\"}",
        "/old/Account/get_account_list/{\"broken\":",
        "/old/Account/get_account_list/{\"session_id\":\"a&b\"}",
        "/old/Account/get_account_list?auth_info={%22login%22:%22bob%22}",
        "/old/Account/get_account_list?session_id=0a1b",
        "/old/Account/get_account_list?a=b;access_token=0a1b",
        "/old/Account/get_account_list?token=0a1b",
        "/old/Account/get_account_list?params={broken",
    ] {
        let path = path.replace('"', "%22").replace(' ', "%20");
        let head = head("POST", SELFCARE, &path).with("content-type", JSON);
        gate.check_body(&head, LISTED, "400 legacy_credential_in_url");
    }
    for path in [
        "/old/Account/get_account_list",
        "/old/Account/get_account_list/{%22i_customer%22:%221%22}",
        "/old/Account/get_account_list?params={%22login%22:%22b%22}",
        "/old/Account/get_account_list?limit=1&logins=x&tokens=y",
    ] {
        gate.check(&get(SELFCARE, path), "allowed old legacy");
    }
}

#[test]
fn other_methods_may_bring_credentials_too_and_are_judged_by_them() {
    let gate = gate();
    let post = |kind: &str| head("POST", SELFCARE, "/old/Account/add_account").with("content-type", kind);
    for (kind, body, expect) in [
        (JSON, r#"{"params":{"login":"bob","password":"x"}}"#, "allowed old legacy"),
        (JSON, r#"{"params":{"login":"bob"},"auth_info":{"session_id":"0a1b"}}"#, "allowed old legacy"),
        (
            JSON,
            r#"{"params":{"login":"bob"},"auth_info":{"login":"ZZZPortaOne","password":"x"}}"#,
            "allowed old legacy",
        ),
        (JSON, r#"{"auth_info":{"login":"bob","password":"x"}}"#, "403 legacy_login"),
        (JSON, r#"{"auth_info":{"login":"bob","token":"x"}}"#, "403 legacy_login"),
        (JSON, r#"{"login":"bob","password":"x"}"#, "403 legacy_login"),
        (JSON, r#"{"Auth_Info":{"login":"bob","password":"x"}}"#, "400 legacy_body_malformed"),
        (JSON, r#"{"auth_info":"{\"login\":\"bob\"}"}"#, "400 legacy_body_malformed"),
        (JSON, "nonsense", "400 legacy_body_malformed"),
        (FORM, r#"auth_info={"login":"bob","password":"x"}"#, "403 legacy_login"),
        (FORM, r#"params={"login":"bob"}&auth_info={"session_id":"0a1b"}"#, "allowed old legacy"),
        ("text/xml", "<login>bob</login>", "415 legacy_content_type"),
        ("application/octet-stream", "x", "415 legacy_content_type"),
        ("text/xml", "", "allowed old legacy"),
    ] {
        gate.check_body(&post(kind), body, expect);
    }
    let untyped = head("POST", SELFCARE, "/old/x");
    gate.check_body(&untyped, "{}", "415 legacy_content_type");
    gate.check_body(&untyped, "", "allowed old legacy");
    let encoded =
        head("POST", SELFCARE, "/old/x").with("content-type", JSON).with("content-encoding", "gzip");
    gate.check_body(&encoded, "x", "415 legacy_content_encoding");
}

#[test]
fn a_keycloak_token_has_no_business_there_in_any_channel() {
    let gate = gate();
    let token = Minter::customers().token();
    let refused = "400 token_on_legacy_route";
    gate.check_body(&login().bearer(&token), LISTED, refused);
    gate.check_body(&login().with("cookie", format!("a=b; kc=\"{token}\"")), LISTED, refused);
    gate.check(&get(SELFCARE, &format!("/old/x?jwt={token}")), refused);
    gate.check(&get(SELFCARE, &format!("/old/{token}")), refused);
    let post = head("POST", SELFCARE, "/old/x").with("content-type", JSON);
    for body in [
        json!({"auth_info": {"access_token": token}}),
        json!({"auth_info": {"session_id": token}}),
        json!({ "access_token": token }),
    ] {
        gate.check_body(&post, &body.to_string(), refused);
    }
    let ping = call(SELFCARE, "ping").with("content-type", JSON);
    gate.check_body(&ping, &json!({"params": {"access_token": token}}).to_string(), refused);
}

#[test]
fn one_request_brings_one_credential() {
    let gate = gate();
    let post = || head("POST", SELFCARE, "/old/x").with("content-type", JSON);
    for (head, body, expect) in [
        (post().bearer("0a1b"), r#"{"auth_info":{"session_id":"0a1b"}}"#, "allowed old legacy"),
        (post().bearer("0a1b"), r#"{"auth_info":{"session_id":"ffff"}}"#, "400 ambiguous_credential"),
        (post(), r#"{"auth_info":{"session_id":"ffff","access_token":"0a1b"}}"#, "400 ambiguous_credential"),
        (post().bearer("a").bearer("b"), "{}", "400 ambiguous_credential"),
        (post().bearer("a,Bearer b"), "{}", "400 ambiguous_credential"),
        (post().with("authorization", "Basic dTpw"), "{}", "401 malformed_credential"),
        (post().with("authorization", "Digest username=\"a\""), "{}", "401 malformed_credential"),
        (post().with("authorization", "Bearer "), "{}", "401 malformed_credential"),
        (post().with("authorization", ""), "{}", "allowed old legacy"),
    ] {
        gate.check_body(&head, body, expect);
    }
}

#[test]
fn a_host_without_a_list_lets_nobody_sign_in() {
    let gate = Gate::warm();
    for method in ["login", "refresh_access_token", "LOGIN", "x", "login/{}", "login?login=x"] {
        gate.check_body(&call(PORTAL, method).with("content-type", JSON), LISTED, "403 legacy_login");
    }
    for method in ["ping", "logout"] {
        gate.check(&call(PORTAL, method), "allowed sessions legacy");
    }
}

#[test]
fn a_body_that_is_too_long_or_does_not_come_is_refused() {
    let gate = gate();
    let long = login().with("content-length", "65537");
    gate.check(&long, "413 legacy_body_too_large");
    for (input, expect) in [
        (Input::Body(None), "413 legacy_body_too_large"),
        (Input::Deadline, "503 legacy_body_unread"),
        (Input::Overflow, "503 too_many_waiting"),
    ] {
        let Step::Wait(exchange, Need::Body(65_536)) = gate.start(&login()) else {
            panic!("it waits for no body")
        };
        let step = gate.resume(exchange, input);
        gate.check_step(&login(), &step, expect);
    }
}

#[test]
fn a_websocket_has_no_body_and_is_no_login() {
    let gate = gate();
    let upgrade = |method: &str, path: &str| head(method, SELFCARE, path).with("upgrade", "websocket");
    let Step::Done(_) = gate.start(&upgrade("GET", "/old/events")) else { panic!("it waits for a body") };
    for head in [
        upgrade("POST", "/old/events"),
        upgrade("GET", "/old/events").with("content-length", "5"),
        upgrade("GET", "/old/events").with("transfer-encoding", "chunked"),
    ] {
        assert!(matches!(gate.start(&head), Step::Wait(_, Need::Body(_))), "{head}");
    }
    gate.check(&upgrade("GET", "/old/Session/login").with("content-type", JSON), "405 method");
}

#[test]
fn each_use_and_each_refusal_is_recorded_without_the_password() {
    let gate = gate();
    let record = |body: &str| {
        let head = login().from("203.0.113.7");
        match gate.judge(&head, body) {
            Step::Done(Decision::Forward { permit, .. }) => permit.audit().unwrap(),
            Step::Done(Decision::Reply { refusal, .. }) => refusal.to_string(),
            step => panic!("{step:?}"),
        }
    };
    assert_eq!(
        record(LISTED),
        "legacy credential forwarded realm=\"customers\" rule=\"password-login\" request_id=\"id-1\" \
         login=\"ZZZPortaOne\" host=\"selfcare.csp.com\" source=203.0.113.7"
    );
    assert_eq!(
        record(r#"{"params":{"login":"bob\n\" x","password":"s3cret-1"}}"#),
        "refused status=403 reason=legacy_login realm=\"customers\" rule=\"password-login\" request_id=\"id-1\" \
         login=\"bob\\n\\\" x\" host=\"selfcare.csp.com\" source=203.0.113.7"
    );
    let long = format!(r#"{{"params":{{"login":"{}"}}}}"#, "x".repeat(1000));
    assert!(record(&long).contains(&format!("login=\"{}\" host", "x".repeat(64))));
    assert!(!record(r#"{"params":{"login":"ZZZPortaOne","password":"s3cret-1"}"#).contains("s3cret-1"));
}

/// Who may not sign in so is told how else, in the words of whoever asked.
#[test]
fn a_refusal_points_to_the_single_sign_on() {
    let gate = gate();
    let reply = |head: &Head| match gate.judge(head, r#"{"params":{"login":"bob","password":"s3cret-1"}}"#) {
        Step::Done(Decision::Reply { reply, .. }) => reply,
        step => panic!("{step:?}"),
    };
    let problem: Value = serde_json::from_str(&reply(&login()).body).unwrap();
    assert_eq!(problem["status"], 403);
    assert!(problem["detail"].as_str().unwrap().contains("SSO"), "{problem}");
}
