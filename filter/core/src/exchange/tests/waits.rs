//! Requests that wait for keys.

use super::*;
use crate::testing::test;

fn customer() -> Head {
    get(SELFCARE, "/rest/x").bearer(&Minter::customers().token())
}

/// A request that waits for the customers' keys.
#[track_caller]
fn waiting(gate: &mut Gate) -> Box<Exchange> {
    let Step::Wait(exchange, Need::Keys(realm, Some(kid))) = gate.start(&customer()) else {
        panic!("decided")
    };
    gate.keys.want(realm, &kid, gate.env.monotonic);
    exchange
}

#[track_caller]
fn check_resumed(gate: &Gate, exchange: Box<Exchange>, input: Input, expect: &str) {
    let step = gate.resume(exchange, input);
    gate.check_step(&customer(), &step, expect);
}

#[test]
fn a_request_waits_for_the_first_keys() {
    let mut gate = Gate::cold(&document());
    gate.check(&customer(), "wait customers customers-1");
    let exchange = waiting(&mut gate);
    assert_eq!(gate.fetch("customers", Ok(&[Minter::customers().jwk()])), "fetched 1");
    check_resumed(&gate, exchange, Input::KeysChanged, "allowed rest token");
}

#[test]
fn a_request_waits_for_a_key_that_was_just_published() {
    let mut gate = Gate::warm();
    let next = Minter::new(Holder::Other, Algorithm::Rs256, "customers-2");
    let head = get(SELFCARE, "/rest/x").bearer(&next.token());
    let Step::Wait(exchange, Need::Keys(realm, Some(kid))) = gate.start(&head) else { panic!("decided") };
    assert_eq!(kid, "customers-2");
    gate.keys.want(realm, &kid, gate.env.monotonic);
    assert_eq!(gate.fetch("customers", Ok(&[Minter::customers().jwk(), next.jwk()])), "fetched 2");
    check_resumed(&gate, exchange, Input::KeysChanged, "allowed rest token");
    gate.check(&customer(), "allowed rest token");
}

#[test]
fn a_key_that_the_fetch_did_not_bring_is_unknown() {
    let mut gate = Gate::warm();
    let forged = Minter::new(Holder::Other, Algorithm::Rs256, "customers-2");
    let head = get(SELFCARE, "/rest/x").bearer(&forged.token());
    let Step::Wait(exchange, Need::Keys(realm, Some(kid))) = gate.start(&head) else { panic!("decided") };
    gate.keys.want(realm, &kid, gate.env.monotonic);
    assert_eq!(gate.fetch("customers", Ok(&[Minter::customers().jwk()])), "fetched 1");
    check_resumed(&gate, exchange, Input::KeysChanged, "401 token_unknown_kid");
    gate.check(&head, "401 token_unknown_kid");
    assert_eq!(gate.fetch("customers", Ok(&[])), "nothing to fetch");
}

#[test]
fn a_fetch_that_failed_is_our_fault_and_not_the_clients() {
    for mut gate in [Gate::cold(&document()), Gate::warm()] {
        let new = Minter::new(Holder::Ours, Algorithm::Rs256, "customers-2");
        let head = get(SELFCARE, "/rest/x").bearer(&new.token());
        let Step::Wait(exchange, Need::Keys(realm, Some(kid))) = gate.start(&head) else { panic!("decided") };
        gate.keys.want(realm, &kid, gate.env.monotonic);
        assert_eq!(gate.fetch("customers", Err(CallError::Unreachable)), "Failed(Unreachable)");
        check_resumed(&gate, exchange, Input::KeysChanged, "503 keys_unavailable");
        gate.check(&head, "503 keys_unavailable");
        // The other realm is not concerned.
        let admin = Minter::new(Holder::Other, Algorithm::Rs256, "admins-1");
        let admin = get(ADMIN, "/x").bearer(&admin.mint(&admin.header(), &admin_claims()));
        let step = gate.start(&admin);
        assert!(matches!(step, Step::Wait(..) | Step::Done(Decision::Forward { .. })), "{step:?}");
    }
}

#[test]
fn a_wait_ends() {
    let mut gate = Gate::cold(&document());
    let exchange = waiting(&mut gate);
    check_resumed(&gate, exchange, Input::Deadline, "503 waited_too_long");
    let exchange = waiting(&mut gate);
    check_resumed(&gate, exchange, Input::Overflow, "503 too_many_waiting");
    let (first, second) = (waiting(&mut gate), waiting(&mut gate));
    check_resumed(&gate, first, Input::KeysChanged, "wait customers customers-1");
    gate.fetch("customers", Ok(&[Minter::customers().jwk()]));
    check_resumed(&gate, second, Input::Deadline, "allowed rest token");
}

#[test]
fn what_waited_is_judged_by_the_time_of_its_end() {
    let mut gate = Gate::cold(&document());
    let exchange = waiting(&mut gate);
    gate.pass(400);
    gate.fetch("customers", Ok(&[Minter::customers().jwk()]));
    check_resumed(&gate, exchange, Input::KeysChanged, "401 token_expired");
}

#[test]
fn a_refusal_after_a_wait_looks_like_any_other() {
    let mut gate = Gate::cold(&document());
    let head = get(PORTAL, "/x").bearer(&Minter::customers().token());
    let Step::Wait(exchange, _) = gate.start(&head) else { panic!("decided") };
    gate.fetch("customers", Ok(&[Minter::new(Holder::Other, Algorithm::Rs256, "customers-1").jwk()]));
    let step = gate.resume(exchange, Input::KeysChanged);
    let Step::Done(Decision::Reply { reply, refusal }) = step else { panic!("allowed") };
    assert_eq!(refusal.denial, Denial::Token(TokenError::Signature));
    assert_eq!((refusal.rule.as_deref(), refusal.request_id.as_deref()), (Some("all"), Some("id-1")));
    assert_eq!(reply.status, 500);
    assert!(reply.body.contains("Server.Session.check_auth.auth_failed"), "{}", reply.body);
}
