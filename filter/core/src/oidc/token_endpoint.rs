//! The token endpoint: what is asked (RFC 6749 sections 4.1.3 and 6), and what an answer is worth.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use serde_json::Value;

use crate::call::{CallError, Form, HttpAnswer, HttpCall};
use crate::entropy::Entropy;
use crate::json;
use crate::keys::Provider;
use crate::realm::Realm;
use crate::secret::Secret;
use crate::time::UnixTime;

use super::assertion::Assertion;
use super::attempt::Attempt;
use super::{Client, Login};

/// The longest answer that is read: three tokens of 16 kB and a little.
const MAX_ANSWER_BYTES: usize = 65_536;

/// What the endpoint issued. Nothing of it is verified yet.
#[allow(clippy::struct_field_names, reason = "the protocol's names")]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    pub(crate) id_token: Option<String>,
    pub(crate) refresh_token: Option<String>,
}

// Written by hand: tokens do not show.
impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issued").finish_non_exhaustive()
    }
}

/// Why it issued nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Refused, reset, timed out, 5xx.
    Unreachable,
    /// `invalid_grant`: the code or the refresh token is worth nothing (any more).
    Refused,
    /// Any other answer.
    Wrong,
}

/// Asks for the tokens of a code.
pub(crate) fn redeem(
    (realm, login): (&Realm, &Login),
    provider: &Provider,
    (attempt, code): (&Attempt, &str),
    now: UnixTime,
    entropy: &mut Entropy,
) -> HttpCall {
    let parameters = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &attempt.redirect_uri(login)),
        ("code_verifier", &attempt.code_verifier),
    ];
    call((realm, login), provider, &parameters, now, entropy)
}

/// Asks for new tokens.
pub(crate) fn refresh(
    (realm, login): (&Realm, &Login),
    provider: &Provider,
    refresh_token: &str,
    now: UnixTime,
    entropy: &mut Entropy,
) -> HttpCall {
    let parameters = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    call((realm, login), provider, &parameters, now, entropy)
}

fn call(
    (realm, login): (&Realm, &Login),
    provider: &Provider,
    parameters: &[(&str, &str)],
    now: UnixTime,
    entropy: &mut Entropy,
) -> HttpCall {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.extend_pairs(parameters);
    let (mut authorization, mut assertion) = (None, None);
    match &login.client {
        Client::Basic(secret) => authorization = Some(Secret::new(basic(&login.client_id, secret.expose()))),
        Client::Post(secret) => {
            form.append_pair("client_id", &login.client_id).append_pair("client_secret", secret.expose());
        }
        Client::Key(key) => {
            form.append_pair("client_id", &login.client_id);
            assertion = Some(Box::new(Assertion::new(key, &login.client_id, &realm.issuer, now, entropy)));
        }
        Client::Public => {
            form.append_pair("client_id", &login.client_id);
        }
    }
    HttpCall {
        cluster: realm.cluster.clone(),
        authority: realm.authority.clone(),
        path: provider.token_path.clone(),
        form: Some(Form { body: Secret::new(form.finish()), authorization, assertion }),
        timeout: login.timeout,
        max_body_bytes: MAX_ANSWER_BYTES,
    }
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are joined.
fn basic(client_id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(client_id), encode(secret))))
}

/// Reads an answer (RFC 6749 section 5).
///
/// # Errors
/// Anything but issued tokens.
pub(crate) fn read(answer: Result<HttpAnswer, CallError>) -> Result<Issued, Failure> {
    let HttpAnswer { status, body } = answer.map_err(|error| match error {
        CallError::Unreachable => Failure::Unreachable,
        CallError::TooLarge => Failure::Wrong,
    })?;
    let members = json::parse(&body).ok();
    let member = |name: &str| members.as_ref().and_then(|members| members.get(name)).and_then(Value::as_str);
    let token = |name: &str| member(name).filter(|token| is_token(token)).map(str::to_owned);
    match StatusCode::from_u16(status) {
        Ok(StatusCode::OK) => {}
        Ok(status) if status.is_server_error() => return Err(Failure::Unreachable),
        Ok(StatusCode::BAD_REQUEST) if member("error") == Some("invalid_grant") => {
            return Err(Failure::Refused);
        }
        _ => return Err(Failure::Wrong),
    }
    if !member("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(Failure::Wrong);
    }
    Ok(Issued {
        access_token: token("access_token").ok_or(Failure::Wrong)?,
        id_token: token("id_token"),
        refresh_token: token("refresh_token"),
    })
}

/// Visible ASCII (RFC 6749 appendix A.12): it travels in forms, URLs and JSON.
fn is_token(token: &str) -> bool {
    !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic())
}
