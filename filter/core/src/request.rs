//! The head of a request, one snapshot in bytes, read once and strictly.

use std::borrow::Cow;

use crate::authority::Host;
use crate::error::RequestError;
use crate::path::NormalPath;

/// A header field as the host gives it: names in lower case, values as bytes, repeated fields repeated.
pub type Header = (String, Vec<u8>);

/// A request that can be judged: it has one authority, one method and one path that everybody reads alike.
#[derive(Debug)]
pub(crate) struct Request<'h> {
    pub(crate) host: Host,
    pub(crate) method: &'h str,
    pub(crate) path: NormalPath<'h>,
    pub(crate) query: Option<&'h [u8]>,
}

impl<'h> Request<'h> {
    /// Reads the pseudo headers (RFC 9113 section 8.3.1), which Envoy also fills in for HTTP/1. `host` is what [`host`] read.
    ///
    /// # Errors
    /// The head is too large, incomplete, or can be read in two ways.
    pub(crate) fn parse(
        headers: &'h [Header],
        host: Result<Host, RequestError>,
        max_head_bytes: usize,
    ) -> Result<Self, RequestError> {
        if headers.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > max_head_bytes {
            return Err(RequestError::HeadTooLarge);
        }
        let host = host?;
        let method =
            std::str::from_utf8(single(headers, ":method")?).map_err(|_| RequestError::PseudoHeader)?;
        let target = single(headers, ":path")?;
        let (path, query) = match target.iter().position(|byte| *byte == b'?') {
            None => (target, None),
            Some(at) => (target.get(..at).unwrap_or_default(), target.get(at + 1..)),
        };
        // A fragment never travels, and controls or spaces end the request line for some servers.
        if query.is_some_and(|query| query.iter().any(|byte| *byte <= b' ' || matches!(byte, b'#' | 0x7f))) {
            return Err(RequestError::Path);
        }
        Ok(Self { host, method, path: NormalPath::parse(path)?, query })
    }

    /// Whether the query has a parameter of this name.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        self.parameters(name).next().is_some()
    }

    /// The values of all query parameters of this name, decoded.
    pub(crate) fn parameters(&self, name: &str) -> impl Iterator<Item = Cow<'h, str>> {
        form_urlencoded::parse(self.query.unwrap_or_default())
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| value)
    }
}

/// The canonical authority.
///
/// # Errors
/// Absent, repeated, no host, or contradicted by a `host` field that came along.
pub(crate) fn host(headers: &[Header]) -> Result<Host, RequestError> {
    let host = Host::parse(single(headers, ":authority")?).ok_or(RequestError::Authority)?;
    let agrees = values(headers, "host").all(|value| Host::parse(value).as_ref() == Some(&host));
    if agrees { Ok(host) } else { Err(RequestError::Authority) }
}

/// The values of all fields with this name, in their order.
pub(crate) fn values<'h>(headers: &'h [Header], name: &str) -> impl Iterator<Item = &'h [u8]> {
    headers
        .iter()
        .filter(move |(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_slice())
}

/// A token as HTTP has it (RFC 9110 section 5.6.2), the form of field names and methods.
pub(crate) fn http_token(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())?;
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    text.bytes().all(is_tchar).then_some(text)
}

/// A weight in thousandths (RFC 9110 section 12.4.2); further digits do not count.
pub(crate) fn weight(text: &str) -> Option<u16> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let sound = matches!(whole, "0" | "1") && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let thousandths = sound.then(|| format!("{whole}{fraction:0<3.3}"))?;
    thousandths.parse().ok().filter(|weight| *weight <= 1000)
}

fn single<'h>(headers: &'h [Header], name: &str) -> Result<&'h [u8], RequestError> {
    let mut values = values(headers, name);
    match (values.next(), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(RequestError::PseudoHeader),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    fn head(fields: &[(&str, &[u8])]) -> Vec<Header> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.to_vec())).collect()
    }

    #[track_caller]
    fn check(fields: &[(&str, &[u8])], expect: Result<(&str, &str), RequestError>) {
        let headers = head(fields);
        let request = Request::parse(&headers, host(&headers), 1000);
        let got = request
            .as_ref()
            .map(|request| (request.host.as_str(), request.path.as_str()))
            .map_err(|error| *error);
        assert_eq!(got, expect);
    }

    const GOOD: [(&str, &[u8]); 3] =
        [(":authority", b"A.com:443"), (":method", b"GET"), (":path", b"/x?y=%zz/../z")];

    #[test]
    fn a_complete_head_is_read() {
        check(&GOOD, Ok(("a.com", "/x")));
        check(&[GOOD.as_slice(), &[("host", b"a.com")]].concat(), Ok(("a.com", "/x")));
        check(&[GOOD.as_slice(), &[("x", b"\xff\x80")]].concat(), Ok(("a.com", "/x")));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for (at, again) in GOOD.into_iter().enumerate() {
            let mut fields = GOOD.to_vec();
            fields.remove(at);
            check(&fields, Err(RequestError::PseudoHeader));
            check(&[GOOD.as_slice(), &[again]].concat(), Err(RequestError::PseudoHeader));
        }
        check(&[GOOD.as_slice(), &[("host", b"b.com")]].concat(), Err(RequestError::Authority));
        check(&[(":authority", b"a,b"), GOOD[1], GOOD[2]], Err(RequestError::Authority));
        for path in [&b"/a?b#c"[..], b"/a?b c", b"/a?\0", b"/a#?b"] {
            check(&[GOOD[0], GOOD[1], (":path", path)], Err(RequestError::Path));
        }
        check(&[GOOD.as_slice(), &[("x", &[b'x'; 1000])]].concat(), Err(RequestError::HeadTooLarge));
    }

    /// Delimiters, spaces, controls and what is not ASCII are in no token.
    #[test]
    fn a_token_is_of_the_characters_of_the_rfc() {
        let tchars = b"!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        assert_eq!(http_token(tchars).map(str::as_bytes), Some(&tchars[..]));
        for byte in (0..=u8::MAX).filter(|byte| !tchars.contains(byte)) {
            assert_eq!(http_token(&[b'x', byte]), None, "{byte}");
        }
        assert_eq!(http_token("x\u{fc}".as_bytes()), None);
        assert_eq!(http_token(b""), None);
    }

    #[test]
    fn a_weight_is_from_zero_to_one() {
        for (text, expect) in
            [("0", 0), ("0.", 0), ("0.000", 0), ("0.0000", 0), ("0.5", 500), ("0.05", 50), ("0.1239", 123)]
        {
            assert_eq!(weight(text), Some(expect), "{text}");
        }
        for text in ["1", "1.", "1.0", "1.000"] {
            assert_eq!(weight(text), Some(1000), "{text}");
        }
        for text in ["", ".", "1.001", "2", "00", "-0", "+1", "0.+1", "0.5.5", "1e0", "NaN", "inf", " 1"] {
            assert_eq!(weight(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_found_by_whole_names() {
        for (query, expect) in
            [("t=1", true), ("a&t", true), ("%74=1", true), ("tt=1", false), ("a=t", false), ("", false)]
        {
            let headers = head(&[GOOD[0], GOOD[1], (":path", format!("/?{query}").as_bytes())]);
            assert_eq!(
                Request::parse(&headers, host(&headers), 1000).unwrap().has_parameter("t"),
                expect,
                "{query}"
            );
        }
    }
}
