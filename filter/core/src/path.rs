//! Paths in normal form (RFC 3986 section 6.2.2), and sets of such paths.
//!
//! A path that two servers could read in two ways is refused, not guessed: the upstream decides what a
//! request does, and it need not read as Envoy or Portcullis do. So there is nothing left to normalise but
//! percent-encoded unreserved characters.

use std::borrow::Cow;

use crate::error::RequestError;

/// A request path in normal form: starts with `/`; no dot segment, no empty segment but the last one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NormalPath<'p>(Cow<'p, str>);

impl<'p> NormalPath<'p> {
    /// Reads the path part of `:path`, without the query.
    ///
    /// # Errors
    /// The path is not in a form that every server reads alike.
    pub(crate) fn parse(path: &'p [u8]) -> Result<Self, RequestError> {
        let path =
            std::str::from_utf8(path).ok().filter(|path| path.starts_with('/')).ok_or(RequestError::Path)?;
        if !path.bytes().all(is_plain) {
            return Err(RequestError::Path);
        }
        let normal =
            if path.contains('%') { Cow::Owned(decode_unreserved(path)?) } else { Cow::Borrowed(path) };
        if normal.contains("//") || normal.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(RequestError::Path);
        }
        Ok(Self(normal))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands between the slashes; the last one is empty where the path ends in a slash.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }
}

/// Bytes that may stand in a path as they are. `;` begins path parameters for some servers and not for
/// others; `\` is a slash for some; bytes beyond ASCII belong percent-encoded.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#' | b'?' | b';')
}

/// Decodes the unreserved characters and leaves the other escapes, in upper case.
fn decode_unreserved(path: &str) -> Result<String, RequestError> {
    let mut pieces = path.split('%');
    let mut normal = pieces.next().unwrap_or_default().to_owned();
    let mut decoded = normal.clone().into_bytes();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or(RequestError::Path)?;
        // `from_str_radix` alone would take a sign.
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(RequestError::Path);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| RequestError::Path)?;
        if byte.is_ascii_control() || matches!(byte, b'/' | b'\\' | b'#' | b';') {
            return Err(RequestError::Path);
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            normal.push_str(&digits.to_ascii_uppercase());
        }
        normal.push_str(rest);
        decoded.push(byte);
        decoded.extend_from_slice(rest.as_bytes());
    }
    // A percent sign is left only where `%25` stood: with two digits behind it, a server that decodes
    // twice would find another byte there.
    if decoded.windows(3).any(is_escape) || std::str::from_utf8(&decoded).is_err() {
        return Err(RequestError::Path);
    }
    Ok(normal)
}

fn is_escape(bytes: &[u8]) -> bool {
    matches!(bytes, [b'%', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    #[track_caller]
    fn check(path: &str, expect: Option<&str>) {
        let normal = NormalPath::parse(path.as_bytes());
        assert_eq!(normal.as_ref().ok().map(NormalPath::as_str), expect, "{path:?}");
    }

    #[test]
    fn unreserved_characters_are_decoded_and_nothing_else() {
        check("/", Some("/"));
        check("/rest/Invoice/", Some("/rest/Invoice/"));
        check("/%61dm%49n%2D%5f%7E", Some("/admIn-_~"));
        check("/a%20b%3aC%3f%40", Some("/a%20b%3AC%3F%40"));
        check("/%c3%a4", Some("/%C3%A4"));
        check("/100%25", Some("/100%25"));
        check("/100%25/x", Some("/100%25/x"));
        check("/rest/Session/login/{\"login\":\"x\"}", Some("/rest/Session/login/{\"login\":\"x\"}"));
        check("/.well-known/x", Some("/.well-known/x"));
        check("/a...b/...", Some("/a...b/..."));
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        let ambiguous = [
            "",
            "*",
            "a",
            "http://a/b",
            "//",
            "//admin",
            "/a//b",
            "/.",
            "/..",
            "/./a",
            "/a/..",
            "/a/../b",
            "/%2e%2e/a",
            "/%2E./a",
            "/.%2e",
            "/..;/a",
            "/a;x=1",
            "/a%3bx",
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a\\b",
            "/a#b",
            "/a%23b",
            "/%00",
            "/a%0d%0ab",
            "/a%7f",
            "/a\u{0}b",
            "/a b",
            "/a\tb",
            "/a?b",
            "/%",
            "/a%2",
            "/a%zz",
            "/a%+1",
            "/%252f",
            "/%252e%252e",
            "/%25%32%66",
            "/%2%35",
            "/%c3",
            "/%ff",
            "/%c0%ae%c0%ae",
            "/%ed%a0%80",
            "/\u{e4}",
        ];
        for path in ambiguous {
            check(path, None);
        }
        assert!(NormalPath::parse(b"/\xff").is_err());
    }

    #[test]
    fn a_normal_path_is_its_own_normal_form() {
        for path in ["/", "/a%20b", "/%C3%A4/x", "/100%25"] {
            check(path, Some(path));
        }
    }
}
