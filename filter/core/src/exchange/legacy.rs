//! A request to a legacy route: PortaBilling judges its credentials, and we judge whose they may be.
//!
//! ```text
//! head ─→ body ─→ whose tokens ─→ whose login ─→ counted ─→ forward, and watch what comes of it
//! ```
//!
//! All credentials of a request must be of one login, and that one on the host's list. Whose a token is we know because
//! we saw the login that it came of, or because it says so itself: PortaBilling verifies the very same token.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::UnseenTokens;
use crate::error::LegacyError;
use crate::jose::jws::UnverifiedClaims;
use crate::legacy::credentials::{Credentials, Problem};
use crate::legacy::shared::{self, Attempt, Name, Names};
use crate::legacy::usage::LegacyUse;
use crate::legacy::watch::Watch;
use crate::legacy::{Call, Head, LegacyPolicy};
use crate::reply::Denial;
use crate::request::{Header, Request};
use crate::rule::Rule;

use super::outcome::{forward, forward_watched, refuse_legacy};
use super::{Ground, Input, Knowledge, Need, Stage, Step, Visit};

/// Tries to count an attempt against other workers.
const TRIES: u32 = 16;

/// A request on its way.
#[derive(Debug)]
pub(super) struct Legacy {
    rule: Arc<Rule>,
    head: Head,
    usage: LegacyUse,
    /// Who signs in with a password.
    login: Option<String>,
    /// All tokens of the request, each once.
    tokens: Vec<String>,
    /// Which logins the first of them came of.
    owners: Vec<Option<Name>>,
    names: Option<Names>,
    attempt: Option<Attempt>,
    tries: u32,
}

/// Judges the head, and waits for the body.
pub(super) fn start(
    knowledge: &Knowledge<'_>,
    visit: Visit,
    rule: &Arc<Rule>,
    request: &Request<'_>,
    headers: &[Header],
    source: Option<IpAddr>,
) -> Step {
    let usage = LegacyUse {
        login: None,
        host: request.host.as_str().to_owned(),
        source,
        request_id: visit.audience.request_id.clone(),
    };
    let policy = knowledge.filter.legacy();
    match policy.admit(request, headers, source) {
        Ok(head) => {
            let legacy = Legacy {
                rule: Arc::clone(rule),
                head,
                usage,
                login: None,
                tokens: Vec::new(),
                owners: Vec::new(),
                names: None,
                attempt: None,
                tries: 0,
            };
            if legacy.head.upgrades {
                return legacy.judge(policy, visit, Credentials::default());
            }
            legacy.wait(visit, Need::Body(policy.max_body_bytes))
        }
        Err(denial) => refuse_legacy(visit.audience, rule, denial, usage),
    }
}

impl Legacy {
    pub(super) fn resume(mut self, knowledge: &Knowledge<'_>, visit: Visit, input: Input) -> Step {
        let policy = knowledge.filter.legacy();
        let unread = |error| Denial::Legacy(error);
        match input {
            Input::Body(Some(body)) => match self.read(&body) {
                Ok(credentials) => self.judge(policy, visit, credentials),
                Err(denial) => self.refuse(visit, denial),
            },
            Input::Body(None) => self.refuse(visit, unread(LegacyError::TooLarge)),
            Input::Shared(bytes, version) => {
                let (shared, now) = (bytes.unwrap_or_default(), knowledge.env.now);
                if let Some(attempt) = self.attempt {
                    return match attempt.count(policy.attempts, &shared, now) {
                        Ok(bytes) => self.wait(visit, Need::Swap { name: attempt.bucket(), version, bytes }),
                        Err(retry_after) => self.refuse(visit, Denial::LegacyAttempts { retry_after }),
                    };
                }
                match (&self.names, self.tokens.get(self.owners.len())) {
                    (Some(names), Some(token)) => {
                        let owner = names.login_of_token(token, &shared, now);
                        self.owners.push(owner);
                    }
                    _ => self.names = Names::read(&shared),
                }
                self.look_up(policy, visit)
            }
            Input::Swapped(true) => self.finish(policy, visit),
            Input::Swapped(false) if self.tries < TRIES => {
                self.tries += 1;
                self.count(visit)
            }
            Input::Overflow | Input::Swapped(false) => self.refuse(visit, Denial::TooManyWaiting),
            _ => self.refuse(visit, unread(LegacyError::Unread)),
        }
    }

    fn read(&self, body: &[u8]) -> Result<Credentials, Denial> {
        // What is empty needs no type.
        if body.is_empty() {
            // PortaBilling takes credentials from nowhere else. Nor is it known here whether an answer can be read.
            return if self.head.call.takes_credentials() {
                Err(Denial::Legacy(LegacyError::Login))
            } else {
                Ok(Credentials::default())
            };
        }
        let format = self.head.format.as_ref().map_err(|error| Denial::Legacy(*error))?;
        let body = format.read(body).map_err(Denial::Legacy)?;
        Credentials::find(self.head.call, &body).map_err(|problem| match problem {
            Problem::Legacy(error) => Denial::Legacy(error),
            Problem::KeycloakToken => Denial::TokenOnLegacyRoute,
        })
    }

    /// Judges the credentials, once it is known which there are.
    fn judge(mut self, policy: &LegacyPolicy, visit: Visit, credentials: Credentials) -> Step {
        self.usage.login.clone_from(&credentials.login);
        self.login = credentials.login;
        self.tokens = credentials.tokens;
        self.tokens.append(&mut self.head.tokens);
        self.tokens.sort_unstable();
        self.tokens.dedup();
        let call = self.head.call;
        match (&self.login, self.tokens.is_empty()) {
            (None, _) if matches!(call, Call::Login | Call::Other) => {
                self.refuse(visit, Denial::Legacy(LegacyError::Login))
            }
            (None, true) if call.takes_credentials() => {
                self.refuse(visit, Denial::Legacy(LegacyError::Login))
            }
            (None, true) => forward(&visit.site, &self.rule, visit.edits, Ground::Legacy(None)),
            _ if policy.logins(&self.head.host).is_empty() => self.judge_owners(policy, visit),
            _ => self.wait(visit, Need::Shared(shared::KEY.to_owned())),
        }
    }

    /// Looks up which login each token came of.
    fn look_up(self, policy: &LegacyPolicy, visit: Visit) -> Step {
        let Some(names) = &self.names else { return self.refuse(visit, Denial::TooManyWaiting) };
        match self.tokens.get(self.owners.len()) {
            Some(token) => {
                let need = Need::Shared(names.bucket_of_token(token));
                self.wait(visit, need)
            }
            None => self.judge_owners(policy, visit),
        }
    }

    fn judge_owners(mut self, policy: &LegacyPolicy, visit: Visit) -> Step {
        match (self.expect_one_login(policy), &self.names, &self.login) {
            (Err(denial), ..) => self.refuse(visit, denial),
            (Ok(()), Some(names), Some(login)) => {
                self.attempt = Some(names.attempt(self.usage.source, login));
                self.count(visit)
            }
            (Ok(()), ..) => self.finish(policy, visit),
        }
    }

    /// Everything that the request brings is of one login, and what a token says or came of is on the host's list.
    fn expect_one_login(&mut self, policy: &LegacyPolicy) -> Result<(), Denial> {
        let listed = policy.logins(&self.head.host);
        let claims: Vec<_> = self.tokens.iter().map(|token| UnverifiedClaims::read(token)).collect();
        let mut logins: Vec<&str> = self.login.iter().map(String::as_str).collect();
        let mut unknown = 0;
        // Whose a token is does not matter where it opens nothing; that there is only one does.
        let matters = self.head.call != Call::Harmless;
        for (at, (token, said)) in self.tokens.iter().zip(&claims).enumerate() {
            let came_of = self.owners.get(at).copied().flatten();
            let is_named = |name: &Name, login: &str| {
                self.names.as_ref().is_some_and(|names| names.login(login) == *name)
            };
            let login = match (&came_of, &said.login) {
                (Some(name), _) => listed.iter().find(|login| is_named(name, login)),
                (None, Some(login)) => listed.iter().find(|listed| *listed == login),
                (None, None) => None,
            };
            let is_known = came_of.is_some() || said.login.is_some();
            match login {
                Some(login) => logins.push(login),
                None if matters && is_known => {
                    self.usage.login.clone_from(&said.login);
                    return Err(Denial::LegacyLogin);
                }
                None if matters && policy.unseen_tokens == UnseenTokens::Refuse => {
                    return Err(Denial::LegacyUnseen);
                }
                // A JWT and the session that it is of are one.
                None if claims.iter().any(|claims| claims.id.as_ref() == Some(token)) => {}
                None => unknown += 1,
            }
        }
        logins.sort_unstable();
        logins.dedup();
        match (logins.as_slice(), unknown) {
            ([], 0 | 1) => {}
            ([login], 0) => self.usage.login = Some((*login).to_owned()),
            _ => return Err(Denial::AmbiguousCredential),
        }
        Ok(())
    }

    /// Counts the attempt as if it failed, before anybody knows: so no more are under way at once than may fail.
    fn count(self, visit: Visit) -> Step {
        let name = self.attempt.as_ref().map(Attempt::bucket).unwrap_or_default();
        self.wait(visit, Need::Shared(name))
    }

    fn finish(self, policy: &LegacyPolicy, mut visit: Visit) -> Step {
        let listed = policy.logins(&self.head.host);
        if self.login.as_ref().is_some_and(|login| !listed.contains(login)) {
            return self.refuse(visit, Denial::LegacyLogin);
        }
        let watch = self.watch(policy, &visit);
        if watch.as_ref().is_some_and(|watch| watch.login.is_some()) {
            // The answer must be readable.
            visit.edits.remove("accept-encoding");
        }
        let used = self.login.is_some() || !self.tokens.is_empty();
        let ground = Ground::Legacy(used.then_some(self.usage));
        forward_watched(&visit.site, &self.rule, visit.edits, ground, watch)
    }

    /// What the answer is watched for: tokens that come of a login, and whether it failed.
    fn watch(&self, policy: &LegacyPolicy, visit: &Visit) -> Option<Box<Watch>> {
        let names = self.names.as_ref()?;
        let login = self.usage.login.as_ref().filter(|_| self.head.call.takes_credentials());
        let login = login.map(|login| names.login(login));
        (login.is_some() || self.attempt.is_some()).then(|| {
            Box::new(Watch {
                names: names.clone(),
                login,
                attempt: self.attempt,
                lifetime: policy.session_lifetime,
                realm: Arc::clone(&visit.site.realm.name),
                rule: Arc::clone(&self.rule.name),
                usage: self.usage.clone(),
            })
        })
    }

    fn wait(self, visit: Visit, need: Need) -> Step {
        visit.wait(Stage::Legacy(Box::new(self)), need)
    }

    fn refuse(self, visit: Visit, denial: Denial) -> Step {
        refuse_legacy(visit.audience, &self.rule, denial, self.usage)
    }
}
