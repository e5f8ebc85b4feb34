//! Keycloak down or wrong, workers that die, shared data that is damaged, answers that come late.

use super::*;
use crate::testing::test;

#[test]
fn failures_back_off_up_to_a_minute_for_all_workers_together() {
    for mut envoy in [Envoy::new(5), Envoy::warm(5)] {
        envoy.keycloak = down();
        envoy.pass(300 * SECOND);
        envoy.run(600 * SECOND, |_, _| {});
        let gaps = envoy.gaps();
        for (gap, expect) in gaps.iter().zip([1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60]) {
            // A quarter of jitter, and up to a second until somebody looks.
            let expect = f64::from(expect);
            assert!((expect * 0.75..=expect + 1.0).contains(gap), "{gaps:?}");
        }
        assert!((10..=16).contains(&gaps.len()), "{gaps:?}");
        envoy.keycloak = serving(&["k2"]);
        envoy.run(62 * SECOND, |_, _| {});
        envoy.all_say("k2", &Found);
        // A success forgets the failures.
        envoy.keycloak = down();
        envoy.calls.clear();
        envoy.run(305 * SECOND, |_, _| {});
        assert!(envoy.gaps()[0] <= 2.0, "{:?}", envoy.gaps());
    }
}

#[test]
fn every_worker_knows_of_the_back_off() {
    let mut envoy = Envoy::new(3);
    envoy.keycloak = down();
    let waits = [Wait, Wait, Wait];
    assert_eq!([0, 1, 2].map(|worker| envoy.ask(worker, "k1")), waits);
    envoy.settle();
    envoy.all_say("k1", &Unavailable);
    assert!(envoy.workers.iter().all(|worker| worker.news > 0 || worker.keys.age(R, envoy.now).is_none()));
    assert!(envoy.workers[1].news > 0 && envoy.workers[2].news > 0, "whoever waits is told");
}

/// Answers to the call for the JWK Set that bring no keys.
fn bad_answers() -> Vec<(Result<HttpAnswer, CallError>, KeyError)> {
    let good = jwks(&["k2"]).to_string();
    let without = |member: &str, value: Value| {
        let mut set = jwks(&["k2"]);
        set["keys"][0][member] = value;
        set
    };
    let mut answers = vec![
        (Err(CallError::Unreachable), KeyError::Unreachable),
        (Err(CallError::TooLarge), KeyError::TooLarge),
        (answer(200, " ".repeat(262_145)), KeyError::TooLarge),
        (Ok(HttpAnswer { status: 200, body: b"\xff\xfe".to_vec() }), KeyError::KeySet),
    ];
    for status in [500, 502, 503, 504, 599] {
        answers.push((answer(status, &good), KeyError::Unreachable));
    }
    for status in [100, 201, 204, 206, 301, 302, 304, 400, 401, 403, 404, 429, 600] {
        answers.push((answer(status, &good), KeyError::Status));
    }
    for body in [
        "",
        "<!doctype html><title>Keycloak</title>",
        &good[..good.len() - 1],
        "null",
        "[]",
        "{}",
        r#"{"keys":[]}"#,
        r#"{"keys":[null]}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":null}"#,
        r#"{"keys":[1,"x",[],{}]}"#,
        "\u{1f}\u{8b}\u{8}",
    ] {
        answers.push((answer(200, body), KeyError::KeySet));
    }
    for dropped in [
        without("use", json!("enc")),
        without("alg", json!("RS256")),
        without("crv", json!("P-384")),
        without("kty", json!("oct")),
        without("kid", json!("")),
        without("kid", json!(1)),
        without("key_ops", json!(["sign"])),
        without("y", json!("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5aA")),
    ] {
        answers.push((answer(200, dropped), KeyError::KeySet));
    }
    answers
}

#[test]
fn a_bad_answer_never_replaces_good_keys() {
    for (bad, error) in bad_answers() {
        for mut envoy in [Envoy::new(2), Envoy::warm(2)] {
            let had_keys = envoy.find(0, "k1") == Found;
            envoy.pass(300 * SECOND);
            let (good, bad) = (serving(&["k1"]), bad.clone());
            envoy.keycloak = Box::new(move |path| if path == CERTS { bad.clone() } else { good(path) });
            envoy.round(0);
            let mut event = envoy.answered(0, R);
            if let KeyEvent::Call(_) = event {
                event = envoy.answered(0, R);
            }
            assert_eq!(event, KeyEvent::Failed(error));
            envoy.observe(1, R);
            envoy.all_say("k1", if had_keys { &Found } else { &Unavailable });
            envoy.all_say("k2", &Unavailable);
            assert_eq!(envoy.workers[1].keys.age(R, envoy.now).is_some(), had_keys);

            envoy.keycloak = serving(&["k2"]);
            envoy.pass(SECOND);
            envoy.settle();
            envoy.all_say("k2", &Found);
        }
    }
}

#[test]
fn a_discovery_document_that_is_wrong_brings_no_keys() {
    let document = |issuer: &str, uri: &str| json!({"issuer": issuer, "jwks_uri": uri});
    for (bad, error) in [
        (answer(200, document("https://sso/realms/other", "https://sso/realms/r/certs")), KeyError::Issuer),
        (answer(200, document("https://sso/realms/r", "certs")), KeyError::Discovery),
        (answer(200, json!({"issuer": "https://sso/realms/r"})), KeyError::Discovery),
        (answer(200, jwks(&["k1"])), KeyError::Discovery),
        (answer(200, "<html>"), KeyError::Discovery),
        (answer(404, ""), KeyError::Status),
        (answer(302, ""), KeyError::Status),
        (answer(503, ""), KeyError::Unreachable),
        (Err(CallError::TooLarge), KeyError::TooLarge),
    ] {
        let mut envoy = Envoy::new(2);
        envoy.keycloak = Box::new(move |_| bad.clone());
        envoy.round(0);
        assert_eq!(envoy.answered(0, R), KeyEvent::Failed(error));
        envoy.observe(1, R);
        envoy.all_say("k1", &Unavailable);
        assert_eq!(envoy.paths(), [DISCOVERY], "nothing is asked of the wrong place");
    }
}

#[test]
fn stale_keys_serve_up_to_max_stale_and_then_nothing_does() {
    let mut envoy = Envoy::with(&config(json!({"keys": {"max_stale": "1h"}})), 2);
    envoy.settle();
    envoy.keycloak = down();
    envoy.run(3_599 * SECOND, |envoy, worker| assert_eq!(envoy.find(worker, "k1"), Found));
    assert!(envoy.workers[1].keys.age(R, envoy.now).unwrap().0 > 3_590 * SECOND, "the gauge shows it");
    envoy.run(2 * SECOND, |_, _| {});
    for worker in [0, 1] {
        assert_ne!(envoy.ask(worker, "k1"), Found);
    }
    envoy.run(65 * SECOND, |_, _| {});
    envoy.all_say("k1", &Unavailable);
    envoy.keycloak = serving(&["k1"]);
    envoy.run(62 * SECOND, |_, _| {});
    envoy.all_say("k1", &Found);
}

#[test]
fn a_dead_holders_lease_ends() {
    let mut envoy = Envoy::new(3);
    envoy.round(0);
    envoy.workers[0].pending.clear();
    envoy.pass(6_900 * SECOND / 1_000);
    (1..3).for_each(|worker| envoy.round(worker));
    assert_eq!(envoy.paths(), [DISCOVERY]);
    assert_eq!(envoy.find(1, "k1"), Wait);
    envoy.pass(SECOND);
    (1..3).for_each(|worker| envoy.round(worker));
    assert_eq!(envoy.paths(), [DISCOVERY], "one of the others");
    envoy.answer_all();
    (1..3).for_each(|worker| envoy.round(worker));
    assert_eq!([1, 2].map(|worker| envoy.find(worker, "k1")), [Found, Found]);
    assert_eq!(envoy.paths(), [CERTS]);
}

#[test]
fn a_lease_is_bounded_whatever_the_timeout() {
    let mut envoy = Envoy::with(&config(json!({"keys": {"fetch_timeout": "10y"}})), 2);
    envoy.round(0);
    envoy.pass(601 * SECOND);
    envoy.round(1);
    assert_eq!(envoy.calls.len(), 2);
}

#[test]
fn a_damaged_record_in_the_middle_of_a_fetch_costs_one_more() {
    let foreign = serde_json::to_vec(&json!({"somebody": "else's"})).unwrap();
    let older = Record::default().encode();
    for damaged in [Vec::new(), b"\0\xff".to_vec(), older[..older.len() - 1].to_vec(), foreign, older] {
        let mut envoy = Envoy::new(4);
        envoy.round(0);
        envoy.put(R, damaged);
        (0..4).for_each(|worker| envoy.round(worker));
        (0..4).for_each(|worker| envoy.round(worker));
        assert_eq!(envoy.calls.len(), 2, "one more fetch begins");
        envoy.answer_all();
        (0..4).for_each(|worker| envoy.round(worker));
        envoy.all_say("k1", &Found);
        assert_eq!(envoy.calls.len(), 4, "{:?}", envoy.calls);
    }
}

#[test]
fn a_damaged_record_does_not_take_keys_away() {
    let mut envoy = Envoy::warm(2);
    for damaged in [&b""[..], b"{}", &[0xff; 10_000]] {
        envoy.put(R, damaged.to_vec());
        (0..2).for_each(|worker| envoy.round(worker));
        envoy.all_say("k1", &Found);
    }
    assert_eq!(envoy.paths(), [""; 0]);
}

#[test]
fn a_record_whose_keys_cannot_be_used_is_fetched_over() {
    let mut envoy = Envoy::new(2);
    let published = Published {
        fetched_at: envoy.now.0,
        provider: Provider { jwks_path: "/evil".to_owned(), ..Provider::default() },
        jwks: "{}".to_owned(),
    };
    envoy.put(R, Record { published: Some(published), ..Record::default() }.encode());
    envoy.settle();
    envoy.pass(SECOND);
    envoy.settle();
    envoy.all_say("k1", &Found);
    assert_eq!(envoy.paths(), [DISCOVERY, CERTS]);
}

#[test]
fn a_late_answer_of_a_lost_lease_undoes_nothing() {
    let late_keycloaks: [fn() -> Keycloak; 3] =
        [|| serving(&["old"]), down, || Box::new(|_| answer(404, ""))];
    for late in late_keycloaks {
        for observes in [true, false] {
            let mut envoy = Envoy::warm(3);
            envoy.pass(300 * SECOND);
            envoy.round(0);
            envoy.pass(8 * SECOND);
            envoy.keycloak = serving(&["new"]);
            envoy.round(1);
            envoy.answered(1, R);
            envoy.round(2);
            if observes {
                envoy.round(0);
            }
            envoy.pass(SECOND);
            envoy.keycloak = late();
            envoy.answered(0, R);
            (0..3).for_each(|worker| envoy.round(worker));
            envoy.all_say("new", &Found);
            for worker in 0..3 {
                assert_ne!(envoy.find(worker, "old"), Found);
            }
            assert_eq!(envoy.paths(), [CERTS, CERTS]);
        }
    }
}

#[test]
fn a_late_answer_does_not_take_the_lease_of_whoever_has_it_now() {
    for late in [serving(&["k1"]), down()] {
        let mut envoy = Envoy::new(3);
        envoy.round(0);
        envoy.pass(8 * SECOND);
        envoy.round(1);
        envoy.keycloak = late;
        envoy.answered(0, R);
        if !envoy.workers[0].pending.is_empty() {
            envoy.answered(0, R);
        }
        envoy.round(2);
        let fetches = envoy.calls.iter().filter(|(_, path)| path == DISCOVERY).count();
        assert_eq!(fetches, 2, "the second worker still holds the lease");
    }
}

#[test]
fn an_answer_that_nobody_asked_for_is_dropped() {
    let mut envoy = Envoy::warm(2);
    let stray = envoy.workers[1].keys.answered(R, answer(200, jwks(&["evil"])), envoy.now);
    assert_eq!(stray, KeyEvent::Stray);
    assert_eq!(envoy.workers[1].keys.answered(RealmId(9), answer(200, ""), envoy.now), KeyEvent::Stray);
    envoy.settle();
    envoy.all_say("k1", &Found);
    assert_ne!(envoy.find(1, "evil"), Found);
}

#[test]
fn a_path_that_fails_is_discovered_anew_by_whoever_fetches_next() {
    let mut envoy = Envoy::warm(2);
    envoy.keycloak = serving_at("/moved/certs", &["k2"]);
    envoy.pass(300 * SECOND);
    envoy.round(0);
    assert_eq!(envoy.answered(0, R), KeyEvent::Failed(KeyError::Status));
    envoy.pass(2 * SECOND);
    envoy.round(1);
    envoy.answer_all();
    envoy.round(0);
    assert_eq!(envoy.paths(), [CERTS, DISCOVERY, "/moved/certs"]);
    envoy.all_say("k2", &Found);
    envoy.pass(300 * SECOND);
    envoy.round(0);
    assert_eq!(envoy.paths(), ["/moved/certs"], "and everybody knows it then");
}
