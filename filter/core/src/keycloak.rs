//! The shapes of Keycloak's claims, here and nowhere else. Facts: Keycloak's `AccessToken` and `IDToken`
//! representations, checked against 26.7.3.

use serde_json::Value;

use crate::jose::claims::{Claim, Claims, strings};

/// Payload `typ` of an access token; ID, refresh, offline, logout and `DPoP` tokens are signed with the
/// same key under the same issuer and differ here.
pub(crate) const ACCESS_TOKEN: &str = "Bearer";

/// `realm_access.roles`, in the token's order.
pub(crate) fn realm_roles(claims: &Claims) -> Claim<Vec<&str>> {
    match claims.object("realm_access") {
        Claim::Absent => Claim::Absent,
        Claim::Wrong => Claim::Wrong,
        Claim::Is(access) => roles(access.get("roles")),
    }
}

/// `resource_access.<client>.roles`, in the token's order. The client's id is one member name, dots and all.
pub(crate) fn client_roles<'c>(claims: &'c Claims, client: &str) -> Claim<Vec<&'c str>> {
    match claims.object("resource_access") {
        Claim::Absent => Claim::Absent,
        Claim::Wrong => Claim::Wrong,
        Claim::Is(access) => match access.get(client) {
            None => Claim::Absent,
            Some(Value::Object(access)) => roles(access.get("roles")),
            Some(_) => Claim::Wrong,
        },
    }
}

fn roles(value: Option<&Value>) -> Claim<Vec<&str>> {
    match value {
        None => Claim::Absent,
        Some(value) => strings(value).map_or(Claim::Wrong, Claim::Is),
    }
}

/// `groups`, as the Group Membership mapper writes it: full paths or bare names.
pub(crate) fn groups(claims: &Claims) -> Claim<Vec<&str>> {
    claims.strings("groups")
}

/// The words of `scope` (RFC 8693 section 4.2).
pub(crate) fn scopes(claims: &Claims) -> Claim<Vec<&str>> {
    match claims.string("scope") {
        Claim::Absent => Claim::Absent,
        Claim::Wrong => Claim::Wrong,
        Claim::Is(words) => Claim::Is(words.split(' ').filter(|word| !word.is_empty()).collect()),
    }
}

/// `acr`, unless it says that nobody authenticated: Keycloak writes `0` for a login by an old cookie.
pub(crate) fn acr(claims: &Claims) -> Option<&str> {
    match claims.string("acr") {
        Claim::Is(acr) if acr != NO_AUTHENTICATION => Some(acr),
        _ => None,
    }
}

/// The `acr` that proves nothing.
pub(crate) const NO_AUTHENTICATION: &str = "0";

/// `amr` (RFC 8176), which Keycloak sends only through its AMR mapper.
pub(crate) fn amr(claims: &Claims) -> Claim<Vec<&str>> {
    claims.strings("amr")
}

/// `auth_time`: when the user last authenticated, in seconds since 1970.
pub(crate) fn auth_time(claims: &Claims) -> Option<u64> {
    match claims.time("auth_time") {
        Claim::Is(time) => Some(time),
        Claim::Absent | Claim::Wrong => None,
    }
}
