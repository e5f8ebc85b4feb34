//! What a client presents to be let in: one bearer token (RFC 6750 section 2.1), or nothing.

use crate::request::{Header, Request, values};

/// The credential of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Credential<'h> {
    /// No `Authorization`, or one of another scheme than Bearer.
    None,
    /// One token, unread.
    Bearer(&'h str),
    /// A `Bearer` without a token that could be read.
    Malformed,
    /// More than one credential: the upstream might believe the other one.
    Ambiguous,
}

impl<'h> Credential<'h> {
    /// Reads `Authorization`, and looks whether the query brings a token as well (RFC 6750 section 2.3),
    /// which alone counts for nothing.
    pub(crate) fn find(headers: &'h [Header], request: &Request<'_>) -> Self {
        let mut fields = values(headers, "authorization");
        let (Some(value), None) = (fields.next(), fields.next()) else {
            let any = values(headers, "authorization").next().is_some();
            return if any { Self::Ambiguous } else { Self::None };
        };
        match Self::read(value) {
            Self::Bearer(_) if request.has_parameter("access_token") => Self::Ambiguous,
            credential => credential,
        }
    }

    /// Reads the value of one `Authorization` field. The scheme's case does not matter; one space
    /// separates it from the token.
    fn read(value: &'h [u8]) -> Self {
        // What nearly every request brings. A token holds no comma, so it is one credential.
        if let Some(token) = bearer_token(value) {
            return Self::Bearer(token);
        }
        // Envoy, and others before it, may have joined two fields with a comma.
        if value.split(|byte| *byte == b',').skip(1).any(is_bearer) {
            return Self::Ambiguous;
        }
        if !is_bearer(value) {
            return Self::None;
        }
        let token = value.get(SCHEME.len()..).unwrap_or_default();
        let Some((b' ', token)) = token.split_first() else { return Self::Malformed };
        match std::str::from_utf8(token) {
            Ok(token) if token.trim().contains([' ', '\t', ',']) => Self::Ambiguous,
            _ => Self::Malformed,
        }
    }
}

const SCHEME: &[u8] = b"bearer";

fn is_bearer(value: &[u8]) -> bool {
    let value = value.trim_ascii_start();
    let scheme = value.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME));
    scheme && value.get(SCHEME.len()).is_none_or(u8::is_ascii_whitespace)
}

/// The token of `Bearer <token>`, and nothing around it.
fn bearer_token(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    let token = token.strip_prefix(b" ").filter(|token| !token.is_empty())?;
    let sound = scheme.eq_ignore_ascii_case(SCHEME)
        && token.iter().all(|byte| TOKEN_BYTES.get(usize::from(*byte)) == Some(&true));
    std::str::from_utf8(token).ok().filter(|_| sound)
}

/// `token68` of RFC 9110 section 11.2. Only base64url and dots will parse; the rest is told apart later.
const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
}

/// [`is_token_byte`] of every byte: to look it up is a third of the work, for each byte of every request's token.
const TOKEN_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let (mut rest, mut byte) = (table.as_mut_slice(), 0_u8);
    while let Some((entry, after)) = rest.split_first_mut() {
        *entry = is_token_byte(byte);
        (rest, byte) = (after, byte.wrapping_add(1));
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    #[track_caller]
    fn check(value: &str, expect: Credential<'_>) {
        assert_eq!(Credential::read(value.as_bytes()), expect, "{value:?}");
    }

    #[test]
    fn one_bearer_token() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            check(&format!("{scheme} a.b.c"), Credential::Bearer("a.b.c"));
        }
    }

    /// One odd byte makes it none, whichever it is.
    #[test]
    fn a_token_is_of_the_characters_of_the_rfc() {
        let token68 = b"-._~+/=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        for byte in 0..=u8::MAX {
            let value = [b"Bearer a.b", &[byte][..], b".c"].concat();
            let is_token = matches!(Credential::read(&value), Credential::Bearer(_));
            assert_eq!(is_token, token68.contains(&byte), "{byte}");
        }
    }

    #[test]
    fn other_schemes_are_no_credential() {
        for value in
            ["", "Basic dTpw", "Negotiate YII=", "DPoP a.b.c", "Bearera.b.c", "Bear a", "Digest a=\"b\", c=d"]
        {
            check(value, Credential::None);
        }
    }

    #[test]
    fn bearers_that_cannot_be_read() {
        for value in
            ["Bearer", "Bearer ", "Bearer  a", "Bearer\ta", "Bearer \ta", "Bearer a\u{e4}", "Bearer \"a\""]
        {
            check(value, Credential::Malformed);
        }
        assert_eq!(Credential::read(b"Bearer \xff"), Credential::Malformed);
    }

    #[test]
    fn two_credentials() {
        for value in
            ["Bearer a,Bearer b", "Bearer a, bearer b", "Bearer a b", "Basic x, Bearer a", "Bearer a,b"]
        {
            check(value, Credential::Ambiguous);
        }
    }
}
