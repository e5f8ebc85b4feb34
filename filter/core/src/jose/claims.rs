//! The claims of a verified token, read by type: a claim of the wrong type is never an absent one.

use serde_json::{Map, Value};

use super::jws::Jws;
use super::verify::Verified;
use crate::error::TokenError;

/// What a claim is where a certain type is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim<T> {
    /// Not in the token.
    Absent,
    /// There, with the type that was asked for.
    Is(T),
    /// There, with another type.
    Wrong,
}

/// A claims set (RFC 7519 section 4) whose signature holds: it can only be made from a [`Verified`].
#[derive(Clone, Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    /// Opens the payload of a token whose signature was verified.
    ///
    /// # Errors
    /// The payload is no JSON object, or names a member twice.
    pub(crate) fn open(jws: &Jws<'_>, _proof: &Verified) -> Result<Self, TokenError> {
        jws.open_unverified().map(Self)
    }

    /// The value at a path of member names.
    pub(crate) fn find(&self, path: &[String]) -> Option<&Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.0.get(first)?, |value, name| value.as_object()?.get(name))
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn object(&self, name: &str) -> Claim<&Map<String, Value>> {
        read(self.0.get(name), Value::as_object)
    }

    pub(crate) fn string(&self, name: &str) -> Claim<&str> {
        read(self.0.get(name), Value::as_str)
    }

    /// A `NumericDate` as a whole, non-negative number; a fraction or an exponent is a wrong type.
    pub(crate) fn time(&self, name: &str) -> Claim<u64> {
        read(self.0.get(name), Value::as_u64)
    }

    pub(crate) fn strings(&self, name: &str) -> Claim<Vec<&str>> {
        read(self.0.get(name), strings)
    }

    /// One string, or an array of strings: what `aud` may be (RFC 7519 section 4.1.3).
    pub(crate) fn one_or_more(&self, name: &str) -> Claim<Vec<&str>> {
        read(self.0.get(name), |value| value.as_str().map(|one| vec![one]).or_else(|| strings(value)))
    }
}

#[cfg(test)]
impl Claims {
    /// Claims for the tests of policy, where no signature is at stake.
    pub(crate) fn of(value: Value) -> Self {
        match value {
            Value::Object(members) => Self(members),
            other => panic!("no claims set: {other}"),
        }
    }
}

fn read<'v, T>(value: Option<&'v Value>, typed: impl FnOnce(&'v Value) -> Option<T>) -> Claim<T> {
    match value {
        None => Claim::Absent,
        Some(value) => typed(value).map_or(Claim::Wrong, Claim::Is),
    }
}

/// An array of nothing but strings.
pub(crate) fn strings(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}
