//! The compact form of a JWS (RFC 7515 section 7.1) with the header read and the payload still closed:
//! nothing in here is true yet.

use serde_json::{Map, Value};

use super::alg::Algorithm;
use super::base64url;
use crate::error::TokenError;
use crate::json;

/// The longest key id (bytes) that is looked up; Keycloak's have 43.
pub(crate) const MAX_KID_BYTES: usize = 256;

/// Header members that name a key, change how the token is read, or demand understanding: a token that
/// carries one is refused (RFC 7515 section 4.1, RFC 7516 section 4.1, RFC 7797 section 3).
const REFUSED_MEMBERS: [&str; 8] = ["crit", "b64", "jwk", "jku", "x5u", "x5c", "zip", "enc"];

/// Header types of an access token (RFC 9068 section 2.1, RFC 7515 section 4.1.9), compared without case
/// as media types are.
const ACCESS_TOKEN_TYPES: [&str; 3] = ["JWT", "at+jwt", "application/at+jwt"];

/// An unverified token: three parts of base64url, the first one read.
#[derive(Debug)]
pub(crate) struct Jws<'t> {
    /// `alg`: what the token claims to be signed with.
    pub(crate) algorithm: Algorithm,
    /// `kid`: the key that the token claims to be signed with.
    pub(crate) kid: String,
    typ: Option<String>,
    /// What the signature covers: header, dot, payload.
    pub(super) signing_input: &'t str,
    /// The signature in base64url, known to decode.
    pub(super) signature: &'t str,
    payload: &'t str,
}

impl<'t> Jws<'t> {
    /// Reads the compact form. Linear in the length of `compact`, which the caller bounds.
    ///
    /// # Errors
    /// No compact JWS, or a header that asks for what is not supported.
    pub(crate) fn parse(compact: &'t str) -> Result<Self, TokenError> {
        let (signing_input, signature) = compact.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = signing_input.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.is_empty() || payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        let header = base64url(header).ok_or(TokenError::Malformed)?;
        let Ok(Value::Object(header)) = json::parse(&header) else {
            return Err(TokenError::Malformed);
        };
        if REFUSED_MEMBERS.iter().any(|name| header.contains_key(*name)) {
            return Err(TokenError::HeaderMember);
        }
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::parse)
            .ok_or(TokenError::Algorithm)?;
        let typ = header_type(&header)?;
        let kid = key_id(&header)?;
        if signature.is_empty() || base64url(signature).is_none() {
            return Err(TokenError::Malformed);
        }
        Ok(Self { algorithm, kid, typ, signing_input, signature, payload })
    }

    /// The header's `typ`, where it has one.
    pub(crate) fn header_type(&self) -> Option<&str> {
        self.typ.as_deref()
    }

    /// Refuses a header `typ` that no access token bears: an ID, logout or proof token says so here.
    ///
    /// # Errors
    /// A `typ` that is there and is none of `JWT`, `at+jwt`, `application/at+jwt`.
    pub(crate) fn expect_access_token(&self) -> Result<(), TokenError> {
        match &self.typ {
            None => Ok(()),
            Some(typ) if ACCESS_TOKEN_TYPES.iter().any(|known| typ.eq_ignore_ascii_case(known)) => Ok(()),
            Some(_) => Err(TokenError::HeaderType),
        }
    }

    /// Refuses a header `typ` that no ID token bears: an access token may say so here (RFC 9068 section 2.1).
    ///
    /// # Errors
    /// A `typ` that is there and is not `JWT`.
    pub(crate) fn expect_id_token(&self) -> Result<(), TokenError> {
        match &self.typ {
            Some(typ) if !typ.eq_ignore_ascii_case("JWT") => Err(TokenError::HeaderType),
            _ => Ok(()),
        }
    }

    /// The payload's object. Still unverified: for `jose::verify`, and for the two places that decide
    /// what *not* to do (withhold a key fetch, refuse a Keycloak token on a legacy route).
    ///
    /// # Errors
    /// Not base64url, no JSON object, or a member named twice.
    pub(crate) fn open_unverified(&self) -> Result<Map<String, Value>, TokenError> {
        let payload = base64url(self.payload).ok_or(TokenError::Malformed)?;
        match json::parse(&payload) {
            Ok(Value::Object(claims)) => Ok(claims),
            _ => Err(TokenError::Malformed),
        }
    }
}

/// Whether something that looks like a compact JWS names an issuer in its payload, whatever its header says.
/// Keycloak's tokens do; PortaBilling's JWT and session ids do not. The answer only ever refuses, so unverified
/// words are enough.
pub(crate) fn names_issuer(compact: &str) -> bool {
    let payload = compact.split('.').nth(1).and_then(base64url);
    let claims = payload.and_then(|payload| serde_json::from_slice::<Map<String, Value>>(&payload).ok());
    claims.is_some_and(|claims| claims.contains_key("iss"))
}

/// What a JWT of PortaBilling's says of itself. Whoever verifies the very same token may be told by it whom to refuse.
#[derive(Debug, Default)]
pub(crate) struct UnverifiedClaims {
    pub(crate) login: Option<String>,
    /// The session that it is of (`jti`).
    pub(crate) id: Option<String>,
}

impl UnverifiedClaims {
    /// Reads them; what is no JWT says nothing.
    pub(crate) fn read(compact: &str) -> Self {
        let mut parts = compact.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Self::default();
        };
        let claims = base64url(payload).and_then(|payload| json::parse(&payload).ok()).unwrap_or_default();
        let text = |name: &str| claims.get(name)?.as_str().map(str::to_owned);
        Self { login: text("login"), id: text("jti") }
    }
}

fn header_type(header: &Map<String, Value>) -> Result<Option<String>, TokenError> {
    match header.get("typ") {
        None => Ok(None),
        Some(Value::String(typ)) => Ok(Some(typ.clone())),
        Some(_) => Err(TokenError::HeaderType),
    }
}

fn key_id(header: &Map<String, Value>) -> Result<String, TokenError> {
    match header.get("kid") {
        Some(Value::String(kid)) if !kid.is_empty() && kid.len() <= MAX_KID_BYTES => Ok(kid.clone()),
        _ => Err(TokenError::KeyId),
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::test;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn compact(header: &str, payload: &str) -> String {
        format!("{}.{}.c2ln", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    #[track_caller]
    fn check(header: &str, expect: Result<(), TokenError>) {
        let token = compact(header, "{}");
        let got = Jws::parse(&token).and_then(|jws| jws.expect_access_token());
        assert_eq!(got, expect, "{header}");
    }

    #[test]
    fn algorithms() {
        check(r#"{"alg":"RS256","kid":"k"}"#, Ok(()));
        for alg in
            [r#""none""#, r#""None""#, r#""nOnE""#, r#""HS256""#, r#""""#, "null", r#"["RS256"]"#, "256"]
        {
            check(&format!(r#"{{"alg":{alg},"kid":"k"}}"#), Err(TokenError::Algorithm));
        }
        check(r#"{"kid":"k"}"#, Err(TokenError::Algorithm));
    }

    #[test]
    fn header_types() {
        for typ in ["JWT", "jwt", "at+jwt", "AT+JWT", "application/at+jwt"] {
            check(&format!(r#"{{"alg":"RS256","kid":"k","typ":"{typ}"}}"#), Ok(()));
        }
        for typ in
            [r#""JOSE""#, r#""logout+jwt""#, r#""JWE""#, r#""dpop+jwt""#, r#""""#, "1", "null", r#"["JWT"]"#]
        {
            check(&format!(r#"{{"alg":"RS256","kid":"k","typ":{typ}}}"#), Err(TokenError::HeaderType));
        }
    }

    #[test]
    fn members_that_bring_keys_or_change_the_reading() {
        for member in REFUSED_MEMBERS {
            for value in ["null", "[]", r#"["exp"]"#, "false", "true", "{}", r#""DEF""#] {
                check(
                    &format!(r#"{{"alg":"RS256","kid":"k","{member}":{value}}}"#),
                    Err(TokenError::HeaderMember),
                );
            }
        }
    }

    #[test]
    fn key_ids() {
        check(r#"{"alg":"RS256"}"#, Err(TokenError::KeyId));
        for kid in ["1", "[]", "null", r#""""#, &format!("\"{}\"", "k".repeat(10_000))] {
            check(&format!(r#"{{"alg":"RS256","kid":{kid}}}"#), Err(TokenError::KeyId));
        }
        for kid in ["../../dev/null", "' OR 1=1", "http://evil/", "-_a"] {
            check(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#), Ok(()));
        }
    }

    #[test]
    fn what_is_no_compact_jws() {
        let good = compact(r#"{"alg":"RS256","kid":"k"}"#, "{}");
        assert!(Jws::parse(&good).is_ok());
        let dots = ".".repeat(60_000);
        for bad in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            dots,
            good.replacen('.', "", 1),
            format!("{good}.x"),
            format!(".{good}"),
            format!("{good}."),
            format!("{good}="),
            format!("{good} "),
            format!("{good}\n"),
            good.replace("c2ln", ""),
            good.replace("c2ln", "c2+n"),
            format!("{}=.{}", good.split_once('.').unwrap().0, good.split_once('.').unwrap().1),
            "{\"payload\":\"e30\",\"signatures\":[]}".to_owned(),
            "a.b.c.d.e".to_owned(),
        ] {
            assert_eq!(Jws::parse(&bad).err(), Some(TokenError::Malformed), "{bad:.40}");
        }
        // "c2k" is `si`; in "c2l" the two bits that encode nothing are not zero.
        assert!(Jws::parse(&good.replace("c2ln", "c2k")).is_ok());
        let loose_bits = good.replace("c2ln", "c2l");
        assert_eq!(Jws::parse(&loose_bits).err(), Some(TokenError::Malformed));
    }

    #[test]
    fn payloads_open_strictly() {
        let header = r#"{"alg":"RS256","kid":"k"}"#;
        for payload in
            ["[]", "\"x\"", "null", "{} x", "\u{feff}{}", r#"{"a":1,"a":2}"#, r#"{"a":"\udfff"}"#, ""]
        {
            let token = compact(header, payload);
            let opened = Jws::parse(&token).and_then(|jws| jws.open_unverified());
            assert_eq!(opened, Err(TokenError::Malformed), "{payload}");
        }
    }

    #[test]
    fn a_member_that_is_there_twice_is_refused() {
        for header in [
            r#"{"alg":"RS256","alg":"RS256","kid":"k"}"#,
            r#"{"alg":"RS256","kid":"k","kid":"l"}"#,
            r#"{"alg":"RS256","kid":"k","\u0061lg":"ES256"}"#,
            r#"{"alg":"RS256","kid":"k","x":{"y":1,"y":2}}"#,
        ] {
            check(header, Err(TokenError::Malformed));
        }
        for payload in [
            r#"{"exp":1,"exp":2}"#,
            r#"{"iss":"a","iss":"a"}"#,
            r#"{"azp":"a","x":1,"azp":"b"}"#,
            r#"{"realm_access":{"roles":[]},"realm_access":{"roles":["admin"]}}"#,
            r#"{"realm_access":{"roles":[],"roles":["admin"]}}"#,
            r#"{"realm_access":{},"realm_\u0061ccess":{}}"#,
        ] {
            let token = compact(r#"{"alg":"RS256","kid":"k"}"#, payload);
            assert_eq!(
                Jws::parse(&token).unwrap().open_unverified(),
                Err(TokenError::Malformed),
                "{payload}"
            );
        }
    }

    #[test]
    fn headers_are_strict_json_objects() {
        for header in
            ["", "[]", "null", "\"x\"", "{", "{} {}", "\u{feff}{}", r#"{"alg":"RS256","kid":"\ud800"}"#]
        {
            check(header, Err(TokenError::Malformed));
        }
        let latin = URL_SAFE_NO_PAD.encode(b"{\"alg\":\"RS256\",\"kid\":\"\xff\"}");
        assert_eq!(Jws::parse(&format!("{latin}.e30.c2ln")).err(), Some(TokenError::Malformed));
        // A key id is a name in a map and nothing else, so it may hold anything.
        check(r#"{"alg":"RS256","kid":"\u0000"}"#, Ok(()));
    }

    /// The caller bounds the length; within it nothing grows beyond the text.
    #[test]
    fn deep_long_and_wide_payloads_open_or_are_refused() {
        let header = r#"{"alg":"RS256","kid":"k"}"#;
        let open = |payload: &str| {
            let token = compact(header, payload);
            Jws::parse(&token).and_then(|jws| jws.open_unverified()).map(|claims| claims.len())
        };
        for (open_with, close_with) in [("[", "]"), (r#"{"a":"#, "}")] {
            let nested =
                |depth| format!(r#"{{"a":{}1{}}}"#, open_with.repeat(depth), close_with.repeat(depth));
            assert_eq!(open(&nested(100)), Ok(1));
            assert_eq!(open(&nested(200)), Err(TokenError::Malformed));
            assert_eq!(open(&nested(100_000)), Err(TokenError::Malformed));
        }
        assert_eq!(open(&format!(r#"{{"a":"{}"}}"#, "x".repeat(1_000_000))), Ok(1));
        let members: Vec<String> = (0..100_000).map(|name| format!("\"{name}\":1")).collect();
        assert_eq!(open(&format!("{{{}}}", members.join(","))), Ok(100_000));
    }
}
