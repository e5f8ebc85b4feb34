//! What the workers share of logins with a password: which tokens came of them, and how many failed.
//!
//! Both are tables of a fixed number of buckets in shared data, so that they are bounded; everything in them ends, and
//! tokens, logins and sources are named there by keyed hashes only. The key is made at random when an Envoy starts. It is
//! this Envoy's alone: after a restart, whoever signed in with a password does so again.

use std::net::IpAddr;
use std::time::Duration;

use crate::bucket::put;
use crate::seal::{KEY_BYTES, KeyRing, SealingKey};
use crate::secret::Secret;
use crate::time::UnixTime;

/// The shared bytes that hold the key.
pub(crate) const KEY: &str = "portcullis/1/legacy/key";
/// Buckets of a table. Each must be there from the start: compare-and-swap is atomic only on what exists.
const BUCKETS: u8 = 64;
/// Entries of a bucket.
const MOST_ENTRIES: usize = 64;
/// The first byte of a bucket.
const FORM: u8 = 1;
/// A name, a value and a time.
const ENTRY_BYTES: usize = 40;

/// A keyed hash of what it names.
pub(crate) type Name = [u8; 16];

/// How many logins may fail.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempts {
    /// From one source under one name.
    pub(crate) per_login: u32,
    /// From one source.
    pub(crate) per_source: u32,
    /// In this time.
    pub(crate) window: Duration,
}

/// Gives names to what must not stand in shared data in the clear.
#[derive(Clone, Debug)]
pub(crate) struct Names(KeyRing);

/// One login from one source, by their names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Attempt {
    source: Name,
    pair: Name,
}

/// What shared bytes become.
#[derive(Debug)]
pub struct Change {
    /// Name of the bytes.
    pub name: String,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    /// A token came of a login.
    Remember { token: Name, login: Name, until: UnixTime },
    /// An attempt did not fail after all.
    TakeBack(Attempt),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    name: Name,
    /// The login of a token; or a count, in the last bytes.
    value: Name,
    until: UnixTime,
}

/// Names of the tables' buckets.
pub(crate) fn buckets() -> impl Iterator<Item = String> {
    (0..BUCKETS)
        .flat_map(|at| ["tokens", "attempts"].map(|table| format!("portcullis/1/legacy/{table}/{at}")))
}

fn bucket(table: &str, name: Name) -> String {
    format!("portcullis/1/legacy/{table}/{}", name[0] % BUCKETS)
}

impl Names {
    /// Reads the key.
    pub(crate) fn read(shared: &[u8]) -> Option<Self> {
        let key: [u8; KEY_BYTES] = shared.try_into().ok()?;
        Some(Self(KeyRing::new(vec![SealingKey { id: String::new(), key: Secret::new(key) }])))
    }

    pub(crate) fn login(&self, login: &str) -> Name {
        self.of("login", login)
    }

    /// Where it stands whether a token was seen.
    pub(crate) fn bucket_of_token(&self, token: &str) -> String {
        bucket("tokens", self.of("token", token))
    }

    /// The login that a token came of, if it was seen.
    pub(crate) fn login_of_token(&self, token: &str, shared: &[u8], now: UnixTime) -> Option<Name> {
        let name = self.of("token", token);
        decode(shared, now).iter().find(|entry| entry.name == name).map(|entry| entry.value)
    }

    /// That a token came of a login.
    pub(crate) fn remember(&self, token: &str, login: Name, until: UnixTime) -> Change {
        let token = self.of("token", token);
        Change { name: bucket("tokens", token), kind: Kind::Remember { token, login, until } }
    }

    /// Of an IPv6 source only the network counts: whoever has one address has 2^64.
    pub(crate) fn attempt(&self, source: Option<IpAddr>, login: &str) -> Attempt {
        let source = match source.map(|source| source.to_canonical()) {
            None => String::new(),
            Some(IpAddr::V4(source)) => source.to_string(),
            Some(IpAddr::V6(source)) => format!("{:x?}", source.segments().split_at(4).0),
        };
        Attempt { source: self.of("source", &source), pair: self.of(&format!("pair {source}"), login) }
    }

    fn of(&self, purpose: &str, text: &str) -> Name {
        self.0.hashes(purpose, text).next().unwrap_or_default()
    }
}

impl Attempt {
    /// Where it is counted.
    pub(crate) fn bucket(&self) -> String {
        bucket("attempts", self.source)
    }

    /// Counts it; `Err`: there were too many, and this is how long to wait.
    pub(crate) fn count(&self, most: Attempts, shared: &[u8], now: UnixTime) -> Result<Vec<u8>, Duration> {
        let mut entries = decode(shared, now);
        let both = [(self.pair, most.per_login), (self.source, most.per_source)];
        for (name, most) in both {
            if let Some(entry) = entries.iter().find(|entry| entry.name == name && entry.count() >= most) {
                return Err(Duration::from_secs(entry.until.0.saturating_sub(now.0)));
            }
        }
        for (name, _) in both {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.name == name) {
                entry.set_count(entry.count() + 1);
            } else {
                // What was counted least gives way: a flood of names cannot clear the count of one.
                let entry = Entry::counting(name, 1, now.plus(most.window));
                put(&mut entries, MOST_ENTRIES, entry, |entry| (entry.count(), entry.until));
            }
        }
        Ok(encode(&entries))
    }

    /// That it did not fail.
    pub(crate) fn take_back(self) -> Change {
        Change { name: self.bucket(), kind: Kind::TakeBack(self) }
    }
}

impl Change {
    /// The bytes as they become.
    pub fn apply(&self, shared: &[u8], now: UnixTime) -> Vec<u8> {
        let mut entries = decode(shared, now);
        match self.kind {
            Kind::Remember { token, login, until } => {
                entries.retain(|entry| entry.name != token);
                let entry = Entry { name: token, value: login, until };
                put(&mut entries, MOST_ENTRIES, entry, |entry| entry.until);
            }
            Kind::TakeBack(Attempt { source, pair }) => {
                // The failures before it stay: what is no failure need not be a success, and not every call checks a password.
                for entry in entries.iter_mut().filter(|entry| [source, pair].contains(&entry.name)) {
                    entry.set_count(entry.count().saturating_sub(1));
                }
            }
        }
        encode(&entries)
    }
}

impl Entry {
    fn counting(name: Name, count: u32, until: UnixTime) -> Self {
        let mut entry = Self { name, value: Name::default(), until };
        entry.set_count(count);
        entry
    }

    fn count(&self) -> u32 {
        self.value.first_chunk().map_or(0, |count| u32::from_be_bytes(*count))
    }

    fn set_count(&mut self, count: u32) {
        if let Some(slot) = self.value.first_chunk_mut() {
            *slot = count.to_be_bytes();
        }
    }
}

/// What a bucket begins with: the host cannot tell bytes that are empty from none.
pub(crate) fn empty_bucket() -> Vec<u8> {
    encode(&[])
}

/// Reads shared bytes without what has ended. Nonsense names nothing.
fn decode(shared: &[u8], now: UnixTime) -> Vec<Entry> {
    let shared = shared.get(1..).unwrap_or_default();
    let entry = |bytes: &[u8]| {
        let (name, rest) = bytes.split_first_chunk()?;
        let (value, rest) = rest.split_first_chunk()?;
        let until = UnixTime(u64::from_be_bytes(*rest.first_chunk()?));
        Some(Entry { name: *name, value: *value, until })
    };
    let entries = shared.chunks_exact(ENTRY_BYTES).filter_map(entry);
    entries.filter(|entry| now < entry.until).take(MOST_ENTRIES).collect()
}

fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = vec![FORM];
    for Entry { name, value, until } in entries {
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(&until.0.to_be_bytes());
    }
    bytes
}
