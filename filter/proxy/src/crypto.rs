//! Signatures by the host: Envoy's `verify_signature` function runs BoringSSL natively, some fifty times
//! faster than RSA inside the VM.
//!
//! This is a `jsonwebtoken` provider, so the core neither knows nor cares. What the host cannot do (RSA-PSS,
//! Ed25519) and hosts that lack the function are served by the core's RustCrypto backend.

use std::cell::Cell;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind};
use p256::ecdsa::signature::{Error as SignatureError, Verifier};
use prost::Message;
use proxy_wasm::hostcalls;

thread_local! {
    /// Whether the host was seen to verify. A VM has one thread.
    static HOST_VERIFIES: Cell<bool> = const { Cell::new(false) };
}

static PROVIDER: CryptoProvider = CryptoProvider {
    // Nothing is signed here.
    signer_factory: |_, _| Err(ErrorKind::InvalidAlgorithm.into()),
    verifier_factory: verifier,
    key_utils: KeyUtils::new_unimplemented(),
};

/// Installs the provider and asks the host for a signature that holds and for one that does not. `true`:
/// the host gave both answers, and verifies from now on.
pub(crate) fn install() -> bool {
    // Another plugin of this VM may have installed it before.
    let _ = PROVIDER.install_default();
    let asked = |text: &str| Question {
        hash_function: "sha256".to_owned(),
        public_key: subject_public_key_info(&EC_P256, &PROBE_KEY),
        signature: PROBE_SIGNATURE.to_vec(),
        text: text.as_bytes().to_vec(),
    };
    let verifies = asked(PROBE_TEXT).ask() == Some(true) && asked("another text").ask() == Some(false);
    HOST_VERIFIES.set(verifies);
    verifies
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the library's signature")]
fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>, Error> {
    match HostVerifier::new(*algorithm, key) {
        Some(verifier) if HOST_VERIFIES.get() => Ok(Box::new(verifier)),
        _ => portcullis_core::verifier_in_vm(algorithm, key),
    }
}

/// A key and an algorithm that the host can verify with.
struct HostVerifier {
    algorithm: Algorithm,
    hash: &'static str,
    /// `SubjectPublicKeyInfo` in DER (RFC 5280 section 4.1).
    public_key: Vec<u8>,
}

impl HostVerifier {
    fn new(algorithm: Algorithm, key: &DecodingKey) -> Option<Self> {
        let (hash, family, header) = match algorithm {
            Algorithm::RS256 => ("sha256", AlgorithmFamily::Rsa, &RSA_ENCRYPTION[..]),
            Algorithm::RS384 => ("sha384", AlgorithmFamily::Rsa, &RSA_ENCRYPTION[..]),
            Algorithm::RS512 => ("sha512", AlgorithmFamily::Rsa, &RSA_ENCRYPTION[..]),
            Algorithm::ES256 => ("sha256", AlgorithmFamily::Ec, &EC_P256[..]),
            Algorithm::ES384 => ("sha384", AlgorithmFamily::Ec, &EC_P384[..]),
            // PSS and Ed25519 are beyond the host's function; HMAC never gets here.
            _ => return None,
        };
        // An RSA key is a PKCS#1 structure and an EC key a point: what a BIT STRING holds in either case.
        let DecodingKeyKind::SecretOrDer(bits) = key.kind() else { return None };
        (key.family() == family).then(|| Self {
            algorithm,
            hash,
            public_key: subject_public_key_info(header, bits),
        })
    }

    /// ECDSA signatures are two numbers side by side in JOSE and a DER structure elsewhere.
    fn signature(&self, jose: &[u8]) -> Result<Vec<u8>, SignatureError> {
        match self.algorithm {
            Algorithm::ES256 => Ok(p256::ecdsa::Signature::from_slice(jose)?.to_der().as_bytes().to_vec()),
            Algorithm::ES384 => Ok(p384::ecdsa::Signature::from_slice(jose)?.to_der().as_bytes().to_vec()),
            _ => Ok(jose.to_vec()),
        }
    }
}

impl Verifier<Vec<u8>> for HostVerifier {
    fn verify(&self, text: &[u8], signature: &Vec<u8>) -> Result<(), SignatureError> {
        let question = Question {
            hash_function: self.hash.to_owned(),
            public_key: self.public_key.clone(),
            signature: self.signature(signature)?,
            text: text.to_vec(),
        };
        if question.ask() == Some(true) { Ok(()) } else { Err(SignatureError::new()) }
    }
}

impl JwtVerifier for HostVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

/// Arguments of `verify_signature` (Envoy: `verify_signature.proto`).
#[derive(Clone, PartialEq, Eq, Message)]
struct Question {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "vec", tag = "2")]
    public_key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    signature: Vec<u8>,
    #[prost(bytes = "vec", tag = "4")]
    text: Vec<u8>,
}

/// Its result.
#[derive(Clone, PartialEq, Eq, Message)]
struct Answer {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(string, tag = "2")]
    error: String,
}

impl Question {
    /// The host's answer; `None` where it has none.
    fn ask(&self) -> Option<bool> {
        let answer =
            hostcalls::call_foreign_function("verify_signature", Some(&self.encode_to_vec())).ok()??;
        Answer::decode(answer.as_slice()).ok().map(|answer| answer.result)
    }
}

/// `AlgorithmIdentifier` of RSA keys: rsaEncryption, NULL (RFC 8017 appendix A.1).
const RSA_ENCRYPTION: [u8; 15] =
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];
/// id-ecPublicKey with the curve prime256v1 (RFC 5480 section 2.1.1).
const EC_P256: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07,
];
/// id-ecPublicKey with the curve secp384r1.
const EC_P384: [u8; 18] = [
    0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22,
];

/// Puts the few bytes before a prepared key that make it a `SubjectPublicKeyInfo`.
fn subject_public_key_info(algorithm: &[u8], bits: &[u8]) -> Vec<u8> {
    let mut bit_string = der_header(0x03, bits.len() + 1);
    bit_string.push(0); // no unused bits
    let mut info = der_header(0x30, algorithm.len() + bit_string.len() + bits.len());
    info.reserve(algorithm.len() + bit_string.len() + bits.len());
    info.extend_from_slice(algorithm);
    info.extend_from_slice(&bit_string);
    info.extend_from_slice(bits);
    info
}

/// Tag and definite length (X.690 section 8.1.3).
fn der_header(tag: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let significant: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    match (u8::try_from(length), u8::try_from(significant.len())) {
        (Ok(short), _) if short < 0x80 => vec![tag, short],
        (_, Ok(count)) => [vec![tag, 0x80 | count], significant].concat(),
        // A length of more than 255 bytes does not exist.
        (_, Err(_)) => Vec::new(),
    }
}

/// The probe is the example of RFC 7515 appendix A.3: the key's point, the signature in DER, the signed text.
const PROBE_KEY: [u8; 65] = [
    0x04, 0x7f, 0xcd, 0xce, 0x27, 0x70, 0xf6, 0xc4, 0x5d, 0x41, 0x83, 0xcb, 0xee, 0x6f, 0xdb, 0x4b, 0x7b,
    0x58, 0x07, 0x33, 0x35, 0x7b, 0xe9, 0xef, 0x13, 0xba, 0xcf, 0x6e, 0x3c, 0x7b, 0xd1, 0x54, 0x45, 0xc7,
    0xf1, 0x44, 0xcd, 0x1b, 0xbd, 0x9b, 0x7e, 0x87, 0x2c, 0xdf, 0xed, 0xb9, 0xee, 0xb9, 0xf4, 0xb3, 0x69,
    0x5d, 0x6e, 0xa9, 0x0b, 0x24, 0xad, 0x8a, 0x46, 0x23, 0x28, 0x85, 0x88, 0xe5, 0xad,
];
const PROBE_SIGNATURE: [u8; 71] = [
    0x30, 0x45, 0x02, 0x20, 0x0e, 0xd1, 0x21, 0x53, 0x79, 0x63, 0x6c, 0x48, 0x3c, 0x2f, 0x7f, 0x15, 0x58,
    0x07, 0xd4, 0x02, 0xa3, 0xb2, 0x28, 0x03, 0x3a, 0xf9, 0x7c, 0x7e, 0x17, 0x81, 0x9a, 0xc3, 0x16, 0x9e,
    0xa6, 0x65, 0x02, 0x21, 0x00, 0xc5, 0x0a, 0x07, 0xd3, 0x8c, 0x3c, 0x70, 0xe5, 0xd8, 0xf1, 0x2d, 0xaf,
    0x08, 0x4a, 0x54, 0x80, 0xa6, 0x65, 0x90, 0xc5, 0xf2, 0x93, 0x50, 0x9a, 0x8f, 0x3f, 0x7f, 0x8a, 0x83,
    0xa3, 0x54, 0xd5,
];
const PROBE_TEXT: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0\
    KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
