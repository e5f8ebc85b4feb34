//! Requests that wait for keys: all of them end, each with one answer at most, and none slips through.

use futures_util::future::join_all;
use portcullis_tests::Endpoint::{Discovery, Jwks};
use portcullis_tests::client::{Connection, H2Request, Raw, RawResponse};
use portcullis_tests::token::flip_bit;
use portcullis_tests::{EnvoyConfig, Fault};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;

use crate::realms::{Arrangement, Realms, arrange, host, request, until};

/// Realms whose keys do not come before the test says so.
async fn held(realms: &[&str], limits: Value) -> Option<Arrangement> {
    let arrangement = arrange(realms, json!({"fetch_timeout": "60s"})).await?;
    arrangement.issuers["a"].fault(Discovery, Fault::Hold);
    let edit = |config: EnvoyConfig| config.edit_plugin(|plugin| plugin["limits"] = limits);
    Some(arrangement.configure(edit))
}

/// Sends a request that will wait; its connection comes back with the answer.
fn park(realms: &Realms, request: &Raw) -> JoinHandle<(Connection, std::io::Result<RawResponse>)> {
    let (mut connection, request) = (realms.connection(), request.clone());
    tokio::spawn(async move {
        let response = connection.send(&request).await;
        (connection, response)
    })
}

/// The answer of a parked request. The next answer on its connection belongs to the next request: there was no second one.
async fn only_answer(parked: JoinHandle<(Connection, std::io::Result<RawResponse>)>) -> RawResponse {
    let (mut connection, response) = parked.await.expect("the task ends");
    let next = connection.send(&Raw::get("/assets/next").host(host("a"))).await.expect("an answer");
    assert_eq!((next.status, next.json()["path"].as_str()), (200, Some("/assets/next")));
    response.expect("an answer")
}

/// Matrix row 83: a thousand requests before the first key, four workers, one fetch.
#[tokio::test]
async fn a_thousand_first_requests_cost_one_fetch() {
    const REQUESTS: usize = 1_000;
    let Some(arrangement) = held(&["a"], json!({"wait_timeout": "60s"})).await else { return };
    let mut realms = arrangement.configure(|config| config.concurrency(4)).start().await;
    let request = request("a", &realms.token("a"));
    let parked: Vec<_> = (0..REQUESTS).map(|_| park(&realms, &request)).collect();
    realms.active(REQUESTS as u64).await;
    assert_eq!(realms.upstream.requests(), 0);
    realms.issuer("a").fault(Jwks, Fault::Delay(std::time::Duration::from_millis(300)));
    realms.issuer("a").fault(Discovery, Fault::Delay(std::time::Duration::from_millis(300)));
    let answers = join_all(parked).await.into_iter();
    let answers = answers.map(|task| task.expect("the task ends").1.map_or(0, |answer| answer.status));
    let wrong: Vec<u16> = answers.filter(|status| *status != 200).collect();
    assert!(wrong.is_empty(), "{wrong:?}\n{}", realms.envoy.log());
    assert_eq!(realms.upstream.requests(), REQUESTS as u64);
    let issuer = realms.issuer("a");
    assert_eq!((issuer.discovery_hits(), issuer.jwks_hits()), (1, 1));
    realms.assert_sound();
}

/// Rows 84 and 89: too many are refused at once, a client that leaves is forgotten, and the rest is served.
#[tokio::test]
async fn parked_requests_overflow_and_abort() {
    let limits = json!({"wait_timeout": "60s", "waiting_requests": 6});
    let Some(arrangement) = held(&["a", "b"], limits).await else { return };
    let mut realms = arrangement.start().await;
    let token = realms.token("a");
    let good = request("a", &token);

    let staying = [park(&realms, &good), park(&realms, &good)];
    let mut leaving = [realms.connection(), realms.connection()];
    for connection in &mut leaving {
        connection.send_only(&good).await.expect("the request can be sent");
    }
    let h2 = H2Request::new("POST", &host("a"), "/rest/x").bearer(&token);
    let streams = [h2.begin(realms.envoy.addr()).await, h2.begin(realms.envoy.addr()).await];
    realms.active(6).await;
    realms.metric_comes_to("a.requests_waiting", |waiting| waiting == 6).await;

    let refused = realms.connection().send(&good).await.expect("an answer");
    realms.assert_refusal("a", &refused, 503);
    let refused = only_answer(park(&realms, &good)).await;
    realms.assert_refusal("a", &refused, 503);
    let refused = h2.send(realms.envoy.addr()).await.expect("an answer");
    realms.assert_refusal("a", &refused, 503);
    assert_eq!(realms.metric("a.denied.too_many_waiting").await, 3);
    assert_eq!(realms.upstream.requests(), 1, "what came behind on the connection, and no refused request");
    // Another realm has a queue of its own, and an open path none.
    realms.passes("b", &realms.token("b")).await;
    let open = realms.connection().send(&Raw::get("/assets/x").host(host("a"))).await.expect("an answer");
    assert_eq!((open.status, realms.upstream.requests()), (200, 3));

    drop(leaving);
    for stream in streams {
        stream.expect("the stream is open").reset().await;
    }
    realms.active(2).await;
    realms.metric_comes_to("a.requests_waiting", |waiting| waiting == 2).await;
    // There is room again.
    let another = park(&realms, &good);
    realms.active(3).await;
    assert_eq!(realms.upstream.requests(), 3);

    realms.issuer("a").clear_faults();
    for parked in staying.into_iter().chain([another]) {
        assert_eq!(only_answer(parked).await.status, 200, "{}", realms.envoy.log());
    }
    realms.metric_comes_to("a.requests_waiting", |waiting| waiting == 0).await;
    assert_eq!(realms.upstream.requests(), 3 + 2 * 3, "three that waited and three behind them");
    realms.passes("a", &token).await;
    realms.assert_sound();
}

/// Nobody is left when the answer comes: it must find no stream to act on.
#[tokio::test]
async fn an_answer_that_comes_too_late_changes_nothing() {
    let Some(arrangement) = held(&["a"], json!({"wait_timeout": "60s"})).await else { return };
    let mut realms = arrangement.configure(|config| config.concurrency(2)).start().await;
    let token = realms.token("a");
    let mut leaving: Vec<_> = (0..20).map(|_| realms.connection()).collect();
    for connection in &mut leaving {
        connection.send_only(&request("a", &token)).await.expect("the request can be sent");
    }
    let h2 = H2Request::new("GET", &host("a"), "/rest/x").bearer(&token);
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(h2.begin(realms.envoy.addr()).await.expect("the stream opens"));
    }
    realms.active(40).await;
    drop(leaving);
    join_all(streams.into_iter().map(portcullis_tests::client::H2Pending::reset)).await;
    realms.active(0).await;
    realms.issuer("a").clear_faults();
    realms.metric_comes_to("a.keys_fetch.success", |count| count == 1).await;
    assert_eq!(realms.upstream.requests(), 0);
    realms.passes("a", &token).await;
    realms.assert_sound();
}

/// Who has waited for as long as he may is told so, once, and what comes later does not matter to him.
#[tokio::test]
async fn parked_requests_time_out() {
    let Some(arrangement) = held(&["a"], json!({"wait_timeout": "1s"})).await else { return };
    let mut realms = arrangement.configure(|config| config.concurrency(2)).start().await;
    let token = realms.token("a");
    let parked: Vec<_> = (0..10).map(|_| park(&realms, &request("a", &token))).collect();
    let h2 = H2Request::new("GET", &host("a"), "/rest/x").bearer(&token);
    let late = h2.send(realms.envoy.addr()).await.expect("an answer");
    realms.assert_refusal("a", &late, 503);
    for parked in parked {
        realms.assert_refusal("a", &only_answer(parked).await, 503);
    }
    assert_eq!(realms.metric("a.denied.waited_too_long").await, 11);
    assert_eq!(realms.upstream.requests(), 10, "what came behind, and nothing that had waited");
    realms.issuer("a").clear_faults();
    realms.comes_to("a", &token, 503, 200).await;
    assert_eq!(realms.upstream.requests(), 11);
    realms.assert_sound();
}

/// Row 69: a body that comes meanwhile is held back and arrives whole: by flow control, and with the setting that a login needs, in Envoy.
#[tokio::test]
async fn a_large_body_waits_with_its_head() {
    for stop_iteration in [false, true] {
        let Some(arrangement) = held(&["a"], json!({"wait_timeout": "60s"})).await else { return };
        holds_a_large_body(arrangement.configure(|config| holding(config, stop_iteration))).await;
    }
}

/// With `allow_on_headers_stop_iteration` or without.
fn holding(config: EnvoyConfig, stop_iteration: bool) -> EnvoyConfig {
    config.edit_manager(|manager| {
        let filter = &mut manager["http_filters"][0]["typed_config"];
        filter["config"]["allow_on_headers_stop_iteration"] = stop_iteration.into();
        for route in manager["route_config"]["virtual_hosts"][0]["routes"].as_array_mut().expect("routes") {
            route["request_body_buffer_limit"] = 16_777_216.into();
        }
    })
}

async fn holds_a_large_body(arrangement: Arrangement) {
    let mut realms = arrangement.start().await;
    let body: Vec<u8> = (0..10_000_000_u32).map(|at| at.to_le_bytes()[at as usize % 3]).collect();
    let token = realms.token("a");
    let good = Raw::post("/rest/x").host(host("a")).bearer(&token).body(&body);
    let bad = Raw::post("/rest/x").host(host("a")).bearer(&flip_bit(&token, 2, 100)).body(&body);
    let (good, bad) = (park(&realms, &good), park(&realms, &bad));
    realms.active(2).await;
    assert_eq!(realms.upstream.requests(), 0);
    realms.issuer("a").clear_faults();
    let (_, good) = good.await.expect("the task ends");
    let good = good.expect("an answer");
    assert_eq!(good.status, 200, "{}", good.text());
    assert_eq!(good.json()["body_sha256"], format!("{:x}", Sha256::digest(&body)));
    let (_, bad) = bad.await.expect("the task ends");
    // Envoy may close the connection on a client that is still sending.
    assert!(bad.as_ref().map_or(true, |answer| answer.status == 401), "{bad:?}");
    until("the refusal is counted", async || realms.metric("a.denied.token_signature").await == 1).await;
    assert_eq!(realms.upstream.requests(), 1);
    realms.assert_sound();
}
