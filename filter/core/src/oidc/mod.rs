//! OpenID Connect as a relying party (OpenID Connect Core, authorization code flow with PKCE).
//!
//! Everything here turns values into values: `exchange` decides when a call is made and what becomes of a
//! request. `browser` is what a login needs to know of a request, `origin` who may act with a session,
//! `return_target` where a login comes back to, `attempt` a login that is under way, `callback` what Keycloak
//! sends the browser back with, `token_endpoint` the calls, `id_token` and `logout_token` the two tokens that
//! only the login meets.

pub(crate) mod assertion;
pub(crate) mod attempt;
pub(crate) mod browser;
pub(crate) mod callback;
pub(crate) mod id_token;
pub(crate) mod logout_token;
pub(crate) mod loops;
pub(crate) mod origin;
pub(crate) mod return_target;
pub(crate) mod token_endpoint;

use std::time::Duration;

use crate::seal::{Binding, KeyRing};
use crate::secret::Secret;

/// How browsers sign in to a realm; see [`crate::config::Login`].
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) client_id: String,
    pub(crate) client: Client,
    /// `openid` and what else is asked for.
    pub(crate) scope: String,
    pub(crate) acr_values: Vec<String>,
    pub(crate) prefix: String,
    pub(crate) keys: KeyRing,
    pub(crate) session: SessionSpan,
    pub(crate) attempts: Attempts,
    pub(crate) timeout: Duration,
    pub(crate) post_logout: String,
}

/// How the client authenticates at the token endpoint.
#[derive(Debug)]
pub(crate) enum Client {
    Public,
    Basic(Secret<String>),
    Post(Secret<String>),
    /// An assertion that this key signs (RFC 7523).
    Key(assertion::ClientKey),
}

/// How long a session lasts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionSpan {
    pub(crate) idle: Duration,
    pub(crate) absolute: Duration,
    pub(crate) refresh_before: Duration,
}

/// Bounds on the logins that one browser has open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempts {
    pub(crate) lifetime: Duration,
    pub(crate) at_most: usize,
}

/// What one of the filter's own paths is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Start,
    Callback,
    Logout,
    BackChannelLogout,
    Session,
    /// Below the prefix, and nothing.
    Unknown,
}

impl Login {
    /// What a path in normal form is for; `None`: it is not the login's.
    pub(crate) fn endpoint(&self, path: &str) -> Option<Endpoint> {
        let rest = path.strip_prefix(&self.prefix)?;
        match rest {
            "/start" => Some(Endpoint::Start),
            "/callback" => Some(Endpoint::Callback),
            "/logout" => Some(Endpoint::Logout),
            "/backchannel-logout" => Some(Endpoint::BackChannelLogout),
            "/session" => Some(Endpoint::Session),
            rest if rest.is_empty() || rest.starts_with('/') => Some(Endpoint::Unknown),
            _ => None,
        }
    }

    /// Where the browser begins a login that returns to this path.
    pub(crate) fn start_url(&self, target: &str) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("return", target).finish();
        format!("{}/start?{query}", self.prefix)
    }

    /// Where the browser ends its session.
    pub(crate) fn logout_url(&self) -> String {
        format!("{}/logout", self.prefix)
    }
}

/// What the login seals is bound to the realm and the host that it was sealed for.
pub(crate) const fn binding<'b>(purpose: &'b str, realm: &'b str, host: &'b str) -> Binding<'b> {
    Binding { purpose, realm, host }
}
