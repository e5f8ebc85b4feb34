//! The configuration as it is written: the contract with the operator, and no behaviour.
//!
//! A doc comment here is the field's documentation. [`crate::filter::Filter`] is what a configuration
//! becomes once it is checked. Required fields are optional to the parser, so that one place (the
//! compilation in `filter`) says that they are missing.

mod login;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use login::{
    AssertionAlgorithm, AttemptLimits, ClientAuthentication, ClientKey, CookieKey, Login, SecretSource,
    SessionLimits, SiteLogin,
};
pub use text::{Catalogue, Text};

/// The whole document.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Keycloak realms by our name for them, which appears in metrics, logs and challenges. Required.
    pub realms: BTreeMap<String, Realm>,
    /// What is guarded, by host. Required.
    pub sites: Vec<Site>,
    /// What `access: legacy` lets through.
    pub legacy: Legacy,
    /// What the upstream learns about the user.
    pub identity: Identity,
    /// Bounds on what one request or one answer may cost.
    pub limits: Limits,
    /// What the pages say that a person sees.
    pub text: Text,
}

/// One Keycloak realm.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Realm {
    /// `iss` of its tokens, byte for byte; an http(s) URL. Required.
    pub issuer: String,
    /// The Envoy cluster through which every call to this Keycloak goes. Required.
    pub cluster: String,
    /// `:authority` of those calls. Default: host (and port) of the issuer.
    pub authority: Option<String>,
    /// Path of the discovery document. Default: path of the issuer + `/.well-known/openid-configuration`.
    pub discovery_path: Option<String>,
    /// Path of the JWK Set. Set: no discovery.
    pub jwks_path: Option<String>,
    /// At least one of these must be in `aud`. Required; `account` alone proves nothing and is refused.
    pub audiences: Vec<String>,
    /// The clients (`azp`) whose tokens are accepted. Absent: any client of the realm.
    pub clients: Option<Vec<String>>,
    /// Signature algorithms. Default `[RS256]`.
    pub algorithms: Option<Vec<String>>,
    /// How far the clocks may be apart. Default 30s.
    pub clock_skew: Option<Span>,
    /// The longest `exp - iat`. Default 24h.
    pub max_token_lifetime: Option<Span>,
    /// How the realm's keys are kept.
    pub keys: Keys,
    /// How browsers sign in. Absent: bearer tokens only.
    pub login: Option<Login>,
}

/// How a realm's keys are fetched and kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Age at which keys are fetched anew in the background. Default 5m.
    pub refresh_interval: Option<Span>,
    /// Age up to which keys serve while Keycloak is unreachable. Default 24h.
    pub max_stale: Option<Span>,
    /// At most one fetch for an unknown `kid` in this time. Default 10s.
    pub refetch_cooldown: Option<Span>,
    /// Deadline of one call. Default 3s.
    pub fetch_timeout: Option<Span>,
    /// A JWK Set to start with, until the first fetch succeeds.
    pub bootstrap: Option<Value>,
}

/// One or more hosts with the same realm and rules.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// Hosts as a client asks for them; `*.` stands for exactly one label, exact beats wildcard. Required.
    pub hosts: Vec<String>,
    /// Name of the realm whose tokens count here. Required.
    pub realm: String,
    /// How refusals are written. Default `problem`.
    pub error_format: ErrorFormat,
    /// Whether browsers are sent to sign in. Default `none`; the others need the realm's `login`.
    pub login: SiteLogin,
    /// Origins beside the site's own that may send unsafe requests and WebSockets with a session.
    pub allowed_origins: Vec<String>,
    /// First match wins; no match is refused. Required.
    pub rules: Vec<Rule>,
}

/// How refusals are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorFormat {
    /// `application/problem+json` (RFC 9457), HTML for navigations.
    #[default]
    Problem,
    /// HTTP 500 with the `faultcode` that PortaBilling clients know, in place of 401.
    Portabilling,
}

/// Who may do what.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Appears in logs and metrics; unique within the site. Required.
    pub name: String,
    /// Methods, case-sensitive; GET includes HEAD. Absent: GET HEAD POST PUT PATCH DELETE OPTIONS.
    pub methods: Option<Vec<String>>,
    /// Which paths. Required.
    pub path: Path,
    /// Opens the paths without a token. Exactly one of `access` and `require`.
    pub access: Option<Access>,
    /// Opens the paths to tokens for which every listed condition holds.
    pub require: Option<Require>,
}

/// A set of paths: exactly one of the three.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Path {
    /// This path alone.
    pub exact: Option<String>,
    /// This path and what lies below it, by whole segments.
    pub prefix: Option<String>,
    /// `{name}` is one whole segment, `*` any run of characters inside one.
    pub template: Option<String>,
}

/// Access without a Keycloak token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Forwarded without identity and without `Authorization`.
    Public,
    /// Forwarded without identity, PortaBilling's own credentials as they are.
    Legacy,
}

/// Conditions on an accepted token. Each that is listed must hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Require {
    /// Realm roles (`realm_access.roles`).
    pub realm_roles: Option<Names>,
    /// Client roles (`resource_access.<client>.roles`) by client.
    pub client_roles: Option<BTreeMap<String, Names>>,
    /// `groups`, as the Group Membership mapper writes them.
    pub groups: Option<Names>,
    /// The words of `scope`.
    pub scopes: Option<Names>,
    /// Claims with an exact value.
    pub claims: Option<Vec<ClaimEquals>>,
    /// `acr` is one of these.
    pub acr: Option<Vec<String>>,
    /// Authentication methods (`amr`, RFC 8176).
    pub amr: Option<Names>,
    /// Time since `auth_time`.
    pub max_age: Option<Span>,
}

/// A condition on a set of names; at least one of the three.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Names {
    /// At least one of these.
    pub any: Option<Vec<String>>,
    /// Every one of these.
    pub all: Option<Vec<String>>,
    /// Not one of these.
    pub none: Option<Vec<String>>,
}

/// A claim that must have a value.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimEquals {
    /// Member names from the top of the claims set. Required.
    pub path: Vec<String>,
    /// String, number or boolean. Required.
    pub equals: Value,
}

/// What `access: legacy` lets through.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Legacy {
    /// Login names that may sign in with a password, by host, compared byte for byte. A host that is not listed
    /// admits nobody to the methods of `Session` that take or renew credentials.
    pub logins: BTreeMap<String, Vec<String>>,
    /// Networks from which legacy rules may be used. Absent: from anywhere.
    pub networks: Option<Vec<String>>,
    /// The longest body of a request to a legacy rule, which is read before it goes on. Default 65536; longer: 413.
    pub max_body_bytes: Option<usize>,
    /// What becomes of a token of PortaBilling's that does not say whose it is, and that no login brought which this Envoy
    /// saw. Default `refuse`.
    pub unseen_tokens: UnseenTokens,
    /// How long the tokens that a login brought are remembered. Default 48h, which is how long they may last.
    pub session_lifetime: Option<Span>,
    /// How many logins may fail.
    pub attempts: Attempts,
}

/// What becomes of a token whose login is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnseenTokens {
    /// 401: whoever it is signs in again.
    #[default]
    Refuse,
    /// It goes on, and PortaBilling alone judges it.
    Allow,
}

/// How many logins with a password may fail before more are refused with 429.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Attempts {
    /// From one source address under one name. Default 10.
    pub per_login: Option<u32>,
    /// From one source address, whatever the name. Default 100.
    pub per_source: Option<u32>,
    /// In this time. Default 5m.
    pub window: Option<Span>,
}

/// What the upstream learns about the user.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// A client-sent header whose name starts so never reaches an upstream, in any spelling. Absent: only the
    /// names under `headers` are stripped.
    pub strip: Option<Vec<String>>,
    /// Headers set from a verified token; each of these names is stripped from the client, too.
    pub headers: BTreeMap<String, Header>,
    /// Whether the Keycloak token goes upstream. Default false.
    pub forward_token: bool,
    /// Longest header value in bytes; a longer one refuses the request. Default 2048.
    pub max_value_bytes: Option<usize>,
}

/// One identity header: exactly one of `realm`, `claim`, `roles`, `has_role`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Header {
    /// `true`: the realm's name.
    pub realm: Option<bool>,
    /// The claim at this path of member names; an array of scalars becomes a list.
    pub claim: Option<Vec<String>>,
    /// A list of roles.
    pub roles: Option<Roles>,
    /// `true` or `false`: whether the user has a role.
    pub has_role: Option<HasRole>,
    /// Refuse the request (403) where there is no value. Default false.
    pub required: bool,
    /// Between the items of a list. Default `,`.
    pub separator: Option<String>,
    /// Other names for roles, `{superuser: Root, "portaswitch:billing": Billing}`.
    pub rename: Option<BTreeMap<String, String>>,
}

/// Which roles a header lists.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Roles {
    /// Realm roles, by their names.
    pub realm: bool,
    /// Roles of these clients, as `client:role`.
    pub clients: Option<Vec<String>>,
}

/// A realm role by its name, or a client's role.
#[derive(Clone, Debug)]
pub enum HasRole {
    /// Realm role.
    Realm(String),
    /// Client role.
    Client(ClientRole),
}

/// A role of a client.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientRole {
    /// The client's id. Required.
    pub client: String,
    /// The role's name. Required.
    pub role: String,
}

/// By hand, since what an untagged enum says about a wrong field names no field.
impl<'de> Deserialize<'de> for HasRole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HasRoleVisitor)
    }
}

struct HasRoleVisitor;

impl<'de> Visitor<'de> for HasRoleVisitor {
    type Value = HasRole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a realm role, or {client: ..., role: ...}")
    }

    fn visit_str<E>(self, role: &str) -> Result<HasRole, E> {
        Ok(HasRole::Realm(role.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<HasRole, A::Error> {
        ClientRole::deserialize(MapAccessDeserializer::new(members)).map(HasRole::Client)
    }
}

/// Bounds on what one request or one answer may cost.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// All request header names and values together. Default 65536; a larger head: 400.
    pub max_head_bytes: Option<usize>,
    /// A bearer token. Default 16384; a larger token: 401.
    pub max_token_bytes: Option<usize>,
    /// A discovery document or JWK Set. Default 262144; a larger answer is a failed fetch.
    pub max_jwks_bytes: Option<usize>,
    /// Requests that wait for keys at one time, per realm and worker. Default 1000; more: 503.
    pub waiting_requests: Option<usize>,
    /// Memory for accepted tokens, per worker. Default 8388608; 0: every token is verified every time.
    pub max_remembered_bytes: Option<usize>,
    /// Accepted tokens that are remembered, per worker. Default 8192.
    pub max_remembered_tokens: Option<usize>,
    /// The longest wait for keys. Default 5s; longer: 503.
    pub wait_timeout: Option<Span>,
}

/// A duration, `30s`, `5m`, `24h`: from one second to ten years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Span(pub Duration);

const SHORTEST: Duration = Duration::from_secs(1);
/// Ten years of 365.25 days and a little, so that `10y` and `87660h` both load.
const LONGEST: Duration = Duration::from_hours(10 * 366 * 24);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let duration = humantime::parse_duration(&text)
            .map_err(|_| D::Error::custom(format_args!("`{text}` is no duration such as 30s, 5m or 24h")))?;
        if !(SHORTEST..=LONGEST).contains(&duration) {
            return Err(D::Error::custom(format_args!("`{text}` is not between 1s and 10 years")));
        }
        Ok(Self(duration))
    }
}
