//! Memory of a VM.
//!
//! A VM costs more than its linear memory: the isolate, its heap, what the host keeps for it. So the process is weighed as a whole. An
//! Envoy has a VM for each worker and one for the main thread, and they share the compiled module. What one more worker adds to an Envoy
//! with the filter, less what it adds to one without, is a VM; what is left of the difference between the two is there once.
//!
//! Weighed is the anonymous part of the resident memory: which pages of Envoy's own file happen to be there says nothing.

use std::time::Duration;

use anyhow::Context as _;
use portcullis_tests::Envoy;
use serde::Serialize;

use crate::config::Setup;
use crate::load::{BEARER, Order};
use crate::measure::Bench;
use crate::process;
use crate::progress;
use crate::rows::KNOWN;
use crate::stats::Spread;
use crate::tokens::Set;

/// How many workers the larger Envoy has more than the smaller one.
const MORE_WORKERS: u32 = 8;
/// VMs of an Envoy with one worker: the worker's and the main thread's.
const VMS: f64 = 2.0;
/// Time for keys to arrive and for the start's garbage to go.
const SETTLE: Duration = Duration::from_secs(2);

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    /// A VM, configured, with keys, before its first request.
    pub(crate) idle: Spread,
    /// A VM after more tokens than its cache takes.
    pub(crate) full_cache: Spread,
    /// WebAssembly linear memory, part of the above.
    pub(crate) idle_linear: u64,
    /// The same after the tokens.
    pub(crate) full_cache_linear: u64,
    /// Tokens that were sent to fill the cache.
    pub(crate) tokens_sent: u64,
    /// What the filter adds to an Envoy once, however many workers there are: the compiled module.
    pub(crate) once: Spread,
    /// The same for the filter that does nothing: the engine.
    pub(crate) once_noop: Spread,
}

/// An Envoy that has served no request.
struct Idle {
    one_worker: f64,
    another_worker: f64,
}

impl Idle {
    /// What a filter adds for each VM.
    fn vm(&self, without: &Self) -> f64 {
        self.another_worker - without.another_worker
    }

    /// What a filter adds once.
    fn once(&self, without: &Self) -> f64 {
        self.one_worker - without.one_worker - VMS * self.vm(without)
    }
}

/// A worker before and after the tokens.
struct Filled {
    growth: f64,
    linear_before: u64,
    linear_after: u64,
    sent: u64,
}

impl Bench {
    /// Weighs a VM so many times. `large`: how many large tokens there are to fill the cache with, after the ordinary ones.
    pub(crate) async fn memory(&self, rounds: usize, large: usize) -> anyhow::Result<Memory> {
        let (mut idle, mut full, mut once, mut once_noop) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut last = None;
        let step = progress::step("memory of a VM", rounds);
        for _ in 0..rounds {
            let without = self.idle(Setup::None).await?;
            let noop = self.idle(Setup::Noop).await?;
            let with = self.idle(Setup::Portcullis).await?;
            let filled = self.fill(large).await?;
            idle.push(with.vm(&without));
            full.push(with.vm(&without) + filled.growth);
            once.push(with.once(&without));
            once_noop.push(noop.once(&without));
            last = Some(filled);
            step.count(());
        }
        step.done();
        let none = "no round";
        let last = last.context(none)?;
        Ok(Memory {
            idle: Spread::of(idle).context(none)?,
            full_cache: Spread::of(full).context(none)?,
            idle_linear: last.linear_before,
            full_cache_linear: last.linear_after,
            tokens_sent: last.sent,
            once: Spread::of(once).context(none)?,
            once_noop: Spread::of(once_noop).context(none)?,
        })
    }

    async fn idle(&self, setup: Setup) -> anyhow::Result<Idle> {
        let weigh = async |workers| {
            let envoy = setup.config(&self.around, workers)?.start().await?;
            tokio::time::sleep(SETTLE).await;
            weigh(&envoy)
        };
        let one_worker = weigh(1).await?;
        let more_workers = weigh(1 + MORE_WORKERS).await?;
        Ok(Idle { one_worker, another_worker: (more_workers - one_worker) / f64::from(MORE_WORKERS) })
    }

    /// Sends every token there is to the one worker of an Envoy.
    async fn fill(&self, large: usize) -> anyhow::Result<Filled> {
        let envoy = Setup::Portcullis.config(&self.around, 1)?.start().await?;
        tokio::time::sleep(SETTLE).await;
        let linear_before = largest_linear(&envoy)?;
        // First what a worker needs to work at all: connections, buffers, optimised code.
        self.send(&envoy, Set::Rs256, KNOWN, false, 2).await?;
        let before = weigh(&envoy)?;
        let mut sent = self.send(&envoy, Set::Rs256, self.tokens, true, 8).await?;
        if large > 0 {
            sent += self.send(&envoy, Set::Large, large, true, 8).await?;
        }
        let growth = weigh(&envoy)? - before;
        Ok(Filled { growth, linear_before, linear_after: largest_linear(&envoy)?, sent })
    }

    async fn send(
        &self,
        envoy: &Envoy,
        set: Set,
        count: usize,
        once: bool,
        seconds: u64,
    ) -> anyhow::Result<u64> {
        let (tokens, targets) = (self.store.file(set), Setup::Portcullis.targets());
        let order = Order {
            to: envoy.addr(),
            field: BEARER,
            credentials: &tokens,
            lines: (1, count),
            once,
            targets: &targets,
            seconds,
        };
        let load = self.load.run(&order).await?;
        let failed = load.refused + load.broken;
        anyhow::ensure!(failed == 0, "{failed} requests failed; Envoy's log:\n{}", envoy.log());
        Ok(load.requests)
    }
}

#[expect(clippy::cast_precision_loss, reason = "no process has so much memory")]
fn weigh(envoy: &Envoy) -> anyhow::Result<f64> {
    process::anonymous_bytes(envoy.pid()).map(|bytes| bytes as f64)
}

fn largest_linear(envoy: &Envoy) -> anyhow::Result<u64> {
    Ok(process::linear_memories(envoy.pid())?.into_iter().max().unwrap_or(0))
}
