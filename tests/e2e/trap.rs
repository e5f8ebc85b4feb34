//! A panic ends the filter's VM in one worker: its requests are refused, never forwarded, and it comes back by itself with the keys that
//! the other VMs hold. The module is the filter with a header that makes it panic (`tests/wasm/trap`).

use futures_util::future::join_all;
use portcullis_tests::Endpoint::Jwks;
use portcullis_tests::client::{H2Request, Raw};
use portcullis_tests::{EnvoyConfig, Fault, wasm};
use serde_json::{Value, json};

use crate::realms::{Arrangement, Realms, arrange, host, metric, request, until};

/// One realm, the filter that can be made to panic, and a pause between a panic and the next start.
async fn fragile(pause: &str) -> Option<Arrangement> {
    let arrangement = arrange(["a"], json!({"fetch_timeout": "60s", "refetch_cooldown": "600s"})).await?;
    let module = wasm::build("portcullis-trap");
    let edit = |config: EnvoyConfig| {
        config.build_of_filter(&module).edit_manager(|manager| {
            let config = &mut manager["http_filters"][0]["typed_config"]["config"];
            assert_eq!(config["failure_policy"], "FAIL_RELOAD", "as the shipped configuration has it");
            config["reload_config"]["backoff"]["base_interval"] = pause.into();
        })
    };
    Some(arrangement.configure(edit))
}

/// A good request that makes the filter panic.
fn trap(token: &str, when: &str) -> Raw {
    request("a", token).header("x-test-trap", when)
}

/// A counter of Envoy's about the plugin's VMs, whatever is around its name.
async fn reloads(realms: &Realms, what: &str) -> u64 {
    let stats = realms.envoy.stats_matching("wasm").await;
    stats.iter().filter(|(name, _)| name.ends_with(what)).map(|(_, value)| value).sum()
}

/// Matrix row 90: whenever it panics, the request is refused or was answered before, and the next ones are served after a pause.
#[tokio::test]
async fn a_panic_costs_one_request_and_a_pause() {
    let Some(arrangement) = fragile("0.2s").await else { return };
    let mut realms = arrangement.start().await;
    let token = realms.token("a");
    realms.passes("a", &token).await;
    for (round, when) in ["headers", "after", "headers"].into_iter().enumerate() {
        let before = realms.upstream.requests();
        let response = realms.connection().send(&trap(&token, when)).await.expect("an answer");
        assert_eq!(response.status, 503, "{when}: {}", realms.envoy.log());
        assert_eq!(realms.upstream.requests(), before, "{when}: it did not reach the upstream");
        comes_back(&realms, &token).await;
        until("the reload is counted", async || {
            reloads(&realms, "vm_reload_success").await == round as u64 + 1
        })
        .await;
    }
    // At its end the request has been answered; the panic is the next one's trouble.
    let response = realms.connection().send(&trap(&token, "done")).await.expect("an answer");
    assert_eq!(response.status, 200);
    comes_back(&realms, &token).await;
    assert_eq!(realms.issuer("a").jwks_hits(), 1, "the keys came from the other VMs");
    assert!(realms.envoy.is_running());
}

/// Until the VM is back there is 503; nothing reaches the upstream before.
async fn comes_back(realms: &Realms, token: &str) {
    until("the VM is back", async || {
        let before = realms.upstream.requests();
        let status = realms.send("a", token).await.status;
        // 408 and 504 are Envoy's request_timeout, where a dead VM still holds the lease.
        assert!(matches!(status, 200 | 408 | 503 | 504), "{status}");
        assert_eq!(realms.upstream.requests() - before, u64::from(status == 200));
        status == 200
    })
    .await;
}

/// Rows 90 and 92: during the pause that worker refuses everything, and the others notice nothing.
#[tokio::test]
async fn during_the_pause_one_worker_refuses_and_the_others_serve() {
    let Some(arrangement) = fragile("3600s").await else { return };
    let mut realms = arrangement.configure(|config| config.concurrency(4)).start().await;
    let token = realms.token("a");
    // Each connection stays with one worker; that all of them share one is as good as impossible.
    let mut connections: Vec<_> = (0..24).map(|_| realms.connection()).collect();
    for connection in &mut connections {
        assert_eq!(connection.send(&request("a", &token)).await.expect("an answer").status, 200);
    }
    let mut before = realms.upstream.requests();
    let response = connections[0].send(&trap(&token, "headers")).await.expect("an answer");
    assert_eq!((response.status, realms.upstream.requests()), (503, before));

    let mut refused = 0;
    for _ in 0..3 {
        let mut statuses = Vec::new();
        for connection in &mut connections {
            statuses.push(connection.send(&request("a", &token)).await.expect("an answer").status);
            let reached = realms.upstream.requests() - before;
            assert_eq!(reached, u64::from(statuses.last() == Some(&200)), "{statuses:?}");
            before += reached;
        }
        assert_eq!(statuses[0], 503, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 503)), "{statuses:?}");
        assert!(statuses.contains(&200), "the other workers serve: {statuses:?}");
        refused += statuses.iter().filter(|status| **status == 503).count() as u64;
    }
    let counted = reloads(&realms, "vm_reload_backoff").await;
    assert_eq!(counted, refused, "Envoy counts what it refuses meanwhile");
    assert_eq!(reloads(&realms, "vm_reload_success").await, 0);
    assert!(realms.envoy.is_running());
}

/// Row 91: nobody resumes what was paused in a VM that is gone. Envoy's request_timeout ends it, and the upstream hears nothing.
#[tokio::test]
async fn requests_that_are_paused_in_a_dead_vm_end() {
    const PARKED: usize = 90;
    let Some(arrangement) = fragile("0.2s").await else { return };
    arrangement.issuers["a"].fault(Jwks, Fault::Hold);
    let edit = |manager: &mut Value| manager["request_timeout"] = "20s".into();
    // Whoever holds the lease may be the VM that dies, and its lease lives for twice this long.
    let limits = |plugin: &mut Value| {
        plugin["limits"] = json!({"wait_timeout": "600s"});
        plugin["realms"]["a"]["keys"]["fetch_timeout"] = "15s".into();
    };
    let arrangement =
        arrangement.configure(|config: EnvoyConfig| config.edit_plugin(limits).edit_manager(edit));
    let mut realms = arrangement.start().await;
    let token = realms.token("a");
    let parked = (0..PARKED).map(|_| {
        let (mut connection, request) = (realms.connection(), request("a", &token));
        tokio::spawn(async move { connection.send(&request).await.map(|response| response.status) })
    });
    let parked: Vec<_> = parked.collect();
    let (h2, addr) = (H2Request::new("GET", &host("a"), "/rest/x").bearer(&token), realms.envoy.addr());
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(h2.begin(addr).await.expect("the stream opens"));
    }
    realms.active(PARKED as u64 + 10).await;
    let response = realms.connection().send(&trap(&token, "headers")).await.expect("an answer");
    assert_eq!(response.status, 503);

    for parked in join_all(parked).await {
        let status = parked.expect("the task ends");
        assert!(matches!(status, Err(_) | Ok(408 | 503 | 504)), "{status:?}");
    }
    realms.active(0).await;
    assert_eq!(realms.upstream.requests(), 0);
    drop(streams);
    realms.issuer("a").clear_faults();
    comes_back(&realms, &token).await;
    assert_eq!(realms.upstream.requests(), 1, "none of them comes to life again");
    assert!(realms.envoy.is_running());
}

/// Row 93: a VM that comes back finds the keys although Keycloak is gone.
#[tokio::test]
async fn keys_outlive_a_panic_while_keycloak_is_down() {
    let Some(arrangement) = fragile("0.2s").await else { return };
    let mut realms = arrangement.start().await;
    let token = realms.token("a");
    realms.passes("a", &token).await;
    realms.issuer("a").stop().await;
    for _ in 0..4 {
        let response = realms.connection().send(&trap(&token, "headers")).await.expect("an answer");
        assert_eq!(response.status, 503, "{}", realms.envoy.log());
        comes_back(&realms, &token).await;
    }
    // With one worker only a VM that came back can have served.
    until("the reloads are counted", async || reloads(&realms, "vm_reload_success").await == 4).await;
    assert_eq!(realms.upstream.requests(), 5);
    assert_eq!((realms.issuer("a").discovery_hits(), realms.issuer("a").jwks_hits()), (1, 1));
    assert_eq!(realms.envoy.stat(&metric("a.denied.keys_unavailable")).await, None);
    assert!(realms.envoy.is_running());
}
