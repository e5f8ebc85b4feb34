//! Configurations: whatever the bytes are, they are refused with a problem that is named, or make a filter
//! that judges a request. A document means the same whatever its white space and the order of its members.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::{
    AcceptedTokens, Entropy, Env, Exchange, Filter, KeyStore, Knowledge, Monotonic, OpenedSessions, Revoked,
    UnixTime,
};
use serde_json::Value;

fuzz_target!(|document: &[u8]| {
    let filter = match Filter::parse(document) {
        Ok(filter) => filter,
        Err(error) => return assert!(!error.problem.is_empty()),
    };
    assert!(filter.realm_names().count() > 0);
    if let Ok(value) = serde_json::from_slice::<Value>(document) {
        let again = Filter::parse(value.to_string().as_bytes());
        assert!(again.is_ok(), "{:?}", again.err());
    }
    let env = Env { now: UnixTime(1_794_315_200), monotonic: Monotonic(1) };
    let keys = KeyStore::new(&filter, 1, env.monotonic);
    let request = [(":method", "GET"), (":authority", "selfcare.csp.com"), (":path", "/rest/x")];
    let navigation = [("sec-fetch-mode", "navigate"), ("accept-language", "uk, ar;q=0.5")];
    let head = [request.as_slice(), &navigation].concat();
    let head: Vec<_> =
        head.into_iter().map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
    let knowledge = &mut Knowledge {
        filter: &filter,
        keys: &keys,
        accepted: &mut AcceptedTokens::new(&filter),
        opened: &mut OpenedSessions::new(&filter),
        revoked: &mut Revoked::new(&filter),
        entropy: &mut Entropy::seeded([7; 32]),
        env,
    };
    Exchange::start(knowledge, &head, || None);
});
