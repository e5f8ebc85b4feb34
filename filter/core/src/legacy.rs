//! Routes on which PortaBilling judges its own credentials (`access: legacy`). They never yield identity.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::authority::Host;
use crate::jose::jws::names_issuer;
use crate::reply::Denial;
use crate::request::{Header, Request, values};
use crate::site::HostPattern;

/// Methods of PortaBilling's `Session` service that neither take nor renew credentials, by exact name.
const HARMLESS_METHODS: [&str; 2] = ["ping", "logout"];

/// What legacy rules let through.
#[derive(Debug, Default)]
pub(crate) struct LegacyPolicy {
    /// Hosts that admit somebody to the methods that take or renew credentials.
    pub(crate) hosts_with_logins: HashSet<HostPattern>,
    /// `None`: from anywhere.
    pub(crate) networks: Option<Vec<IpNet>>,
}

/// Admits a request to a legacy route.
///
/// # Errors
/// From another network; with two `Authorization` fields or a Keycloak token in whatever spelling, which
/// PortaBilling could not judge; or a login on a host where nobody may sign in with a password.
pub(crate) fn admit(
    policy: &LegacyPolicy,
    request: &Request<'_>,
    headers: &[Header],
    source: Option<IpAddr>,
) -> Result<(), Denial> {
    let inside = |networks: &Vec<IpNet>| {
        source.is_some_and(|source| networks.iter().any(|net| net.contains(&source.to_canonical())))
    };
    if !policy.networks.as_ref().is_none_or(inside) {
        return Err(Denial::LegacyNetwork);
    }
    let authorizations: Vec<_> = values(headers, "authorization").map(String::from_utf8_lossy).collect();
    // Whatever stands between the token and the next word: spaces, tabs, commas, quotes, a parameter's name.
    let words = authorizations
        .iter()
        .flat_map(|value| value.split(|c: char| c.is_whitespace() || ",;=\"".contains(c)));
    if words.into_iter().any(names_issuer)
        || request.parameters("access_token").any(|token| names_issuer(&token))
    {
        return Err(Denial::TokenOnLegacyRoute);
    }
    let joined = |value: &str| value.split(',').filter(|part| is_bearer(part)).count() > 1;
    if authorizations.len() > 1 || authorizations.iter().any(|value| joined(value)) {
        return Err(Denial::AmbiguousCredential);
    }
    if !policy.admits(&request.host) && takes_credentials(request) {
        Err(Denial::LegacyLogin)
    } else {
        Ok(())
    }
}

impl LegacyPolicy {
    fn admits(&self, host: &Host) -> bool {
        HostPattern::matching(host).any(|pattern| self.hosts_with_logins.contains(&pattern))
    }
}

fn is_bearer(credential: &str) -> bool {
    credential.split_whitespace().next().is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
}

/// `/rest/Session/<method>` and `/soap/session/<method>`, wherever the API is mounted and whatever follows. A
/// method that is not known exactly counts as one that takes credentials.
fn takes_credentials(request: &Request<'_>) -> bool {
    let mut segments = request.path.segments().skip_while(|segment| !segment.eq_ignore_ascii_case("session"));
    segments.next().is_some()
        && !matches!((segments.next(), segments.next()), (Some(method), None) if HARMLESS_METHODS.contains(&method))
}

#[cfg(test)]
#[path = "legacy_tests.rs"]
mod tests;
