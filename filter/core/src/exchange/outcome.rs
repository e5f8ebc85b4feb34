//! The ends of an exchange.

use std::fmt;
use std::sync::Arc;

use crate::authz::Authorized;
use crate::identity::HeaderEdits;
use crate::legacy::usage::LegacyUse;
use crate::legacy::watch::Watch;
use crate::reply::{Audience, Denial, LocalReply, render};
use crate::rule::Rule;
use crate::site::Site;

use super::Step;

/// The end of a request's judgement.
#[derive(Debug)]
pub enum Decision {
    /// To the upstream, with these changes.
    Forward {
        /// Changes to the request's headers.
        request: HeaderEdits,
        /// `set-cookie` fields that the response gets.
        set_cookies: Vec<String>,
        /// Who let it pass.
        permit: Permit,
        /// What its answer is watched for.
        watch: Option<Box<Watch>>,
    },
    /// Back to the client, refused.
    Reply {
        /// The answer.
        reply: LocalReply,
        /// For the log and the metrics.
        refusal: Refusal,
    },
    /// Back to the client, which got what it came for: a step of a login or a logout.
    Answer {
        /// The answer.
        reply: LocalReply,
        /// For the log and the metrics.
        notice: Notice,
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
    /// The rule leaves the judgement to PortaBilling; with what is recorded where credentials are used.
    Legacy(Option<LegacyUse>),
    /// An accepted token fulfils the rule's requirement.
    Token(Authorized),
    /// The same, and a browser's session brought it.
    Session(Authorized),
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
    /// Who tried to use PortaBilling's own credentials.
    pub legacy: Option<LegacyUse>,
}

/// What is recorded of a step of a login or a logout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Realm of the site.
    pub realm: Arc<str>,
    /// What happened: the word in metrics and log.
    pub what: &'static str,
    /// `sub` of the user, where it is known.
    pub subject: Option<String>,
    /// Envoy's request id.
    pub request_id: Option<String>,
}

pub(super) fn forward(site: &Site, rule: &Rule, request: HeaderEdits, ground: Ground) -> Step {
    pass((site, rule), request, ground, Vec::new(), None)
}

pub(super) fn forward_with(
    site: &Site,
    rule: &Rule,
    request: HeaderEdits,
    ground: Ground,
    set_cookies: Vec<String>,
) -> Step {
    pass((site, rule), request, ground, set_cookies, None)
}

pub(super) fn forward_watched(
    site: &Site,
    rule: &Rule,
    request: HeaderEdits,
    ground: Ground,
    watch: Option<Box<Watch>>,
) -> Step {
    pass((site, rule), request, ground, Vec::new(), watch)
}

fn pass(
    (site, rule): (&Site, &Rule),
    request: HeaderEdits,
    ground: Ground,
    set_cookies: Vec<String>,
    watch: Option<Box<Watch>>,
) -> Step {
    let permit = Permit { realm: Arc::clone(&site.realm.name), rule: Arc::clone(&rule.name), ground };
    Step::Done(Decision::Forward { request, set_cookies, permit, watch })
}

pub(super) fn refuse(
    audience: Audience,
    rule: Option<&Rule>,
    subject: Option<String>,
    denial: Denial,
    set_cookies: Vec<String>,
) -> Step {
    let reply = render(&denial, &audience).with_cookies(set_cookies);
    reject(reply, audience, rule, denial, (subject, None))
}

pub(super) fn refuse_legacy(audience: Audience, rule: &Rule, denial: Denial, usage: LegacyUse) -> Step {
    let reply = render(&denial, &audience);
    reject(reply, audience, Some(rule), denial, (None, Some(usage)))
}

fn reject(
    reply: LocalReply,
    audience: Audience,
    rule: Option<&Rule>,
    denial: Denial,
    (subject, legacy): (Option<String>, Option<LegacyUse>),
) -> Step {
    let refusal = Refusal {
        realm: audience.realm,
        rule: rule.map(|rule| rule.name.to_string()),
        denial,
        subject,
        request_id: audience.request_id,
        legacy,
    };
    Step::Done(Decision::Reply { reply, refusal })
}

pub(super) fn answer(
    site: &Site,
    audience: Audience,
    (what, subject): (&'static str, Option<String>),
    reply: LocalReply,
) -> Step {
    let realm = Arc::clone(&site.realm.name);
    let notice = Notice { realm, what, subject, request_id: audience.request_id };
    Step::Done(Decision::Answer { reply, notice })
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
        })?;
        self.legacy.as_ref().map_or(Ok(()), |usage| write!(f, "{usage}"))
    }
}

impl Permit {
    /// The line of the log, where the permit is worth one: each use of PortaBilling's own credentials is.
    pub fn audit(&self) -> Option<String> {
        let Ground::Legacy(Some(usage)) = &self.ground else { return None };
        let what = "legacy credential forwarded";
        let id = usage.request_id.as_ref().map(|id| format!(" request_id={id:?}")).unwrap_or_default();
        Some(format!("{what} realm={:?} rule={:?}{id}{usage}", self.realm, self.rule))
    }
}

impl fmt::Display for Notice {
    /// The line of the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} realm={:?}", self.what, self.realm)?;
        [("subject", &self.subject), ("request_id", &self.request_id)].iter().try_for_each(|(name, text)| {
            match text {
                Some(text) => write!(f, " {name}={text:?}"),
                None => Ok(()),
            }
        })
    }
}
