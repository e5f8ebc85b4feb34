//! What holds for requests, tokens and configurations that nobody thought of.

use crate::testing::test;
mod strategies;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Verifier as _;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::RngSeed;
use rsa::BigUint;

use super::*;
use crate::authority::Host;
use crate::identity::fold;
use crate::jose::jwk::KeySet;
use crate::path::NormalPath;

use strategies::*;

/// Cases are the same in every run; `PROPTEST_CASES` makes more of them.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    // WebAssembly is slow at this, and other there are the integers and not the decisions.
    let cases = if cfg!(target_family = "wasm") { default.cases / 8 } else { default.cases };
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..default }
}

fn kids() -> [(&'static str, Minter); 2] {
    let second = Minter::new(Holder::Ours, Algorithm::Es256, "customers-2");
    [("customers-1", Minter::customers()), ("customers-2", second)]
}

/// A gate with an RSA and an EC key of the customers' realm.
static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let mut gate = Gate::cold(&document());
    gate.fetch("customers", Ok(&kids().map(|(_, minter)| minter.jwk())));
    gate.fetch("admins", Ok(&[Minter::admins().jwk()]));
    gate.pass(1);
    gate
});

fn ground(step: &Step) -> Option<&Ground> {
    match step {
        Step::Done(Decision::Forward { permit, .. }) => Some(&permit.ground),
        _ => None,
    }
}

/// Judges a token for `/rest/x` at the customers' site without a line of ours: the algorithms' own crates
/// on the published numbers, and the claims as the design lists them.
fn reference(token: &str) -> bool {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts[..] else { return false };
    let read = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
    let object = |part: &str| -> Option<Value> { serde_json::from_slice(&read(part)?).ok() };
    let (Some(header_json), Some(claims), Some(signature)) =
        (object(header), object(payload), read(signature))
    else {
        return false;
    };
    let jwks = kids().map(|(kid, minter)| (kid, minter.jwk()));
    let Some((_, jwk)) = jwks.iter().find(|(kid, _)| header_json["kid"] == *kid) else { return false };
    let number = |name: &str| read(jwk[name].as_str().unwrap()).unwrap();
    let message = format!("{header}.{payload}");
    let holds = match header_json["alg"].as_str() {
        Some("RS256") if jwk["kty"] == "RSA" => {
            let (n, e) = (BigUint::from_bytes_be(&number("n")), BigUint::from_bytes_be(&number("e")));
            let key = rsa::pkcs1v15::VerifyingKey::<sha2::Sha256>::new(rsa::RsaPublicKey::new(n, e).unwrap());
            rsa::pkcs1v15::Signature::try_from(signature.as_slice())
                .is_ok_and(|signature| key.verify(message.as_bytes(), &signature).is_ok())
        }
        Some("ES256") if jwk["kty"] == "EC" => {
            let point = [&[4], number("x").as_slice(), &number("y")].concat();
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap();
            p256::ecdsa::Signature::from_slice(&signature)
                .is_ok_and(|signature| key.verify(message.as_bytes(), &signature).is_ok())
        }
        _ => false,
    };
    let (now, skew) = (GATE.env.now.0, 30);
    let one_of = |value: &Value, names: &[&str]| value.as_str().is_some_and(|text| names.contains(&text));
    let has = |list: &Value, name: &str| {
        list.as_array()
            .is_some_and(|items| items.iter().all(Value::is_string) && items.iter().any(|item| item == name))
    };
    let (exp, iat) = (claims["exp"].as_u64().unwrap_or(0), claims["iat"].as_u64().unwrap_or(u64::MAX));
    holds
        && claims["typ"] == "Bearer"
        && claims["iss"] == CUSTOMERS
        && (claims["aud"] == "portaswitch" || has(&claims["aud"], "portaswitch"))
        && one_of(&claims["azp"], &["selfcare-ui", "cloudpbx-ui"])
        && exp + skew > now
        && iat <= now + skew
        && exp > iat
        && exp - iat <= 3_600
        && claims.get("nbf").is_none_or(|nbf| nbf.as_u64().is_some_and(|nbf| nbf <= now + skew))
        && has(&claims["realm_access"]["roles"], "customer")
        && ![Value::Null, json!(""), json!([]), json!({})].contains(&claims["preferred_username"])
}

/// Puts a value in the place of one of the document's.
fn replace(document: &mut Value, at: Index, by: Value) {
    fn walk<'v>(value: &'v mut Value, left: &mut usize) -> Option<&'v mut Value> {
        if *left == 0 {
            return Some(value);
        }
        *left -= 1;
        match value {
            Value::Array(items) => items.iter_mut().find_map(|item| walk(item, left)),
            Value::Object(members) => members.values_mut().find_map(|member| walk(member, left)),
            _ => None,
        }
    }
    fn count(value: &Value) -> usize {
        1 + match value {
            Value::Array(items) => items.iter().map(count).sum(),
            Value::Object(members) => members.values().map(count).sum(),
            _ => 0,
        }
    }
    let mut at = at.index(count(document));
    *walk(document, &mut at).unwrap() = by;
}

const PLACES: [(&str, &str); 5] = [
    (SELFCARE, "/rest/x"),
    (SELFCARE, "/rest/Invoice/1"),
    (SELFCARE, "/rest/Sim/1"),
    (PORTAL, "/x"),
    (ADMIN, "/x"),
];

static TOKENS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let [(_, rsa), (_, ec)] = kids();
    let admin = Minter::admins();
    vec![
        rsa.token(),
        ec.token(),
        ec.token_with(json!({"acr": "gold", "amr": ["otp"], "auth_time": NOW.0 - 700, "exp": NOW.0 + 1_500})),
        ec.token_with(json!({"nbf": NOW.0 + 60, "realm_access": {"roles": ["customer", "suspended"]}})),
        ec.token_with(json!({"realm_access": null, "acr": "2", "amr": ["otp"]})),
        Minter::new(Holder::Other, Algorithm::Es256, "customers-2").token(),
        admin.mint(&admin.header(), &admin_claims()),
    ]
});

/// Decodes every escape, as an upstream might.
fn decoded(path: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escape.filter(|_| *first == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    bytes
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_forwarded_verifies_elsewhere_too(
        minter in minter(),
        changes in proptest::collection::vec(claim_change(), 0..3),
    ) {
        let token = minter.token_with(changes.into_iter().collect::<serde_json::Map<_, _>>().into());
        let step = GATE.start(&get(SELFCARE, "/rest/x").bearer(&token));
        if ground(&step).is_some() {
            prop_assert!(reference(&token), "{step:?}");
        }
    }

    #[test]
    fn a_token_with_a_changed_byte_is_refused(ec in any::<bool>(), at in any::<Index>(), mask in 1..=255_u8) {
        let token = kids()[usize::from(ec)].1.token();
        prop_assert!(matches!(ground(&GATE.start(&get(SELFCARE, "/rest/x").bearer(&token))), Some(Ground::Token(_))));
        let mut bytes = token.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= mask;
        let head = get(SELFCARE, "/rest/x").with("authorization", [b"Bearer ".as_slice(), &bytes].concat());
        prop_assert!(ground(&GATE.start(&head)).is_none());
    }

    #[test]
    fn a_memory_of_tokens_changes_no_verdict(events in events()) {
        let mut document = document();
        document["limits"] = json!({"max_remembered_tokens": 6});
        let mut gate = Gate::with(&document);
        let (start, published) = (gate.env.now.0, kids().map(|(_, minter)| minter.jwk()));
        for event in events {
            match event {
                Event::Request(token, place) => {
                    let (host, path) = PLACES[place];
                    let head = get(host, path).bearer(&TOKENS[token]);
                    let remembering = format!("{:?}", gate.start(&head));
                    let mut forgetful = Memory::new(&gate.filter);
                    let first = Exchange::start(&mut gate.knowledge(&mut forgetful), &head.0, || None);
                    prop_assert_eq!(remembering, format!("{first:?}"));
                }
                Event::Pass(seconds) => gate.pass(seconds),
                Event::Set(by) => gate.env.now = UnixTime(start.saturating_add_signed(by)),
                Event::Publish(which) => {
                    gate.env.monotonic = gate.env.monotonic.plus(std::time::Duration::from_mins(5));
                    let keys = [&published[..], &published[..1], &published[1..], &[]][which];
                    gate.fetch("customers", Ok(keys));
                }
            }
        }
    }

    #[test]
    fn no_identity_header_of_a_client_goes_on(headers in headers(), with_token in any::<bool>(), at in 0..4_usize) {
        let path = ["/health", "/rest/x", "/rest/Session/ping", "/assets/a"][at];
        let mut head = get(SELFCARE, path);
        head.0.extend(headers.into_iter().filter(|(name, _)| !name.starts_with(':') && name != "authorization"));
        if with_token {
            head = head.bearer(&kids()[1].1.token());
        }
        if let Step::Done(Decision::Forward { request, permit, .. }) = GATE.start(&head) {
            GATE.check_forward(&head, &request, &permit);
            prop_assert!(request.set().iter().all(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
            for (name, value) in upstream(&head, &request) {
                let folded: Vec<u8> = fold(&name).collect();
                let ours = request.set().iter().any(|(set, text)| **set == *name && text.as_bytes() == value);
                prop_assert!(ours || !folded.starts_with(b"x-porta-"), "{name}");
                let names = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
                let connection = name.eq_ignore_ascii_case("connection");
                prop_assert!(!connection || !names.into_iter().any(|option| {
                    std::str::from_utf8(option).is_ok_and(|option| fold(option).collect::<Vec<_>>().starts_with(b"x-porta-"))
                }), "{}", value.escape_ascii());
            }
        }
    }

    #[test]
    fn no_head_is_too_strange_to_be_judged(head in any_head(), raw in headers()) {
        let step = GATE.start(&head);
        prop_assert!(!matches!(ground(&step), Some(Ground::Token(_))), "no token was minted: {step:?}");
        if let Step::Done(Decision::Reply { reply, refusal }) = &step {
            check_reply(&head, reply, refusal);
            prop_assert!(reply.headers.iter().all(|(_, value)| value.bytes().all(|byte| (b' '..=b'~').contains(&byte))));
        }
        GATE.start(&Head(raw, None));
    }

    #[test]
    fn a_normal_path_is_its_own_and_holds_no_tricks(bytes in path()) {
        let bytes = [b"/".as_slice(), &bytes].concat();
        if let Ok(normal) = NormalPath::parse(&bytes) {
            let again = NormalPath::parse(normal.as_str().as_bytes());
            prop_assert_eq!(again.as_ref().map(NormalPath::as_str), Ok(normal.as_str()));
            let once = decoded(normal.as_str());
            prop_assert!(std::str::from_utf8(&once).is_ok());
            let twice = decoded(&String::from_utf8_lossy(&once));
            for form in [normal.as_str().as_bytes(), &once, &twice] {
                prop_assert!(form.starts_with(b"/"));
                prop_assert!(!form.iter().any(|byte| byte.is_ascii_control() || b"\\#;".contains(byte)));
                let segments: Vec<&[u8]> = form.split(|byte| *byte == b'/').skip(1).collect();
                prop_assert!(!segments.iter().any(|segment| matches!(*segment, b"." | b"..")));
                prop_assert!(!segments.iter().rev().skip(1).any(|segment| segment.is_empty()));
                prop_assert_eq!(segments.len(), normal.segments().count());
            }
        }
    }

    #[test]
    fn a_canonical_host_is_its_own(bytes in authority()) {
        if let Some(host) = Host::parse(&bytes) {
            prop_assert_eq!(Host::parse(host.as_str().as_bytes()), Some(host.clone()));
            prop_assert!(!host.as_str().ends_with('.') && host.as_str() == host.as_str().to_ascii_lowercase());
        }
    }

    #[test]
    fn no_configuration_is_too_strange_to_be_refused(
        changes in proptest::collection::vec((any::<Index>(), any_json()), 1..3),
        cut in any::<Index>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut changed = document();
        for (at, value) in changes {
            replace(&mut changed, at, value);
        }
        let text = changed.to_string();
        if let Err(error) = Filter::parse(text.as_bytes()) {
            prop_assert!(!error.problem.is_empty());
        }
        let _ = Filter::parse(&text.as_bytes()[..cut.index(text.len())]);
        let _ = Filter::parse(&bytes);
    }

    #[test]
    fn no_jwk_set_is_too_strange_to_be_read(changes in proptest::collection::vec((any::<Index>(), any_json()), 0..4), text in ".{0,64}") {
        let mut set = json!({"keys": [kids()[0].1.jwk(), kids()[1].1.jwk(), kids()[1].1.jwk()]});
        for (at, value) in changes {
            replace(&mut set, at, value);
        }
        let allowed = [Algorithm::Rs256, Algorithm::Es256];
        if let Ok(keys) = KeySet::parse(&set.to_string(), &allowed) {
            prop_assert!((1..=3).contains(&keys.len()));
        }
        let _ = KeySet::parse(&text, &allowed);
    }
}

/// The properties above would hold for a filter that forwards nothing.
#[test]
fn the_reference_agrees_on_tokens_that_differ_in_one_point() {
    let mut verdicts = BTreeSet::new();
    for (kid, minter) in kids() {
        for changes in [
            json!({}),
            json!({"aud": "portaswitch"}),
            json!({"nbf": NOW.0}),
            json!({"exp": NOW.0 + 2_000}),
            json!({"exp": NOW.0 - 20, "iat": NOW.0 - 320}),
            json!({"sub": null}),
            json!({"exp": NOW.0 - 40, "iat": NOW.0 - 320}),
            json!({"azp": "other"}),
            json!({"aud": "account"}),
            json!({"typ": "ID"}),
            json!({"iat": NOW.0 + 60}),
            json!({"realm_access": {"roles": ["offline_access"]}}),
        ] {
            let token = minter.token_with(changes.clone());
            let forwarded = ground(&GATE.start(&get(SELFCARE, "/rest/x").bearer(&token))).is_some();
            assert_eq!(forwarded, reference(&token), "{kid} {changes}");
            verdicts.insert(forwarded);
        }
    }
    assert_eq!(verdicts.len(), 2);
}
