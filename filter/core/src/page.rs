//! Pages for a person: one self-contained document, in the reader's language, that loads nothing and repeats
//! nothing of a request but Envoy's request id.

use std::fmt::{self, Write as _};

use crate::text::{Page, Speech, Texts, Words, direction};

/// A page, and the header fields without which it must not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

/// `Content-Security-Policy` names the style by its hash: no other one is applied.
const STYLE: &str = include_str!("page.css");
const STYLE_HASH: &str = "sha256-gRN7SOp09Q7UgMTGxU+QO+fSkI/BUMT7fFyqeVmb9Ow=";

/// Paths of the icons, drawn with a stroke in a square of 24.
const LOCK: &str = "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3";
const WARNING: &str = "M12 4 2.5 20h19zM12 10v4.5M12 17v.2";
const DOOR: &str = "M11 4H5v16h6M10 12h10M16.5 8.5 20 12l-3.5 3.5";

/// Writes a page. `link` is where its link or form leads: a path on this host, and without one (or with
/// anything else) there is none. `languages` is the value of `Accept-Language`.
pub(crate) fn render(
    page: Page,
    link: Option<&str>,
    texts: &Texts,
    languages: Option<&[u8]>,
    realm: Option<&str>,
    request_id: Option<&str>,
) -> Document {
    let speech = texts.speak(languages);
    let mut body = String::with_capacity(STYLE.len() + 2048);
    // Writing into a String cannot fail.
    let _ = write(
        &mut body,
        page,
        link.and_then(local),
        speech,
        realm.and_then(|realm| texts.name(realm)),
        request_id,
    );
    Document { headers: headers(page, speech.tag), body }
}

fn headers(page: Page, language: &str) -> Vec<(&'static str, String)> {
    // The answer to a form leads on to Keycloak, which may lead on to other hosts: Chromium applies form-action
    // to each of them. And with no-referrer the form would come with `Origin: null`.
    let (forms, referrer) = match page {
        Page::LogoutQuestion => ("'self' https: http:", "same-origin"),
        _ => ("'self'", "no-referrer"),
    };
    let policy = format!(
        "default-src 'none'; style-src '{STYLE_HASH}'; form-action {forms}; frame-ancestors 'none'; base-uri 'none'"
    );
    let fields = [
        ("cache-control", "no-store"),
        ("content-type", "text/html; charset=utf-8"),
        ("content-language", language),
        ("vary", "accept-language"),
        ("content-security-policy", &policy),
        ("referrer-policy", referrer),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
    ];
    fields.map(|(name, value)| (name, value.to_owned())).to_vec()
}

fn write(
    out: &mut String,
    page: Page,
    link: Option<&str>,
    speech: Speech<'_>,
    name: Option<&str>,
    request_id: Option<&str>,
) -> fmt::Result {
    let (tag, title) = (speech.tag, speech.title(page));
    write!(
        out,
        "<!doctype html>\n<html lang=\"{tag}\" dir=\"{}\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{}",
        direction(tag),
        Escaped(title.text)
    )?;
    if let Some(name) = name {
        write!(out, " · {}", Escaped(name))?;
    }
    write!(out, "</title><style>{STYLE}</style></head><body>")?;
    if let Some(name) = name {
        write!(out, "<header><p>{}</p></header>", Escaped(name))?;
    }
    write!(
        out,
        "<main><svg viewBox=\"0 0 24 24\" width=\"40\" height=\"40\" fill=\"none\" stroke=\"currentColor\" \
         stroke-width=\"2\" stroke-linecap=\"round\" stroke-linejoin=\"round\" aria-hidden=\"true\"><path d=\"{}\"/></svg>",
        icon(page)
    )?;
    element(out, "h1", title, tag)?;
    element(out, "p", speech.body(page), tag)?;
    if let Some(path) = link {
        let (path, action) = (Escaped(path), speech.action(page));
        if page == Page::LogoutQuestion {
            write!(out, "<form method=\"post\" action=\"{path}\">")?;
            element(out, "button", action, tag)?;
            out.push_str("</form>");
        } else {
            let target = if page == Page::SessionEnded { " target=\"_blank\" rel=\"noopener\"" } else { "" };
            let (language, label) = (Language(action, tag), Escaped(action.text));
            write!(out, "<p><a href=\"{path}\"{target}{language}>{label}</a></p>")?;
        }
    }
    out.push_str("</main>");
    if let Some(id) = request_id {
        out.push_str("<footer><p>");
        element(out, "span", speech.reference(), tag)?;
        write!(out, ": <code dir=\"ltr\">{}</code></p></footer>", Escaped(id))?;
    }
    out.push_str("</body></html>\n");
    Ok(())
}

fn element(out: &mut String, name: &str, words: Words<'_>, page_tag: &str) -> fmt::Result {
    write!(out, "<{name}{}>{}</{name}>", Language(words, page_tag), Escaped(words.text))
}

const fn icon(page: Page) -> &'static str {
    match page {
        Page::SignIn | Page::SessionEnded | Page::Forbidden | Page::StepUpFailed | Page::LoginInsecure => {
            LOCK
        }
        Page::LogoutQuestion => DOOR,
        _ => WARNING,
    }
}

/// A path on this host as every browser reads it: browsers take `\` for `/`, and leave out tabs and line breaks.
fn local(path: &str) -> Option<&str> {
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    (path.starts_with('/') && !path.starts_with("//") && plain).then_some(path)
}

/// The attributes of words that are in another language than their page.
struct Language<'t>(Words<'t>, &'t str);

impl fmt::Display for Language<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(words, page_tag) = self;
        if words.tag == *page_tag {
            return Ok(());
        }
        write!(f, " lang=\"{}\" dir=\"{}\"", words.tag, direction(words.tag))
    }
}

/// Text, or the value of an attribute.
struct Escaped<'t>(&'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            letter => f.write_char(letter),
        })
    }
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
