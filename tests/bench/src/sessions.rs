//! Sessions of browsers, by real logins: each is begun, taken through the issuer and completed in an Envoy, before anything is measured.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use portcullis_tests::browser::Site;
use portcullis_tests::issuer::Client;
use portcullis_tests::{Browser, Issuer, Visit};

use crate::config::{CLIENT, HOST, PATH, Setup, Surroundings};
use crate::progress;

/// How many different sessions there are.
pub(crate) const SESSIONS: usize = 400;
/// Access tokens outlive every run: what is measured is a request, not a renewal.
const TOKEN_LIFETIME: u64 = 12 * 3600;

/// Has [`SESSIONS`] people sign in, and writes the cookies of each browser into a line of `file`.
pub(crate) async fn sign_in(around: &Surroundings, issuer: &Issuer, file: &Path) -> anyhow::Result<()> {
    issuer.provider().register(Client::public(CLIENT));
    issuer.provider().access_tokens_live(TOKEN_LIFETIME);
    let envoy = Setup::Session.config(around, 1)?.start().await?;
    let origin = format!("https://{HOST}");
    let step = progress::step(&format!("{SESSIONS} logins"), SESSIONS);
    let mut lines = String::new();
    for _ in 0..SESSIONS {
        let browser = Browser::new().http1().route(&origin, envoy.addr());
        let mut browser = browser.route(issuer.issuer(), issuer.addr());
        let page = browser.go(&Visit::navigation(format!("{origin}{PATH}"))).await;
        anyhow::ensure!(page.location().is_some(), "no login began: {} {}", page.status, page.text());
        let keycloak = browser.follow(&page).await;
        let callback = keycloak.location().context("the issuer sends nobody back")?;
        let back = browser.go(&Visit::navigation(callback).from(Site::CrossSite)).await;
        anyhow::ensure!(back.status == 303, "a login failed: {} {}", back.status, back.text());
        // The first page takes back what only the login needed.
        let page = browser.follow(&back).await;
        anyhow::ensure!(page.status == 200, "a session is refused: {} {}", page.status, page.text());
        let cookies = browser.cookies(&origin).into_iter().map(|(name, value)| format!("{name}={value}"));
        lines.push_str(&cookies.collect::<Vec<_>>().join("; "));
        lines.push('\n');
        step.count(());
    }
    step.done();
    fs::write(file, lines).with_context(|| file.display().to_string())
}
