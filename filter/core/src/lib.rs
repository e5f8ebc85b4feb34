//! Portcullis decides here, without I/O: no host, no clock, no random source is named in this crate.
//!
//! The modules stand in the order in which a request meets them. `config` is what the operator writes and
//! `filter` what it becomes; a request then passes `request`, `identity` (what the client says about itself
//! is cut), `site`, `rule`, `credential`, `jose` and `keys` (is the token genuine), `token` (is it for us),
//! `authz` (may its bearer do this) and `identity` again (what the upstream is told). `exchange` is that
//! list as a state machine, `reply` the table of refusals, and `page` and `text` what a person sees of them.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::string_slice,
        clippy::as_conversions,
        clippy::todo,
        clippy::dbg_macro
    )
)]

pub mod config;
mod document;
mod filter;
mod realm;

mod call;
mod entropy;
mod secret;

mod authority;
mod path;
mod request;

mod pattern;
mod rule;
mod site;

mod cookie;
mod credential;
mod fetch_metadata;
mod legacy;

mod jose;
mod json;
mod keys;

mod keycloak;
mod token;

mod accepted;
mod authz;
mod identity;
mod memory;

mod bucket;
mod oidc;
mod renewal;
mod revoked;
mod seal;
mod session;
mod shared;

mod exchange;
mod page;
mod reply;
mod text;

mod error;
mod time;

#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
#[allow(dead_code)] // one set of helpers for all modules
mod testing;

pub use accepted::AcceptedTokens;
pub use authz::Authorized;
pub use call::{CallError, Form, HttpAnswer, HttpCall};
pub use entropy::Entropy;
pub use error::{
    ConfigError, IdTokenError, KeyError, LegacyError, LoginError, LogoutTokenError, RequestError, TokenError,
};
pub use exchange::{Decision, Exchange, Ground, Input, Knowledge, Need, Notice, Permit, Refusal, Step};
pub use filter::{Filter, Limits};
pub use identity::{HeaderEdits, HeaderField};
pub use jose::backend::verifier as verifier_in_vm;
pub use keys::{KeyEvent, KeyStore};
pub use legacy::shared::Change;
pub use legacy::usage::LegacyUse;
pub use legacy::watch::{Conclusion, LegacyAnswer, Watch};
pub use oidc::assertion::ClientKey;
pub use realm::RealmId;
pub use reply::{Denial, LocalReply};
pub use request::Header;
pub use revoked::Revoked;
pub use session::OpenedSessions;
pub use shared::{revoked_records, shared_seeds};
pub use time::{Env, Monotonic, UnixTime};
