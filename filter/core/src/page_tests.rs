use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use html5gum::emitters::default::DefaultEmitter;
use html5gum::{Token, Tokenizer};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::testing::{compile, test, two_realms_json};

const PAGES: [Page; 13] = Page::ALL;
const START: &str = "/sso/start?return=%2Fa%3Fb%3D1&x='y'";
const ID: &str = "3b1c0a5e-1f2d-4c3b-9a8f-7e6d5c4b3a21";

fn texts(text: Value) -> Texts {
    let mut document = two_realms_json();
    document["text"] = text;
    Texts::clone(compile(&document).texts())
}

/// A name, and two languages in which each text is there or none.
fn spoken() -> Texts {
    let mut uk = json!({"reference": "Номер"});
    for page in PAGES {
        for (part, words) in
            [("title", "Вхід"), ("body", "Увійдіть, щоб побачити цю сторінку."), ("action", "Увійти")]
        {
            uk[format!("{}.{part}", page.name())] = json!(words);
        }
    }
    texts(json!({
        "names": {"customers": "CSP self-care"},
        "languages": {"uk": uk, "ar": {"sign_in.title": "تسجيل الدخول"}},
    }))
}

/// An element: its name and attributes, the texts in it, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Element {
    path: String,
    attributes: BTreeMap<String, String>,
    text: String,
}

/// Reads a page as a browser does; every element that needs it is closed, in order.
fn elements(page: &str) -> (Vec<Element>, usize) {
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut elements, mut errors) = (Vec::<Element>::new(), 0);
    let mut open: Vec<usize> = Vec::new();
    for Ok(token) in Tokenizer::new_with_emitter(page, emitter) {
        match token {
            Token::Doctype(doctype) => assert!(elements.is_empty() && &**doctype.name == b"html"),
            Token::StartTag(tag) => {
                let name = text(&tag.name);
                let path = match open.last() {
                    Some(parent) => format!("{}/{name}", elements[*parent].path),
                    None => name.clone(),
                };
                let attributes =
                    tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
                elements.push(Element { path, attributes, text: String::new() });
                if name != "meta" && !tag.self_closing {
                    open.push(elements.len() - 1);
                }
            }
            Token::EndTag(tag) => {
                let at = open.pop().expect("an end without a beginning");
                assert_eq!(elements[at].path.rsplit('/').next().unwrap(), text(&tag.name), "{page}");
            }
            Token::String(words) => match open.last() {
                Some(parent) => elements[*parent].text += &text(&words),
                None => assert_eq!(&**words, b"\n", "text outside of the document"),
            },
            Token::Comment(_) => panic!("a comment: {page}"),
            Token::Error(_) => errors += 1,
        }
    }
    assert!(open.is_empty(), "{page}");
    (elements, errors)
}

fn find<'e>(elements: &'e [Element], path: &str) -> Option<&'e Element> {
    let mut found = elements.iter().filter(|element| element.path == path);
    let element = found.next();
    assert!(found.next().is_none(), "two of {path}");
    element
}

#[track_caller]
fn text<'e>(elements: &'e [Element], path: &str) -> &'e str {
    &find(elements, path).unwrap_or_else(|| panic!("no {path}")).text
}

const H1: &str = "html/body/main/h1";
const BODY: &str = "html/body/main/p";
const LINK: &str = "html/body/main/p/a";
const FORM: &str = "html/body/main/form";
const BUTTON: &str = "html/body/main/form/button";

fn header<'d>(document: &'d Document, name: &str) -> &'d str {
    let [(_, value)] = document.headers.iter().filter(|(known, _)| *known == name).collect::<Vec<_>>()[..]
    else {
        panic!("not one {name}")
    };
    value
}

/// A link is a second paragraph; the first is the page's.
fn first_paragraph(elements: &[Element]) -> &str {
    &elements.iter().find(|element| element.path == BODY).unwrap().text
}

#[test]
fn every_page_is_a_whole_document_that_loads_nothing() {
    let texts = spoken();
    for page in PAGES {
        for languages in [&b"en"[..], b"uk", b"ar"] {
            let document = render(page, Some(START), &texts, Some(languages), Some("customers"), Some(ID));
            let (elements, errors) = elements(&document.body);
            assert_eq!(errors, 0, "{}", document.body);
            let tag = std::str::from_utf8(languages).unwrap();
            let html = &find(&elements, "html").unwrap().attributes;
            let direction = if tag == "ar" { "rtl" } else { "ltr" };
            assert_eq!((html["lang"].as_str(), html["dir"].as_str()), (tag, direction));
            assert_eq!(header(&document, "content-language"), tag);
            let title = text(&elements, H1);
            assert_eq!(text(&elements, "html/head/title"), format!("{title} · CSP self-care"));
            assert_eq!(text(&elements, "html/body/header/p"), "CSP self-care");
            assert!(!title.is_empty() && !first_paragraph(&elements).is_empty());
            assert_eq!(text(&elements, "html/body/footer/p/code"), ID);
            for element in &elements {
                let name = element.path.rsplit('/').next().unwrap();
                assert!(!["script", "link", "img", "iframe", "base", "object"].contains(&name), "{name}");
                for attribute in element.attributes.keys() {
                    assert!(attribute != "style" && attribute != "src" && !attribute.starts_with("on"));
                }
            }
        }
    }
}

#[test]
fn the_policy_allows_the_style_and_nothing_else() {
    let document = render(Page::SignIn, None, &Texts::default(), None, None, None);
    let (elements, _) = elements(&document.body);
    let hash = STANDARD.encode(Sha256::digest(text(&elements, "html/head/style")));
    let policy = header(&document, "content-security-policy");
    let expect = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    );
    assert_eq!(policy, expect);
    for (name, value) in [
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
        ("vary", "accept-language"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ] {
        assert_eq!(header(&document, name), value);
    }
}

/// Its answer redirects to Keycloak, and the filter asks who sent it.
#[test]
fn the_form_may_lead_on_and_says_where_it_stands() {
    let document = render(Page::LogoutQuestion, Some("/sso/logout"), &Texts::default(), None, None, None);
    assert!(header(&document, "content-security-policy").contains("; form-action 'self' https: http:; "));
    assert_eq!(header(&document, "referrer-policy"), "same-origin");
    let (elements, _) = elements(&document.body);
    let form = &find(&elements, FORM).unwrap().attributes;
    assert_eq!((form["method"].as_str(), form["action"].as_str()), ("post", "/sso/logout"));
    assert_eq!(text(&elements, BUTTON), "Sign out");
    assert!(find(&elements, LINK).is_none());
}

#[test]
fn a_link_leads_into_the_login_and_opens_a_tab_where_this_one_is_needed() {
    for page in PAGES.into_iter().filter(|page| *page != Page::LogoutQuestion) {
        let document = render(page, Some(START), &Texts::default(), None, None, None);
        let (elements, _) = elements(&document.body);
        let link = find(&elements, LINK).unwrap();
        assert_eq!(link.attributes["href"], START);
        let target = link.attributes.get("target").zip(link.attributes.get("rel"));
        let own_tab = target.map(|(target, rel)| (target.as_str(), rel.as_str()));
        assert_eq!(own_tab, (page == Page::SessionEnded).then_some(("_blank", "noopener")));
    }
}

#[test]
fn a_link_that_leaves_this_host_is_left_out() {
    for page in [Page::SignIn, Page::LogoutQuestion] {
        for good in ["/", "/sso/start", START, "/a//b"] {
            let document = render(page, Some(good), &Texts::default(), None, None, None);
            let (elements, _) = elements(&document.body);
            assert!(find(&elements, LINK).is_some() || find(&elements, FORM).is_some(), "{good}");
        }
        let without = render(page, None, &Texts::default(), None, None, None);
        for bad in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\t//evil.example",
            "/\n/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a b",
            "/\u{e4}",
            " /a",
            "\\/evil.example",
        ] {
            assert_eq!(render(page, Some(bad), &Texts::default(), None, None, None), without, "{bad}");
        }
    }
}

#[test]
fn a_realm_without_a_name_heads_no_page() {
    let texts = spoken();
    for realm in [None, Some("admins"), Some("nobody")] {
        let document = render(Page::Forbidden, None, &texts, None, realm, None);
        let (elements, _) = elements(&document.body);
        assert_eq!(text(&elements, "html/head/title"), "No access");
        assert!(
            elements
                .iter()
                .all(|element| !element.path.contains("header") && !element.path.contains("footer"))
        );
    }
}

/// WCAG 2.2, 3.1.2.
#[test]
fn words_in_another_language_say_so() {
    let document = render(Page::SignIn, Some(START), &spoken(), Some(b"ar"), None, Some(ID));
    let (elements, _) = elements(&document.body);
    assert_eq!(find(&elements, H1).unwrap().attributes, BTreeMap::new());
    let english =
        |element: &Element| element.attributes["lang"] == "en" && element.attributes["dir"] == "ltr";
    let paragraph = elements.iter().find(|element| element.path == BODY).unwrap();
    assert!(english(paragraph) && english(find(&elements, LINK).unwrap()));
    assert!(english(find(&elements, "html/body/footer/p/span").unwrap()));
}

#[test]
fn english_pages_tell_themselves_apart() {
    let texts = Texts::default();
    let said: Vec<(&str, &str)> = PAGES
        .iter()
        .map(|page| (texts.speak(None).title(*page).text, texts.speak(None).body(*page).text))
        .collect();
    for (at, (title, body)) in said.iter().enumerate() {
        assert!(said[..at].iter().all(|(earlier, words)| earlier != title && words != body), "{title}");
    }
}

/// WCAG 2.2, 1.4.3 and 1.4.11: contrast of every pair of colours that the style puts on one another.
#[test]
fn colours_are_far_enough_apart() {
    let schemes: Vec<&str> = STYLE.lines().filter(|line| line.contains("--back:")).collect();
    assert_eq!(schemes.len(), 2);
    for scheme in schemes {
        let colour = |name: &str| {
            let value = scheme.split_once(&format!("--{name}:#")).unwrap().1;
            let digits: String = value.chars().take_while(char::is_ascii_hexdigit).collect();
            let digits =
                if digits.len() == 3 { digits.chars().flat_map(|c| [c, c]).collect() } else { digits };
            luminance(u32::from_str_radix(&digits, 16).unwrap())
        };
        for (front, back, least) in [
            ("text", "card", 7.0),
            ("soft", "back", 4.5),
            ("on", "accent", 4.5),
            ("accent", "card", 3.0),
            ("text", "back", 7.0),
        ] {
            let (front, back) = (colour(front), colour(back));
            let ratio = (front.max(back) + 0.05) / (front.min(back) + 0.05);
            assert!(ratio >= least, "{ratio} in {scheme}");
        }
    }
}

fn luminance(rgb: u32) -> f64 {
    let part = |shift: u32| {
        let value = f64::from(rgb >> shift & 0xff) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
}

fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    let cases = if cfg!(target_family = "wasm") { default.cases / 8 } else { default.cases };
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..default }
}

/// What would end an element, a value or an escape, and anything else.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = proptest::sample::select(vec![
        "<",
        ">",
        "\"",
        "'",
        "&",
        "</",
        "/>",
        "<!--",
        "-->",
        "<script>",
        "</title>",
        "</style>",
        "</textarea>",
        "&lt;",
        "&#60",
        "&amp;",
        "]]>",
        "<![CDATA[",
        "=",
        "`",
        "/",
        "\\",
        "on",
        "x",
        "\u{202e}",
        "é",
    ]);
    let soup = proptest::collection::vec(pieces, 1..12).prop_map(|pieces| pieces.concat());
    prop_oneof![3 => soup, 1 => "[^\\p{C}]{1,24}"]
        .prop_filter("a text is readable", |text| !text.trim().is_empty())
}

proptest! {
    #![proptest_config(config())]

    /// Whatever the texts are, the document has the same elements, and they say exactly what they were given.
    #[test]
    fn no_text_leaves_its_place(
        words in proptest::array::uniform6(hostile()),
        link in hostile().prop_map(|rest| format!("/{rest}")),
        page in proptest::sample::select(PAGES.to_vec()),
    ) {
        let [name, title, body, action, reference, id] = &words;
        let name_of = |part: &str| format!("{}.{part}", page.name());
        let texts = texts(json!({
            "names": {"customers": name},
            "languages": {"en": {
                "reference": reference,
                name_of("title"): title, name_of("body"): body, name_of("action"): action,
            }},
        }));
        let draw = |texts: &Texts, link: &str, id: &str| {
            elements(&render(page, Some(link), texts, None, Some("customers"), Some(id)).body).0
        };
        let drawn = draw(&texts, &link, id);
        let plain = draw(&spoken(), if local(&link).is_some() { "/" } else { "" }, "1");
        let shape = |elements: &[Element]| -> Vec<(String, Vec<String>)> {
            elements.iter().map(|e| (e.path.clone(), e.attributes.keys().cloned().collect())).collect()
        };
        prop_assert_eq!(shape(&drawn), shape(&plain));
        prop_assert_eq!(text(&drawn, "html/head/title"), format!("{title} · {name}"));
        prop_assert_eq!(text(&drawn, "html/body/header/p"), name);
        prop_assert_eq!((text(&drawn, H1), first_paragraph(&drawn)), (title.as_str(), body.as_str()));
        prop_assert_eq!(text(&drawn, "html/body/footer/p/span"), reference);
        prop_assert_eq!(text(&drawn, "html/body/footer/p/code"), id);
        if local(&link).is_some() {
            let (path, attribute) = if page == Page::LogoutQuestion { (FORM, "action") } else { (LINK, "href") };
            prop_assert_eq!(&find(&drawn, path).unwrap().attributes[attribute], &link);
            let label = if page == Page::LogoutQuestion { BUTTON } else { LINK };
            prop_assert_eq!(text(&drawn, label), action);
        }
    }
}

/// For the eye: every page as a file beside the build, `target/pages/sign_in.html`.
#[cfg(not(target_family = "wasm"))]
#[test]
fn every_page_can_be_looked_at() {
    let exe = std::env::current_exe().unwrap();
    let folder = exe.ancestors().nth(3).unwrap().join("pages");
    std::fs::create_dir_all(&folder).unwrap();
    for page in PAGES {
        for language in ["en", "uk", "ar"] {
            let document =
                render(page, Some(START), &spoken(), Some(language.as_bytes()), Some("customers"), Some(ID));
            std::fs::write(folder.join(format!("{}.{language}.html", page.name())), document.body).unwrap();
        }
    }
}
