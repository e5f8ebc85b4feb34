//! What happens, while it happens, on standard error: a bar on a terminal, lines elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// One thing that takes a while.
pub(crate) struct Step {
    bar: ProgressBar,
}

/// A line that stays.
pub(crate) fn say(text: &str) {
    eprintln!("    {text}");
}

/// Begins something that takes `length` steps.
pub(crate) fn step(text: &str, length: usize) -> Step {
    if !std::io::stderr().is_terminal() {
        say(text);
        return Step { bar: ProgressBar::hidden() };
    }
    let bar = ProgressBar::new(u64::try_from(length).unwrap_or(u64::MAX));
    let style = ProgressStyle::with_template("    {msg} [{bar:30}] {pos}/{len}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message(text.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    Step { bar }
}

impl Step {
    /// Counts one more, and hands it on.
    pub(crate) fn count<T>(&self, value: T) -> T {
        self.bar.inc(1);
        value
    }

    /// What is being done at the moment.
    pub(crate) fn now(&self, text: &str) {
        if self.bar.is_hidden() {
            say(text);
        } else {
            self.bar.set_message(text.to_owned());
        }
    }

    /// A line that stays, above the bar.
    pub(crate) fn say(&self, text: &str) {
        self.bar.suspend(|| say(text));
    }

    /// It is over.
    pub(crate) fn done(self) {
        self.bar.finish_and_clear();
    }
}
