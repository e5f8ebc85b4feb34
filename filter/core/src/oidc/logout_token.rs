//! Logout tokens (OpenID Connect Back-Channel Logout 1.0 section 2.6): Keycloak says that a session has ended.

use std::time::Duration;

use serde_json::Value;

use crate::error::LogoutTokenError;
use crate::jose::claims::{Claim, Claims};
use crate::jose::jws::Jws;
use crate::keycloak;
use crate::realm::Realm;
use crate::time::UnixTime;

use super::Login;

/// How old a logout token may be: it is sent at once.
const MAX_AGE: Duration = Duration::from_mins(5);
const MAX_JTI_BYTES: usize = 256;

/// Whose sessions have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// One session of Keycloak.
    Session(String),
    /// Every session of a user that began before this.
    Subject(String, UnixTime),
}

/// What an accepted logout token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogoutToken {
    pub(crate) ended: Ended,
    pub(crate) jti: String,
    /// Until when another token with this `jti` is a replay.
    pub(crate) until: UnixTime,
}

/// Refuses a header `typ` that no logout token bears.
///
/// # Errors
/// A `typ` that is there and is neither its own nor the general `JWT`.
pub(crate) fn expect_type(jws: &Jws<'_>) -> Result<(), LogoutTokenError> {
    let known = ["logout+jwt", "application/logout+jwt", "JWT"];
    match jws.header_type() {
        Some(typ) if !known.iter().any(|known| typ.eq_ignore_ascii_case(known)) => {
            Err(LogoutTokenError::Type)
        }
        _ => Ok(()),
    }
}

impl LogoutToken {
    /// Judges the claims of a token whose signature holds: `typ`, `iss`, `aud`, `iat`, `exp`, `events`, `nonce`, `jti`,
    /// `sid` and `sub`.
    ///
    /// # Errors
    /// The first claim that speaks against it.
    pub(crate) fn accept(
        claims: &Claims,
        (realm, login): (&Realm, &Login),
        now: UnixTime,
    ) -> Result<Self, LogoutTokenError> {
        if claims.string("typ") != Claim::Is(keycloak::LOGOUT_TOKEN) {
            return Err(LogoutTokenError::Type);
        }
        if claims.string("iss") != Claim::Is(&realm.issuer) {
            return Err(LogoutTokenError::Issuer);
        }
        match claims.one_or_more("aud") {
            Claim::Is(audience) if audience.contains(&login.client_id.as_str()) => {}
            _ => return Err(LogoutTokenError::Audience),
        }
        let (iat, until) = accept_times(claims, realm, now)?;
        match claims.object("events") {
            Claim::Is(events) if events.get(keycloak::LOGOUT_EVENT).is_some_and(Value::is_object) => {}
            _ => return Err(LogoutTokenError::Events),
        }
        // An ID token must never pass for one.
        if claims.contains("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        let text = |name: &str| match claims.string(name) {
            Claim::Is(text) if !text.is_empty() && text.len() <= MAX_JTI_BYTES => Ok(Some(text.to_owned())),
            Claim::Absent => Ok(None),
            Claim::Is(_) | Claim::Wrong => Err(LogoutTokenError::Subject),
        };
        let jti = text("jti").ok().flatten().ok_or(LogoutTokenError::Id)?;
        let ended = match (text("sid")?, text("sub")?) {
            (Some(sid), _) => Ended::Session(sid),
            (None, Some(subject)) => Ended::Subject(subject, iat),
            (None, None) => return Err(LogoutTokenError::Subject),
        };
        Ok(Self { ended, jti, until })
    }
}

/// When it was issued, and until when it counts.
fn accept_times(
    claims: &Claims,
    realm: &Realm,
    now: UnixTime,
) -> Result<(UnixTime, UnixTime), LogoutTokenError> {
    let Claim::Is(iat) = claims.time("iat") else { return Err(LogoutTokenError::Time) };
    let until = UnixTime(iat).plus(MAX_AGE).plus(realm.clock_skew);
    let expired = match claims.time("exp") {
        Claim::Is(exp) => UnixTime(exp).plus(realm.clock_skew) <= now,
        Claim::Absent | Claim::Wrong => true,
    };
    if expired || UnixTime(iat) > now.plus(realm.clock_skew) || until <= now {
        return Err(LogoutTokenError::Time);
    }
    Ok((UnixTime(iat), until))
}
