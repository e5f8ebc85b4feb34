//! Names and languages of the pages, compiled.

use std::sync::Arc;

use super::Place;
use crate::config::{Catalogue, Text};
use crate::error::ConfigError;
use crate::realm::Realm;
use crate::text::{ENGLISH, Page, REFERENCE, Texts, is_tag};

const MAX_LANGUAGES: usize = 64;
const MAX_LABEL_CHARS: usize = 120;
const MAX_BODY_CHARS: usize = 1200;

pub(super) fn compile(config: &Text, realms: &[Arc<Realm>], place: &Place) -> Result<Texts, ConfigError> {
    let Text { names, language, languages } = config;
    for (realm, name) in names {
        let place = place.field("names").field(realm);
        if !realms.iter().any(|known| *known.name == **realm) {
            return Err(place.error(format_args!("there is no realm `{realm}`")));
        }
        readable(name, MAX_LABEL_CHARS, &place)?;
    }
    let of_languages = place.field("languages");
    if languages.len() > MAX_LANGUAGES {
        return Err(of_languages.error(format_args!("there are more than {MAX_LANGUAGES}")));
    }
    for (at, (tag, texts)) in languages.iter().enumerate() {
        let place = of_languages.field(tag);
        if !is_tag(tag) {
            return Err(place.error(format_args!("`{tag}` is no language tag such as uk or pt-BR")));
        }
        if languages.keys().take(at).any(|earlier| earlier.eq_ignore_ascii_case(tag)) {
            return Err(place.error("this language is there twice"));
        }
        check(texts, &place)?;
    }
    if let Some(tag) = language.as_ref().filter(|tag| *tag != ENGLISH && !languages.contains_key(*tag)) {
        return Err(place.field("language").error(format_args!("`{tag}` is not among `languages`")));
    }
    Ok(Texts { names: names.clone(), default: language.clone(), languages: languages.clone() })
}

fn check(texts: &Catalogue, place: &Place) -> Result<(), ConfigError> {
    for (key, text) in texts {
        let place = place.field(key);
        let most = match key.rsplit_once('.') {
            None if key == REFERENCE => MAX_LABEL_CHARS,
            Some((page, "title" | "action")) if Page::is_name(page) => MAX_LABEL_CHARS,
            Some((page, "body")) if Page::is_name(page) => MAX_BODY_CHARS,
            _ => {
                let pages = Page::ALL.map(Page::name).join(", ");
                return Err(place.error(format_args!(
                    "there is no text `{key}`; there are reference, and title, body and action of {pages}"
                )));
            }
        };
        readable(text, most, &place)?;
    }
    Ok(())
}

/// A text that a person can read.
fn readable(text: &str, most: usize, place: &Place) -> Result<(), ConfigError> {
    place.text(text.trim())?;
    if text.chars().count() > most {
        return Err(place.error(format_args!("is longer than {most} characters")));
    }
    if text.chars().any(char::is_control) {
        return Err(place.error("holds a control character; a text is one line"));
    }
    Ok(())
}
