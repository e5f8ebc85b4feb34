//! Tokens that were accepted lately, so that a token that is sent a thousand times is verified once.
//!
//! What is remembered of a token is what its bearer was allowed and what upstreams are told; what can change
//! meanwhile is asked anew at every hit: the time, and whether the realm's keys are still those that verified
//! it. Refused tokens are not remembered: they would let anybody fill the memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use crate::authz::Authorized;
use crate::filter::Filter;
use crate::identity::{HeaderField, IdentityHeaders};
use crate::realm::RealmId;
use crate::rule::Rule;
use crate::time::UnixTime;
use crate::token::Validity;

/// What an entry costs beside its texts: table slot, allocations, counters.
const ENTRY_BYTES: usize = 256;
/// What the allocator adds to a text.
const ALLOCATION_BYTES: usize = 24;

/// A bounded memory of accepted tokens.
///
/// The key is the token itself, whole, in a table whose hash is keyed at random: nobody can choose tokens that
/// collide, and no other token is ever taken for one that was accepted. Two generations bound it: when the
/// young one is half the limit, it becomes the old one, and what was the old one is forgotten. A hit in the old
/// generation moves the token into the young one.
#[derive(Debug, Default)]
pub struct AcceptedTokens {
    young: Generation,
    old: Generation,
    max_bytes: usize,
    max_tokens: usize,
}

#[derive(Debug, Default)]
struct Generation {
    tokens: HashMap<Box<str>, Remembered>,
    bytes: usize,
}

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
        Self::bounded(limits.max_remembered_bytes, limits.max_remembered_tokens)
    }

    fn bounded(max_bytes: usize, max_tokens: usize) -> Self {
        Self { max_bytes, max_tokens, ..Self::default() }
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
        if !self.young.tokens.contains_key(token) {
            let (token, remembered) = self.old.remove(token)?;
            self.insert(token, remembered);
        }
        let remembered = self.young.tokens.get(token)?;
        let authorized = remembered.granted(acceptor, rule, now, skew)?;
        Some((Arc::clone(&remembered.identity), authorized))
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
        let known = self.young.remove(token).or_else(|| self.old.remove(token));
        // What was found for other rules under the same keys still holds.
        let mut grants = match known {
            Some((_, known)) if known.acceptor == acceptor => known.grants,
            _ => Vec::new(),
        };
        grants.retain(|(granted, _)| !Arc::ptr_eq(granted, rule));
        grants.push((Arc::clone(rule), authorized));
        let identity = Arc::clone(identity);
        self.insert(token.into(), Remembered { acceptor, validity, identity, grants });
    }

    /// How many tokens are remembered, and how many bytes they are counted with.
    pub fn size(&self) -> (usize, usize) {
        (self.young.tokens.len() + self.old.tokens.len(), self.young.bytes + self.old.bytes)
    }

    fn insert(&mut self, token: Box<str>, remembered: Remembered) {
        let bytes = remembered.bytes(&token);
        let (half_bytes, half_tokens) = (self.max_bytes / 2, self.max_tokens / 2);
        if bytes > half_bytes || half_tokens == 0 {
            return;
        }
        if self.young.bytes + bytes > half_bytes || self.young.tokens.len() >= half_tokens {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        self.young.tokens.insert(token, remembered);
    }
}

impl Generation {
    fn remove(&mut self, token: &str) -> Option<(Box<str>, Remembered)> {
        let (token, remembered) = self.tokens.remove_entry(token)?;
        self.bytes = self.bytes.saturating_sub(remembered.bytes(&token));
        Some((token, remembered))
    }
}

#[cfg(test)]
impl AcceptedTokens {
    /// Whether a token is remembered.
    pub(crate) fn holds(&self, token: &str) -> bool {
        self.young.tokens.contains_key(token) || self.old.tokens.contains_key(token)
    }
}
