//! Text for a person: bold and colours on a terminal, nothing but text elsewhere.

use std::io::IsTerminal as _;

/// Where the tour is told.
#[derive(Clone, Copy)]
pub(crate) struct Screen {
    colours: bool,
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self { colours: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() }
    }

    pub(crate) fn heading(self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    pub(crate) fn say(self, text: &str) {
        println!("    {}", self.paint("0", text));
    }

    pub(crate) fn quiet(self, text: &str) {
        println!("    {}", self.paint("2", text));
    }

    pub(crate) fn good(self, text: &str) {
        println!("    {}", self.paint("32", text));
    }

    pub(crate) fn bad(self, text: &str) {
        println!("    {}", self.paint("1;31", text));
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
