//! A bounded memory by text: what was found out lately, so that it is not found out again.

use std::collections::HashMap;

/// What an entry costs beside its texts: table slot, allocations, counters.
pub(crate) const ENTRY_BYTES: usize = 256;

/// A memory whose hash is keyed at random, so that nobody can choose texts that collide, and whose key is the whole
/// text, so that no other text is ever taken for it.
///
/// Two generations bound it: when the young one is half the limit, it becomes the old one, and what was the old one is
/// forgotten. A hit in the old generation moves the entry into the young one.
#[derive(Debug)]
pub(crate) struct Memory<V> {
    young: Generation<V>,
    old: Generation<V>,
    max_bytes: usize,
    max_entries: usize,
}

#[derive(Debug)]
struct Generation<V> {
    /// With what each entry costs.
    entries: HashMap<Box<str>, (V, usize)>,
    bytes: usize,
}

impl<V> Memory<V> {
    /// An empty memory with these bounds; with a bound of zero it stays empty.
    pub(crate) fn bounded(max_bytes: usize, max_entries: usize) -> Self {
        Self { young: Generation::default(), old: Generation::default(), max_bytes, max_entries }
    }

    /// What `read` makes of what is remembered of a text. To hash a text of kilobytes is most of a hit, so it is done once.
    pub(crate) fn get<R>(&mut self, text: &str, read: impl FnOnce(&V) -> R) -> Option<R> {
        if let Some((value, _)) = self.young.entries.get(text) {
            return Some(read(value));
        }
        let (text, (value, bytes)) = self.old.remove(text)?;
        let result = read(&value);
        self.insert(text, value, bytes);
        Some(result)
    }

    /// Forgets a text: what was remembered of it.
    pub(crate) fn take(&mut self, text: &str) -> Option<V> {
        self.young.remove(text).or_else(|| self.old.remove(text)).map(|(_, (value, _))| value)
    }

    /// Remembers a text that is not remembered, unless it alone is more than half of what there is room for. `bytes`:
    /// what the entry costs in all.
    pub(crate) fn insert(&mut self, text: Box<str>, value: V, bytes: usize) {
        let (half_bytes, half_entries) = (self.max_bytes / 2, self.max_entries / 2);
        if bytes > half_bytes || half_entries == 0 {
            return;
        }
        if self.young.bytes + bytes > half_bytes || self.young.entries.len() >= half_entries {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.bytes += bytes;
        self.young.entries.insert(text, (value, bytes));
    }

    /// How many entries there are, and how many bytes they cost.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.young.entries.len() + self.old.entries.len(), self.young.bytes + self.old.bytes)
    }
}

impl<V> Generation<V> {
    fn remove(&mut self, text: &str) -> Option<(Box<str>, (V, usize))> {
        let removed = self.entries.remove_entry(text)?;
        self.bytes = self.bytes.saturating_sub(removed.1.1);
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
        self.young.entries.contains_key(text) || self.old.entries.contains_key(text)
    }
}
