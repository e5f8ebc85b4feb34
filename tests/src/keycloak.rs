//! A real Keycloak, as an operator would run it behind a proxy that ends TLS: production mode, a public host name, the embedded database.
//!
//! ```no_run
//! # async fn example() -> Result<(), String> {
//! use portcullis_tests::keycloak::{Keycloak, KeycloakOptions, Login};
//!
//! let keycloak = Keycloak::start(KeycloakOptions::customers()).await?;
//! let tokens = Login::to("customers", "selfcare-ui", "https://selfcare.csp.com/sso/callback")
//!     .user("bob")
//!     .from_a_new_browser(&keycloak)
//!     .await;
//! println!("{}", tokens.access);
//! # Ok(())
//! # }
//! ```
//!
//! Keycloak is `$KEYCLOAK_HOME`, or what `scripts/tools.sh keycloak` put into `.tools`. It is built once (see `distribution.rs`) and then
//! started from there, each one in a home of its own. Its realms are those of `/envoy/keycloak` with the users of `/tests/keycloak`.
//! When it calls somebody, it trusts the authority of [`tls`](crate::tls).
//!
//! **A Keycloak ends with the process that started it**, however that ends: see [`process`](crate::process).

mod admin;
mod distribution;
mod login;
mod process;
mod realm;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

pub use self::admin::{Admin, NewUser};
pub use self::login::{Login, PASSWORD, TOTP_SECRET, Tokens, next_totp, sign_in, totp, totp_secret};
pub use self::realm::realm_file;
use crate::process::{Process, free_port};

/// How long a start may take: two at once on two cores that compile something else meanwhile.
const START: Duration = Duration::from_mins(4);

/// The administrator of the server, whom it makes at its first start. The tests' own, on the loopback.
pub const ADMINISTRATOR: (&str, &str) = ("admin", "admin");

/// What a Keycloak is started with.
#[derive(Clone, Debug)]
pub struct KeycloakOptions {
    /// The public URL without a path: `https://sso.csp.com`; none: where it listens, `http://localhost:<port>`.
    pub origin: Option<String>,
    /// `/`, or the prefix under which everything lies: `/auth`.
    pub relative_path: String,
    /// The realms to import.
    pub realms: Vec<Value>,
    /// The names that it finds on this machine, beside `localhost`, instead of asking the system for any; none: it asks the system.
    pub finds: Vec<String>,
}

impl KeycloakOptions {
    /// The realm `customers` at `https://sso.csp.com`, as in `envoy/two-realms.yaml`.
    pub fn customers() -> Self {
        let origin = Some("https://sso.csp.com".to_owned());
        Self::at(origin, "customers")
    }

    /// The realm `admins` at `https://sso-admin.csp.com`, as in `envoy/two-realms.yaml`.
    pub fn admins() -> Self {
        let origin = Some("https://sso-admin.csp.com".to_owned());
        Self::at(origin, "admins")
    }

    fn at(origin: Option<String>, realm: &str) -> Self {
        Self { origin, relative_path: "/".to_owned(), realms: vec![realm_file(realm)], finds: Vec::new() }
    }

    /// Below this prefix, as every Keycloak before version 17.
    #[must_use]
    pub fn below(self, relative_path: &str) -> Self {
        Self { relative_path: relative_path.to_owned(), ..self }
    }

    /// With these names for this machine, so that it can call what a test runs there: a back-channel logout goes to a public name.
    #[must_use]
    pub fn finding(self, names: &[&str]) -> Self {
        Self { finds: names.iter().map(|name| (*name).to_owned()).collect(), ..self }
    }

    /// At a name that a browser on this machine can reach.
    #[must_use]
    pub fn at_localhost(self) -> Self {
        Self { origin: None, ..self }
    }
}

/// A running Keycloak. Dropping it ends the process.
pub struct Keycloak {
    base: Url,
    launch: process::Launch,
    process: Mutex<Option<Process>>,
    admin: Admin,
    /// One sign-in at a time: against guessing, Keycloak turns away who signs in twice at once, and tests share users.
    signing_in: tokio::sync::Mutex<()>,
    home: TempDir,
}

impl Keycloak {
    /// Starts it, and waits until it is ready and its realms are there.
    pub async fn start(options: KeycloakOptions) -> Result<Self, String> {
        let relative_path = options.relative_path.clone();
        let built = tokio::task::spawn_blocking(move || distribution::built(&relative_path));
        let built = built.await.map_err(|e| e.to_string())??;
        let home = tempfile::Builder::new().prefix("portcullis-keycloak-").tempdir();
        let home = home.map_err(|e| format!("no temporary directory: {e}"))?;
        distribution::home(&built, home.path(), &options).map_err(|e| format!("no home: {e}"))?;

        let (port, management) = (free_port()?, free_port()?);
        let origin = options.origin.unwrap_or_else(|| format!("http://localhost:{port}"));
        let prefix = options.relative_path.trim_end_matches('/');
        let base: Url = format!("{origin}{prefix}").parse().map_err(|e| format!("{origin}: {e}"))?;
        let launch =
            process::Launch { home: home.path().to_path_buf(), base: base.clone(), port, management };
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let admin = Admin::new(&base, addr);
        let keycloak = Self {
            base,
            launch,
            process: Mutex::new(None),
            admin,
            signing_in: tokio::sync::Mutex::default(),
            home,
        };
        keycloak.restart().await?;
        Ok(keycloak)
    }

    /// Starts it again after [`kill`](Self::kill), with the same port and database.
    pub async fn restart(&self) -> Result<(), String> {
        let mut process = self.launch.start().map_err(|e| format!("Java does not run: {e}"))?;
        let deadline = Instant::now() + START;
        while !self.launch.is_ready().await {
            if let Some(status) = process.ended() {
                return Err(format!("Keycloak ended with {status}\n{}", self.log()));
            }
            if Instant::now() > deadline {
                return Err(format!("Keycloak was not ready in time\n{}", self.log()));
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Kills it, as a crash would.
    pub fn kill(&self) {
        self.process.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Where it listens, in plain HTTP.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.launch.port))
    }

    /// The public URL: `https://sso.csp.com`, or `https://sso-admin.csp.com/auth`.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// The issuer of a realm.
    pub fn issuer(&self, realm: &str) -> String {
        format!("{}/realms/{realm}", self.base.as_str().trim_end_matches('/'))
    }

    /// The admin REST API.
    pub fn admin(&self) -> &Admin {
        &self.admin
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(self.home.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// What a test with a real Keycloak needs and does not bring along; the error tells how to get it.
pub fn prerequisites() -> Result<(), String> {
    distribution::find().map(drop)
}

/// Where builds are kept.
fn cache() -> PathBuf {
    crate::envoy::target().join("keycloak")
}
