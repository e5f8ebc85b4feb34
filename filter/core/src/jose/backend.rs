//! Signatures inside the VM, by the RustCrypto crates: what serves where the host cannot verify.
//!
//! A backend of `jsonwebtoken` of our own rather than the one that the library brings, which cannot be had
//! without signing, private keys and HMAC: a third of the module, and code that nothing here may ever call.

use ed25519_dalek::Signature as EdSignature;
use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use rsa::pkcs1::DecodeRsaPublicKey as _;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use jsonwebtoken::signature::{Error as SignatureError, Verifier};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs this backend, unless the adapter has installed one.
pub(super) fn install() {
    let _ = PROVIDER.install_default();
}

/// A verifier for a key in the form in which `jose::verify` prepares it.
///
/// # Errors
/// The key is none of the algorithm's: a point off its curve, a modulus that is no number. HMAC has no keys.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the library's signature")]
pub fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    let bytes = key.try_get_as_bytes()?;
    let key = match (algorithm, key.family()) {
        (
            Algorithm::RS256
            | Algorithm::RS384
            | Algorithm::RS512
            | Algorithm::PS256
            | Algorithm::PS384
            | Algorithm::PS512,
            AlgorithmFamily::Rsa,
        ) => RsaPublicKey::from_pkcs1_der(bytes).ok().map(PublicKey::Rsa),
        (Algorithm::ES256, AlgorithmFamily::Ec) => {
            p256::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok().map(PublicKey::P256)
        }
        (Algorithm::ES384, AlgorithmFamily::Ec) => {
            p384::ecdsa::VerifyingKey::from_sec1_bytes(bytes).ok().map(|key| PublicKey::P384(Box::new(key)))
        }
        (Algorithm::EdDSA, AlgorithmFamily::Ed) => {
            let bytes = bytes.try_into().ok();
            bytes
                .and_then(|bytes| ed25519_dalek::VerifyingKey::from_bytes(bytes).ok())
                .map(PublicKey::Ed25519)
        }
        _ => None,
    };
    let key = key.ok_or(ErrorKind::InvalidKeyFormat)?;
    Ok(Box::new(InVm { algorithm: *algorithm, key }))
}

enum PublicKey {
    Rsa(RsaPublicKey),
    P256(p256::ecdsa::VerifyingKey),
    P384(Box<p384::ecdsa::VerifyingKey>),
    Ed25519(ed25519_dalek::VerifyingKey),
}

struct InVm {
    algorithm: Algorithm,
    key: PublicKey,
}

impl JwtVerifier for InVm {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for InVm {
    fn verify(&self, text: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        match &self.key {
            PublicKey::Rsa(key) => self.verify_rsa(key, text, signature),
            PublicKey::P256(key) => key.verify(text, &p256::ecdsa::Signature::from_slice(signature)?),
            PublicKey::P384(key) => key.verify(text, &p384::ecdsa::Signature::from_slice(signature)?),
            PublicKey::Ed25519(key) => key.verify_strict(text, &EdSignature::from_slice(signature)?),
        }
    }
}

impl InVm {
    fn verify_rsa(&self, key: &RsaPublicKey, text: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
        let result = match self.algorithm {
            Algorithm::RS256 => key.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text), signature),
            Algorithm::RS384 => key.verify(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(text), signature),
            Algorithm::RS512 => key.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(text), signature),
            // RFC 7518 section 3.5: the salt is as long as the hash.
            Algorithm::PS256 => {
                key.verify(Pss::new_with_salt::<Sha256>(32), &Sha256::digest(text), signature)
            }
            Algorithm::PS384 => {
                key.verify(Pss::new_with_salt::<Sha384>(48), &Sha384::digest(text), signature)
            }
            Algorithm::PS512 => {
                key.verify(Pss::new_with_salt::<Sha512>(64), &Sha512::digest(text), signature)
            }
            _ => return Err(SignatureError::new()),
        };
        result.map_err(|_| SignatureError::new())
    }
}
