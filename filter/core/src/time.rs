//! The two clocks, both inputs: the core never reads one itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Seconds since 1970-01-01T00:00:00Z (`NumericDate`, RFC 7519 section 2): what tokens are judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(pub u64);

/// Milliseconds of a clock that never jumps, common to all workers of one Envoy process: what cached
/// keys, leases and waiting requests are judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Monotonic(pub u64);

impl UnixTime {
    /// This moment shifted into the future; saturates.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(by.as_secs()))
    }
}

impl Monotonic {
    /// This moment shifted into the future; saturates.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// Time gone by since `earlier`; zero where `earlier` lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

/// Whole milliseconds; saturates at what 64 bits hold.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a decision may depend on besides configuration, keys and the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Env {
    /// Wall clock.
    pub now: UnixTime,
    /// Clock without jumps.
    pub monotonic: Monotonic,
}
