//! What the fuzz targets see of the inside; `cargo fuzz` alone builds it.

use serde_json::{Map, Value};

use crate::authority::Host;
use crate::jose::alg::Algorithm;
use crate::jose::jwk::KeySet;
use crate::jose::jws::Jws;
use crate::path::NormalPath;

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
