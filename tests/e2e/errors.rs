//! How refusals are written: for programs, for people, and for PortaBilling's own portals.

use portcullis_tests::client::{H2Request, Raw, RawResponse};
use portcullis_tests::{EnvoyConfig, World};
use serde_json::json;

use crate::ask::{Ask as _, Refused};
use crate::support::{ADMIN, INVOICES, SELFCARE, world, world_with};

#[track_caller]
fn assert_headers(response: &RawResponse, content_type: &str) {
    assert_eq!(response.header_all("content-type"), [content_type]);
    assert_eq!(response.header("cache-control").as_deref(), Some("no-store"));
    assert_eq!(response.header("x-content-type-options").as_deref(), Some("nosniff"));
    assert!(response.header("set-cookie").is_none() && response.header("location").is_none());
}

#[tokio::test]
async fn a_program_reads_a_problem() {
    let Some(world) = world().await else { return };
    let token = world.customers.token();
    let request = |host: &str, path: &str| {
        Raw::get(path).host(host).header("accept", "application/json, text/plain, */*")
    };
    let missing = token.clone().without("resource_access").sign();
    for (request, status, reason, title, error) in [
        (request(SELFCARE, INVOICES), 401, "no_credential", "Unauthorized", None),
        (
            request(SELFCARE, INVOICES).bearer("x"),
            401,
            "token_malformed",
            "Unauthorized",
            Some("invalid_token"),
        ),
        (
            request(SELFCARE, "/rest/Sim/x").bearer(&token.clone().sign()),
            401,
            "step_up",
            "Unauthorized",
            Some("insufficient_user_authentication"),
        ),
        (
            request(SELFCARE, INVOICES).bearer(&missing),
            403,
            "missing_role",
            "Forbidden",
            Some("insufficient_scope"),
        ),
        (request(SELFCARE, "/nowhere"), 403, "no_rule", "Forbidden", None),
        (request(SELFCARE, "/a%252f"), 400, "ambiguous_path", "Bad Request", Some("invalid_request")),
        (request("evil.example", "/"), 421, "unknown_host", "Misdirected Request", None),
    ] {
        let outcome = world.ask(reason, &request).await;
        let response = outcome.is(Refused(status, reason)).response();
        assert_headers(response, "application/problem+json");
        let mut problem = response.json();
        let id = problem.as_object_mut().unwrap().remove("request_id").unwrap_or_default();
        assert_eq!(id.as_str().map(str::len), Some(36), "{reason}: Envoy's request id is in the body");
        assert!(world.envoy.log().contains(&format!("request_id={id}")), "{reason}: and in the log");
        let mut expected = json!({"type": "about:blank", "title": title, "status": status});
        if let Some(error) = error {
            expected["error"] = json!(error);
            let challenge = outcome.challenge();
            assert!(challenge.contains(&format!("error=\"{error}\"")), "{reason}: {challenge}");
        }
        assert_eq!(problem, expected, "{reason}");
        assert!(!response.text().contains(reason), "the reason is not for the client");
    }
    assert_eq!(world.upstream.requests(), 0);
}

#[tokio::test]
async fn a_request_id_of_the_client_is_not_believed() {
    let Some(world) = world().await else { return };
    for id in ["mine", "<script>alert(1)</script>", "\"},{\"x\":\"", "a b"] {
        let request = Raw::get(INVOICES).host(SELFCARE).header("x-request-id", id);
        let outcome = world.ask(id, &request).await;
        let response = outcome.is(Refused(401, "no_credential")).response();
        let problem = response.json();
        assert_ne!(problem["request_id"], json!(id), "Envoy makes its own id at the edge");
        let page = world.ask(id, &request.header("accept", "text/html")).await;
        assert!(!page.response().text().contains(id), "{}", page.response().text());
    }
}

#[tokio::test]
async fn a_person_reads_a_page_and_only_a_person() {
    let Some(world) = world().await else { return };
    let html = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    for (what, method, fields, is_page) in [
        ("a navigation", "GET", vec![("sec-fetch-mode", "navigate"), ("accept", html)], true),
        ("a navigation without accept", "GET", vec![("sec-fetch-mode", "navigate")], true),
        ("a browser without Fetch Metadata", "GET", vec![("accept", html)], true),
        (
            "a frame",
            "GET",
            vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe"), ("accept", html)],
            false,
        ),
        ("no HTML, please", "GET", vec![("accept", "text/html;q=0, application/json")], false),
        ("fetch()", "GET", vec![("sec-fetch-mode", "cors"), ("accept", html)], false),
        ("an image", "GET", vec![("sec-fetch-mode", "no-cors"), ("accept", "image/*")], false),
        ("a form", "POST", vec![("sec-fetch-mode", "navigate"), ("accept", html)], true),
        ("an old form", "POST", vec![("accept", html)], true),
        ("curl", "GET", vec![("accept", "*/*")], false),
        ("a program", "GET", vec![], false),
        ("a WebSocket", "GET", vec![("sec-fetch-mode", "websocket"), ("accept", html)], false),
    ] {
        let request = Raw::new(method, INVOICES).host(SELFCARE);
        let request = fields.iter().fold(request, |request, (name, value)| request.header(name, value));
        let outcome = world.ask(what, &request).await;
        let response = outcome.is(Refused(401, "no_credential")).response();
        assert_eq!(outcome.challenge(), "Bearer realm=\"customers\"", "{what}");
        if !is_page {
            assert_headers(response, "application/problem+json");
            continue;
        }
        assert_headers(response, "text/html; charset=utf-8");
        let policy = response.header("content-security-policy").unwrap();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        let page = response.text();
        assert!(
            page.contains("You need to sign in") && !page.contains("<script") && !page.contains(INVOICES),
            "{page}"
        );
    }
    let page = |host: &str, path: &str| Raw::get(path).host(host).header("sec-fetch-mode", "navigate");
    for (request, status, reason, says) in [
        (page(SELFCARE, "/nowhere"), 403, "no_rule", "does not have access"),
        (page("evil.example", "/"), 421, "unknown_host", "not served here"),
        (page(SELFCARE, "/a%252f<b>"), 400, "ambiguous_path", "could not be understood"),
    ] {
        let outcome = world.ask(reason, &request).await;
        let text = outcome.is(Refused(status, reason)).response().text();
        assert!(text.contains(says) && !text.contains("<b>"), "{text}");
    }
}

#[tokio::test]
async fn portabillings_portals_read_a_fault() {
    let config = EnvoyConfig::file("two-realms.yaml")
        .edit_plugin(|plugin| plugin["sites"][0]["error_format"] = json!("portabilling"));
    let Some(world) = world_with(config).await else { return };
    let token = world.customers.token();
    let request = |path: &str| Raw::post(path).host(SELFCARE).header("accept", "text/html");
    let missing = token.clone().without("resource_access").sign();
    let auth_failed = "Server.Session.check_auth.auth_failed";
    for (request, status, reason, code, challenge) in [
        (request(INVOICES), 500, "no_credential", auth_failed, Some("Bearer realm=\"customers\"")),
        (
            request(INVOICES).bearer("x"),
            500,
            "token_malformed",
            auth_failed,
            Some("Bearer realm=\"customers\", error=\"invalid_token\""),
        ),
        (
            request(INVOICES).bearer(&token.clone().expired(60).sign()),
            500,
            "token_expired",
            auth_failed,
            Some("Bearer realm=\"customers\", error=\"invalid_token\""),
        ),
        (
            request("/rest/Sim/x").bearer(&token.clone().sign()),
            500,
            "step_up",
            auth_failed,
            Some(
                "Bearer realm=\"customers\", error=\"insufficient_user_authentication\", acr_values=\"gold 2\", max_age=\"900\"",
            ),
        ),
        (
            request(INVOICES).bearer(&missing),
            403,
            "missing_role",
            "Portcullis.missing_role",
            Some("Bearer realm=\"customers\", error=\"insufficient_scope\""),
        ),
        (request("/nowhere"), 403, "no_rule", "Portcullis.no_rule", None),
        (
            request("/a%252f"),
            400,
            "ambiguous_path",
            "Portcullis.ambiguous_path",
            Some("Bearer realm=\"customers\", error=\"invalid_request\""),
        ),
    ] {
        let outcome = world.ask(reason, &request).await;
        let response = outcome.is(Refused(status, reason)).response();
        assert_headers(response, "application/json");
        assert_eq!(response.header("www-authenticate").as_deref(), challenge, "{reason}");
        let fault = response.json();
        assert_eq!(fault["faultcode"], json!(code), "{reason}");
        assert!(fault["faultstring"].as_str().is_some_and(|text| !text.is_empty()), "{fault}");
        assert_eq!(fault.as_object().map(serde_json::Map::len), Some(2), "{fault}");
    }
    problems_elsewhere(&world).await;
}

/// The format is the site's: the other site, and hosts of no site, go on with problems.
async fn problems_elsewhere(world: &World) {
    for (host, status, reason) in [(ADMIN, 401, "no_credential"), ("evil.example", 421, "unknown_host")] {
        let outcome = world.ask(host, &H2Request::new("GET", host, "/")).await;
        assert_headers(outcome.is(Refused(status, reason)).response(), "application/problem+json");
    }
}
