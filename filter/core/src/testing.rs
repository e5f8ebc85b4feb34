//! What the tests of this crate share: keys, tokens and a configuration.
//!
//! Everything is fixed, the keys and the moment included: a failure repeats itself, and in WebAssembly,
//! where the same tests run, nobody waits for an RSA key to be found.

use std::sync::{Arc, LazyLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{RsaPrivateKey, pkcs1v15, pss};
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};

use crate::filter::Filter;
use crate::jose::alg::Algorithm;
use crate::realm::Realm;
use crate::time::UnixTime;

/// The attribute of every test: in WebAssembly without WASI the tests run in Node, through wasm-bindgen.
#[cfg(all(target_family = "wasm", target_os = "unknown"))]
pub(crate) use wasm_bindgen_test::wasm_bindgen_test as test;

#[cfg(not(all(target_family = "wasm", target_os = "unknown")))]
pub(crate) use std::prelude::v1::test;

/// The moment of every test: 2026-11-10T12:53:20Z.
pub(crate) const NOW: UnixTime = UnixTime(1_794_315_200);

/// The configuration of the design.
pub(crate) const TWO_REALMS: &str = include_str!("testing/two-realms.json");

/// Issuers of its realms.
pub(crate) const CUSTOMERS: &str = "https://sso.csp.com/realms/customers";
pub(crate) const ADMINS: &str = "https://sso-admin.csp.com/realms/admins";

static RSA_OURS: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::from_pkcs8_pem(include_str!("testing/rsa2048.pem")).unwrap());
static RSA_OTHER: LazyLock<RsaPrivateKey> =
    LazyLock::new(|| RsaPrivateKey::from_pkcs8_pem(include_str!("testing/rsa2048-other.pem")).unwrap());

/// The configuration of the design, compiled.
pub(crate) fn two_realms() -> Filter {
    Filter::parse(TWO_REALMS.as_bytes()).unwrap()
}

/// The same as a document to be changed.
pub(crate) fn two_realms_json() -> Value {
    serde_json::from_str(TWO_REALMS).unwrap()
}

/// Compiles a document that must be right.
#[track_caller]
pub(crate) fn compile(document: &Value) -> Filter {
    Filter::parse(document.to_string().as_bytes()).unwrap_or_else(|error| panic!("{error}"))
}

/// A realm of a filter by its name.
#[track_caller]
pub(crate) fn realm(filter: &Filter, name: &str) -> Arc<Realm> {
    Arc::clone(filter.realms().iter().find(|realm| *realm.name == *name).unwrap())
}

/// Whose private keys sign: each holder has one for each family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The realm that a test is about.
    Ours,
    /// Another realm, the next key after a rotation, or an attacker.
    Other,
}

/// Mints tokens with one key: `holder` chooses the key, `alg` and `kid` are what the header names.
#[derive(Clone, Debug)]
pub(crate) struct Minter {
    pub(crate) holder: Holder,
    pub(crate) alg: Algorithm,
    pub(crate) kid: String,
}

impl Minter {
    pub(crate) fn new(holder: Holder, alg: Algorithm, kid: &str) -> Self {
        Self { holder, alg, kid: kid.to_owned() }
    }

    /// The customers' realm: RS256 under the kid `customers-1`.
    pub(crate) fn customers() -> Self {
        Self::new(Holder::Ours, Algorithm::Rs256, "customers-1")
    }

    /// The admins' realm: RS256 under the kid `admins-1`.
    pub(crate) fn admins() -> Self {
        Self::new(Holder::Other, Algorithm::Rs256, "admins-1")
    }

    /// The header as Keycloak writes it.
    pub(crate) fn header(&self) -> Value {
        json!({ "alg": self.alg.name(), "typ": "JWT", "kid": self.kid })
    }

    /// A token of Keycloak's shape with the claims of [`claims`].
    pub(crate) fn token(&self) -> String {
        self.mint(&self.header(), &claims())
    }

    /// The same with some claims changed: `null` leaves a claim out.
    pub(crate) fn token_with(&self, changes: Value) -> String {
        self.mint(&self.header(), &claims_with(changes))
    }

    /// A token with this header and this payload.
    pub(crate) fn mint(&self, header: &Value, payload: &Value) -> String {
        self.mint_raw(header.to_string().as_bytes(), payload.to_string().as_bytes())
    }

    /// A token over exactly these bytes.
    pub(crate) fn mint_raw(&self, header: &[u8], payload: &[u8]) -> String {
        let input = format!("{}.{}", encode(header), encode(payload));
        let signature = self.sign(input.as_bytes());
        format!("{input}.{}", encode(&signature))
    }

    /// The JWS signature of a message.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match self.alg {
            Algorithm::Rs256 => pkcs1v15::SigningKey::<Sha256>::new(self.rsa()).sign(message).to_vec(),
            Algorithm::Rs384 => pkcs1v15::SigningKey::<Sha384>::new(self.rsa()).sign(message).to_vec(),
            Algorithm::Rs512 => pkcs1v15::SigningKey::<Sha512>::new(self.rsa()).sign(message).to_vec(),
            Algorithm::Ps256 => {
                pss::SigningKey::<Sha256>::new(self.rsa()).sign_with_rng(&mut rng(), message).to_vec()
            }
            Algorithm::Ps384 => {
                pss::SigningKey::<Sha384>::new(self.rsa()).sign_with_rng(&mut rng(), message).to_vec()
            }
            Algorithm::Ps512 => {
                pss::SigningKey::<Sha512>::new(self.rsa()).sign_with_rng(&mut rng(), message).to_vec()
            }
            Algorithm::Es256 => {
                let signature: p256::ecdsa::Signature = self.p256().sign(message);
                signature.to_vec()
            }
            Algorithm::Es384 => {
                let signature: p384::ecdsa::Signature = self.p384().sign(message);
                signature.to_vec()
            }
            Algorithm::EdDsa => self.ed25519().sign(message).to_vec(),
        }
    }

    /// The public key as Keycloak publishes it.
    pub(crate) fn jwk(&self) -> Value {
        let mut jwk = match self.alg {
            Algorithm::Es256 => {
                let point = self.p256().verifying_key().to_encoded_point(false);
                json!({ "kty": "EC", "crv": "P-256", "x": encode(point.x().unwrap()), "y": encode(point.y().unwrap()) })
            }
            Algorithm::Es384 => {
                let point = self.p384().verifying_key().to_encoded_point(false);
                json!({ "kty": "EC", "crv": "P-384", "x": encode(point.x().unwrap()), "y": encode(point.y().unwrap()) })
            }
            Algorithm::EdDsa => {
                json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(self.ed25519().verifying_key().as_bytes()) })
            }
            _ => json!({
                "kty": "RSA",
                "n": encode(&self.rsa().n().to_bytes_be()),
                "e": encode(&self.rsa().e().to_bytes_be()),
            }),
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.alg.name());
        jwk["use"] = json!("sig");
        jwk
    }

    fn rsa(&self) -> RsaPrivateKey {
        match self.holder {
            Holder::Ours => RSA_OURS.clone(),
            Holder::Other => RSA_OTHER.clone(),
        }
    }

    fn p256(&self) -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&self.secret::<32>()).unwrap()
    }

    fn p384(&self) -> p384::ecdsa::SigningKey {
        p384::ecdsa::SigningKey::from_slice(&self.secret::<48>()).unwrap()
    }

    fn ed25519(&self) -> ed25519_dalek::SigningKey {
        ed25519_dalek::SigningKey::from_bytes(&self.secret::<32>())
    }

    const fn secret<const N: usize>(&self) -> [u8; N] {
        match self.holder {
            Holder::Ours => [1; N],
            Holder::Other => [2; N],
        }
    }
}

/// The RS256 key of [`Holder::Ours`] under this id.
pub(crate) fn rsa_jwk(kid: &str) -> Value {
    Minter::new(Holder::Ours, Algorithm::Rs256, kid).jwk()
}

/// A JWK Set of these keys.
pub(crate) fn jwk_set(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

/// Claims of a customer's access token at [`NOW`], as Keycloak 26 writes them for the realm `customers` of
/// [`TWO_REALMS`].
pub(crate) fn claims() -> Value {
    json!({
        "exp": NOW.0 + 300,
        "iat": NOW.0,
        "auth_time": NOW.0,
        "jti": "onrtac:5d3a8c0e-6ef2-4b1c-9a3f-0c7f2f6f3b11",
        "iss": CUSTOMERS,
        "aud": ["portaswitch", "account"],
        "sub": "8f0b7d1e-3c55-4f5a-9d0c-2f4f5b6a7c81",
        "typ": "Bearer",
        "azp": "selfcare-ui",
        "sid": "b7f2b0d4-1f0e-4a55-8d0b-6a3b7c9d1e2f",
        "acr": "1",
        "allowed-origins": ["https://selfcare.csp.com"],
        "realm_access": { "roles": ["customer", "offline_access"] },
        "resource_access": { "portaswitch": { "roles": ["billing"] } },
        "scope": "openid profile email",
        "email_verified": true,
        "preferred_username": "bob",
        "email": "bob@example.com",
        "i_customer": 4711,
    })
}

/// Claims of an administrator's access token for the realm `admins`.
pub(crate) fn admin_claims() -> Value {
    let mut claims = claims();
    change(
        &mut claims,
        json!({
            "iss": ADMINS,
            "aud": "portaswitch-admin",
            "azp": "admin-ui",
            "realm_access": { "roles": ["admin"] },
            "resource_access": null,
            "i_customer": null,
            "preferred_username": "alice",
            "email": "alice@csp.com",
        }),
    );
    claims
}

/// [`claims`] with some changed: `null` leaves a claim out.
pub(crate) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    change(&mut claims, changes);
    claims
}

/// Sets members of an object; `null` removes one.
pub(crate) fn change(object: &mut Value, changes: Value) {
    let (Value::Object(object), Value::Object(changes)) = (object, changes) else { panic!("no objects") };
    for (name, value) in changes {
        if value.is_null() {
            object.remove(&name);
        } else {
            object.insert(name, value);
        }
    }
}

/// Base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(0)
}

/// The tests below are of the minter: what it signs verifies under the key that it publishes, for each
/// algorithm, in the library itself.
#[cfg(test)]
mod tests {
    use super::test;
    use super::*;
    use crate::jose::jwk::KeySet;
    use crate::jose::jws::Jws;

    #[test]
    fn every_algorithm_verifies_with_its_published_key_and_no_other() {
        for alg in Algorithm::ALL {
            let (ours, other) = (Minter::new(Holder::Ours, alg, "k"), Minter::new(Holder::Other, alg, "k"));
            let keys = KeySet::parse(&jwk_set(&[ours.jwk()]), &[alg]).unwrap();
            let verifies = |token: &str| keys.find("k").unwrap().verify(&Jws::parse(token).unwrap()).is_ok();
            assert!(verifies(&ours.token()), "{alg}");
            assert!(!verifies(&other.token()), "{alg}");
        }
    }
}
