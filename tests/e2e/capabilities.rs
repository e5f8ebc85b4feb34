//! The shipped configurations say what the module may call and what it is called for. The whole suite runs under that list; here is what it
//! is worth, and what it must never lack.

use std::fs;

use portcullis_tests::{EnvoyConfig, repository};
use serde_json::{Value, json};

use crate::realms::arrange;

/// Where the list is in an HTTP connection manager whose first filter is Portcullis.
fn list(manager: &mut Value) -> &mut Value {
    let vm = &mut manager["http_filters"][0]["typed_config"]["config"]["vm_config"];
    &mut vm["capability_restriction_config"]["allowed_capabilities"]
}

/// Envoy does not call what is not listed, and says nothing: without `proxy_on_request_headers` it forwards every request unseen.
#[test]
fn every_shipped_configuration_lists_the_same_and_every_callback() {
    let mut lists = Vec::new();
    for entry in fs::read_dir(repository().join("envoy")).expect("the configurations are there") {
        let entry = entry.expect("a file");
        // Realms for Keycloak are in a folder of their own.
        if entry.file_type().expect("a kind").is_dir() {
            continue;
        }
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let _ = EnvoyConfig::file(&name).edit_manager(|manager| {
            let list = list(manager).as_object().unwrap_or_else(|| panic!("{name} restricts the module"));
            lists.push((name.clone(), list.keys().cloned().collect::<Vec<_>>()));
        });
    }
    assert!(lists.len() > 1);
    for (name, listed) in &lists {
        assert_eq!(listed, &lists[0].1, "{name} and {}", lists[0].0);
        for callback in [
            "proxy_on_vm_start",
            "proxy_on_configure",
            "proxy_on_tick",
            "proxy_on_http_call_response",
            "proxy_on_context_create",
            "proxy_on_request_body",
            "proxy_on_request_headers",
            "proxy_on_request_trailers",
            "proxy_on_response_body",
            "proxy_on_response_headers",
            "proxy_on_response_trailers",
            "proxy_on_delete",
        ] {
            assert!(listed.iter().any(|name| name == callback), "{name} lacks {callback}");
        }
    }
}

/// The list is enforced, and a call that is not on it ends in a refusal.
#[tokio::test]
async fn what_is_not_listed_is_refused_by_envoy() {
    for missing in ["proxy_http_call", "proxy_get_header_map_pairs"] {
        let Some(arrangement) = arrange(["a"], json!({})).await else { return };
        let edit = |manager: &mut Value| {
            let removed = list(manager).as_object_mut().and_then(|list| list.remove(missing));
            assert!(removed.is_some(), "{missing} is listed");
        };
        let realms = arrangement.configure(|config| config.edit_manager(edit)).start().await;
        // Envoy's own answer or the filter's, according to whether the module panics on it.
        let response = realms.send("a", &realms.token("a")).await;
        assert_eq!((response.status, realms.upstream.requests()), (503, 0), "{missing}");
        let complaint = format!("restricted proxy-wasm capability: {missing}");
        assert!(realms.envoy.log().contains(&complaint), "{missing}: {}", realms.envoy.log());
    }
}
