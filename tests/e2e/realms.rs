//! One Envoy with a realm for each thing that can go wrong. Realms are independent, and starting an Envoy is what takes time.
//!
//! The realm `slow` is served at the host `slow.csp.com` by an issuer of its own, through the cluster `keycloak_slow`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use portcullis_tests::client::{Connection, Raw, RawResponse};
use portcullis_tests::envoy::Envoy;
use portcullis_tests::{EnvoyConfig, Issuer, IssuerOptions, Upstream};
use serde_json::{Value, json};
use tokio::time::Instant;

/// How long a test waits for what must happen in the end. Nothing is asserted about how long it takes.
pub(crate) const IN_THE_END: Duration = Duration::from_secs(90);

/// What has to be arranged before Envoy starts.
pub(crate) struct Arrangement {
    pub(crate) issuers: BTreeMap<String, Issuer>,
    pub(crate) upstream: Upstream,
    pub(crate) config: EnvoyConfig,
}

/// Envoy with the filter, and a Keycloak for each realm.
pub(crate) struct Realms {
    pub(crate) issuers: BTreeMap<String, Issuer>,
    pub(crate) upstream: Upstream,
    pub(crate) envoy: Envoy,
}

/// Realms of these names, all with the same `keys` in their configuration; none where a prerequisite is missing.
pub(crate) async fn arrange<N: Display>(
    names: impl IntoIterator<Item = N>,
    keys: Value,
) -> Option<Arrangement> {
    let _ = crate::support::stage().await?;
    let (mut issuers, mut realms, mut sites) = (BTreeMap::new(), json!({}), Vec::new());
    for name in names {
        let name = name.to_string();
        let issuer = format!("https://sso.csp.com/realms/{name}");
        let mut keys = keys.clone();
        if keys.get("fetch_timeout").is_none() {
            // On a starved machine the shipped 3s may pass before this process answers.
            keys["fetch_timeout"] = "60s".into();
        }
        realms[&name] = json!({
            "issuer": issuer, "cluster": cluster(&name), "audiences": ["portaswitch"], "keys": keys
        });
        sites.push(json!({
            "hosts": [host(&name)],
            "realm": name,
            "rules": [
                {"name": "assets", "path": {"prefix": "/assets/"}, "access": "public"},
                {"name": "all", "path": {"prefix": "/"}, "require": {"realm_roles": {"any": ["customer"]}}},
            ],
        }));
        let options = IssuerOptions { realm: name.clone(), issuer, port: 0 };
        issuers.insert(name, Issuer::start(options).await);
    }
    let upstream = Upstream::start().await;
    let names: Vec<String> = issuers.keys().cloned().collect();
    let config = EnvoyConfig::file("minimal.yaml")
        .edit_plugin(|plugin| {
            plugin["realms"] = realms;
            plugin["sites"] = sites.into();
            plugin["limits"] = json!({"wait_timeout": "30s"});
        })
        .edit_manager(|manager| {
            for timeout in ["request_timeout", "stream_idle_timeout"] {
                manager[timeout] = "60s".into();
            }
        })
        .edit(|yaml| {
            let clusters = yaml["static_resources"]["clusters"].as_array_mut().expect("there are clusters");
            let at = clusters.iter().position(|cluster| cluster["name"] == "keycloak_customers");
            let template = clusters.remove(at.expect("there is a Keycloak"));
            clusters.extend(names.iter().map(|name| {
                let mut copy = template.clone();
                copy["name"] = cluster(name).into();
                copy
            }));
        })
        .cluster("upstream", upstream.addr());
    let config =
        issuers.iter().fold(config, |config, (name, issuer)| config.cluster(&cluster(name), issuer.addr()));
    Some(Arrangement { issuers, upstream, config })
}

impl Arrangement {
    /// Changes the configuration.
    #[must_use]
    pub(crate) fn configure(self, change: impl FnOnce(EnvoyConfig) -> EnvoyConfig) -> Self {
        Self { config: change(self.config), ..self }
    }

    /// Changes the cluster of a realm.
    #[must_use]
    pub(crate) fn cluster(self, realm: &str, change: impl FnOnce(&mut Value)) -> Self {
        let name = cluster(realm);
        self.configure(|config| {
            config.edit(|yaml| {
                let clusters = yaml["static_resources"]["clusters"].as_array_mut();
                let mut clusters = clusters.into_iter().flatten();
                change(clusters.find(|cluster| cluster["name"] == *name).expect("the realm has a cluster"));
            })
        })
    }

    /// Starts Envoy.
    pub(crate) async fn start(self) -> Realms {
        let envoy = self.config.start().await.unwrap_or_else(|e| panic!("{e}"));
        Realms { issuers: self.issuers, upstream: self.upstream, envoy }
    }
}

impl Realms {
    /// The Keycloak of a realm.
    #[track_caller]
    pub(crate) fn issuer(&self, realm: &str) -> &Issuer {
        self.issuers.get(realm).unwrap_or_else(|| panic!("there is no realm {realm}"))
    }

    /// A good token of a realm.
    #[track_caller]
    pub(crate) fn token(&self, realm: &str) -> String {
        self.issuer(realm).token().sign()
    }

    /// A request of a realm's host with a token.
    pub(crate) async fn send(&self, realm: &str, token: &str) -> RawResponse {
        let response = self.connection().send(&request(realm, token)).await;
        response.unwrap_or_else(|e| panic!("{realm}: {e}\n{}", self.envoy.log()))
    }

    /// A connection with much patience.
    pub(crate) fn connection(&self) -> Connection {
        Connection::to(self.envoy.addr()).patience(IN_THE_END)
    }

    /// The token passes.
    pub(crate) async fn passes(&self, realm: &str, token: &str) {
        let before = self.upstream.requests();
        let response = self.send(realm, token).await;
        assert_eq!(response.status, 200, "{realm}: {}\n{}", response.text(), self.envoy.log());
        assert_eq!(self.upstream.requests(), before + 1, "{realm}");
    }

    /// The token passes at every worker, so that each of them knows its key from now on.
    pub(crate) async fn passes_everywhere(&self, realm: &str, token: &str) {
        let before = self.connections_of_workers().await;
        until("every worker has judged it", async || {
            self.passes(realm, token).await;
            let now = self.connections_of_workers().await;
            now.iter()
                .all(|(worker, connections)| before.iter().all(|old| old != &(worker.clone(), *connections)))
        })
        .await;
    }

    /// How many connections each worker has taken.
    async fn connections_of_workers(&self) -> Vec<(String, u64)> {
        let mut stats = self.envoy.stats_matching("listener.").await;
        stats.retain(|(name, _)| name.contains(".worker_") && name.ends_with(".downstream_cx_total"));
        assert!(!stats.is_empty(), "Envoy counts connections by worker");
        stats
    }

    /// The token is refused with this status, and the upstream hears nothing. Not to be used beside other requests.
    pub(crate) async fn refused(&self, realm: &str, token: &str, status: u16) {
        let before = self.upstream.requests();
        let response = self.send(realm, token).await;
        self.assert_refusal(realm, &response, status);
        assert_eq!(self.upstream.requests(), before, "{realm}: a refused request reached the upstream");
    }

    /// The answer is this refusal, complete.
    #[track_caller]
    pub(crate) fn assert_refusal(&self, realm: &str, response: &RawResponse, status: u16) {
        assert_eq!(response.status, status, "{realm}: {}\n{}", response.text(), self.envoy.log());
        if status == 503 {
            let retry: Option<u64> = response.header("retry-after").and_then(|value| value.parse().ok());
            assert!(retry.is_some_and(|seconds| (1..=3600).contains(&seconds)), "{realm}: {retry:?}");
            assert_eq!(response.header("www-authenticate"), None, "{realm}: nobody's credentials are wrong");
        }
    }

    /// In the end the token is answered with this status; until then it is answered with `meanwhile`, and never reaches the upstream.
    pub(crate) async fn comes_to(&self, realm: &str, token: &str, meanwhile: u16, status: u16) {
        let deadline = Instant::now() + IN_THE_END;
        loop {
            let before = self.upstream.requests();
            let response = self.send(realm, token).await;
            let reached = self.upstream.requests() - before;
            assert_eq!(reached, u64::from(response.status == 200), "{realm}: {}", response.text());
            if response.status == status {
                return;
            }
            assert_eq!(response.status, meanwhile, "{realm}: {}\n{}", response.text(), self.envoy.log());
            assert!(Instant::now() < deadline, "{realm} stays at {meanwhile}\n{}", self.envoy.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A metric of the filter.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        self.envoy.stat(&metric(name)).await.unwrap_or(0)
    }

    /// Waits until a metric of the filter is what it should be.
    pub(crate) async fn metric_comes_to(&self, name: &str, good: impl Fn(u64) -> bool) {
        until(&format!("{name} in {}", self.envoy.log()), async || good(self.metric(name).await)).await;
    }

    /// How many fetches of a realm have ended so: a slug, or `success`.
    pub(crate) async fn fetches(&self, realm: &str, result: &str) -> u64 {
        self.metric(&format!("{realm}.keys_fetch.{result}")).await
    }

    /// Waits until that many requests are in Envoy, neither answered nor forwarded.
    pub(crate) async fn active(&self, requests: u64) {
        let stat = "http.ingress.downstream_rq_active";
        until(stat, async || self.envoy.stat(stat).await == Some(requests)).await;
    }

    /// Nothing trapped, nothing crashed.
    pub(crate) fn assert_sound(&mut self) {
        assert!(self.envoy.is_running());
        let log = self.envoy.log();
        for complaint in ["panicked", "[critical]", "wasm_fail", "Function: proxy_"] {
            assert!(!log.contains(complaint), "{complaint}:\n{log}");
        }
    }
}

/// The host of a realm.
pub(crate) fn host(realm: &str) -> String {
    format!("{realm}.csp.com")
}

/// The cluster of a realm.
pub(crate) fn cluster(realm: &str) -> String {
    format!("keycloak_{realm}")
}

/// A metric of the filter, as Envoy names it.
pub(crate) fn metric(name: &str) -> String {
    format!("wasmcustom.portcullis.{name}")
}

/// A request of a realm's host with a token.
pub(crate) fn request(realm: &str, token: &str) -> Raw {
    Raw::get("/rest/x").host(host(realm)).bearer(token)
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + IN_THE_END;
    while !so().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
