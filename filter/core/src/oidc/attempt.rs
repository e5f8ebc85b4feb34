//! A login that is under way: what this browser must come back with.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::cookie;
use crate::entropy::Entropy;
use crate::keys::Provider;
use crate::realm::Realm;
use crate::time::UnixTime;

use super::browser::Browser;
use super::{Login, binding};

const COOKIE: &str = "login-";
const PURPOSE: &str = "attempt";
/// Characters of `state` that name its cookie.
const NAME_BYTES: usize = 16;

/// What is asked of a login beyond the realm's own wishes (RFC 9470 section 4).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Demand {
    pub(crate) acr_values: Vec<String>,
    /// Seconds.
    pub(crate) max_age: Option<u64>,
    /// Whether the user shall authenticate although Keycloak knows him.
    pub(crate) again: bool,
}

/// One login, sealed into a cookie of its own.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    state: String,
    pub(crate) nonce: String,
    pub(crate) code_verifier: String,
    /// Path and query to return to.
    pub(crate) target: String,
    /// Scheme and authority that it was begun at.
    origin: String,
    pub(crate) started: UnixTime,
    /// Which of the logins that this browser has open it is: more than one may begin in a second.
    #[serde(default)]
    number: u32,
    /// What a step-up asked for.
    pub(crate) demand: Option<Demand>,
}

/// A login that was begun: where the browser goes, and what it keeps.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) location: String,
    pub(crate) set_cookies: Vec<String>,
}

/// Begins a login that returns to `target`, and takes the oldest ones back where there are too many.
pub(crate) fn begin(
    (realm, login): (&Realm, &Login),
    provider: &Provider,
    browser: &Browser,
    (target, demand): (&str, Option<Demand>),
    now: UnixTime,
    entropy: &mut Entropy,
) -> Begun {
    let (mut running, mut gone) = open_ones(realm, login, browser, now);
    running.sort_unstable();
    let number = running.last().map_or(0, |(_, number, _)| number.saturating_add(1));
    let too_many = (running.len() + 1).saturating_sub(login.attempts.at_most);
    gone.extend(running.into_iter().take(too_many).map(|(_, _, name)| name));
    let attempt = Attempt {
        state: entropy.token(),
        nonce: entropy.token(),
        code_verifier: entropy.token(),
        target: target.to_owned(),
        origin: browser.origin.as_str().to_owned(),
        started: now,
        number,
        demand,
    };
    let location = attempt.authorization_url(login, provider);
    let mut set_cookies: Vec<_> =
        gone.into_iter().map(|name| cookie::delete(&format!("{COOKIE}{name}"))).collect();
    // Strings and numbers always serialise.
    let plain = serde_json::to_vec(&attempt).unwrap_or_default();
    let sealed = login.keys.seal(binding(PURPOSE, &realm.name, browser.host()), &plain, entropy);
    set_cookies.push(cookie::set(&attempt.cookie_name(), &sealed, Some(login.attempts.lifetime.as_secs())));
    Begun { location, set_cookies }
}

/// The attempt of this browser that bears a `state`, if it is one and still runs.
pub(crate) fn find(
    (realm, login): (&Realm, &Login),
    browser: &Browser,
    state: &str,
    now: UnixTime,
) -> Option<Attempt> {
    let sealed = browser.cookies.value(&cookie_name(state)?)?;
    open((realm, login), browser, sealed)
        .filter(|attempt| attempt.state == state && attempt.runs(login.attempts.lifetime, now))
}

/// Where the callback is, on the origin that a login was begun at (RFC 6749 section 3.1.2).
pub(crate) fn redirect_uri(origin: &str, login: &Login) -> String {
    format!("{origin}{}/callback", login.prefix)
}

impl Attempt {
    /// Name of its cookie, without the prefix.
    pub(crate) fn cookie_name(&self) -> String {
        cookie_name(&self.state).unwrap_or_default()
    }

    pub(crate) fn redirect_uri(&self, login: &Login) -> String {
        redirect_uri(&self.origin, login)
    }

    fn runs(&self, lifetime: Duration, now: UnixTime) -> bool {
        now < self.started.plus(lifetime)
    }

    /// The authentication request (OpenID Connect Core section 3.1.2.1, RFC 7636 section 4.3).
    fn authorization_url(&self, login: &Login, provider: &Provider) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&self.code_verifier));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", &login.client_id)
            .append_pair("redirect_uri", &self.redirect_uri(login))
            .append_pair("scope", &login.scope)
            .append_pair("state", &self.state)
            .append_pair("nonce", &self.nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        let demanded = self.demand.as_ref().map(|demand| &demand.acr_values).filter(|acr| !acr.is_empty());
        let acr_values = demanded.unwrap_or(&login.acr_values);
        if !acr_values.is_empty() {
            query.append_pair("acr_values", &acr_values.join(" "));
        }
        if let Some(demand) = &self.demand {
            if let Some(max_age) = demand.max_age {
                query.append_pair("max_age", &max_age.to_string());
            }
            if demand.again {
                query.append_pair("prompt", "login");
            }
        }
        let separator = if provider.authorization_endpoint.contains('?') { '&' } else { '?' };
        format!("{}{separator}{}", provider.authorization_endpoint, query.finish())
    }
}

// Written by hand: what only this browser may know does not show.
impl std::fmt::Debug for Attempt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attempt").field("started", &self.started).finish_non_exhaustive()
    }
}

/// The cookies of the attempts that still run, with what puts the oldest first, and those of what is none any more.
fn open_ones<'b>(
    realm: &Realm,
    login: &Login,
    browser: &'b Browser,
    now: UnixTime,
) -> (Vec<(UnixTime, u32, &'b str)>, Vec<&'b str>) {
    let mut running = Vec::new();
    let mut gone = Vec::new();
    for (name, sealed) in browser.cookies.beginning(COOKIE) {
        match open((realm, login), browser, sealed) {
            Some(attempt) if attempt.runs(login.attempts.lifetime, now) => {
                running.push((attempt.started, attempt.number, name));
            }
            _ => gone.push(name),
        }
    }
    (running, gone)
}

fn open((realm, login): (&Realm, &Login), browser: &Browser, sealed: &str) -> Option<Attempt> {
    let plain = login.keys.open(binding(PURPOSE, &realm.name, browser.host()), sealed)?;
    let attempt: Attempt = serde_json::from_slice(&plain).ok()?;
    // The host is bound by the seal; this adds scheme and port.
    (attempt.origin == browser.origin.as_str()).then_some(attempt)
}

fn cookie_name(state: &str) -> Option<String> {
    let name = state.get(..NAME_BYTES)?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    plain.then(|| format!("{COOKIE}{name}"))
}
