//! Cookies: nothing opens that nobody sealed, and upstreams see every cookie but ours. The input is a `cookie` field, and
//! behind a line break a `state`.

#![no_main]

use std::sync::{LazyLock, Mutex};

use libfuzzer_sys::fuzz_target;
use portcullis_core::{Header, fuzzing};

const PREFIX: &[u8] = b"__Host-portcullis-";

static SEALING: LazyLock<Mutex<fuzzing::Sealing>> = LazyLock::new(|| {
    let document = r#"{"realms": {"r": {"issuer": "https://a/realms/r", "cluster": "k", "audiences": ["x"], "login": {
        "client_id": "ui", "cookie_keys": [{"id": "k1", "inline": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}}},
        "sites": [{"hosts": ["a"], "realm": "r", "rules": [{"name": "n", "path": {"prefix": "/"}, "access": "public"}]}]}"#;
    Mutex::new(fuzzing::Sealing::of(document.as_bytes()).expect("a configuration"))
});

fuzz_target!(|input: &[u8]| {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (cookie, state) = (&input[..at], String::from_utf8_lossy(input.get(at + 1..).unwrap_or_default()));
    let head: Vec<Header> = [(":authority", &b"a"[..]), ("x-forwarded-proto", b"https"), ("cookie", cookie)]
        .map(|(name, value)| (name.to_owned(), value.to_vec()))
        .to_vec();
    assert!(!SEALING.lock().expect("no panic before").opens(&head, &state));
    let kept = fuzzing::cookies_without_ours(&head).unwrap_or_else(|| cookie.to_vec());
    for pair in kept.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()) {
        assert!(
            !pair.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX)),
            "{pair:?}"
        );
        assert!(cookie.split(|byte| *byte == b';').any(|one| one.trim_ascii() == pair), "nothing is made up");
    }
});
