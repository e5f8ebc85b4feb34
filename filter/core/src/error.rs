//! What can be wrong at each stage. A stage has one small enum; they meet only in [`crate::reply::Denial`].

use std::fmt;

use crate::call::CallError;

/// A configuration that is refused, with the place and the mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Path of the field, `sites[1].rules[0].path`; empty where the document itself is wrong.
    pub path: String,
    /// What is wrong and what would be right.
    pub problem: String,
}

impl ConfigError {
    pub(crate) fn new(path: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Self { path: path.to_string(), problem: problem.to_string() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.path, self.problem)
        }
    }
}

impl std::error::Error for ConfigError {}

/// A request that cannot be judged because it can be read in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// All header fields together are longer than `limits.max_head_bytes`.
    #[error("head too large")]
    HeadTooLarge,
    /// `:authority`, `:method` or `:path` is absent or repeated.
    #[error("pseudo header absent or repeated")]
    PseudoHeader,
    /// The authority is no host with an optional port, or `host` says another one.
    #[error("bad authority")]
    Authority,
    /// The path is no path in a form that every upstream reads alike.
    #[error("ambiguous path")]
    Path,
}

/// An access token that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than `limits.max_token_bytes`.
    #[error("token too large")]
    TooLarge,
    /// No compact JWS of JSON objects, or a member named twice.
    #[error("malformed token")]
    Malformed,
    /// The header has a member that is not supported (`crit`, `jwk`, `zip`, ...).
    #[error("header member not supported")]
    HeaderMember,
    /// No algorithm of the realm, or not the key's.
    #[error("algorithm not allowed")]
    Algorithm,
    /// The header's `typ` is not an access token's.
    #[error("header typ is no access token's")]
    HeaderType,
    /// No `kid`, or one that cannot be a key id.
    #[error("bad kid")]
    KeyId,
    /// No key of the realm has this `kid`.
    #[error("unknown kid")]
    UnknownKey,
    /// The signature does not hold.
    #[error("bad signature")]
    Signature,
    /// The payload's `typ` is not `Bearer`.
    #[error("payload typ is not Bearer")]
    PayloadType,
    /// `cnf`: bound to a key whose proof is not checked here (RFC 7800).
    #[error("sender-constrained token")]
    Confirmation,
    /// `iss` is not the realm's issuer.
    #[error("wrong issuer")]
    Issuer,
    /// `iss` is the issuer of another realm of this configuration.
    #[error("issuer of another realm")]
    OtherRealm,
    /// `aud` names none of the realm's audiences.
    #[error("wrong audience")]
    Audience,
    /// `azp` is none of the realm's clients.
    #[error("client not allowed")]
    Client,
    /// `exp` is absent or no time.
    #[error("no exp")]
    NoExpiry,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` lies ahead, or is no time.
    #[error("not yet valid")]
    NotYetValid,
    /// `iat` is absent, no time, or lies ahead.
    #[error("bad iat")]
    IssuedAt,
    /// `exp - iat` is over the realm's `max_token_lifetime`.
    #[error("lifetime too long")]
    Lifetime,
    /// `sub` is there and is no short string of printable characters.
    #[error("bad sub")]
    Subject,
    /// A claim that goes into a header holds a control character.
    #[error("control character in a claim")]
    ClaimControl,
    /// A claim that goes into a header is a number too large to be written exactly.
    #[error("number too large in a claim")]
    ClaimNumber,
    /// A claim that goes into a header is longer than `identity.max_value_bytes`.
    #[error("claim too long for a header")]
    ClaimTooLong,
}

impl TokenError {
    /// Whether the token itself is good, and one of its claims fits into no header.
    pub(crate) const fn is_of_a_header(self) -> bool {
        matches!(self, Self::ClaimControl | Self::ClaimNumber | Self::ClaimTooLong)
    }

    /// The reason in logs and metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::HeaderMember => "token_header_member",
            Self::Algorithm => "token_algorithm",
            Self::HeaderType => "token_header_typ",
            Self::KeyId => "token_kid",
            Self::UnknownKey => "token_unknown_kid",
            Self::Signature => "token_signature",
            Self::PayloadType => "token_typ",
            Self::Confirmation => "token_cnf",
            Self::Issuer => "token_issuer",
            Self::OtherRealm => "token_other_realm",
            Self::Audience => "token_audience",
            Self::Client => "token_client",
            Self::NoExpiry => "token_no_exp",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::IssuedAt => "token_iat",
            Self::Lifetime => "token_lifetime",
            Self::Subject => "token_subject",
            Self::ClaimControl => "claim_control",
            Self::ClaimNumber => "claim_number",
            Self::ClaimTooLong => "claim_too_long",
        }
    }
}

/// A call to Keycloak that brought no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Refused, reset, timed out, or answered 5xx.
    #[error("unreachable")]
    Unreachable,
    /// Answered, but not with status 200.
    #[error("unexpected status")]
    Status,
    /// The body is larger than `limits.max_jwks_bytes`.
    #[error("answer too large")]
    TooLarge,
    /// The discovery document is none, or names no usable `jwks_uri`.
    #[error("no discovery document")]
    Discovery,
    /// The discovery document is another issuer's.
    #[error("discovery names another issuer")]
    Issuer,
    /// No JWK Set, or one without a key that fits.
    #[error("no usable key in the JWK Set")]
    KeySet,
}

impl KeyError {
    /// The result in metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Status => "status",
            Self::TooLarge => "too_large",
            Self::Discovery => "discovery",
            Self::Issuer => "issuer",
            Self::KeySet => "key_set",
        }
    }
}

impl From<CallError> for KeyError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Unreachable => Self::Unreachable,
            CallError::TooLarge => Self::TooLarge,
        }
    }
}

/// A login that does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// Over plain HTTP.
    #[error("not over HTTPS")]
    Insecure,
    /// The callback belongs to no running login of this browser.
    #[error("no running login of this browser")]
    State,
    /// The user cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Keycloak says that it failed.
    #[error("refused by Keycloak")]
    Refused,
    /// The callback names another issuer, or none where one is announced (RFC 9207).
    #[error("callback of another issuer")]
    Issuer,
    /// The callback has neither a code nor an error.
    #[error("no code")]
    Code,
    /// The code is worth nothing.
    #[error("code refused")]
    CodeRefused,
    /// The token endpoint's answer is none.
    #[error("unusable answer of the token endpoint")]
    Tokens,
    /// The ID token is not accepted.
    #[error("ID token: {0}")]
    IdToken(IdTokenError),
    /// The access token is not accepted.
    #[error("access token: {0}")]
    AccessToken(TokenError),
    /// The session does not fit into the cookies that a browser keeps.
    #[error("session too large")]
    TooLarge,
    /// Logins are completed and bring no session that serves.
    #[error("login loop")]
    Loop,
}

impl LoginError {
    /// The reason in logs and metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Insecure => "login_insecure",
            Self::State => "login_state",
            Self::Cancelled => "login_cancelled",
            Self::Refused => "login_refused",
            Self::Issuer => "login_issuer",
            Self::Code => "login_code",
            Self::CodeRefused => "login_code_refused",
            Self::Tokens => "login_tokens",
            Self::IdToken(error) => error.slug(),
            Self::AccessToken(_) => "login_access_token",
            Self::TooLarge => "login_too_large",
            Self::Loop => "login_loop",
        }
    }
}

/// An ID token that is not accepted (OpenID Connect Core section 3.1.3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// The token endpoint issued none.
    #[error("absent")]
    Absent,
    /// Its form, algorithm, key or signature.
    #[error("{0}")]
    Jws(TokenError),
    /// `typ`, of the header or the payload.
    #[error("typ is not ID")]
    Type,
    /// `iss`.
    #[error("wrong issuer")]
    Issuer,
    /// `aud`.
    #[error("wrong audience")]
    Audience,
    /// `azp`.
    #[error("wrong authorized party")]
    AuthorizedParty,
    /// `exp`.
    #[error("expired")]
    Expired,
    /// `nbf`.
    #[error("not yet valid")]
    NotYetValid,
    /// `iat`.
    #[error("bad iat")]
    IssuedAt,
    /// `nonce`.
    #[error("wrong nonce")]
    Nonce,
    /// `sub`.
    #[error("wrong subject")]
    Subject,
    /// `at_hash`.
    #[error("wrong at_hash")]
    AccessTokenHash,
    /// `sid`.
    #[error("wrong sid")]
    Session,
}

impl IdTokenError {
    /// The reason in logs and metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Absent => "login_id_token_absent",
            Self::Jws(TokenError::Signature) => "login_id_token_signature",
            Self::Jws(TokenError::UnknownKey) => "login_id_token_kid",
            Self::Jws(TokenError::Algorithm) => "login_id_token_alg",
            Self::Jws(_) => "login_id_token_malformed",
            Self::Type => "login_id_token_typ",
            Self::Issuer => "login_id_token_iss",
            Self::Audience => "login_id_token_aud",
            Self::AuthorizedParty => "login_id_token_azp",
            Self::Expired => "login_id_token_exp",
            Self::NotYetValid => "login_id_token_nbf",
            Self::IssuedAt => "login_id_token_iat",
            Self::Nonce => "login_id_token_nonce",
            Self::Subject => "login_id_token_sub",
            Self::AccessTokenHash => "login_id_token_at_hash",
            Self::Session => "login_id_token_sid",
        }
    }
}

/// A logout token that is not accepted (OpenID Connect Back-Channel Logout 1.0 section 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// The request is no POST of a form with one logout token.
    #[error("no logout token")]
    Absent,
    /// Its form, algorithm, key or signature.
    #[error("{0}")]
    Jws(TokenError),
    /// `typ`, of the header or the payload.
    #[error("typ is no logout token's")]
    Type,
    /// `iss`.
    #[error("wrong issuer")]
    Issuer,
    /// `aud`.
    #[error("wrong audience")]
    Audience,
    /// `iat` or `exp`.
    #[error("not of this time")]
    Time,
    /// `events`.
    #[error("no logout event")]
    Events,
    /// `nonce`, which it must not have.
    #[error("nonce")]
    Nonce,
    /// `jti`.
    #[error("no jti")]
    Id,
    /// Neither `sid` nor `sub`.
    #[error("no session and no subject")]
    Subject,
    /// It was received before.
    #[error("replayed")]
    Replayed,
}

impl LogoutTokenError {
    /// The reason in logs and metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::Absent => "logout_token_absent",
            Self::Jws(_) => "logout_token_jws",
            Self::Type => "logout_token_typ",
            Self::Issuer => "logout_token_iss",
            Self::Audience => "logout_token_aud",
            Self::Time => "logout_token_time",
            Self::Events => "logout_token_events",
            Self::Nonce => "logout_token_nonce",
            Self::Id => "logout_token_jti",
            Self::Subject => "logout_token_sub",
            Self::Replayed => "logout_token_replayed",
        }
    }
}

/// A request to a legacy route whose credentials cannot be judged, or are not good enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LegacyError {
    /// No content type that can be read, or two.
    #[error("content type")]
    ContentType,
    /// Any content encoding.
    #[error("content encoding")]
    ContentEncoding,
    /// The body is longer than `legacy.max_body_bytes`.
    #[error("body too large")]
    TooLarge,
    /// The body did not come: the client is slow, or Envoy does not show it.
    #[error("body not read")]
    Unread,
    /// The body is broken, or can be read in two ways.
    #[error("malformed body")]
    Malformed,
    /// No login, more than one, or one that is no text.
    #[error("not one login")]
    Login,
    /// Credentials in path or query.
    #[error("credentials in the URL")]
    InUrl,
}

impl LegacyError {
    /// The reason in logs and metrics.
    pub const fn slug(self) -> &'static str {
        match self {
            Self::ContentType => "legacy_content_type",
            Self::ContentEncoding => "legacy_content_encoding",
            Self::TooLarge => "legacy_body_too_large",
            Self::Unread => "legacy_body_unread",
            Self::Malformed => "legacy_body_malformed",
            Self::Login => "legacy_not_one_login",
            Self::InUrl => "legacy_credential_in_url",
        }
    }

    /// What the client is told: it can do something about it.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::ContentType => {
                "The body must be application/json, application/x-www-form-urlencoded or multipart/form-data, in UTF-8."
            }
            Self::ContentEncoding => "The body must not be encoded.",
            Self::TooLarge => "The body is too long.",
            Self::Unread => "The body could not be read.",
            Self::Malformed => "The body is malformed or ambiguous.",
            Self::Login => "The body must name exactly one login.",
            Self::InUrl => "Credentials must not stand in the URL.",
        }
    }
}
