//! Origins (RFC 6454), and who may act with a session: a shield against cross-site requests.

use crate::authority::{self, Host};
use crate::reply::Denial;
use crate::request::{Header, values};

/// An origin in the form in which browsers send it: scheme, canonical host, and the port where it is not the
/// scheme's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    text: String,
    host: Host,
    secure: bool,
}

impl Origin {
    /// The origin of a request to this authority.
    pub(crate) fn of(authority: &[u8], secure: bool) -> Option<Self> {
        let host = Host::parse(authority)?;
        let (scheme, own_port) = if secure { ("https", 443) } else { ("http", 80) };
        let port = authority::port(authority).filter(|port| *port != own_port);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        Some(Self { text: format!("{scheme}://{}{port}", host.as_str()), host, secure })
    }

    /// Reads an origin: a URL without anything behind the authority.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        match scheme {
            "https" => Self::of(authority.as_bytes(), true),
            "http" => Self::of(authority.as_bytes(), false),
            _ => None,
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn host(&self) -> &str {
        self.host.as_str()
    }

    /// Whether cookies and codes are safe on the way: HTTPS, or no network at all.
    pub(crate) fn is_trustworthy(&self) -> bool {
        let host = self.host.as_str();
        self.secure || host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1"
    }
}

/// Whether a request could only have been made by the site itself, by an origin that it allows, or by the user:
/// asked of unsafe methods and WebSocket handshakes that bring a session (RFC 9110 section 9.2.1, Fetch Metadata).
///
/// # Errors
/// From another site, or from a client that says neither `Origin` nor `Sec-Fetch-Site`.
pub(crate) fn expect_own(headers: &[Header], own: &Origin, allowed: &[String]) -> Result<(), Denial> {
    let origins: Vec<_> = values(headers, "origin").collect();
    let origin = match origins.as_slice() {
        [] => None,
        [origin] => {
            let origin = std::str::from_utf8(origin).ok().and_then(Origin::parse);
            Some(origin.ok_or(Denial::CrossSite)?)
        }
        _ => return Err(Denial::CrossSite),
    };
    let is_own = origin.as_ref().is_some_and(|origin| origin == own);
    let is_allowed = origin.as_ref().is_some_and(|origin| allowed.contains(&origin.text));
    let sites: Vec<_> = values(headers, "sec-fetch-site").collect();
    let admitted = match sites.as_slice() {
        [] => is_own || is_allowed,
        [b"same-origin" | b"none"] => origin.is_none() || is_own || is_allowed,
        // Another site: an allowed one, which `Origin` names.
        [b"same-site" | b"cross-site"] => is_allowed,
        _ => false,
    };
    if admitted { Ok(()) } else { Err(Denial::CrossSite) }
}

/// Whether a request changes something, or opens a channel that may: what `expect_own` is for.
pub(crate) fn is_unsafe(method: &str, headers: &[Header]) -> bool {
    let upgrade = values(headers, "upgrade")
        .any(|value| value.to_ascii_lowercase().windows(9).any(|word| word == b"websocket"));
    let safe = matches!(method, "GET" | "HEAD" | "OPTIONS" | "TRACE");
    !safe || upgrade || values(headers, ":protocol").next().is_some()
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
