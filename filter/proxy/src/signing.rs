//! Signatures of clients' assertions by the host: Envoy's `sign` function.

use portcullis_core::ClientKey;
use portcullis_core::config::AssertionAlgorithm;
use prost::Message;
use proxy_wasm::hostcalls;

/// The shortest RSA signature: that of a key of 2048 bits.
const LEAST_RSA_BYTES: usize = 256;

/// Arguments of `sign` (Envoy: `sign.proto`), with the key in PEM.
#[derive(Clone, PartialEq, Eq, Message)]
struct Order {
    #[prost(string, tag = "1")]
    hash_function: String,
    #[prost(bytes = "vec", tag = "3")]
    text: Vec<u8>,
    #[prost(string, tag = "4")]
    private_key_pem: String,
}

/// Its result.
#[derive(Clone, PartialEq, Eq, Message)]
struct Signed {
    #[prost(bool, tag = "1")]
    result: bool,
    #[prost(bytes = "vec", tag = "2")]
    signature: Vec<u8>,
}

/// A signature as JOSE has it; `None` where the host makes none with this key, or one of another algorithm.
pub(crate) fn sign(key: &ClientKey, text: &[u8]) -> Option<Vec<u8>> {
    let order = Order {
        hash_function: "sha256".to_owned(),
        text: text.to_vec(),
        private_key_pem: key.pem().to_owned(),
    };
    let signed = hostcalls::call_foreign_function("sign", Some(&order.encode_to_vec())).ok()??;
    let Signed { result, signature } = Signed::decode(signed.as_slice()).ok()?;
    if !result {
        return None;
    }
    match key.algorithm() {
        AssertionAlgorithm::Rs256 => (signature.len() >= LEAST_RSA_BYTES).then_some(signature),
        AssertionAlgorithm::Es256 => {
            Some(p256::ecdsa::Signature::from_der(&signature).ok()?.to_bytes().to_vec())
        }
    }
}
