//! The browser login of a realm, as it is written.

use serde::Deserialize;

use super::Span;

/// How browsers sign in to a realm. Absent: bearer tokens only.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Login {
    /// The client that browsers sign in through. Required.
    pub client_id: String,
    /// The client's secret. Absent: a public client.
    pub client_secret: Option<SecretSource>,
    /// The client's private key, in place of a secret.
    pub client_key: Option<ClientKey>,
    /// How the client authenticates. Default `client_secret_basic` with a secret, `private_key_jwt` with a key, `none` without either.
    pub client_authentication: Option<ClientAuthentication>,
    /// Scopes that are asked for beside `openid`. Default none.
    pub scopes: Option<Vec<String>>,
    /// `acr_values` of every login. Default none.
    pub acr_values: Option<Vec<String>>,
    /// The filter's own paths on every host of the realm lie below this one. Default `/sso`.
    pub prefix: Option<String>,
    /// Keys of the cookies: the first seals, each opens. Required.
    pub cookie_keys: Vec<CookieKey>,
    /// How long a session lasts.
    pub session: SessionLimits,
    /// Logins that are under way.
    pub attempt: AttemptLimits,
    /// Deadline of a call to the token endpoint. Default 5s.
    pub timeout: Option<Span>,
    /// Path to which Keycloak sends the browser after a logout. Default `/`.
    pub post_logout: Option<String>,
}

/// Where a secret comes from: exactly one of the two.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SecretSource {
    /// Name of an environment variable of the VM.
    pub env: Option<String>,
    /// The secret itself.
    pub inline: Option<String>,
}

/// A private key of the client in PEM: exactly one of `env` and `inline`.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientKey {
    /// What it signs by: `RS256`, `ES256`. Required.
    pub algorithm: Option<AssertionAlgorithm>,
    /// `kid` of what it signs. Default none.
    pub id: Option<String>,
    /// Name of an environment variable of the VM.
    pub env: Option<String>,
    /// The key itself.
    pub inline: Option<String>,
}

/// What a client's assertion is signed by: what Envoy can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AssertionAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl AssertionAlgorithm {
    /// Its name in a JOSE header (RFC 7518 section 3.1).
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// A key of the cookies: exactly one of `env` and `inline`, 32 bytes in base64url.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CookieKey {
    /// Stands in the cookies; unique, up to 32 letters, digits, `-` and `_`. Required.
    pub id: String,
    /// Name of an environment variable of the VM.
    pub env: Option<String>,
    /// The key itself.
    pub inline: Option<String>,
}

/// How the client proves who it is at the token endpoint (OpenID Connect Core section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthentication {
    /// HTTP Basic.
    ClientSecretBasic,
    /// In the form.
    ClientSecretPost,
    /// By a JWT that `client_key` signs (RFC 7523).
    PrivateKeyJwt,
    /// Not at all: a public client.
    None,
}

/// How long a session lasts.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionLimits {
    /// Without a request. Default 30m; to within a tenth.
    pub idle: Option<Span>,
    /// In all. Default 12h.
    pub absolute: Option<Span>,
    /// How long before its end an access token is renewed. Default 30s.
    pub refresh_before: Option<Span>,
}

/// Logins that are under way.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttemptLimits {
    /// From the redirect to Keycloak to the callback. Default 10m.
    pub lifetime: Option<Span>,
    /// That one browser has open at a time; the oldest gives way. Default 4, at most 16.
    pub at_most: Option<usize>,
}

/// Whether browsers are sent to sign in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SiteLogin {
    /// Nobody is.
    #[default]
    None,
    /// A page without a session is a page with a link to the login.
    Offered,
    /// A navigation without a session goes to Keycloak.
    Required,
}

// Written by hand: `inline` is a secret.
impl std::fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretSource").field("env", &self.env).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientKey").field("id", &self.id).field("env", &self.env).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CookieKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CookieKey").field("id", &self.id).field("env", &self.env).finish_non_exhaustive()
    }
}
