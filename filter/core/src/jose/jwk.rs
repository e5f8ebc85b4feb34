//! JWK Sets (RFC 7517 section 5), tolerant per key: an entry that does not fit is dropped alone.
//!
//! Keycloak lists an `enc` key beside the signing key, other servers list more; a set that cannot be read
//! because of one entry would be an outage.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::alg::{Algorithm, Family};
use super::base64url;
use super::jws::MAX_KID_BYTES;
use super::verify::{Key, Material};
use crate::json;

/// Keys beyond this number are not read.
pub(crate) const MAX_KEYS: usize = 64;

const MIN_RSA_BITS: usize = 2048;
/// The verifying library takes no larger modulus.
const MAX_RSA_BITS: usize = 4096;

/// The usable signing keys of a realm, by `kid`.
#[derive(Clone, Debug)]
pub(crate) struct KeySet {
    keys: HashMap<String, (Jwk, Key)>,
    /// Entries that were left out.
    dropped: usize,
}

/// Why a text brings no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JwkSetError {
    /// No JSON object with an array `keys`.
    #[error("no JWK Set")]
    Malformed,
    /// A JWK Set without one key that fits.
    #[error("no usable key")]
    NoUsableKey,
}

#[derive(Deserialize)]
struct Entries<'t> {
    #[serde(borrow)]
    keys: Vec<&'t RawValue>,
}

impl KeySet {
    /// Reads a JWK Set and prepares the keys whose algorithm is one of `allowed`.
    ///
    /// # Errors
    /// The text is no JWK Set, or not one entry is usable.
    pub(crate) fn parse(text: &str, allowed: &[Algorithm]) -> Result<Self, JwkSetError> {
        let entries: Entries<'_> = serde_json::from_str(text).map_err(|_| JwkSetError::Malformed)?;
        let mut prepared: Vec<Entry> = entries
            .keys
            .iter()
            .take(MAX_KEYS)
            .filter_map(|entry| Entry::read(entry.get(), allowed))
            .collect();
        // Two different keys under one kid: whichever we took, the other's tokens would fail, and an
        // attacker who can add an entry must not be able to replace one. Both go.
        let ambiguous: Vec<String> = prepared
            .iter()
            .enumerate()
            .filter(|(at, one)| {
                prepared.iter().take(*at).any(|other| other.kid == one.kid && other.jwk != one.jwk)
            })
            .map(|(_, one)| one.kid.clone())
            .collect();
        prepared.retain(|entry| !ambiguous.contains(&entry.kid));
        let used = prepared.len();
        let keys: HashMap<_, _> =
            prepared.into_iter().map(|entry| (entry.kid, (entry.jwk, entry.key))).collect();
        if keys.is_empty() {
            return Err(JwkSetError::NoUsableKey);
        }
        Ok(Self { keys, dropped: entries.keys.len().saturating_sub(used) })
    }

    /// The key with this id.
    pub(crate) fn find(&self, kid: &str) -> Option<&Key> {
        self.keys.get(kid).map(|(_, key)| key)
    }

    /// Whether these are the same keys under the same ids.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let has = |(kid, (jwk, _)): (&String, &(Jwk, Key))| {
            other.keys.get(kid).is_some_and(|(known, _)| known == jwk)
        };
        self.keys.len() == other.keys.len() && self.keys.iter().all(has)
    }

    /// How many keys are usable.
    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// How many entries of the set were left out.
    pub(crate) const fn dropped(&self) -> usize {
        self.dropped
    }
}

struct Entry {
    kid: String,
    jwk: Jwk,
    key: Key,
}

/// The members that decide whether and how a key is used.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Jwk {
    algorithm: Algorithm,
    /// `n` and `e`, or `x` and `y`, or `x`.
    numbers: Vec<String>,
}

impl Entry {
    fn read(text: &str, allowed: &[Algorithm]) -> Option<Self> {
        let entry = json::parse(text.as_bytes()).ok()?;
        let member = |name: &str| entry.get(name).and_then(Value::as_str);
        let kid = member("kid").filter(|kid| !kid.is_empty() && kid.len() <= MAX_KID_BYTES)?;
        if !signs(&entry) {
            return None;
        }
        let family = match (member("kty")?, member("crv")) {
            ("RSA", None) => Family::Rsa,
            ("EC", Some("P-256")) => Family::P256,
            ("EC", Some("P-384")) => Family::P384,
            ("OKP", Some("Ed25519")) => Family::Ed25519,
            _ => return None,
        };
        let algorithm = algorithm(entry.get("alg"), family, allowed)?;
        let names: &[&str] = match family {
            Family::Rsa => &["n", "e"],
            Family::P256 | Family::P384 => &["x", "y"],
            Family::Ed25519 => &["x"],
        };
        let numbers: Vec<String> =
            names.iter().map(|name| member(name).map(str::to_owned)).collect::<Option<_>>()?;
        let key = prepare(algorithm, &numbers)?;
        Some(Self { kid: kid.to_owned(), jwk: Jwk { algorithm, numbers }, key })
    }
}

/// `use` and `key_ops` (RFC 7517 sections 4.2, 4.3) leave verification open.
fn signs(entry: &Value) -> bool {
    let used = match entry.get("use") {
        None => true,
        Some(usage) => usage == "sig",
    };
    let operations = match entry.get("key_ops") {
        None => true,
        Some(Value::Array(operations)) => operations.iter().any(|operation| operation == "verify"),
        Some(_) => false,
    };
    used && operations
}

/// The one algorithm of the key. Without `alg` it follows from the curve, and for RSA it is the first
/// RSA algorithm that the realm allows: a key never serves two.
fn algorithm(stated: Option<&Value>, family: Family, allowed: &[Algorithm]) -> Option<Algorithm> {
    let fits = |algorithm: &Algorithm| algorithm.family() == family;
    match stated {
        None => allowed.iter().copied().find(fits),
        Some(name) => {
            Algorithm::parse(name.as_str()?).filter(fits).filter(|algorithm| allowed.contains(algorithm))
        }
    }
}

fn prepare(algorithm: Algorithm, numbers: &[String]) -> Option<Key> {
    match (algorithm.family(), numbers) {
        (Family::Rsa, [n, e]) => {
            let (n, e) = (base64url(n)?, base64url(e)?);
            let (n, e) = (unsigned(&n), unsigned(&e));
            let sound =
                (MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits(n)) && odd(n) && odd(e) && exponent_fits(e);
            sound.then(|| Key::prepare(algorithm, &Material::Rsa { n, e }))?
        }
        (Family::P256, [x, y]) => ec(algorithm, x, y, 32),
        (Family::P384, [x, y]) => ec(algorithm, x, y, 48),
        (Family::Ed25519, [x]) if base64url(x)?.len() == 32 => Key::prepare(algorithm, &Material::Ed { x }),
        _ => None,
    }
}

fn ec(algorithm: Algorithm, x: &str, y: &str, length: usize) -> Option<Key> {
    let full_length = base64url(x)?.len() == length && base64url(y)?.len() == length;
    full_length.then(|| Key::prepare(algorithm, &Material::Ec { x, y }))?
}

/// Without leading zero bytes, which some servers write.
fn unsigned(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

fn bits(number: &[u8]) -> usize {
    let leading = number.first().map_or(0, |byte| usize::try_from(byte.leading_zeros()).unwrap_or(0));
    (number.len() * 8).saturating_sub(leading)
}

fn odd(number: &[u8]) -> bool {
    number.last().is_some_and(|byte| byte % 2 == 1)
}

/// 65537 up to 32 bits: small exponents make every padding flaw exploitable, larger ones only burn time.
fn exponent_fits(e: &[u8]) -> bool {
    e.len() <= 4 && e.iter().fold(0_u64, |value, byte| value * 256 + u64::from(*byte)) >= 65_537
}

#[cfg(test)]
#[path = "jwk_tests.rs"]
mod tests;
