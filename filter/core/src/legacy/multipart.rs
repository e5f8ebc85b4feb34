//! `multipart/form-data` (RFC 7578), of what clients send: one `content-disposition` a part, no preamble, no epilogue,
//! nothing that begins like the boundary and is none.

use crate::error::LegacyError;
use crate::request::http_token;

use super::credentials::is_known;
use super::media_type::MediaType;

/// Values of `content-transfer-encoding` that change nothing (RFC 2045 section 6.2).
const PLAIN: [&str; 3] = ["7bit", "8bit", "binary"];
/// Parts of one body.
const MOST_PARTS: usize = 64;

/// Reads names and values. Of a file only the name is kept.
///
/// # Errors
/// Anything that two readers may take for different fields.
pub(super) fn read(boundary: &str, body: &[u8]) -> Result<Vec<(String, String)>, LegacyError> {
    read_parts(boundary, body).ok_or(LegacyError::Malformed)
}

fn read_parts(boundary: &str, body: &[u8]) -> Option<Vec<(String, String)>> {
    let delimiter = format!("--{boundary}");
    let mut rest = body.strip_prefix(delimiter.as_bytes())?;
    let mut fields = Vec::new();
    loop {
        if let Some(end) = rest.strip_prefix(b"--") {
            return (!fields.is_empty() && matches!(end, b"" | b"\r\n")).then_some(fields);
        }
        let part = rest.strip_prefix(b"\r\n")?;
        let at = find(part, delimiter.as_bytes())?;
        let (content, after) = part.split_at_checked(at)?;
        fields.push(read_part(content.strip_suffix(b"\r\n")?)?);
        if fields.len() > MOST_PARTS {
            return None;
        }
        rest = after.get(delimiter.len()..)?;
    }
}

fn read_part(part: &[u8]) -> Option<(String, String)> {
    let at = find(part, b"\r\n\r\n")?;
    let (head, value) = part.split_at_checked(at)?;
    let value = value.get(4..)?;
    let (mut disposition, mut kind, mut encoding, mut length) = (None, None, None, None);
    for line in std::str::from_utf8(head).ok()?.split("\r\n") {
        let (name, value) = line.split_once(':')?;
        let slot = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut disposition,
            "content-type" => &mut kind,
            "content-transfer-encoding" => &mut encoding,
            "content-length" => &mut length,
            _ => return None,
        };
        if line.contains(char::is_control) || slot.replace(value.trim_matches(' ')).is_some() {
            return None;
        }
    }
    // Clients of HTTP write them, and readers that heed them must find what the others do.
    let is_plain = |encoding: &str| PLAIN.iter().any(|plain| plain.eq_ignore_ascii_case(encoding));
    if !encoding.is_none_or(is_plain) || length.is_some_and(|length| length != value.len().to_string()) {
        return None;
    }
    let (name, is_file) = read_disposition(disposition?)?;
    if is_file {
        // What a file holds is the called method's own.
        return (!is_known(&name)).then_some((name, String::new()));
    }
    if let Some(kind) = kind {
        let MediaType { name, charset, boundary } = MediaType::parse(kind.as_bytes())?;
        let sound = ["text/plain", "application/json"].contains(&name.as_str())
            && charset.is_none_or(|charset| charset.eq_ignore_ascii_case("utf-8"));
        if !sound || boundary.is_some() {
            return None;
        }
    }
    let value = std::str::from_utf8(value).ok().filter(|value| !value.contains('\0'))?;
    Some((name, value.to_owned()))
}

/// `form-data; name="..."`, and perhaps `filename="..."`: the name, and whether it is a file. A name that is a token may
/// stand without quotes, where nothing follows it.
fn read_disposition(text: &str) -> Option<(String, bool)> {
    if let Some(name) = text.strip_prefix("form-data; name=").and_then(|name| http_token(name.as_bytes())) {
        return (!name.contains(['%', '\''])).then(|| (name.to_owned(), false));
    }
    let rest = text.strip_prefix("form-data; name=\"")?;
    let (name, rest) = rest.split_once('"')?;
    let sound = |text: &str| {
        text.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && !b"\\\"%".contains(&byte))
    };
    let is_file = match rest {
        "" => false,
        // The name of a file may be in any language; what matters is where it ends.
        rest => {
            let file = rest.strip_prefix("; filename=\"")?.strip_suffix('"')?;
            if file.contains(['"', '\\']) {
                return None;
            }
            true
        }
    };
    (sound(name) && !name.is_empty()).then(|| (name.to_owned(), is_file))
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    /// `|` stands for a line break.
    fn parts(body: &str) -> Option<Vec<(String, String)>> {
        read("XX", body.replace('|', "\r\n").as_bytes()).ok()
    }

    #[track_caller]
    fn check(body: &str, expect: Option<&[(&str, &str)]>) {
        let got = parts(body);
        let got: Option<Vec<_>> = got
            .as_ref()
            .map(|fields| fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect());
        assert_eq!(got.as_deref(), expect, "{body}");
    }

    const LOGIN: &str = "--XX|Content-Disposition: form-data; name=\"login\"||ZZZPortaOne|";

    #[test]
    fn fields_of_what_clients_send() {
        check(&format!("{LOGIN}--XX--"), Some(&[("login", "ZZZPortaOne")]));
        check(&format!("{LOGIN}--XX--|"), Some(&[("login", "ZZZPortaOne")]));
        check(
            "--XX|content-disposition:form-data; name=\"params\"|Content-Type: application/json; charset=UTF-8||{}|--XX|\
             Content-Disposition: form-data; name=\"x\"||a||b|--XX--|",
            Some(&[("params", "{}"), ("x", "a\r\n\r\nb")]),
        );
        check("--XX|Content-Disposition: form-data; name=\"login\"|||--XX--|", Some(&[("login", "")]));
        check("--XX|Content-Disposition: form-data; name=login||a|--XX--|", Some(&[("login", "a")]));
        check(
            "--XX|Content-Disposition: form-data; name=\"login\"|Content-Length: 3|Content-Transfer-Encoding: 8BIT||\u{e4}b|--XX--|",
            Some(&[("login", "\u{e4}b")]),
        );
        check(
            "--XX|Content-Disposition: form-data; name=\"file\"; filename=\"\u{e4}.png\"|Content-Type: image/png||\u{0}|--XX--|",
            Some(&[("file", "")]),
        );
    }

    #[test]
    fn what_two_readers_may_read_differently_is_refused() {
        for body in [
            "",
            "--XX--",
            "--XX--|",
            LOGIN,
            "preamble|--XX|Content-Disposition: form-data; name=\"login\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"||a|--XX--|epilogue",
            "--XX|Content-Disposition: form-data; name=\"login\"||a|--XX--|--XX|x: y||b|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"||a|--XXY|b|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"||a--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"||a\n--XX\nx|--XX--|",
            "--XX |Content-Disposition: form-data; name=\"login\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|a|--XX--|",
            "--XX||a|--XX--|",
            "--XX|Content-Disposition: form-data||a|--XX--|",
            "--XX|Content-Disposition: attachment; name=\"login\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name='login'||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=lo%67in||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=login; filename=x||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=x; name=login||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|Content-Length: 2||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|Content-Length: 01||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|Content-Length: 1|Content-Length: 1||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|Content-Transfer-Encoding: quoted-printable||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"x\"; name=\"login\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"x\"; name*=utf-8''login||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"lo\\gin\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"lo%67in\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"l\u{f6}gin\"||a|--XX--|",
            "--XX|Content-Disposition: form-data;| name=\"login\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"x\"|Content-Disposition: form-data; name=\"login\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"; filename=\"x\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"Params\"; filename=\"x\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"x\"; filename=\"a\"; filename=\"b\"||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|Content-Transfer-Encoding: base64||YQ==|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|Content-Type: text/plain; charset=utf-16||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|Content-Type: multipart/mixed; boundary=YY||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"|X-Other: y||a|--XX--|",
            "--XX|Content-Disposition: form-data; name=\"login\"||a\u{0}|--XX--|",
            "--XX\nContent-Disposition: form-data; name=\"login\"\n\na\n--XX--\n",
        ] {
            check(body, None);
        }
        assert!(
            read("XX", b"--XX\r\nContent-Disposition: form-data; name=\"login\"\r\n\r\n\xff\r\n--XX--")
                .is_err()
        );
        let many = "--XX|Content-Disposition: form-data; name=\"x\"||a|".repeat(65);
        check(&format!("{many}--XX--"), None);
    }
}
