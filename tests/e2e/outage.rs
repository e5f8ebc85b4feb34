//! Keycloak answers wrongly, late, or not at all: no keys yet means 503, keys from before go on serving, and nobody has to restart Envoy.

use std::net::SocketAddr;

use bytes::Bytes;
use portcullis_tests::{Endpoint, Fault, RotateOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::realms::{Realms, arrange};
use Endpoint::{Discovery, Jwks};

/// A realm's name, where its issuer misbehaves and how, and the reason that the filter should count.
type Case = (&'static str, Endpoint, Fault, &'static str);

/// Three acts for every case at once. Cold: 503. Cured: 200, by itself. The fault again with keys there: they serve, and what Keycloak
/// publishes after it is cured is taken over.
async fn three_acts(cases: Vec<Case>) {
    let names = cases.iter().map(|case| case.0);
    let keys = json!({"refresh_interval": "2s", "refetch_cooldown": "1s", "fetch_timeout": "1s"});
    let Some(arrangement) = arrange(names, keys).await else { return };
    let misbehave = |(name, endpoint, fault, _): &Case, issuers: &std::collections::BTreeMap<_, _>| {
        let issuer: &portcullis_tests::Issuer = &issuers[*name];
        issuer.fault(*endpoint, fault.clone());
    };
    for case in &cases {
        misbehave(case, &arrangement.issuers);
    }
    let mut realms = arrangement.start().await;

    for (name, _, _, reason) in &cases {
        realms.refused(name, &realms.token(name), 503).await;
        realms.metric_comes_to(&format!("{name}.keys_fetch.{reason}"), |count| count > 0).await;
        assert_eq!(realms.fetches(name, "success").await, 0, "{name}");
        realms.refused(name, &realms.token(name), 503).await;
    }
    assert_eq!(realms.upstream.requests(), 0);

    for (name, ..) in &cases {
        realms.issuer(name).clear_faults();
    }
    for (name, ..) in &cases {
        realms.comes_to(name, &realms.token(name), 503, 200).await;
    }

    let mut failures = Vec::new();
    for case in &cases {
        failures.push(realms.fetches(case.0, case.3).await);
        // The address of the keys is known by now: a fault of discovery shows once they fail, too.
        misbehave(case, &realms.issuers);
        if case.1 == Discovery {
            realms.issuer(case.0).fault(Jwks, Fault::Status(500));
        }
    }
    for ((name, _, _, reason), before) in cases.iter().zip(failures) {
        realms.metric_comes_to(&format!("{name}.keys_fetch.{reason}"), |count| count > before).await;
        realms.passes(name, &realms.token(name)).await;
        // Nobody can tell whether there is such a key.
        let unknown = realms.issuer(name).token().kid("a-new-one").sign();
        realms.refused(name, &unknown, 503).await;
    }

    let old: Vec<String> = cases.iter().map(|case| realms.token(case.0)).collect();
    for (name, ..) in &cases {
        realms.issuer(name).rotate(RotateOptions { keep_old: false });
        realms.issuer(name).clear_faults();
    }
    for ((name, ..), old) in cases.iter().zip(old) {
        realms.comes_to(name, &realms.token(name), 503, 200).await;
        realms.refused(name, &old, 401).await;
    }
    realms.assert_sound();
}

/// Matrix row 70.
#[tokio::test]
async fn keycloak_answers_with_another_status() {
    three_acts(vec![
        ("s500", Jwks, Fault::Status(500), "unreachable"),
        ("s502", Jwks, Fault::Status(502), "unreachable"),
        ("s404", Jwks, Fault::Status(404), "status"),
        ("s204", Jwks, Fault::NoContent, "status"),
        ("s301", Jwks, Fault::Status(301), "status"),
        ("s302", Jwks, Fault::Redirect, "status"),
        ("d500", Discovery, Fault::Status(500), "unreachable"),
        ("d404", Discovery, Fault::Status(404), "status"),
        ("d302", Discovery, Fault::Redirect, "status"),
    ])
    .await;
}

/// Row 71, and a set without one key that fits (78).
#[tokio::test]
async fn keycloak_answers_with_something_else() {
    let unusable = json!({"keys": [
        {"kid": "e", "kty": "RSA", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"},
        {"kid": "o", "kty": "oct", "k": "c2VjcmV0"},
    ]});
    three_acts(vec![
        ("html", Jwks, Fault::html(), "key_set"),
        ("truncated", Jwks, Fault::truncated(), "key_set"),
        ("object", Jwks, Fault::json(&json!({})), "key_set"),
        ("empty-set", Jwks, Fault::json(&json!({"keys": []})), "key_set"),
        ("null-key", Jwks, Fault::json(&json!({"keys": [null]})), "key_set"),
        ("null", Jwks, Fault::json(&Value::Null), "key_set"),
        ("empty", Jwks, Fault::body("application/json", ""), "key_set"),
        ("gzip", Jwks, Fault::gzip(), "key_set"),
        ("not-utf8", Jwks, Fault::body("application/json", &b"{\"keys\":[\"\xff\"]}"[..]), "key_set"),
        ("unusable", Jwks, Fault::json(&unusable), "key_set"),
        ("d-html", Discovery, Fault::html(), "discovery"),
        ("d-object", Discovery, Fault::json(&json!({})), "discovery"),
    ])
    .await;
}

/// Row 72, and row 88: discovery of another issuer.
#[tokio::test]
async fn keycloak_answers_too_much_or_as_somebody_else() {
    let key =
        |at: u32| json!({"kid": at.to_string(), "kty": "RSA", "alg": "RS256", "n": "AQAB", "e": "AQAB"});
    let many: Vec<Value> = (0..10_000).map(key).collect();
    // More than Envoy itself holds of an answer: the filter hears of it as of a connection that broke (row 75).
    let flood = Bytes::from(vec![b' '; 40_000_000]);
    three_acts(vec![
        ("huge", Jwks, Fault::huge(), "too_large"),
        ("many", Jwks, Fault::json(&json!({ "keys": many })), "too_large"),
        ("flood", Jwks, Fault::body("application/json", flood), "unreachable"),
        ("d-huge", Discovery, Fault::huge(), "too_large"),
        ("foreign", Discovery, Fault::WrongIssuer, "issuer"),
    ])
    .await;
}

/// Rows 73 and 75: a call that ends without any header must not end the worker.
#[tokio::test]
async fn keycloak_answers_slowly_or_breaks_off() {
    three_acts(vec![
        ("stall", Jwks, Fault::Stall, "unreachable"),
        ("drip", Jwks, Fault::Drip, "unreachable"),
        ("reset", Jwks, Fault::ResetMidBody, "unreachable"),
        ("d-stall", Discovery, Fault::Stall, "unreachable"),
        ("d-drip", Discovery, Fault::Drip, "unreachable"),
        ("d-reset", Discovery, Fault::ResetMidBody, "unreachable"),
    ])
    .await;
}

/// Row 74, and connections that are refused or closed at once: Envoy has no answer to wait for.
#[tokio::test]
async fn keycloak_cannot_be_called() {
    const CASES: [&str; 5] = ["no-cluster", "no-host", "breaker", "refused", "hangs-up"];
    let Some(arrangement) = arrange(CASES.into_iter().chain(["sound"]), json!({"fetch_timeout": "1s"})).await
    else {
        return;
    };
    let rude = hangs_up().await;
    arrangement.issuers["refused"].stop().await;
    let arrangement = arrangement
        .configure(|config| {
            let config = config.cluster("keycloak_hangs-up", rude);
            config.edit_plugin(|plugin| plugin["realms"]["no-cluster"]["cluster"] = "there-is-none".into())
        })
        .cluster("no-host", |cluster| cluster["load_assignment"]["endpoints"] = json!([]))
        .cluster("breaker", |cluster| {
            let none = json!({"max_connections": 0, "max_pending_requests": 0, "max_requests": 0});
            cluster["circuit_breakers"] = json!({ "thresholds": [none] });
        });
    let mut realms = arrangement.start().await;
    for name in CASES {
        for _ in 0..3 {
            realms.refused(name, &realms.token(name), 503).await;
        }
        assert!(realms.fetches(name, "unreachable").await > 0, "{name}");
        let issuer = realms.issuer(name);
        assert_eq!((issuer.discovery_hits(), issuer.jwks_hits()), (0, 0), "{name}");
    }
    assert_eq!(realms.upstream.requests(), 0);
    realms.comes_to("sound", &realms.token("sound"), 503, 200).await;
    realms.assert_sound();
}

/// A server that closes every connection as soon as a request is there.
async fn hangs_up() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port");
    let addr = listener.local_addr().expect("a listener has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.readable().await;
        }
    });
    addr
}

/// Rows 85 and 86: old keys serve as long as they may, their age shows, and then there is an end.
#[tokio::test]
async fn keys_serve_through_an_outage_until_they_are_too_old() {
    let keys = json!({"refresh_interval": "1s", "fetch_timeout": "1s"});
    let Some(arrangement) = arrange(["patient", "strict"], keys).await else { return };
    let edit = |plugin: &mut Value| plugin["realms"]["strict"]["keys"]["max_stale"] = "4s".into();
    let mut realms = arrangement.configure(|config| config.concurrency(2).edit_plugin(edit)).start().await;
    let tokens = ["patient", "strict"].map(|name| (name, realms.token(name)));
    for (name, token) in &tokens {
        realms.comes_to(name, token, 503, 200).await;
        realms.issuer(name).stop().await;
    }
    // Beyond twice the interval after which they should have been renewed.
    realms.metric_comes_to("patient.keys_age_seconds", |age| age >= 3).await;
    realms.metric_comes_to("patient.keys_fetch.unreachable", |count| count > 0).await;
    realms.passes("patient", &tokens[0].1).await;

    realms.comes_to("strict", &tokens[1].1, 200, 503).await;
    for _ in 0..5 {
        realms.refused("strict", &tokens[1].1, 503).await;
    }
    realms.metric_comes_to("strict.keys_age_seconds", |age| age >= 4).await;
    realms.passes("patient", &tokens[0].1).await;

    for (name, token) in &tokens {
        realms.issuers.get_mut(*name).expect("there is a realm").restart().await;
        realms.comes_to(name, token, if *name == "strict" { 503 } else { 200 }, 200).await;
    }
    realms.metric_comes_to("patient.keys_age_seconds", |age| age < 3).await;
    realms.assert_sound();
}

/// Row 87, and each realm for itself: an administrators' Keycloak that is down is no customer's concern.
#[tokio::test]
async fn a_realm_that_starts_without_keycloak_recovers_and_disturbs_no_other() {
    let Some(arrangement) = arrange(["customers", "admins"], json!({"fetch_timeout": "1s"})).await else {
        return;
    };
    arrangement.issuers["admins"].stop().await;
    let mut realms = arrangement.configure(|config| config.concurrency(2)).start().await;
    realms.comes_to("customers", &realms.token("customers"), 503, 200).await;
    for _ in 0..10 {
        realms.refused("admins", &realms.token("admins"), 503).await;
        realms.passes("customers", &realms.token("customers")).await;
    }
    restart(&mut realms, "admins").await;
    realms.comes_to("admins", &realms.token("admins"), 503, 200).await;

    // The same while calls hang instead of failing.
    realms.issuer("admins").fault(Jwks, Fault::Stall);
    realms.issuer("admins").rotate(RotateOptions { keep_old: true });
    let hanging = realms.token("admins");
    let (mut connection, request) = (realms.connection(), crate::realms::request("admins", &hanging));
    let hanging = tokio::spawn(async move { connection.send(&request).await });
    for _ in 0..10 {
        realms.passes("customers", &realms.token("customers")).await;
    }
    let response = hanging.await.expect("the task ends").expect("an answer");
    realms.assert_refusal("admins", &response, 503);
    realms.assert_sound();
}

async fn restart(realms: &mut Realms, name: &str) {
    realms.issuers.get_mut(name).expect("there is a realm").restart().await;
}
