//! Authorization: what a rule requires, held against an accepted token.

use std::time::Duration;

use serde_json::Value;

use crate::jose::claims::{Claim, Claims};
use crate::keycloak;
use crate::reply::Denial;
use crate::time::UnixTime;
use crate::token::AccessToken;

/// Conditions of a rule; each that is listed must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Requirement {
    pub(crate) realm_roles: NameSet,
    /// By client.
    pub(crate) client_roles: Vec<(String, NameSet)>,
    pub(crate) groups: NameSet,
    pub(crate) scopes: NameSet,
    /// Path and value.
    pub(crate) claims: Vec<(Vec<String>, Value)>,
    /// Any of these; empty: not asked for.
    pub(crate) acr: Vec<String>,
    pub(crate) amr: NameSet,
    pub(crate) max_age: Option<Duration>,
}

/// A condition on a set of names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NameSet {
    /// At least one of these; empty: not asked for.
    pub(crate) any: Vec<String>,
    /// Every one of these.
    pub(crate) all: Vec<String>,
    /// Not one of these.
    pub(crate) none: Vec<String>,
}

/// Proof that a token fulfils a requirement. Only `authorize` makes one.
#[derive(Clone, Copy, Debug)]
pub struct Authorized {
    until: Option<UnixTime>,
}

impl Authorized {
    /// Whether the requirement still holds, for the same token: a login grows old, and nothing else changes.
    pub(crate) fn holds(self, now: UnixTime) -> bool {
        self.until.is_none_or(|until| now <= until)
    }
}

/// Holds the token against the requirement. What the user lacks is told before what a stronger login could
/// mend, so that nobody signs in again in vain.
///
/// # Errors
/// The first condition that does not hold.
pub(crate) fn authorize(
    token: &AccessToken,
    requirement: &Requirement,
    now: UnixTime,
    skew: Duration,
) -> Result<Authorized, Denial> {
    let claims = token.claims();
    let roles = requirement.realm_roles.holds(|| keycloak::realm_roles(claims))
        && requirement
            .client_roles
            .iter()
            .all(|(client, names)| names.holds(|| keycloak::client_roles(claims, client)));
    if !roles {
        return Err(Denial::MissingRole);
    }
    if !requirement.groups.holds(|| keycloak::groups(claims)) {
        return Err(Denial::MissingGroup);
    }
    if !requirement.scopes.holds(|| keycloak::scopes(claims)) {
        return Err(Denial::MissingScope { scopes: requirement.scopes.wanted() });
    }
    if !requirement
        .claims
        .iter()
        .all(|(path, expected)| claims.find(path).is_some_and(|is| equal(is, expected)))
    {
        return Err(Denial::MissingClaim);
    }
    if !authenticated(claims, requirement, now, skew) {
        return Err(Denial::StepUp { acr_values: requirement.acr.clone(), max_age: requirement.max_age });
    }
    let until =
        requirement.max_age.and_then(|max_age| Some(UnixTime(keycloak::auth_time(claims)?).plus(max_age)));
    Ok(Authorized { until })
}

/// How and when the user authenticated: `acr`, `amr`, `auth_time`.
fn authenticated(claims: &Claims, requirement: &Requirement, now: UnixTime, skew: Duration) -> bool {
    let acr = requirement.acr.is_empty()
        || keycloak::acr(claims).is_some_and(|acr| requirement.acr.iter().any(|wanted| wanted == acr));
    let recent = requirement.max_age.is_none_or(|max_age| {
        keycloak::auth_time(claims)
            .map(UnixTime)
            .is_some_and(|time| time <= now.plus(skew) && now <= time.plus(max_age))
    });
    acr && recent && requirement.amr.holds(|| keycloak::amr(claims))
}

impl NameSet {
    /// Whether the names fulfil this. A claim of the wrong type fulfils nothing, not even `none`: it cannot
    /// be told what it would have said.
    fn holds<'c>(&self, names: impl FnOnce() -> Claim<Vec<&'c str>>) -> bool {
        if self.any.is_empty() && self.all.is_empty() && self.none.is_empty() {
            return true;
        }
        let names = match names() {
            Claim::Absent => Vec::new(),
            Claim::Is(names) => names,
            Claim::Wrong => return false,
        };
        let has = |wanted: &String| names.iter().any(|name| name == wanted);
        (self.any.is_empty() || self.any.iter().any(has))
            && self.all.iter().all(has)
            && !self.none.iter().any(has)
    }

    /// What a challenge may ask for: all that is needed, or else what would do.
    fn wanted(&self) -> Vec<String> {
        if self.all.is_empty() { self.any.clone() } else { self.all.clone() }
    }
}

/// Equal as JSON values; numbers by their value, since a protobuf Struct knows no integers.
fn equal(is: &Value, expected: &Value) -> bool {
    match (is, expected) {
        (Value::Number(is), Value::Number(expected)) if is.is_f64() != expected.is_f64() => {
            is.as_f64() == expected.as_f64()
        }
        _ => is == expected,
    }
}

#[cfg(test)]
#[path = "authz_tests.rs"]
mod tests;
