use crate::testing::test;
use serde_json::json;

use super::*;
use crate::jose::base64url;
use crate::jose::claims::Claims;
use crate::jose::jwk::KeySet;
use crate::testing::{Holder, Minter, encode, jwk_set};

fn minter(alg: Algorithm) -> Minter {
    Minter::new(Holder::Ours, alg, "k")
}

/// The key of the minter's realm for this algorithm, as it comes out of a JWK Set.
fn key(alg: Algorithm) -> Key {
    KeySet::parse(&jwk_set(&[minter(alg).jwk()]), &[alg]).unwrap().find("k").unwrap().clone()
}

#[track_caller]
fn check(key: &Key, token: &str, expect: Result<(), TokenError>) {
    let got = Jws::parse(token).and_then(|jws| key.verify(&jws)).map(|_| ());
    assert_eq!(got, expect, "{token:.60}");
}

/// The compact form with other signature bytes.
fn resigned(token: &str, signature: &[u8]) -> String {
    format!("{}.{}", token.rsplit_once('.').unwrap().0, encode(signature))
}

fn signature(token: &str) -> Vec<u8> {
    base64url(token.rsplit_once('.').unwrap().1).unwrap()
}

#[test]
fn a_key_serves_its_own_algorithm_and_no_other() {
    for own in Algorithm::ALL {
        let key = key(own);
        for alg in Algorithm::ALL {
            let expect = if alg == own { Ok(()) } else { Err(TokenError::Algorithm) };
            check(&key, &minter(alg).token(), expect);
        }
    }
}

#[test]
fn a_header_that_lies_about_the_algorithm_helps_nobody() {
    for (signed, claimed) in [
        (Algorithm::Ps256, Algorithm::Rs256),
        (Algorithm::Rs256, Algorithm::Ps256),
        (Algorithm::Rs384, Algorithm::Rs256),
        (Algorithm::Rs256, Algorithm::Rs512),
        (Algorithm::Es384, Algorithm::Es256),
        (Algorithm::EdDsa, Algorithm::Es256),
        (Algorithm::Rs256, Algorithm::EdDsa),
    ] {
        let token = minter(signed).mint(&minter(claimed).header(), &json!({}));
        check(&key(claimed), &token, Err(TokenError::Signature));
    }
}

#[test]
fn hmac_and_none_cannot_even_be_named() {
    let key = key(Algorithm::Rs256);
    for alg in ["HS256", "HS384", "HS512", "none", "RSA-OAEP"] {
        let header = json!({ "alg": alg, "kid": "k" });
        check(&key, &minter(Algorithm::Rs256).mint(&header, &json!({})), Err(TokenError::Algorithm));
    }
}

#[test]
fn another_holders_signature_is_refused() {
    for alg in Algorithm::ALL {
        let forged = Minter::new(Holder::Other, alg, "k").token();
        check(&key(alg), &forged, Err(TokenError::Signature));
    }
}

#[test]
fn a_signature_has_its_exact_length() {
    for alg in Algorithm::ALL {
        let (key, token) = (key(alg), minter(alg).token());
        let good = signature(&token);
        check(&key, &token, Ok(()));
        check(&key, &resigned(&token, &[]), Err(TokenError::Malformed));
        for bad in [
            good[1..].to_vec(),
            good[..good.len() - 1].to_vec(),
            [good.as_slice(), &[0]].concat(),
            [&[0], good.as_slice()].concat(),
            [&[0, 0], good.as_slice()].concat(),
            [good.as_slice(), good.as_slice()].concat(),
            vec![0],
            vec![0; good.len()],
            vec![0xff; good.len()],
            vec![0; 10_000],
        ] {
            check(&key, &resigned(&token, &bad), Err(TokenError::Signature));
        }
    }
}

#[test]
fn an_rsa_signature_above_the_modulus_is_refused() {
    let (key, token) = (key(Algorithm::Rs256), minter(Algorithm::Rs256).token());
    let n = base64url(minter(Algorithm::Rs256).jwk()["n"].as_str().unwrap()).unwrap();
    check(&key, &resigned(&token, &n), Err(TokenError::Signature));
    // s + n is congruent to s; it needs one bit more than n has.
    let mut sum = vec![0; n.len() + 1];
    let mut carry = 0;
    for (at, (a, b)) in signature(&token).iter().zip(&n).enumerate().rev() {
        let digit = u16::from(*a) + u16::from(*b) + carry;
        sum[at + 1] = digit.to_be_bytes()[1];
        carry = digit >> 8;
    }
    sum[0] = carry.to_be_bytes()[1];
    let sum = if sum[0] == 0 { &sum[1..] } else { &sum };
    check(&key, &resigned(&token, sum), Err(TokenError::Signature));
}

/// The order of P-256 (FIPS 186-5).
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
    0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn ecdsa_numbers_lie_between_zero_and_the_order() {
    let (key, token) = (key(Algorithm::Es256), minter(Algorithm::Es256).token());
    let good = signature(&token);
    let (r, s) = good.split_at(32);
    let one = [[0; 31].as_slice(), &[1]].concat();
    for (r, s) in [
        (&[0; 32][..], &[0; 32][..]),
        (&[0; 32], s),
        (r, &[0; 32]),
        (&P256_ORDER, s),
        (r, &P256_ORDER),
        (&P256_ORDER, &P256_ORDER),
        (&[0xff; 32], s),
        (r, &[0xff; 32]),
        (&one, &one),
        (s, r),
    ] {
        check(&key, &resigned(&token, &[r, s].concat()), Err(TokenError::Signature));
    }
}

#[test]
fn an_ecdsa_signature_in_der_is_refused() {
    let token = minter(Algorithm::Es256).token();
    let der = p256::ecdsa::Signature::from_slice(&signature(&token)).unwrap().to_der();
    check(&key(Algorithm::Es256), &resigned(&token, der.as_bytes()), Err(TokenError::Signature));
    let token = minter(Algorithm::Es384).token();
    let der = p384::ecdsa::Signature::from_slice(&signature(&token)).unwrap().to_der();
    check(&key(Algorithm::Es384), &resigned(&token, der.as_bytes()), Err(TokenError::Signature));
}

#[test]
fn no_bit_of_a_token_can_be_turned() {
    for (alg, step) in [(Algorithm::Es256, 3), (Algorithm::Rs256, 17), (Algorithm::EdDsa, 5)] {
        let (key, token) =
            (key(alg), minter(alg).mint(&minter(alg).header(), &json!({ "exp": 1, "sub": "b" })));
        let parts: Vec<Vec<u8>> = token.split('.').map(|part| base64url(part).unwrap()).collect();
        for part in 0..3 {
            for bit in (0..parts[part].len() * 8).step_by(step) {
                let mut turned = parts.clone();
                turned[part][bit / 8] ^= 1 << (bit % 8);
                let turned: Vec<String> = turned.iter().map(|part| encode(part)).collect();
                let judged = Jws::parse(&turned.join(".")).and_then(|jws| key.verify(&jws));
                assert!(judged.is_err(), "{alg}: bit {bit} of part {part}");
            }
        }
    }
}

#[test]
fn no_character_of_a_token_can_be_exchanged() {
    let (key, token) = (key(Algorithm::EdDsa), minter(Algorithm::EdDsa).token());
    for at in (0..token.len()).rev().step_by(7).chain(token.len() - 3..token.len()) {
        for other in ["A", "g", "_", "+", "=", ".", " ", "\n", ""] {
            let mut changed = token.clone();
            changed.replace_range(at..=at, other);
            let judged = Jws::parse(&changed).and_then(|jws| key.verify(&jws));
            assert!(changed == token || judged.is_err(), "{other:?} at {at}");
        }
    }
}

#[test]
fn a_key_tells_its_algorithm_and_nothing_else() {
    assert_eq!(format!("{:?}", key(Algorithm::Es256)), "Key { algorithm: Es256, .. }");
}

/// The RSA key of RFC 7515 appendix A.2.
const RFC7515_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
/// `{"iss":"joe", "exp":1300819380, "http://example.com/is_root":true}` with its line breaks.
const RFC7515_PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
/// The RSA key of RFC 7520 section 3.3.
const RFC7520_N: &str = "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw";
const RFC7520_PAYLOAD: &str = "SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4";
const BILBO: &str = "bilbo.baggins@hobbiton.example";

/// An example of an RFC: its signature holds under its key, whatever we think of the rest of it.
#[track_caller]
fn example(jwk: serde_json::Value, alg: Algorithm, token: &str) {
    let mut jwk = jwk;
    jwk["kid"] = json!(BILBO);
    let keys = KeySet::parse(&jwk_set(&[jwk]), &[alg]).unwrap();
    let key = keys.find(BILBO).unwrap();
    let (input, signature) = token.rsplit_once('.').unwrap();
    assert!(key.holds(signature, input.as_bytes()), "{alg}");
    assert!(!key.holds(signature, &input.as_bytes()[1..]), "{alg}");
}

#[test]
fn the_examples_of_rfc_7515_hold_but_name_no_key() {
    let rs256 = format!(
        "eyJhbGciOiJSUzI1NiJ9.{RFC7515_PAYLOAD}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
    );
    example(json!({ "kty": "RSA", "n": RFC7515_N, "e": "AQAB" }), Algorithm::Rs256, &rs256);
    let es256 = format!(
        "eyJhbGciOiJFUzI1NiJ9.{RFC7515_PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
    );
    let point = json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    example(point, Algorithm::Es256, &es256);
    for token in [rs256, es256] {
        assert_eq!(Jws::parse(&token).err(), Some(TokenError::KeyId));
    }
}

/// A.1 is HMAC, A.5 has no signature.
#[test]
fn the_examples_of_rfc_7515_that_prove_nothing_are_refused() {
    let hs256 = format!(
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{RFC7515_PAYLOAD}.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    );
    let none = format!("eyJhbGciOiJub25lIn0.{RFC7515_PAYLOAD}.");
    for token in [hs256, none] {
        assert_eq!(Jws::parse(&token).err(), Some(TokenError::Algorithm));
    }
}

#[test]
fn the_examples_of_rfc_7520_hold_as_tokens() {
    let jwk = json!({ "kty": "RSA", "use": "sig", "n": RFC7520_N, "e": "AQAB" });
    for (alg, header, signature) in [
        (
            Algorithm::Rs256,
            "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            "MRjdkly7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qHRD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fcIe8u9ipH84ogoree7vjbU5y18kDquDg",
        ),
        (
            Algorithm::Ps384,
            "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
            "cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
        ),
    ] {
        let token = format!("{header}.{RFC7520_PAYLOAD}.{signature}");
        example(jwk.clone(), alg, &token);
        let mut named = jwk.clone();
        named["kid"] = json!(BILBO);
        let keys = KeySet::parse(&jwk_set(&[named]), &[alg]).unwrap();
        let jws = Jws::parse(&token).unwrap();
        let proof = keys.find(&jws.kid).unwrap().verify(&jws).unwrap();
        // "It's a dangerous business, Frodo" is no claims set.
        assert_eq!(Claims::open(&jws, &proof).err(), Some(TokenError::Malformed));
    }
}

/// Section 4.3 is ES512, section 4.4 HMAC.
#[test]
fn the_examples_of_rfc_7520_with_other_algorithms_are_refused() {
    for token in [
        format!(
            "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.{RFC7520_PAYLOAD}.AE_R_YZCChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2cmL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY8OcGDqoRuBomu9xQ2"
        ),
        format!(
            "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9.{RFC7520_PAYLOAD}.s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0"
        ),
    ] {
        assert_eq!(Jws::parse(&token).err(), Some(TokenError::Algorithm));
    }
}

#[test]
fn the_example_of_rfc_8037_holds() {
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    example(
        jwk,
        Algorithm::EdDsa,
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
}

/// RFC 7797: a payload that is not encoded would be signed, and read, differently.
#[test]
fn unencoded_payloads_are_refused() {
    let example = "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY";
    assert_eq!(Jws::parse(example).err(), Some(TokenError::Malformed));
    let minter = minter(Algorithm::Es256);
    for (b64, crit) in [(false, true), (false, false), (true, true), (true, false)] {
        let mut header = minter.header();
        header["b64"] = json!(b64);
        if crit {
            header["crit"] = json!(["b64"]);
        }
        let header = encode(header.to_string().as_bytes());
        let input = format!("{header}.{{\"sub\":\"bob\"}}");
        let token = format!("{input}.{}", encode(&minter.sign(input.as_bytes())));
        check(&key(Algorithm::Es256), &token, Err(TokenError::HeaderMember));
    }
}
