//! What the fuzz targets see of the inside; `cargo fuzz` alone builds it.

use serde_json::{Map, Value};

use crate::authority::Host;
use crate::cookie;
use crate::error::LoginError;
use crate::fetch_metadata::{Errand, may_be_navigation};
use crate::filter::Filter;
use crate::jose::alg::Algorithm;
use crate::jose::jwk::KeySet;
use crate::jose::jws::Jws;
use crate::legacy::Call;
use crate::legacy::body::Format;
use crate::legacy::credentials::Credentials;
use crate::oidc::browser::Browser;
use crate::oidc::callback::Callback;
use crate::oidc::{attempt, loops, return_target};
use crate::path::NormalPath;
use crate::request::{self, Header, Request};
use crate::session::{OpenedSessions, Session};
use crate::time::UnixTime;

/// An unverified token.
#[derive(Debug)]
pub struct Token {
    /// Name of the algorithm.
    pub algorithm: &'static str,
    /// Key id.
    pub kid: String,
    /// The payload, where it can be read.
    pub claims: Option<Map<String, Value>>,
}

impl Token {
    /// Reads a token for any realm.
    pub fn parse(compact: &str) -> Option<Self> {
        let jws = Jws::parse(compact).ok()?;
        let claims = jws.open_unverified().ok();
        Some(Self { algorithm: jws.algorithm.name(), kid: jws.kid, claims })
    }
}

/// The keys of a JWK Set.
#[derive(Debug)]
pub struct Keys(KeySet);

#[allow(clippy::len_without_is_empty, reason = "there is always one")]
impl Keys {
    /// Reads a set for a realm that allows every algorithm.
    pub fn parse(text: &str) -> Option<Self> {
        KeySet::parse(text, &Algorithm::ALL).ok().map(Self)
    }

    /// Whether there is a key of this id.
    pub fn finds(&self, kid: &str) -> bool {
        self.0.find(kid).is_some()
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// A path in normal form.
pub fn normal_path(path: &[u8]) -> Option<String> {
    NormalPath::parse(path).ok().map(|path| path.as_str().to_owned())
}

/// A canonical host.
pub fn host(authority: &[u8]) -> Option<String> {
    Host::parse(authority).map(|host| host.as_str().to_owned())
}

/// Where a login would return to.
pub fn return_target(text: &str) -> String {
    return_target::read(text, "/sso")
}

/// State and code of a callback with this path, for an issuer that names itself; `Err`: the reason.
pub fn callback(path: &[u8], issuer: &str) -> Result<(String, String), &'static str> {
    let head = [(":authority", &b"a"[..]), (":method", b"GET"), (":path", path)];
    let head: Vec<Header> = head.map(|(name, value)| (name.to_owned(), value.to_vec())).to_vec();
    let request = Request::parse(&head, request::host(&head), 65_536).map_err(|_| "request")?;
    let callback = Callback::parse(&request).map_err(LoginError::slug)?;
    let state = callback.state.clone();
    Ok((state, callback.code(issuer, true).map_err(LoginError::slug)?))
}

/// Whether a request with these headers is sent to sign in, and whether it may begin a login where it asks for one.
pub fn navigates(headers: &[Header]) -> (bool, bool) {
    (Errand::of(headers) == Errand::Navigation, may_be_navigation(headers))
}

/// What is left of the `cookie` field for an upstream; `None`: it stays as it is.
pub fn cookies_without_ours(headers: &[Header]) -> Option<Vec<u8>> {
    cookie::without_ours(headers)
}

/// A realm with a login, whose seals can be tried.
#[derive(Debug)]
pub struct Sealing(Filter, OpenedSessions);

impl Sealing {
    /// The login of the first realm of a configuration.
    pub fn of(document: &[u8]) -> Option<Self> {
        let filter = Filter::parse(document).ok()?;
        let opened = OpenedSessions::new(&filter);
        Some(Self(filter, opened))
    }

    /// Whether the cookies of a head hold a session, or a login that bears this `state`. Nobody sealed one.
    pub fn opens(&mut self, headers: &[Header], state: &str) -> bool {
        let now = UnixTime(1_794_315_200);
        let Some(realm) = self.0.realms().iter().find(|realm| realm.login.is_some()) else { return false };
        let Some(login) = &realm.login else { return false };
        let Some(browser) = Browser::read(headers, login) else { return false };
        Session::find((realm, login), &browser, &mut self.1, now).is_some()
            || attempt::find((realm, login), &browser, state, now).is_some()
            || loops::is_loop(realm, login, &browser, now)
    }
}

/// Who signs in with a body of this type to a method of `Session` (`true`) or to another one; `None`: it is refused.
pub fn legacy_login(content_type: &[u8], body: &[u8], session: bool) -> Option<Option<String>> {
    let headers = [("content-type".to_owned(), content_type.to_vec())];
    let body = Format::of(&headers).ok()?.read(body).ok()?;
    let call = if session { Call::Login } else { Call::Service };
    Credentials::find(call, &body).ok().map(|credentials| credentials.login)
}
