//! The query of a callback: what is read was there once, and in the query's own words.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::fuzzing;

const ISSUER: &str = "https://a/realms/r";

fuzz_target!(|query: &str| {
    let path = format!("/sso/callback?{query}");
    let Ok((state, code)) = fuzzing::callback(path.as_bytes(), ISSUER) else { return };
    let parameters: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
    for (name, value) in [("state", &state), ("code", &code), ("iss", &ISSUER.to_owned())] {
        let values: Vec<_> = parameters.iter().filter(|(known, _)| known == name).collect();
        assert!(matches!(values[..], [(_, only)] if only == value), "{name}");
    }
    assert!(!state.is_empty() && !code.is_empty());
    assert!(parameters.iter().all(|(name, _)| name != "error"));
});
