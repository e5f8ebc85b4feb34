//! Who signs in, or claims to be signed in, by what the body of a request says.
//!
//! PortaBilling reads `params` and `auth_info`. To a method of `Session` the whole body is credentials; to any other
//! method everything but `params`, whose members are that method's own.

use serde_json::{Map, Value};

use crate::error::LegacyError;
use crate::jose::jws::names_issuer;

use super::Call;

/// Where PortaBilling reads from.
const CONTAINERS: [&str; 2] = ["params", "auth_info"];
/// The name under which somebody signs in.
const LOGIN: &str = "login";
const PASSWORDS: [&str; 2] = ["password", "new_password"];
/// What stands for a login that has been before.
const TOKENS: [&str; 4] = ["access_token", "session_id", "refresh_token", "token"];
/// Tokens of one request; more are no client's.
pub(super) const MOST_TOKENS: usize = 8;

/// The credentials of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Who signs in.
    pub(crate) login: Option<String>,
    /// Tokens of logins that have been before.
    pub(crate) tokens: Vec<String>,
}

/// What can be wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// They can be read in two ways.
    Legacy(LegacyError),
    /// A Keycloak token.
    KeycloakToken,
}

impl Credentials {
    /// Finds them in a body.
    ///
    /// # Errors
    /// More than one login or password, a login that is no text or stands where PortaBilling reads none, a name that is
    /// almost one of these, more tokens than a client has, or a Keycloak token.
    pub(crate) fn find(call: Call, body: &Map<String, Value>) -> Result<Self, Problem> {
        let mut found = Found::default();
        for (name, value) in body {
            if call == Call::Service && name == "params" {
                continue;
            }
            let known = known(name)?;
            match value {
                Value::Object(members) if CONTAINERS.contains(&name.as_str()) => found.object(members, 1)?,
                value => found.member(known, value, 0)?,
            }
        }
        let beside_login = found.credentials.login.is_some();
        // With a login, a `token` is an API token: another kind of password.
        found.credentials.tokens.extend(found.api_tokens.into_iter().filter(|_| !beside_login));
        if found.credentials.tokens.len() > MOST_TOKENS {
            return Err(Problem::Legacy(LegacyError::Login));
        }
        Ok(found.credentials)
    }
}

/// Whether there is a credential anywhere in a value.
pub(crate) fn has_any(value: &Value) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(name, value)| is_known(name) || has_any(value)),
        Value::Array(items) => items.iter().any(has_any),
        _ => false,
    }
}

/// Whether a name is a token's, in any case.
pub(super) fn is_token(name: &str) -> bool {
    TOKENS.iter().any(|token| token.eq_ignore_ascii_case(name))
}

/// Whether a name is one of those that matter, or almost one.
pub(crate) fn is_known(name: &str) -> bool {
    !matches!(known(name), Ok(None))
}

/// Which of the names that matter this is.
///
/// # Errors
/// It is none, but some reader may take it for one.
fn known(name: &str) -> Result<Option<&'static str>, Problem> {
    let names = || CONTAINERS.into_iter().chain([LOGIN]).chain(PASSWORDS).chain(TOKENS);
    if let Some(known) = names().find(|known| *known == name) {
        return Ok(Some(known));
    }
    let alike = |word: &str| names().any(|known| known.eq_ignore_ascii_case(word));
    if name.contains('\0') || name.split(|c: char| !c.is_alphanumeric() && c != '_').any(alike) {
        return Err(Problem::Legacy(LegacyError::Malformed));
    }
    Ok(None)
}

#[derive(Default)]
struct Found {
    credentials: Credentials,
    api_tokens: Vec<String>,
    passwords: Vec<&'static str>,
}

impl Found {
    /// `depth`: 0 at the top, 1 where PortaBilling reads.
    fn object(&mut self, members: &Map<String, Value>, depth: usize) -> Result<(), Problem> {
        members.iter().try_for_each(|(name, value)| self.member(known(name)?, value, depth))
    }

    fn member(&mut self, name: Option<&'static str>, value: &Value, depth: usize) -> Result<(), Problem> {
        const UNREADABLE: Problem = Problem::Legacy(LegacyError::Login);
        let Some(name) = name else { return self.nested(value, depth) };
        if CONTAINERS.contains(&name) {
            // A container within another, or one that is no object.
            return if value.is_null() { Ok(()) } else { Err(Problem::Legacy(LegacyError::Malformed)) };
        }
        let Value::String(text) = value else {
            return if value.is_null() { Ok(()) } else { Err(UNREADABLE) };
        };
        if depth > 1 {
            return Err(UNREADABLE);
        }
        if name == LOGIN {
            return match self.credentials.login.replace(text.clone()) {
                None => Ok(()),
                Some(_) => Err(UNREADABLE),
            };
        }
        if PASSWORDS.contains(&name) {
            if self.passwords.contains(&name) {
                return Err(UNREADABLE);
            }
            self.passwords.push(name);
            return Ok(());
        }
        if names_issuer(text) {
            return Err(Problem::KeycloakToken);
        }
        let tokens = if name == "token" { &mut self.api_tokens } else { &mut self.credentials.tokens };
        tokens.push(text.clone());
        Ok(())
    }

    fn nested(&mut self, value: &Value, depth: usize) -> Result<(), Problem> {
        match value {
            Value::Object(members) => self.object(members, depth + 2),
            Value::Array(items) => items.iter().try_for_each(|item| self.nested(item, depth + 2)),
            _ => Ok(()),
        }
    }
}
