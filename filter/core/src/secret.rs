//! Secrets: a value that no log line and no message can show.

use std::fmt;

/// A secret. It has no `Display` and no `Serialize`, and its `Debug` says nothing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret<T>(T);

impl<T> Secret<T> {
    pub(crate) const fn new(secret: T) -> Self {
        Self(secret)
    }

    /// The secret itself, for the one place that needs it.
    pub(crate) const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}
