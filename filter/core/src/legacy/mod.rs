//! Routes on which PortaBilling judges its own credentials (`access: legacy`). They never yield identity.
//!
//! Here is what the head of a request says: where from, which method of PortaBilling's, which tokens. `body` reads what
//! comes after it, `credentials` finds who signs in there, and `exchange::legacy` judges. `watch` sees what comes of it,
//! and `shared` is what the workers know together.

pub(crate) mod body;
pub(crate) mod credentials;
mod media_type;
mod multipart;
pub(crate) mod shared;
pub(crate) mod usage;
pub(crate) mod watch;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use percent_encoding::percent_decode_str;

use crate::authority::Host;
use crate::config::UnseenTokens;
use crate::cookie;
use crate::error::LegacyError;
use crate::jose::jws::{UnverifiedClaims, names_issuer};
use crate::json;
use crate::reply::Denial;
use crate::request::{Header, Request, values};
use crate::site::HostPattern;
use body::Format;
use shared::Attempts;

/// What legacy rules let through.
#[derive(Debug)]
pub(crate) struct LegacyPolicy {
    /// Who may sign in with a password, by host.
    pub(crate) logins: HashMap<HostPattern, Vec<String>>,
    /// `None`: from anywhere.
    pub(crate) networks: Option<Vec<IpNet>>,
    /// The longest body that is read.
    pub(crate) max_body_bytes: usize,
    /// What becomes of a token whose login is not known.
    pub(crate) unseen_tokens: UnseenTokens,
    /// How long the tokens of a login are remembered.
    pub(crate) session_lifetime: Duration,
    pub(crate) attempts: Attempts,
}

/// What a request asks of PortaBilling, as far as credentials are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    /// Anything but a method of `Session`.
    Service,
    /// A method of `Session` that neither takes nor renews credentials.
    Harmless,
    /// `login`.
    Login,
    /// `refresh_access_token`: it lives on a token alone.
    Refresh,
    /// `change_password`: it takes a password, of whoever is named or signed in.
    ChangePassword,
    /// `login_to_realm`, or a method of `Session` that is not known exactly: it may do anything with credentials.
    Other,
}

/// A request to a legacy route, by its head.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) host: Host,
    pub(crate) call: Call,
    /// How its body can be read.
    pub(crate) format: Result<Format, LegacyError>,
    /// Tokens of PortaBilling's that its fields bring.
    pub(crate) tokens: Vec<String>,
    /// Whether it becomes a WebSocket: what follows is no body.
    pub(crate) upgrades: bool,
}

impl LegacyPolicy {
    /// Who may sign in at a host with a password; the closer pattern decides.
    pub(crate) fn logins(&self, host: &Host) -> &[String] {
        HostPattern::matching(host).find_map(|pattern| self.logins.get(&pattern)).map_or(&[], Vec::as_slice)
    }

    /// Admits the head of a request to a legacy route.
    ///
    /// # Errors
    /// From another network; with a Keycloak token in whatever spelling, which PortaBilling could not judge; with
    /// credentials that can be read in two ways, or that stand in the URL; a login on a host where nobody may sign in
    /// with a password, or one that is no POST of a body that can be read.
    pub(crate) fn admit(
        &self,
        request: &Request<'_>,
        headers: &[Header],
        source: Option<IpAddr>,
    ) -> Result<Head, Denial> {
        let inside = |networks: &Vec<IpNet>| {
            source.is_some_and(|source| networks.iter().any(|net| net.contains(&source.to_canonical())))
        };
        if !self.networks.as_ref().is_none_or(inside) {
            return Err(Denial::LegacyNetwork);
        }
        let (call, rest) = Call::of(request);
        let tokens = tokens(request, headers, call)?;
        let takes_credentials = call.takes_credentials();
        if takes_credentials && self.logins(&request.host).is_empty() {
            return Err(Denial::LegacyLogin);
        }
        if credentials_in_url(request, call, rest) {
            return Err(Denial::Legacy(LegacyError::InUrl));
        }
        if takes_credentials && request.method != "POST" {
            return Err(Denial::Method { allow: &["POST"] });
        }
        let format = Format::of(headers);
        if let (true, Err(error)) = (takes_credentials, &format) {
            return Err(Denial::Legacy(*error));
        }
        let length =
            values(headers, "content-length").find_map(|value| std::str::from_utf8(value).ok()?.parse().ok());
        if length.is_some_and(|length: usize| length > self.max_body_bytes) {
            return Err(Denial::Legacy(LegacyError::TooLarge));
        }
        let upgrades = request.method == "GET" && call == Call::Service && is_websocket(headers);
        Ok(Head { host: request.host.clone(), call, format, tokens, upgrades })
    }
}

impl Call {
    /// Whether it takes or renews credentials.
    pub(crate) const fn takes_credentials(self) -> bool {
        !matches!(self, Self::Service | Self::Harmless)
    }

    /// Whether it heeds cookies: PortaBilling's own methods take their token as a parameter, so that what is left in a
    /// browser of an earlier login is not in the way of the next one.
    const fn heeds_cookies(self) -> bool {
        matches!(self, Self::Service | Self::ChangePassword | Self::Other)
    }

    /// `/rest/Session/<method>` and `/soap/session/<method>`, wherever the API is mounted, and how many segments follow.
    /// A method that is not known exactly counts as one that takes credentials.
    fn of(request: &Request<'_>) -> (Self, usize) {
        let mut segments = request.path.segments().skip_while(|segment| !is_session(segment));
        if segments.next().is_none() {
            return (Self::Service, 0);
        }
        let method = segments.next();
        let rest: Vec<&str> = segments.collect();
        let call = match (method, rest.as_slice()) {
            // Some clients send it with a slash behind it.
            (Some("login"), [] | [""]) => Self::Login,
            (Some("ping" | "logout"), []) => Self::Harmless,
            (Some("refresh_access_token"), []) => Self::Refresh,
            (Some("change_password"), []) => Self::ChangePassword,
            _ => Self::Other,
        };
        (call, rest.iter().filter(|segment| !segment.is_empty()).count())
    }
}

/// Whether a segment is `Session` to an upstream that folds case, or that drops what it cannot use in a name.
fn is_session(segment: &str) -> bool {
    let letters = percent_decode_str(segment).filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    letters.map(|byte| byte.to_ascii_lowercase()).eq(b"session".iter().copied())
}

/// The tokens that the fields of a head bring.
fn tokens(request: &Request<'_>, headers: &[Header], call: Call) -> Result<Vec<String>, Denial> {
    let authorizations: Vec<_> = values(headers, "authorization").map(String::from_utf8_lossy).collect();
    // Whatever stands between the token and the next word: spaces, tabs, commas, quotes, a parameter's name.
    let words = authorizations
        .iter()
        .flat_map(|value| value.split(|c: char| c.is_whitespace() || ",;=\"".contains(c)));
    let cookies: Vec<(String, String)> =
        cookie::others(headers).flat_map(|cookie| as_read(&cookie)).collect();
    let query = form_urlencoded::parse(request.query.unwrap_or_default());
    if words.into_iter().any(names_issuer)
        || cookies.iter().any(|(_, value)| names_issuer(value))
        || query.into_iter().any(|(_, value)| names_issuer(&value))
        || request.path.segments().any(names_issuer)
    {
        return Err(Denial::TokenOnLegacyRoute);
    }
    let mut tokens = Vec::new();
    match authorizations.as_slice() {
        [] => {}
        [value] if value.trim().is_empty() => {}
        [value] => tokens.push(bearer(value)?),
        _ => return Err(Denial::AmbiguousCredential),
    }
    if call.heeds_cookies() {
        let is_token = |(name, value): &(String, String)| {
            !value.is_empty() && (credentials::is_token(name) || looks_like_token(value))
        };
        tokens.extend(cookies.into_iter().filter(is_token).map(|(_, value)| value));
    }
    if tokens.len() > credentials::MOST_TOKENS { Err(Denial::AmbiguousCredential) } else { Ok(tokens) }
}

/// A cookie as readers find it that part cookies at commas as well, and decode percent signs: Perl's do.
fn as_read(cookie: &str) -> Vec<(String, String)> {
    let pairs = cookie.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (cookie::decode(name), cookie::decode(value))).collect()
}

/// Whether the value of a cookie is a session id of PortaBilling's, or a JWT, whatever the cookie is called.
fn looks_like_token(value: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let UnverifiedClaims { login, id } = UnverifiedClaims::read(value);
    (value.len() == 32 && value.bytes().all(is_digit)) || login.or(id).is_some()
}

/// The token of `Bearer <token>`. PortaBilling knows no other scheme, so another one has no business here.
fn bearer(value: &str) -> Result<String, Denial> {
    let is_bearer = |part: &str| {
        part.split_whitespace().next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
    };
    if value.split(',').skip(1).any(is_bearer) {
        return Err(Denial::AmbiguousCredential);
    }
    let (scheme, token) = value.split_once(' ').ok_or(Denial::MalformedCredential)?;
    let sound =
        !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic() && !b",;\"".contains(&byte));
    if !scheme.eq_ignore_ascii_case("bearer") || !sound {
        return Err(Denial::MalformedCredential);
    }
    Ok(token.to_owned())
}

/// Whether the URL brings a credential, as a parameter or as one of the JSON segments that PortaBilling takes behind the
/// method: there it would end up in every log. To a method of `Session` nothing of the kind belongs into the URL at all.
fn credentials_in_url(request: &Request<'_>, call: Call, rest: usize) -> bool {
    let query = request.query.unwrap_or_default();
    // Some servers take `;` for a separator as well.
    let mut parameters = query.split(|byte| matches!(byte, b'&' | b';')).flat_map(form_urlencoded::parse);
    let is_own = |name: &str, value: &str| {
        call == Call::Service && name == "params" && json::parse(value.as_bytes()).is_ok()
    };
    let is_json = |text: &str| text.trim_start().starts_with(['{', '[', '"']);
    let brings_credentials = |segment: &str| {
        let text = percent_decode_str(segment).decode_utf8_lossy();
        is_json(&text) && !json::parse(text.as_bytes()).is_ok_and(|value| !credentials::has_any(&value))
    };
    (call != Call::Service && rest > 0)
        || parameters.any(|(name, value)| credentials::is_known(&name) && !is_own(&name, &value))
        || request.path.segments().any(brings_credentials)
}

fn is_websocket(headers: &[Header]) -> bool {
    values(headers, "upgrade").any(|value| value.eq_ignore_ascii_case(b"websocket"))
        && ["content-length", "transfer-encoding"].iter().all(|name| values(headers, name).next().is_none())
}

#[cfg(test)]
mod tests;
