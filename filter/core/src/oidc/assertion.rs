//! Client assertions (RFC 7523 section 2.2, OpenID Connect Core section 9): a client shows with a private key that it is itself. The
//! host signs them.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::config::AssertionAlgorithm;
use crate::entropy::Entropy;
use crate::secret::Secret;
use crate::time::UnixTime;

/// `client_assertion_type` of a JWT.
pub(crate) const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// How long one is good for: a call, and clocks that differ.
const LIFETIME: Duration = Duration::from_mins(1);

/// A client's private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientKey {
    pub(crate) algorithm: AssertionAlgorithm,
    /// `kid` of its assertions.
    pub(crate) id: Option<String>,
    pub(crate) pem: Secret<String>,
}

impl ClientKey {
    /// What it signs by.
    pub const fn algorithm(&self) -> AssertionAlgorithm {
        self.algorithm
    }

    /// The key in PEM, for the host.
    pub fn pem(&self) -> &str {
        self.pem.expose()
    }
}

/// An assertion that nobody has signed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Assertion {
    key: ClientKey,
    /// Header and claims (RFC 7515 section 5.1).
    signing_input: String,
}

impl Assertion {
    /// Asserts to an issuer who the client is. The issuer alone is the audience, so that it is worth nothing elsewhere.
    pub(crate) fn new(
        key: &ClientKey,
        client_id: &str,
        issuer: &str,
        now: UnixTime,
        entropy: &mut Entropy,
    ) -> Self {
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!(key.algorithm.name()));
        header.insert("typ".to_owned(), json!("JWT"));
        if let Some(id) = &key.id {
            header.insert("kid".to_owned(), json!(id));
        }
        let claims = json!({
            "iss": client_id, "sub": client_id, "aud": issuer,
            "jti": entropy.token(), "iat": now.0, "exp": now.plus(LIFETIME).0,
        });
        let part = |part: Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signing_input = format!("{}.{}", part(Value::Object(header)), part(claims));
        Self { key: key.clone(), signing_input }
    }

    /// The assertion in compact form; `None` where it cannot be signed.
    pub(crate) fn signed(&self, sign: impl FnOnce(&ClientKey, &[u8]) -> Option<Vec<u8>>) -> Option<String> {
        let signature = sign(&self.key, self.signing_input.as_bytes())?;
        Some(format!("{}.{}", self.signing_input, URL_SAFE_NO_PAD.encode(signature)))
    }
}
