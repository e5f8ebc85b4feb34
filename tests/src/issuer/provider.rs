//! Who may sign in at a realm, who does next, and what has happened so far.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use uuid::Uuid;

use super::lie::Lie;
use super::lock;
use crate::key::Key;
use crate::realm::Realm;
use crate::token::TokenBuilder;

/// How a client shows at the token endpoint that it is itself (OpenID Connect Core section 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authentication {
    /// HTTP Basic, name and secret form-encoded (RFC 6749 section 2.3.1).
    Basic,
    /// In the body.
    Post,
    /// By a JWT that its key has signed (RFC 7523).
    PrivateKeyJwt,
    /// Not at all: a public client.
    None,
}

/// A client of the realm.
#[derive(Clone, Debug)]
pub struct Client {
    /// Its `client_id`.
    pub id: String,
    /// Its secret, where it has one.
    pub secret: Option<String>,
    /// Its key, where it has one; the public half would do.
    pub key: Option<Key>,
    /// How it shows who it is; nothing else is accepted.
    pub authentication: Authentication,
    /// Where its users may be sent back to: exactly there, or below, where it ends with `*`.
    pub redirect_uris: Vec<String>,
}

impl Client {
    /// A client with a secret, which it sends by HTTP Basic.
    pub fn confidential(id: &str, secret: &str) -> Self {
        Self { secret: Some(secret.to_owned()), authentication: Authentication::Basic, ..Self::public(id) }
    }

    /// A client with a private key, which signs what it sends.
    pub fn keyed(id: &str, key: Key) -> Self {
        Self { key: Some(key), authentication: Authentication::PrivateKeyJwt, ..Self::public(id) }
    }

    /// A client without a secret; any redirect URI that is not plain HTTP to a foreign host.
    pub fn public(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            secret: None,
            key: None,
            authentication: Authentication::None,
            redirect_uris: vec!["https://*".to_owned(), "http://localhost*".to_owned()],
        }
    }

    /// Another way to show the secret.
    #[must_use]
    pub fn authenticated_by(self, authentication: Authentication) -> Self {
        Self { authentication, ..self }
    }

    pub(super) fn may_return_to(&self, uri: &str) -> bool {
        self.redirect_uris.iter().any(|allowed| match allowed.strip_suffix('*') {
            Some(prefix) => uri.starts_with(prefix),
            None => uri == allowed,
        })
    }
}

/// Who signs in at the next request, and how.
#[derive(Clone, Debug)]
pub struct User {
    /// `sub` of all its tokens.
    pub sub: String,
    /// The claims of its tokens, on top of the realm's.
    pub claims: Value,
    /// The level of an ordinary login.
    pub acr: String,
    /// The methods of an ordinary login; Keycloak says nothing unless it has a mapper for that.
    pub amr: Vec<String>,
    /// The levels that the user can reach when asked for (`acr_values`), beside the ordinary one.
    pub reaches: Vec<String>,
    /// When the user authenticated; a login that asks for a younger one (`max_age`, `prompt=login`) makes it now.
    pub auth_time: Option<u64>,
    /// The error that the login ends with, if it fails.
    pub error: Option<String>,
}

impl User {
    /// A user who signs in as asked, of whom the realm's own claims hold.
    pub fn new() -> Self {
        Self {
            sub: Uuid::new_v4().to_string(),
            claims: json!({}),
            acr: "1".to_owned(),
            amr: Vec::new(),
            reaches: Vec::new(),
            auth_time: None,
            error: None,
        }
    }

    /// This user with more claims.
    ///
    /// # Panics
    /// When `claims` is no object.
    #[must_use]
    pub fn with(mut self, claims: Value) -> Self {
        let (Value::Object(all), Value::Object(more)) = (&mut self.claims, claims) else {
            panic!("claims are an object")
        };
        all.extend(more);
        self
    }
}

impl Default for User {
    fn default() -> Self {
        Self::new()
    }
}

/// A session of a user at the realm.
#[derive(Clone, Debug)]
pub struct Session {
    /// `sid` of its tokens.
    pub sid: String,
    /// `sub` of its tokens.
    pub sub: String,
    /// The client that it was begun for.
    pub client: String,
    /// `acr` that the login reached.
    pub acr: String,
    /// `amr` of the login.
    pub amr: Vec<String>,
    /// `auth_time`.
    pub auth_time: u64,
    /// The scopes that were granted.
    pub scope: String,
    /// The claims of the user.
    pub claims: Value,
    /// Whether it has ended: its refresh tokens are worth nothing.
    pub ended: bool,
}

/// Parameters in the order in which they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn parse(form: &[u8]) -> Self {
        let mut url = reqwest::Url::parse("form:").expect("a scheme is enough");
        url.set_query(Some(&String::from_utf8_lossy(form)));
        Self(url.query_pairs().into_owned().collect())
    }

    pub(super) fn and(mut self, more: &Self) -> Self {
        self.0.extend(more.0.iter().cloned());
        self
    }

    /// The value of a parameter.
    ///
    /// # Panics
    /// When it is there more than once, which RFC 6749 section 3.1 forbids.
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "{name} is there more than once");
        first
    }

    /// The names, each as often as it came.
    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.as_str()).collect()
    }
}

/// A request to the token endpoint.
#[derive(Clone, Debug)]
pub struct TokenRequest {
    /// Its form.
    pub parameters: Parameters,
    /// Its `authorization`.
    pub authorization: Option<String>,
    /// The status of the answer.
    pub status: u16,
}

/// A realm's memory; clones are the same provider.
#[derive(Clone)]
pub struct Provider {
    realm: Realm,
    state: Arc<Mutex<State>>,
}

/// What a code stands for.
#[derive(Clone)]
pub(super) struct Grant {
    pub(super) sid: String,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
    pub(super) nonce: Option<String>,
}

pub(super) struct State {
    pub(super) clients: HashMap<String, Client>,
    pub(super) user: User,
    pub(super) codes: HashMap<String, Grant>,
    pub(super) sessions: Vec<Session>,
    /// The refresh tokens that were issued, by `jti`: their session, and whether they have not been used.
    pub(super) refresh_tokens: HashMap<String, (String, bool)>,
    /// `jti` of the assertions that were accepted.
    pub(super) assertions: HashSet<String>,
    /// Whether a refresh token works once.
    pub(super) rotates: bool,
    /// How long an access token lives, in seconds.
    pub(super) lifetime: u64,
    pub(super) authorizations: Vec<Parameters>,
    pub(super) token_requests: Vec<TokenRequest>,
    pub(super) logouts: Vec<Parameters>,
    pub(super) lies: Vec<Lie>,
}

impl Provider {
    pub(super) fn new(realm: Realm) -> Self {
        let state = State {
            clients: HashMap::new(),
            user: User::new(),
            codes: HashMap::new(),
            sessions: Vec::new(),
            refresh_tokens: HashMap::new(),
            assertions: HashSet::new(),
            rotates: true,
            lifetime: 300,
            authorizations: Vec::new(),
            token_requests: Vec::new(),
            logouts: Vec::new(),
            lies: Vec::new(),
        };
        Self { realm, state: Arc::new(Mutex::new(state)) }
    }

    pub(super) fn realm(&self) -> &Realm {
        &self.realm
    }

    /// Adds a client, or replaces it.
    pub fn register(&self, client: Client) {
        self.lock().clients.insert(client.id.clone(), client);
    }

    /// Who signs in from now on.
    pub fn sign_in(&self, user: User) {
        self.lock().user = user;
    }

    /// How long an access token lives from now on, in seconds; 5 minutes unless told otherwise.
    pub fn access_tokens_live(&self, seconds: u64) {
        self.lock().lifetime = seconds;
    }

    /// Whether a refresh token works once, as with Keycloak's "Revoke Refresh Token". It does unless told otherwise.
    pub fn rotate_refresh_tokens(&self, rotates: bool) {
        self.lock().rotates = rotates;
    }

    /// From now on, it lies about this. Several lies add up.
    pub fn lie(&self, lie: Lie) {
        self.lock().lies.push(lie);
    }

    /// From now on, it lies about nothing.
    pub fn tell_the_truth(&self) {
        self.lock().lies.clear();
    }

    /// The queries that the authorization endpoint was sent.
    pub fn authorizations(&self) -> Vec<Parameters> {
        self.lock().authorizations.clone()
    }

    /// What the token endpoint was sent and answered, where no fault answered in its place.
    pub fn token_requests(&self) -> Vec<TokenRequest> {
        self.lock().token_requests.clone()
    }

    /// How many of them asked for this (`grant_type`).
    pub fn grants(&self, grant_type: &str) -> usize {
        let requests = self.token_requests();
        requests.iter().filter(|request| request.parameters.get("grant_type") == Some(grant_type)).count()
    }

    /// The queries that the end-session endpoint was sent.
    pub fn logouts(&self) -> Vec<Parameters> {
        self.lock().logouts.clone()
    }

    /// Every session so far, the ended ones too.
    pub fn sessions(&self) -> Vec<Session> {
        self.lock().sessions.clone()
    }

    /// The session that was begun last.
    ///
    /// # Panics
    /// When nobody has signed in.
    pub fn last_session(&self) -> Session {
        self.lock().sessions.last().expect("somebody has signed in").clone()
    }

    /// Ends every session, as an administrator would who disables the user: refresh tokens are worth nothing from now on.
    pub fn end_sessions(&self) {
        self.lock().sessions.iter_mut().for_each(|session| session.ended = true);
    }

    /// A logout token for the client of a session (OpenID Connect Back-Channel Logout 1.0 section 2.4), as Keycloak makes it, to be signed.
    pub fn logout_token(&self, session: &Session) -> TokenBuilder {
        let now = crate::now();
        self.realm.token().header("typ", "logout+jwt").only_claims(json!({
            "iat": now,
            "exp": now + 120,
            "jti": Uuid::new_v4().to_string(),
            "iss": self.realm.issuer(),
            "aud": session.client,
            "sub": session.sub,
            "typ": "Logout",
            "sid": session.sid,
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}
