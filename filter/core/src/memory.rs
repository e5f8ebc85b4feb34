//! A bounded memory by text: what was found out lately, so that it is not found out again.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// How much of a text's end is hashed: of what is remembered here, that is a signature or a seal, which nobody chooses.
const HASHED_BYTES: usize = 64;
/// What an entry costs beside its texts: table slot, allocations, counters.
pub(crate) const ENTRY_BYTES: usize = 256;

/// A memory by a hash that is keyed at random, so that nobody can choose texts that collide. A hit compares the whole text,
/// so that no other text is ever taken for it; of two texts with one hash the later one stays.
///
/// Two generations bound it: when the young one is half the limit, it becomes the old one, and what was the old one is
/// forgotten. A hit in the old generation moves the entry into the young one.
#[derive(Debug)]
pub(crate) struct Memory<V> {
    young: Generation<V>,
    old: Generation<V>,
    hashes: RandomState,
    max_bytes: usize,
    max_entries: usize,
}

#[derive(Debug)]
struct Generation<V> {
    /// By the hash of their text.
    entries: HashMap<u64, Entry<V>>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry<V> {
    text: Box<str>,
    value: V,
    /// What it costs in all.
    bytes: usize,
}

impl<V> Memory<V> {
    /// An empty memory with these bounds; with a bound of zero it stays empty.
    pub(crate) fn bounded(max_bytes: usize, max_entries: usize) -> Self {
        let (young, old) = (Generation::default(), Generation::default());
        Self { young, old, hashes: RandomState::new(), max_bytes, max_entries }
    }

    /// What `read` makes of what is remembered of a text.
    pub(crate) fn get<R>(&mut self, text: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        let hash = self.hash(text);
        if let Some(entry) = self.young.get(hash, text) {
            return Some(read(&entry.value));
        }
        let entry = self.old.remove(hash, text)?;
        let result = read(&entry.value);
        self.keep(hash, entry);
        Some(result)
    }

    /// Forgets a text: what was remembered of it.
    pub(crate) fn take(&mut self, text: &str) -> Option<V> {
        let hash = self.hash(text);
        self.young.remove(hash, text).or_else(|| self.old.remove(hash, text)).map(|entry| entry.value)
    }

    /// Remembers a text that is not remembered, unless it alone is more than half of what there is room for. `bytes`:
    /// what the entry costs in all.
    pub(crate) fn insert(&mut self, text: Box<str>, value: V, bytes: usize) {
        self.keep(self.hash(&text), Entry { text, value, bytes });
    }

    fn keep(&mut self, hash: u64, entry: Entry<V>) {
        let (half_bytes, half_entries) = (self.max_bytes / 2, self.max_entries / 2);
        if entry.bytes > half_bytes || half_entries == 0 {
            return;
        }
        if self.young.bytes + entry.bytes > half_bytes || self.young.entries.len() >= half_entries {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, entry);
    }

    fn hash(&self, text: &str) -> u64 {
        let bytes = text.as_bytes();
        self.hashes.hash_one(bytes.get(bytes.len().saturating_sub(HASHED_BYTES)..))
    }

    /// How many entries there are, and how many bytes they cost.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.young.entries.len() + self.old.entries.len(), self.young.bytes + self.old.bytes)
    }
}

impl<V> Generation<V> {
    fn get(&self, hash: u64, text: &str) -> Option<&Entry<V>> {
        self.entries.get(&hash).filter(|entry| *entry.text == *text)
    }

    fn insert(&mut self, hash: u64, entry: Entry<V>) {
        self.bytes += entry.bytes;
        if let Some(replaced) = self.entries.insert(hash, entry) {
            self.bytes = self.bytes.saturating_sub(replaced.bytes);
        }
    }

    fn remove(&mut self, hash: u64, text: &str) -> Option<Entry<V>> {
        self.get(hash, text)?;
        let removed = self.entries.remove(&hash)?;
        self.bytes = self.bytes.saturating_sub(removed.bytes);
        Some(removed)
    }
}

impl<V> Default for Generation<V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), bytes: 0 }
    }
}

#[cfg(test)]
impl<V> Memory<V> {
    /// Whether a text is remembered.
    pub(crate) fn holds(&self, text: &str) -> bool {
        let hash = self.hash(text);
        self.young.get(hash, text).or_else(|| self.old.get(hash, text)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::test;

    #[test]
    fn no_text_is_taken_for_another_that_ends_alike() {
        let end = "x".repeat(HASHED_BYTES);
        let (one, other) = (format!("one{end}"), format!("other{end}"));
        let mut memory = Memory::bounded(1000, 10);
        memory.insert(one.as_str().into(), 1, 100);
        assert_eq!((memory.get(&one, |n| *n), memory.get(&other, |n| *n)), (Some(1), None));
        assert_eq!(memory.take(&other), None);

        memory.insert(other.as_str().into(), 2, 150);
        assert_eq!((memory.get(&one, |n| *n), memory.get(&other, |n| *n)), (None, Some(2)));
        assert_eq!(memory.size(), (1, 150));
        assert_eq!((memory.take(&other), memory.size()), (Some(2), (0, 0)));
    }

    #[test]
    fn what_is_used_outlives_what_is_not() {
        let mut memory = Memory::bounded(400, 100);
        for text in ["used", "idle"] {
            memory.insert(text.into(), (), 100);
        }
        for text in ["a", "b", "c", "d"] {
            memory.insert(text.into(), (), 100);
            assert!(memory.get("used", |()| ()).is_some(), "after {text}");
            assert!(memory.size().1 <= 400, "after {text}");
        }
        assert!(!memory.holds("idle"));
    }
}
