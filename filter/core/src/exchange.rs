//! One request's state machine. It reads like the list in `ARCHITECTURE.md`; every step that refuses does so
//! with a [`Denial`], and the only way to the upstream is a [`Permit`].

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::accepted::AcceptedTokens;
use crate::authz::{Authorized, authorize};
use crate::credential::Credential;
use crate::error::TokenError;
use crate::filter::Filter;
use crate::identity::{HeaderEdits, IdentityHeaders, IdentityPolicy};
use crate::jose::claims::{Claim, Claims};
use crate::jose::jws::Jws;
use crate::keys::{KeyStore, Lookup};
use crate::legacy;
use crate::realm::{Realm, RealmId};
use crate::reply::{Audience, Denial, LocalReply, render};
use crate::request::{self, Header, Request};
use crate::rule::{Access, Rule};
use crate::site::Site;
use crate::time::Env;
use crate::token::AccessToken;

/// A request that waits for something.
#[derive(Debug)]
pub struct Exchange {
    site: Arc<Site>,
    rule: Arc<Rule>,
    edits: HeaderEdits,
    token: String,
    audience: Audience,
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// The request is decided.
    Done(Decision),
    /// The request waits, and is resumed when the need is met.
    Wait(Exchange, Need),
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The keys of a realm, because of a key id that is not among them.
    Keys(RealmId, String),
}

/// Why a request that waited is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The keys of its realm were fetched, or could not be.
    KeysChanged,
    /// It has waited for as long as it may.
    Deadline,
    /// It cannot wait: too many do.
    Overflow,
}

/// The end of a request's judgement.
#[derive(Debug)]
pub enum Decision {
    /// To the upstream, with these changes.
    Forward {
        /// Changes to the request's headers.
        request: HeaderEdits,
        /// Who let it pass.
        permit: Permit,
    },
    /// Back to the client.
    Reply {
        /// The answer.
        reply: LocalReply,
        /// For the log and the metrics.
        refusal: Refusal,
    },
}

/// Why a request may pass. Made in this module only.
#[derive(Debug)]
#[non_exhaustive]
pub struct Permit {
    /// Realm of the site.
    pub realm: Arc<str>,
    /// Name of the rule that let it pass.
    pub rule: Arc<str>,
    /// On what ground.
    pub ground: Ground,
}

/// On what ground a request passes.
#[derive(Debug)]
pub enum Ground {
    /// The rule is public.
    Public,
    /// The rule leaves the judgement to PortaBilling.
    Legacy,
    /// An accepted token fulfils the rule's requirement.
    Token(Authorized),
}

/// What is recorded of a refusal: never a token, a cookie or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Realm of the site; `None` where no site was found.
    pub realm: Option<String>,
    /// Rule that refused, where one matched.
    pub rule: Option<String>,
    /// Why.
    pub denial: Denial,
    /// `sub` of the token, only if the token was accepted.
    pub subject: Option<String>,
    /// Envoy's request id.
    pub request_id: Option<String>,
}

/// What a decision draws on besides the request.
#[derive(Debug)]
pub struct Knowledge<'k> {
    /// The configuration.
    pub filter: &'k Filter,
    /// The realms' keys.
    pub keys: &'k KeyStore,
    /// Tokens that were accepted lately.
    pub accepted: &'k mut AcceptedTokens,
    /// The clocks.
    pub env: Env,
}

impl Exchange {
    /// Judges a request by its head. `source` is the client's address, where the host knows it.
    pub fn start(knowledge: &mut Knowledge<'_>, headers: &[Header], source: Option<IpAddr>) -> Step {
        let filter = knowledge.filter;
        let edits = filter.identity().strip(headers);
        let site = request::host(headers).ok().and_then(|host| filter.sites().select(&host).cloned());
        let audience =
            || Audience::of(headers, site.as_ref().map(|site| (&*site.realm.name, site.error_format)));
        let refuse = |rule: Option<&Rule>, denial| refuse(audience(), rule, None, denial);

        let request = match Request::parse(headers, filter.limits().max_head_bytes) {
            Ok(request) => request,
            Err(error) => return refuse(None, Denial::BadRequest(error)),
        };
        let Some(site) = &site else { return refuse(None, Denial::UnknownHost) };
        let Some(rule) = site.rules.select(request.method, &request.path) else {
            return refuse(None, Denial::NoRule);
        };
        match &rule.access {
            Access::Public => forward(site, rule, IdentityPolicy::anonymous(edits), Ground::Public),
            Access::Legacy => match legacy::admit(filter.legacy(), &request, headers, source) {
                Ok(()) => forward(site, rule, edits, Ground::Legacy),
                Err(denial) => refuse(Some(rule), denial),
            },
            Access::Require(_) => match Credential::find(headers, &request) {
                Credential::None => refuse(Some(rule), Denial::NoCredential),
                Credential::Malformed => refuse(Some(rule), Denial::MalformedCredential),
                Credential::Ambiguous => refuse(Some(rule), Denial::AmbiguousCredential),
                Credential::Bearer(token) => {
                    let mut edits = edits;
                    match present(knowledge, site, rule, token, &mut edits) {
                        Verdict::Forward(edits, authorized) => {
                            forward(site, rule, edits, Ground::Token(authorized))
                        }
                        Verdict::Refuse { subject, denial } => {
                            self::refuse(audience(), Some(rule), subject, denial)
                        }
                        Verdict::Wait(kid) => {
                            let need = Need::Keys(site.realm.id, kid);
                            let (token, audience) = (token.to_owned(), audience());
                            let (site, rule) = (Arc::clone(site), Arc::clone(rule));
                            Step::Wait(Self { site, rule, edits, token, audience }, need)
                        }
                    }
                }
            },
        }
    }

    /// Goes on with a request that waited.
    pub fn resume(mut self, knowledge: &mut Knowledge<'_>, input: Input) -> Step {
        if input == Input::Overflow {
            return self.refuse(None, Denial::TooManyWaiting);
        }
        match present(knowledge, &self.site, &self.rule, &self.token, &mut self.edits) {
            Verdict::Forward(edits, authorized) => {
                forward(&self.site, &self.rule, edits, Ground::Token(authorized))
            }
            Verdict::Refuse { subject, denial } => self.refuse(subject, denial),
            // At the deadline the keys may have come with the same tick, so it was worth a look.
            Verdict::Wait(_) if input == Input::Deadline => self.refuse(None, Denial::WaitedTooLong),
            Verdict::Wait(kid) => {
                let need = Need::Keys(self.site.realm.id, kid);
                Step::Wait(self, need)
            }
        }
    }

    fn refuse(self, subject: Option<String>, denial: Denial) -> Step {
        refuse(self.audience, Some(&self.rule), subject, denial)
    }
}

/// What became of a token.
enum Verdict {
    /// It lets the request pass, with these edits.
    Forward(HeaderEdits, Authorized),
    /// It does not; the subject is told only if the token was accepted.
    Refuse { subject: Option<String>, denial: Denial },
    /// It cannot be told before this key id is found.
    Wait(String),
}

/// Presents a token to the site's realm: from its bytes to a verdict. The edits are taken if it lets the request pass.
fn present(
    knowledge: &mut Knowledge<'_>,
    site: &Site,
    rule: &Arc<Rule>,
    text: &str,
    edits: &mut HeaderEdits,
) -> Verdict {
    let (filter, realm) = (knowledge.filter, &*site.realm);
    if let Some((identity, authorized)) = knowledge.recall(text, realm, rule) {
        return Verdict::Forward(filter.identity().identified(edits.take(), &identity), authorized);
    }
    let refuse = |denial| Verdict::Refuse { subject: None, denial };
    let Access::Require(requirement) = &rule.access else { return refuse(Denial::NoRule) };
    let claims = match verify(knowledge, realm, text) {
        Ok(Verification::Claims(claims)) => claims,
        Ok(Verification::Unknown(kid)) => return Verdict::Wait(kid),
        Err(denial) => return refuse(denial),
    };
    let other_realm =
        matches!(claims.string("iss"), Claim::Is(iss) if iss != realm.issuer && filter.is_issuer(iss));
    let token = match AccessToken::accept(claims, realm, knowledge.env.now) {
        Ok(token) => token,
        Err(TokenError::Issuer) if other_realm => return refuse(Denial::Token(TokenError::OtherRealm)),
        Err(error) => return refuse(Denial::Token(error)),
    };
    let judged = authorize(&token, requirement, knowledge.env.now, realm.clock_skew)
        .and_then(|authorized| Ok((authorized, filter.identity().render(&token, realm)?)));
    match judged {
        Ok((authorized, identity)) => {
            knowledge.remember(text, &token, realm, rule, &identity, authorized);
            Verdict::Forward(filter.identity().identified(edits.take(), &identity), authorized)
        }
        Err(denial) => Verdict::Refuse { subject: token.subject().map(str::to_owned), denial },
    }
}

/// Size, shape, header, algorithm, key, signature: cheap checks first, and no fetch for a token that could not be
/// accepted with any key.
fn verify(knowledge: &Knowledge<'_>, realm: &Realm, text: &str) -> Result<Verification, Denial> {
    let filter = knowledge.filter;
    if text.len() > filter.limits().max_token_bytes {
        return Err(Denial::Token(TokenError::TooLarge));
    }
    let jws = Jws::parse(text).map_err(Denial::Token)?;
    jws.expect_access_token().map_err(Denial::Token)?;
    if !realm.algorithms.contains(&jws.algorithm) {
        return Err(Denial::Token(TokenError::Algorithm));
    }
    match knowledge.keys.find(realm.id, &jws.kid, knowledge.env.monotonic) {
        Lookup::Found(key) => {
            let proof = key.verify(&jws).map_err(Denial::Token)?;
            Claims::open(&jws, &proof).map(Verification::Claims).map_err(Denial::Token)
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
                Lookup::Wait => Ok(Verification::Unknown(jws.kid)),
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
        self.accepted.recall(token, (realm.id, keys), rule, self.env.now, realm.clock_skew)
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
            let validity = token.validity();
            self.accepted.remember(text, (realm.id, keys), validity, identity, rule, authorized);
        }
    }
}

/// What became of a token's signature.
enum Verification {
    /// It holds.
    Claims(Claims),
    /// It cannot be told before this key id is found.
    Unknown(String),
}

fn forward(site: &Site, rule: &Rule, request: HeaderEdits, ground: Ground) -> Step {
    let permit = Permit { realm: Arc::clone(&site.realm.name), rule: Arc::clone(&rule.name), ground };
    Step::Done(Decision::Forward { request, permit })
}

fn refuse(audience: Audience, rule: Option<&Rule>, subject: Option<String>, denial: Denial) -> Step {
    let reply = render(&denial, &audience);
    let refusal = Refusal {
        realm: audience.realm,
        rule: rule.map(|rule| rule.name.to_string()),
        denial,
        subject,
        request_id: audience.request_id,
    };
    Step::Done(Decision::Reply { reply, refusal })
}

impl fmt::Display for Refusal {
    /// The line of the log. Texts that come from a configuration or a token are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused status={} reason={}", self.denial.status().as_u16(), self.denial.slug())?;
        let texts = [
            ("realm", &self.realm),
            ("rule", &self.rule),
            ("subject", &self.subject),
            ("request_id", &self.request_id),
        ];
        texts.iter().try_for_each(|(name, text)| match text {
            Some(text) => write!(f, " {name}={text:?}"),
            None => Ok(()),
        })
    }
}

#[cfg(test)]
mod tests;
