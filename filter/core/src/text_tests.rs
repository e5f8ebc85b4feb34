use serde_json::{Value, json};

use super::*;
use crate::testing::{compile, test, two_realms_json};

fn texts(text: Value) -> Texts {
    let mut document = two_realms_json();
    document["text"] = text;
    Texts::clone(compile(&document).texts())
}

#[track_caller]
fn check_tag(texts: &Texts, accept_language: &str, expect: &str) {
    assert_eq!(texts.speak(Some(accept_language.as_bytes())).tag, expect, "{accept_language}");
}

/// RFC 4647 section 3.4, RFC 9110 section 12.5.4.
#[test]
fn the_language_is_the_one_that_is_wanted_most() {
    let languages = json!({"uk": {}, "de": {}, "pt-BR": {}, "zh-Hant": {}, "zh": {}});
    let texts = texts(json!({"languages": languages}));
    for (accept_language, tag) in [
        ("uk", "uk"),
        ("UK", "uk"),
        ("uk-UA", "uk"),
        ("uk-Cyrl-UA-x-y", "uk"),
        ("uk-UA,uk;q=0.9,en-US;q=0.8,en;q=0.7", "uk"),
        ("fr, uk;q=0.5", "uk"),
        ("uk;q=0.5, de", "de"),
        ("uk;q=0.5, de;q=0.501", "de"),
        ("de;q=0.5, uk;q=0.5", "de"),
        (" de ; q=0.1 ,\tuk ; Q = 0.9", "uk"),
        ("en, uk", "en"),
        ("en-GB;q=0.9, uk;q=0.8", "en"),
        ("pt-br", "pt-BR"),
        ("zh-Hant-TW", "zh-Hant"),
        ("zh-Hans-CN", "zh"),
        ("zh-Hant-x-private", "zh-Hant"),
        ("zh-a-Hant", "zh"),
        // A range that says more than the language there is matches it, and not the other way round.
        ("pt, de;q=0.1", "de"),
        ("uk;q=0, de;q=0.1", "de"),
        // What is no range is passed over.
        ("uk_UA, u, , ;, x-uk, uk--UA, uk;q=2, uk;q=-1, uk;q=NaN, uk;q=, uk;r=1, de;q=0.1", "de"),
    ] {
        check_tag(&texts, accept_language, tag);
    }
    assert_eq!(texts.speak(None).tag, "en");
}

#[test]
fn who_asks_for_none_of_the_languages_gets_the_default() {
    let languages = json!({"uk": {}, "de": {}});
    for (configured, expect) in [(None, "en"), (Some("uk"), "uk"), (Some("en"), "en")] {
        let mut text = json!({"languages": languages});
        if let Some(tag) = configured {
            text["language"] = json!(tag);
        }
        let texts = texts(text);
        for accept_language in ["", "*", "fr", "fr, *;q=0.5", "uk;q=0", "uk;q=0.0", "ukr", "\u{fc}k"] {
            check_tag(&texts, accept_language, expect);
        }
        assert_eq!(texts.speak(None).tag, expect);
        assert_eq!(texts.speak(Some(b"de\xff")).tag, expect);
        check_tag(&texts, "en", "en");
    }
}

#[test]
fn no_more_of_a_long_header_is_read_than_a_browser_writes() {
    let texts = texts(json!({"languages": {"uk": {}}}));
    let ranges = |before: usize| format!("{}uk", "fr,".repeat(before));
    check_tag(&texts, &ranges(15), "uk");
    check_tag(&texts, &ranges(16), "en");
    let long = |subtags: usize| format!("uk{}", "-a1".repeat(subtags));
    check_tag(&texts, &long(11), "uk");
    check_tag(&texts, &long(12), "en");
}

#[test]
fn a_text_that_is_left_out_is_english() {
    let texts = texts(json!({"languages": {
        "uk": {"sign_in.title": "Вхід"},
        "en": {"reference": "Ticket", "sign_in.title": "Log in", "sign_in.action": "Go"},
    }}));
    let uk = texts.speak(Some(b"uk"));
    let english = |text| Words { tag: "en", text };
    assert_eq!(uk.title(Page::SignIn), Words { tag: "uk", text: "Вхід" });
    assert_eq!(uk.action(Page::SignIn), english("Go"));
    assert_eq!(uk.body(Page::SignIn), english("You need to sign in to see this page."));
    assert_eq!(uk.title(Page::LogoutQuestion), english("Sign out"));
    assert_eq!(uk.reference(), english("Ticket"));
    assert_eq!(texts.speak(Some(b"en")).title(Page::SignIn), english("Log in"));
    assert_eq!(Texts::default().speak(Some(b"uk")).reference(), english("Reference"));
}

#[test]
fn scripts_tell_the_direction_before_languages_do() {
    for tag in ["ar", "AR-EG", "he", "fa-IR", "ur", "az-Arab", "pa-Arab-PK"] {
        assert_eq!(direction(tag), "rtl", "{tag}");
    }
    for tag in ["en", "uk", "es-AR", "ar-Latn", "de-1996", "fr-x-ar"] {
        assert_eq!(direction(tag), "ltr", "{tag}");
    }
}

#[test]
fn a_tag_has_the_shape_of_one() {
    for good in ["en", "uk-UA", "zh-Hant-TW", "sl-rozaj-biske-1994", "de-CH-x-phonebk", "en-a-bbb-x-a1"] {
        assert!(is_tag(good), "{good}");
    }
    for bad in [
        "",
        "e",
        "x-uk",
        "1a",
        "e1",
        "uk-",
        "-uk",
        "uk--UA",
        "uk_UA",
        "ук",
        "uk-ukrainian",
        "ukrainian",
        "*",
        "en us",
        "\"en",
        "en-a2345678-a2345678-a2345678-a2345678",
    ] {
        assert!(!is_tag(bad), "{bad}");
    }
}
