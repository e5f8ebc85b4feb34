//! Logins: begun by a navigation that has no session, completed by a callback.

use std::sync::Arc;

use crate::config::SiteLogin;
use crate::cookie;
use crate::error::{IdTokenError, LoginError, TokenError};
use crate::fetch_metadata::Errand;
use crate::jose::alg::Algorithm;
use crate::jose::claims::Claims;
use crate::keys::Absent;
use crate::oidc::attempt::{self, Attempt, Demand};
use crate::oidc::callback::Callback;
use crate::oidc::id_token::{Beside, IdToken};
use crate::oidc::token_endpoint::{self, Failure, Issued};
use crate::oidc::{loops, return_target};
use crate::reply::{Denial, LocalReply};
use crate::request::Request;
use crate::rule::Rule;
use crate::session::Session;

use super::outcome::{answer, refuse};
use super::session::peek;
use super::token::{self, Verification};
use super::{Input, Knowledge, Need, Stage, Step, Visit};

/// A login that is about to begin.
#[derive(Debug)]
pub(super) struct Start {
    target: String,
    demand: Option<Demand>,
    /// Cookies that the browser gets whatever happens.
    set_cookies: Vec<String>,
    /// Whether the user asked for it, and did not come to a page that needs it.
    asked_for: bool,
}

/// A login whose callback has come.
#[derive(Debug)]
pub(super) struct Completion {
    attempt: Attempt,
    /// Whether the callback named its issuer, as it was read; the code, until it is redeemed.
    callback: Option<Callback>,
    issued: Option<Issued>,
}

/// `<prefix>/start`.
pub(super) fn start(knowledge: &mut Knowledge<'_>, visit: Visit, request: &Request<'_>) -> Step {
    let Some((browser, login)) = visit.login() else { return visit.refuse(None, Denial::NoSuchPath) };
    if !browser.may_start {
        return visit.refuse(None, Denial::NoCredential);
    }
    let mut targets = request.parameters("return");
    let target = match (targets.next(), targets.next()) {
        (Some(target), None) => return_target::read(&target, &login.prefix),
        _ => "/".to_owned(),
    };
    Start { target, demand: None, set_cookies: Vec::new(), asked_for: true }.go(knowledge, visit, false)
}

/// `<prefix>/callback`.
pub(super) fn callback(knowledge: &mut Knowledge<'_>, visit: Visit, request: &Request<'_>) -> Step {
    let realm = Arc::clone(&visit.site.realm);
    let Some((browser, login)) = visit.login() else { return visit.refuse(None, Denial::NoSuchPath) };
    if request.method != "GET" {
        return visit.refuse(None, Denial::Login(LoginError::State));
    }
    let callback = match Callback::parse(request) {
        Ok(callback) => callback,
        Err(error) => return visit.refuse(None, Denial::Login(error)),
    };
    match attempt::find((&realm, login), browser, &callback.state, knowledge.env.now) {
        Some(attempt) => {
            Completion { attempt, callback: Some(callback), issued: None }.redeem(knowledge, visit, false)
        }
        None => visit.refuse(None, Denial::Login(LoginError::State)),
    }
}

impl Visit {
    /// Refuses a request without a session that serves, or sends it to sign in.
    pub(super) fn challenge(
        self,
        knowledge: &mut Knowledge<'_>,
        rule: Option<&Rule>,
        denial: Denial,
    ) -> Step {
        self.challenge_with(knowledge, rule, denial, Vec::new())
    }

    /// The same, and the browser gets these cookies either way.
    pub(super) fn challenge_with(
        self,
        knowledge: &mut Knowledge<'_>,
        rule: Option<&Rule>,
        denial: Denial,
        set_cookies: Vec<String>,
    ) -> Step {
        if self.site.login == SiteLogin::Required && self.is_navigation() {
            self.send_to_sign_in(knowledge, None, set_cookies)
        } else {
            refuse(self.audience, rule, None, denial, set_cookies)
        }
    }

    /// Sends a navigation to a stronger or fresher login, and refuses anything else.
    pub(super) fn step_up(
        self,
        knowledge: &mut Knowledge<'_>,
        rule: Option<&Rule>,
        (denial, subject): (Denial, Option<String>),
        demand: Demand,
        set_cookies: Vec<String>,
    ) -> Step {
        if self.site.login != SiteLogin::None && self.is_navigation() {
            self.send_to_sign_in(knowledge, Some(demand), set_cookies)
        } else {
            refuse(self.audience, rule, subject, denial, set_cookies)
        }
    }

    fn send_to_sign_in(
        self,
        knowledge: &mut Knowledge<'_>,
        demand: Option<Demand>,
        set_cookies: Vec<String>,
    ) -> Step {
        let target = self.browser.as_ref().map(|browser| browser.target.clone()).unwrap_or_default();
        Start { target, demand, set_cookies, asked_for: false }.go(knowledge, self, false)
    }

    fn is_navigation(&self) -> bool {
        self.browser.as_ref().is_some_and(|browser| browser.errand == Errand::Navigation)
    }

    /// Where a page that needs a session sends the user to get one.
    pub(super) fn login_url(&self) -> Option<String> {
        let (browser, login) = self.login()?;
        let target = if browser.errand == Errand::Navigation { browser.target.as_str() } else { "/" };
        (self.site.login != SiteLogin::None || browser.own_path).then(|| login.start_url(target))
    }
}

impl Start {
    pub(super) fn resume(self, knowledge: &mut Knowledge<'_>, visit: Visit, input: &Input) -> Step {
        match input {
            Input::Overflow => visit.refuse(None, Denial::TooManyWaiting),
            input => self.go(knowledge, visit, *input == Input::Deadline),
        }
    }

    /// Sends the browser to Keycloak. `last`: it has waited for as long as it may.
    fn go(self, knowledge: &mut Knowledge<'_>, visit: Visit, last: bool) -> Step {
        let realm = Arc::clone(&visit.site.realm);
        let now = knowledge.env.now;
        let Some((browser, login)) = visit.login() else { return visit.refuse(None, Denial::NoSuchPath) };
        if !browser.origin.is_trustworthy() {
            return self.refuse(visit, Denial::Login(LoginError::Insecure));
        }
        if !self.asked_for && loops::is_loop(&realm, login, browser, now) {
            return self.refuse(visit, Denial::Login(LoginError::Loop));
        }
        let provider = match knowledge.keys.provider(realm.id, knowledge.env.monotonic) {
            Ok(provider) if provider.has_login() => provider,
            Ok(_) => return self.refuse(visit, Denial::IdpAnswer),
            Err(Absent::Unavailable { retry_after }) => {
                return self.refuse(visit, Denial::KeysUnavailable { retry_after });
            }
            Err(Absent::Wait) if last => return self.refuse(visit, Denial::WaitedTooLong),
            Err(Absent::Wait) => {
                let need = Need::Keys(realm.id, None);
                return visit.wait(Stage::Start(Box::new(self)), need);
            }
        };
        let wish = (self.target.as_str(), self.demand.clone());
        let begun = attempt::begin((&realm, login), provider, browser, wish, now, knowledge.entropy);
        let mut set_cookies = self.set_cookies;
        set_cookies.extend(begun.set_cookies);
        let reply = LocalReply::see_other(begun.location).with_cookies(set_cookies);
        let Visit { site, audience, .. } = visit;
        answer(&site, audience, ("login_begun", None), reply)
    }

    fn refuse(self, visit: Visit, denial: Denial) -> Step {
        refuse(visit.audience, None, None, denial, self.set_cookies)
    }
}

impl Completion {
    pub(super) fn resume(mut self, knowledge: &mut Knowledge<'_>, visit: Visit, input: Input) -> Step {
        match input {
            Input::Overflow => self.refuse(visit, Denial::TooManyWaiting),
            Input::Called(answered) => match token_endpoint::read(answered) {
                Ok(issued) => {
                    self.issued = Some(issued);
                    self.complete(knowledge, visit, false)
                }
                Err(Failure::Unreachable) => self.refuse(visit, Denial::IdpUnreachable),
                Err(Failure::Refused) => self.fail(visit, LoginError::CodeRefused),
                Err(Failure::Wrong) => self.fail(visit, LoginError::Tokens),
            },
            input if self.issued.is_some() => self.complete(knowledge, visit, input == Input::Deadline),
            input => self.redeem(knowledge, visit, input == Input::Deadline),
        }
    }

    /// Redeems the code of the callback.
    fn redeem(mut self, knowledge: &mut Knowledge<'_>, visit: Visit, last: bool) -> Step {
        let realm = Arc::clone(&visit.site.realm);
        let Some((_, login)) = visit.login() else { return visit.refuse(None, Denial::NoSuchPath) };
        let provider = match knowledge.keys.provider(realm.id, knowledge.env.monotonic) {
            Ok(provider) => provider,
            Err(Absent::Unavailable { retry_after }) => {
                return self.refuse(visit, Denial::KeysUnavailable { retry_after });
            }
            Err(Absent::Wait) if last => return self.refuse(visit, Denial::WaitedTooLong),
            Err(Absent::Wait) => return self.wait(visit, Need::Keys(realm.id, None)),
        };
        let code = self.callback.take().ok_or(LoginError::Code);
        match code.and_then(|callback| callback.code(&realm.issuer, provider.iss_in_callback)) {
            Ok(code) => {
                let call = token_endpoint::redeem(
                    (&realm, login),
                    provider,
                    (&self.attempt, &code),
                    knowledge.env.now,
                    knowledge.entropy,
                );
                self.wait(visit, Need::Call(call))
            }
            Err(error) => self.fail(visit, error),
        }
    }

    /// Judges what was issued, and gives the browser its session.
    fn complete(self, knowledge: &mut Knowledge<'_>, visit: Visit, last: bool) -> Step {
        let session = match self.session(knowledge, &visit) {
            Ok(session) => session,
            Err(Stop::Keys(_)) if last => return self.refuse(visit, Denial::WaitedTooLong),
            Err(Stop::Keys(kid)) => {
                let need = Need::Keys(visit.site.realm.id, Some(kid));
                return self.wait(visit, need);
            }
            Err(Stop::Denial(denial)) => return self.refuse(visit, denial),
        };
        let realm = Arc::clone(&visit.site.realm);
        let Some((browser, login)) = visit.login() else { return visit.refuse(None, Denial::NoSuchPath) };
        let mut set_cookies = match session.set_cookies((&realm, login), browser, knowledge.entropy) {
            Ok(set_cookies) => set_cookies,
            Err(error) => return self.fail(visit, error),
        };
        set_cookies.push(cookie::delete(&self.attempt.cookie_name()));
        set_cookies.push(loops::completed(&realm, login, browser, knowledge.env.now, knowledge.entropy));
        let reply = LocalReply::see_other(self.attempt.target).with_cookies(set_cookies);
        let Visit { site, audience, .. } = visit;
        answer(&site, audience, ("login_completed", Some(session.subject)), reply)
    }

    /// The session that the tokens make.
    fn session(&self, knowledge: &mut Knowledge<'_>, visit: &Visit) -> Result<Session, Stop> {
        let realm = &*visit.site.realm;
        let (_, login) = visit.login().ok_or(Stop::Denial(Denial::NoSuchPath))?;
        let issued = self.issued.as_ref().ok_or(Stop::login(LoginError::Tokens))?;
        let id_text = issued.id_token.as_deref();
        let id_text = id_text.ok_or(Stop::login(LoginError::IdToken(IdTokenError::Absent)))?;
        let verified = token::verify_id_token(knowledge, realm, id_text);
        let (id_claims, algorithm) = claims(verified, |error| {
            LoginError::IdToken(match error {
                TokenError::Issuer | TokenError::OtherRealm => IdTokenError::Issuer,
                TokenError::HeaderType => IdTokenError::Type,
                error => IdTokenError::Jws(error),
            })
        })?;
        let verified = token::verify(knowledge, realm, &issued.access_token);
        let (access_claims, _) = claims(verified, LoginError::AccessToken)?;
        let token = token::accept(knowledge, realm, access_claims).map_err(|denial| match denial {
            Denial::Token(error) => Stop::login(LoginError::AccessToken(error)),
            denial => Stop::Denial(denial),
        })?;
        let access = Beside { token: &token, text: &issued.access_token };
        let now = knowledge.env.now;
        let accepted = IdToken::accept(&id_claims, algorithm, (realm, login), &self.attempt, &access, now);
        let IdToken { subject, sid } = accepted.map_err(|error| Stop::login(LoginError::IdToken(error)))?;
        let (_, expires) = peek(&issued.access_token).ok_or(Stop::login(LoginError::Tokens))?;
        Ok(Session {
            id: knowledge.entropy.token(),
            generation: 0,
            subject,
            sid,
            access_token: issued.access_token.clone(),
            expires,
            refresh_token: issued.refresh_token.clone(),
            id_token: issued.id_token.clone(),
            started: now,
            seen: now,
            renewed: None,
            demand: self.attempt.demand.clone(),
        })
    }

    fn wait(self, visit: Visit, need: Need) -> Step {
        visit.wait(Stage::Callback(Box::new(self)), need)
    }

    fn fail(self, visit: Visit, error: LoginError) -> Step {
        self.refuse(visit, Denial::Login(error))
    }

    /// The attempt is used up, however it ends; the way back into the login returns where it was to return.
    fn refuse(self, mut visit: Visit, denial: Denial) -> Step {
        let start = visit.login().map(|(_, login)| login.start_url(&self.attempt.target));
        visit.audience.login_url = start;
        let set_cookies = vec![cookie::delete(&self.attempt.cookie_name())];
        refuse(visit.audience, None, None, denial, set_cookies)
    }
}

/// Why there is no session yet.
enum Stop {
    /// This key must be found first.
    Keys(String),
    Denial(Denial),
}

impl Stop {
    const fn login(error: LoginError) -> Self {
        Self::Denial(Denial::Login(error))
    }
}

/// The claims of one of the tokens, once its signature holds.
fn claims(
    verified: Result<Verification, Denial>,
    error: impl Fn(TokenError) -> LoginError,
) -> Result<(Claims, Algorithm), Stop> {
    match verified {
        Ok(Verification::Claims(claims, algorithm)) => Ok((claims, algorithm)),
        Ok(Verification::Unknown(kid)) => Err(Stop::Keys(kid)),
        Err(Denial::Token(wrong)) => Err(Stop::login(error(wrong))),
        Err(denial) => Err(Stop::Denial(denial)),
    }
}
