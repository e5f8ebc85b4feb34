//! Key ids that are not among the keys.

use super::*;
use crate::testing::test;

#[test]
fn an_unknown_kid_is_fetched_once_for_all_workers() {
    let mut envoy = Envoy::warm(4);
    envoy.keycloak = serving(&["k1", "k2"]);
    for worker in 0..4 {
        assert_eq!(envoy.ask(worker, "k2"), Wait);
    }
    (0..4).for_each(|worker| envoy.round(worker));
    envoy.all_say("k2", &Wait);
    envoy.all_say("k1", &Found);
    envoy.answer_all();
    let news: Vec<_> = envoy.workers.iter().map(|worker| worker.news).collect();
    (0..4).for_each(|worker| envoy.round(worker));
    envoy.all_say("k2", &Found);
    assert!(envoy.workers.iter().zip(news).skip(1).all(|(worker, before)| worker.news > before));
    assert_eq!(envoy.paths(), [CERTS]);
}

#[test]
fn a_kid_that_was_fetched_for_and_is_not_there_is_unknown() {
    let mut envoy = Envoy::warm(3);
    assert_eq!(envoy.ask(0, "x"), Wait);
    envoy.settle();
    envoy.all_say("x", &Unknown);
    assert_eq!(envoy.paths(), [CERTS]);
    // Other ids meanwhile: fetched lately, and not there.
    envoy.pass(9 * SECOND);
    for worker in 0..3 {
        assert_eq!(envoy.ask(worker, "y"), Unknown);
    }
    envoy.settle();
    assert_eq!(envoy.paths(), [""; 0]);
    envoy.pass(SECOND);
    assert_eq!(envoy.ask(1, "y"), Wait);
}

#[test]
fn a_kid_that_is_never_there_is_fetched_for_ever_more_seldom() {
    let mut envoy = Envoy::warm(1);
    envoy.run(290 * SECOND, |envoy, worker| {
        envoy.ask(worker, "gone");
    });
    let gaps = envoy.gaps();
    for (gap, expect) in gaps.iter().zip([10.0, 20.0, 40.0, 80.0]) {
        assert!((expect..=expect + 2.0).contains(gap), "{gaps:?}");
    }
    assert!((4..=6).contains(&gaps.len()), "{gaps:?}");
}

#[test]
fn a_key_that_comes_late_is_found_with_the_next_fetch() {
    let mut envoy = Envoy::warm(2);
    assert_eq!(envoy.ask(0, "k2"), Wait);
    envoy.settle();
    envoy.keycloak = serving(&["k2"]);
    envoy.pass(10 * SECOND);
    assert_eq!(envoy.ask(1, "k2"), Wait);
    envoy.settle();
    envoy.all_say("k2", &Found);
}

#[test]
fn a_refetch_that_failed_leaves_it_open_whether_the_key_is_there() {
    let mut envoy = Envoy::warm(3);
    envoy.keycloak = down();
    assert_eq!(envoy.ask(0, "k2"), Wait);
    envoy.settle();
    envoy.all_say("k2", &Unavailable);
    envoy.all_say("k1", &Found);
    // Neither does the end of the back-off turn it into a 401 within the cooldown.
    envoy.pass(5 * SECOND);
    envoy.settle();
    envoy.all_say("k2", &Unavailable);
    assert_eq!(envoy.paths(), [CERTS]);
    envoy.pass(5 * SECOND);
    envoy.keycloak = serving(&["k2"]);
    assert_eq!(envoy.ask(2, "k2"), Wait);
    envoy.settle();
    envoy.all_say("k2", &Found);
}

#[test]
fn ten_thousand_random_kids_cost_one_fetch_in_a_cooldown() {
    let mut envoy = Envoy::warm(4);
    let mut kids = 0;
    envoy.run(100 * SECOND, |envoy, worker| {
        for _ in 0..25 {
            envoy.ask(worker, &format!("random-{kids}"));
            kids += 1;
        }
        assert_eq!(envoy.find(worker, "k1"), Found);
    });
    assert!(kids >= 10_000, "{kids}");
    let gaps = envoy.gaps();
    assert!(gaps.iter().all(|gap| *gap >= 10.0), "{gaps:?}");
    assert!(gaps.len() >= 8, "and it goes on looking: {gaps:?}");
}

#[test]
fn what_requests_wish_for_is_bounded() {
    let mut envoy = Envoy::warm(1);
    for n in 0..100_000 {
        envoy.workers[0].keys.want(R, &format!("random-{n}"), envoy.now);
    }
    assert!(envoy.workers[0].keys.realms[0].wanted.len() <= 1_024);
}

#[test]
fn a_refetch_whose_holder_died_leaves_it_open_whether_the_key_is_there() {
    let mut envoy = Envoy::warm(2);
    envoy.ask(0, "k2");
    envoy.round(0);
    envoy.workers[0].pending.clear();
    envoy.round(1);
    assert_eq!(envoy.ask(1, "k2"), Wait);
    envoy.pass(8 * SECOND);
    envoy.round(1);
    assert_eq!(envoy.ask(1, "k2"), Unavailable);
    envoy.pass(2 * SECOND);
    envoy.keycloak = serving(&["k2"]);
    envoy.round(1);
    envoy.answer_all();
    assert_eq!(envoy.find(1, "k2"), Found);
}

#[test]
fn keys_that_were_asked_for_before_a_kid_was_wanted_say_nothing_of_it() {
    let mut envoy = Envoy::new(2);
    envoy.round(0);
    envoy.answered(0, R);
    // Keycloak has read its keys for the call under way when it gets a new one.
    envoy.pass(SECOND);
    assert_eq!(envoy.ask(0, "k2"), Wait);
    assert_eq!(envoy.ask(1, "k2"), Wait);
    envoy.answered(0, R);
    envoy.observe_all(1);
    envoy.all_say("k2", &Wait);
    envoy.keycloak = serving(&["k1", "k2"]);
    envoy.settle();
    envoy.all_say("k2", &Found);
    assert_eq!(envoy.paths(), [DISCOVERY, CERTS, CERTS]);
}
