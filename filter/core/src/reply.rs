//! Refusals and how they are written: the one table from a denial to an answer.
//!
//! The client learns what the challenge says and no more (RFC 6750 section 3); the reason goes to the log
//! and the metrics.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::config::ErrorFormat;
use crate::error::{IdTokenError, LegacyError, LoginError, LogoutTokenError, RequestError, TokenError};
use crate::fetch_metadata::Errand;
use crate::page;
use crate::request::{Header, values};
use crate::text::{Page, Texts};

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The request can be read in two ways.
    BadRequest(RequestError),
    /// No site has this host.
    UnknownHost,
    /// No rule matches.
    NoRule,
    /// The route needs a token, and there is none.
    NoCredential,
    /// `Authorization: Bearer` with something that is no token.
    MalformedCredential,
    /// More than one credential.
    AmbiguousCredential,
    /// A Keycloak token on a route for PortaBilling's own credentials.
    TokenOnLegacyRoute,
    /// A legacy route from outside `legacy.networks`.
    LegacyNetwork,
    /// A password login of somebody who is not on the host's list.
    LegacyLogin,
    /// A token of PortaBilling's whose login is not known.
    LegacyUnseen,
    /// Too many logins failed.
    LegacyAttempts {
        /// When to try again.
        retry_after: Duration,
    },
    /// Credentials on a legacy route that cannot be judged, or are not good enough.
    Legacy(LegacyError),
    /// The token is not accepted.
    Token(TokenError),
    /// A role is missing, or one that excludes is there.
    MissingRole,
    /// A group is missing, or one that excludes is there.
    MissingGroup,
    /// A scope is missing.
    MissingScope {
        /// What the challenge names.
        scopes: Vec<String>,
    },
    /// A claim has not the value that the rule asks for.
    MissingClaim,
    /// A claim is absent that a required identity header is made of.
    MissingIdentity,
    /// The user must authenticate more strongly, or anew (RFC 9470).
    StepUp {
        /// Any of these would do.
        acr_values: Vec<String>,
        /// The login may be as old as this.
        max_age: Option<Duration>,
    },
    /// With a session, and from another site.
    CrossSite,
    /// The session has ended: unused, too old, or Keycloak renews it no more.
    SessionEnded,
    /// The session was logged out.
    Revoked,
    /// A login does not come to its end.
    Login(LoginError),
    /// A logout token is not accepted.
    LogoutToken(LogoutTokenError),
    /// One of the login's own paths, and not its method.
    Method {
        /// Its methods.
        allow: &'static [&'static str],
    },
    /// Below the login's prefix, and nothing.
    NoSuchPath,
    /// Keycloak does not answer a call.
    IdpUnreachable,
    /// Keycloak's answer to a call is none.
    IdpAnswer,
    /// The realm's keys cannot be had: nobody's fault but ours and Keycloak's.
    KeysUnavailable {
        /// When to try again.
        retry_after: Duration,
    },
    /// As many requests wait for keys as may.
    TooManyWaiting,
    /// The keys did not come in time.
    WaitedTooLong,
}

/// An answer of our own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u16,
    /// Header fields.
    pub headers: Vec<(&'static str, String)>,
    /// Body.
    pub body: String,
}

impl LocalReply {
    /// A redirect that turns into a GET and is kept nowhere.
    pub(crate) fn see_other(location: String) -> Self {
        let headers = vec![("location", location), ("cache-control", "no-store".to_owned())];
        Self { status: StatusCode::SEE_OTHER.as_u16(), headers, body: String::new() }
    }

    /// An answer without a body.
    pub(crate) fn empty(status: u16) -> Self {
        Self { status, headers: vec![("cache-control", "no-store".to_owned())], body: String::new() }
    }

    /// The page that asks whether to sign out, by a form to the same path.
    pub(crate) fn logout_question(audience: &Audience) -> Self {
        let page::Document { headers, body } =
            audience.page(Page::LogoutQuestion, audience.logout_url.as_deref());
        Self { status: 200, headers, body }
    }

    /// A JSON document.
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, headers: plain("application/json"), body: body.to_string() }
    }

    /// The same with these cookies.
    pub(crate) fn with_cookies(mut self, cookies: Vec<String>) -> Self {
        self.headers.extend(cookies.into_iter().map(|cookie| ("set-cookie", cookie)));
        self
    }
}

/// What an answer looks like, and to whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Audience {
    /// Realm of the site, for the challenge.
    pub(crate) realm: Option<String>,
    pub(crate) format: ErrorFormat,
    /// What the request is for: a person reads pages.
    pub(crate) errand: Errand,
    /// Where the client may sign in.
    pub(crate) login_url: Option<String>,
    /// Where a browser may sign out.
    pub(crate) logout_url: Option<String>,
    /// `accept-language` of who reads a page.
    pub(crate) languages: Option<Vec<u8>>,
    pub(crate) texts: Arc<Texts>,
    /// Envoy's `x-request-id`.
    pub(crate) request_id: Option<String>,
}

/// Wait before another try, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// An `x-request-id` beyond this is not repeated.
const MAX_REQUEST_ID_BYTES: usize = 128;
/// An `accept-language` beyond this is not read.
const MAX_LANGUAGES_BYTES: usize = 1024;

impl Denial {
    /// The reason in logs, metrics and fault codes.
    pub const fn slug(&self) -> &'static str {
        match self {
            Self::BadRequest(RequestError::HeadTooLarge) => "head_too_large",
            Self::BadRequest(RequestError::PseudoHeader) => "pseudo_header",
            Self::BadRequest(RequestError::Authority) => "bad_authority",
            Self::BadRequest(RequestError::Path) => "ambiguous_path",
            Self::UnknownHost => "unknown_host",
            Self::NoRule => "no_rule",
            Self::NoCredential => "no_credential",
            Self::MalformedCredential => "malformed_credential",
            Self::AmbiguousCredential => "ambiguous_credential",
            Self::TokenOnLegacyRoute => "token_on_legacy_route",
            Self::LegacyNetwork => "legacy_network",
            Self::LegacyLogin => "legacy_login",
            Self::LegacyUnseen => "legacy_unseen",
            Self::LegacyAttempts { .. } => "legacy_attempts",
            Self::Legacy(error) => error.slug(),
            Self::Token(error) => error.slug(),
            Self::MissingRole => "missing_role",
            Self::MissingGroup => "missing_group",
            Self::MissingScope { .. } => "missing_scope",
            Self::MissingClaim => "missing_claim",
            Self::MissingIdentity => "missing_identity",
            Self::StepUp { .. } => "step_up",
            Self::CrossSite => "cross_site",
            Self::SessionEnded => "session_ended",
            Self::Revoked => "session_revoked",
            Self::Login(error) => error.slug(),
            Self::LogoutToken(error) => error.slug(),
            Self::Method { .. } => "method",
            Self::NoSuchPath => "no_such_path",
            Self::IdpUnreachable => "idp_unreachable",
            Self::IdpAnswer => "idp_answer",
            Self::KeysUnavailable { .. } => "keys_unavailable",
            Self::TooManyWaiting => "too_many_waiting",
            Self::WaitedTooLong => "waited_too_long",
        }
    }

    /// HTTP status.
    pub const fn status(&self) -> StatusCode {
        self.answer().0
    }

    /// Status and error code of the challenge (RFC 6750 section 3.1, RFC 9470 section 3): the table.
    const fn answer(&self) -> (StatusCode, Challenge) {
        match self {
            Self::BadRequest(_)
            | Self::AmbiguousCredential
            | Self::TokenOnLegacyRoute
            | Self::LogoutToken(_) => (StatusCode::BAD_REQUEST, Challenge::Error("invalid_request")),
            Self::UnknownHost => (StatusCode::MISDIRECTED_REQUEST, Challenge::None),
            Self::NoRule | Self::LegacyNetwork | Self::LegacyLogin | Self::CrossSite => {
                (StatusCode::FORBIDDEN, Challenge::None)
            }
            Self::NoCredential => (StatusCode::UNAUTHORIZED, Challenge::Bare),
            Self::MalformedCredential
            | Self::Token(_)
            | Self::SessionEnded
            | Self::Revoked
            | Self::LegacyUnseen => (StatusCode::UNAUTHORIZED, Challenge::Error("invalid_token")),
            Self::LegacyAttempts { .. } => (StatusCode::TOO_MANY_REQUESTS, Challenge::None),
            Self::MissingRole
            | Self::MissingGroup
            | Self::MissingScope { .. }
            | Self::MissingClaim
            | Self::MissingIdentity => (StatusCode::FORBIDDEN, Challenge::Error("insufficient_scope")),
            Self::StepUp { .. } => {
                (StatusCode::UNAUTHORIZED, Challenge::Error("insufficient_user_authentication"))
            }
            Self::Login(
                LoginError::CodeRefused
                | LoginError::Tokens
                | LoginError::IdToken(IdTokenError::Absent)
                | LoginError::AccessToken(_)
                | LoginError::TooLarge,
            )
            | Self::IdpAnswer => (StatusCode::BAD_GATEWAY, Challenge::None),
            Self::Login(
                LoginError::Insecure
                | LoginError::State
                | LoginError::Cancelled
                | LoginError::Refused
                | LoginError::Issuer
                | LoginError::Code
                | LoginError::IdToken(_)
                | LoginError::Loop,
            ) => (StatusCode::BAD_REQUEST, Challenge::None),
            Self::Legacy(LegacyError::ContentType | LegacyError::ContentEncoding) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, Challenge::None)
            }
            Self::Legacy(LegacyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, Challenge::None),
            Self::Legacy(LegacyError::Malformed | LegacyError::Login | LegacyError::InUrl) => {
                (StatusCode::BAD_REQUEST, Challenge::None)
            }
            Self::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, Challenge::None),
            Self::NoSuchPath => (StatusCode::NOT_FOUND, Challenge::None),
            Self::KeysUnavailable { .. }
            | Self::TooManyWaiting
            | Self::WaitedTooLong
            | Self::IdpUnreachable
            | Self::Legacy(LegacyError::Unread) => (StatusCode::SERVICE_UNAVAILABLE, Challenge::None),
        }
    }

    /// What the client can do about it, where it is a client of PortaBilling's.
    const fn detail(&self) -> Option<&'static str> {
        match self {
            Self::LegacyLogin => Some("This user cannot sign in with a password here. Sign in with SSO."),
            Self::LegacyUnseen => {
                Some("Nobody signed in here with this token, or too long ago. Sign in again.")
            }
            Self::LegacyAttempts { .. } => Some("Too many logins failed. Try again later."),
            Self::Legacy(error) => Some(error.detail()),
            _ => None,
        }
    }
}

/// Which challenge an answer bears.
#[derive(Clone, Copy)]
enum Challenge {
    None,
    /// Nothing was presented: no error code.
    Bare,
    Error(&'static str),
}

impl Audience {
    /// Reads to whom an answer to this request would go. `site` is the realm's name and the format of the
    /// site, where there is one.
    pub(crate) fn of(headers: &[Header], site: Option<(&str, ErrorFormat)>, texts: &Arc<Texts>) -> Self {
        let errand = Errand::of(headers);
        let languages = values(headers, "accept-language")
            .next()
            .filter(|languages| errand != Errand::Other && languages.len() <= MAX_LANGUAGES_BYTES);
        let request_id = values(headers, "x-request-id")
            .next()
            .filter(|id| id.len() <= MAX_REQUEST_ID_BYTES && id.iter().all(u8::is_ascii_graphic))
            .and_then(|id| String::from_utf8(id.to_vec()).ok());
        Self {
            realm: site.map(|(realm, _)| realm.to_owned()),
            format: site.map_or(ErrorFormat::Problem, |(_, format)| format),
            errand,
            login_url: None,
            logout_url: None,
            languages: languages.map(<[u8]>::to_vec),
            texts: Arc::clone(texts),
            request_id,
        }
    }

    fn page(&self, page: Page, link: Option<&str>) -> page::Document {
        let (languages, realm) = (self.languages.as_deref(), self.realm.as_deref());
        page::render(page, link, &self.texts, languages, realm, self.request_id.as_deref())
    }
}

/// Writes the answer.
pub(crate) fn render(denial: &Denial, audience: &Audience) -> LocalReply {
    let (status, challenge) = denial.answer();
    // A person who signs in, or may do so, is no client of PortaBilling's.
    let signs_in = audience.errand != Errand::Other
        && (matches!(denial, Denial::Login(_))
            || status == StatusCode::UNAUTHORIZED && audience.login_url.is_some());
    let (status, mut headers, body) = match audience.format {
        ErrorFormat::Portabilling if !signs_in => {
            let (status, body) = portabilling(denial, status, audience);
            (status, plain("application/json"), body)
        }
        _ if audience.errand != Errand::Other => {
            let (page, link) = page_for(denial, audience);
            let page::Document { headers, body } = audience.page(page, link);
            (status, headers, body)
        }
        _ => (status, plain("application/problem+json"), problem(denial, status, challenge, audience)),
    };
    if let Some(challenge) = challenge_header(denial, challenge, audience) {
        headers.push(("www-authenticate", challenge));
    }
    if let Denial::Method { allow } = denial {
        headers.push(("allow", allow.join(", ")));
    }
    if let Some(wait) = retry_after(denial) {
        headers.push(("retry-after", wait.as_millis().div_ceil(1000).max(1).to_string()));
    }
    LocalReply { status: status.as_u16(), headers, body }
}

/// Header fields of an answer for a program.
fn plain(content_type: &str) -> Vec<(&'static str, String)> {
    let fields = [
        ("cache-control", "no-store"),
        ("content-type", content_type),
        ("x-content-type-options", "nosniff"),
    ];
    fields.map(|(name, value)| (name, value.to_owned())).to_vec()
}

fn challenge_header(denial: &Denial, challenge: Challenge, audience: &Audience) -> Option<String> {
    let realm = audience.realm.as_deref();
    let mut header = match (challenge, realm) {
        (Challenge::None, _) => return None,
        (Challenge::Bare, realm) => format!("Bearer realm=\"{}\"", realm.unwrap_or_default()),
        (Challenge::Error(error), Some(realm)) => format!("Bearer realm=\"{realm}\", error=\"{error}\""),
        (Challenge::Error(error), None) => format!("Bearer error=\"{error}\""),
    };
    // Writing into a String cannot fail.
    match denial {
        Denial::MissingScope { scopes } if !scopes.is_empty() => {
            let _ = write!(header, ", scope=\"{}\"", scopes.join(" "));
        }
        Denial::StepUp { acr_values, max_age } => {
            if !acr_values.is_empty() {
                let _ = write!(header, ", acr_values=\"{}\"", acr_values.join(" "));
            }
            if let Some(max_age) = max_age {
                let _ = write!(header, ", max_age=\"{}\"", max_age.as_secs());
            }
        }
        _ => {}
    }
    Some(header)
}

const fn retry_after(denial: &Denial) -> Option<Duration> {
    match denial {
        Denial::KeysUnavailable { retry_after } | Denial::LegacyAttempts { retry_after } => {
            Some(*retry_after)
        }
        Denial::TooManyWaiting
        | Denial::WaitedTooLong
        | Denial::IdpUnreachable
        | Denial::Legacy(LegacyError::Unread) => Some(RETRY_AFTER),
        _ => None,
    }
}

/// RFC 9457, with the error code of the challenge and Envoy's request id.
fn problem(denial: &Denial, status: StatusCode, challenge: Challenge, audience: &Audience) -> String {
    let mut problem = Map::new();
    problem.insert("type".to_owned(), json!("about:blank"));
    problem.insert("title".to_owned(), json!(status.canonical_reason()));
    problem.insert("status".to_owned(), json!(status.as_u16()));
    if let Challenge::Error(error) = challenge {
        problem.insert("error".to_owned(), json!(error));
    }
    if let Some(detail) = denial.detail() {
        problem.insert("detail".to_owned(), json!(detail));
    }
    let signs_in = status == StatusCode::UNAUTHORIZED || *denial == Denial::LegacyLogin;
    if let Some(login_url) = audience.login_url.as_ref().filter(|_| signs_in) {
        problem.insert("login_url".to_owned(), json!(login_url));
    }
    if let Some(request_id) = &audience.request_id {
        problem.insert("request_id".to_owned(), json!(request_id));
    }
    Value::Object(problem).to_string()
}

/// The fault that PortaBilling's clients know: they go to their sign-in page on the first of the two codes,
/// which PortaBilling sends with status 500.
fn portabilling(denial: &Denial, status: StatusCode, audience: &Audience) -> (StatusCode, String) {
    let (status, code) = if status == StatusCode::UNAUTHORIZED {
        (StatusCode::INTERNAL_SERVER_ERROR, "Server.Session.check_auth.auth_failed".to_owned())
    } else {
        (status, format!("Portcullis.{}", denial.slug()))
    };
    let reason = denial.detail().or(status.canonical_reason()).unwrap_or_default();
    let text = match (status, &audience.request_id) {
        (StatusCode::INTERNAL_SERVER_ERROR, _) => "Authentication failed".to_owned(),
        (_, None) => reason.to_owned(),
        (_, Some(id)) => format!("{reason} (request {id})"),
    };
    (status, json!({ "faultcode": code, "faultstring": text }).to_string())
}

/// The page for a denial, and where its link leads.
fn page_for<'a>(denial: &Denial, audience: &'a Audience) -> (Page, Option<&'a str>) {
    let (login, logout) = (audience.login_url.as_deref(), audience.logout_url.as_deref());
    match denial {
        Denial::Login(LoginError::Insecure) => (Page::LoginInsecure, None),
        Denial::Login(LoginError::State) => (Page::LoginStale, login),
        Denial::Login(LoginError::Cancelled) => (Page::LoginCancelled, login),
        Denial::Login(LoginError::Loop) => (Page::LoginLoop, login),
        Denial::Login(_) | Denial::IdpAnswer => (Page::LoginFailed, login),
        Denial::StepUp { .. } if login.is_some() => (Page::StepUpFailed, login),
        Denial::UnknownHost | Denial::NoSuchPath => (Page::UnknownHost, None),
        // No other account would do.
        Denial::CrossSite => (Page::Forbidden, None),
        Denial::LegacyLogin => (Page::SignIn, login),
        denial => match denial.status() {
            // The answer to a form: its tab must stay as it is.
            StatusCode::UNAUTHORIZED if audience.errand == Errand::Form && login.is_some() => {
                (Page::SessionEnded, login)
            }
            StatusCode::UNAUTHORIZED => (Page::SignIn, login),
            StatusCode::FORBIDDEN => (Page::Forbidden, logout),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => (Page::Unavailable, login),
            _ => (Page::BadRequest, None),
        },
    }
}

#[cfg(test)]
#[path = "reply_tests.rs"]
mod tests;
