//! Keycloak's pages and the portals', as a person answers them.

use portcullis_tests::keycloak::{PASSWORD, totp};

use crate::chromium::Chromium;

impl Chromium {
    /// Answers the page that asks for a password.
    pub(crate) async fn give_password(&self, username: &str, password: &str) {
        self.fill("#username", username).await;
        self.fill("#password", password).await;
        self.click("#kc-login").await;
    }

    /// Answers the page that asks for a code.
    pub(crate) async fn give_code(&self, code: &str) {
        self.fill("#otp", code).await;
        self.click("#kc-login").await;
    }

    /// Fills in the portal's own password form.
    pub(crate) async fn give_portal_password(&self, login: &str, password: &str) {
        self.fill("#login", login).await;
        self.fill("#password", password).await;
        self.click("#submit").await;
    }

    /// Signs in with password and code, from the first page of Keycloak to where it sends the browser.
    pub(crate) async fn sign_in(&self, username: &str) {
        self.give_password(username, PASSWORD).await;
        self.give_code(&totp()).await;
    }
}
