//! What the workers of one Envoy share about a realm: who fetches, when the next fetch may be, and the
//! keys. It travels through the host's shared data, which is a cache and never the truth: a record that is
//! damaged, of another version or out of this world counts as none.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::provider::Provider;
use crate::realm::Realm;
use crate::time::{Monotonic, millis};

/// First retry after a failed fetch; doubles with each further failure.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Longest time between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_mins(1);
/// No lease and no back-off ends later than this from now; a record that says so is damaged.
const LONGEST_HOLD: Duration = Duration::from_mins(10);
/// Workers read the clock and then the record: another one may have written in between.
const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// The shared record of one realm. Times are those of the process-wide monotonic clock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The worker that fetches; 0: nobody.
    pub(super) holder: u64,
    /// Until then nobody else fetches: the end of the lease, or of the back-off where nobody holds it.
    pub(super) until: u64,
    /// Failed fetches since the last good one.
    pub(super) failures: u32,
    /// When a fetch was last begun because of an unknown key id.
    pub(super) refetched_at: Option<u64>,
    /// The keys of the last good fetch.
    pub(super) published: Option<Published>,
}

/// The outcome of a good fetch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Published {
    pub(super) fetched_at: u64,
    /// Learnt by discovery.
    pub(super) provider: Provider,
    /// The JWK Set as Keycloak sent it.
    pub(super) jwks: String,
}

impl Record {
    /// Reads shared bytes; nothing and nonsense are the empty record.
    pub(super) fn decode(bytes: &[u8], now: Monotonic) -> Self {
        let Some((digest, body)) = bytes.split_at_checked(DIGEST_BYTES) else { return Self::default() };
        if *digest != *Sha256::digest(body) {
            return Self::default();
        }
        let record: Self = serde_json::from_slice(body).unwrap_or_default();
        let latest = now.plus(CLOCK_SLACK);
        let from_the_future = record.until > latest.plus(LONGEST_HOLD).0
            || record.refetched_at.is_some_and(|at| at > latest.0)
            || record.published.as_ref().is_some_and(|published| published.fetched_at > latest.0);
        if from_the_future { Self::default() } else { record }
    }

    /// Writes the record with its checksum.
    pub(super) fn encode(&self) -> Vec<u8> {
        // A struct of numbers and strings always serialises.
        let body = serde_json::to_vec(self).unwrap_or_default();
        [Sha256::digest(&body).to_vec(), body].concat()
    }

    /// Whether somebody may be fetching at this moment.
    pub(super) const fn is_held(&self, now: Monotonic) -> bool {
        self.holder != 0 && now.0 < self.until
    }

    /// How long the next fetch must wait after a failed one.
    pub(super) fn backoff(&self, now: Monotonic) -> Option<Duration> {
        (self.holder == 0 && self.failures > 0 && now.0 < self.until)
            .then(|| Monotonic(self.until).since(now))
    }

    /// Hands the lease to a worker.
    pub(super) fn lease(&mut self, holder: u64, length: Duration, now: Monotonic) {
        self.holder = holder;
        self.until = now.plus(length.min(LONGEST_HOLD)).0;
    }

    /// Gives the lease back after a good fetch.
    pub(super) const fn succeed(&mut self, now: Monotonic) {
        self.holder = 0;
        self.until = now.0;
        self.failures = 0;
    }

    /// Gives the lease back after a failed fetch. `jitter` (0 to 255) spreads what many Envoys do.
    pub(super) fn fail(&mut self, jitter: u8, now: Monotonic) {
        let doubled = FIRST_BACKOFF.saturating_mul(2_u32.saturating_pow(self.failures.min(16)));
        let backoff = millis(doubled.min(LONGEST_BACKOFF));
        self.holder = 0;
        self.failures = self.failures.saturating_add(1);
        self.until = now.0.saturating_add(backoff - backoff / 4 * u64::from(jitter) / 255);
    }
}

/// Names the source of the keys and what makes an answer of it a good one, so that a changed configuration
/// starts with a record of its own: keys of another source are no keys, and a back-off that is owed to another
/// configuration holds nobody back.
pub(super) fn record_name(realm: &Realm, max_body_bytes: usize) -> String {
    let mut digest = Sha256::new();
    let jwks_path = realm.jwks_path.as_deref().unwrap_or_default();
    let algorithms: Vec<&str> = realm.algorithms.iter().map(|algorithm| algorithm.name()).collect();
    let source = [&realm.issuer, &realm.cluster, &realm.authority, &realm.discovery_path, jwks_path];
    for part in source.into_iter().chain([&*algorithms.join(" "), &*max_body_bytes.to_string()]) {
        // The same on every target: usize is narrower in WebAssembly, and the tests outside name the record, too.
        digest.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part);
    }
    format!("portcullis/2/keys/{}/{}", realm.name, URL_SAFE_NO_PAD.encode(digest.finalize()))
}

const DIGEST_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    fn record() -> Record {
        Record {
            holder: 7,
            until: 5_000,
            failures: 2,
            refetched_at: Some(900),
            published: Some(Published {
                fetched_at: 800,
                provider: Provider { jwks_path: "/certs".to_owned(), ..Provider::default() },
                jwks: "{}".to_owned(),
            }),
        }
    }

    const NOW: Monotonic = Monotonic(1_000);

    #[test]
    fn a_record_travels() {
        assert_eq!(Record::decode(&record().encode(), NOW), record());
    }

    #[test]
    fn a_damaged_record_counts_as_none() {
        let good = record().encode();
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            assert_eq!(Record::decode(&flipped, NOW), Record::default(), "bit in byte {at}");
            assert_eq!(Record::decode(&good[..at], NOW), Record::default(), "cut at {at}");
        }
        assert_eq!(Record::decode(&[good, vec![b' ']].concat(), NOW), Record::default());
    }

    #[test]
    fn a_record_from_the_future_counts_as_none() {
        for record in [
            Record { until: 2_000_000, ..record() },
            Record { refetched_at: Some(11_001), ..record() },
            Record {
                published: Some(Published {
                    fetched_at: 11_001,
                    provider: Provider::default(),
                    jwks: String::new(),
                }),
                ..record()
            },
        ] {
            assert_eq!(Record::decode(&record.encode(), NOW), Record::default());
        }
    }

    #[test]
    fn back_off_doubles_up_to_a_minute() {
        let mut record = Record::default();
        let mut waits = Vec::new();
        for _ in 0..9 {
            record.fail(0, NOW);
            waits.push(record.backoff(NOW).unwrap().as_secs());
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        record.fail(255, NOW);
        assert_eq!(record.backoff(NOW), Some(Duration::from_secs(45)));
        record.succeed(NOW);
        assert_eq!(record.backoff(NOW), None);
    }
}
