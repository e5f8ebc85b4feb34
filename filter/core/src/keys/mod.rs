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

mod machine;
mod missing;
mod provider;
mod random;
mod record;

use std::time::Duration;

use crate::call::{CallError, HttpAnswer, HttpCall};
use crate::error::KeyError;
use crate::filter::Filter;
use crate::jose::verify::Key;
use crate::realm::RealmId;
use crate::time::Monotonic;

use machine::{IDLE_POLL, RealmKeys};
pub(crate) use provider::Provider;
use record::Record;

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
        if let Some(realm) = self.realm_mut(realm) {
            realm.want(kid, now);
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

#[cfg(test)]
mod tests;
