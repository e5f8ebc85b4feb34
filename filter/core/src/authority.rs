//! The authority of a request, in the one form in which hosts are compared (RFC 3986 section 3.2.2,
//! RFC 9110 section 4.2.3): lower case, no port, no trailing dot.

use std::net::Ipv6Addr;

/// The longest host name, RFC 1035 section 2.3.4.
const MAX_HOST_BYTES: usize = 253;

/// A canonical host: a name, an IPv4 address, or an IPv6 address in brackets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Host(String);

impl Host {
    /// Reads `host`, `host:port` or `[v6]:port`. `None` for what is no host: user information, a list, a
    /// path, bytes beyond ASCII, an empty label, a port that is no number.
    pub(crate) fn parse(authority: &[u8]) -> Option<Self> {
        let authority = std::str::from_utf8(authority).ok()?;
        if let Some(rest) = authority.strip_prefix('[') {
            let (address, port) = rest.split_once(']')?;
            let address: Ipv6Addr = address.parse().ok()?;
            return (port.is_empty() || is_port(port.strip_prefix(':')?))
                .then(|| Self(format!("[{address}]")));
        }
        let name = match authority.split_once(':') {
            None => authority,
            Some((name, port)) => is_port(port).then_some(name)?,
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let sound = name.len() <= MAX_HOST_BYTES && name.split('.').all(is_label);
        sound.then(|| Self(name.to_ascii_lowercase()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The port of an authority that is one; `None` where it names none.
pub(crate) fn port(authority: &[u8]) -> Option<u16> {
    let authority = std::str::from_utf8(authority).ok()?;
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok()
}

fn is_label(label: &str) -> bool {
    let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    !label.is_empty() && label.len() <= 63 && letters
}

/// An empty port is the scheme's own (RFC 3986 section 3.2.3).
fn is_port(port: &str) -> bool {
    port.is_empty() || port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    #[track_caller]
    fn check(authority: &[u8], expect: Option<&str>) {
        let host = Host::parse(authority);
        assert_eq!(host.as_ref().map(Host::as_str), expect, "{}", String::from_utf8_lossy(authority));
    }

    #[test]
    fn one_host_has_one_form() {
        for same in [
            "admin.csp.com",
            "ADMIN.csp.COM",
            "admin.csp.com:443",
            "admin.csp.com.",
            "Admin.CSP.com.:8443",
            "admin.csp.com:",
        ] {
            check(same.as_bytes(), Some("admin.csp.com"));
        }
        check(b"127.0.0.1:10000", Some("127.0.0.1"));
        check(b"[::1]:10000", Some("[::1]"));
        check(b"[0:0:0:0:0:0:0:1]", Some("[::1]"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long = "a.".repeat(150);
        let bad: [&[u8]; 23] = [
            b"",
            b".",
            b"a..b",
            b".a",
            b"a.b..",
            b"a,b",
            b"a b",
            b"user@a",
            b"a/b",
            b"a?b",
            b"a#b",
            b"a\\b",
            b"a%2eb",
            b"a:http",
            b"a:99999",
            b"a:+1",
            b"a:1:2",
            b"::1",
            b"[::1",
            b"[::1]x",
            b"[a]",
            b"\xc3\xa4.de",
            b"a\xff",
        ];
        for authority in bad {
            check(authority, None);
        }
        check(long.as_bytes(), None);
        check("a".repeat(300).as_bytes(), None);
    }
}
