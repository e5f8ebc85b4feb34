//! Sealing: what a browser keeps for us and can neither read nor change.
//!
//! XChaCha20-Poly1305 with a random nonce of 192 bits, so that no count of nonces has to be kept (ADR 0010). The
//! additional data binds a seal to its purpose, realm and host: what was sealed for one opens nowhere else. Every
//! failure is the same `None`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::XChaCha20Poly1305;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use crate::entropy::Entropy;
use crate::secret::Secret;

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

/// Keys by their ids: the first seals, each opens.
#[derive(Clone, Debug)]
pub(crate) struct KeyRing(Vec<SealingKey>);

/// One key of a ring.
#[derive(Clone, Debug)]
pub(crate) struct SealingKey {
    /// Stands before what the key sealed; letters, digits, `-` and `_`.
    pub(crate) id: String,
    pub(crate) key: Secret<[u8; KEY_BYTES]>,
}

/// What a seal is bound to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Binding<'b> {
    /// What it is for, `session` for instance.
    pub(crate) purpose: &'b str,
    pub(crate) realm: &'b str,
    /// Canonical host.
    pub(crate) host: &'b str,
}

impl KeyRing {
    /// A ring of at least one key, the sealing one first.
    pub(crate) const fn new(keys: Vec<SealingKey>) -> Self {
        Self(keys)
    }

    /// Seals under the first key: `id.base64url(nonce || ciphertext || tag)`. Empty only where there is no key.
    pub(crate) fn seal(&self, binding: Binding<'_>, plain: &[u8], entropy: &mut Entropy) -> String {
        let Some(SealingKey { id, key }) = self.0.first() else { return String::new() };
        let nonce = entropy.bytes::<NONCE_BYTES>();
        let aad = binding.encode(id);
        let payload = Payload { msg: plain, aad: &aad };
        // It fails over 256 GiB only.
        let sealed =
            XChaCha20Poly1305::new(key.expose().into()).encrypt((&nonce).into(), payload).unwrap_or_default();
        format!("{id}.{}", URL_SAFE_NO_PAD.encode([&nonce[..], &sealed].concat()))
    }

    /// Opens what one of the keys sealed for this binding.
    pub(crate) fn open(&self, binding: Binding<'_>, sealed: &str) -> Option<Vec<u8>> {
        let (id, sealed) = sealed.split_once('.')?;
        let key = self.0.iter().find(|key| key.id == id)?;
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        let aad = binding.encode(id);
        XChaCha20Poly1305::new(key.key.expose().into())
            .decrypt(nonce.into(), Payload { msg: sealed, aad: &aad })
            .ok()
    }

    /// Keyed hashes of a text, one a key and the sealing key's first: names for things that must not stand in
    /// shared data in the clear.
    pub(crate) fn hashes(&self, purpose: &str, text: &str) -> impl Iterator<Item = [u8; 16]> {
        let message = join(&[purpose, text]);
        self.0.iter().filter_map(move |SealingKey { key, .. }| {
            let mut mac = <Hmac<Sha256> as hmac::Mac>::new_from_slice(key.expose()).ok()?;
            mac.update(b"portcullis/1/name");
            mac.update(&message);
            mac.finalize().into_bytes().first_chunk::<16>().copied()
        })
    }
}

impl Binding<'_> {
    fn encode(&self, key_id: &str) -> Vec<u8> {
        join(&["portcullis/1", self.purpose, self.realm, self.host, key_id])
    }
}

/// Texts side by side, each after its length, so that no two lists give the same bytes.
fn join(parts: &[&str]) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        joined.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        joined.extend_from_slice(part.as_bytes());
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    fn ring(ids: &[(&str, u8)]) -> KeyRing {
        let key = |(id, byte): &(&str, u8)| SealingKey {
            id: (*id).to_owned(),
            key: Secret::new([*byte; KEY_BYTES]),
        };
        KeyRing::new(ids.iter().map(key).collect())
    }

    const HERE: Binding<'_> = Binding { purpose: "session", realm: "customers", host: "selfcare.csp.com" };

    #[test]
    fn what_is_sealed_opens_with_each_key_of_the_ring_and_no_other() {
        let mut entropy = Entropy::seeded([7; 32]);
        let sealed = ring(&[("a", 1)]).seal(HERE, b"secret", &mut entropy);
        assert!(sealed.starts_with("a."), "{sealed}");
        for (keys, opens) in [
            (ring(&[("a", 1)]), true),
            (ring(&[("b", 2), ("a", 1)]), true),
            (ring(&[("a", 2)]), false),
            (ring(&[("b", 1)]), false),
            (ring(&[("b", 2)]), false),
        ] {
            let opened = keys.open(HERE, &sealed);
            assert_eq!(opened.as_deref(), opens.then_some(&b"secret"[..]), "{keys:?}");
        }
        let rotated = ring(&[("b", 2), ("a", 1)]).seal(HERE, b"secret", &mut entropy);
        assert!(rotated.starts_with("b."), "the first key seals: {rotated}");
    }

    #[test]
    fn a_seal_is_bound_to_its_purpose_realm_and_host() {
        let keys = ring(&[("a", 1)]);
        let sealed = keys.seal(HERE, b"x", &mut Entropy::seeded([7; 32]));
        for elsewhere in [
            Binding { purpose: "attempt", ..HERE },
            Binding { realm: "admins", ..HERE },
            Binding { host: "admin.csp.com", ..HERE },
            Binding { purpose: "sessionc", realm: "ustomers", ..HERE },
        ] {
            assert_eq!(keys.open(elsewhere, &sealed), None, "{elsewhere:?}");
        }
        assert!(keys.open(HERE, &sealed).is_some());
    }

    #[test]
    fn a_seal_that_was_touched_does_not_open() {
        let keys = ring(&[("a", 1)]);
        let sealed = keys.seal(HERE, b"0123456789", &mut Entropy::seeded([7; 32]));
        for at in 0..sealed.len() {
            assert_eq!(keys.open(HERE, &sealed[..at]), None, "cut at {at}");
            let mut bytes = sealed.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let touched = String::from_utf8(bytes).unwrap();
            assert_eq!(keys.open(HERE, &touched), None, "byte {at}");
        }
        for nonsense in ["", ".", "a.", "a", "..", "a.%%%", &format!("{sealed}A"), &format!("{sealed}=")] {
            assert_eq!(keys.open(HERE, nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn two_seals_of_one_text_differ() {
        let (keys, mut entropy) = (ring(&[("a", 1)]), Entropy::seeded([7; 32]));
        assert_ne!(keys.seal(HERE, b"x", &mut entropy), keys.seal(HERE, b"x", &mut entropy));
    }

    #[test]
    fn names_depend_on_the_key_and_the_purpose() {
        let of = |keys: &KeyRing, purpose: &str, text: &str| keys.hashes(purpose, text).collect::<Vec<_>>();
        let (one, two) = (ring(&[("a", 1)]), ring(&[("b", 2), ("a", 1)]));
        assert_eq!(of(&one, "sid", "x"), of(&two, "sid", "x")[1..]);
        assert_ne!(of(&one, "sid", "x"), of(&one, "sub", "x"));
        assert_ne!(of(&one, "sid", "x"), of(&one, "sid", "y"));
    }

    #[test]
    fn secrets_do_not_show() {
        assert!(!format!("{:?}", ring(&[("a", 1)])).contains('1'));
    }
}
