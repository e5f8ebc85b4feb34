//! The ID token of a login (OpenID Connect Core section 3.1.3.7): it says that this login, and no other, brought
//! the tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::error::IdTokenError;
use crate::jose::alg::Algorithm;
use crate::jose::claims::{Claim, Claims};
use crate::keycloak;
use crate::realm::Realm;
use crate::time::UnixTime;
use crate::token::AccessToken;

use super::Login;
use super::attempt::Attempt;

/// What an accepted ID token says.
#[derive(Debug)]
pub(crate) struct IdToken {
    pub(crate) subject: String,
    /// Keycloak's session.
    pub(crate) sid: Option<String>,
}

/// An access token, and the text that it was read from.
pub(crate) struct Beside<'a> {
    pub(crate) token: &'a AccessToken,
    pub(crate) text: &'a str,
}

impl IdToken {
    /// Judges the claims of an ID token whose signature holds under `algorithm`: `typ`, `iss`, `aud`, `azp`, `exp`,
    /// `nbf`, `iat`, `nonce`, `sub`, `at_hash`.
    ///
    /// # Errors
    /// The first claim that speaks against it.
    pub(crate) fn accept(
        claims: &Claims,
        algorithm: Algorithm,
        (realm, login): (&Realm, &Login),
        attempt: &Attempt,
        access: &Beside<'_>,
        now: UnixTime,
    ) -> Result<Self, IdTokenError> {
        if claims.string("typ") != Claim::Is(keycloak::ID_TOKEN) {
            return Err(IdTokenError::Type);
        }
        if claims.string("iss") != Claim::Is(&realm.issuer) {
            return Err(IdTokenError::Issuer);
        }
        accept_audience(claims, login)?;
        accept_times(claims, realm, login, now)?;
        if claims.string("nonce") != Claim::Is(&attempt.nonce) {
            return Err(IdTokenError::Nonce);
        }
        let Claim::Is(subject) = claims.string("sub") else { return Err(IdTokenError::Subject) };
        let same_subject = access.token.subject().map(|other| other == subject);
        if subject.is_empty() || same_subject == Some(false) {
            return Err(IdTokenError::Subject);
        }
        match claims.string("at_hash") {
            Claim::Is(hash) if hash == at_hash(algorithm, access.text) => {}
            // Optional in this flow; one of the two must tie the tokens to each other.
            Claim::Absent if same_subject.is_some() => {}
            _ => return Err(IdTokenError::AccessTokenHash),
        }
        let sid = match (claims.string("sid"), access.token.claims().string("sid")) {
            (Claim::Wrong, _) | (_, Claim::Wrong) => return Err(IdTokenError::Session),
            (Claim::Is(one), Claim::Is(other)) if one != other => return Err(IdTokenError::Session),
            (Claim::Is(sid), _) | (_, Claim::Is(sid)) => Some(sid.to_owned()),
            (Claim::Absent, Claim::Absent) => None,
        };
        Ok(Self { subject: subject.to_owned(), sid })
    }
}

/// `aud` names us; `azp`, where there, is us, and must be there where others are named, too.
fn accept_audience(claims: &Claims, login: &Login) -> Result<(), IdTokenError> {
    let Claim::Is(audience) = claims.one_or_more("aud") else { return Err(IdTokenError::Audience) };
    if !audience.contains(&login.client_id.as_str()) {
        return Err(IdTokenError::Audience);
    }
    match claims.string("azp") {
        Claim::Is(azp) if azp == login.client_id => Ok(()),
        Claim::Absent if audience.len() == 1 => Ok(()),
        _ => Err(IdTokenError::AuthorizedParty),
    }
}

fn accept_times(claims: &Claims, realm: &Realm, login: &Login, now: UnixTime) -> Result<(), IdTokenError> {
    match claims.time("exp") {
        Claim::Is(exp) if now < UnixTime(exp).plus(realm.clock_skew) => {}
        _ => return Err(IdTokenError::Expired),
    }
    match claims.time("nbf") {
        Claim::Absent => {}
        Claim::Is(nbf) if UnixTime(nbf) <= now.plus(realm.clock_skew) => {}
        Claim::Is(_) | Claim::Wrong => return Err(IdTokenError::NotYetValid),
    }
    match claims.time("iat") {
        Claim::Is(iat)
            if UnixTime(iat) <= now.plus(realm.clock_skew)
                && now <= UnixTime(iat).plus(login.attempts.lifetime).plus(realm.clock_skew) =>
        {
            Ok(())
        }
        _ => Err(IdTokenError::IssuedAt),
    }
}

/// The left half of the hash of the access token, by the hash of the ID token's own algorithm (OpenID Connect
/// Core section 3.1.3.6; Ed25519 hashes with SHA-512).
fn at_hash(algorithm: Algorithm, access_token: &str) -> String {
    let left = |digest: &[u8]| URL_SAFE_NO_PAD.encode(digest.get(..digest.len() / 2).unwrap_or_default());
    match algorithm {
        Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => left(&Sha256::digest(access_token)),
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => left(&Sha384::digest(access_token)),
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::EdDsa => left(&Sha512::digest(access_token)),
    }
}
