//! Lies: each changes one fact of an answer and keeps the others right, so that a refusal has one possible reason.

use std::sync::Arc;

use serde_json::Value;

use crate::token::TokenBuilder;

type Sign = Arc<dyn Fn(TokenBuilder) -> String + Send + Sync>;
type Edit<T> = Arc<dyn Fn(&mut T) + Send + Sync>;

/// What a provider says that is not so. It is told at every login and refresh until [`Provider::tell_the_truth`].
///
/// [`Provider::tell_the_truth`]: super::Provider::tell_the_truth
#[derive(Clone)]
pub enum Lie {
    /// About the access token. `at_hash` of the ID token is that of the access token that is sent.
    AccessToken(Sign),
    /// About the ID token.
    IdToken(Sign),
    /// About the answer of the token endpoint.
    Answer(Edit<Value>),
    /// About what the browser brings back to the redirect URI.
    Callback(Edit<Vec<(String, String)>>),
}

impl Lie {
    /// Signs the access token in another way: `|token| token.claim("aud", "other").sign()`.
    pub fn access_token(sign: impl Fn(TokenBuilder) -> String + Send + Sync + 'static) -> Self {
        Self::AccessToken(Arc::new(sign))
    }

    /// Signs the ID token in another way.
    pub fn id_token(sign: impl Fn(TokenBuilder) -> String + Send + Sync + 'static) -> Self {
        Self::IdToken(Arc::new(sign))
    }

    /// Sets a claim of the ID token.
    pub fn id_claim(name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        Self::id_token(move |token| token.claim(name, value.clone()).sign())
    }

    /// Leaves a claim of the ID token out.
    pub fn no_id_claim(name: &'static str) -> Self {
        Self::id_token(move |token| token.without(name).sign())
    }

    /// Changes the answer of the token endpoint.
    pub fn answer(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> Self {
        Self::Answer(Arc::new(edit))
    }

    /// Sets a member of the answer of the token endpoint.
    pub fn member(name: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        Self::answer(move |answer| answer[name] = value.clone())
    }

    /// Leaves a member of the answer of the token endpoint out.
    pub fn no_member(name: &'static str) -> Self {
        Self::answer(move |answer| drop(answer.as_object_mut().and_then(|answer| answer.remove(name))))
    }

    /// Changes the parameters of the redirect URI.
    pub fn callback(edit: impl Fn(&mut Vec<(String, String)>) + Send + Sync + 'static) -> Self {
        Self::Callback(Arc::new(edit))
    }

    /// Sets a parameter of the redirect URI.
    pub fn parameter(name: &'static str, value: &str) -> Self {
        let value = value.to_owned();
        Self::callback(move |parameters| {
            parameters.retain(|(n, _)| n != name);
            parameters.push((name.to_owned(), value.clone()));
        })
    }

    /// Leaves a parameter of the redirect URI out.
    pub fn no_parameter(name: &'static str) -> Self {
        Self::callback(move |parameters| parameters.retain(|(n, _)| n != name))
    }
}
