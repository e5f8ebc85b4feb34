//! Tokens that were accepted lately, so that a token that is sent a thousand times is verified once.
//!
//! What is remembered of a token is what its bearer was allowed and what upstreams are told; what can change
//! meanwhile is asked anew at every hit: the time, and whether the realm's keys are still those that verified
//! it. Refused tokens are not remembered: they would let anybody fill the memory.

use std::sync::Arc;
use std::time::Duration;

use crate::authz::Authorized;
use crate::filter::Filter;
use crate::identity::{HeaderField, IdentityHeaders};
use crate::memory::{ENTRY_BYTES, Memory};
use crate::realm::RealmId;
use crate::rule::Rule;
use crate::time::UnixTime;
use crate::token::Validity;

/// What the allocator adds to a text.
const ALLOCATION_BYTES: usize = 24;

/// A bounded memory of accepted tokens, by the token itself.
#[derive(Debug)]
pub struct AcceptedTokens(Memory<Remembered>);

/// A realm, the version of its keys, and that of its logged out sessions: what accepted a token.
pub(crate) type Acceptor = (RealmId, u64, u64);

/// What is remembered of one token.
#[derive(Debug)]
struct Remembered {
    acceptor: Acceptor,
    validity: Validity,
    identity: IdentityHeaders,
    /// The rules whose requirement it was found to fulfil.
    grants: Vec<(Arc<Rule>, Authorized)>,
}

impl Remembered {
    fn granted(
        &self,
        acceptor: Acceptor,
        rule: &Arc<Rule>,
        now: UnixTime,
        skew: Duration,
    ) -> Option<Authorized> {
        let Validity { from, until } = self.validity;
        let serves = self.acceptor == acceptor && from <= now.plus(skew) && now < until.plus(skew);
        let grant = self.grants.iter().find(|(granted, _)| Arc::ptr_eq(granted, rule));
        grant.map(|(_, authorized)| *authorized).filter(|authorized| serves && authorized.holds(now))
    }

    fn bytes(&self, token: &str) -> usize {
        let identity: usize = self
            .identity
            .iter()
            .map(|(_, value)| value.len() + size_of::<HeaderField>() + ALLOCATION_BYTES)
            .sum();
        ENTRY_BYTES + token.len() + identity + self.grants.capacity() * size_of::<(Arc<Rule>, Authorized)>()
    }
}

impl AcceptedTokens {
    /// An empty memory with the filter's bounds; with a bound of zero it stays empty.
    pub fn new(filter: &Filter) -> Self {
        let limits = filter.limits();
        Self(Memory::bounded(limits.max_remembered_bytes, limits.max_remembered_tokens))
    }

    /// What upstreams are told, if the token was accepted under this rule and would be again.
    pub(crate) fn recall(
        &mut self,
        token: &str,
        acceptor: Acceptor,
        rule: &Arc<Rule>,
        now: UnixTime,
        skew: Duration,
    ) -> Option<(IdentityHeaders, Authorized)> {
        let granted = self.0.get(token, |remembered| {
            let authorized = remembered.granted(acceptor, rule, now, skew)?;
            Some((Arc::clone(&remembered.identity), authorized))
        });
        granted.flatten()
    }

    /// Remembers that the token was accepted and fulfils the rule's requirement.
    pub(crate) fn remember(
        &mut self,
        token: &str,
        acceptor: Acceptor,
        validity: Validity,
        identity: &IdentityHeaders,
        rule: &Arc<Rule>,
        authorized: Authorized,
    ) {
        // What was found for other rules under the same keys still holds.
        let mut grants = match self.0.take(token) {
            Some(known) if known.acceptor == acceptor => known.grants,
            _ => Vec::new(),
        };
        grants.retain(|(granted, _)| !Arc::ptr_eq(granted, rule));
        grants.push((Arc::clone(rule), authorized));
        let identity = Arc::clone(identity);
        let remembered = Remembered { acceptor, validity, identity, grants };
        let bytes = remembered.bytes(token);
        self.0.insert(token.into(), remembered, bytes);
    }

    /// How many tokens are remembered, and how many bytes they are counted with.
    pub fn size(&self) -> (usize, usize) {
        self.0.size()
    }
}

#[cfg(test)]
impl AcceptedTokens {
    /// Whether a token is remembered.
    pub(crate) fn holds(&self, token: &str) -> bool {
        self.0.holds(token)
    }
}
