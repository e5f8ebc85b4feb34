//! The testkit: everything that Portcullis is tested against, and nothing of Portcullis itself.
//!
//! ```text
//!   client ──> envoy (with the filter) ──> upstream        what arrived is what the tests assert
//!                    └──> issuer                           discovery and keys, faulty on demand
//! ```
//!
//! - [`realm`] and [`token`]: a realm's keys and the tokens it signs. No runtime, no network: unit tests and fuzz seeds
//!   use them too, in WebAssembly as well.
//! - [`issuer`]: a realm served over HTTP in Keycloak's shape, logins included, with faults, lies and counters.
//! - [`keycloak`]: a real Keycloak with the realms of `/envoy/keycloak`, slow to start and true.
//! - [`browser`]: cookies, redirects and forms, to sign in there.
//! - [`upstream`]: the protected application, which tells what it was sent.
//! - [`portaswitch`]: an emulator of PortaSwitch in its place, with sessions of its own and two portals.
//! - [`envoy`]: a real Envoy with a configuration from `/envoy`, rewritten for the test.
//! - [`client`]: requests that a polite client would not send.
//! - [`browser`]: what a browser adds by itself, cookies and Fetch Metadata, and what it does with an answer.
//! - [`tls`]: certificates, and who trusts them.
//! - [`wasm`]: filters that misbehave, to put beside it or in its place.
//! - [`world`]: all of them together.
//!
//! Everything listens on an ephemeral port of 127.0.0.1, and ends when its value is dropped.

pub mod key;
pub mod realm;
pub mod token;

#[cfg(not(target_family = "wasm"))]
pub mod browser;
#[cfg(not(target_family = "wasm"))]
pub mod client;
#[cfg(not(target_family = "wasm"))]
pub mod envoy;
#[cfg(not(target_family = "wasm"))]
pub mod issuer;
#[cfg(not(target_family = "wasm"))]
pub mod keycloak;
#[cfg(not(target_family = "wasm"))]
pub mod portaswitch;
#[cfg(not(target_family = "wasm"))]
pub mod process;
#[cfg(not(target_family = "wasm"))]
mod server;
#[cfg(not(target_family = "wasm"))]
pub mod tls;
#[cfg(not(target_family = "wasm"))]
pub mod upstream;
#[cfg(not(target_family = "wasm"))]
pub mod wasm;
#[cfg(not(target_family = "wasm"))]
mod websocket;
#[cfg(not(target_family = "wasm"))]
pub mod world;

pub use jsonwebtoken::Algorithm;
pub use realm::{Realm, RotateOptions};
pub use token::TokenBuilder;

#[cfg(not(target_family = "wasm"))]
pub use crate::{
    browser::{Browser, Visit},
    client::Raw,
    envoy::{Envoy, EnvoyConfig},
    issuer::{Endpoint, Fault, Issuer, IssuerOptions},
    keycloak::{Keycloak, KeycloakOptions, Login},
    portaswitch::PortaSwitch,
    upstream::Upstream,
    world::{Stage, World},
};

use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long anything in the testkit waits before it calls it a failure. No call hangs.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The root of the repository.
///
/// # Panics
/// When the crate is not where the repository keeps it.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate lies in the repository").to_path_buf()
}

/// Seconds since the epoch, as tokens count them.
///
/// # Panics
/// When the clock is before 1970.
#[expect(clippy::disallowed_methods, reason = "the tests live in real time; the crates under test may not")]
pub fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.expect("the clock is after 1970").as_secs()
}
