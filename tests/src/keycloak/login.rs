//! Tokens got as clients get them: the authorization code with PKCE through Keycloak's own pages, and the token endpoint's grants.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use totp_rs::{Algorithm, TOTP};
use uuid::Uuid;

use super::Keycloak;
use crate::browser::{Browser, Form, Page, Visit};

/// Every test user's password.
pub const PASSWORD: &str = "correct horse battery staple";

/// What the authenticator app of every test user knows who has one.
pub const TOTP_SECRET: &str = "the-shared-secret-of-the-tests";

/// The one-time code of this moment. Keycloak takes each of them once for each user.
///
/// # Panics
/// When the clock is before 1970.
pub fn totp() -> String {
    authenticator().generate(crate::now())
}

/// The one-time code after that, which Keycloak takes already: for a user who signs in twice.
///
/// # Panics
/// When the clock is before 1970.
pub fn next_totp() -> String {
    authenticator().generate(crate::now() + 30)
}

/// What to type into an authenticator app.
pub fn totp_secret() -> String {
    authenticator().get_secret_base32()
}

fn authenticator() -> TOTP {
    TOTP::new_unchecked(Algorithm::SHA1, 6, 1, 30, TOTP_SECRET.as_bytes().to_vec())
}

/// The authenticator app as Keycloak stores it.
pub(super) fn otp_credential() -> Value {
    let data = json!({"subType": "totp", "digits": 6, "period": 30, "counter": 0, "algorithm": "HmacSHA1"});
    let secret = json!({"value": TOTP_SECRET}).to_string();
    json!({"type": "otp", "secretData": secret, "credentialData": data.to_string()})
}

/// What the token endpoint answered.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// The access token.
    pub access: String,
    /// The refresh token, or the offline token; empty where there is none.
    pub refresh: String,
    /// The ID token; empty where there is none.
    pub id: String,
}

impl Tokens {
    fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        let tokens =
            Self { access: text("access_token"), refresh: text("refresh_token"), id: text("id_token") };
        assert!(!tokens.access.is_empty(), "Keycloak gives no token: {answer}");
        tokens
    }

    /// The claims of the access token, unverified: for a test that says what Keycloak puts there.
    ///
    /// # Panics
    /// When it is no token.
    pub fn claims(&self) -> Value {
        serde_json::from_slice(&crate::token::part(&self.access, 1)).expect("the claims are JSON")
    }
}

impl Keycloak {
    /// Asks the token endpoint; `Err` is what Keycloak answered instead of tokens.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn grant(&self, realm: &str, form: &[(&str, &str)]) -> Result<Tokens, Value> {
        self.grant_with(realm, form, &[]).await
    }

    /// The same, with header fields.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn grant_with(
        &self,
        realm: &str,
        form: &[(&str, &str)],
        headers: &[(&str, &str)],
    ) -> Result<Tokens, Value> {
        let path = self.base().path().trim_end_matches('/');
        let url = format!("http://{}{path}/realms/{realm}/protocol/openid-connect/token", self.addr());
        let mut request = patient().post(url).form(form);
        // A name on the way decides nothing but what Keycloak calls its back-channel endpoints.
        for (name, value) in [("host", "keycloak.internal:8080")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        let _alone = self.signing_in.lock().await;
        let answer = request.send().await.unwrap_or_else(|e| panic!("Keycloak: {e}\n{}", self.log()));
        let answer: Value = answer.json().await.unwrap_or_else(|e| panic!("Keycloak: {e}\n{}", self.log()));
        if answer.get("access_token").is_some() { Ok(Tokens::of(&answer)) } else { Err(answer) }
    }

    /// A token of a user by password, for which a realm has a client in tests only.
    ///
    /// # Panics
    /// When Keycloak refuses.
    pub async fn direct(&self, realm: &str, client: &str, username: &str) -> Tokens {
        let form = [
            ("grant_type", "password"),
            ("client_id", client),
            ("username", username),
            ("password", PASSWORD),
            ("scope", "openid"),
        ];
        self.grant(realm, &form).await.unwrap_or_else(|e| panic!("{client}: {e}"))
    }

    /// Fresh tokens for a refresh token.
    pub async fn refresh(&self, realm: &str, client: &str, refresh: &str) -> Result<Tokens, Value> {
        let form = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", refresh)];
        self.grant(realm, &form).await
    }

    /// A browser that reaches this server under its public name.
    pub fn browser(&self) -> Browser {
        Browser::new().route(self.base(), self.addr())
    }
}

/// A person who signs in to a client: authorization code with PKCE (RFC 7636), through the pages that Keycloak shows.
#[derive(Clone, Debug)]
#[must_use = "nobody signs in before `through` is called"]
pub struct Login {
    realm: String,
    client: String,
    redirect_uri: String,
    username: String,
    parameters: Vec<(String, String)>,
}

impl Login {
    /// Signs in to a client of a realm.
    pub fn to(realm: &str, client: &str, redirect_uri: &str) -> Self {
        let [realm, client, redirect_uri] = [realm, client, redirect_uri].map(str::to_owned);
        Self { realm, client, redirect_uri, username: String::new(), parameters: Vec::new() }
    }

    /// Who signs in.
    pub fn user(mut self, username: &str) -> Self {
        username.clone_into(&mut self.username);
        self
    }

    /// Another parameter of the authorization request, say `acr_values`.
    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Signs in from a fresh browser.
    pub async fn from_a_new_browser(&self, keycloak: &Keycloak) -> Tokens {
        self.through(&mut keycloak.browser(), keycloak).await
    }

    /// Signs in: answers each form that Keycloak shows, and redeems the code.
    ///
    /// # Panics
    /// When Keycloak shows something else.
    pub async fn through(&self, browser: &mut Browser, keycloak: &Keycloak) -> Tokens {
        let verifier = format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        let page = browser.navigate(self.authorization_request(keycloak, &challenge)).await;
        let page = self.answer_forms(browser, keycloak, page).await;
        let code = self.code(&page);
        let form = [
            ("grant_type", "authorization_code"),
            ("client_id", &*self.client),
            ("redirect_uri", &*self.redirect_uri),
            ("code", &*code),
            ("code_verifier", &*verifier),
        ];
        keycloak.grant(&self.realm, &form).await.unwrap_or_else(|e| panic!("the code is not redeemed: {e}"))
    }

    /// The authorization request (RFC 6749 section 4.1.1).
    ///
    /// # Panics
    /// Never: the issuer is a URL.
    pub fn authorization_request(&self, keycloak: &Keycloak, challenge: &str) -> Url {
        let endpoint = format!("{}/protocol/openid-connect/auth", keycloak.issuer(&self.realm));
        let mut url: Url = endpoint.parse().expect("the issuer is a URL");
        let state = Uuid::new_v4().to_string();
        url.query_pairs_mut()
            .extend_pairs([
                ("response_type", "code"),
                ("client_id", &*self.client),
                ("redirect_uri", &*self.redirect_uri),
                ("scope", "openid"),
                ("state", &*state),
                ("code_challenge", challenge),
                ("code_challenge_method", "S256"),
            ])
            .extend_pairs(&self.parameters);
        url
    }

    /// Answers each form that Keycloak shows, the first one being on `page`. The last answer is the one that sends the browser back to the
    /// client, which is not followed, or a page that this person does not get beyond.
    pub async fn answer_forms(&self, browser: &mut Browser, keycloak: &Keycloak, page: Page) -> Page {
        let _alone = keycloak.signing_in.lock().await;
        let mut page = self.within_keycloak(browser, page).await;
        // Password and code, and a page more.
        for _ in 0..3 {
            let Some(form) = filled_in(&page, &self.username) else { break };
            let answer = browser.go(&Visit::submission(&form)).await;
            page = self.within_keycloak(browser, answer).await;
        }
        page
    }

    /// Follows redirects up to the one that leads back to the client.
    async fn within_keycloak(&self, browser: &mut Browser, mut page: Page) -> Page {
        while page.location().is_some_and(|location| !location.as_str().starts_with(&self.redirect_uri)) {
            page = browser.follow(&page).await;
        }
        page
    }

    fn code(&self, page: &Page) -> String {
        let back = page.location().filter(|url| url.as_str().starts_with(&self.redirect_uri));
        let back = back
            .unwrap_or_else(|| panic!("{} is not let in: {} {}", self.username, page.status, page.text()));
        let code = back.query_pairs().find(|(name, _)| name == "code").map(|(_, code)| code.into_owned());
        code.unwrap_or_else(|| panic!("{back} brings no code"))
    }
}

/// Answers each form that Keycloak shows, the first one being on `page`, and follows where that leads, back to the client included: all answers
/// since the last form.
///
/// # Panics
/// When no answer comes.
pub async fn sign_in(browser: &mut Browser, page: Page, username: &str) -> Vec<Page> {
    let mut pages = vec![page];
    // Password and code, and a page more.
    for _ in 0..3 {
        let Some(form) = pages.last().and_then(|page| filled_in(page, username)) else { break };
        pages = browser.open(&Visit::submission(&form)).await;
    }
    pages
}

/// The form of a page that asks for a password or a one-time code, filled in.
fn filled_in(page: &Page, username: &str) -> Option<Form> {
    let form = page.form()?;
    if form.has("password") {
        return Some(form.set("username", username).set("password", PASSWORD));
    }
    form.has("otp").then(|| form.set("otp", &totp()))
}

/// A client for a server that has just been started, and whose code nobody has compiled yet.
pub(crate) fn patient() -> reqwest::Client {
    let client = reqwest::Client::builder().timeout(Duration::from_mins(1)).no_proxy();
    client.redirect(reqwest::redirect::Policy::none()).build().expect("a client without TLS always builds")
}
