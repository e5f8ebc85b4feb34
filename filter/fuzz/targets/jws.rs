//! Compact JWS: what is read has three canonical parts, an asymmetric algorithm, a key id, and no member that
//! brings a key or changes the reading. The input is a token, or (with a line break) its header and payload.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use libfuzzer_sys::fuzz_target;
use portcullis_core::fuzzing;
use serde_json::Value;

const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

fuzz_target!(|text: &str| {
    let token = match text.split_once('\n') {
        None => text.to_owned(),
        Some((header, payload)) => {
            format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
        }
    };
    let Some(jws) = fuzzing::Token::parse(&token) else { return };
    let parts: Vec<Vec<u8>> = token
        .split('.')
        .map(|part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            assert!(!part.is_empty() && URL_SAFE_NO_PAD.encode(&bytes) == part || jws.claims.is_none());
            bytes
        })
        .collect();
    assert_eq!(parts.len(), 3);
    let header: Value = serde_json::from_slice(&parts[0]).expect("the header is JSON");
    assert!(header["alg"] == jws.algorithm && ALGORITHMS.contains(&jws.algorithm));
    assert!(header["kid"] == jws.kid && (1..=256).contains(&jws.kid.len()));
    for member in ["crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"] {
        assert!(header.get(member).is_none());
    }
    if let Some(claims) = jws.claims {
        assert_eq!(serde_json::from_slice::<Value>(&parts[1]).ok(), Some(Value::Object(claims)));
    }
});
