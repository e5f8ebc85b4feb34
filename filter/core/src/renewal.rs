//! Renewals: one token call for a session, however many of its requests arrive together in however many workers.
//!
//! ```text
//! absent ─lease→ Held(until) ─┬─issued──→ Issued   (for GRACE: parallel tabs still bring the old cookie)
//!                             ├─refused─→ Over     (for GRACE: nobody asks Keycloak again)
//!                             ├─failed──→ Failed   (for PAUSE: the session goes on, or waits out the outage)
//!                             └─holder died: until passes, the next one takes the lease
//! ```
//!
//! The entries stand in shared data, in a fixed number of buckets, so that they are bounded. Sessions are named there
//! by keyed hashes, and tokens are sealed.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::bucket;
use crate::entropy::Entropy;
use crate::oidc::{Login, binding};
use crate::realm::Realm;
use crate::session::Session;
use crate::time::Monotonic;

/// How long a renewed session stands for the one before it.
const GRACE: Duration = Duration::from_mins(1);
/// Time between two tries while Keycloak does not answer.
const PAUSE: Duration = Duration::from_secs(2);
/// What a lease allows beyond the deadline of its call.
const LEASE_SLACK: Duration = Duration::from_secs(1);
/// How soon a request looks again whether another one has renewed its session.
pub(crate) const POLL: Duration = Duration::from_millis(20);
/// Buckets of a realm. Each must be there from the start: compare-and-swap is atomic only on what exists.
const BUCKETS: u8 = 255;
/// Entries of a bucket. The one that ends first gives way, and a lease last: whoever holds it is asking Keycloak.
const MOST_ENTRIES: usize = 16;
const PURPOSE: &str = "renewal";

/// What is known of a session's renewal.
#[derive(Debug)]
pub(crate) enum Renewal {
    /// Nobody has begun one: this bucket would say that we have.
    Free(Vec<u8>),
    /// Somebody is at it.
    Busy,
    /// This is what it brought.
    Issued(Box<Session>),
    /// The session is over.
    Over,
    /// Keycloak did not answer lately.
    Failed,
}

/// How a renewal ended.
#[derive(Debug)]
pub(crate) enum Outcome<'s> {
    Issued(&'s Session),
    Over,
    Failed,
}

#[derive(Debug, Default, Serialize, Deserialize)]
struct Bucket(Vec<Entry>);

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    /// Keyed hash of the session's name.
    name: String,
    /// When the entry ends, by the clock that the workers share.
    until: u64,
    state: State,
}

#[derive(Debug, Serialize, Deserialize)]
enum State {
    Held,
    /// The next generation, sealed.
    Issued(String),
    Over,
    Failed,
}

/// Names of a realm's buckets.
pub(crate) fn buckets(realm: &Realm) -> impl Iterator<Item = String> {
    (0..BUCKETS).map(|at| bucket_name(realm, at))
}

/// What a bucket begins with.
pub(crate) fn empty_bucket() -> Vec<u8> {
    Bucket::default().encode()
}

/// The bucket of a session.
pub(crate) fn bucket(realm: &Realm, login: &Login, session: &Session) -> String {
    let hash = login.keys.hashes(PURPOSE, &session.id).next().unwrap_or_default();
    bucket_name(realm, hash[0] % BUCKETS)
}

fn bucket_name(realm: &Realm, at: u8) -> String {
    format!("portcullis/1/renewals/{}/{at}", realm.name)
}

/// Reads what a bucket says of a session.
pub(crate) fn read(
    (realm, login): (&Realm, &Login),
    session: &Session,
    shared: &[u8],
    now: Monotonic,
) -> Renewal {
    let mut bucket = Bucket::decode(shared, now);
    let name = entry_name(login, session);
    match bucket.0.iter().find(|entry| entry.name == name).map(|entry| &entry.state) {
        Some(State::Held) => Renewal::Busy,
        Some(State::Over) => Renewal::Over,
        Some(State::Failed) => Renewal::Failed,
        Some(State::Issued(sealed)) => match open(realm, login, sealed) {
            Some(renewed) => Renewal::Issued(Box::new(renewed)),
            // Damaged, or the keys are others: it cannot be had again.
            None => Renewal::Failed,
        },
        None => {
            let until = now.plus(login.timeout).plus(LEASE_SLACK).0;
            bucket.put(Entry { name, until, state: State::Held });
            Renewal::Free(bucket.encode())
        }
    }
}

/// The bucket with the outcome of a session's renewal.
pub(crate) fn conclude(
    (realm, login): (&Realm, &Login),
    session: &Session,
    outcome: &Outcome<'_>,
    shared: &[u8],
    now: Monotonic,
    entropy: &mut Entropy,
) -> Vec<u8> {
    let (state, lasts) = match outcome {
        Outcome::Issued(renewed) => {
            // Strings and numbers always serialise.
            let plain = serde_json::to_vec(renewed).unwrap_or_default();
            let sealed = login.keys.seal(binding(PURPOSE, &realm.name, ""), &plain, entropy);
            (State::Issued(sealed), GRACE)
        }
        Outcome::Over => (State::Over, GRACE),
        Outcome::Failed => (State::Failed, PAUSE),
    };
    let mut bucket = Bucket::decode(shared, now);
    bucket.put(Entry { name: entry_name(login, session), until: now.plus(lasts).0, state });
    bucket.encode()
}

fn open(realm: &Realm, login: &Login, sealed: &str) -> Option<Session> {
    let plain = login.keys.open(binding(PURPOSE, &realm.name, ""), sealed)?;
    serde_json::from_slice(&plain).ok()
}

fn entry_name(login: &Login, session: &Session) -> String {
    URL_SAFE_NO_PAD.encode(login.keys.hashes(PURPOSE, &session.name()).next().unwrap_or_default())
}

impl Bucket {
    /// Reads shared bytes without what has ended; nothing and nonsense are the empty bucket.
    fn decode(shared: &[u8], now: Monotonic) -> Self {
        let mut bucket: Self = serde_json::from_slice(shared).unwrap_or_default();
        bucket.0.retain(|entry| now.0 < entry.until);
        bucket
    }

    fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    fn put(&mut self, entry: Entry) {
        self.0.retain(|known| known.name != entry.name);
        let end = |entry: &Entry| (matches!(entry.state, State::Held), entry.until);
        bucket::put(&mut self.0, MOST_ENTRIES, entry, end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    fn entry(name: usize, until: u64, state: State) -> Entry {
        Entry { name: name.to_string(), until, state }
    }

    /// Two requests would use one refresh token, and Keycloak would end the session.
    #[test]
    fn a_full_bucket_gives_up_outcomes_before_leases() {
        let mut bucket = Bucket::default();
        bucket.put(entry(0, 6, State::Held));
        for name in 1..100 {
            bucket.put(entry(name, 60, State::Issued(String::new())));
        }
        assert_eq!(bucket.0.len(), MOST_ENTRIES);
        assert!(bucket.0.iter().any(|entry| entry.name == "0"), "the lease is still held");
        // Leases alone are bounded, too.
        for name in 100..200 {
            bucket.put(entry(name, 6, State::Held));
        }
        assert_eq!(bucket.0.len(), MOST_ENTRIES);
    }
}
