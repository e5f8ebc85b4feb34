//! Requests with tokens, where the keys are there.

use super::*;
use crate::testing::test;

#[test]
fn a_good_token_goes_upstream_as_identity_headers() {
    let gate = Gate::warm();
    let head = get(SELFCARE, "/rest/Customer/get_list").bearer(&Minter::customers().token());
    gate.check(&head, "allowed rest token");
    let Step::Done(Decision::Forward { request, permit, .. }) = gate.start(&head) else { panic!("refused") };
    assert_eq!(&*permit.realm, "customers");
    let sent = upstream(&head, &request);
    let value = |name: &str| sent.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice());
    assert_eq!(value("x-porta-realm"), Some(&b"customers"[..]));
    assert_eq!(value("x-porta-user"), Some(&b"bob"[..]));
    assert_eq!(value("x-porta-email"), Some(&b"bob@example.com"[..]));
    assert_eq!(value("x-porta-customer"), Some(&b"4711"[..]));
    assert_eq!(value("x-porta-roles"), Some(&b"customer,offline_access,portaswitch:billing"[..]));
    assert_eq!(value("x-porta-superuser"), Some(&b"false"[..]));
    assert_eq!(value(":path"), Some(&b"/rest/Customer/get_list"[..]));
    assert_eq!(value("authorization"), None);
    assert_eq!(sent.len(), 4 + 7);
}

#[test]
fn the_token_goes_upstream_where_that_is_wanted() {
    let mut document = document();
    document["identity"]["forward_token"] = json!(true);
    let gate = Gate::with(&document);
    let head = get(SELFCARE, "/rest/x").bearer(&Minter::customers().token());
    let Step::Done(Decision::Forward { request, .. }) = gate.start(&head) else { panic!("refused") };
    assert!(upstream(&head, &request).iter().any(|(name, _)| name == "authorization"));
    let public = get(SELFCARE, "/health").bearer(&Minter::customers().token());
    let Step::Done(Decision::Forward { request, .. }) = gate.start(&public) else { panic!("refused") };
    assert!(!upstream(&public, &request).iter().any(|(name, _)| name == "authorization"));
}

#[test]
fn without_a_credential_there_is_a_challenge_without_an_error() {
    let gate = Gate::warm();
    let head = get(SELFCARE, "/rest/Invoice/1");
    gate.check(&head, "401 no_credential");
    let Step::Done(Decision::Reply { reply, refusal }) = gate.start(&head) else { panic!("allowed") };
    let challenge = reply.headers.iter().find(|(name, _)| *name == "www-authenticate").unwrap();
    assert_eq!(challenge.1, "Bearer realm=\"customers\"");
    assert_eq!(
        refusal.to_string(),
        r#"refused status=401 reason=no_credential realm="customers" rule="invoices" request_id="id-1""#
    );
}

#[test]
fn what_the_rule_requires_is_required() {
    let gate = Gate::warm();
    let check = |path: &str, changes: Value, expect: &str| {
        gate.check(&get(SELFCARE, path).bearer(&Minter::customers().token_with(changes)), expect);
    };
    check("/rest/Invoice/1", json!({}), "allowed invoices token");
    check("/rest/Invoice/1", json!({"resource_access": null}), "403 missing_role");
    check(
        "/rest/Invoice/1",
        json!({"realm_access": {"roles": ["customer", "suspended"]}}),
        "403 missing_role",
    );
    check("/rest/x", json!({"realm_access": {"roles": ["Customer", "customer "]}}), "403 missing_role");
    check(
        "/rest/x",
        json!({"realm_access": null, "resource_access": {"portaswitch": {"roles": ["customer"]}}}),
        "403 missing_role",
    );
    check("/rest/Sim/1", json!({}), "401 step_up");
    check("/rest/Sim/1", json!({"acr": "gold", "amr": ["otp"]}), "allowed sensitive token");
    check("/rest/Sim/1", json!({"acr": "gold", "amr": ["otp"], "auth_time": NOW.0 - 901}), "401 step_up");
    check("/rest/x", json!({"preferred_username": null}), "403 missing_identity");
    check("/rest/x", json!({"email": "a\r\nx-porta-user: admin"}), "401 claim_control");
    check("/rest/x", json!({"email": "a".repeat(2049)}), "401 claim_too_long");
}

#[test]
fn the_subject_is_recorded_of_accepted_tokens_only() {
    let gate = Gate::warm();
    for (changes, subject) in [
        (json!({"realm_access": null}), Some("8f0b7d1e-3c55-4f5a-9d0c-2f4f5b6a7c81")),
        (json!({"exp": NOW.0 - 60}), None),
    ] {
        let head = get(SELFCARE, "/rest/x").bearer(&Minter::customers().token_with(changes));
        let Step::Done(Decision::Reply { refusal, .. }) = gate.start(&head) else { panic!("allowed") };
        assert_eq!(refusal.subject.as_deref(), subject);
    }
}

#[test]
fn a_token_of_the_other_realm_is_refused_by_name_and_never_waits() {
    for gate in [Gate::warm(), Gate::cold(&document())] {
        let customer = get(ADMIN, "/rest/x").bearer(&Minter::customers().token());
        gate.check(&customer, "401 token_other_realm");
        let admin = Minter::admins();
        let admin = admin.mint(&admin.header(), &admin_claims());
        gate.check(&get(SELFCARE, "/rest/x").bearer(&admin), "401 token_other_realm");
    }
    let admin = Minter::admins();
    let admin = admin.mint(&admin.header(), &admin_claims());
    Gate::warm().check(&get(ADMIN, "/x").bearer(&admin), "allowed all token");
}

#[test]
fn a_foreign_issuer_never_waits() {
    for gate in [Gate::warm(), Gate::cold(&document())] {
        for iss in [
            json!("https://sso.csp.com/realms/customers/"),
            json!("https://sso.csp.com/realms/Customers"),
            json!("http://sso.csp.com/realms/customers"),
            json!("https://evil/realms/customers"),
            json!("https://sso.csp.com/realms/third"),
            json!([CUSTOMERS]),
            json!(1),
            Value::Null,
        ] {
            let token = Minter::new(Holder::Other, Algorithm::Rs256, "x").token_with(json!({ "iss": iss }));
            gate.check(&get(SELFCARE, "/rest/x").bearer(&token), "401 token_issuer");
        }
    }
}

#[test]
fn the_key_must_be_the_realms_and_the_algorithm_the_keys() {
    let gate = Gate::warm();
    let check = |token: &str, expect: &str| gate.check(&get(SELFCARE, "/rest/x").bearer(token), expect);
    // Another realm's key that says it is ours, under our id and under its own.
    check(&Minter::new(Holder::Other, Algorithm::Rs256, "customers-1").token(), "401 token_signature");
    check(&Minter::admins().token(), "wait customers admins-1");
    // The realm allows ES256, but this key is an RSA key.
    check(&Minter::new(Holder::Ours, Algorithm::Es256, "customers-1").token(), "401 token_algorithm");
    for alg in [Algorithm::Rs384, Algorithm::Ps256, Algorithm::EdDsa] {
        check(&Minter::new(Holder::Ours, alg, "customers-1").token(), "401 token_algorithm");
    }
}

#[test]
fn headers_that_bring_a_key_or_break_the_rules_never_wait() {
    for gate in [Gate::warm(), Gate::cold(&document())] {
        let attacker = Minter::new(Holder::Other, Algorithm::Rs256, "attacker-1");
        let check = |changes: Value, expect: &str| {
            let mut header = attacker.header();
            testing::change(&mut header, changes);
            let token = attacker.mint(&header, &testing::claims());
            gate.check(&get(SELFCARE, "/rest/x").bearer(&token), expect);
        };
        check(json!({"jwk": attacker.jwk()}), "401 token_header_member");
        check(json!({"jku": "https://evil/certs"}), "401 token_header_member");
        check(json!({"x5u": "https://evil/cert"}), "401 token_header_member");
        check(json!({"x5c": ["MII="]}), "401 token_header_member");
        for crit in [json!([]), json!(["exp"]), json!(["b64"]), json!(["x"])] {
            check(json!({"crit": crit}), "401 token_header_member");
        }
        check(json!({"b64": false}), "401 token_header_member");
        check(json!({"b64": true}), "401 token_header_member");
        check(json!({"zip": "DEF"}), "401 token_header_member");
        check(json!({"kid": null}), "401 token_kid");
        for kid in [json!(1), json!(["customers-1"]), json!(""), json!("k".repeat(10_000))] {
            check(json!({ "kid": kid }), "401 token_kid");
        }
        // Well-formed as they are, these are only ever looked up, as any other id.
        for kid in ["../../dev/null", "' OR 1=1", "a\u{0}b", "https://evil/k"] {
            check(json!({ "kid": kid }), &format!("wait customers {kid}"));
        }
        check(json!({"typ": "logout+jwt"}), "401 token_header_typ");
        for alg in ["none", "None", "HS256", "", "ES512"] {
            check(json!({ "alg": alg }), "401 token_algorithm");
        }
        check(json!({"alg": "PS256"}), "401 token_algorithm");
    }
}

#[test]
fn tokens_are_judged_by_the_wall_clock_and_keys_by_the_other_one() {
    let mut gate = Gate::warm();
    let head = get(SELFCARE, "/rest/x").bearer(&Minter::customers().token());
    let (now, monotonic) = (gate.env.now, gate.env.monotonic);
    gate.check(&head, "allowed rest token");
    gate.env.now = UnixTime(now.0 + 3_600);
    gate.check(&head, "401 token_expired");
    gate.env.now = UnixTime(now.0 - 3_600);
    gate.check(&head, "401 token_iat");
    gate.env = Env { now, monotonic: Monotonic(monotonic.0 + 23 * 3_600_000) };
    gate.check(&head, "allowed rest token");
    gate.env.monotonic = Monotonic(monotonic.0 + 24 * 3_600_000);
    gate.check(&head, "wait customers customers-1");
}

#[test]
fn a_token_that_is_too_large_is_not_even_read() {
    let gate = Gate::warm();
    let token = Minter::customers().token_with(json!({"padding": "x".repeat(12_000)}));
    assert!(token.len() > 16_384);
    gate.check(&get(SELFCARE, "/rest/x").bearer(&token), "401 token_too_large");
    let token = Minter::customers().token_with(json!({"padding": "x".repeat(10_500)}));
    assert!(token.len() > 14_000 && token.len() <= 16_384);
    gate.check(&get(SELFCARE, "/rest/x").bearer(&token), "allowed rest token");
}

#[test]
fn authorization_is_one_bearer_token_or_nothing() {
    let gate = Gate::warm();
    let token = Minter::customers().token();
    let rest = || get(SELFCARE, "/rest/x");
    let value = |value: String| rest().with("authorization", value);
    for scheme in ["Bearer", "bearer", "BEARER"] {
        gate.check(&value(format!("{scheme} {token}")), "allowed rest token");
    }
    for (bad, expect) in [
        (format!("Bearer  {token}"), "401 malformed_credential"),
        (format!("Bearer\t{token}"), "401 malformed_credential"),
        ("Bearer ".to_owned(), "401 malformed_credential"),
        (format!("Bearer {token},Bearer {token}"), "400 ambiguous_credential"),
        (format!("Bearer {token} {token}"), "400 ambiguous_credential"),
        (format!("Basic dTpwd2Q=, Bearer {token}"), "400 ambiguous_credential"),
        ("Basic dTpwd2Q=".to_owned(), "401 no_credential"),
        ("Negotiate YIIJvwYG".to_owned(), "401 no_credential"),
        (format!("DPoP {token}"), "401 no_credential"),
        (token.clone(), "401 no_credential"),
        (format!("Bearer {token}="), "401 token_malformed"),
    ] {
        gate.check(&value(bad), expect);
    }
    for (first, second) in [(&token, "x"), (&token, &token)] {
        gate.check(&rest().bearer(first).bearer(second), "400 ambiguous_credential");
        gate.check(&rest().bearer(second).bearer(first), "400 ambiguous_credential");
        gate.check(
            &rest().bearer(first).with("Authorization", format!("Basic {second}")),
            "400 ambiguous_credential",
        );
    }
    let with_query = |path: &str| get(SELFCARE, &format!("{path}?access_token={token}"));
    gate.check(&with_query("/rest/x"), "401 no_credential");
    gate.check(&with_query("/rest/x").bearer(&token), "400 ambiguous_credential");
}
