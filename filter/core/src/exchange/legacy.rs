//! A request to a legacy route: PortaBilling judges its credentials, and we judge whose they may be.

use std::net::IpAddr;
use std::sync::Arc;

use crate::error::LegacyError;
use crate::legacy::credentials::{Credentials, Problem};
use crate::legacy::{Call, Head};
use crate::reply::Denial;
use crate::request::{Header, Request};
use crate::rule::Rule;

use super::outcome::{LegacyUse, forward, refuse_legacy};
use super::{Ground, Input, Knowledge, Need, Stage, Step, Visit};

/// A request whose body is read.
#[derive(Debug)]
pub(super) struct Legacy {
    rule: Arc<Rule>,
    head: Head,
    usage: LegacyUse,
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
            let legacy = Legacy { rule: Arc::clone(rule), head, usage };
            if legacy.head.upgrades {
                return legacy.judge(knowledge, visit, Credentials::default());
            }
            visit.wait(Stage::Legacy(Box::new(legacy)), Need::Body(policy.max_body_bytes))
        }
        Err(denial) => refuse_legacy(visit.audience, rule, denial, usage),
    }
}

impl Legacy {
    pub(super) fn resume(self, knowledge: &Knowledge<'_>, visit: Visit, input: Input) -> Step {
        let legacy = |error| Err(Denial::Legacy(error));
        let found = match input {
            Input::Body(Some(body)) => self.read(&body),
            Input::Body(None) => legacy(LegacyError::TooLarge),
            Input::Overflow => Err(Denial::TooManyWaiting),
            _ => legacy(LegacyError::Unread),
        };
        match found {
            Ok(credentials) => self.judge(knowledge, visit, credentials),
            Err(denial) => self.refuse(visit, denial),
        }
    }

    fn read(&self, body: &[u8]) -> Result<Credentials, Denial> {
        // What is empty needs no type.
        if body.is_empty() {
            return Ok(Credentials::default());
        }
        let format = self.head.format.as_ref().map_err(|error| Denial::Legacy(*error))?;
        let body = format.read(body).map_err(Denial::Legacy)?;
        Credentials::find(self.head.call, &body).map_err(|problem| match problem {
            Problem::Legacy(error) => Denial::Legacy(error),
            Problem::KeycloakToken => Denial::TokenOnLegacyRoute,
        })
    }

    fn judge(mut self, knowledge: &Knowledge<'_>, visit: Visit, credentials: Credentials) -> Step {
        self.usage.login = credentials.login;
        let mut tokens = credentials.tokens;
        tokens.extend(self.head.tokens.iter().cloned());
        tokens.sort_unstable();
        tokens.dedup();
        if tokens.len() > 1 {
            return self.refuse(visit, Denial::AmbiguousCredential);
        }
        let on_list = |login: &String| knowledge.filter.legacy().logins(&self.head.host).contains(login);
        match &self.usage.login {
            Some(login) if !on_list(login) => self.refuse(visit, Denial::LegacyLogin),
            None if self.head.call == Call::Credentials => {
                self.refuse(visit, Denial::Legacy(LegacyError::Login))
            }
            None if self.head.call == Call::Refresh && tokens.is_empty() => {
                self.refuse(visit, Denial::Legacy(LegacyError::Login))
            }
            login => {
                let usage = (login.is_some() || !tokens.is_empty()).then_some(self.usage);
                forward(&visit.site, &self.rule, visit.edits, Ground::Legacy(usage))
            }
        }
    }

    fn refuse(self, visit: Visit, denial: Denial) -> Step {
        refuse_legacy(visit.audience, &self.rule, denial, self.usage)
    }
}
