//! Without the filter: what is tested here is the launcher. Needs an Envoy.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::json;

use super::{EnvoyConfig, find_envoy};
use crate::browser::{Browser, Visit};
use crate::client::{Raw, websocket};
use crate::upstream::Upstream;

/// Says loudly what is skipped on a laptop without Envoy; in CI that is a failure.
fn have_envoy() -> bool {
    let found = find_envoy();
    if let Err(problem) = &found {
        assert!(std::env::var_os("CI").is_none(), "{problem}");
        eprintln!("SKIPPED: {problem}");
    }
    found.is_ok()
}

async fn plain() -> (Upstream, EnvoyConfig) {
    let upstream = Upstream::start().await;
    let config = EnvoyConfig::file("two-realms.yaml").without_wasm().cluster("upstream", upstream.addr());
    (upstream, config)
}

#[test]
fn the_configurations_hold_the_plugin_configuration_of_the_contract() {
    let plugin = EnvoyConfig::file("two-realms.yaml").plugin_value();
    assert_eq!(plugin["realms"]["admins"]["audiences"], json!(["portaswitch-admin"]));
    let plugin = EnvoyConfig::file("minimal.yaml").edit_plugin(|p| p["sites"] = json!([])).plugin_value();
    assert_eq!(plugin["sites"], json!([]));
}

#[tokio::test]
async fn starts_serves_and_leaves_nothing_behind() {
    if !have_envoy() {
        return;
    }
    let (upstream, config) = plain().await;
    let (one, other) = tokio::join!(config.start(), config.start());
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_ne!(one.port(), other.port());
    let response = Raw::get("/rest/x").host("selfcare.csp.com").send(one.addr()).await.unwrap();
    assert_eq!((response.status, upstream.requests()), (200, 1));
    assert_eq!(one.stat("http.ingress.downstream_rq_2xx").await, Some(1));
    assert_eq!(one.stat("http.ingress.no_such_thing").await, None);
    let pid = one.pid();
    assert!(one.stop().await.contains("starting main dispatch loop"));
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    let (pid, directory) = (other.pid(), other.directory.path().to_owned());
    drop(other);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists() && !directory.exists());
}

#[tokio::test]
async fn speaks_tls_to_a_browser_in_both_versions_of_http() {
    const URL: &str = "https://selfcare.csp.com/rest/x";
    if !have_envoy() {
        return;
    }
    let (upstream, config) = plain().await;
    let envoy = config.tls(&["selfcare.csp.com"]).start().await.unwrap();
    let browser = Browser::new().tls_route(URL, envoy.addr());
    for (mut browser, version) in [(browser.clone(), "http2"), (browser.http1(), "http1")] {
        assert_eq!(browser.go(&Visit::navigation(URL)).await.status, 200, "{version}");
        let seen = upstream.last().unwrap();
        assert_eq!(seen.authority.as_deref(), Some("selfcare.csp.com"));
        assert_eq!(seen.header("x-forwarded-proto").as_deref(), Some("https"));
        let stat = format!("http.ingress.downstream_cx_{version}_total");
        assert_eq!(envoy.stat(&stat).await, Some(1), "{version}");
    }
    let browser = Browser::new().tls_route(URL, envoy.addr());
    assert_eq!(browser.websocket(&Visit::websocket("https://selfcare.csp.com/ws")).await, 101);
    let raw = Raw::get("/").host("selfcare.csp.com");
    assert_eq!(raw.send_tls(envoy.addr(), "selfcare.csp.com").await.unwrap().status, 200);
    assert!(
        raw.send_tls(envoy.addr(), "admin.csp.com").await.is_err(),
        "the certificate is for another host"
    );
    assert!(raw.send(envoy.addr()).await.is_err(), "nothing but TLS");
}

#[tokio::test]
async fn both_configurations_are_what_envoy_expects() {
    if !have_envoy() {
        return;
    }
    for file in ["minimal.yaml", "two-realms.yaml"] {
        let config = EnvoyConfig::file(file).without_wasm();
        // Names that nobody resolves here: Envoy starts none the less.
        let envoy = config.start().await.unwrap_or_else(|e| panic!("{file}: {e}"));
        let log = envoy.log();
        for complaint in ["deprecated", "[warning]", "[error]"] {
            assert!(!log.contains(complaint), "{file} makes Envoy complain ({complaint}):\n{log}");
        }
    }
}

#[tokio::test]
async fn a_bad_configuration_is_an_error_with_the_log() {
    if !have_envoy() {
        return;
    }
    let (_upstream, config) = plain().await;
    let bad = config.edit_manager(|manager| manager["no_such_field"] = json!(1));
    let error = bad.start().await.err().expect("Envoy refuses an unknown field");
    assert!(error.log.contains("no_such_field"), "{error}");
    let error = bad.dynamic().start().await.err().expect("Envoy refuses an unknown field");
    assert!(error.log.contains("no_such_field"), "{error}");
}

#[tokio::test]
async fn a_listener_is_replaced_or_kept() {
    if !have_envoy() {
        return;
    }
    let (_upstream, config) = plain().await;
    let answer = |status: u16| {
        move |manager: &mut serde_json::Value| {
            manager["route_config"]["virtual_hosts"][0]["routes"] =
                json!([{"match": {"prefix": "/"}, "direct_response": {"status": status}}]);
        }
    };
    let mut envoy = config.clone().dynamic().start().await.unwrap();
    let status = async |envoy: &super::Envoy| {
        Raw::get("/").host("selfcare.csp.com").send(envoy.addr()).await.unwrap().status
    };
    assert_eq!(status(&envoy).await, 200);

    envoy.update_listener(&config.clone().edit_manager(answer(418))).await.unwrap();
    assert_eq!(status(&envoy).await, 418);

    let bad = config.clone().edit_manager(|manager| manager["no_such_field"] = json!(1));
    let error = envoy.update_listener(&bad).await.expect_err("Envoy refuses an unknown field");
    assert!(error.log.contains("no_such_field"), "{error}");
    assert_eq!(status(&envoy).await, 418, "the old listener goes on serving");

    envoy.update_listener(&config.edit_manager(answer(410))).await.unwrap();
    assert_eq!(status(&envoy).await, 410);
}

#[tokio::test]
async fn a_websocket_outlives_the_timeouts_where_its_route_says_so() {
    if !have_envoy() {
        return;
    }
    let (_upstream, config) = plain().await;
    let config = config.edit_manager(|manager| {
        manager["request_timeout"] = json!("0.5s");
        manager["stream_idle_timeout"] = json!("0.5s");
    });
    let envoy = config.start().await.unwrap();
    for (path, lives) in [("/ws/events", true), ("/elsewhere", false)] {
        let mut socket = websocket(envoy.addr(), "selfcare.csp.com", path, &[]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let sent = socket.send("still there?".into()).await;
        let echoed = matches!(socket.next().await, Some(Ok(message)) if message.is_text());
        assert_eq!(sent.is_ok() && echoed, lives, "{path}");
    }
}
