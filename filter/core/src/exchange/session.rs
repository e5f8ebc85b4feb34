//! A browser's session before the rules: it carries an access token, which is renewed before it ends.
//!
//! ```text
//! Judge ←──────────── still good, or nothing to renew it with
//!   ↑ ↖
//!   │   Look ─nobody─→ Lease ─won─→ Call ─answered─→ Conclude ─→ Judge, or over
//!   │   ↑  └─somebody: Later ┐  └─lost─→ Look
//!   └───┴────────────────────┘
//! ```
//!
//! `renew` is the way from `Look` to `Conclude`.

mod renew;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::credential::Credential;
use crate::error::TokenError;
use crate::identity::IdentityHeaders;
use crate::jose::jws::Jws;
use crate::oidc::attempt::Demand;
use crate::oidc::{Login, loops, origin, token_endpoint};
use crate::renewal;
use crate::reply::{Denial, LocalReply};
use crate::request::Header;
use crate::rule::Rule;
use crate::session::Session;
use crate::time::{Monotonic, UnixTime};
use crate::token::AccessToken;

use super::outcome::{answer, forward_with, refuse};
use super::token::{self, Verdict, Verification};
use super::{Ground, Input, Knowledge, Need, Step, Visit};

/// A session that was renewed is not renewed again within this time, however short its tokens live.
const RENEWED_LATELY: Duration = Duration::from_secs(5);
/// Tries to swap a bucket against other workers, and generations that an old cookie may lag behind.
const TRIES: u32 = 8;
/// A step-up that was asked for within this time and did not bring what it should is not asked for again.
const STEP_UP_PATIENCE: Duration = Duration::from_mins(5);

/// What a session is here for.
#[derive(Debug)]
enum Goal {
    /// The upstream, by this rule.
    Rule(Arc<Rule>),
    /// To be described.
    Describe,
}

/// A session on its way.
#[derive(Debug)]
pub(super) struct Stage {
    goal: Goal,
    session: Session,
    /// Whether the browser must get new cookies.
    changed: bool,
    step: Progress,
    tries: u32,
    /// When it has waited for another worker for long enough.
    deadline: Monotonic,
}

#[derive(Debug)]
enum Progress {
    Judge,
    Look,
    Lease,
    Call,
    Conclude(Result<Box<Session>, Failed>),
}

/// Why a session was not renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    Over,
    Unreachable,
    Wrong,
}

/// What became of a session's access token.
enum Judged {
    /// By the rule, or without one where it is not accepted.
    Rule(Verdict),
    /// It is accepted, and there is no rule to ask.
    Token(Box<AccessToken>),
}

/// Begins the judgement of a request that brings a session.
pub(super) fn start(
    knowledge: &mut Knowledge<'_>,
    visit: Visit,
    rule: &Arc<Rule>,
    session: Session,
    method: &str,
    headers: &[Header],
) -> Step {
    if let Some((browser, _)) = visit.login()
        && origin::is_unsafe(method, headers)
        && let Err(denial) = origin::expect_own(headers, &browser.origin, &visit.site.allowed_origins)
    {
        return visit.refuse(Some(rule), denial);
    }
    Stage::new(Goal::Rule(Arc::clone(rule)), session, knowledge).go(knowledge, visit)
}

/// Begins to describe the browser's session to its own pages. Beside a bearer token it would be one of two.
pub(super) fn describe(knowledge: &mut Knowledge<'_>, visit: Visit, credential: Credential<'_>) -> Step {
    let session = visit.login().and_then(|(browser, login)| {
        Session::find((&visit.site.realm, login), browser, knowledge.opened, knowledge.env.now)
    });
    match session {
        Some(_) if credential != Credential::None => visit.refuse(None, Denial::AmbiguousCredential),
        Some(session) => Stage::new(Goal::Describe, session, knowledge).go(knowledge, visit),
        None => visit.refuse(None, Denial::NoCredential),
    }
}

impl Stage {
    fn new(goal: Goal, session: Session, knowledge: &Knowledge<'_>) -> Self {
        let deadline = knowledge.env.monotonic.plus(Duration::from_mins(1));
        Self { goal, session, changed: false, step: Progress::Judge, tries: 0, deadline }
    }

    /// From a session as it was found: is it renewed first?
    fn go(mut self, knowledge: &mut Knowledge<'_>, visit: Visit) -> Step {
        let now = knowledge.env.now;
        let realm = Arc::clone(&visit.site.realm);
        let Some(login) = &realm.login else { return visit.refuse(self.rule(), Denial::NoCredential) };
        let Session { sid, subject, started, .. } = &self.session;
        if knowledge.revoked.holds_session(&realm, sid.as_deref(), Some(subject), *started, now) {
            return self.over(knowledge, visit, Denial::Revoked);
        }
        if !self.is_due(login, now) {
            return self.judge(knowledge, visit);
        }
        self.deadline = knowledge.env.monotonic.plus(login.timeout).plus(Duration::from_secs(2));
        self.look(visit)
    }

    /// Whether the session should be renewed, and can be.
    fn is_due(&self, login: &Login, now: UnixTime) -> bool {
        let Session { expires, renewed, refresh_token, .. } = &self.session;
        let lately = renewed.is_some_and(|renewed| now < renewed.plus(RENEWED_LATELY) && now < *expires);
        refresh_token.is_some() && *expires <= now.plus(login.session.refresh_before) && !lately
    }

    fn look(mut self, visit: Visit) -> Step {
        self.step = Progress::Look;
        self.share(visit)
    }

    /// Reads the bucket of the session.
    fn share(self, visit: Visit) -> Step {
        let realm = Arc::clone(&visit.site.realm);
        match &realm.login {
            Some(login) => {
                let name = renewal::bucket(&realm, login, &self.session);
                self.wait(visit, Need::Shared(name))
            }
            None => visit.refuse(self.rule(), Denial::NoCredential),
        }
    }

    fn wait(self, visit: Visit, need: Need) -> Step {
        visit.wait(super::Stage::Session(Box::new(self)), need)
    }

    /// Goes on with what was waited for.
    pub(super) fn resume(mut self, knowledge: &mut Knowledge<'_>, visit: Visit, input: Input) -> Step {
        let step = std::mem::replace(&mut self.step, Progress::Judge);
        match (step, input) {
            (Progress::Judge, Input::Overflow) => self.refuse(visit, Denial::TooManyWaiting),
            (Progress::Look | Progress::Call, Input::Overflow)
                if self.session.expires <= knowledge.env.now =>
            {
                self.refuse(visit, Denial::TooManyWaiting)
            }
            (Progress::Judge, Input::Deadline) => self.at_deadline(knowledge, visit),
            (Progress::Look, Input::Shared(bytes, version)) => self.looked(knowledge, visit, bytes, version),
            (Progress::Lease, Input::Swapped(true)) => self.call(knowledge, visit),
            (Progress::Look, Input::Elapsed) => self.look(visit),
            (Progress::Lease, Input::Swapped(false)) if self.tries < TRIES => {
                self.tries += 1;
                self.look(visit)
            }
            // Others are quicker every time, or there is nothing to swap.
            (Progress::Lease, _) => self.failed(knowledge, visit, Failed::Unreachable),
            (Progress::Call, Input::Called(answered)) => {
                let renewed = token_endpoint::read(answered).map_err(Failed::from).and_then(|issued| {
                    self.session.renewed_with(issued, knowledge.env.now).ok_or(Failed::Wrong)
                });
                self.step = Progress::Conclude(renewed.map(Box::new));
                self.share(visit)
            }
            (Progress::Conclude(outcome), Input::Shared(bytes, version)) => {
                self.publish(knowledge, visit, outcome, (bytes, version))
            }
            (Progress::Conclude(outcome), Input::Swapped(false)) if self.tries < TRIES => {
                self.tries += 1;
                self.step = Progress::Conclude(outcome);
                self.share(visit)
            }
            (Progress::Conclude(outcome), _) => self.concluded(knowledge, visit, outcome),
            // Whatever could not be had, the token may still be good.
            _ => self.judge(knowledge, visit),
        }
    }

    fn at_deadline(self, knowledge: &mut Knowledge<'_>, visit: Visit) -> Step {
        match self.verdict(knowledge, &visit) {
            // At the deadline the keys may have come with the same tick, so it was worth a look.
            Judged::Rule(Verdict::Wait(_)) => self.refuse(visit, Denial::WaitedTooLong),
            judged => self.settle(knowledge, visit, judged),
        }
    }

    fn judge(self, knowledge: &mut Knowledge<'_>, visit: Visit) -> Step {
        let judged = self.verdict(knowledge, &visit);
        self.settle(knowledge, visit, judged)
    }

    fn verdict(&self, knowledge: &mut Knowledge<'_>, visit: &Visit) -> Judged {
        let (text, realm) = (&self.session.access_token, &visit.site.realm);
        let refuse = |denial| Judged::Rule(Verdict::Refuse { subject: None, denial });
        match &self.goal {
            Goal::Rule(rule) => Judged::Rule(token::present(knowledge, &visit.site, rule, text)),
            Goal::Describe => match token::verify(knowledge, realm, text) {
                Ok(Verification::Unknown(kid)) => Judged::Rule(Verdict::Wait(kid)),
                Ok(Verification::Claims(claims, _)) => token::accept(knowledge, realm, claims)
                    .map_or_else(refuse, |token| Judged::Token(Box::new(token))),
                Err(denial) => refuse(denial),
            },
        }
    }

    fn settle(mut self, knowledge: &mut Knowledge<'_>, visit: Visit, judged: Judged) -> Step {
        match judged {
            Judged::Token(token) => self.show(knowledge, visit, &token),
            Judged::Rule(Verdict::Accept(identity, authorized)) => {
                self.serve(knowledge, visit, &identity, Ground::Session(authorized))
            }
            Judged::Rule(Verdict::Refuse { subject, denial }) => {
                self.refused(knowledge, visit, subject, denial)
            }
            Judged::Rule(Verdict::Wait(kid)) => {
                let need = Need::Keys(visit.site.realm.id, Some(kid));
                self.step = Progress::Judge;
                self.wait(visit, need)
            }
        }
    }

    /// To the page that asks: who is here, and until when. Never a token.
    fn show(mut self, knowledge: &mut Knowledge<'_>, visit: Visit, token: &AccessToken) -> Step {
        let login = visit.site.realm.login.as_ref();
        let ends = login.map_or(knowledge.env.now, |login| self.session.ends(login.session));
        let mut body = knowledge.filter.identity().describe(token, &visit.site.realm);
        body.insert("session_expires_at".to_owned(), json!(ends.0));
        body.insert("token_expires_at".to_owned(), json!(self.session.expires.0));
        let reply = LocalReply::json(200, &Value::Object(body));
        let reply = reply.with_cookies(self.cookies(knowledge, &visit, false));
        let subject = Some(self.session.subject);
        let Visit { site, audience, .. } = visit;
        answer(&site, audience, ("session_shown", subject), reply)
    }

    /// To the upstream.
    fn serve(
        mut self,
        knowledge: &mut Knowledge<'_>,
        visit: Visit,
        identity: &IdentityHeaders,
        ground: Ground,
    ) -> Step {
        let set_cookies = self.cookies(knowledge, &visit, true);
        let policy = knowledge.filter.identity();
        let edits = policy.identified_by_session(visit.edits, identity, &self.session.access_token);
        match self.rule() {
            Some(rule) => forward_with(&visit.site, rule, edits, ground, set_cookies),
            None => refuse(visit.audience, None, None, Denial::NoRule, set_cookies),
        }
    }

    /// What the browser gets to keep; `used`: the request counts as a use of the session.
    fn cookies(&mut self, knowledge: &mut Knowledge<'_>, visit: &Visit, used: bool) -> Vec<String> {
        let Some((browser, login)) = visit.login() else { return Vec::new() };
        let noted = used && self.session.note_use(login.session, knowledge.env.now);
        let mut cookies = Vec::new();
        if self.changed || noted {
            let set = self.session.set_cookies((&visit.site.realm, login), browser, knowledge.entropy);
            // One that has grown too large ends with the tokens that the browser has.
            cookies = set.unwrap_or_default();
        }
        cookies.extend(loops::ended(browser));
        cookies
    }

    fn refused(
        mut self,
        knowledge: &mut Knowledge<'_>,
        visit: Visit,
        subject: Option<String>,
        denial: Denial,
    ) -> Step {
        match denial {
            Denial::StepUp { acr_values, max_age } => {
                let again = acr_values.is_empty() && max_age.is_none();
                let asked = Demand {
                    acr_values: acr_values.clone(),
                    max_age: max_age.map(|age| age.as_secs()),
                    again,
                };
                let tried = self.session.demand.as_ref() == Some(&asked)
                    && knowledge.env.now < self.session.started.plus(STEP_UP_PATIENCE);
                let denial = Denial::StepUp { acr_values, max_age };
                let cookies = self.cookies(knowledge, &visit, false);
                if tried {
                    return refuse(visit.audience, self.rule(), subject, denial, cookies);
                }
                visit.step_up(knowledge, self.rule(), (denial, subject), asked, cookies)
            }
            // Its key was withdrawn: another token of the same session may do.
            Denial::Token(TokenError::UnknownKey)
                if self.session.refresh_token.is_some() && !self.changed && self.tries == 0 =>
            {
                self.tries += 1;
                self.look(visit)
            }
            Denial::Revoked => self.over(knowledge, visit, denial),
            // Not for what cannot be written into a header: the next login would bring the same.
            Denial::Token(error) if !error.is_of_a_header() => self.over(knowledge, visit, denial),
            denial => {
                let cookies = self.cookies(knowledge, &visit, false);
                refuse(visit.audience, self.rule(), subject, denial, cookies)
            }
        }
    }

    /// The session is over: the browser gives it back, and signs in anew.
    fn over(self, knowledge: &mut Knowledge<'_>, visit: Visit, denial: Denial) -> Step {
        let cookies = visit.login().map(|(browser, _)| Session::delete(browser)).unwrap_or_default();
        visit.challenge_with(knowledge, self.rule(), denial, cookies)
    }

    fn refuse(self, visit: Visit, denial: Denial) -> Step {
        visit.refuse(self.rule(), denial)
    }

    fn rule(&self) -> Option<&Rule> {
        match &self.goal {
            Goal::Rule(rule) => Some(rule),
            Goal::Describe => None,
        }
    }
}

/// Subject and end of an access token that is judged before it is used: not yet verified, and only good for refusing
/// it sooner, and for when to renew it.
pub(super) fn peek(access_token: &str) -> Option<(Option<String>, UnixTime)> {
    let claims = Jws::parse(access_token).ok()?.open_unverified().ok()?;
    let subject = claims.get("sub").and_then(Value::as_str).map(str::to_owned);
    Some((subject, UnixTime(claims.get("exp")?.as_u64()?)))
}
