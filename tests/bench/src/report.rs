//! What a run found out.

pub(crate) mod chart;
pub(crate) mod markdown;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::measure::Round;
use crate::memory::Memory;
use crate::profile::Profile;
use crate::rows::Row;
use crate::stats::Spread;

/// A whole run: `target/bench/report.json`.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) command: String,
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    pub(crate) module_bytes: u64,
    pub(crate) memory: Option<Memory>,
    pub(crate) rows: Vec<Outcome>,
    pub(crate) targets: Vec<Target>,
}

/// Where it ran.
#[derive(Serialize)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) envoy: String,
    pub(crate) load_generator: String,
    /// The commit, with `-dirty` where files differ from it.
    pub(crate) commit: String,
    /// Processes that wanted to run before the benchmark did.
    pub(crate) load_before: f32,
}

/// How it ran.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Settings {
    pub(crate) rounds: usize,
    pub(crate) seconds: u64,
    pub(crate) tokens: usize,
    pub(crate) warm_up_tokens: usize,
    pub(crate) connections: u32,
}

/// A row with its rounds.
#[derive(Serialize)]
pub(crate) struct Outcome {
    #[serde(flatten)]
    pub(crate) row: Row,
    pub(crate) rounds: Vec<Round>,
    /// Why a round counts for nothing; the row is then not measured at all.
    pub(crate) error: Option<String>,
    pub(crate) summary: Option<Summary>,
    /// Where the time of one more round went.
    pub(crate) profile: Option<Profile>,
}

/// The medians of a row.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Summary {
    pub(crate) cpu_us: Spread,
    pub(crate) rps: Spread,
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) start_ms: Spread,
}

/// A promise and how it is kept.
#[derive(Serialize)]
pub(crate) struct Target {
    pub(crate) what: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) limit: f64,
    /// Absent when a row that it needs was not measured.
    pub(crate) value: Option<f64>,
    pub(crate) met: Option<bool>,
}

impl Outcome {
    pub(crate) fn new(row: Row) -> Self {
        Self { row, rounds: Vec::new(), error: None, summary: None, profile: None }
    }

    /// Takes in a round.
    pub(crate) fn add(&mut self, round: Round) {
        self.rounds.push(round);
        self.summary = self.summarise();
    }

    /// Gives the row up.
    pub(crate) fn fail(&mut self, error: &anyhow::Error) {
        self.error = Some(error.root_cause().to_string());
        self.summary = None;
    }

    #[expect(clippy::cast_precision_loss, reason = "microseconds of a few seconds")]
    fn summarise(&self) -> Option<Summary> {
        let spread = |figure: fn(&Round) -> f64| Spread::of(self.rounds.iter().map(figure));
        Some(Summary {
            cpu_us: spread(|round| round.cpu_us)?,
            rps: spread(|round| round.rps)?,
            p50_us: spread(|round| round.load.p50_us as f64)?,
            p99_us: spread(|round| round.load.p99_us as f64)?,
            start_ms: spread(|round| round.start_ms)?,
        })
    }
}

impl Report {
    fn cpu(&self, key: &str) -> Option<f64> {
        let outcome = self.rows.iter().find(|outcome| outcome.row.key == key)?;
        Some(outcome.summary?.cpu_us.median)
    }

    /// Compares the figures with what was promised.
    #[expect(clippy::cast_precision_loss, reason = "no module or VM is so large")]
    pub(crate) fn judge(&mut self) {
        let ratio = |of: &str, to: &str| Some(self.cpu(of)? / self.cpu(to)?);
        let over = |of: &str, to: &str| Some(self.cpu(of)? - self.cpu(to)?);
        let mebibytes = |spread: Option<Spread>| Some(spread?.median / f64::from(1 << 20));
        let memory = self.memory.as_ref();
        let met = |what, limit, unit, value: Option<f64>, below: fn(&f64, &f64) -> bool| Target {
            what,
            unit,
            limit,
            value,
            met: value.map(|value| below(&value, &limit)),
        };
        self.targets = vec![
            met(
                "new token, RS256: Portcullis / jwt_authn + rbac without cache",
                0.85,
                "",
                ratio("portcullis_new", "native_new"),
                f64::le,
            ),
            met(
                "token seen before: Portcullis / jwt_authn with cache + rbac",
                1.0,
                "",
                ratio("portcullis_hit", "native_hit"),
                f64::le,
            ),
            met(
                "token seen before: Portcullis - no filter",
                10.0,
                "µs",
                over("portcullis_hit", "none"),
                f64::lt,
            ),
            met(
                "seen before: session / bearer token",
                1.3,
                "",
                ratio("portcullis_session_hit", "portcullis_hit"),
                f64::le,
            ),
            met(
                "new: session / bearer token",
                1.3,
                "",
                ratio("portcullis_session_new", "portcullis_new"),
                f64::le,
            ),
            met(
                "bad signature: Portcullis / jwt_authn + rbac",
                1.0,
                "",
                ratio("portcullis_refused", "native_refused"),
                f64::le,
            ),
            met("10,000 rules / 10 rules", 1.1, "", ratio("rules_10000", "rules_10"), f64::le),
            met("1,000 hosts / 1 host", 1.1, "", ratio("hosts_1000", "hosts_1"), f64::le),
            met(
                "memory of a VM, configured and idle",
                6.0,
                "MiB",
                mebibytes(memory.map(|m| m.idle)),
                f64::lt,
            ),
            met("memory of a VM, cache full", 16.0, "MiB", mebibytes(memory.map(|m| m.full_cache)), f64::lt),
            met("module", 900.0, "kB", Some(self.module_bytes as f64 / 1e3), f64::lt),
        ];
    }

    /// The medians in the form that `--json` promises. What was not measured is not there.
    pub(crate) fn summary(&self) -> Value {
        let figures = |figure: fn(&Summary) -> f64| -> BTreeMap<&str, f64> {
            let measured = self.rows.iter().filter_map(|o| Some((o.row.key, figure(o.summary.as_ref()?))));
            measured.collect()
        };
        let mut memory = Map::new();
        if let Some(measured) = &self.memory {
            memory.insert("idle".into(), measured.idle.median.into());
            memory.insert("full_cache".into(), measured.full_cache.median.into());
        }
        json!({
            "cpu_us_per_request": figures(|summary| summary.cpu_us.median),
            "rps": figures(|summary| summary.rps.median),
            "p99_us": figures(|summary| summary.p99_us.median),
            "memory_bytes": memory,
            "module_bytes": self.module_bytes,
        })
    }
}
