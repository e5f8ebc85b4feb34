//! Cookies (RFC 6265): ours are read and cut, everybody else's go on as they are.

use percent_encoding::percent_decode_str;

use crate::request::{Header, values};

/// Begins the name of every cookie of ours. `__Host-`: set by this host over HTTPS, for this host alone and all
/// its paths, so that no sibling domain can plant one (RFC 6265bis section 4.1.3.2).
pub(crate) const PREFIX: &str = "__Host-portcullis-";

/// Attributes of every cookie of ours. Lax, since the browser comes back from Keycloak by a navigation.
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// Cookies of ours that are read from one request; what goes beyond them counts as absent.
const MAX_COOKIES: usize = 64;

/// The cookies of ours that a request brought, by the rest of their name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnCookies(Vec<(String, String)>);

impl OwnCookies {
    /// Reads them. A name that is there twice counts as absent: a browser sends each `__Host-` cookie once.
    pub(crate) fn read(headers: &[Header]) -> Self {
        let mut found: Vec<(String, Option<String>)> = Vec::new();
        for pair in pairs(headers) {
            let Some((name, value)) = own(pair) else { continue };
            if let Some((_, value)) = found.iter_mut().find(|(known, _)| known == name) {
                *value = None;
            } else if found.len() < MAX_COOKIES {
                found.push((name.to_owned(), Some(value.to_owned())));
            }
        }
        Self(found.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    /// The value of a cookie, by the name without the prefix.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Names and values of the cookies whose name begins so; the beginning is cut.
    pub(crate) fn beginning<'c>(&'c self, start: &'c str) -> impl Iterator<Item = (&'c str, &'c str)> {
        self.0.iter().filter_map(move |(name, value)| Some((name.strip_prefix(start)?, value.as_str())))
    }
}

/// Whether a request brings a cookie of ours.
pub(crate) fn brings_ours(headers: &[Header]) -> bool {
    pairs(headers).any(is_ours)
}

/// Everybody else's cookies, as they were written: a name and a value, usually.
pub(crate) fn others(headers: &[Header]) -> impl Iterator<Item = String> {
    pairs(headers).filter(|pair| !is_ours(pair)).map(|pair| String::from_utf8_lossy(pair).into_owned())
}

/// The name or value of somebody else's cookie without what may be written around it or in it: spaces, quotes, percent signs.
pub(crate) fn decode(text: &str) -> String {
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '"');
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The `cookie` field without our cookies: `None` where there are none of ours, so that it stays as it is.
/// Nothing left: an empty one.
pub(crate) fn without_ours(headers: &[Header]) -> Option<Vec<u8>> {
    if !brings_ours(headers) {
        return None;
    }
    let kept: Vec<&[u8]> = pairs(headers).filter(|pair| !is_ours(pair) && !pair.is_empty()).collect();
    Some(kept.join(&b"; "[..]))
}

/// The value of a `set-cookie` field. `max_age`: seconds; absent: until the browser is closed.
pub(crate) fn set(name: &str, value: &str, max_age: Option<u64>) -> String {
    let max_age = max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
    format!("{PREFIX}{name}={value}; {ATTRIBUTES}{max_age}")
}

/// The value of a `set-cookie` field that takes a cookie back, with the attributes that it was set with.
pub(crate) fn delete(name: &str) -> String {
    set(name, "", Some(0))
}

fn pairs(headers: &[Header]) -> impl Iterator<Item = &[u8]> {
    values(headers, "cookie").flat_map(|value| value.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii)
}

/// Whether a pair bears a name of ours, in any case: no upstream shall see one by folding names.
fn is_ours(pair: &[u8]) -> bool {
    pair.get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX.as_bytes()))
}

/// Name without the prefix, and value.
fn own(pair: &[u8]) -> Option<(&str, &str)> {
    std::str::from_utf8(pair).ok()?.strip_prefix(PREFIX)?.split_once('=')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    fn head(cookies: &[&[u8]]) -> Vec<Header> {
        cookies.iter().map(|value| ("cookie".to_owned(), value.to_vec())).collect()
    }

    #[test]
    fn ours_are_read_by_their_exact_name() {
        let headers = head(&[
            b"a=1; __Host-portcullis-x=v; __host-portcullis-y=no",
            b"__Host-portcullis-z=w=1;__Host-portcullis-bare",
        ]);
        let cookies = OwnCookies::read(&headers);
        assert_eq!(cookies.value("x"), Some("v"));
        assert_eq!(cookies.value("z"), Some("w=1"));
        assert_eq!((cookies.value("y"), cookies.value("bare"), cookies.value("a")), (None, None, None));
    }

    #[test]
    fn a_name_that_is_there_twice_counts_as_absent() {
        for twice in [
            &[&b"__Host-portcullis-x=1; __Host-portcullis-x=1"[..]][..],
            &[b"__Host-portcullis-x=1", b"__Host-portcullis-x=2"],
        ] {
            assert_eq!(OwnCookies::read(&head(twice)), OwnCookies::default());
        }
    }

    #[test]
    fn a_flood_of_cookies_is_bounded() {
        let many: Vec<String> = (0..10_000).map(|n| format!("__Host-portcullis-{n}=v")).collect();
        assert_eq!(OwnCookies::read(&head(&[many.join("; ").as_bytes()])).0.len(), MAX_COOKIES);
    }

    #[test]
    fn upstreams_see_every_cookie_but_ours() {
        for (cookies, expect) in [
            (&[&b"a=1; b=2"[..]][..], None),
            (&[b"a=1; __Host-portcullis-session-0=x; b=\"q\""], Some(&b"a=1; b=\"q\""[..])),
            (&[b"__HOST-PORTCULLIS-x=1;a=1"], Some(b"a=1")),
            (&[b"__Host-portcullis-x=1"], Some(b"")),
            (&[b"a=\xff; __Host-portcullis-x=1", b"c=3"], Some(b"a=\xff; c=3")),
            (&[b"a=__Host-portcullis-x"], None),
        ] {
            assert_eq!(without_ours(&head(cookies)).as_deref(), expect);
        }
    }

    #[test]
    fn a_cookie_is_taken_back_with_the_attributes_that_it_was_set_with() {
        assert_eq!(
            set("x", "v", Some(60)),
            "__Host-portcullis-x=v; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"
        );
        assert_eq!(delete("x"), "__Host-portcullis-x=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0");
    }
}
