//! Randomness as an input: the core never asks a random source itself.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

/// A cryptographically secure generator (ChaCha20). The adapter seeds one for each worker, from the host.
pub struct Entropy(ChaCha20Rng);

impl Entropy {
    /// A generator with this seed, which must be random and used once: whoever knows it knows every `state`,
    /// `nonce` and `code_verifier`.
    pub fn seeded(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// The next bytes.
    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// 256 bits as 43 characters of base64url: what `state`, `nonce` and `code_verifier` are (RFC 7636 section 4.1).
    pub(crate) fn token(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<32>())
    }
}

impl fmt::Debug for Entropy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[entropy]")
    }
}
