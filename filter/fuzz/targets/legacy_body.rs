//! Bodies of requests to legacy routes: a content type, a line break, and the body. Whatever a careless reader finds
//! in a body that passes, it finds no other login.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_core::fuzzing;
use serde_json::Value;

/// Logins where PortaBilling reads them, as a parser finds them for which the last member counts.
fn careless(document: &Value) -> Vec<String> {
    let places = [Some(document), document.get("params"), document.get("auth_info")];
    let logins = places.into_iter().flatten().filter_map(|place| place.get("login")?.as_str());
    logins.map(str::to_owned).collect()
}

/// The same of a form.
fn careless_form(body: &[u8]) -> Vec<String> {
    let mut logins = Vec::new();
    for (name, value) in form_urlencoded::parse(body) {
        match &*name {
            "login" => logins.push(value.into_owned()),
            "params" | "auth_info" => {
                logins.extend(serde_json::from_str::<Value>(&value).iter().flat_map(careless));
            }
            _ => {}
        }
    }
    logins
}

fuzz_target!(|input: &[u8]| {
    let at = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let (content_type, body) = (&input[..at], input.get(at + 1..).unwrap_or_default());
    let _ = fuzzing::legacy_login(content_type, body, false);
    let Some(login) = fuzzing::legacy_login(content_type, body, true) else { return };
    let kind = String::from_utf8_lossy(content_type).to_ascii_lowercase();
    // What a careless reader finds in parts depends on what it takes for a boundary.
    if body.is_empty() || kind.contains("multipart") {
        return;
    }
    let found = if kind.contains("json") {
        careless(&serde_json::from_slice(body).expect("what passes is JSON"))
    } else {
        careless_form(body)
    };
    assert!(found.iter().all(|found| Some(found) == login.as_ref()), "{found:?} and {login:?}");
    assert!(found.len() <= 1);
});
