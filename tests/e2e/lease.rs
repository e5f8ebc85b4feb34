//! What the workers share may be damaged by whoever has the filter's `vm_id`, and whoever fetches for the others may fail them. Neither is
//! more than a nuisance: shared data is a cache and never the truth.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_core::{Filter, KeyStore, Monotonic};
use portcullis_tests::Endpoint::Jwks;
use portcullis_tests::client::Raw;
use portcullis_tests::{EnvoyConfig, Fault, RotateOptions, wasm};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::realms::{Arrangement, Realms, arrange, host, request, until};

/// Puts the saboteur before the filter, and tells the names of the shared records by realm.
fn sabotaged(arrangement: Arrangement) -> (Arrangement, impl Fn(&str) -> String) {
    let plugin = arrangement.config.plugin_value().to_string();
    let filter = Filter::parse(plugin.as_bytes()).unwrap_or_else(|e| panic!("{e}"));
    let store = KeyStore::new(&filter, 1, Monotonic(0));
    let name = move |realm: &str| {
        let id = filter.realm_names().find(|(_, name)| *name == realm).expect("the realm is there").0;
        store.record_name(id).expect("a realm has a record").to_owned()
    };
    let code = json!({"local": {"filename": wasm::build("portcullis-saboteur")}});
    let vm = json!({"vm_id": "portcullis", "runtime": "envoy.wasm.runtime.v8", "code": code});
    let saboteur = json!({
        "name": "saboteur",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {"name": "saboteur", "root_id": "saboteur", "vm_config": vm},
        },
    });
    (arrangement.configure(|config: EnvoyConfig| config.filter_before(saboteur)), name)
}

/// Has the saboteur do something to a record.
async fn sabotage(realms: &Realms, record: &str, what: &str) {
    let order = format!("{record}={what}");
    let request = Raw::get("/assets/x").host(host("a")).header("x-sabotage", order);
    let response = realms.connection().send(&request).await.expect("an answer");
    assert_eq!(response.status, 200, "{what}: {}", realms.envoy.log());
}

/// The record as it is: its body, where its checksum holds.
async fn read(realms: &Realms, record: &str) -> Option<Value> {
    let order = format!("{record}=read");
    let request = Raw::get("/assets/x").host(host("a")).header("x-sabotage", order);
    let response = realms.connection().send(&request).await.expect("an answer");
    let (digest, body) = response.body.split_at_checked(32)?;
    (digest == &Sha256::digest(body)[..]).then(|| serde_json::from_slice(body).ok()).flatten()
}

fn bytes(bytes: &[u8]) -> String {
    format!("bytes:{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// A record whose checksum holds.
fn record(body: &str) -> String {
    bytes(&[&Sha256::digest(body)[..], body.as_bytes()].concat())
}

/// The worst case of the design: whoever holds the lease hangs in mid-fetch, and the record that says so is gone. Another worker takes
/// over without waiting for either, and Keycloak is asked twice, not once for each worker.
#[tokio::test]
async fn another_worker_takes_over_when_the_holder_hangs_and_the_record_is_damaged() {
    let keys = json!({"fetch_timeout": "60s"});
    let Some(arrangement) = arrange(["a"], keys).await else { return };
    arrangement.issuers["a"].fault(Jwks, Fault::Stall);
    let (arrangement, record) = sabotaged(arrangement);
    let mut realms = arrangement.configure(|config| config.concurrency(4)).start().await;
    until("the holder hangs", async || realms.issuer("a").jwks_hits() == 1).await;
    // The call that hangs goes on hanging.
    realms.issuer("a").clear_faults();

    let token = realms.token("a");
    let parked: Vec<_> = (0..40)
        .map(|_| {
            let (mut connection, request) = (realms.connection(), request("a", &token));
            tokio::spawn(async move { connection.send(&request).await })
        })
        .collect();
    realms.active(40).await;
    assert_eq!((realms.upstream.requests(), realms.issuer("a").jwks_hits()), (0, 1));

    sabotage(&realms, &record("a"), "flip").await;
    for parked in parked {
        let response = parked.await.expect("the task ends").expect("an answer");
        assert_eq!(response.status, 200, "{}\n{}", response.text(), realms.envoy.log());
    }
    for _ in 0..20 {
        realms.passes("a", &token).await;
    }
    assert_eq!(realms.upstream.requests(), 1 + 40 + 20, "and the saboteur's");
    assert_eq!(realms.fetches("a", "success").await, 1);
    assert_eq!(realms.fetches("a", "unreachable").await, 0, "the holder still hangs");
    assert_eq!((realms.issuer("a").discovery_hits(), realms.issuer("a").jwks_hits()), (2, 2));
    realms.assert_sound();
}

/// The same without damage: the holder's call ends by its own deadline, and whoever comes next fetches.
#[tokio::test]
async fn a_holder_that_hangs_gives_way_after_its_deadline() {
    let Some(arrangement) = arrange(["a"], json!({"fetch_timeout": "1s"})).await else { return };
    arrangement.issuers["a"].fault(Jwks, Fault::Stall);
    let mut realms = arrangement.configure(|config| config.concurrency(4)).start().await;
    until("the holder hangs", async || realms.issuer("a").jwks_hits() == 1).await;
    realms.issuer("a").clear_faults();
    let token = realms.token("a");
    realms.comes_to("a", &token, 503, 200).await;
    for _ in 0..20 {
        realms.passes("a", &token).await;
    }
    let failed = realms.fetches("a", "unreachable").await;
    assert_eq!(realms.fetches("a", "success").await, 1);
    assert!(failed > 0 && realms.issuer("a").jwks_hits() <= failed + 1, "one fetch at a time");
    realms.assert_sound();
}

/// Matrix row 94: whatever is in the record, keys go on serving, a new key is found, and the record is mended by the next fetch.
#[tokio::test]
async fn damaged_records_count_as_none() {
    let Some(arrangement) = arrange(["a"], json!({"refetch_cooldown": "1s"})).await else { return };
    let (arrangement, name) = sabotaged(arrangement);
    let mut realms = arrangement.configure(|config| config.concurrency(2)).start().await;
    let name = name("a");
    realms.passes("a", &realms.token("a")).await;
    let good = read(&realms, &name).await.expect("there is a record");
    let published = |change: &dyn Fn(&mut Value)| {
        let mut copy = good.clone();
        change(&mut copy);
        record(&copy.to_string())
    };
    let evil = portcullis_tests::Realm::customers();
    let cases = [
        ("cut in half", "cut".to_owned()),
        ("a bit flipped", "flip".to_owned()),
        ("empty", "empty".to_owned()),
        ("bytes of something else", bytes(&[0xff; 300])),
        ("shorter than a checksum", bytes(b"{}")),
        ("a checksum over nonsense", record("nonsense")),
        ("a checksum over another shape", record(r#"{"generation":7}"#)),
        ("30 kB", bytes("[".repeat(30_000).as_bytes())),
        (
            "held until the end of time",
            published(&|r| {
                r["holder"] = 1.into();
                r["until"] = u64::MAX.into();
            }),
        ),
        ("fetched in the future", published(&|r| r["published"]["fetched_at"] = u64::MAX.into())),
        ("refetched in the future", published(&|r| r["refetched_at"] = u64::MAX.into())),
        (
            "keys that are none, and newer",
            published(&|r| {
                let at = r["published"]["fetched_at"].as_u64().expect("a time");
                r["published"]["fetched_at"] = (at + 1).into();
                r["published"]["jwks"] = "{\"keys\":[]}".into();
            }),
        ),
        (
            "keys of long ago",
            published(&|r| {
                r["published"]["fetched_at"] = 0.into();
                r["published"]["jwks"] = evil.jwks().to_string().into();
            }),
        ),
    ];
    for (what, damage) in cases {
        eprintln!("{what}");
        sabotage(&realms, &name, &damage).await;
        let old = realms.token("a");
        for _ in 0..4 {
            realms.passes("a", &old).await;
        }
        let forged = realms.issuer("a").token().key_of(&evil).sign();
        realms.refused("a", &forged, 401).await;
        realms.issuer("a").rotate(RotateOptions { keep_old: true });
        realms.comes_to("a", &realms.token("a"), 401, 200).await;
        realms.passes("a", &old).await;
        until("the record is mended", async || {
            let record = read(&realms, &name).await;
            let jwks = record.and_then(|record| record["published"]["jwks"].as_str().map(str::to_owned));
            jwks.is_some_and(|jwks| jwks.contains(&realms.issuer("a").kid()))
        })
        .await;
        // A worker that has not looked at the record yet would have to find the next one damaged.
        realms.passes_everywhere("a", &realms.token("a")).await;
    }
    realms.assert_sound();
}
