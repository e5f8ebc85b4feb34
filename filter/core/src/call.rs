//! Calls to Keycloak, as values: the adapter sends them through Envoy.

use std::time::Duration;

use crate::oidc::assertion::{self, Assertion, ClientKey};
use crate::secret::Secret;

/// A call through a cluster: a GET, or with a form a POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpCall {
    /// Envoy cluster.
    pub cluster: String,
    /// `:authority`.
    pub authority: String,
    /// `:path`.
    pub path: String,
    /// What is posted; absent: a GET.
    pub form: Option<Form>,
    /// Deadline.
    pub timeout: Duration,
    /// The longest body that is read.
    pub max_body_bytes: usize,
}

/// A form (`application/x-www-form-urlencoded`) and how the client authenticates with it. It holds codes, tokens
/// and secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    pub(crate) body: Secret<String>,
    pub(crate) authorization: Option<Secret<String>>,
    pub(crate) assertion: Option<Box<Assertion>>,
}

impl Form {
    /// The body, for the host, which signs the client's assertion if there is one; `None` where it cannot.
    pub fn body(&self, sign: impl FnOnce(&ClientKey, &[u8]) -> Option<Vec<u8>>) -> Option<String> {
        let body = self.body.expose().clone();
        let Some(assertion) = &self.assertion else { return Some(body) };
        let assertion = assertion.signed(sign)?;
        let mut form = form_urlencoded::Serializer::new(body);
        form.append_pair("client_assertion_type", assertion::TYPE)
            .append_pair("client_assertion", &assertion);
        Some(form.finish())
    }

    /// The value of `authorization`, for the host.
    pub fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(|secret| secret.expose().as_str())
    }
}

/// What a call brought: status and body.
#[derive(Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// HTTP status; Envoy says 503 and 504 where nobody answered.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// A call that brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It could not be sent, or the answer was cut off.
    #[error("unreachable")]
    Unreachable,
    /// The body is larger than the call allows.
    #[error("answer too large")]
    TooLarge,
}

// Written by hand: a body may hold tokens.
impl std::fmt::Debug for HttpAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpAnswer").field("status", &self.status).finish_non_exhaustive()
    }
}
