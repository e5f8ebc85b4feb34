//! Everything at once: two issuers, an upstream, and the filter in an Envoy between them.
//!
//! ```no_run
//! # async fn example() -> Result<(), portcullis_tests::envoy::StartError> {
//! use portcullis_tests::World;
//!
//! let world = World::start().await?;
//! let token = world.customers.token().sign();
//! let response = world.get("selfcare.csp.com", "/rest/Invoice/get_invoice_list", Some(&token)).await;
//! assert_eq!(response.status, 200);
//! # Ok(())
//! # }
//! ```

use std::sync::atomic::{AtomicU64, Ordering};

use crate::client::{Raw, RawResponse};
use crate::envoy::StartError;
use crate::{Envoy, EnvoyConfig, Issuer, Upstream};

/// The world without its Envoy: the place to arrange what has to be so from the beginning.
pub struct Stage {
    /// The realm `customers`.
    pub customers: Issuer,
    /// The realm `admins`.
    pub admins: Issuer,
    /// The protected application.
    pub upstream: Upstream,
}

/// Two issuers, an upstream, and Envoy with the filter.
pub struct World {
    /// The realm `customers`.
    pub customers: Issuer,
    /// The realm `admins`.
    pub admins: Issuer,
    /// The protected application.
    pub upstream: Upstream,
    /// Envoy with the filter.
    pub envoy: Envoy,
    /// How many requests the upstream had seen before the last one was sent.
    before: AtomicU64,
}

impl Stage {
    /// Two issuers and an upstream.
    pub async fn new() -> Self {
        let (customers, admins) = (Issuer::customers().await, Issuer::admins().await);
        Self { customers, admins, upstream: Upstream::start().await }
    }

    /// The configuration with its clusters led here, those that it has.
    pub fn wire(&self, config: EnvoyConfig) -> EnvoyConfig {
        wire(config, &self.customers, &self.admins, &self.upstream)
    }

    /// Starts Envoy with this configuration.
    pub async fn start(self, config: EnvoyConfig) -> Result<World, StartError> {
        let envoy = self.wire(config).start().await?;
        let Self { customers, admins, upstream } = self;
        Ok(World { customers, admins, upstream, envoy, before: AtomicU64::new(0) })
    }
}

impl World {
    /// The world of `envoy/two-realms.yaml`.
    pub async fn start() -> Result<Self, StartError> {
        Self::with(EnvoyConfig::file("two-realms.yaml")).await
    }

    /// The world of another configuration.
    pub async fn with(config: EnvoyConfig) -> Result<Self, StartError> {
        Stage::new().await.start(config).await
    }

    /// A configuration with its clusters led here: for a second Envoy, or for [`Envoy::update_listener`].
    pub fn wire(&self, config: EnvoyConfig) -> EnvoyConfig {
        wire(config, &self.customers, &self.admins, &self.upstream)
    }

    /// Sends a request to Envoy.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn send(&self, request: &Raw) -> RawResponse {
        self.before.store(self.upstream.requests(), Ordering::SeqCst);
        let response = request.send(self.envoy.addr()).await;
        response.unwrap_or_else(|e| panic!("Envoy does not answer: {e}\n{}", self.envoy.log()))
    }

    /// GETs a path of a host, with a bearer token or without one.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn get(&self, host: &str, path: &str, token: Option<&str>) -> RawResponse {
        let request = Raw::get(path).host(host);
        self.send(&match token {
            Some(token) => request.bearer(token),
            None => request,
        })
        .await
    }

    /// How many requests reached the upstream since the last one was sent from here.
    pub fn reached_upstream(&self) -> u64 {
        self.upstream.requests() - self.before.load(Ordering::SeqCst)
    }
}

fn wire(mut config: EnvoyConfig, customers: &Issuer, admins: &Issuer, upstream: &Upstream) -> EnvoyConfig {
    for (name, addr) in [
        ("keycloak_customers", customers.addr()),
        ("keycloak_admins", admins.addr()),
        ("upstream", upstream.addr()),
    ] {
        if config.has_cluster(name) {
            config = config.cluster(name, addr);
        }
    }
    config
}
