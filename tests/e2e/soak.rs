//! Many requests of every kind, and memory that does not grow. Matrix row 99 in a form that fits into every run; its connections are all on
//! the loopback.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::client::{Connection, Raw};
use portcullis_tests::token::{flip_bit, part, replace_part};
use serde_json::{Value, json};

use crate::realms::{IN_THE_END, Realms, arrange, host, request};

const REQUESTS: u64 = 150_000;
const CONNECTIONS: usize = 16;
/// What may come on top between the middle and the end, in bytes. One kilobyte lost in a request would be seventy megabytes.
const GROWTH: u64 = 8 << 20;

/// What Envoy holds: resident pages of the process, and what its allocator has handed out.
async fn memory(realms: &Realms) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{}/status", realms.envoy.pid())).expect("Envoy lives");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells");
    let resident: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    (resident * 1024, realms.envoy.stat("server.memory_allocated").await.expect("Envoy counts"))
}

/// The requests by turns, with the status that each should have.
fn mixture(realms: &Realms) -> Vec<(Raw, u16)> {
    let good: Vec<String> = (0..50).map(|_| realms.token("a")).collect();
    let expired = realms.issuer("a").token().expired(600).sign();
    let foreign = realms.issuer("a").token().claim("iss", "https://evil.example/realms/a").sign();
    let poor = realms.issuer("a").token().without("realm_access").sign();
    let mut mixture = Vec::new();
    for token in &good {
        mixture.extend([
            (request("a", token), 200),
            (Raw::get("/assets/logo.svg").host(host("a")).header("x-porta-user", "root"), 200),
            (Raw::get("/rest/x").host(host("a")), 401),
            (request("a", token).header("x-porta-user", "root").header("x-junk", b"\xff\xfe"), 200),
            (request("a", &flip_bit(token, 2, 100)), 401),
            (request("a", &expired), 401),
            (request("a", &foreign), 401),
            (request("a", &poor), 403),
            (request("a", token).header("authorization", "Bearer x.y.z"), 400),
            (request("a", "no.token"), 401),
            (Raw::get("/rest/x").host("evil.example").bearer(token), 421),
            (Raw::post("/rest/x").host(host("a")).bearer(token).body([b'x'; 2000]), 200),
        ]);
    }
    mixture
}

/// A token with a key id that nobody has seen.
fn unknown(token: &str) -> String {
    let mut header: Value = serde_json::from_slice(&part(token, 0)).expect("the header is JSON");
    header["kid"] = format!("{:032x}", rand::random::<u128>()).into();
    replace_part(token, 0, &URL_SAFE_NO_PAD.encode(header.to_string()))
}

fn turn(mixture: &[(Raw, u16)], at: u64) -> &(Raw, u16) {
    &mixture[usize::try_from(at).unwrap_or_default() % mixture.len()]
}

/// One request in eleven has an unknown key id; eleven, so that every kind meets all others.
fn is_unknown(at: u64) -> bool {
    at.is_multiple_of(11)
}

fn expected(mixture: &[(Raw, u16)], at: u64) -> u16 {
    if is_unknown(at) { 401 } else { turn(mixture, at).1 }
}

/// Sends so many requests, and tells how many were not answered as they should be.
async fn send(realms: &Realms, mixture: &Arc<Vec<(Raw, u16)>>, requests: u64) -> u64 {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (next, mixture) = (Arc::clone(&next), Arc::clone(mixture));
        let (mut connection, token) = (Connection::to(realms.envoy.addr()), realms.token("a"));
        connection = connection.patience(IN_THE_END);
        tasks.spawn(async move {
            let mut wrong = 0;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= requests {
                    return wrong;
                }
                let unknown = is_unknown(at).then(|| request("a", &unknown(&token)));
                let answer = connection.send(unknown.as_ref().unwrap_or(&turn(&mixture, at).0)).await;
                wrong += u64::from(answer.map_or(0, |answer| answer.status) != expected(&mixture, at));
            }
        });
    }
    tasks.join_all().await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_does_not_grow_with_requests() {
    let keys = json!({"refresh_interval": "2s", "refetch_cooldown": "2s"});
    let Some(arrangement) = arrange(["a"], keys).await else { return };
    let mut realms = arrangement.configure(|config| config.concurrency(2).log_level("error")).start().await;
    realms.passes("a", &realms.token("a")).await;
    let mixture = Arc::new(mixture(&realms));
    assert_eq!(send(&realms, &mixture, REQUESTS / 2).await, 0, "{}", realms.envoy.log());
    let middle = memory(&realms).await;
    assert_eq!(send(&realms, &mixture, REQUESTS / 2).await, 0, "{}", realms.envoy.log());
    let end = memory(&realms).await;
    eprintln!("resident, allocated: {middle:?} in the middle, {end:?} at the end");
    assert!(end.0 <= middle.0 + GROWTH, "resident: {middle:?} became {end:?}");
    assert!(end.1 <= middle.1 + GROWTH, "allocated: {middle:?} became {end:?}");
    let forwarded = (0..REQUESTS / 2).filter(|at| expected(&mixture, *at) == 200).count() as u64 * 2;
    assert_eq!(realms.upstream.requests(), 1 + forwarded, "and nothing that was refused");
    assert!(realms.issuer("a").jwks_hits() > 2, "keys were renewed meanwhile");
    realms.assert_sound();
}
