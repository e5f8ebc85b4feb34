//! Signatures: whether one is a key's. With `backend`, the only file that names a cryptography crate.
//!
//! The algorithm is the key's, fixed when the key is prepared: a token only ever confirms it.

use jsonwebtoken::DecodingKey;
use rsa::pkcs1::UintRef;
use rsa::pkcs1::der::Encode as _;

use super::alg::Algorithm;
use super::backend;
use super::jws::Jws;
use crate::error::TokenError;

/// The public numbers of a key, checked for size and form by `jose::jwk`.
pub(super) enum Material<'m> {
    /// Modulus and public exponent, big endian.
    Rsa { n: &'m [u8], e: &'m [u8] },
    /// Affine coordinates in base64url, of the curve's length.
    Ec { x: &'m str, y: &'m str },
    /// Ed25519 public key in base64url, 32 bytes.
    Ed { x: &'m str },
}

/// A public key bound to its one algorithm, prepared once for all the tokens that it will judge.
#[derive(Clone)]
pub(crate) struct Key {
    algorithm: Algorithm,
    decoding: DecodingKey,
}

/// Proof that a token's signature holds under a realm's key. Only [`Key::verify`] makes one.
#[derive(Debug)]
pub(crate) struct Verified(());

impl Key {
    /// Prepares a key, or finds that the numbers are no key: a point off its curve, for instance.
    pub(super) fn prepare(algorithm: Algorithm, material: &Material<'_>) -> Option<Self> {
        let decoding = match material {
            Material::Rsa { n, e } => DecodingKey::from_rsa_der(&rsa_public_key(n, e)?),
            Material::Ec { x, y } => DecodingKey::from_ec_components(x, y).ok()?,
            Material::Ed { x } => DecodingKey::from_ed_components(x).ok()?,
        };
        let key = Self { algorithm, decoding };
        // Whichever backend verifies later, this one looks at the point of a curve as soon as it gets a key.
        backend::install();
        backend::verifier(&key.library_algorithm(), &key.decoding).is_ok().then_some(key)
    }

    /// Verifies the token's signature.
    ///
    /// # Errors
    /// The signature is not this key's, or the token names another algorithm than the key's.
    pub(crate) fn verify(&self, jws: &Jws<'_>) -> Result<Verified, TokenError> {
        if jws.algorithm != self.algorithm {
            return Err(TokenError::Algorithm);
        }
        if self.holds(jws.signature, jws.signing_input.as_bytes()) {
            Ok(Verified(()))
        } else {
            Err(TokenError::Signature)
        }
    }

    /// Whether the signature holds; a backend that cannot tell has seen none that does.
    fn holds(&self, signature: &str, message: &[u8]) -> bool {
        jsonwebtoken::crypto::verify(signature, message, &self.decoding, self.library_algorithm())
            .unwrap_or(false)
    }

    const fn library_algorithm(&self) -> jsonwebtoken::Algorithm {
        match self.algorithm {
            Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
            Algorithm::Rs384 => jsonwebtoken::Algorithm::RS384,
            Algorithm::Rs512 => jsonwebtoken::Algorithm::RS512,
            Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
            Algorithm::Ps384 => jsonwebtoken::Algorithm::PS384,
            Algorithm::Ps512 => jsonwebtoken::Algorithm::PS512,
            Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
            Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
            Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

/// `RSAPublicKey` in DER (RFC 8017 appendix A.1.1): the form that every backend takes as it is.
fn rsa_public_key(n: &[u8], e: &[u8]) -> Option<Vec<u8>> {
    let (modulus, public_exponent) = (UintRef::new(n).ok()?, UintRef::new(e).ok()?);
    rsa::pkcs1::RsaPublicKey { modulus, public_exponent }.to_der().ok()
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "wycheproof_tests.rs"]
mod wycheproof_tests;
