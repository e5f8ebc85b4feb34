//! The keys of every realm, as a timed state machine without I/O.
//!
//! ```text
//! Empty ─claim→ Discovery ─ok→ JwkSet ─ok→ Fresh(until refresh) ─due→ JwkSet (old keys serve) ─ok→ Fresh
//!   └───────────── failure → back-off (1 s, x2, at most 60 s; old keys serve until max_stale) ─┘
//! ```
//!
//! Every worker has a store of its own, and one of them fetches for all: whoever puts its name into the
//! shared [`record`] by compare-and-swap. The others adopt what it publishes. The adapter drives the store:
//! `observe` the record; where `is_due`, `claim` it; `begin`, and `answered` until the fetch has ended;
//! `release` the record.

mod missing;
mod provider;
mod random;
mod record;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::call::{CallError, HttpAnswer, HttpCall};
use crate::error::KeyError;
use crate::filter::Filter;
use crate::jose::jwk::KeySet;
use crate::jose::verify::Key;
use crate::realm::{Realm, RealmId};
use crate::time::Monotonic;

use missing::Missing;
pub(crate) use provider::Provider;
use random::Random;
use record::{Published, Record, record_name};

/// How often a worker looks whether another one's fetch has ended while something waits for it.
const BUSY_POLL: Duration = Duration::from_millis(20);
/// How often it looks otherwise; a key that another worker found withdrawn serves no longer than this.
const IDLE_POLL: Duration = Duration::from_secs(1);
/// The host counts milliseconds in 32 bits, and a lease must outlast its two calls.
const LONGEST_CALL: Duration = Duration::from_mins(4);
/// What a lease allows beyond the deadlines of its two calls.
const LEASE_SLACK: Duration = Duration::from_secs(1);
/// Ids that a realm's fetch is held against; any of them gets it begun.
const MAX_WANTED: usize = 1024;

/// The keys of all realms, as one worker knows them.
#[derive(Debug)]
pub struct KeyStore {
    realms: Vec<RealmKeys>,
}

/// What an answer led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyEvent {
    /// The next call of the same fetch.
    Call(HttpCall),
    /// The fetch brought keys.
    Fetched {
        /// Keys that can verify.
        usable: usize,
        /// Entries that were left out.
        dropped: usize,
    },
    /// The fetch failed; what was there stays.
    Failed(KeyError),
    /// Nobody asked.
    Stray,
}

/// What is known of a key id.
#[derive(Debug)]
pub(crate) enum Lookup<'k> {
    /// The key.
    Found(&'k Key),
    /// A fetch is under way, or may be begun, that can tell.
    Wait,
    /// Looked for lately, and not there.
    Unknown,
    /// It cannot be told at this time.
    Unavailable { retry_after: Duration },
}

/// Why a realm's endpoints are not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absent {
    /// A fetch is under way, or about to begin.
    Wait,
    /// Keycloak cannot be reached at this time.
    Unavailable { retry_after: Duration },
}

#[derive(Debug)]
struct RealmKeys {
    realm: Arc<Realm>,
    /// Name of the shared record.
    record_name: String,
    /// The record as last seen, without the published keys.
    record: Record,
    /// When the published keys were fetched, as last seen.
    seen: Option<u64>,
    held: Option<Held>,
    /// Counts the changes of the keys; a fetch that brings the same ones is none.
    version: u64,
    /// Learnt by discovery, or known without.
    provider: Option<Provider>,
    fetch: Option<Fetch>,
    /// When the call under way was sent: what it brings is as old as that.
    asked_at: Monotonic,
    /// What a finished fetch has to tell the other workers.
    outcome: Option<Result<Published, KeyError>>,
    /// Key ids that requests wait for, and since when.
    wanted: HashMap<String, Monotonic>,
    missing: Missing,
    refresh_at: Monotonic,
    random: Random,
    max_body_bytes: usize,
}

#[derive(Debug)]
struct Held {
    keys: KeySet,
    fetched_at: Monotonic,
    /// Configured, not fetched: any fetched set is better.
    bootstrap: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetch {
    Discovery,
    JwkSet,
}

impl KeyStore {
    /// A store for the filter's realms. `seed` tells this worker from the others and spreads its timing; it
    /// need not be secret.
    pub fn new(filter: &Filter, seed: u64, now: Monotonic) -> Self {
        let realms = filter.realms().iter().map(|realm| RealmKeys::new(realm, filter, seed, now)).collect();
        Self { realms }
    }

    /// The realms, for the adapter's rounds.
    pub fn realms(&self) -> impl Iterator<Item = RealmId> + use<> {
        (0..self.realms.len()).map(RealmId)
    }

    /// Name under which the realm's record is shared. It follows from the realm's name, from where its keys
    /// come from and from what is asked of them, so that another configuration never takes over keys of another
    /// source, nor the failures of this one.
    pub fn record_name(&self, realm: RealmId) -> Option<&str> {
        self.realm(realm).map(|realm| realm.record_name.as_str())
    }

    /// An empty record, to be put where there is none: compare-and-swap is atomic only on what exists.
    pub fn seed_record() -> Vec<u8> {
        Record::default().encode()
    }

    /// Takes in the shared record. `true`: something changed for requests that wait.
    pub fn observe(&mut self, realm: RealmId, shared: &[u8], now: Monotonic) -> bool {
        self.realm_mut(realm).is_some_and(|realm| realm.observe(Record::decode(shared, now), now))
    }

    /// Whether this worker should try to `claim` a fetch.
    pub fn is_due(&self, realm: RealmId, now: Monotonic) -> bool {
        self.realm(realm).is_some_and(|realm| realm.reason(now).is_some() && realm.fetch.is_none())
    }

    /// The record with this worker as holder of the lease, to be swapped for `shared`; `None` where another
    /// worker holds it, or a back-off lasts.
    pub fn claim(&self, realm: RealmId, shared: &[u8], now: Monotonic) -> Option<Vec<u8>> {
        self.realm(realm)?.claim(Record::decode(shared, now), now)
    }

    /// Begins the fetch that was claimed.
    pub fn begin(&mut self, realm: RealmId, now: Monotonic) -> Option<HttpCall> {
        self.realm_mut(realm).map(|realm| realm.begin(now))
    }

    /// Takes in the answer to the realm's call. Unless it leads to another call, `release` follows.
    pub fn answered(
        &mut self,
        realm: RealmId,
        answer: Result<HttpAnswer, CallError>,
        now: Monotonic,
    ) -> KeyEvent {
        self.realm_mut(realm).map_or(KeyEvent::Stray, |realm| realm.answered(answer, now))
    }

    /// The record with the outcome of the fetch, to be swapped for `shared`; `None` where there is nothing
    /// to tell.
    pub fn release(&self, realm: RealmId, shared: &[u8], now: Monotonic) -> Option<Vec<u8>> {
        self.realm(realm)?.release(Record::decode(shared, now), now)
    }

    /// Notes that a request waits for a key.
    pub fn want(&mut self, realm: RealmId, kid: &str, now: Monotonic) {
        if let Some(realm) = self.realm_mut(realm)
            && realm.wanted.len() < MAX_WANTED
        {
            realm.wanted.entry(kid.to_owned()).or_insert(now);
        }
    }

    /// When the adapter should make its next round, at the latest.
    pub fn next_round(&self, now: Monotonic) -> Duration {
        self.realms.iter().map(|realm| realm.next_round(now)).min().unwrap_or(IDLE_POLL)
    }

    /// Age of the realm's keys and how many they are; `None` where there are none.
    pub fn age(&self, realm: RealmId, now: Monotonic) -> Option<(Duration, usize)> {
        let held = self.realm(realm)?.held.as_ref()?;
        Some((now.since(held.fetched_at), held.keys.len()))
    }

    /// A number that changes with the realm's keys; `None` where there are none that may be used.
    pub(crate) fn version(&self, realm: RealmId, now: Monotonic) -> Option<u64> {
        let realm = self.realm(realm)?;
        realm.usable(now).map(|_| realm.version)
    }

    /// Finds a key, or what can be said of it.
    pub(crate) fn find(&self, realm: RealmId, kid: &str, now: Monotonic) -> Lookup<'_> {
        self.realm(realm).map_or(Lookup::Unknown, |realm| realm.find(kid, now))
    }

    /// Where the realm's endpoints are.
    ///
    /// # Errors
    /// They are not known yet.
    pub(crate) fn provider(&self, realm: RealmId, now: Monotonic) -> Result<&Provider, Absent> {
        self.realm(realm).map_or(Err(Absent::Wait), |realm| realm.provider(now))
    }

    fn realm(&self, realm: RealmId) -> Option<&RealmKeys> {
        self.realms.get(realm.0)
    }

    fn realm_mut(&mut self, realm: RealmId) -> Option<&mut RealmKeys> {
        self.realms.get_mut(realm.0)
    }
}

/// Why keys are fetched.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reason {
    /// There are none, or they are old.
    Age,
    /// A request names a key that is not among them.
    UnknownKid,
}

impl RealmKeys {
    fn new(realm: &Arc<Realm>, filter: &Filter, seed: u64, now: Monotonic) -> Self {
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

    fn usable(&self, now: Monotonic) -> Option<&KeySet> {
        let held = self.held.as_ref()?;
        (now.since(held.fetched_at) < self.realm.max_stale).then_some(&held.keys)
    }

    fn find(&self, kid: &str, now: Monotonic) -> Lookup<'_> {
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

    fn provider(&self, now: Monotonic) -> Result<&Provider, Absent> {
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

    /// What is left of the time in which no unknown key id leads to a fetch.
    fn cooldown(&self, now: Monotonic) -> Option<Duration> {
        let end = Monotonic(self.record.refetched_at?).plus(self.realm.refetch_cooldown);
        (now < end).then(|| end.since(now))
    }

    fn reason(&self, now: Monotonic) -> Option<Reason> {
        if self.usable(now).is_none() || now >= self.refresh_at {
            return Some(Reason::Age);
        }
        (!self.wanted.is_empty() && self.cooldown(now).is_none()).then_some(Reason::UnknownKid)
    }

    fn observe(&mut self, mut record: Record, now: Monotonic) -> bool {
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

    fn claim(&self, mut record: Record, now: Monotonic) -> Option<Vec<u8>> {
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

    fn begin(&mut self, now: Monotonic) -> HttpCall {
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

    fn answered(&mut self, answer: Result<HttpAnswer, CallError>, now: Monotonic) -> KeyEvent {
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

    fn release(&self, mut record: Record, now: Monotonic) -> Option<Vec<u8>> {
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

    fn next_round(&self, now: Monotonic) -> Duration {
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

#[cfg(test)]
mod tests;
