//! Return targets: whatever is asked for, a login returns to a local path in normal form that is not the login's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::fuzzing;

fuzz_target!(|text: &str| {
    let target = fuzzing::return_target(text);
    assert!(target == text || target == "/");
    assert!(target.starts_with('/') && !target.starts_with("//") && !target.contains('\\'), "{target:?}");
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'), "{target:?}");
    let path = target.split('?').next().unwrap_or_default();
    let path = fuzzing::normal_path(path.as_bytes()).expect("a path in normal form");
    assert!(path != "/sso" && !path.starts_with("/sso/"), "{target:?}");
    assert_eq!(fuzzing::return_target(&target), target);
});
