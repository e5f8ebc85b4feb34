//! What the workers of one Envoy share about logins: who renews a session, and which sessions were logged out.

use std::sync::Arc;

use crate::filter::Filter;
use crate::realm::{Realm, RealmId};
use crate::{renewal, revoked};

/// Shared bytes that must be there before a worker swaps them: names and first values.
pub fn shared_seeds(filter: &Filter) -> impl Iterator<Item = (String, Vec<u8>)> {
    with_login(filter).flat_map(|realm| {
        let buckets = renewal::buckets(realm).map(|name| (name, renewal::empty_bucket()));
        buckets.chain([(revoked::record_name(realm), revoked::empty_record())])
    })
}

/// Names of the records of logged out sessions, by realm.
pub fn revoked_records(filter: &Filter) -> impl Iterator<Item = (RealmId, String)> {
    with_login(filter).map(|realm| (realm.id, revoked::record_name(realm)))
}

fn with_login(filter: &Filter) -> impl Iterator<Item = &Arc<Realm>> {
    filter.realms().iter().filter(|realm| realm.login.is_some())
}
