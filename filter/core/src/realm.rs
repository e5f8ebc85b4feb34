//! A realm as every stage knows it. `filter` makes it of what the operator wrote.

use std::sync::Arc;
use std::time::Duration;

use crate::jose::alg::Algorithm;
use crate::jose::jwk::KeySet;
use crate::oidc::Login;

/// Position of a realm in the filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RealmId(pub(crate) usize);

/// A Keycloak realm; see [`crate::config::Realm`].
#[derive(Debug)]
pub(crate) struct Realm {
    pub(crate) id: RealmId,
    pub(crate) name: Arc<str>,
    pub(crate) issuer: String,
    pub(crate) cluster: String,
    pub(crate) authority: String,
    pub(crate) discovery_path: String,
    /// Set: no discovery.
    pub(crate) jwks_path: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) clients: Option<Vec<String>>,
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) clock_skew: Duration,
    pub(crate) max_token_lifetime: Duration,
    pub(crate) refresh_interval: Duration,
    pub(crate) max_stale: Duration,
    pub(crate) refetch_cooldown: Duration,
    pub(crate) fetch_timeout: Duration,
    pub(crate) bootstrap: Option<KeySet>,
    /// How browsers sign in; `None`: bearer tokens only.
    pub(crate) login: Option<Login>,
}
