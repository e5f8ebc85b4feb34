//! Fetches that go well: who fetches, when, and how the others learn of it.

use super::*;
use crate::testing::test;

#[test]
fn a_cold_start_of_many_workers_is_one_fetch() {
    let mut envoy = Envoy::new(8);
    envoy.all_say("k1", &Wait);
    (0..8).for_each(|worker| envoy.round(worker));
    assert_eq!(envoy.calls.len(), 1);
    (0..8).for_each(|worker| envoy.round(worker));
    envoy.all_say("k1", &Wait);
    envoy.answered(0, R);
    (0..8).for_each(|worker| envoy.round(worker));
    assert_eq!(envoy.answered(0, R), KeyEvent::Fetched { usable: 1, dropped: 0 });
    let before: Vec<usize> = envoy.workers.iter().map(|worker| worker.news).collect();
    (0..8).for_each(|worker| envoy.round(worker));
    for (worker, before) in envoy.workers.iter().zip(before).skip(1) {
        assert_eq!(worker.news, before + 1);
    }
    envoy.all_say("k1", &Found);
    assert_eq!(envoy.paths(), [DISCOVERY, CERTS]);
    assert_eq!(envoy.workers[7].keys.age(R, envoy.now.plus(SECOND)), Some((SECOND, 1)));
}

#[test]
fn a_call_says_all_that_the_adapter_needs() {
    let mut envoy =
        Envoy::with(&config(json!({"authority": "sso.internal:8080", "keys": {"fetch_timeout": "2s"}})), 1);
    envoy.round(0);
    let expect = HttpCall {
        form: None,
        cluster: "keycloak".to_owned(),
        authority: "sso.internal:8080".to_owned(),
        path: DISCOVERY.to_owned(),
        timeout: 2 * SECOND,
        max_body_bytes: 262_144,
    };
    assert_eq!(envoy.workers[0].pending[&0], expect);
    envoy.answered(0, R);
    assert_eq!(envoy.workers[0].pending[&0], HttpCall { path: CERTS.to_owned(), ..expect });
}

#[test]
fn of_two_claims_on_one_record_the_loser_gives_way() {
    let envoy = Envoy::new(2);
    let record = envoy.record(R);
    let claims: Vec<_> =
        envoy.workers.iter().map(|worker| worker.keys.claim(R, &record, envoy.now).unwrap()).collect();
    // The host takes the first one and has the second worker look again.
    assert_eq!(envoy.workers[1].keys.claim(R, &claims[0], envoy.now), None);
    assert_eq!(envoy.workers[0].keys.claim(R, &claims[1], envoy.now), None);
}

#[test]
fn a_worker_that_looked_just_before_the_fetch_ended_adopts_it() {
    let mut envoy = Envoy::new(2);
    envoy.round(0);
    envoy.observe(1, R);
    envoy.answer_all();
    envoy.fetch_if_due(1, R);
    assert_eq!(envoy.paths(), [DISCOVERY, CERTS]);
    envoy.round(1);
    envoy.all_say("k1", &Found);
    assert_eq!(envoy.paths(), [""; 0]);
}

#[test]
fn a_worker_whose_clock_was_read_a_little_earlier_adopts_too() {
    let mut envoy = Envoy::new(2);
    envoy.pass(SECOND);
    envoy.round(0);
    envoy.answer_all();
    envoy.calls.clear();
    envoy.now = Monotonic(envoy.now.0 - 5);
    envoy.round(1);
    assert_eq!(envoy.paths(), [""; 0]);
    envoy.all_say("k1", &Found);
}

#[test]
fn keys_are_refreshed_up_to_a_tenth_early_and_serve_meanwhile() {
    let mut due = BTreeSet::new();
    for seed in 0..64 {
        let mut envoy = Envoy::new(1);
        envoy.workers[0].keys = KeyStore::new(&envoy.filter, seed, envoy.now);
        envoy.settle();
        let start = envoy.now;
        while !envoy.workers[0].keys.is_due(R, envoy.now) {
            envoy.pass(SECOND);
        }
        let waited = envoy.now.since(start).as_secs();
        assert!((270..=300).contains(&waited), "{waited}");
        due.insert(waited);

        envoy.keycloak = serving(&["k2"]);
        envoy.calls.clear();
        envoy.round(0);
        assert_eq!(envoy.paths(), [CERTS], "the path is known");
        assert_eq!(envoy.find(0, "k1"), Found);
        envoy.answer_all();
        assert_eq!(envoy.find(0, "k2"), Found);
        assert_ne!(envoy.find(0, "k1"), Found, "withdrawn");
    }
    assert!(due.len() > 10, "{due:?}");
}

#[test]
fn a_rotation_with_overlap_needs_no_extra_fetch() {
    let mut envoy = Envoy::warm(3);
    envoy.keycloak = serving(&["k1", "k2"]);
    envoy.run(301 * SECOND, |envoy, worker| assert_eq!(envoy.find(worker, "k1"), Found));
    envoy.all_say("k2", &Found);
    assert_eq!(envoy.paths(), [CERTS]);
}

#[test]
fn realms_do_not_touch_each_other() {
    let mut config = config(json!({}));
    config["realms"]["s"] = json!({"issuer": "https://sso/realms/s", "cluster": "other", "audiences": ["api"],
                                   "algorithms": ["ES256"], "jwks_path": "/s/certs"});
    let mut envoy = Envoy::with(&config, 2);
    let s = RealmId(1);
    envoy.keycloak = serving(&["k1"]);
    envoy.settle();
    envoy.all_say("k1", &Found);
    assert_eq!(envoy.find_in(0, s, "k1"), Unavailable, "the other realm's Keycloak is down");
    envoy.pass(2 * SECOND);
    envoy.keycloak =
        Box::new(|path| if path == "/s/certs" { answer(200, jwks(&["k9"])) } else { answer(500, "") });
    envoy.settle();
    for worker in 0..2 {
        assert_eq!(envoy.find_in(worker, s, "k9"), Found);
        assert_eq!(envoy.find_in(worker, s, "k1"), Wait, "its own keys only");
        assert_eq!(envoy.find(worker, "k1"), Found);
    }
    let names: BTreeSet<_> =
        [R, s].iter().map(|realm| envoy.workers[0].keys.record_name(*realm).unwrap()).collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn bootstrap_keys_serve_until_keys_are_fetched() {
    let mut envoy = Envoy::with(&config(json!({"keys": {"bootstrap": jwks(&["boot"])}})), 2);
    envoy.all_say("boot", &Found);
    envoy.all_say("k1", &Wait);
    envoy.keycloak = down();
    envoy.settle();
    envoy.all_say("boot", &Found);
    envoy.all_say("k1", &Unavailable);
    envoy.keycloak = serving(&["k1"]);
    envoy.pass(SECOND);
    envoy.settle();
    envoy.all_say("k1", &Found);
    for worker in 0..2 {
        assert_ne!(envoy.find(worker, "boot"), Found);
    }
    // A VM that was reloaded begins with them again, and takes over what the others have.
    envoy.pass(100 * SECOND);
    envoy.keycloak = down();
    envoy.workers[1].keys = KeyStore::new(&envoy.filter, 77, envoy.now);
    envoy.calls.clear();
    envoy.round(1);
    assert_eq!(envoy.find(1, "k1"), Found);
    assert_eq!(envoy.paths(), [""; 0]);
}

#[test]
fn a_reloaded_worker_has_its_keys_from_the_others() {
    let mut envoy = Envoy::warm(2);
    envoy.keycloak = down();
    envoy.workers[0].keys = KeyStore::new(&envoy.filter, 99, envoy.now);
    assert_eq!(envoy.find(0, "k1"), Wait);
    envoy.round(0);
    assert_eq!(envoy.find(0, "k1"), Found);
    assert_eq!(envoy.paths(), [""; 0]);
}

#[test]
fn the_record_belongs_to_the_source_of_the_keys_and_what_is_asked_of_them() {
    let name = |fields| {
        let envoy = Envoy::with(&config(fields), 1);
        envoy.workers[0].keys.record_name(R).unwrap().to_owned()
    };
    let base = name(json!({}));
    assert_eq!(base, name(json!({})));
    assert_eq!(base, name(json!({"audiences": ["other"], "keys": {"refresh_interval": "1m"}})));
    for fields in [
        json!({"issuer": "https://sso/realms/r2"}),
        json!({"cluster": "keycloak2"}),
        json!({"authority": "sso2"}),
        json!({"discovery_path": "/d"}),
        json!({"jwks_path": "/j"}),
        json!({"algorithms": ["ES256", "RS256"]}),
    ] {
        assert_ne!(base, name(fields.clone()), "{fields}");
    }
    let mut smaller = config(json!({}));
    smaller["limits"] = json!({"max_jwks_bytes": 1000});
    assert_ne!(base, Envoy::with(&smaller, 1).workers[0].keys.record_name(R).unwrap());
    assert!(base.starts_with("portcullis/"));
    assert_eq!(Envoy::new(1).workers[0].keys.record_name(RealmId(5)), None);
}

#[test]
fn a_configured_path_needs_no_discovery_ever() {
    let mut envoy = Envoy::with(&config(json!({"jwks_path": "/certs?x=y"})), 2);
    envoy.keycloak = down();
    envoy.run(20 * SECOND, |_, _| {});
    let paths = envoy.paths();
    assert!(paths.len() > 3 && paths.iter().all(|path| path == "/certs?x=y"), "{paths:?}");
}

#[test]
fn the_next_round_is_soon_where_something_is_awaited_and_else_within_a_second() {
    let next = |envoy: &Envoy, worker: usize| envoy.workers[worker].keys.next_round(envoy.now);
    let mut envoy = Envoy::new(3);
    assert_eq!(next(&envoy, 0), BUSY_POLL, "cold");
    envoy.round(0);
    envoy.round(1);
    assert_eq!(next(&envoy, 1), BUSY_POLL, "another one fetches");
    envoy.answer_all();
    envoy.settle();
    assert_eq!(next(&envoy, 1), IDLE_POLL, "fresh");

    envoy.ask(1, "k2");
    assert_eq!(next(&envoy, 1), BUSY_POLL, "a fetch may begin");
    envoy.ask(2, "k2");
    envoy.round(1);
    envoy.round(2);
    assert_eq!(next(&envoy, 2), BUSY_POLL, "a request waits for another one's fetch");
    envoy.keycloak = down();
    envoy.answer_all();
    envoy.settle();
    assert_eq!(next(&envoy, 2), IDLE_POLL, "it failed, and nobody waits");

    envoy.pass(300 * SECOND);
    envoy.settle();
    for worker in 0..3 {
        let next = next(&envoy, worker);
        assert!((BUSY_POLL..=IDLE_POLL).contains(&next), "back-off: {next:?}");
    }
}

#[test]
fn every_moment_has_a_next_round_within_bounds() {
    let mut envoy = Envoy::new(3);
    let mut kid = 0;
    envoy.run(700 * SECOND, |envoy, worker| {
        kid += 1;
        envoy.ask(worker, &format!("{}", kid % 7));
        if kid % 5 == 0 {
            envoy.keycloak = if kid % 2 == 0 { down() } else { serving(&["k1", "3"]) };
        }
        for worker in &envoy.workers {
            let next = worker.keys.next_round(envoy.now);
            assert!((BUSY_POLL..=IDLE_POLL).contains(&next), "{next:?}");
        }
    });
}

#[test]
fn the_store_survives_the_ends_of_the_clock() {
    for start in [0, u64::MAX - 1_000] {
        let mut envoy = Envoy::new(2);
        envoy.now = Monotonic(start);
        envoy.workers.iter_mut().for_each(|worker| {
            worker.keys = KeyStore::new(&envoy.filter, 1 + start % 7, envoy.now);
        });
        envoy.settle();
        envoy.all_say("k1", &Found);
    }
}
