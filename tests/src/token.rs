//! Tokens as Keycloak issues them, and as an attacker would like them: every part can be replaced before it is signed.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};
use sha2::Sha256;
use uuid::Uuid;

use crate::key::{self, Key};
use crate::realm::Realm;

/// A token that is being made. It begins as a good one; each call makes it different in one respect.
#[derive(Clone)]
#[must_use = "a builder is no token before it is signed"]
pub struct TokenBuilder {
    /// Whose key signs; not always the realm whose claims the token has.
    signer: Realm,
    /// The identifier of the signing key, when it is not the current one.
    key: Option<String>,
    alg: Algorithm,
    home: Realm,
    kid: Option<String>,
    header: Vec<(String, Option<Value>)>,
    claims: Map<String, Value>,
    raw_header: Option<Vec<u8>>,
    raw_payload: Option<Vec<u8>>,
}

impl TokenBuilder {
    pub(crate) fn new(realm: Realm) -> Self {
        let now = crate::now();
        let Value::Object(mut claims) = json!({
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "jti": format!("onrtro:{}", Uuid::new_v4()),
            "iss": realm.issuer(),
            "sub": Uuid::new_v4().to_string(),
            "typ": "Bearer",
            "sid": Uuid::new_v4().to_string(),
            "acr": "1",
            "scope": "openid profile email",
            "email_verified": true,
        }) else {
            unreachable!("the literal is an object")
        };
        claims.extend(realm.defaults());
        Self {
            signer: realm.clone(),
            key: None,
            alg: Algorithm::RS256,
            home: realm,
            kid: None,
            header: Vec::new(),
            claims,
            raw_header: None,
            raw_payload: None,
        }
    }

    /// Sets a claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Leaves a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Sets every claim of an object.
    ///
    /// # Panics
    /// When `claims` is no object.
    pub fn claims(mut self, claims: Value) -> Self {
        let Value::Object(claims) = claims else { panic!("claims are an object, not {claims}") };
        self.claims.extend(claims);
        self
    }

    /// The claims and nothing else: no default remains.
    pub fn only_claims(mut self, claims: Value) -> Self {
        self.claims.clear();
        self.claims(claims)
    }

    /// Sets the realm roles.
    pub fn realm_roles(self, roles: &[&str]) -> Self {
        self.claim("realm_access", json!({ "roles": roles }))
    }

    /// Expired `seconds` ago, after an ordinary life.
    pub fn expired(self, seconds: u64) -> Self {
        let exp = crate::now() - seconds;
        self.claim("exp", exp).claim("iat", exp - 300).claim("auth_time", exp - 300)
    }

    /// Sets a header parameter, whatever signs.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.push((name.to_owned(), Some(value.into())));
        self
    }

    /// Leaves a header parameter out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.push((name.to_owned(), None));
        self
    }

    /// Signs with the realm's key for this algorithm; where it has none of its own, an RSA key does all six RSA algorithms.
    pub fn alg(mut self, alg: Algorithm) -> Self {
        self.alg = alg;
        self
    }

    /// Names another key in the header. What signs stays the same.
    pub fn kid(mut self, kid: impl Into<String>) -> Self {
        self.kid = Some(kid.into());
        self
    }

    /// Signs with this key of the realm, published or not, and names it in the header.
    ///
    /// # Panics
    /// When the realm has no such key.
    pub fn key(mut self, kid: &str) -> Self {
        let key = self.signer.signing_key(Some(kid), self.alg);
        self.alg = key.unwrap_or_else(|| panic!("the realm {} has no key {kid}", self.signer.name())).alg();
        self.key = Some(kid.to_owned());
        self
    }

    /// Signs with another realm's key, while the header goes on naming this realm's: a forgery.
    pub fn key_of(mut self, other: &Realm) -> Self {
        self.signer = other.clone();
        self.key = None;
        self
    }

    /// Signs over exactly these header bytes.
    pub fn raw_header(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_header = Some(bytes.into());
        self
    }

    /// Signs over exactly these payload bytes.
    pub fn raw_payload(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.raw_payload = Some(bytes.into());
        self
    }

    /// The header as it would be signed, unless [`raw_header`](Self::raw_header) replaces it.
    ///
    /// # Panics
    /// When the realm has no key for the algorithm.
    pub fn header_json(&self) -> Value {
        let own = || find(&self.home, self.named_key(), self.alg).kid().to_owned();
        let kid = self.kid.clone().unwrap_or_else(own);
        self.header_for(&key::name(self.alg), Some(&kid))
    }

    /// The claims as they would be signed, unless [`raw_payload`](Self::raw_payload) replaces them.
    pub fn claims_json(&self) -> Value {
        Value::Object(self.claims.clone())
    }

    /// The token in compact form.
    ///
    /// # Panics
    /// When the signing realm has no key for the algorithm.
    pub fn sign(self) -> String {
        let key = find(&self.signer, self.key.as_deref(), self.alg);
        let input = self.signing_input(|| self.header_json());
        let signature = key.sign(self.alg, input.as_bytes());
        format!("{input}.{}", key::encode(&signature))
    }

    /// The token as HS256 under a secret, say the public key: the classic confusion.
    ///
    /// # Panics
    /// Never: HMAC takes a secret of any length.
    pub fn sign_with(self, secret: &[u8]) -> String {
        let input = self.signing_input(|| self.header_for("HS256", self.any_kid().as_deref()));
        let mut mac = <Hmac<Sha256>>::new_from_slice(secret).expect("HMAC takes a secret of any length");
        mac.update(input.as_bytes());
        format!("{input}.{}", key::encode(&mac.finalize().into_bytes()))
    }

    /// The token without a signature; `alg` is the text in the header (`none`, `None`, ...).
    pub fn unsigned(self, alg: &str) -> String {
        let input = self.signing_input(|| self.header_for(alg, self.any_kid().as_deref()));
        format!("{input}.")
    }

    fn signing_input(&self, header: impl Fn() -> Value) -> String {
        let header = self.raw_header.clone().unwrap_or_else(|| header().to_string().into_bytes());
        let payload = self.raw_payload.clone().unwrap_or_else(|| self.claims_json().to_string().into_bytes());
        format!("{}.{}", key::encode(&header), key::encode(&payload))
    }

    fn header_for(&self, alg: &str, kid: Option<&str>) -> Value {
        let mut header = Map::new();
        header.insert("alg".into(), alg.into());
        header.insert("typ".into(), "JWT".into());
        if let Some(kid) = kid {
            header.insert("kid".into(), kid.into());
        }
        for (name, value) in &self.header {
            match value {
                Some(value) => header.insert(name.clone(), value.clone()),
                None => header.remove(name),
            };
        }
        Value::Object(header)
    }

    /// The key that [`key`](Self::key) chose, if it is this realm's.
    fn named_key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    fn any_kid(&self) -> Option<String> {
        let own = || self.home.signing_key(self.named_key(), self.alg).map(|key| key.kid().to_owned());
        self.kid.clone().or_else(own)
    }
}

fn find(realm: &Realm, kid: Option<&str>, alg: Algorithm) -> Key {
    let key = realm.signing_key(kid, alg);
    key.unwrap_or_else(|| {
        panic!("the realm {} has no key for {alg:?}: Realm::add_key makes one", realm.name())
    })
}

/// The bytes of one part (0 header, 1 payload, 2 signature) of a compact token.
///
/// # Panics
/// When there is no such part, or it is not base64url.
pub fn part(token: &str, index: usize) -> Vec<u8> {
    let text = token.split('.').nth(index).unwrap_or_else(|| panic!("the token has no part {index}"));
    URL_SAFE_NO_PAD.decode(text).unwrap_or_else(|e| panic!("part {index} is not base64url: {e}"))
}

/// The token with one part in other words. `text` goes in as it is, encoded or not.
///
/// # Panics
/// When there is no such part.
pub fn replace_part(token: &str, index: usize, text: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    *parts.get_mut(index).unwrap_or_else(|| panic!("the token has no part {index}")) = text;
    parts.join(".")
}

/// The token with one bit of a decoded part turned over.
///
/// # Panics
/// When there is no such part or bit.
pub fn flip_bit(token: &str, index: usize, bit: usize) -> String {
    let mut bytes = part(token, index);
    bytes[bit / 8] ^= 1 << (bit % 8);
    replace_part(token, index, &key::encode(&bytes))
}

/// The token with another signature.
///
/// # Panics
/// When it has none to replace.
pub fn replace_signature(token: &str, signature: &[u8]) -> String {
    replace_part(token, 2, &key::encode(signature))
}

/// The token with every part padded with `=`, which JOSE forbids (RFC 7515 section 2).
pub fn pad(token: &str) -> String {
    let padded = token.split('.').map(|part| format!("{part}{}", "=".repeat((4 - part.len() % 4) % 4)));
    padded.collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;
    use crate::realm::RotateOptions;

    /// Whether the library that the filter trusts accepts the token under the key that its `kid` names.
    fn verifies(realm: &Realm, token: &str) -> bool {
        let header: Value = serde_json::from_slice(&part(token, 0)).unwrap();
        let jwks = realm.jwks();
        let named = jwks["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]);
        let Some(jwk) = named else { return false };
        let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
        let mut validation = Validation::new(serde_json::from_value(header["alg"].clone()).unwrap());
        validation.validate_aud = false;
        decode::<Value>(token, &DecodingKey::from_jwk(&jwk).unwrap(), &validation).is_ok()
    }

    #[test]
    fn every_algorithm_verifies_with_its_published_key() {
        let realm = Realm::customers();
        for alg in [Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA] {
            realm.add_key(alg);
        }
        for alg in [
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
            Algorithm::ES256,
            Algorithm::ES384,
            Algorithm::EdDSA,
        ] {
            let token = realm.token().alg(alg).sign();
            assert!(verifies(&realm, &token), "{alg:?}");
            assert!(!verifies(&realm, &flip_bit(&token, 2, 100)), "{alg:?} with a bit flipped");
        }
    }

    #[test]
    fn claims_and_header_are_what_was_asked_for() {
        let realm = Realm::customers();
        let token = realm.token().claim("acr", "2").without("sub").header("crit", json!(["exp"])).sign();
        let claims: Value = serde_json::from_slice(&part(&token, 1)).unwrap();
        assert_eq!(claims["acr"], "2");
        assert_eq!(claims.get("sub"), None);
        assert_eq!(claims["iss"], realm.issuer());
        assert_eq!(claims["aud"], json!(["portaswitch", "account"]));
        let header: Value = serde_json::from_slice(&part(&token, 0)).unwrap();
        assert_eq!(header, json!({"alg": "RS256", "typ": "JWT", "kid": realm.kid(), "crit": ["exp"]}));
    }

    #[test]
    fn a_forgery_names_the_realms_key_but_does_not_verify() {
        let (realm, attacker) = (Realm::customers(), Realm::customers());
        let token = realm.token().key_of(&attacker).sign();
        assert_eq!(realm.token().header_json()["kid"], realm.kid());
        assert!(!verifies(&realm, &token));
        assert!(verifies(&attacker, &realm.token().kid(attacker.kid()).key_of(&attacker).sign()));
    }

    #[test]
    fn a_removed_key_still_signs_but_is_not_published() {
        let realm = Realm::customers();
        let old = realm.kid();
        realm.rotate(RotateOptions { keep_old: false });
        assert!(verifies(&realm, &realm.token().sign()));
        let token = realm.token().key(&old).sign();
        assert_eq!(serde_json::from_slice::<Value>(&part(&token, 0)).unwrap()["kid"], old);
        assert!(!verifies(&realm, &token));
    }

    #[test]
    fn raw_parts_are_signed_as_they_are() {
        let realm = Realm::customers();
        let token = realm.token().raw_payload(&b"{\"exp\":1,\"exp\":2}"[..]).sign();
        assert_eq!(part(&token, 1), b"{\"exp\":1,\"exp\":2}");
        assert_eq!(realm.token().unsigned("nOnE").split('.').next_back(), Some(""));
        let confused = realm.token().sign_with(b"public key");
        assert_eq!(serde_json::from_slice::<Value>(&part(&confused, 0)).unwrap()["alg"], "HS256");
        assert!(pad("ab.abc.abcd") == "ab==.abc=.abcd");
    }
}
