//! One round of one row: a fresh Envoy, a warm-up, a load, and whether it was the load that was meant.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use tokio::time::Instant;

use crate::config::{Setup, Surroundings};
use crate::load::{BEARER, CONNECTIONS, Load, Order, Report};
use crate::process;
use crate::profile::{self, Profile};
use crate::rows::{KNOWN, Row};
use crate::sessions::SESSIONS;
use crate::tokens::Store;
use crate::upstream::{Seen, Upstream};

/// The filter's word on who verifies signatures.
const HOST_VERIFIES: &str = "wasmcustom.portcullis.host_verifies";

/// What the rounds have in common.
pub(crate) struct Bench {
    pub(crate) around: Surroundings,
    pub(crate) upstream: Upstream,
    pub(crate) store: Store,
    /// The file of the sessions: the cookies of a browser a line.
    pub(crate) sessions: PathBuf,
    pub(crate) load: Load,
    /// Seconds that a load lasts at most.
    pub(crate) seconds: u64,
    /// Tokens that the warm-up may use up.
    pub(crate) warm: usize,
    /// Tokens of a set, those of the warm-up included.
    pub(crate) tokens: usize,
}

/// What a round gave.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Round {
    /// Processor time of the Envoy process for each request, user and system.
    pub(crate) cpu_us: f64,
    pub(crate) rps: f64,
    /// From the start of the process until the listener takes connections.
    pub(crate) start_ms: f64,
    pub(crate) load: Report,
    /// Where the time went, if that was asked for.
    pub(crate) profile: Option<Profile>,
}

impl Bench {
    /// Measures a row once; `samples`: profiled, and the file for it.
    #[expect(clippy::cast_precision_loss, reason = "the numbers of a few seconds")]
    pub(crate) async fn round(&self, row: &Row, samples: Option<&Path>) -> anyhow::Result<Round> {
        let begin = Instant::now();
        let envoy = row.setup.config(&self.around, 1)?.start().await?;
        let start = begin.elapsed();

        let (warm, lines) = match (row.setup, row.fresh) {
            (Setup::SessionForgetful, _) => ((1, SESSIONS), (1, SESSIONS)),
            (_, true) => ((1, self.warm), (self.warm + 1, self.tokens)),
            (_, false) => ((1, KNOWN), (1, KNOWN)),
        };
        let (field, credentials) = if row.setup.takes_sessions() {
            ("cookie: ", self.sessions.clone())
        } else {
            (BEARER, self.store.file(row.set))
        };
        let targets = row.setup.targets();
        let order = Order {
            to: envoy.addr(),
            field,
            credentials: &credentials,
            lines: warm,
            once: row.fresh,
            targets: &targets,
            seconds: 1,
        };
        self.load.run(&order).await.context("warm-up")?;

        let verifies = envoy.stat(HOST_VERIFIES).await.map(|gauge| gauge == 1);
        anyhow::ensure!(verifies == row.setup.host_verifies(), "the host verifies signatures: {verifies:?}");

        let recording = samples.map(|file| profile::record(envoy.pid(), self.seconds, file)).transpose()?;
        self.upstream.take();
        let before = process::cpu_seconds(envoy.pid())?;
        let load = self.load.run(&Order { lines, seconds: self.seconds, ..order }).await?;
        let used = process::cpu_seconds(envoy.pid())? - before;
        if let Err(error) = check(row, &load, self.upstream.take()) {
            let log = envoy.log();
            let end: Vec<&str> = log.lines().rev().take(3).collect();
            return Err(error.context(format!("Envoy's last words: {end:#?}")));
        }
        let profile = match recording.zip(samples) {
            Some((recording, file)) => Some(profile::read(recording, file).await?),
            None => None,
        };
        Ok(Round {
            profile,
            cpu_us: used * 1e6 / load.requests as f64,
            rps: load.requests as f64 * 1e6 / load.duration_us as f64,
            start_ms: start.as_secs_f64() * 1e3,
            load,
        })
    }
}

/// A load that was answered otherwise than it should have been measures something else.
fn check(row: &Row, load: &Report, seen: Seen) -> anyhow::Result<()> {
    anyhow::ensure!(load.requests > 0, "no request was answered");
    anyhow::ensure!(load.broken == 0, "{} requests got no answer", load.broken);
    // Those that were due in the turn in which wrk ran out of tokens.
    anyhow::ensure!(load.repeated <= u64::from(CONNECTIONS), "{} tokens were sent twice", load.repeated);
    let refused = if row.refuses() { load.requests } else { 0 };
    anyhow::ensure!(load.refused == refused, "{} of {} requests were refused", load.refused, load.requests);
    anyhow::ensure!(seen.with_credential == 0, "the upstream got {} credentials", seen.with_credential);
    let passed = seen.identified + seen.anonymous;
    if row.refuses() {
        anyhow::ensure!(passed == 0, "the upstream got {passed} requests that were to be refused");
    } else {
        // wrk does not count what is under way at its end.
        anyhow::ensure!(passed >= load.requests, "the upstream got {passed} of {} requests", load.requests);
        let wrong = if row.setup.identifies() { seen.anonymous } else { seen.identified };
        anyhow::ensure!(wrong == 0, "{wrong} requests reached the upstream with the wrong identity headers");
    }
    Ok(())
}
