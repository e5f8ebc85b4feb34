//! What a request is for, as browsers say it (Fetch Metadata), and as others let guess.

use crate::request::{Header, values, weight};

/// What a request is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A page that a person will see, and not a frame of one: only this may be sent to sign in.
    Navigation,
    /// A form that a person sent off, whose answer is a page.
    Form,
    /// Anything else: a script, an image, a frame, a prefetch, a program.
    #[default]
    Other,
}

impl Errand {
    /// Reads it: by Fetch Metadata, and from a client that sends none, by `Accept`.
    pub(crate) fn of(headers: &[Header]) -> Self {
        if !(if says_metadata(headers) { is_document(headers) } else { accepts_html(headers) })
            || is_in_advance(headers)
        {
            return Self::Other;
        }
        match values(headers, ":method").next() {
            Some(b"GET") => Self::Navigation,
            Some(b"POST") => Self::Form,
            _ => Self::Other,
        }
    }
}

/// Whether a GET may begin a login: a browser that says what it is doing must be navigating, and one that says nothing
/// is believed, unless a script has left its mark.
pub(crate) fn may_be_navigation(headers: &[Header]) -> bool {
    let navigates = if says_metadata(headers) { is_document(headers) } else { !is_script(headers) };
    values(headers, ":method").next() == Some(b"GET") && navigates && !is_in_advance(headers)
}

/// Whether the client sends Fetch Metadata at all: who sends some of it is no browser from before.
fn says_metadata(headers: &[Header]) -> bool {
    headers
        .iter()
        .any(|(name, _)| name.get(..METADATA.len()).is_some_and(|start| start.eq_ignore_ascii_case(METADATA)))
}

const METADATA: &str = "sec-fetch-";

/// A navigation of the top level. A field that is there twice must say the same.
fn is_document(headers: &[Header]) -> bool {
    let mut modes = values(headers, "sec-fetch-mode").peekable();
    let framed = values(headers, "sec-fetch-dest").any(|dest| FRAMES.contains(&dest));
    modes.peek().is_some() && modes.all(|mode| mode == b"navigate") && !framed
}

const FRAMES: [&[u8]; 5] = [b"iframe", b"frame", b"embed", b"object", b"fencedframe"];

/// A page that is fetched in case it will be needed.
fn is_in_advance(headers: &[Header]) -> bool {
    ["sec-purpose", "purpose", "x-moz", "x-purpose"].iter().any(|name| {
        values(headers, name).any(|value| {
            let value = value.to_ascii_lowercase();
            value.starts_with(b"prefetch") || value.starts_with(b"prerender") || value == b"preview"
        })
    })
}

/// What libraries for `XMLHttpRequest` say of themselves. Android's web views send their package's name there.
fn is_script(headers: &[Header]) -> bool {
    values(headers, "x-requested-with").any(|value| value.eq_ignore_ascii_case(b"XMLHttpRequest"))
}

/// Whether `Accept` names HTML and does not weigh it with zero (RFC 9110 section 12.5.1).
fn accepts_html(headers: &[Header]) -> bool {
    let ranges = values(headers, "accept")
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|value| value.split(','));
    let html = ranges.into_iter().any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let html = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("text/html"));
        html && parts.find_map(|part| part.strip_prefix("q=")).and_then(weight) != Some(0)
    });
    html && !is_script(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    #[track_caller]
    fn check(method: &str, fields: &[(&str, &str)], expect: Errand, may: bool) {
        let mut headers = vec![(":method".to_owned(), method.as_bytes().to_vec())];
        headers.extend(fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())));
        assert_eq!((Errand::of(&headers), may_be_navigation(&headers)), (expect, may), "{method} {fields:?}");
    }

    const NAVIGATE: (&str, &str) = ("sec-fetch-mode", "navigate");
    const HTML: (&str, &str) = ("accept", "text/html,*/*;q=0.8");

    #[test]
    fn a_navigation_is_a_get_of_a_document() {
        check("GET", &[NAVIGATE], Errand::Navigation, true);
        check("GET", &[NAVIGATE, ("sec-fetch-dest", "document")], Errand::Navigation, true);
        check("GET", &[HTML], Errand::Navigation, true);
        check("GET", &[("accept", "application/json")], Errand::Other, true);
        check("GET", &[], Errand::Other, true);
        check("POST", &[NAVIGATE], Errand::Form, false);
        check("POST", &[HTML], Errand::Form, false);
        for method in ["HEAD", "PUT", "DELETE", "OPTIONS", "get"] {
            check(method, &[NAVIGATE, HTML], Errand::Other, false);
        }
    }

    #[test]
    fn everything_that_says_it_is_something_else_is() {
        for mode in ["cors", "no-cors", "same-origin", "websocket", "", "Navigate"] {
            check("GET", &[("sec-fetch-mode", mode), HTML], Errand::Other, false);
        }
        for dest in ["iframe", "frame", "embed", "object", "fencedframe"] {
            check("GET", &[NAVIGATE, HTML, ("sec-fetch-dest", dest)], Errand::Other, false);
        }
        for purpose in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch"), ("x-moz", "prefetch")]
        {
            check("GET", &[NAVIGATE, HTML, purpose], Errand::Other, false);
            check("GET", &[HTML, purpose], Errand::Other, false);
        }
        // Some Fetch Metadata, and not the part that would say that it navigates.
        for some in [("sec-fetch-dest", "document"), ("sec-fetch-site", "none"), ("Sec-Fetch-User", "?1")] {
            check("GET", &[HTML, some], Errand::Other, false);
        }
        check("GET", &[NAVIGATE, ("sec-fetch-mode", "cors")], Errand::Other, false);
        check(
            "GET",
            &[NAVIGATE, ("sec-fetch-dest", "document"), ("sec-fetch-dest", "iframe")],
            Errand::Other,
            false,
        );
        check("GET", &[HTML, ("x-requested-with", "xmlhttprequest")], Errand::Other, false);
        check("GET", &[HTML, ("x-requested-with", "com.example.browser")], Errand::Navigation, true);
        for accept in ["text/html;q=0", "text/html; q=0.000, */*"] {
            check("GET", &[("accept", accept)], Errand::Other, true);
        }
        check("GET", &[("accept", "text/html;q=0.001")], Errand::Navigation, true);
    }
}
