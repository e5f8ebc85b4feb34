//! An Envoy with the filter before an upstream, and what becomes of one request.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_tests::client::{Raw, RawResponse};
use portcullis_tests::envoy::Envoy;
use portcullis_tests::upstream::Seen;
use portcullis_tests::{EnvoyConfig, Upstream};
use serde_json::json;
use tokio::time::Instant;

use crate::servers::Servers;

/// The host of the customers' portal.
pub(crate) const SELFCARE: &str = "selfcare.csp.com";
/// The host of the administrators.
pub(crate) const ADMIN: &str = "admin.csp.com";
/// A path of the customers that wants the client role `billing`.
pub(crate) const INVOICES: &str = "/rest/Invoice/get_invoice_list";
/// A path of the customers that wants a recent second factor.
pub(crate) const SIM: &str = "/rest/Sim/swap";
/// A path of the customers that wants the realm role `customer`.
pub(crate) const ACCOUNT: &str = "/rest/Account/get_account_info";

/// How long a test waits for what must happen in the end. Nothing is asserted about how long it takes.
pub(crate) const IN_THE_END: Duration = Duration::from_mins(2);

/// Where Envoy's metrics of the filter begin.
const METRICS: &str = "wasmcustom.portcullis.";

/// An Envoy and what is behind it.
pub(crate) struct Edge {
    pub(crate) envoy: Envoy,
    upstream: Upstream,
}

/// What came of a request.
pub(crate) struct Outcome {
    pub(crate) response: RawResponse,
    /// What the filter counted meanwhile: `customers.denied.token_issuer`.
    counted: Vec<String>,
    seen: Option<Seen>,
    log: String,
}

impl Edge {
    /// `envoy/two-realms.yaml` before these servers.
    pub(crate) async fn of(servers: &Servers) -> Self {
        Self::with(servers, |config| config).await
    }

    /// The same with a change. Patience is the one thing in which it differs from the file: this machine starts servers meanwhile.
    pub(crate) async fn with(servers: &Servers, change: impl FnOnce(EnvoyConfig) -> EnvoyConfig) -> Self {
        let upstream = Upstream::start().await;
        let config = EnvoyConfig::file("two-realms.yaml")
            .cluster("keycloak_customers", servers.customers.addr())
            .cluster("keycloak_admins", servers.admins.addr())
            .cluster("upstream", upstream.addr())
            .edit_plugin(|plugin| {
                plugin["realms"]["admins"]["issuer"] = json!(servers.admins.issuer("admins"));
                for realm in ["customers", "admins"] {
                    plugin["realms"][realm]["keys"]["fetch_timeout"] = json!("8s");
                }
                plugin["limits"] = json!({"wait_timeout": "8s"});
            });
        let envoy = change(config).start().await.unwrap_or_else(|e| panic!("{e}"));
        Self { envoy, upstream }
    }

    /// Asks for a path with a token. One request at a time: everything that is counted meanwhile is taken for its own.
    pub(crate) async fn ask(&self, host: &str, path: &str, token: &str) -> Outcome {
        self.send(&Raw::get(path).host(host).bearer(token)).await
    }

    /// Sends a request.
    pub(crate) async fn send(&self, request: &Raw) -> Outcome {
        let (before, requests) = (self.verdicts().await, self.upstream.requests());
        let response = request.send(self.envoy.addr()).await;
        let response = response.unwrap_or_else(|e| panic!("no answer: {e}\n{}", self.envoy.log()));
        let seen = (self.upstream.requests() > requests).then(|| self.upstream.last()).flatten();
        let mut counted = Vec::new();
        for (name, count) in self.verdicts().await {
            let times = count - before.get(&name).copied().unwrap_or(0);
            counted.extend((0..times).map(|_| name.clone()));
        }
        Outcome { response, counted, seen, log: self.envoy.log() }
    }

    /// Asks until the answer has this status; up to then each has `meanwhile`.
    pub(crate) async fn comes_to(
        &self,
        (host, path): (&str, &str),
        token: &str,
        meanwhile: u16,
        status: u16,
    ) -> Outcome {
        let deadline = Instant::now() + IN_THE_END;
        loop {
            let outcome = self.ask(host, path, token).await;
            if outcome.response.status == status {
                return outcome;
            }
            assert_eq!(outcome.response.status, meanwhile, "{}", outcome.context());
            assert!(Instant::now() < deadline, "it stays at {meanwhile}: {}", outcome.context());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// A counter or gauge of the filter.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        self.envoy.stat(&format!("{METRICS}{name}")).await.unwrap_or(0)
    }

    /// Waits until a counter of the filter is at least so high.
    pub(crate) async fn metric_reaches(&self, name: &str, at_least: u64) {
        let what = format!("{name} reaches {at_least}");
        until(&what, async || self.metric(name).await >= at_least).await;
    }

    /// How often the filter allowed and denied what.
    async fn verdicts(&self) -> BTreeMap<String, u64> {
        let stats = self.envoy.stats_matching(METRICS).await.into_iter();
        let named = stats.filter_map(|(name, count)| Some((name.strip_prefix(METRICS)?.to_owned(), count)));
        named.filter(|(name, _)| name.contains(".denied.") || name.contains(".allowed.")).collect()
    }
}

impl Outcome {
    /// It was forwarded because of its token; returns what the upstream saw.
    #[track_caller]
    pub(crate) fn forwarded(&self, realm: &str) -> &Seen {
        let expected = format!("{realm}.allowed.token");
        assert_eq!((self.response.status, &*self.counted), (200, &[expected][..]), "{}", self.context());
        self.seen.as_ref().expect("the upstream saw it")
    }

    /// It was refused for this reason, which client, metrics and log tell alike, and the upstream saw nothing. Returns the challenge.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, realm: &str, reason: &str) -> String {
        let expected = format!("{realm}.denied.{reason}");
        assert_eq!((self.response.status, &*self.counted), (status, &[expected][..]), "{}", self.context());
        assert_eq!(self.seen, None, "a refused request reached the upstream");
        let line = format!("refused status={status} reason={reason} realm=\"{realm}\"");
        assert!(self.log.contains(&line), "no line {line:?}: {}", self.context());
        self.response.header("www-authenticate").unwrap_or_default()
    }

    fn context(&self) -> String {
        let lines: Vec<&str> = self.log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
        format!("counted {:?}\nanswer: {}\nlog:\n{end}", self.counted, self.response.text())
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, so: impl AsyncFn() -> bool) {
    let deadline = Instant::now() + IN_THE_END;
    while !so().await {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
