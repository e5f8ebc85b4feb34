//! Fetch Metadata: only a GET of a document is a navigation. The input is a head, one field a line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::{Header, fuzzing};

fuzz_target!(|text: &str| {
    let head: Vec<Header> = text
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.as_bytes().to_vec()))
        .collect();
    let values = |name: &str| -> Vec<&[u8]> {
        head.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_slice()).collect()
    };
    let (navigates, may_start) = fuzzing::navigates(&head);
    assert!(may_start || !navigates, "what is sent to sign in may begin a login");
    if may_start {
        assert_eq!(values(":method").first(), Some(&&b"GET"[..]));
        let modes = values("sec-fetch-mode");
        assert!(modes.is_empty() || modes[0] == b"navigate", "{head:?}");
        assert!(modes.is_empty() || values("sec-fetch-dest").first() != Some(&&b"iframe"[..]), "{head:?}");
    }
});
