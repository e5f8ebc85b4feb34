//! What the requests of one worker share with its root context: configuration, keys, and the requests that
//! wait.

use std::collections::BTreeMap;
use std::time::Duration;

use portcullis_core::{
    AcceptedTokens, Decision, Env, Exchange, Filter, Input, KeyEvent, KeyStore, Knowledge, Monotonic, Need,
    RealmId, Step,
};
use proxy_wasm::types::Action;

use crate::host;
use crate::metrics::Metrics;

/// Soonest next tick of the root context.
const SOON: Duration = Duration::from_millis(1);

/// The state of one plugin in one worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) filter: Filter,
    pub(crate) keys: KeyStore,
    accepted: AcceptedTokens,
    /// Requests that wait, by context id.
    waiting: BTreeMap<u32, Waiting>,
    /// When the root context ticks next.
    next_tick: Monotonic,
    metrics: Metrics,
}

#[derive(Debug)]
struct Waiting {
    exchange: Exchange,
    realm: RealmId,
    deadline: Monotonic,
}

impl Worker {
    pub(crate) fn new(filter: Filter, keys: KeyStore) -> Self {
        Self {
            accepted: AcceptedTokens::new(&filter),
            filter,
            keys,
            waiting: BTreeMap::new(),
            next_tick: Monotonic::default(),
            metrics: Metrics::default(),
        }
    }

    /// Judges the request of the current context.
    pub(crate) fn judge(&mut self, context: u32) -> Action {
        let headers = host::request_headers();
        let source = if self.filter.needs_source() { host::source_address() } else { None };
        let env = host::env();
        let step = Exchange::start(&mut self.knowledge(env), &headers, source);
        self.settle(context, step, env, false)
    }

    /// A request has ended; if it waited, nobody does any more.
    pub(crate) fn forget(&mut self, context: u32) {
        self.waiting.remove(&context);
    }

    /// Resumes the requests that wait for a realm whose keys changed, and those that waited for too long.
    pub(crate) fn resume(&mut self, changed: &[RealmId], env: Env) {
        let ready: Vec<(u32, Input)> = self
            .waiting
            .iter()
            .filter_map(|(context, waiting)| match waiting {
                Waiting { deadline, .. } if *deadline <= env.monotonic => Some((*context, Input::Deadline)),
                Waiting { realm, .. } if changed.contains(realm) => Some((*context, Input::KeysChanged)),
                Waiting { .. } => None,
            })
            .collect();
        for (context, input) in ready {
            let Some(waiting) = self.waiting.remove(&context) else { continue };
            // A context that is gone must not leave another one in its place.
            if host::enter(context) {
                let step = waiting.exchange.resume(&mut self.knowledge(env), input);
                self.settle_again(context, step, env, waiting.deadline);
            }
        }
    }

    /// Takes in the end of a fetch.
    pub(crate) fn fetched(&mut self, realm: &str, event: &KeyEvent) {
        self.metrics.fetched(realm, event);
    }

    /// Brings the gauges up to date.
    pub(crate) fn show(&mut self, now: Monotonic) {
        let (tokens, bytes) = self.accepted.size();
        self.metrics.remembered(tokens, bytes);
        for (realm, name) in self.filter.realm_names() {
            if let Some((age, usable)) = self.keys.age(realm, now) {
                self.metrics.keys(name, age.as_secs(), usable);
            }
            self.metrics
                .waiting(name, self.waiting.values().filter(|waiting| waiting.realm == realm).count());
        }
    }

    /// Has the root context tick when it has something to do, at the latest.
    pub(crate) fn schedule(&mut self, now: Monotonic) {
        let deadlines = self.waiting.values().map(|waiting| waiting.deadline.since(now));
        let next = deadlines.chain([self.keys.next_round(now)]).min().unwrap_or_default().max(SOON);
        self.next_tick = now.plus(next);
        host::tick_after(next);
    }

    /// Has it tick at once. A tick that is near already is left alone: to set it anew is to put it off.
    fn hurry(&mut self, now: Monotonic) {
        let soon = now.plus(SOON);
        if self.next_tick > soon {
            self.next_tick = soon;
            host::tick_after(SOON);
        }
    }

    const fn knowledge(&mut self, env: Env) -> Knowledge<'_> {
        Knowledge { filter: &self.filter, keys: &self.keys, accepted: &mut self.accepted, env }
    }

    fn settle(&mut self, context: u32, step: Step, env: Env, paused: bool) -> Action {
        let deadline = env.monotonic.plus(self.filter.limits().wait_timeout);
        match step {
            Step::Done(decision) => self.perform(&decision, paused),
            Step::Wait(exchange, Need::Keys(realm, kid)) => {
                let waiting = self.waiting.values().filter(|waiting| waiting.realm == realm).count();
                if waiting >= self.filter.limits().waiting_requests {
                    let step = exchange.resume(&mut self.knowledge(env), Input::Overflow);
                    return self.settle(context, step, env, paused);
                }
                self.keys.want(realm, &kid, env.monotonic);
                self.waiting.insert(context, Waiting { exchange, realm, deadline });
                self.hurry(env.monotonic);
                Action::Pause
            }
        }
    }

    /// As `settle`, for a request that has waited already: a further wait ends when the first would have.
    fn settle_again(&mut self, context: u32, step: Step, env: Env, deadline: Monotonic) {
        match step {
            Step::Wait(exchange, Need::Keys(realm, kid)) => {
                self.keys.want(realm, &kid, env.monotonic);
                self.waiting.insert(context, Waiting { exchange, realm, deadline });
            }
            done @ Step::Done(_) => {
                self.settle(context, done, env, true);
            }
        }
    }

    fn perform(&mut self, decision: &Decision, paused: bool) -> Action {
        self.metrics.decided(decision);
        if let Decision::Reply { refusal, reply } = decision {
            let level = if reply.status == 503 { log::Level::Warn } else { log::Level::Info };
            log::log!(level, "{refusal}");
        }
        host::perform(decision, paused)
    }
}
