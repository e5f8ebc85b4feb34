//! What came of a login: PortaBilling's answer is read on its way back, so that the tokens in it are known later on.

use std::sync::Arc;
use std::time::Duration;

use crate::cookie;
use crate::json;
use crate::time::UnixTime;

use super::shared::{Attempt, Change, Name, Names};
use super::usage::LegacyUse;

/// The longest answer that is read; PortaBilling's have two kilobytes.
const MAX_BODY_BYTES: usize = 16_384;
/// Where the tokens stand in an answer.
const TOKENS: [&str; 3] = ["access_token", "refresh_token", "session_id"];
/// Cookies of an answer that are looked at.
const MOST_COOKIES: usize = 8;

/// A request whose answer says whether a login succeeded.
#[derive(Debug)]
pub struct Watch {
    pub(crate) names: Names,
    /// Whose tokens the answer brings; `None`: it brings none.
    pub(crate) login: Option<Name>,
    /// What was counted as if it failed.
    pub(crate) attempt: Option<Attempt>,
    /// How long the tokens are remembered.
    pub(crate) lifetime: Duration,
    pub(crate) realm: Arc<str>,
    pub(crate) rule: Arc<str>,
    pub(crate) usage: LegacyUse,
}

/// PortaBilling's answer to a login.
#[derive(Clone, Copy, Debug)]
pub struct LegacyAnswer<'a> {
    /// Its status.
    pub status: u16,
    /// Its `set-cookie` fields.
    pub cookies: &'a [Vec<u8>],
    /// Its body, where it was asked for, came and was short enough.
    pub body: Option<&'a [u8]>,
}

/// What is recorded of a login that PortaBilling has answered.
#[derive(Debug)]
pub struct Conclusion {
    /// What shared data becomes.
    pub changes: Vec<Change>,
    /// Realm of the site.
    pub realm: Arc<str>,
    /// Whether it succeeded: the word in metrics.
    pub what: &'static str,
    /// The line of the log.
    pub line: String,
}

impl Watch {
    /// How much of an answer's body is needed; `None`: none of it.
    pub fn needs_body(&self, status: u16) -> Option<usize> {
        (self.login.is_some() && status == 200).then_some(MAX_BODY_BYTES)
    }

    /// Takes in the answer.
    pub fn conclude(self, answer: &LegacyAnswer<'_>, now: UnixTime) -> Conclusion {
        let body = answer.body.and_then(|body| json::parse(body).ok());
        let fault = body.as_ref().is_some_and(|body| body.get("faultcode").is_some());
        let succeeded = answer.status == 200 && !fault;
        // What never reached PortaBilling is nobody's failure.
        let failed = fault || (400..=500).contains(&answer.status);
        let mut changes = Vec::new();
        if let (true, Some(login)) = (succeeded, self.login) {
            let until = now.plus(self.lifetime);
            let in_body =
                TOKENS.iter().filter_map(|name| body.as_ref()?.get(name)?.as_str().map(str::to_owned));
            let in_cookies =
                answer.cookies.iter().take(MOST_COOKIES).filter_map(|cookie| cookie_value(cookie));
            let tokens: Vec<String> = in_body.chain(in_cookies).filter(|token| !token.is_empty()).collect();
            changes.extend(tokens.iter().map(|token| self.names.remember(token, login, until)));
        }
        if let (false, Some(attempt)) = (failed, self.attempt) {
            changes.push(attempt.take_back());
        }
        let what = if succeeded { "legacy_login.succeeded" } else { "legacy_login.failed" };
        let line = format!(
            "{} status={} realm={:?} rule={:?}{}",
            if succeeded { "password login succeeded" } else { "password login failed" },
            answer.status,
            self.realm,
            self.rule,
            self.usage
        );
        Conclusion { changes, realm: self.realm, what, line }
    }
}

/// The value of a `set-cookie` field.
fn cookie_value(field: &[u8]) -> Option<String> {
    let field = std::str::from_utf8(field).ok()?;
    let (_, value) = field.split(';').next()?.split_once('=')?;
    Some(cookie::decode(value))
}
