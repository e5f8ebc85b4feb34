//! What tells one worker from the others, and spreads what they do.

/// Spreads timing (SplitMix64); nothing secret hangs on it.
#[derive(Debug)]
pub(super) struct Random {
    /// This worker's name in a lease; never 0.
    pub(super) owner: u64,
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self { owner: seed.max(1), state: seed }
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 56).to_le_bytes()[0]
    }
}
