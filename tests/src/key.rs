//! One signing key: its private half signs, its public half renders as the JWK that Keycloak would publish.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use p256::ecdsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _};
use rand::rngs::OsRng;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use rsa::{RsaPrivateKey, pkcs1v15, pss};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

/// A private key with the identifier and the algorithm under which its realm announces it.
#[derive(Clone)]
pub struct Key {
    kid: String,
    alg: Algorithm,
    material: Material,
}

#[derive(Clone)]
enum Material {
    Rsa(Arc<RsaPrivateKey>),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("alg", &self.alg).finish_non_exhaustive()
    }
}

impl Key {
    /// A new key for `alg` with a fresh identifier.
    ///
    /// # Panics
    /// For the HMAC algorithms: no issuer publishes a shared secret.
    pub fn generate(alg: Algorithm) -> Self {
        let material = match alg {
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512 => Material::Rsa(spare_rsa_key()),
            Algorithm::ES256 => Material::P256(p256::ecdsa::SigningKey::random(&mut OsRng)),
            Algorithm::ES384 => Material::P384(p384::ecdsa::SigningKey::random(&mut OsRng)),
            Algorithm::EdDSA => Material::Ed25519(ed25519_dalek::SigningKey::generate(&mut OsRng)),
            other => panic!("a realm has no key of its own for {other:?}; see TokenBuilder::sign_with"),
        };
        Self { kid: fresh_kid(), alg, material }
    }

    /// The identifier, 43 characters of base64url as Keycloak's.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The algorithm that the JWK announces.
    pub fn alg(&self) -> Algorithm {
        self.alg
    }

    /// Whether the key could sign `alg`, whatever its JWK announces: one RSA key fits six algorithms.
    pub fn fits(&self, alg: Algorithm) -> bool {
        match self.material {
            Material::Rsa(_) => name(alg).starts_with(['R', 'P']),
            _ => alg == self.alg,
        }
    }

    /// The JWS signature of `message` under `alg`.
    ///
    /// # Panics
    /// When the key does not [fit](Self::fits) the algorithm.
    pub fn sign(&self, alg: Algorithm, message: &[u8]) -> Vec<u8> {
        match (&self.material, alg) {
            (Material::Rsa(key), Algorithm::RS256) => pkcs1::<Sha256>(key, message),
            (Material::Rsa(key), Algorithm::RS384) => pkcs1::<Sha384>(key, message),
            (Material::Rsa(key), Algorithm::RS512) => pkcs1::<Sha512>(key, message),
            (Material::Rsa(key), Algorithm::PS256) => probabilistic::<Sha256>(key, message),
            (Material::Rsa(key), Algorithm::PS384) => probabilistic::<Sha384>(key, message),
            (Material::Rsa(key), Algorithm::PS512) => probabilistic::<Sha512>(key, message),
            (Material::P256(key), Algorithm::ES256) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            (Material::P384(key), Algorithm::ES384) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            (Material::Ed25519(key), Algorithm::EdDSA) => key.sign(message).to_bytes().to_vec(),
            (_, alg) => panic!("the key {} is for {:?} and cannot sign {alg:?}", self.kid, self.alg),
        }
    }

    /// The public half as Keycloak publishes it, certificate members included.
    pub fn jwk(&self) -> Value {
        let mut jwk = json!({"kid": self.kid, "alg": name(self.alg), "use": "sig"});
        let members = match &self.material {
            Material::Rsa(key) => rsa_members(key),
            Material::P256(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                ec_members("P-256", point.x().map(AsRef::as_ref), point.y().map(AsRef::as_ref))
            }
            Material::P384(key) => {
                let point = key.verifying_key().to_encoded_point(false);
                ec_members("P-384", point.x().map(AsRef::as_ref), point.y().map(AsRef::as_ref))
            }
            Material::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(key.verifying_key().as_bytes())})
            }
        };
        merge(&mut jwk, members);
        jwk
    }

    /// The private half in PEM (PKCS#8), for a client that signs with it.
    ///
    /// # Panics
    /// For keys that no client of the tests has: RSA and P-256 it is.
    pub fn private_pem(&self) -> String {
        let pem = match &self.material {
            Material::Rsa(key) => key.to_pkcs8_pem(LineEnding::LF),
            Material::P256(key) => key.to_pkcs8_pem(LineEnding::LF),
            _ => panic!("no client signs with {:?}", self.alg),
        };
        pem.expect("a key renders as PKCS#8").to_string()
    }

    /// The public half as DER SubjectPublicKeyInfo: what an algorithm confusion attack signs with.
    ///
    /// # Panics
    /// When the key is not RSA.
    pub fn rsa_public_der(&self) -> Vec<u8> {
        let Material::Rsa(key) = &self.material else { panic!("{} is not an RSA key", self.kid) };
        key.to_public_key().to_public_key_der().expect("an RSA key renders as SPKI").into_vec()
    }
}

/// The RSA-OAEP encryption key that every Keycloak realm publishes beside its signing key. No one holds its private half for long.
pub(crate) fn encryption_jwk(kid: &str) -> Value {
    static SHARED: OnceLock<Value> = OnceLock::new();
    let mut jwk = json!({"kid": kid, "alg": "RSA-OAEP", "use": "enc"});
    let members = SHARED.get_or_init(|| rsa_members(&generate_rsa()));
    merge(&mut jwk, members.clone());
    jwk
}

/// A `kid` as Keycloak's: base64url of 32 bytes, so it may begin with `-` or hold `_`.
pub fn fresh_kid() -> String {
    encode(&rand::random::<[u8; 32]>())
}

/// Base64url without padding, the alphabet of everything in JOSE.
pub fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The name of an algorithm in a JOSE header.
pub fn name(alg: Algorithm) -> String {
    format!("{alg:?}")
}

fn pkcs1<D>(key: &RsaPrivateKey, message: &[u8]) -> Vec<u8>
where
    D: sha2::Digest + rsa::pkcs8::AssociatedOid,
{
    pkcs1v15::SigningKey::<D>::new(key.clone()).sign(message).to_vec()
}

fn probabilistic<D>(key: &RsaPrivateKey, message: &[u8]) -> Vec<u8>
where
    D: sha2::Digest + rsa::signature::digest::FixedOutputReset,
{
    pss::SigningKey::<D>::new(key.clone()).sign_with_rng(&mut OsRng, message).to_vec()
}

fn rsa_members(key: &RsaPrivateKey) -> Value {
    let spki = key.to_public_key().to_public_key_der().expect("an RSA key renders as SPKI");
    // Keycloak sends a certificate. This is none, and a verifier that opened it would have taken its trust from the wrong place.
    json!({
        "kty": "RSA",
        "n": encode(&key.n().to_bytes_be()),
        "e": encode(&key.e().to_bytes_be()),
        "x5c": [STANDARD.encode(spki.as_bytes())],
        "x5t": encode(&Sha256::digest(spki.as_bytes())[..20]),
        "x5t#S256": encode(&Sha256::digest(spki.as_bytes())),
    })
}

fn ec_members(curve: &str, x: Option<&[u8]>, y: Option<&[u8]>) -> Value {
    let coordinate = |c: Option<&[u8]>| encode(c.expect("an uncompressed point has both coordinates"));
    json!({"kty": "EC", "crv": curve, "x": coordinate(x), "y": coordinate(y)})
}

fn merge(into: &mut Value, members: Value) {
    if let (Value::Object(into), Value::Object(members)) = (into, members) {
        into.extend(members);
    }
}

fn generate_rsa() -> RsaPrivateKey {
    RsaPrivateKey::new(&mut OsRng, 2048).expect("the system generates an RSA key")
}

/// An RSA key that nobody else in this process holds at the moment. Generating one takes a good part of a second, so a key whose last
/// holder is gone serves again: two realms that live at the same time never share one.
fn spare_rsa_key() -> Arc<RsaPrivateKey> {
    static POOL: Mutex<Vec<Arc<RsaPrivateKey>>> = Mutex::new(Vec::new());
    let lock = || POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(spare) = lock().iter().find(|key| Arc::strong_count(key) == 1).map(Arc::clone) {
        return spare;
    }
    let key = Arc::new(generate_rsa());
    lock().push(Arc::clone(&key));
    key
}
