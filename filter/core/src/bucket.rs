//! Buckets: what the workers share is kept in lists of entries that stay bounded, however many there are to be kept.

/// Adds an entry. In a full bucket the one that comes first by this order gives way.
pub(crate) fn put<E, K: Ord>(entries: &mut Vec<E>, most: usize, entry: E, order: impl Fn(&E) -> K) {
    if entries.len() >= most {
        let first = entries.iter().enumerate().min_by_key(|(_, entry)| order(entry)).map(|(at, _)| at);
        first.map(|at| entries.swap_remove(at));
    }
    entries.push(entry);
}
