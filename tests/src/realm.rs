//! A realm in Keycloak's shape: its issuer URL, its keys, and the claims that its tokens bear unless a test says otherwise.
//!
//! ```
//! use portcullis_tests::{Algorithm, Realm};
//!
//! let customers = Realm::customers();
//! let token = customers.token().claim("acr", "2").sign();
//! let keys = customers.jwks();
//! # assert_eq!(token.split('.').count(), 3);
//! # assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
//! ```

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value, json};

use crate::key::{self, Key};
use crate::token::TokenBuilder;

/// A handle on a realm; clones are the same realm.
#[derive(Clone)]
pub struct Realm {
    name: Arc<str>,
    issuer: Arc<str>,
    state: Arc<Mutex<State>>,
}

struct State {
    /// Every key that the realm ever had, so that a test can sign with one that is no longer published.
    keys: Vec<Held>,
    encryption_kid: String,
    extra: Vec<Value>,
    jwks: Option<Value>,
    defaults: Map<String, Value>,
}

struct Held {
    key: Key,
    published: bool,
}

/// What becomes of the old key in a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotateOptions {
    /// True: it stays published and verifies (Keycloak: passive). False: it is gone (disabled).
    pub keep_old: bool,
}

impl Realm {
    /// A realm with one RS256 key and the claims of a customer.
    pub fn new(name: &str, issuer: &str) -> Self {
        let key = Key::generate(Algorithm::RS256);
        let state = State {
            keys: vec![Held { key, published: true }],
            encryption_kid: key::fresh_kid(),
            extra: Vec::new(),
            jwks: None,
            defaults: Map::new(),
        };
        let realm = Self { name: name.into(), issuer: issuer.into(), state: Arc::new(Mutex::new(state)) };
        realm.set_defaults(customer_defaults());
        realm
    }

    /// `https://sso.csp.com/realms/customers`, as the configurations in `/envoy` know it.
    pub fn customers() -> Self {
        Self::new("customers", "https://sso.csp.com/realms/customers")
    }

    /// `https://sso-admin.csp.com/realms/admins`, as the configurations in `/envoy` know it.
    pub fn admins() -> Self {
        let realm = Self::new("admins", "https://sso-admin.csp.com/realms/admins");
        realm.set_defaults(admin_defaults());
        realm
    }

    /// The realm under another issuer URL.
    #[must_use]
    pub fn issued_by(self, issuer: &str) -> Self {
        Self { issuer: issuer.into(), ..self }
    }

    /// The realm's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The issuer URL: `iss` of every token, and the base of the endpoints that discovery announces.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// A token with the realm's default claims, signed with its current key.
    pub fn token(&self) -> TokenBuilder {
        TokenBuilder::new(self.clone())
    }

    /// Replaces the default claims; they go on top of the ones that every Keycloak token has.
    ///
    /// # Panics
    /// When `claims` is no object.
    pub fn set_defaults(&self, claims: Value) {
        let Value::Object(claims) = claims else { panic!("default claims are an object, not {claims}") };
        self.lock().defaults = claims;
    }

    pub(crate) fn defaults(&self) -> Map<String, Value> {
        self.lock().defaults.clone()
    }

    /// Makes a new key for the algorithm of the current one, and makes it current. Returns its `kid`.
    ///
    /// # Panics
    /// Never: a realm always has an RS256 key.
    pub fn rotate(&self, options: RotateOptions) -> String {
        let old = self.signing_key(None, Algorithm::RS256).expect("a realm always has an RS256 key");
        let new = Key::generate(old.alg());
        let kid = new.kid().to_owned();
        let mut state = self.lock();
        for held in &mut state.keys {
            held.published &= options.keep_old || held.key.kid() != old.kid();
        }
        state.keys.push(Held { key: new, published: true });
        kid
    }

    /// Publishes one more key; tokens of its algorithm are signed with it from now on. Returns its `kid`.
    pub fn add_key(&self, alg: Algorithm) -> String {
        let key = Key::generate(alg);
        let kid = key.kid().to_owned();
        self.lock().keys.push(Held { key, published: true });
        kid
    }

    /// Stops publishing a key. [`TokenBuilder::key`] can still sign with it.
    ///
    /// # Panics
    /// When the realm has no such key.
    pub fn remove_key(&self, kid: &str) {
        let mut state = self.lock();
        let held = state.keys.iter_mut().find(|held| held.key.kid() == kid);
        held.unwrap_or_else(|| panic!("the realm has no key {kid}")).published = false;
    }

    /// Adds a raw entry to the JWK Set: an oddity that no real key is.
    pub fn publish_extra(&self, jwk: Value) {
        self.lock().extra.push(jwk);
    }

    /// Replaces the whole JWK Set with a document of the test's own.
    pub fn set_jwks(&self, jwks: Value) {
        self.lock().jwks = Some(jwks);
    }

    /// The `kid` of the key that signs by default.
    ///
    /// # Panics
    /// Never: a realm always has an RS256 key.
    pub fn kid(&self) -> String {
        let key = self.signing_key(None, Algorithm::RS256).expect("a realm always has an RS256 key");
        key.kid().to_owned()
    }

    /// The JWK Set as the `certs` endpoint renders it: newest signing key first, then the encryption key.
    pub fn jwks(&self) -> Value {
        let state = self.lock();
        if let Some(jwks) = &state.jwks {
            return jwks.clone();
        }
        let published = state.keys.iter().rev().filter(|held| held.published);
        let mut keys: Vec<Value> = published.map(|held| held.key.jwk()).collect();
        keys.push(key::encryption_jwk(&state.encryption_kid));
        keys.extend(state.extra.iter().cloned());
        json!({ "keys": keys })
    }

    /// The discovery document, with the public URLs that a real Keycloak announces whoever asks.
    pub fn discovery(&self) -> Value {
        let issuer = self.issuer();
        let endpoint = |name: &str| format!("{issuer}/protocol/openid-connect/{name}");
        json!({
            "issuer": issuer,
            "authorization_endpoint": endpoint("auth"),
            "token_endpoint": endpoint("token"),
            "introspection_endpoint": endpoint("token/introspect"),
            "userinfo_endpoint": endpoint("userinfo"),
            "end_session_endpoint": endpoint("logout"),
            "revocation_endpoint": endpoint("revoke"),
            "jwks_uri": endpoint("certs"),
            "frontchannel_logout_supported": true,
            "backchannel_logout_supported": true,
            "backchannel_logout_session_supported": true,
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "response_types_supported": ["code", "none"],
            "subject_types_supported": ["public", "pairwise"],
            "id_token_signing_alg_values_supported": ["PS384", "RS384", "EdDSA", "ES384", "HS256", "HS512",
                "ES256", "RS256", "HS384", "ES512", "PS256", "PS512", "RS512"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": true,
        })
    }

    /// The key `kid`, published or not; or else the newest published key for `alg`; or else the newest published one that fits it.
    pub(crate) fn signing_key(&self, kid: Option<&str>, alg: Algorithm) -> Option<Key> {
        let state = self.lock();
        if let Some(kid) = kid {
            return state.keys.iter().find(|held| held.key.kid() == kid).map(|held| held.key.clone());
        }
        let newest = |fits: &dyn Fn(&Key) -> bool| {
            // A realm whose only key was removed goes on signing with it, as a Keycloak node that has not heard of it yet.
            let candidates = || state.keys.iter().rev().filter(|held| fits(&held.key));
            candidates().find(|held| held.published).or_else(|| candidates().next())
        };
        newest(&|key| key.alg() == alg).or_else(|| newest(&|key| key.fits(alg))).map(|held| held.key.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The claims of a customer of the self-care portal, who may see the invoices.
pub fn customer_defaults() -> Value {
    json!({
        "aud": ["portaswitch", "account"],
        "azp": "selfcare-ui",
        "allowed-origins": ["https://selfcare.csp.com"],
        "realm_access": {"roles": ["customer", "offline_access"]},
        "resource_access": {
            "portaswitch": {"roles": ["billing"]},
            "account": {"roles": ["manage-account", "view-profile"]},
        },
        "preferred_username": "alice",
        "email": "alice@example.com",
        "i_customer": 1042,
    })
}

/// The claims of an administrator, superuser included.
pub fn admin_defaults() -> Value {
    json!({
        "aud": "portaswitch-admin",
        "azp": "admin-ui",
        "allowed-origins": ["https://admin.csp.com"],
        "realm_access": {"roles": ["admin", "superuser"]},
        "preferred_username": "root.admin",
        "email": "root.admin@csp.com",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kids(realm: &Realm) -> Vec<String> {
        let jwks = realm.jwks();
        let keys = jwks["keys"].as_array().expect("a JWK Set has keys");
        keys.iter()
            .filter(|key| key["use"] == "sig")
            .map(|key| key["kid"].as_str().unwrap().to_owned())
            .collect()
    }

    #[test]
    fn the_key_set_has_keycloaks_shape() {
        let jwks = Realm::customers().jwks();
        let keys = jwks["keys"].as_array().unwrap();
        assert_eq!(keys.len(), 2, "one key signs, one encrypts");
        assert_eq!((&keys[0]["alg"], &keys[0]["use"]), (&json!("RS256"), &json!("sig")));
        assert_eq!((&keys[1]["alg"], &keys[1]["use"]), (&json!("RSA-OAEP"), &json!("enc")));
        assert_eq!(keys[0]["kid"].as_str().unwrap().len(), 43);
        assert_eq!(keys[0]["n"].as_str().unwrap().len(), 342, "2048 bits, no leading zero");
        assert_eq!(keys[0]["e"], "AQAB");
    }

    #[test]
    fn a_rotation_keeps_the_old_key_only_when_asked() {
        let realm = Realm::customers();
        let first = realm.kid();
        let second = realm.rotate(RotateOptions { keep_old: true });
        assert_eq!(kids(&realm), [second.clone(), first]);
        assert_eq!(realm.kid(), second);
        let third = realm.rotate(RotateOptions { keep_old: false });
        assert!(!kids(&realm).contains(&second) && kids(&realm).contains(&third));
    }

    #[test]
    fn realms_that_live_at_once_share_no_key() {
        let (one, other) = (Realm::customers(), Realm::customers());
        assert_ne!(one.jwks()["keys"][0]["n"], other.jwks()["keys"][0]["n"]);
    }

    #[test]
    fn discovery_announces_the_public_urls() {
        let discovery = Realm::admins().discovery();
        assert_eq!(discovery["issuer"], "https://sso-admin.csp.com/realms/admins");
        assert_eq!(
            discovery["jwks_uri"],
            "https://sso-admin.csp.com/realms/admins/protocol/openid-connect/certs"
        );
    }
}
