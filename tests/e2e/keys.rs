//! Keys come and go: rotation, removal, storms of unknown ones, and where the keys come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portcullis_tests::client::{Connection, RawResponse};
use portcullis_tests::token::{part, replace_part};
use portcullis_tests::{EnvoyConfig, Fault, RotateOptions};
use serde_json::{Value, json};

use crate::realms::{Realms, arrange, request, until};
use portcullis_tests::Endpoint::{Discovery, Jwks};

/// The token with another key id. What signed it does not matter: nobody has such a key.
fn with_kid(token: &str, kid: &str) -> String {
    use base64::Engine as _;
    let mut header: Value = serde_json::from_slice(&part(token, 0)).expect("the header is JSON");
    header["kid"] = kid.into();
    replace_part(token, 0, &base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header.to_string()))
}

/// How often a realm's issuer was asked for discovery and for keys.
fn hits(realms: &Realms, realm: &str) -> (u64, u64) {
    let issuer = realms.issuer(realm);
    (issuer.discovery_hits(), issuer.jwks_hits())
}

/// Matrix row 79: the old key stays, as Keycloak's passive keys do.
#[tokio::test]
async fn both_keys_of_an_overlap_pass_after_one_fetch() {
    let Some(arrangement) = arrange(["a"], json!({"refetch_cooldown": "600s"})).await else { return };
    let mut realms = arrangement.configure(|config| config.concurrency(2)).start().await;
    let old = realms.token("a");
    // So many connections that both workers have adopted the first set before there is a second.
    for _ in 0..24 {
        realms.passes("a", &old).await;
    }
    realms.issuer("a").rotate(RotateOptions { keep_old: true });
    let new = realms.token("a");
    let sent = |token: String| {
        let mut connection = realms.connection();
        async move { connection.send(&request("a", &token)).await.expect("an answer").status }
    };
    let tokens = (0..40).map(|at| if at % 2 == 0 { new.clone() } else { old.clone() });
    let statuses = futures_util::future::join_all(tokens.map(sent)).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}\n{}", realms.envoy.log());
    assert_eq!(hits(&realms, "a"), (1, 2), "one fetch at the start and one for the new key");
    assert_eq!(realms.upstream.requests(), 24 + 40);
    realms.assert_sound();
}

/// Row 80: the first request with the new key waits for it; further ones find it.
#[tokio::test]
async fn a_new_key_is_fetched_while_its_first_request_waits() {
    let Some(arrangement) = arrange(["a"], json!({"refetch_cooldown": "600s"})).await else { return };
    let mut realms = arrangement.start().await;
    realms.passes("a", &realms.token("a")).await;
    realms.issuer("a").rotate(RotateOptions { keep_old: true });
    realms.issuer("a").fault(Jwks, Fault::Hold);

    let mut waiting = realms.connection();
    let new = request("a", &realms.token("a"));
    let waiting = tokio::spawn(async move { waiting.send(&new).await });
    until("the key is asked for", async || hits(&realms, "a") == (1, 2)).await;
    assert_eq!(realms.upstream.requests(), 1, "it waits");
    realms.issuer("a").clear_faults();
    let response = waiting.await.expect("the task ends").expect("an answer");
    assert_eq!((response.status, realms.upstream.requests()), (200, 2), "{}", realms.envoy.log());
    realms.passes("a", &realms.token("a")).await;
    assert_eq!(hits(&realms, "a"), (1, 2));
    realms.assert_sound();
}

/// Row 81: a withdrawn key ends with the next fetch, on every worker, whether it is due or caused by the key that follows.
#[tokio::test]
async fn a_removed_key_ends_with_the_next_fetch() {
    let Some(arrangement) = arrange(["due", "caused"], json!({"refresh_interval": "2s"})).await else {
        return;
    };
    let arrangement = arrangement.configure(|config| {
        config.concurrency(2).edit_plugin(|plugin| {
            plugin["realms"]["caused"]["keys"] = json!({"refresh_interval": "1h"});
        })
    });
    let mut realms = arrangement.start().await;
    for realm in ["due", "caused"] {
        let old = realms.token(realm);
        realms.passes(realm, &old).await;
        realms.issuer(realm).rotate(RotateOptions { keep_old: false });
        if realm == "caused" {
            realms.passes(realm, &realms.token(realm)).await;
        }
        // While it is still known somewhere it passes; once the new set is there it does not.
        let fetched = hits(&realms, realm).1;
        for _ in 0..5 {
            realms.comes_to(realm, &old, 200, 401).await;
        }
        assert!(realm == "caused" || hits(&realms, realm).1 > fetched, "nothing but a fetch tells");
        realms.passes(realm, &realms.token(realm)).await;
    }
    realms.assert_sound();
}

/// Row 82: what nobody signed costs Keycloak one fetch a cooldown, and good requests nothing.
#[tokio::test]
async fn a_storm_of_unknown_keys_costs_one_fetch() {
    const REQUESTS: u64 = 2_000;
    let Some(arrangement) = arrange(["a"], json!({"refetch_cooldown": "600s"})).await else { return };
    let mut realms = arrangement.configure(|config| config.concurrency(2)).start().await;
    let good = realms.token("a");
    realms.passes("a", &good).await;
    let before = hits(&realms, "a");

    let next = Arc::new(AtomicU64::new(0));
    let stormer = |_| {
        let (next, good, mut connection) = (Arc::clone(&next), good.clone(), realms.connection());
        tokio::spawn(async move {
            let mut wrong = 0;
            while next.fetch_add(1, Ordering::SeqCst) < REQUESTS {
                let kid = format!("{:032x}", rand::random::<u128>());
                wrong += u64::from(status(&mut connection, &with_kid(&good, &kid)).await != 401);
            }
            wrong
        })
    };
    let storm = futures_util::future::join_all((0..8).map(stormer));
    let honest = async {
        let (mut connection, mut sent) = (realms.connection(), 0);
        while next.load(Ordering::SeqCst) < REQUESTS {
            assert_eq!(status(&mut connection, &good).await, 200, "a good token amid the storm");
            sent += 1;
        }
        sent
    };
    let (wrong, sent) = tokio::join!(storm, honest);
    let wrong: u64 = wrong.into_iter().map(|task| task.expect("the task ends")).sum();
    assert_eq!(wrong, 0, "each of them is refused with 401\n{}", realms.envoy.log());
    assert_eq!(realms.upstream.requests(), 1 + sent, "and none reaches the upstream");
    assert_eq!(hits(&realms, "a"), (before.0, before.1 + 1));
    assert_eq!(realms.metric("a.denied.token_unknown_kid").await, REQUESTS);
    realms.assert_sound();
}

async fn status(connection: &mut Connection, token: &str) -> u16 {
    let answer: std::io::Result<RawResponse> = connection.send(&request("a", token)).await;
    answer.map_or(0, |response| response.status)
}

/// A token that names a foreign issuer, or is no token, never leads to a fetch at all.
#[tokio::test]
async fn a_token_that_no_key_would_save_fetches_nothing() {
    let Some(arrangement) = arrange(["a", "b"], json!({"refetch_cooldown": "1s"})).await else { return };
    let mut realms = arrangement.start().await;
    for realm in ["a", "b"] {
        realms.passes(realm, &realms.token(realm)).await;
    }
    let before = [hits(&realms, "a"), hits(&realms, "b")];
    let foreign = realms.issuer("a").token().claim("iss", "https://evil.example/realms/a").kid("x").sign();
    let other = realms.token("b");
    let unsigned = realms.issuer("a").token().kid("x").unsigned("none");
    for token in [&foreign, &other, &unsigned, "x.y.z"] {
        realms.refused("a", token, 401).await;
    }
    assert_eq!([hits(&realms, "a"), hits(&realms, "b")], before);
    realms.assert_sound();
}

/// `jwks_path` is the whole of discovery.
#[tokio::test]
async fn a_configured_path_needs_no_discovery() {
    let Some(arrangement) = arrange(["a"], json!({})).await else { return };
    let path = "/realms/a/protocol/openid-connect/certs";
    arrangement.issuers["a"].fault(Discovery, Fault::Status(500));
    let edit =
        |config: EnvoyConfig| config.edit_plugin(|plugin| plugin["realms"]["a"]["jwks_path"] = path.into());
    let mut realms = arrangement.configure(edit).start().await;
    realms.passes("a", &realms.token("a")).await;
    assert_eq!(hits(&realms, "a"), (0, 1));
    assert_eq!(realms.issuer("a").last_host_header().as_deref(), Some("sso.csp.com"));
    realms.assert_sound();
}

/// Bootstrap keys serve while Keycloak is down; what Keycloak publishes then takes their place.
#[tokio::test]
async fn bootstrap_keys_serve_until_keycloak_answers() {
    let Some(arrangement) = arrange(["a"], json!({})).await else { return };
    let set = arrangement.issuers["a"].jwks();
    arrangement.issuers["a"].stop().await;
    let edit =
        |config: EnvoyConfig| config.edit_plugin(|plugin| plugin["realms"]["a"]["keys"]["bootstrap"] = set);
    let mut realms = arrangement.configure(edit).start().await;
    let old = realms.token("a");
    realms.metric_comes_to("a.keys_fetch.unreachable", |count| count > 0).await;
    realms.passes("a", &old).await;
    realms.issuers.get_mut("a").expect("there is a realm").restart().await;
    realms.issuer("a").rotate(RotateOptions { keep_old: false });
    realms.comes_to("a", &old, 200, 401).await;
    realms.comes_to("a", &realms.token("a"), 503, 200).await;
    realms.assert_sound();
}

/// Four workers and the main thread: one of them asks, for each realm.
#[tokio::test]
async fn one_worker_fetches_for_all() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    let Some(arrangement) = arrange(NAMES, json!({})).await else { return };
    let mut realms = arrangement.configure(|config| config.concurrency(4)).start().await;
    for realm in NAMES {
        let token = realms.token(realm);
        for _ in 0..20 {
            realms.passes(realm, &token).await;
        }
        assert_eq!(hits(&realms, realm), (1, 1), "{realm}");
    }
    realms.assert_sound();
}
