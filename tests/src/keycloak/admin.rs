//! Keycloak's admin REST API, as far as the tests use it.

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a token of the administrator is used; it lasts a minute.
const FRESH: Duration = Duration::from_secs(30);

/// The admin REST API of one server. Paths begin at `/admin/realms`: `/customers/users`.
pub struct Admin {
    prefix: String,
    addr: SocketAddr,
    token: Mutex<Option<(String, Instant)>>,
}

/// A user to be made.
#[derive(Clone, Debug)]
pub struct NewUser<'a> {
    username: &'a str,
    realm_role: &'a str,
    client: &'a str,
    otp: bool,
}

impl<'a> NewUser<'a> {
    /// A customer who may see invoices.
    pub fn customer(username: &'a str) -> Self {
        Self { username, realm_role: "customer", client: "portaswitch", otp: false }
    }

    /// An administrator, whose authenticator app is set up already.
    pub fn administrator(username: &'a str) -> Self {
        Self { username, realm_role: "admin", client: "portaswitch-admin", otp: true }
    }

    /// With an authenticator app, for [`totp`](super::totp).
    #[must_use]
    pub fn with_otp(self) -> Self {
        Self { otp: true, ..self }
    }

    fn representation(&self) -> Value {
        let Self { username, realm_role, client, otp } = self;
        let mut credentials = vec![json!({"type": "password", "value": super::PASSWORD})];
        credentials.extend(otp.then(super::login::otp_credential));
        json!({
            "username": username, "enabled": true, "email": format!("{username}@example.com"), "emailVerified": true,
            "firstName": username, "lastName": "Tester", "attributes": {"i_env": ["1"]},
            "realmRoles": [realm_role], "clientRoles": {*client: ["billing"]}, "credentials": credentials,
        })
    }
}

impl Admin {
    pub(super) fn new(base: &Url, addr: SocketAddr) -> Self {
        let prefix = base.path().trim_end_matches('/').to_owned();
        Self { prefix, addr, token: Mutex::new(None) }
    }

    /// GETs a resource.
    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, None).await
    }

    /// POSTs a resource.
    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.call(Method::POST, path, Some(body)).await
    }

    /// PUTs a resource.
    pub async fn put(&self, path: &str, body: Value) -> Value {
        self.call(Method::PUT, path, Some(body)).await
    }

    /// DELETEs a resource.
    pub async fn delete(&self, path: &str) {
        self.call(Method::DELETE, path, None).await;
    }

    /// The identifier of a user.
    ///
    /// # Panics
    /// When there is no such user.
    pub async fn user(&self, realm: &str, username: &str) -> String {
        let found = self.get(&format!("/{realm}/users?exact=true&username={username}")).await;
        found[0]["id"].as_str().unwrap_or_else(|| panic!("{realm} has no user {username}")).to_owned()
    }

    /// Makes a user. A test that changes one, or needs a one-time code, makes one of its own: Keycloak takes a code once.
    pub async fn make_user(&self, realm: &str, user: &NewUser<'_>) {
        let body = json!({"ifResourceExists": "FAIL", "users": [user.representation()]});
        self.post(&format!("/{realm}/partialImport"), body).await;
    }

    /// Calls the API.
    ///
    /// # Panics
    /// When Keycloak does not do as it is told.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let url = format!("http://{}{}/admin/realms{path}", self.addr, self.prefix);
        let mut request =
            super::login::patient().request(method.clone(), &url).bearer_auth(self.token().await);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap_or_else(|e| panic!("{method} {path}: {e}"));
        let (status, text) = (answer.status(), answer.text().await.unwrap_or_default());
        assert!(status.is_success(), "{method} {path}: {status} {text}");
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    async fn token(&self) -> String {
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((token, since)) = known
            && since.elapsed() < FRESH
        {
            return token;
        }
        let (username, password) = super::ADMINISTRATOR;
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", username),
            ("password", password),
        ];
        let url = format!("http://{}{}/realms/master/protocol/openid-connect/token", self.addr, self.prefix);
        let answer = super::login::patient().post(url).form(&form).send().await;
        let answer: Value = match answer {
            Ok(answer) => answer.json().await.unwrap_or(Value::Null),
            Err(e) => panic!("the administrator cannot sign in: {e}"),
        };
        let token = answer["access_token"].as_str();
        let token = token.unwrap_or_else(|| panic!("the administrator cannot sign in: {answer}")).to_owned();
        let mut known = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some((token.clone(), Instant::now()));
        token
    }
}
