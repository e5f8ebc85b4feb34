//! Counters and gauges, defined when first used: `portcullis.<realm>.<what>`. Realm names and reasons are
//! the only words in a name; nothing that a client sends is.

use std::collections::HashMap;
use std::sync::Arc;

use portcullis_core::{Conclusion, Decision, Ground, KeyEvent, Permit};
use proxy_wasm::hostcalls;
use proxy_wasm::types::MetricType;

/// Stands in a metric's name where a request belongs to no realm.
const NO_SITE: &str = "no_site";

/// The ids of the metrics that were used so far.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// Of forwarded requests, by realm: what every good request counts is found without making its name.
    allowed: HashMap<Arc<str>, [Option<u32>; GROUNDS.len()]>,
    /// The others, by name.
    ids: HashMap<String, u32>,
}

/// Why a request may pass, as a metric's name says it.
const GROUNDS: [&str; 4] = ["public", "legacy", "token", "session"];

impl Metrics {
    /// Counts a decision by realm and ground or reason.
    pub(crate) fn decided(&mut self, decision: &Decision) {
        match decision {
            Decision::Forward { permit, .. } => self.allowed(permit),
            Decision::Reply { refusal, .. } => {
                let realm = refusal.realm.as_deref().unwrap_or(NO_SITE);
                self.count(realm, &format!("denied.{}", refusal.denial.slug()));
            }
            Decision::Answer { notice, .. } => self.count(&notice.realm, notice.what),
        }
    }

    fn allowed(&mut self, permit: &Permit) {
        let ground = match permit.ground {
            Ground::Public => 0,
            Ground::Legacy(_) => 1,
            Ground::Token(_) => 2,
            Ground::Session(_) => 3,
        };
        let known = self.allowed.get(&permit.realm).and_then(|ids| ids.get(ground).copied().flatten());
        let id = known.or_else(|| {
            let what = format!("allowed.{}", GROUNDS.get(ground)?);
            let id = self.id(MetricType::Counter, &permit.realm, &what)?;
            let ids = self.allowed.entry(Arc::clone(&permit.realm)).or_default();
            *ids.get_mut(ground)? = Some(id);
            Some(id)
        });
        if let Some(id) = id {
            let _ = hostcalls::increment_metric(id, 1);
        }
    }

    /// Counts the end of a fetch by realm and result.
    pub(crate) fn fetched(&mut self, realm: &str, event: &KeyEvent) {
        match event {
            KeyEvent::Fetched { .. } => self.count(realm, "keys_fetch.success"),
            KeyEvent::Failed(error) => self.count(realm, &format!("keys_fetch.{}", error.slug())),
            KeyEvent::Call(_) | KeyEvent::Stray => {}
        }
    }

    /// Shows how old a realm's keys are, and how many.
    pub(crate) fn keys(&mut self, realm: &str, age_seconds: u64, usable: usize) {
        self.show(realm, "keys_age_seconds", age_seconds);
        self.show(realm, "keys_usable", u64::try_from(usable).unwrap_or(u64::MAX));
    }

    /// Shows how many requests wait for keys in this worker.
    pub(crate) fn waiting(&mut self, realm: &str, requests: usize) {
        self.show(realm, "requests_waiting", u64::try_from(requests).unwrap_or(u64::MAX));
    }

    /// Shows how many accepted tokens this worker remembers, and what they are counted with.
    pub(crate) fn remembered(&mut self, tokens: usize, bytes: usize) {
        self.show("tokens_remembered", "count", u64::try_from(tokens).unwrap_or(u64::MAX));
        self.show("tokens_remembered", "bytes", u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Shows whether the host verifies signatures (1), or the filter itself (0).
    pub(crate) fn host_verifies(verifies: bool) {
        if let Ok(id) = hostcalls::define_metric(MetricType::Gauge, "portcullis.host_verifies") {
            let _ = hostcalls::record_metric(id, u64::from(verifies));
        }
    }

    /// Counts what PortaBilling said of a login.
    pub(crate) fn concluded(&mut self, conclusion: &Conclusion) {
        self.count(&conclusion.realm, conclusion.what);
    }

    fn count(&mut self, realm: &str, what: &str) {
        if let Some(id) = self.id(MetricType::Counter, realm, what) {
            let _ = hostcalls::increment_metric(id, 1);
        }
    }

    fn show(&mut self, realm: &str, what: &str, value: u64) {
        if let Some(id) = self.id(MetricType::Gauge, realm, what) {
            let _ = hostcalls::record_metric(id, value);
        }
    }

    fn id(&mut self, kind: MetricType, realm: &str, what: &str) -> Option<u32> {
        let name = format!("portcullis.{realm}.{what}");
        if let Some(id) = self.ids.get(&name) {
            return Some(*id);
        }
        let id = hostcalls::define_metric(kind, &name).ok()?;
        self.ids.insert(name, id);
        Some(id)
    }
}
