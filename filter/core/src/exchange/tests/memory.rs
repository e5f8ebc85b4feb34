//! Tokens that were seen before: a hit says what a first look would say.

use super::*;
use crate::testing::test;

fn remembered(gate: &Gate) -> usize {
    gate.memory.lock().unwrap().accepted.size().0
}

fn invoices(token: &str) -> Head {
    get(SELFCARE, "/rest/Invoice/x").bearer(token)
}

#[test]
fn a_token_is_remembered_once_it_was_accepted_and_says_the_same_again() {
    let gate = Gate::warm();
    let head = invoices(&Minter::customers().token());
    let edits = |step| match step {
        Step::Done(Decision::Forward { request, .. }) => request,
        other => panic!("{other:?}"),
    };
    let first = edits(gate.start(&head));
    assert_eq!(remembered(&gate), 1);
    let spoofed = head.clone().with("x-porta-user", "root");
    assert_eq!(edits(gate.start(&head)), first);
    gate.check(&spoofed, "allowed invoices token");
    assert_eq!(remembered(&gate), 1);
}

#[test]
fn a_refused_token_is_not_remembered() {
    let gate = Gate::warm();
    let minter = Minter::customers();
    let claims = |change: Value| {
        let mut claims = testing::claims();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims
    };
    for (change, expect) in [
        (json!({"exp": NOW.0 - 60}), "401 token_expired"),
        (json!({"realm_access": {"roles": []}}), "403 missing_role"),
        (json!({"preferred_username": ""}), "403 missing_identity"),
    ] {
        gate.check(&invoices(&minter.mint(&minter.header(), &claims(change))), expect);
    }
    let mut forged = minter.token();
    forged.truncate(forged.len() - 8);
    gate.check(&invoices(&format!("{forged}AAAAAAAA")), "401 token_signature");
    assert_eq!(remembered(&gate), 0);
}

#[test]
fn time_is_asked_anew_at_every_hit() {
    let mut gate = Gate::warm();
    let head = invoices(&Minter::customers().token());
    gate.check(&head, "allowed invoices token");
    // The tokens of `testing` live for 300 s, and the gate was warmed for 60 s.
    gate.pass(300 - 60 + 29);
    gate.check(&head, "allowed invoices token");
    gate.pass(1);
    gate.check(&head, "401 token_expired");
    // The wall clock is set back beyond `iat`.
    gate.env.now = UnixTime(NOW.0 - 31);
    gate.check(&head, "401 token_iat");
}

#[test]
fn another_rule_is_judged_on_its_own() {
    let mut gate = Gate::warm();
    let minter = Minter::customers();
    let mut claims = testing::claims();
    claims["acr"] = json!("gold");
    claims["amr"] = json!(["otp"]);
    claims["auth_time"] = json!(NOW.0 - 800);
    let token = minter.mint(&minter.header(), &claims);
    let sensitive = get(SELFCARE, "/rest/Sim/x").bearer(&token);
    gate.check(&invoices(&token), "allowed invoices token");
    gate.check(&sensitive, "allowed sensitive token");
    assert_eq!(remembered(&gate), 1);
    // `max_age` is 15 minutes: the grant ends while the token goes on.
    gate.pass(40);
    gate.check(&sensitive, "allowed sensitive token");
    gate.pass(1);
    gate.check(&sensitive, "401 step_up");
    gate.check(&invoices(&token), "allowed invoices token");
}

#[test]
fn a_token_of_one_realm_is_nothing_to_the_other() {
    let gate = Gate::warm();
    let token = Minter::customers().token();
    gate.check(&invoices(&token), "allowed invoices token");
    gate.check(&get(ADMIN, "/").bearer(&token), "401 token_other_realm");
    gate.check(&invoices(&token), "allowed invoices token");
}

#[test]
fn a_withdrawn_key_takes_its_tokens_along() {
    let mut gate = Gate::warm();
    let (old, new) = (Minter::customers(), Minter::new(Holder::Other, Algorithm::Rs256, "new"));
    let head = invoices(&old.token());
    gate.check(&head, "allowed invoices token");
    gate.pass(240);
    gate.env.now = NOW;
    // The same keys again are no change, and cost nobody a second look.
    assert_eq!(gate.fetch("customers", Ok(&[old.jwk()])), "fetched 1");
    gate.check(&head, "allowed invoices token");
    gate.pass(300);
    gate.env.now = NOW;
    assert_eq!(gate.fetch("customers", Ok(&[new.jwk()])), "fetched 1");
    gate.check(&head, &format!("wait customers {}", old.kid));
    assert_eq!(gate.fetch("admins", Ok(&[Minter::admins().jwk()])), "fetched 1");
}

#[test]
fn keys_that_are_too_old_serve_no_remembered_token_either() {
    let mut gate = Gate::warm();
    let head = invoices(&Minter::customers().token());
    gate.check(&head, "allowed invoices token");
    gate.pass(24 * 3600);
    gate.env.now = NOW;
    gate.check(&head, &format!("wait customers {}", Minter::customers().kid));
}

#[test]
fn the_memory_is_bounded_in_bytes_and_tokens() {
    let minter = Minter::customers();
    let token = |n: u32| {
        let mut claims = testing::claims();
        claims["jti"] = json!(n);
        minter.mint(&minter.header(), &claims)
    };
    for (limits, most) in [
        (json!({"max_remembered_tokens": 10}), 10),
        (json!({"max_remembered_tokens": 1}), 0),
        (json!({"max_remembered_tokens": 0}), 0),
        (json!({"max_remembered_bytes": 0}), 0),
        (json!({"max_remembered_bytes": 20_000}), 10),
    ] {
        let mut document = document();
        document["limits"] = limits.clone();
        let gate = Gate::with(&document);
        for n in 0..30 {
            gate.check(&invoices(&token(n)), "allowed invoices token");
            let (tokens, bytes) = gate.memory.lock().unwrap().accepted.size();
            let max_bytes = limits.get("max_remembered_bytes").and_then(Value::as_u64).unwrap_or(u64::MAX);
            assert!(tokens <= most && bytes as u64 <= max_bytes, "{limits}: {tokens} tokens, {bytes} bytes");
        }
        assert!(remembered(&gate) >= most / 2, "{limits}");
        // What is used again survives what is not.
        let kept = invoices(&token(100));
        for n in 200..230 {
            gate.check(&kept, "allowed invoices token");
            gate.check(&invoices(&token(n)), "allowed invoices token");
        }
        let found = gate.memory.lock().unwrap().accepted.holds(&token(100));
        assert_eq!(found, most > 0, "{limits}");
    }
}
