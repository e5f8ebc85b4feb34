//! JWK Sets: a set that is taken holds 1 to 64 keys, each with an entry for signatures of its own.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::fuzzing;
use serde_json::Value;

fuzz_target!(|text: &str| {
    let Some(keys) = fuzzing::Keys::parse(text) else { return };
    assert!((1..=64).contains(&keys.len()));
    // The last entry of a repeated member wins here, and there is none in an entry that is used.
    let set: Value = serde_json::from_str(text).expect("a set that was taken is JSON");
    let entries = set["keys"].as_array().expect("and has keys");
    let mut kids: Vec<&str> = entries
        .iter()
        .filter(|entry| entry["use"] == "sig" || entry.get("use").is_none())
        .filter(|entry| ["RSA", "EC", "OKP"].iter().any(|kty| entry["kty"] == *kty))
        .filter_map(|entry| entry["kid"].as_str())
        .filter(|kid| keys.finds(kid))
        .collect();
    kids.sort_unstable();
    kids.dedup();
    assert_eq!(kids.len(), keys.len(), "a key without an entry");
});
