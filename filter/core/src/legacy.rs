//! Routes on which PortaBilling judges its own credentials (`access: legacy`). They never yield identity.

use std::collections::HashSet;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::credential::Credential;
use crate::jose::jws::{Jws, names_issuer};
use crate::reply::Denial;
use crate::request::Request;

/// Methods of PortaBilling's `Session` service that neither take nor renew credentials, by exact name.
const HARMLESS_METHODS: [&str; 2] = ["ping", "logout"];

/// What legacy rules let through.
#[derive(Debug, Default)]
pub(crate) struct LegacyPolicy {
    /// Hosts that admit somebody to the methods that take or renew credentials.
    pub(crate) hosts_with_logins: HashSet<String>,
    /// `None`: from anywhere.
    pub(crate) networks: Option<Vec<IpNet>>,
}

/// Admits a request to a legacy route.
///
/// # Errors
/// From another network; with a Keycloak token, which PortaBilling could not judge; or a login on a host
/// where nobody may sign in with a password.
pub(crate) fn admit(
    policy: &LegacyPolicy,
    request: &Request<'_>,
    credential: Credential<'_>,
    source: Option<IpAddr>,
) -> Result<(), Denial> {
    let inside =
        |networks: &Vec<IpNet>| source.is_some_and(|source| networks.iter().any(|net| net.contains(&source)));
    if !policy.networks.as_ref().is_none_or(inside) {
        return Err(Denial::LegacyNetwork);
    }
    match credential {
        Credential::Ambiguous => return Err(Denial::AmbiguousCredential),
        Credential::Bearer(token) if is_keycloak_token(token) => return Err(Denial::TokenOnLegacyRoute),
        _ => {}
    }
    let admits = policy.hosts_with_logins.contains(request.host.as_str());
    if !admits && takes_credentials(request) { Err(Denial::LegacyLogin) } else { Ok(()) }
}

/// Keycloak's tokens name a key and an issuer; PortaBilling's JWT and session ids have neither. The answer
/// only ever refuses, so unverified words are enough.
fn is_keycloak_token(token: &str) -> bool {
    // A header that does not parse here (no `kid`, HS256) is not one that Keycloak's access tokens have;
    // what matters then is whether the payload names an issuer.
    Jws::parse(token).is_ok() || names_issuer(token)
}

/// `/rest/Session/<method>` and `/soap/session/<method>`, whatever follows. A method that is not known
/// exactly counts as one that takes credentials.
fn takes_credentials(request: &Request<'_>) -> bool {
    let segments: Vec<&str> = request.path.segments().collect();
    match segments.as_slice() {
        [_, service, rest @ ..] if service.eq_ignore_ascii_case("session") => {
            !matches!(rest, [method] if HARMLESS_METHODS.contains(method))
        }
        _ => false,
    }
}
