//! Access tokens: from a verified signature to a token that counts for one realm.

use crate::error::TokenError;
use crate::jose::claims::{Claim, Claims};
use crate::keycloak;
use crate::realm::Realm;
use crate::time::UnixTime;

/// Longest `sub` in bytes, OpenID Connect Core section 2.
const MAX_SUBJECT_BYTES: usize = 255;

/// When a token is valid: from the later one of `nbf` and `iat` (the wall clock may be set back) to `exp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: UnixTime,
    pub(crate) until: UnixTime,
}

/// A token that is accepted: verified, of this realm, for us, and in its time.
#[derive(Clone, Debug)]
pub(crate) struct AccessToken {
    claims: Claims,
}

impl AccessToken {
    /// Judges the claims of a verified token: `typ`, `cnf`, `iss`, `aud`, `azp`, the times, `sub`.
    ///
    /// # Errors
    /// The first claim that speaks against the token.
    pub(crate) fn accept(claims: Claims, realm: &Realm, now: UnixTime) -> Result<Self, TokenError> {
        if claims.string("typ") != Claim::Is(keycloak::ACCESS_TOKEN) {
            return Err(TokenError::PayloadType);
        }
        if claims.contains("cnf") {
            return Err(TokenError::Confirmation);
        }
        if claims.string("iss") != Claim::Is(realm.issuer.as_str()) {
            return Err(TokenError::Issuer);
        }
        accept_audience(&claims, realm)?;
        accept_client(&claims, realm)?;
        accept_times(&claims, realm, now)?;
        accept_subject(&claims)?;
        Ok(Self { claims })
    }

    /// The claims, all of them verified.
    pub(crate) const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// When the token is valid, without the realm's skew.
    pub(crate) fn validity(&self) -> Validity {
        let time = |name: &str| match self.claims.time(name) {
            Claim::Is(time) => UnixTime(time),
            Claim::Absent | Claim::Wrong => UnixTime(0),
        };
        Validity { from: time("nbf").max(time("iat")), until: time("exp") }
    }

    /// `sub`, which a lightweight token has not.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self.claims.string("sub") {
            Claim::Is(subject) => Some(subject),
            Claim::Absent | Claim::Wrong => None,
        }
    }
}

fn accept_audience(claims: &Claims, realm: &Realm) -> Result<(), TokenError> {
    match claims.one_or_more("aud") {
        Claim::Is(aud) if aud.iter().any(|one| realm.audiences.iter().any(|ours| ours == one)) => Ok(()),
        _ => Err(TokenError::Audience),
    }
}

fn accept_client(claims: &Claims, realm: &Realm) -> Result<(), TokenError> {
    match (&realm.clients, claims.string("azp")) {
        (_, Claim::Wrong) | (Some(_), Claim::Absent) => Err(TokenError::Client),
        (Some(clients), Claim::Is(azp)) if !clients.iter().any(|client| client == azp) => {
            Err(TokenError::Client)
        }
        _ => Ok(()),
    }
}

/// RFC 7519 sections 4.1.4 to 4.1.6, with the realm's skew on both sides.
fn accept_times(claims: &Claims, realm: &Realm, now: UnixTime) -> Result<(), TokenError> {
    let Claim::Is(exp) = claims.time("exp") else { return Err(TokenError::NoExpiry) };
    if UnixTime(exp).plus(realm.clock_skew) <= now {
        return Err(TokenError::Expired);
    }
    let latest = now.plus(realm.clock_skew);
    match claims.time("nbf") {
        Claim::Absent => {}
        Claim::Is(nbf) if UnixTime(nbf) <= latest => {}
        Claim::Is(_) | Claim::Wrong => return Err(TokenError::NotYetValid),
    }
    let iat = match claims.time("iat") {
        Claim::Is(iat) if UnixTime(iat) <= latest => iat,
        _ => return Err(TokenError::IssuedAt),
    };
    // An `exp` before `iat` is no contradiction where clocks may be apart, and no lifetime to cap.
    if exp.saturating_sub(iat) > realm.max_token_lifetime.as_secs() {
        return Err(TokenError::Lifetime);
    }
    Ok(())
}

fn accept_subject(claims: &Claims) -> Result<(), TokenError> {
    match claims.string("sub") {
        Claim::Absent => Ok(()),
        Claim::Is(sub)
            if !sub.is_empty()
                && sub.len() <= MAX_SUBJECT_BYTES
                && !sub.contains(|c: char| c.is_ascii_control()) =>
        {
            Ok(())
        }
        _ => Err(TokenError::Subject),
    }
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
