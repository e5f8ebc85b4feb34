use crate::testing::test;
use serde_json::json;

use super::*;
use crate::jose::jws::Jws;
use crate::testing::{Holder, Minter, change, encode, jwk_set, rsa_jwk};

const ALL: [Algorithm; 9] = Algorithm::ALL;

fn minter(alg: Algorithm) -> Minter {
    Minter::new(Holder::Ours, alg, "k")
}

/// A JWK of this algorithm under the kid `k` with some members changed: `null` leaves one out.
fn jwk(alg: Algorithm, changes: Value) -> Value {
    let mut jwk = minter(alg).jwk();
    change(&mut jwk, changes);
    jwk
}

fn rsa(changes: Value) -> Value {
    jwk(Algorithm::Rs256, changes)
}

/// Parses an entry that stands between two good keys, which must survive it. Is it usable?
#[track_caller]
fn check(entry: &Value, usable: bool) {
    let good = |kid: &str| Minter::new(Holder::Other, Algorithm::Es256, kid).jwk();
    let set = jwk_set(&[good("before"), entry.clone(), good("after")]);
    let keys = KeySet::parse(&set, &ALL).unwrap();
    assert!(keys.find("before").is_some() && keys.find("after").is_some(), "{entry}");
    assert_eq!(keys.len(), 2 + usize::from(usable), "{entry}");
    assert_eq!(keys.dropped(), usize::from(!usable), "{entry}");
}

#[track_caller]
fn check_set(text: &str, expect: JwkSetError) {
    assert_eq!(KeySet::parse(text, &ALL).err(), Some(expect), "{text:.60}");
}

/// The modulus of a good key, to be cut and stretched.
fn modulus() -> Vec<u8> {
    base64url(rsa_jwk("k")["n"].as_str().unwrap()).unwrap()
}

#[test]
fn every_algorithm_has_its_key() {
    for alg in ALL {
        check(&jwk(alg, json!({})), true);
    }
}

#[test]
fn a_key_for_something_else_is_dropped_alone() {
    check(&rsa(json!({ "use": "enc" })), false);
    check(&rsa(json!({ "use": "enc", "alg": "RSA-OAEP" })), false);
    check(&rsa(json!({ "alg": "RSA-OAEP" })), false);
    check(&rsa(json!({ "use": "SIG" })), false);
    check(&rsa(json!({ "use": ["sig"] })), false);
    check(&rsa(json!({ "use": 1 })), false);
    check(&rsa(json!({ "use": null })), true);
    for (operations, usable) in [
        (json!(["verify"]), true),
        (json!(["sign", "verify"]), true),
        (json!(["sign"]), false),
        (json!(["VERIFY"]), false),
        (json!([]), false),
        (json!("verify"), false),
        (json!(["encrypt", 1]), false),
    ] {
        check(&rsa(json!({ "key_ops": operations, "use": null })), usable);
        check(&rsa(json!({ "key_ops": operations, "use": "sig" })), usable);
    }
    check(&rsa(json!({ "key_ops": ["verify"], "use": "enc" })), false);
}

#[test]
fn a_secret_or_unknown_kind_of_key_is_dropped_alone() {
    check(&json!({ "kty": "oct", "kid": "k", "use": "sig", "alg": "HS256", "k": encode(&[7; 32]) }), false);
    check(&json!({ "kty": "oct", "kid": "k", "alg": "RS256", "k": encode(&[7; 32]) }), false);
    check(&rsa(json!({ "kty": "AKP", "alg": "ML-DSA-44" })), false);
    check(&rsa(json!({ "kty": "rsa" })), false);
    check(&rsa(json!({ "kty": 1 })), false);
    check(&rsa(json!({ "kty": null })), false);
}

#[test]
fn an_entry_that_is_no_key_is_dropped_alone() {
    for entry in [json!(null), json!(1), json!("key"), json!([]), json!({}), json!([rsa_jwk("k")])] {
        check(&entry, false);
    }
    let twice = rsa_jwk("k").to_string().replacen('{', r#"{"kid":"k","#, 1);
    let deep = format!(r#"{{"kid":"deep","x":{}1{}}}"#, "[".repeat(200), "]".repeat(200));
    let good = rsa_jwk("good");
    for entry in [&twice, &deep, r#"{"kid":"\ud800"}"#, r#"{"kid":1e999}"#] {
        let keys = KeySet::parse(&format!(r#"{{"keys":[{entry},{good}]}}"#), &ALL).unwrap();
        assert_eq!((keys.len(), keys.dropped()), (1, 1), "{entry:.40}");
    }
}

#[test]
fn members_that_do_not_matter_are_ignored() {
    check(&rsa(json!({ "x5c": [1], "x5t": {}, "d": false, "exp": "never" })), true);
}

#[test]
fn key_ids_are_short_strings() {
    for kid in [json!(null), json!(""), json!(1), json!(["k"]), json!("k".repeat(MAX_KID_BYTES + 1))] {
        check(&rsa(json!({ "kid": kid })), false);
    }
    check(&rsa(json!({ "kid": "k".repeat(MAX_KID_BYTES) })), true);
}

#[test]
fn rsa_keys_have_2048_to_4096_bits() {
    let with = |n: &[u8]| rsa(json!({ "n": encode(n) }));
    let odd = |mut n: Vec<u8>| {
        *n.last_mut().unwrap() |= 1;
        n
    };
    check(&with(&odd(modulus()[..128].to_vec())), false);
    let mut short = modulus();
    short[0] = 0x7f;
    check(&with(&short), false);
    short[0] = 0x80;
    check(&with(&short), true);
    let long = [modulus(), modulus()].concat();
    check(&with(&long), true);
    check(&with(&[&[1], long.as_slice()].concat()), false);
    let mut even = modulus();
    *even.last_mut().unwrap() &= 0xfe;
    check(&with(&even), false);
    check(&with(&[]), false);
    check(&with(&[0; 256]), false);
}

#[test]
fn rsa_exponents_are_odd_and_neither_small_nor_huge() {
    let with = |e: &[u8]| rsa(json!({ "e": encode(e) }));
    for small in [&[][..], &[0], &[1], &[3], &[17], &[0xff, 0xff], &[0, 0, 3]] {
        check(&with(small), false);
    }
    check(&with(&[1, 0, 0]), false);
    check(&with(&[1, 0, 2]), false);
    check(&with(&[1, 0, 1]), true);
    check(&with(&[0xff, 0xff, 0xff, 0xff]), true);
    check(&with(&[1, 0, 0, 0, 1]), false);
    check(&with(&modulus()), false);
}

#[test]
fn leading_zeros_of_rsa_numbers_do_not_matter() {
    let zeros = |name: &str| {
        let number = base64url(rsa_jwk("k")[name].as_str().unwrap()).unwrap();
        encode(&[&[0, 0], number.as_slice()].concat())
    };
    let entry = rsa(json!({ "n": zeros("n"), "e": zeros("e") }));
    let keys = KeySet::parse(&jwk_set(&[entry]), &ALL).unwrap();
    let token = minter(Algorithm::Rs256).token();
    assert!(keys.find("k").unwrap().verify(&Jws::parse(&token).unwrap()).is_ok());
}

#[test]
fn numbers_are_strict_base64url() {
    let n = encode(&modulus());
    for n in [
        json!(format!("{n}==")),
        json!(format!(" {n}")),
        json!(format!("{n}\n")),
        json!(n.replace('_', "/").replace('-', "+") + "+/"),
        json!(1),
        json!([n]),
        json!(null),
    ] {
        check(&rsa(json!({ "n": n })), false);
    }
    check(&rsa(json!({ "e": null })), false);
}

#[test]
fn elliptic_keys_lie_on_the_curve_that_they_name() {
    let es256 = |changes| jwk(Algorithm::Es256, changes);
    let es384 = |changes| jwk(Algorithm::Es384, changes);
    let numbers = es256(json!({}));
    let (x, y) = (numbers["x"].as_str().unwrap(), numbers["y"].as_str().unwrap());
    let bent = |text: &str| {
        let mut number = base64url(text).unwrap();
        number[9] ^= 4;
        encode(&number)
    };
    check(&es256(json!({ "crv": "P-384" })), false);
    check(&es256(json!({ "crv": "P-384", "alg": "ES384" })), false);
    check(&es256(json!({ "crv": "P-384", "alg": null })), false);
    check(&es384(json!({ "crv": "P-256", "alg": "ES256" })), false);
    for crv in [json!("P-521"), json!("secp256k1"), json!("p-256"), json!("Ed25519"), json!(1), json!(null)] {
        check(&es256(json!({ "crv": crv })), false);
        check(&es256(json!({ "crv": crv, "alg": null })), false);
    }
    check(&es256(json!({ "y": bent(y) })), false);
    check(&es256(json!({ "x": bent(x) })), false);
    check(&es256(json!({ "x": y, "y": x })), false);
    check(&es256(json!({ "x": encode(&[0; 32]), "y": encode(&[0; 32]) })), false);
    check(&es256(json!({ "x": encode(&[0xff; 32]) })), false);
    check(&es256(json!({ "x": encode(&base64url(x).unwrap()[1..]) })), false);
    check(&es256(json!({ "x": encode(&[&[0], base64url(x).unwrap().as_slice()].concat()) })), false);
    check(&es256(json!({ "x": format!("{x}=") })), false);
    check(&es256(json!({ "y": null })), false);
    check(&es384(json!({ "y": es384(json!({}))["x"] })), false);
}

#[test]
fn ed25519_keys_are_points_of_32_bytes() {
    let eddsa = |changes| jwk(Algorithm::EdDsa, changes);
    check(&eddsa(json!({ "alg": null })), true);
    check(&eddsa(json!({ "crv": "Ed448" })), false);
    check(&eddsa(json!({ "crv": "X25519" })), false);
    check(&eddsa(json!({ "crv": "X25519", "alg": null })), false);
    check(&eddsa(json!({ "kty": "EC" })), false);
    check(&eddsa(json!({ "x": encode(&[1; 31]) })), false);
    check(&eddsa(json!({ "x": encode(&[1; 33]) })), false);
    // y = 2 has no x on the curve.
    check(&eddsa(json!({ "x": encode(&[&[2], [0_u8; 31].as_slice()].concat()) })), false);
}

#[test]
fn the_algorithm_is_of_the_keys_family() {
    for (own, foreign) in [
        (Algorithm::Rs256, "ES256"),
        (Algorithm::Ps256, "EdDSA"),
        (Algorithm::Es256, "RS256"),
        (Algorithm::Es256, "ES384"),
        (Algorithm::EdDsa, "ES256"),
    ] {
        check(&jwk(own, json!({ "alg": foreign })), false);
    }
    for alg in [json!("none"), json!("HS256"), json!("rs256"), json!(""), json!(1), json!(["RS256"])] {
        check(&rsa(json!({ "alg": alg })), false);
    }
    // `null` would remove the member in `change`.
    let mut null = rsa_jwk("k");
    null["alg"] = Value::Null;
    check(&null, false);
}

#[test]
fn only_algorithms_of_the_realm_count() {
    let set = jwk_set(&[jwk(Algorithm::Es256, json!({ "kid": "ec" })), rsa_jwk("rsa")]);
    let keys = KeySet::parse(&set, &[Algorithm::Rs256]).unwrap();
    assert!(keys.find("rsa").is_some() && keys.find("ec").is_none());
    assert_eq!(KeySet::parse(&set, &[Algorithm::Ps256]).err(), Some(JwkSetError::NoUsableKey));
}

#[test]
fn a_key_without_an_algorithm_takes_the_first_of_its_family_and_no_other() {
    let set = jwk_set(&[rsa(json!({ "alg": null }))]);
    let allowed = [Algorithm::Es256, Algorithm::Ps256, Algorithm::Rs256];
    let keys = KeySet::parse(&set, &allowed).unwrap();
    let verify = |alg| {
        let token = minter(alg).token();
        keys.find("k").unwrap().verify(&Jws::parse(&token).unwrap()).map(|_| ())
    };
    assert_eq!(verify(Algorithm::Ps256), Ok(()));
    assert_eq!(verify(Algorithm::Rs256), Err(crate::error::TokenError::Algorithm));
}

#[test]
fn one_key_listed_twice_is_one_key() {
    let keys = KeySet::parse(&jwk_set(&[rsa_jwk("k"), rsa_jwk("k")]), &ALL).unwrap();
    assert_eq!((keys.len(), keys.dropped()), (1, 0));
    let keys = KeySet::parse(&jwk_set(&[rsa_jwk("k"), rsa_jwk("l")]), &ALL).unwrap();
    assert_eq!((keys.len(), keys.dropped()), (2, 0));
}

#[test]
fn different_keys_under_one_id_are_all_dropped() {
    let ours = rsa_jwk("k");
    let other = Minter::new(Holder::Other, Algorithm::Rs256, "k").jwk();
    let good = Minter::new(Holder::Ours, Algorithm::Es256, "good").jwk();
    let elliptic = jwk(Algorithm::Es256, json!({}));
    let pss = rsa(json!({ "alg": "PS256" }));
    for same in [
        vec![ours.clone(), other.clone()],
        vec![other.clone(), ours.clone()],
        vec![ours.clone(), ours.clone(), other.clone()],
        vec![ours.clone(), other, ours.clone()],
        vec![ours.clone(), elliptic],
        vec![ours.clone(), pss],
    ] {
        let keys =
            KeySet::parse(&jwk_set(&[same.as_slice(), std::slice::from_ref(&good)].concat()), &ALL).unwrap();
        assert!(keys.find("k").is_none() && keys.find("good").is_some());
        assert_eq!((keys.len(), keys.dropped()), (1, same.len()));
        check_set(&jwk_set(&same), JwkSetError::NoUsableKey);
    }
    // What is no signing key does not count: Keycloak's `enc` key never takes another one down.
    let keys = KeySet::parse(&jwk_set(&[ours, rsa(json!({ "use": "enc" }))]), &ALL).unwrap();
    assert_eq!((keys.len(), keys.dropped()), (1, 1));
}

#[test]
fn keys_beyond_the_bound_are_not_read() {
    let junk = |count| vec![json!({ "kty": "junk" }); count];
    let set = |count| jwk_set(&[junk(count), vec![rsa_jwk("last")]].concat());
    let keys = KeySet::parse(&set(MAX_KEYS - 1), &ALL).unwrap();
    assert_eq!((keys.len(), keys.dropped()), (1, MAX_KEYS - 1));
    check_set(&set(MAX_KEYS), JwkSetError::NoUsableKey);
    check_set(&set(10_000), JwkSetError::NoUsableKey);
}

#[test]
fn a_text_that_is_no_jwk_set_is_malformed() {
    let good = jwk_set(&[rsa_jwk("k")]);
    for text in [
        "",
        "null",
        "[]",
        "{}",
        "\"keys\"",
        r#"{"keys":null}"#,
        r#"{"keys":{}}"#,
        r#"{"keys":"x"}"#,
        r#"{"Keys":[]}"#,
        "<!doctype html><title>502</title>",
        &good[..good.len() - 1],
        &format!("{good}x"),
        &format!("{good}{good}"),
        &good.replacen('{', r#"{"keys":[],"#, 1),
        &format!("\u{feff}{good}"),
    ] {
        check_set(text, JwkSetError::Malformed);
    }
}

#[test]
fn a_set_without_a_usable_key_is_told_apart() {
    check_set(r#"{"keys":[]}"#, JwkSetError::NoUsableKey);
    check_set(r#"{"keys":[null]}"#, JwkSetError::NoUsableKey);
    check_set(&jwk_set(&[rsa(json!({ "use": "enc" }))]), JwkSetError::NoUsableKey);
    assert_eq!(KeySet::parse(&jwk_set(&[rsa_jwk("k")]), &[]).err(), Some(JwkSetError::NoUsableKey));
}
