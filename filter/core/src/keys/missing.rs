//! Key ids that a fetch did not bring: asked for again ever more seldom.

use std::collections::HashMap;
use std::time::Duration;

use crate::time::Monotonic;

/// Ids that are remembered; the realm's cooldown bounds the fetches for those beyond it.
const MAX_ENTRIES: usize = 1024;

/// A bounded negative cache. The first miss holds for the realm's `refetch_cooldown`, every further one
/// twice as long, up to its `refresh_interval`: a key that is published late is found soon, and a client
/// that keeps sending tokens of a withdrawn key costs next to nothing.
#[derive(Debug, Default)]
pub(super) struct Missing(HashMap<String, Miss>);

#[derive(Debug)]
struct Miss {
    hold: Duration,
    until: Monotonic,
}

impl Missing {
    /// Whether the id was looked for lately, in vain.
    pub(super) fn holds(&self, kid: &str, now: Monotonic) -> bool {
        self.0.get(kid).is_some_and(|miss| now < miss.until)
    }

    /// Notes that a fetch did not bring the id.
    pub(super) fn note(&mut self, kid: String, first: Duration, longest: Duration, now: Monotonic) {
        if self.0.len() >= MAX_ENTRIES && !self.0.contains_key(&kid) {
            self.0.retain(|_, miss| now < miss.until);
            if self.0.len() >= MAX_ENTRIES {
                return;
            }
        }
        let hold = self.0.get(&kid).map_or(first, |miss| miss.hold.saturating_mul(2)).min(longest.max(first));
        self.0.insert(kid, Miss { hold, until: now.plus(hold) });
    }

    /// Forgets the ids that are known by now.
    pub(super) fn forget(&mut self, known: impl Fn(&str) -> bool) {
        self.0.retain(|kid, _| !known(kid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn misses_hold_longer_each_time_up_to_a_bound() {
        let mut missing = Missing::default();
        let mut now = Monotonic(0);
        for hold in [1, 2, 4, 5, 5] {
            assert!(!missing.holds("k", now));
            missing.note("k".to_owned(), SECOND, 5 * SECOND, now);
            let end = now.plus(hold * SECOND);
            assert!(missing.holds("k", Monotonic(end.0 - 1)));
            now = end;
        }
        missing.note("k".to_owned(), SECOND, 5 * SECOND, now);
        missing.forget(|kid| kid == "k");
        assert!(!missing.holds("k", now));
    }

    #[test]
    fn a_flood_of_ids_is_bounded() {
        let mut missing = Missing::default();
        for n in 0..5_000 {
            missing.note(n.to_string(), SECOND, SECOND, Monotonic(0));
        }
        assert_eq!(missing.0.len(), MAX_ENTRIES);
        missing.note("late".to_owned(), SECOND, SECOND, Monotonic(2_000));
        assert!(missing.holds("late", Monotonic(2_001)));
        assert_eq!(missing.0.len(), 1);
    }
}
