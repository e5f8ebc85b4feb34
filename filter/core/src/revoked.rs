//! Sessions that were logged out before their tokens expire: by Keycloak over the back channel, or by the user.
//!
//! One record a realm, in shared data: each worker keeps a copy and looks several times a second whether it has
//! changed. It is bounded, each entry ends when no token could bear its session any more, and it holds keyed hashes
//! only. It is this Envoy's alone (ADR 0012).

use std::collections::HashMap;

use sha2::{Digest as _, Sha256};

use crate::filter::Filter;
use crate::jose::claims::{Claim, Claims};
use crate::oidc::Login;
use crate::oidc::logout_token::{Ended, LogoutToken};
use crate::realm::{Realm, RealmId};
use crate::time::UnixTime;

/// Entries of a realm; the one that ends first gives way.
const MOST_ENTRIES: usize = 8_192;
const DIGEST_BYTES: usize = 32;
const ENTRY_BYTES: usize = 32;

/// The lists of all realms, as one worker knows them.
#[derive(Debug, Default)]
pub struct Revoked {
    realms: Vec<List>,
}

#[derive(Debug, Default)]
struct List {
    entries: HashMap<Name, Entry>,
    /// The record that they were read from, as the host counts its changes.
    seen: Option<u32>,
    /// Counts the changes.
    version: u64,
}

/// A keyed hash of what it names.
type Name = [u8; 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// When it ends.
    until: UnixTime,
    /// Tokens that were issued after this are none of its business.
    issued: UnixTime,
}

impl Revoked {
    /// Lists for the filter's realms, which know nothing yet.
    pub fn new(filter: &Filter) -> Self {
        Self { realms: filter.realms().iter().map(|_| List::default()).collect() }
    }

    /// Takes in the shared record, unless it is the one that was seen last. `version`: the host's count.
    pub fn observe(&mut self, realm: RealmId, shared: &[u8], version: Option<u32>, now: UnixTime) {
        let Some(list) = self.realms.get_mut(realm.0) else { return };
        if list.seen == version && version.is_some() {
            return;
        }
        list.seen = version;
        let entries = decode(shared, now);
        if entries != list.entries {
            list.entries = entries;
            list.version += 1;
        }
    }

    /// A number that changes with the realm's list.
    pub(crate) fn version(&self, realm: RealmId) -> u64 {
        self.realms.get(realm.0).map_or(0, |list| list.version)
    }

    /// Whether a token's session, or its user at that time, was logged out.
    pub(crate) fn holds(&self, realm: &Realm, claims: &Claims, now: UnixTime) -> bool {
        let text = |name: &str| match claims.string(name) {
            Claim::Is(text) => Some(text),
            Claim::Absent | Claim::Wrong => None,
        };
        let issued = match claims.time("iat") {
            Claim::Is(iat) => UnixTime(iat),
            Claim::Absent | Claim::Wrong => UnixTime(0),
        };
        self.holds_session(realm, text("sid"), text("sub"), issued, now)
    }

    /// The same for a session's own record.
    pub(crate) fn holds_session(
        &self,
        realm: &Realm,
        sid: Option<&str>,
        subject: Option<&str>,
        issued: UnixTime,
        now: UnixTime,
    ) -> bool {
        let Some(login) = &realm.login else { return false };
        let Some(list) = self.realms.get(realm.id.0).filter(|list| !list.entries.is_empty()) else {
            return false;
        };
        let named = |purpose: &str, text: Option<&str>| {
            text.is_some_and(|text| {
                login.keys.hashes(purpose, text).any(|name| {
                    list.entries.get(&name).is_some_and(|entry| now < entry.until && issued <= entry.issued)
                })
            })
        };
        named("sid", sid) || named("sub", subject)
    }
}

/// Name of a realm's record.
pub(crate) fn record_name(realm: &Realm) -> String {
    format!("portcullis/1/revoked/{}", realm.name)
}

/// What a record begins with.
pub(crate) fn empty_record() -> Vec<u8> {
    encode(&HashMap::new())
}

/// The record with an accepted logout token in it; `None`: it was received before.
pub(crate) fn receive(
    (realm, login): (&Realm, &Login),
    token: &LogoutToken,
    shared: &[u8],
    now: UnixTime,
) -> Option<Vec<u8>> {
    let mut entries = decode(shared, now);
    if login.keys.hashes("jti", &token.jti).any(|name| entries.contains_key(&name)) {
        return None;
    }
    let replay = Entry { until: token.until, issued: UnixTime(0) };
    put(&mut entries, login, ("jti", &token.jti), replay);
    let (name, issued) = match &token.ended {
        Ended::Session(sid) => (("sid", sid.as_str()), UnixTime(u64::MAX)),
        Ended::Subject(subject, before) => (("sub", subject.as_str()), *before),
    };
    put(&mut entries, login, name, Entry { until: until(realm, login, now), issued });
    Some(encode(&entries))
}

/// The record with a session of Keycloak's in it that the user has ended.
pub(crate) fn end((realm, login): (&Realm, &Login), sid: &str, shared: &[u8], now: UnixTime) -> Vec<u8> {
    let mut entries = decode(shared, now);
    // Keycloak may keep its session all the same, and a later login then bears the same `sid`.
    let entry = Entry { until: until(realm, login, now), issued: now };
    put(&mut entries, login, ("sid", sid), entry);
    encode(&entries)
}

/// When no token and no session of before can count any more.
fn until(realm: &Realm, login: &Login, now: UnixTime) -> UnixTime {
    now.plus(realm.max_token_lifetime.max(login.session.absolute)).plus(realm.clock_skew)
}

fn put(entries: &mut HashMap<Name, Entry>, login: &Login, (purpose, text): (&str, &str), entry: Entry) {
    let Some(name) = login.keys.hashes(purpose, text).next() else { return };
    if entries.len() >= MOST_ENTRIES && !entries.contains_key(&name) {
        let first = entries.iter().min_by_key(|(_, entry)| entry.until).map(|(name, _)| *name);
        first.and_then(|name| entries.remove(&name));
    }
    entries.insert(name, entry);
}

/// Reads shared bytes without what has ended; nothing and nonsense are the empty list.
fn decode(shared: &[u8], now: UnixTime) -> HashMap<Name, Entry> {
    let Some((digest, body)) = shared.split_at_checked(DIGEST_BYTES) else { return HashMap::new() };
    if *digest != *Sha256::digest(body) {
        return HashMap::new();
    }
    let entry = |bytes: &[u8]| {
        let (name, times) = bytes.split_first_chunk::<16>()?;
        let (until, issued) = times.split_first_chunk::<8>()?;
        let issued = issued.first_chunk::<8>()?;
        let time = |bytes: &[u8; 8]| UnixTime(u64::from_be_bytes(*bytes));
        Some((*name, Entry { until: time(until), issued: time(issued) }))
    };
    let entries = body.chunks_exact(ENTRY_BYTES).filter_map(entry);
    entries.filter(|(_, entry)| now < entry.until).take(MOST_ENTRIES).collect()
}

fn encode(entries: &HashMap<Name, Entry>) -> Vec<u8> {
    let mut body = Vec::with_capacity(entries.len() * ENTRY_BYTES);
    for (name, entry) in entries {
        body.extend_from_slice(name);
        body.extend_from_slice(&entry.until.0.to_be_bytes());
        body.extend_from_slice(&entry.issued.0.to_be_bytes());
    }
    [Sha256::digest(&body).to_vec(), body].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{NOW, compile, realm, test, two_realms_json};

    fn filter() -> Filter {
        let mut document = two_realms_json();
        document["realms"]["customers"]["login"] = json!({
            "client_id": "selfcare-ui",
            "cookie_keys": [{"id": "k1", "inline": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}],
        });
        compile(&document)
    }

    #[test]
    fn a_full_list_gives_up_what_ends_first() {
        let filter = filter();
        let realm = realm(&filter, "customers");
        let login = realm.login.as_ref().unwrap();
        let mut entries = HashMap::new();
        let sessions = u64::try_from(MOST_ENTRIES).unwrap() + 2;
        for n in 0..sessions {
            let entry = Entry { until: NOW.plus(std::time::Duration::from_secs(n + 1)), issued: NOW };
            put(&mut entries, login, ("sid", &n.to_string()), entry);
        }
        assert_eq!(entries.len(), MOST_ENTRIES);
        let mut revoked = Revoked::new(&filter);
        revoked.observe(realm.id, &encode(&entries), Some(1), NOW);
        let holds = |n: u64| revoked.holds_session(&realm, Some(&n.to_string()), None, NOW, NOW);
        assert!(!holds(0) && !holds(1), "the first two to end gave way");
        assert!(holds(2) && holds(sessions - 1));
    }

    #[test]
    fn a_record_that_is_damaged_holds_nothing() {
        let filter = filter();
        let realm = realm(&filter, "customers");
        let login = realm.login.as_ref().unwrap();
        let good = end((&realm, login), "s", &empty_record(), NOW);
        let holds = |record: &[u8]| {
            let mut revoked = Revoked::new(&filter);
            revoked.observe(realm.id, record, Some(1), NOW);
            revoked.holds_session(&realm, Some("s"), None, NOW, NOW)
        };
        assert!(holds(&good));
        for at in 0..good.len() {
            let mut flipped = good.clone();
            flipped[at] ^= 1;
            assert!(!holds(&flipped) && !holds(&good[..at]), "byte {at}");
        }
    }
}
