//! The `text` block.

use serde_json::{Value, json};

use super::{check, check_good};
use crate::testing::test;
use crate::text::Page;

fn language(key: &str, text: &str) -> Value {
    json!({"uk": {key: text}})
}

#[test]
fn names_and_languages_are_told_by_realm_and_tag() {
    let text = json!({
        "names": {"customers": "CSP self-care"},
        "language": "uk",
        "languages": {"uk": {"reference": "Номер", "session_ended.title": "Сесію завершено"}},
    });
    let filter = check_good("/text", text);
    let speech = filter.texts().speak(None);
    assert_eq!((speech.tag, speech.reference().text), ("uk", "Номер"));
    assert_eq!(speech.title(Page::SessionEnded).text, "Сесію завершено");
    assert_eq!(filter.texts().name("customers"), Some("CSP self-care"));
    assert_eq!(filter.texts().name("admins"), None);
}

#[test]
fn a_text_that_nobody_could_read_is_refused_with_its_place() {
    for (key, most) in
        [("sign_in.title", 120), ("login_stale.body", 1200), ("forbidden.action", 120), ("reference", 120)]
    {
        let path = format!("text.languages.uk.{key}");
        for bad in ["", " ", "\u{a0}"] {
            check("/text/languages", language(key, bad), &path, "empty");
        }
        for bad in ["a\nb", "a\tb", "\0", "a\u{7f}", "a\u{85}b"] {
            check("/text/languages", language(key, bad), &path, "control character");
        }
        check_good("/text/languages", language(key, &"я".repeat(most)));
        let problem = format!("longer than {most}");
        check("/text/languages", language(key, &"я".repeat(most + 1)), &path, &problem);
        check("/text/languages", json!({"uk": {key: 1}}), &path, "integer `1`");
    }
    check("/text/names", json!({"customers": "a\u{1b}[1m"}), "text.names.customers", "control");
    check("/text/names", json!({"customers": "x".repeat(121)}), "text.names.customers", "longer");
    check("/text/names", json!({"clients": "x"}), "text.names.clients", "no realm `clients`");
}

#[test]
fn a_language_has_a_tag_and_is_there_once() {
    for bad in ["", "u", "uk_UA", "uk-", "українська"] {
        check("/text/languages", json!({bad: {}}), &format!("text.languages.{bad}"), "no language tag");
    }
    check("/text/languages", json!({"UK": {}, "uk": {}}), "text.languages.uk", "twice");
    check("/text/language", json!("uk"), "text.language", "not among");
    check("/text", json!({"language": "UK", "languages": {"uk": {}}}), "text.language", "not among");
    check_good("/text/language", json!("en"));
    let languages = |count: usize| -> Value {
        (0..count).map(|at| (format!("aa-{at:03}"), json!({}))).collect::<serde_json::Map<_, _>>().into()
    };
    check_good("/text/languages", languages(64));
    check("/text/languages", languages(65), "text.languages", "more than 64");
}

#[test]
fn a_text_that_there_is_not_is_refused() {
    for key in [
        "signin.title",
        "sign_in",
        "sign_in.heading",
        "sign_in.title.x",
        "title",
        "reference.title",
        ".title",
        "",
    ] {
        let problem =
            format!("no text `{key}`; there are reference, and title, body and action of sign_in, ");
        check("/text/languages", language(key, "x"), &format!("text.languages.uk.{key}"), &problem);
    }
    check("/text/languages", json!({"uk": ["x"]}), "text.languages.uk", "sequence");
    check("/text/name", json!({}), "text.name", "unknown field `name`");
}
