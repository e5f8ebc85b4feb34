//! JOSE as far as Portcullis needs it: compact JWS (RFC 7515), JWK Sets (RFC 7517), signatures (RFC 7518).

pub(crate) mod alg;
pub(crate) mod backend;
pub(crate) mod claims;
pub(crate) mod jwk;
pub(crate) mod jws;
pub(crate) mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Base64url without padding, strictly (RFC 7515 section 2): no padding, no whitespace, no other
/// alphabet, and the bits that encode nothing must be zero.
pub(crate) fn base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
