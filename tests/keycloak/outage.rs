//! One Keycloak dies and comes back, under load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use portcullis_tests::client::{Connection, Raw};
use portcullis_tests::token::{part, replace_part};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::edge::{ACCOUNT, ADMIN, Edge, SELFCARE, until};
use crate::servers::{Servers, an_administrator, selfcare, servers_alone};

async fn edge(servers: &Servers) -> Edge {
    Edge::with(servers, |config| {
        config.concurrency(2).edit_plugin(|plugin| {
            for realm in ["customers", "admins"] {
                plugin["realms"][realm]["keys"]["refresh_interval"] = json!("2s");
                plugin["realms"][realm]["keys"]["refetch_cooldown"] = json!("1s");
            }
        })
    })
    .await
}

/// Requests without a pause, each of which has one right answer.
struct Load {
    stop: Arc<AtomicBool>,
    rounds: Arc<AtomicU64>,
    tasks: JoinSet<Vec<String>>,
}

impl Load {
    fn of(edge: &Edge, requests: &[(Raw, u16)]) -> Self {
        let (stop, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..2 {
            let (stop, rounds, requests) = (Arc::clone(&stop), Arc::clone(&rounds), requests.to_vec());
            let mut connection = Connection::to(edge.envoy.addr());
            tasks.spawn(async move {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::SeqCst) {
                    for (request, expected) in &requests {
                        match connection.send(request).await {
                            Ok(answer) if answer.status == *expected => {}
                            other => wrong.push(format!("not {expected}: {other:?}")),
                        }
                    }
                    rounds.fetch_add(1, Ordering::SeqCst);
                    // The servers need the processor too.
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                wrong
            });
        }
        Self { stop, rounds, tasks }
    }

    async fn goes_on(&self) {
        let target = self.rounds.load(Ordering::SeqCst) + 50;
        until("the load goes on", async || self.rounds.load(Ordering::SeqCst) >= target).await;
    }

    async fn end(self, edge: &Edge) {
        self.stop.store(true, Ordering::SeqCst);
        let wrong: Vec<String> = self.tasks.join_all().await.into_iter().flatten().collect();
        assert!(
            wrong.is_empty(),
            "{} wrong answers: {:#?}\n{}",
            wrong.len(),
            wrong.first(),
            edge.envoy.log()
        );
    }
}

/// The token with another key id: whether there is such a key, only Keycloak knows.
fn with_unknown_key(token: &str) -> String {
    let mut header: Value = serde_json::from_slice(&part(token, 0)).expect("the header is JSON");
    header["kid"] = json!("nobody-has-this-key");
    replace_part(token, 0, &portcullis_tests::key::encode(header.to_string().as_bytes()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keycloak_that_dies_and_comes_back_changes_no_answer() {
    let Some(servers) = servers_alone().await else { return };
    let warm = edge(&servers).await;
    let customer = selfcare("alice").from_a_new_browser(&servers.customers).await.access;
    let admin = an_administrator(&servers, "omar").await.access;
    for (host, path, token) in [(SELFCARE, ACCOUNT, &customer), (ADMIN, "/", &admin)] {
        warm.comes_to((host, path), token, 503, 200).await;
    }
    let get = |host: &str, path: &str| Raw::get(path).host(host);
    let load = Load::of(
        &warm,
        &[
            (get(SELFCARE, ACCOUNT).bearer(&customer), 200),
            (get(SELFCARE, ACCOUNT), 401),
            (get(SELFCARE, ACCOUNT).bearer(&admin), 401),
            (get(ADMIN, "/").bearer(&admin), 200),
            (get(ADMIN, "/").bearer(&customer), 401),
        ],
    );
    load.goes_on().await;
    let fetched = warm.metric("admins.keys_fetch.success").await;
    servers.customers.kill();
    warm.metric_reaches("customers.keys_fetch.unreachable", 1).await;
    load.goes_on().await;

    // Who has no keys, or a key that may be new, cannot tell: that is 503, and never 401.
    let cold = edge(&servers).await;
    cold.comes_to((ADMIN, "/"), &admin, 503, 200).await;
    let outcome = cold.ask(SELFCARE, ACCOUNT, &customer).await;
    outcome.refused(503, "customers", "keys_unavailable");
    assert!(outcome.response.header("retry-after").is_some());

    warm.metric_reaches("admins.keys_fetch.success", fetched + 1).await;
    servers.customers.restart().await.unwrap_or_else(|e| panic!("{e}"));
    let before = warm.metric("customers.keys_fetch.success").await;
    warm.metric_reaches("customers.keys_fetch.success", before + 1).await;
    cold.comes_to((SELFCARE, ACCOUNT), &customer, 503, 200).await;
    load.goes_on().await;
    load.end(&warm).await;
    assert_eq!(warm.metric("admins.keys_fetch.unreachable").await, 0, "the other realm is undisturbed");
    let again = selfcare("alice").from_a_new_browser(&servers.customers).await.access;
    warm.ask(SELFCARE, ACCOUNT, &again).await.forwarded("customers");
    let unknown = with_unknown_key(&again);
    warm.comes_to((SELFCARE, ACCOUNT), &unknown, 503, 401).await.refused(
        401,
        "customers",
        "token_unknown_kid",
    );
}
