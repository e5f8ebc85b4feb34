//! An access token before the site's realm, whoever brought it: from its bytes to a verdict.

use std::sync::Arc;

use crate::authz::{Authorized, authorize};
use crate::error::TokenError;
use crate::identity::IdentityHeaders;
use crate::jose::alg::Algorithm;
use crate::jose::claims::{Claim, Claims};
use crate::jose::jws::Jws;
use crate::keys::Lookup;
use crate::realm::Realm;
use crate::reply::Denial;
use crate::rule::{Access, Rule};
use crate::site::Site;
use crate::token::AccessToken;

use super::Knowledge;

/// What became of a token.
pub(super) enum Verdict {
    /// It lets the request pass, and upstreams are told this.
    Accept(IdentityHeaders, Authorized),
    /// It does not; the subject is told only if the token was accepted.
    Refuse { subject: Option<String>, denial: Denial },
    /// It cannot be told before this key id is found.
    Wait(String),
}

/// What became of a token's signature.
pub(super) enum Verification {
    /// It holds, by this algorithm.
    Claims(Claims, Algorithm),
    /// It cannot be told before this key id is found.
    Unknown(String),
}

/// Presents a token to the site's realm and the rule.
pub(super) fn present(knowledge: &mut Knowledge<'_>, site: &Site, rule: &Arc<Rule>, text: &str) -> Verdict {
    let (filter, realm) = (knowledge.filter, &*site.realm);
    if let Some((identity, authorized)) = knowledge.recall(text, realm, rule) {
        return Verdict::Accept(identity, authorized);
    }
    let refuse = |denial| Verdict::Refuse { subject: None, denial };
    let Access::Require(requirement) = &rule.access else { return refuse(Denial::NoRule) };
    let claims = match verify(knowledge, realm, text) {
        Ok(Verification::Claims(claims, _)) => claims,
        Ok(Verification::Unknown(kid)) => return Verdict::Wait(kid),
        Err(denial) => return refuse(denial),
    };
    let token = match accept(knowledge, realm, claims) {
        Ok(token) => token,
        Err(denial) => return refuse(denial),
    };
    let judged = authorize(&token, requirement, knowledge.env.now, realm.clock_skew)
        .and_then(|authorized| Ok((authorized, filter.identity().render(&token, realm)?)));
    match judged {
        Ok((authorized, identity)) => {
            knowledge.remember(text, &token, realm, rule, &identity, authorized);
            Verdict::Accept(identity, authorized)
        }
        Err(denial) => Verdict::Refuse { subject: token.subject().map(str::to_owned), denial },
    }
}

/// Accepts the claims of a verified token for a realm, unless its session was logged out.
pub(super) fn accept(
    knowledge: &Knowledge<'_>,
    realm: &Realm,
    claims: Claims,
) -> Result<AccessToken, Denial> {
    let other_realm = matches!(claims.string("iss"), Claim::Is(iss) if iss != realm.issuer && knowledge.filter.is_issuer(iss));
    let token = AccessToken::accept(claims, realm, knowledge.env.now).map_err(|error| match error {
        TokenError::Issuer if other_realm => Denial::Token(TokenError::OtherRealm),
        error => Denial::Token(error),
    })?;
    if knowledge.revoked.holds(realm, token.claims(), knowledge.env.now) {
        return Err(Denial::Revoked);
    }
    Ok(token)
}

/// An access token: size, shape, header, algorithm, key, signature. Cheap checks first, and no fetch for a token that could
/// not be accepted with any key.
pub(super) fn verify(knowledge: &Knowledge<'_>, realm: &Realm, text: &str) -> Result<Verification, Denial> {
    let jws = parse(knowledge, text)?;
    jws.expect_access_token().map_err(Denial::Token)?;
    verify_signature(knowledge, realm, &jws)
}

/// The same for an ID token.
pub(super) fn verify_id_token(
    knowledge: &Knowledge<'_>,
    realm: &Realm,
    text: &str,
) -> Result<Verification, Denial> {
    let jws = parse(knowledge, text)?;
    jws.expect_id_token().map_err(Denial::Token)?;
    verify_signature(knowledge, realm, &jws)
}

fn parse<'t>(knowledge: &Knowledge<'_>, text: &'t str) -> Result<Jws<'t>, Denial> {
    if text.len() > knowledge.filter.limits().max_token_bytes {
        return Err(Denial::Token(TokenError::TooLarge));
    }
    Jws::parse(text).map_err(Denial::Token)
}

/// The signature of any token of the realm's.
pub(super) fn verify_signature(
    knowledge: &Knowledge<'_>,
    realm: &Realm,
    jws: &Jws<'_>,
) -> Result<Verification, Denial> {
    let filter = knowledge.filter;
    if !realm.algorithms.contains(&jws.algorithm) {
        return Err(Denial::Token(TokenError::Algorithm));
    }
    match knowledge.keys.find(realm.id, &jws.kid, knowledge.env.monotonic) {
        Lookup::Found(key) => {
            let proof = key.verify(jws).map_err(Denial::Token)?;
            let claims = Claims::open(jws, &proof).map_err(Denial::Token)?;
            Ok(Verification::Claims(claims, jws.algorithm))
        }
        unknown => {
            // Not yet verified, and only good for not asking Keycloak about somebody else's token.
            let claimed = jws.open_unverified().map_err(Denial::Token)?;
            match claimed.get("iss").and_then(serde_json::Value::as_str) {
                Some(iss) if iss == realm.issuer => {}
                Some(iss) if filter.is_issuer(iss) => return Err(Denial::Token(TokenError::OtherRealm)),
                _ => return Err(Denial::Token(TokenError::Issuer)),
            }
            match unknown {
                Lookup::Unavailable { retry_after } => Err(Denial::KeysUnavailable { retry_after }),
                Lookup::Wait => Ok(Verification::Unknown(jws.kid.clone())),
                Lookup::Unknown | Lookup::Found(_) => Err(Denial::Token(TokenError::UnknownKey)),
            }
        }
    }
}

impl Knowledge<'_> {
    /// What is remembered of a token that would be accepted again.
    fn recall(
        &mut self,
        token: &str,
        realm: &Realm,
        rule: &Arc<Rule>,
    ) -> Option<(IdentityHeaders, Authorized)> {
        let keys = self.keys.version(realm.id, self.env.monotonic)?;
        let acceptor = (realm.id, keys, self.revoked.version(realm.id));
        self.accepted.recall(token, acceptor, rule, self.env.now, realm.clock_skew)
    }

    fn remember(
        &mut self,
        text: &str,
        token: &AccessToken,
        realm: &Realm,
        rule: &Arc<Rule>,
        identity: &IdentityHeaders,
        authorized: Authorized,
    ) {
        if let Some(keys) = self.keys.version(realm.id, self.env.monotonic) {
            let acceptor = (realm.id, keys, self.revoked.version(realm.id));
            self.accepted.remember(text, acceptor, token.validity(), identity, rule, authorized);
        }
    }
}
