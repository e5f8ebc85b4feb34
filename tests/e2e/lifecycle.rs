//! The filter goes on while Envoy changes around it: a new configuration, a new Envoy.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use portcullis_tests::Endpoint::{Discovery, Jwks};
use portcullis_tests::client::{Connection, Raw};
use portcullis_tests::{EnvoyConfig, Fault};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::realms::{IN_THE_END, Realms, arrange, host, request, until};

/// Good and bad requests without a pause, on connections that last and on fresh ones.
struct Load {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicU64>,
    tasks: JoinSet<Vec<String>>,
}

impl Load {
    fn on(realms: &Realms) -> Self {
        let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (addr, token) = (realms.envoy.addr(), realms.token("a"));
        let mut tasks = JoinSet::new();
        for client in 0..6 {
            let (stop, good, token) = (Arc::clone(&stop), Arc::clone(&good), token.clone());
            tasks.spawn(async move {
                let mut connection = Connection::to(addr).patience(IN_THE_END);
                let mut wrong = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    let (request, expected) = match client {
                        0 => (Raw::get("/rest/x").host(host("a")), 401),
                        _ => (request("a", &token), 200),
                    };
                    // A connection that is closed between two requests is nobody's fault; one that is new is never closed.
                    if client % 2 == 1 {
                        connection = Connection::to(addr).patience(IN_THE_END);
                    }
                    let mut answer = connection.send(&request).await;
                    if answer.is_err() && client % 2 == 0 {
                        connection = Connection::to(addr).patience(IN_THE_END);
                        answer = connection.send(&request).await;
                    }
                    match answer {
                        Ok(answer) if answer.status == expected => {
                            good.fetch_add(u64::from(expected == 200), Ordering::SeqCst);
                        }
                        other => wrong.push(format!("client {client}: {other:?}")),
                    }
                }
                wrong
            });
        }
        Self { stop, good, tasks }
    }

    /// Waits until that many more good requests have passed.
    async fn go_on(&self, requests: u64) {
        let target = self.good.load(Ordering::SeqCst) + requests;
        until("the load goes on", async || self.good.load(Ordering::SeqCst) >= target).await;
    }

    /// Stops, and tells how many good requests passed. Nothing else may have happened.
    async fn end(self, log: impl Fn() -> String) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        let wrong: Vec<String> = self.tasks.join_all().await.into_iter().flatten().collect();
        assert!(wrong.is_empty(), "{wrong:#?}\n{}", log());
        self.good.load(Ordering::SeqCst)
    }
}

/// A change of the configuration that makes a new plugin of it.
fn another_version(version: u64) -> impl FnOnce(&mut Value) {
    move |plugin| plugin["limits"] = json!({"wait_timeout": "60s", "max_token_bytes": 16_000 + version})
}

/// Matrix row 96: a new configuration under load costs nobody a request, and Keycloak no call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_costs_no_request_and_no_fetch() {
    let Some(arrangement) = arrange(["a"], json!({})).await else { return };
    let arrangement = arrangement.configure(|config| config.concurrency(2).dynamic());
    let config = arrangement.config.clone();
    let mut realms = arrangement.start().await;
    realms.passes("a", &realms.token("a")).await;

    let load = Load::on(&realms);
    load.go_on(50).await;
    for version in 1..=5 {
        let next = config.clone().edit_plugin(another_version(version));
        realms.envoy.update_listener(&next).await.unwrap_or_else(|e| panic!("{e}"));
        load.go_on(50).await;
    }
    realms.assert_sound();
    // One that is refused changes nothing.
    let bad = config.clone().edit_plugin(|plugin| plugin["sites"] = json!([]));
    let refused = realms.envoy.update_listener(&bad).await.expect_err("a site is needed");
    assert!(refused.log.contains("configuration refused"), "{refused}");
    load.go_on(50).await;
    let passed = load.end(|| realms.envoy.log()).await;
    assert_eq!(realms.upstream.requests(), 1 + passed);
    let issuer = realms.issuer("a");
    assert_eq!((issuer.discovery_hits(), issuer.jwks_hits()), (1, 1), "the keys came through shared data");
    assert!(realms.envoy.is_running());
}

/// Row 96: what is in flight ends under the configuration that it began with, parked or forwarded.
#[tokio::test]
async fn requests_in_flight_outlive_a_new_configuration() {
    let Some(arrangement) = arrange(["a", "b"], json!({"fetch_timeout": "60s"})).await else { return };
    arrangement.issuers["a"].fault(Discovery, Fault::Hold);
    let arrangement = arrangement.configure(|config| config.dynamic().edit_plugin(another_version(0)));
    let config = arrangement.config.clone();
    let mut realms = arrangement.start().await;
    realms.passes("b", &realms.token("b")).await;
    let in_flight = |realm: &'static str| {
        let (mut connection, request) = (realms.connection(), request(realm, &realms.token(realm)));
        tokio::spawn(async move { connection.send(&request).await })
    };
    let parked = in_flight("a");
    realms.active(1).await;
    realms.upstream.delay(Duration::from_secs(3));
    let slow = in_flight("b");
    until("it is at the upstream", async || realms.upstream.requests() == 2).await;

    // The new one refuses what the old one lets pass.
    let closed = |config: EnvoyConfig| {
        config.edit_plugin(|plugin| {
            for site in plugin["sites"].as_array_mut().into_iter().flatten() {
                site["rules"][1]["require"] = json!({"realm_roles": {"any": ["nobody-has-this"]}});
            }
        })
    };
    realms.envoy.update_listener(&closed(config)).await.unwrap_or_else(|e| panic!("{e}"));
    let slow = slow.await.expect("the task ends").expect("an answer");
    assert_eq!(slow.status, 200);
    realms.upstream.delay(Duration::ZERO);
    realms.refused("b", &realms.token("b"), 403).await;
    realms.issuer("a").clear_faults();
    let parked = parked.await.expect("the task ends").expect("an answer");
    assert_eq!((parked.status, realms.upstream.requests()), (200, 3), "{}", realms.envoy.log());
    realms.comes_to("a", &realms.token("a"), 503, 403).await;
    assert_eq!(realms.issuer("a").jwks_hits(), 1);
    realms.assert_sound();
}

/// Another source of keys is another record: nothing of the old one is believed.
#[tokio::test]
async fn another_source_of_keys_is_asked_anew() {
    let Some(arrangement) = arrange(["a", "b"], json!({})).await else { return };
    let arrangement = arrangement.configure(EnvoyConfig::dynamic);
    let config = arrangement.config.clone();
    let mut realms = arrangement.start().await;
    let old = realms.token("a");
    realms.passes("a", &old).await;
    let moved = config.edit_plugin(|plugin| {
        plugin["realms"]["a"]["issuer"] = plugin["realms"]["b"]["issuer"].clone();
        plugin["realms"]["a"]["cluster"] = plugin["realms"]["b"]["cluster"].clone();
        plugin["realms"].as_object_mut().expect("realms").remove("b");
        plugin["sites"].as_array_mut().expect("sites").pop();
    });
    realms.envoy.update_listener(&moved).await.unwrap_or_else(|e| panic!("{e}"));
    let before = realms.upstream.requests();
    let new = realms.connection().send(&request("a", &realms.token("b"))).await.expect("an answer");
    assert_eq!((new.status, realms.upstream.requests()), (200, before + 1), "{}", realms.envoy.log());
    realms.refused("a", &old, 401).await;
    realms.assert_sound();
}

/// Row 97: a second Envoy takes the sockets over. Its shared data is its own, so it fetches once for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hot_restart_costs_no_request() {
    let Some(arrangement) = arrange(["a"], json!({})).await else { return };
    let arrangement = arrangement.configure(|config| config.concurrency(2).hot_restart());
    let config = arrangement.config.clone();
    let mut realms = arrangement.start().await;
    realms.passes("a", &realms.token("a")).await;
    let load = Load::on(&realms);
    load.go_on(50).await;
    realms.issuer("a").fault(Jwks, Fault::Delay(Duration::from_millis(300)));
    let addr = realms.envoy.addr();
    realms.envoy = realms.envoy.succeed(&config).await.unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(realms.envoy.addr(), addr, "the same socket");
    load.go_on(200).await;
    let passed = load.end(|| realms.envoy.log()).await;
    assert_eq!(realms.upstream.requests(), 1 + passed);
    let issuer = realms.issuer("a");
    assert_eq!((issuer.discovery_hits(), issuer.jwks_hits()), (2, 2), "once for each Envoy");
    realms.passes("a", &realms.token("a")).await;
    realms.assert_sound();
}
