//! One realm's keys, as one worker knows them: the machine that `keys` draws.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::call::{CallError, HttpAnswer, HttpCall};
use crate::error::KeyError;
use crate::filter::Filter;
use crate::jose::jwk::KeySet;
use crate::realm::Realm;
use crate::time::Monotonic;

use super::missing::Missing;
use super::provider::Provider;
use super::random::Random;
use super::record::{Published, Record, record_name};
use super::{Absent, KeyEvent, Lookup};

/// How often a worker looks whether another one's fetch has ended while something waits for it.
pub(super) const BUSY_POLL: Duration = Duration::from_millis(20);
/// How often it looks otherwise; a key that another worker found withdrawn serves no longer than this.
pub(super) const IDLE_POLL: Duration = Duration::from_secs(1);
/// The host counts milliseconds in 32 bits, and a lease must outlast its two calls.
const LONGEST_CALL: Duration = Duration::from_mins(4);
/// What a lease allows beyond the deadlines of its two calls.
const LEASE_SLACK: Duration = Duration::from_secs(1);
/// Ids that a realm's fetch is held against; any of them gets it begun.
const MAX_WANTED: usize = 1024;

#[derive(Debug)]
pub(super) struct RealmKeys {
    realm: Arc<Realm>,
    /// Name of the shared record.
    pub(super) record_name: String,
    /// The record as last seen, without the published keys.
    record: Record,
    /// When the published keys were fetched, as last seen.
    seen: Option<u64>,
    pub(super) held: Option<Held>,
    /// Counts the changes of the keys; a fetch that brings the same ones is none.
    pub(super) version: u64,
    /// Learnt by discovery, or known without.
    provider: Option<Provider>,
    pub(super) fetch: Option<Fetch>,
    /// When the call under way was sent: what it brings is as old as that.
    asked_at: Monotonic,
    /// What a finished fetch has to tell the other workers.
    outcome: Option<Result<Published, KeyError>>,
    /// Key ids that requests wait for, and since when.
    pub(super) wanted: HashMap<String, Monotonic>,
    missing: Missing,
    refresh_at: Monotonic,
    random: Random,
    max_body_bytes: usize,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) keys: KeySet,
    pub(super) fetched_at: Monotonic,
    /// Configured, not fetched: any fetched set is better.
    bootstrap: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fetch {
    Discovery,
    JwkSet,
}

/// Why keys are fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Reason {
    /// There are none, or they are old.
    Age,
    /// A request names a key that is not among them.
    UnknownKid,
}

impl RealmKeys {
    pub(super) fn new(realm: &Arc<Realm>, filter: &Filter, seed: u64, now: Monotonic) -> Self {
        let held = realm.bootstrap.clone().map(|keys| Held { keys, fetched_at: now, bootstrap: true });
        Self {
            record_name: record_name(realm, filter.limits().max_jwks_bytes),
            record: Record::default(),
            seen: None,
            held,
            version: 0,
            provider: realm.jwks_path.clone().map(|path| Provider::conventional(&realm.issuer, path)),
            fetch: None,
            asked_at: now,
            outcome: None,
            wanted: HashMap::new(),
            missing: Missing::default(),
            refresh_at: now,
            random: Random::new(seed),
            max_body_bytes: filter.limits().max_jwks_bytes,
            realm: Arc::clone(realm),
        }
    }

    pub(super) fn usable(&self, now: Monotonic) -> Option<&KeySet> {
        let held = self.held.as_ref()?;
        (now.since(held.fetched_at) < self.realm.max_stale).then_some(&held.keys)
    }

    pub(super) fn find(&self, kid: &str, now: Monotonic) -> Lookup<'_> {
        let usable = self.usable(now);
        if let Some(key) = usable.and_then(|keys| keys.find(kid)) {
            return Lookup::Found(key);
        }
        if usable.is_some() && self.missing.holds(kid, now) {
            return Lookup::Unknown;
        }
        if self.is_busy(now) {
            return Lookup::Wait;
        }
        let cooldown = usable.and_then(|_| self.cooldown(now));
        match self.record.backoff(now).or(cooldown) {
            None => Lookup::Wait,
            Some(_) if self.record.failures == 0 && self.refetch_brought_keys() => Lookup::Unknown,
            Some(retry_after) => Lookup::Unavailable { retry_after },
        }
    }

    /// Whether somebody fetches at this moment.
    fn is_busy(&self, now: Monotonic) -> bool {
        self.fetch.is_some() || self.record.is_held(now)
    }

    pub(super) fn provider(&self, now: Monotonic) -> Result<&Provider, Absent> {
        match (&self.provider, self.record.backoff(now)) {
            (Some(provider), _) => Ok(provider),
            (None, Some(retry_after)) if !self.is_busy(now) => Err(Absent::Unavailable { retry_after }),
            (None, _) => Err(Absent::Wait),
        }
    }

    /// Whether the keys are those of the last refetch, or newer: it may have failed, or nobody ended it.
    fn refetch_brought_keys(&self) -> bool {
        self.held.as_ref().map(|held| held.fetched_at.0) >= self.record.refetched_at
    }

    /// Notes that a request waits for a key.
    pub(super) fn want(&mut self, kid: &str, now: Monotonic) {
        if self.wanted.len() < MAX_WANTED {
            self.wanted.entry(kid.to_owned()).or_insert(now);
        }
    }

    /// What is left of the time in which no unknown key id leads to a fetch.
    fn cooldown(&self, now: Monotonic) -> Option<Duration> {
        let end = Monotonic(self.record.refetched_at?).plus(self.realm.refetch_cooldown);
        (now < end).then(|| end.since(now))
    }

    pub(super) fn reason(&self, now: Monotonic) -> Option<Reason> {
        if self.usable(now).is_none() || now >= self.refresh_at {
            return Some(Reason::Age);
        }
        (!self.wanted.is_empty() && self.cooldown(now).is_none()).then_some(Reason::UnknownKid)
    }

    pub(super) fn observe(&mut self, mut record: Record, now: Monotonic) -> bool {
        self.seen = published_at(&record);
        let adopted = match record.published.take() {
            Some(published) if self.is_news(&published) => self.adopt(&published, now),
            _ => false,
        };
        let ended = self.record.holder != record.holder || self.record.failures != record.failures;
        self.record = record;
        if self.record.backoff(now).is_some() {
            self.wanted.clear();
        }
        adopted || ended
    }

    fn is_news(&self, published: &Published) -> bool {
        self.held.as_ref().is_none_or(|held| held.bootstrap || held.fetched_at.0 < published.fetched_at)
    }

    fn adopt(&mut self, published: &Published, now: Monotonic) -> bool {
        let Ok(keys) = KeySet::parse(&published.jwks, &self.realm.algorithms) else { return false };
        self.provider = Some(published.provider.clone());
        self.take(keys, Monotonic(published.fetched_at), now);
        true
    }

    /// Replaces the keys as a whole, and settles what waited for them. A set that was asked for before a key id
    /// was wanted says nothing of it: it may come from before a rotation. A miss holds from now, and not from
    /// when a slow Keycloak was asked.
    fn take(&mut self, keys: KeySet, fetched_at: Monotonic, now: Monotonic) {
        self.missing.forget(|kid| keys.find(kid).is_some());
        self.wanted.retain(|kid, _| keys.find(kid).is_none());
        for (kid, _) in self.wanted.extract_if(|_, since| *since <= fetched_at) {
            self.missing.note(kid, self.realm.refetch_cooldown, self.realm.refresh_interval, now);
        }
        // Up to a tenth early, so that the Envoys of a fleet do not ask all at once.
        let interval = self.realm.refresh_interval;
        let early = interval / 10 * u32::from(self.random.byte()) / 255;
        self.refresh_at = fetched_at.plus(interval.saturating_sub(early));
        if self.held.as_ref().is_none_or(|held| !held.keys.is_same(&keys)) {
            self.version += 1;
        }
        self.held = Some(Held { keys, fetched_at, bootstrap: false });
    }

    pub(super) fn claim(&self, mut record: Record, now: Monotonic) -> Option<Vec<u8>> {
        let reason = self.reason(now)?;
        if now.0 < record.until && (record.holder != 0 || record.failures > 0) {
            return None;
        }
        // A fetch ended after this worker looked: what it brought may be all that is needed.
        if published_at(&record) > self.seen {
            return None;
        }
        if reason == Reason::UnknownKid {
            record.refetched_at = Some(now.0);
        }
        record.lease(self.random.owner, self.realm.fetch_timeout.min(LONGEST_CALL) * 2 + LEASE_SLACK, now);
        Some(record.encode())
    }

    pub(super) fn begin(&mut self, now: Monotonic) -> HttpCall {
        if self.reason(now) == Some(Reason::UnknownKid) {
            self.record.refetched_at = Some(now.0);
        }
        // After a failure, whoever's it was, the path may have moved: discovery is asked again.
        let learnt = self.provider.as_ref().filter(|_| self.record.failures == 0);
        let (fetch, path) = match self.realm.jwks_path.as_ref().or(learnt.map(|known| &known.jwks_path)) {
            Some(path) => (Fetch::JwkSet, path.clone()),
            None => (Fetch::Discovery, self.realm.discovery_path.clone()),
        };
        self.fetch = Some(fetch);
        self.asked_at = now;
        self.call(path)
    }

    fn call(&self, path: String) -> HttpCall {
        HttpCall {
            cluster: self.realm.cluster.clone(),
            authority: self.realm.authority.clone(),
            path,
            form: None,
            timeout: self.realm.fetch_timeout.min(LONGEST_CALL),
            max_body_bytes: self.max_body_bytes,
        }
    }

    pub(super) fn answered(&mut self, answer: Result<HttpAnswer, CallError>, now: Monotonic) -> KeyEvent {
        let Some(fetch) = self.fetch.take() else { return KeyEvent::Stray };
        let body = answer.map_err(KeyError::from).and_then(|answer| match answer {
            HttpAnswer { body, .. } if body.len() > self.max_body_bytes => Err(KeyError::TooLarge),
            HttpAnswer { status: 200, body } => Ok(body),
            HttpAnswer { status: 500..=599, .. } => Err(KeyError::Unreachable),
            HttpAnswer { .. } => Err(KeyError::Status),
        });
        let result = match (fetch, body) {
            (_, Err(error)) => Err(error),
            (Fetch::Discovery, Ok(body)) => match Provider::parse(&body, &self.realm.issuer) {
                Ok(provider) => {
                    self.fetch = Some(Fetch::JwkSet);
                    self.asked_at = now;
                    let path = provider.jwks_path.clone();
                    self.provider = Some(provider);
                    return KeyEvent::Call(self.call(path));
                }
                Err(error) => Err(error),
            },
            (Fetch::JwkSet, Ok(body)) => self.read_jwk_set(&body),
        };
        match result {
            Ok((keys, jwks)) => {
                let (usable, dropped) = (keys.len(), keys.dropped());
                let asked_at = self.asked_at;
                // An answer may come so late that another worker's keys are newer.
                if self.held.as_ref().is_none_or(|held| held.bootstrap || held.fetched_at <= asked_at) {
                    self.take(keys, asked_at, now);
                }
                let provider = self.provider.clone().unwrap_or_default();
                self.outcome = Some(Ok(Published { fetched_at: asked_at.0, provider, jwks }));
                self.record.succeed(now);
                KeyEvent::Fetched { usable, dropped }
            }
            Err(error) => {
                self.wanted.clear();
                self.outcome = Some(Err(error));
                self.record.fail(self.random.byte(), now);
                KeyEvent::Failed(error)
            }
        }
    }

    fn read_jwk_set(&self, body: &[u8]) -> Result<(KeySet, String), KeyError> {
        let text = std::str::from_utf8(body).map_err(|_| KeyError::KeySet)?;
        let keys = KeySet::parse(text, &self.realm.algorithms).map_err(|_| KeyError::KeySet)?;
        Ok((keys, text.to_owned()))
    }

    pub(super) fn release(&self, mut record: Record, now: Monotonic) -> Option<Vec<u8>> {
        match self.outcome.as_ref()? {
            Ok(published) => {
                let newer =
                    record.published.as_ref().is_some_and(|other| other.fetched_at > published.fetched_at);
                if !newer {
                    record.published = Some(published.clone());
                }
                if record.holder == self.random.owner || record.holder == 0 {
                    record.succeed(now);
                }
            }
            // Whoever lost its lease in the meantime has no word in what comes next.
            Err(_) if record.holder != self.random.owner => return None,
            Err(_) => {
                record.holder = 0;
                record.failures = self.record.failures.max(record.failures.saturating_add(1));
                record.until = self.record.until;
            }
        }
        Some(record.encode())
    }

    pub(super) fn next_round(&self, now: Monotonic) -> Duration {
        let others = !self.wanted.is_empty() && self.record.is_held(now);
        if self.fetch.is_some() || !(others || self.reason(now).is_some()) {
            return IDLE_POLL.min(Monotonic(self.refresh_at.0).since(now).max(BUSY_POLL));
        }
        match self.record.backoff(now) {
            Some(backoff) => backoff.clamp(BUSY_POLL, IDLE_POLL),
            None => BUSY_POLL,
        }
    }
}

fn published_at(record: &Record) -> Option<u64> {
    record.published.as_ref().map(|published| published.fetched_at)
}
