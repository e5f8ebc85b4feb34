//! What the workers of one Envoy share about logins: who renews a session, and which sessions were logged out.

use std::sync::Arc;

use crate::filter::Filter;
use crate::realm::{Realm, RealmId};
use crate::{legacy, renewal, revoked};

/// Shared bytes that must be there before a worker swaps them: names and first values. `random`: what names of legacy
/// logins are keyed with, if this is the first value.
pub fn shared_seeds(filter: &Filter, random: [u8; 32]) -> impl Iterator<Item = (String, Vec<u8>)> {
    let of_realms = with_login(filter).flat_map(|realm| {
        let buckets = renewal::buckets(realm).map(|name| (name, renewal::empty_bucket()));
        buckets.chain([(revoked::record_name(realm), revoked::empty_record())])
    });
    let buckets = legacy::shared::buckets().map(|name| (name, legacy::shared::empty_bucket()));
    let of_legacy = buckets.chain([(legacy::shared::KEY.to_owned(), random.to_vec())]);
    of_realms.chain(of_legacy.filter(|_| !filter.legacy().logins.is_empty()))
}

/// Names of the records of logged out sessions, by realm.
pub fn revoked_records(filter: &Filter) -> impl Iterator<Item = (RealmId, String)> {
    with_login(filter).map(|realm| (realm.id, revoked::record_name(realm)))
}

fn with_login(filter: &Filter) -> impl Iterator<Item = &Arc<Realm>> {
    filter.realms().iter().filter(|realm| realm.login.is_some())
}
