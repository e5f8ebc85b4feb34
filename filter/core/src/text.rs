//! The words of the pages, and who reads which language (RFC 4647 lookup).

use std::collections::BTreeMap;

use crate::config::Catalogue;
use crate::request::weight;

/// The language that is built in.
pub(crate) const ENGLISH: &str = "en";
/// Key of the text before the request id.
pub(crate) const REFERENCE: &str = "reference";
/// More ranges of an `Accept-Language` are not read.
const MAX_RANGES: usize = 16;
/// Languages that are written from right to left, unless a script says otherwise.
const RIGHT_TO_LEFT: [&str; 10] = ["ar", "ckb", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"];
const RIGHT_TO_LEFT_SCRIPTS: [&str; 3] = ["arab", "hebr", "thaa"];

/// A page that a person sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Page {
    /// Nobody is signed in. Links to the sign-in.
    SignIn,
    /// The session ran out before a form was sent, which was not processed. Links to the sign-in, in a new
    /// tab: this one keeps what was sent.
    SessionEnded,
    /// The account has no access. May link to the logout, to sign in with another.
    Forbidden,
    /// The page needs a stronger or newer sign-in than there was, also when it was tried.
    StepUpFailed,
    /// The request cannot be understood.
    BadRequest,
    /// No site has this host.
    UnknownHost,
    /// Keycloak cannot be reached, or too many wait for it.
    Unavailable,
    /// Keycloak says that the user did not sign in (`access_denied`).
    LoginCancelled,
    /// The sign-in could not be completed.
    LoginFailed,
    /// The answer from Keycloak belongs to no sign-in that this browser has open.
    LoginStale,
    /// Signing in again and again brings no session.
    LoginLoop,
    /// The sign-in works over HTTPS only.
    LoginInsecure,
    /// Asks whether to sign out: a form.
    LogoutQuestion,
}

impl Page {
    pub(crate) const ALL: [Self; 13] = [
        Self::SignIn,
        Self::SessionEnded,
        Self::Forbidden,
        Self::StepUpFailed,
        Self::BadRequest,
        Self::UnknownHost,
        Self::Unavailable,
        Self::LoginCancelled,
        Self::LoginFailed,
        Self::LoginStale,
        Self::LoginLoop,
        Self::LoginInsecure,
        Self::LogoutQuestion,
    ];

    /// Whether a page has this name.
    pub(crate) fn is_name(name: &str) -> bool {
        Self::ALL.iter().any(|page| page.name() == name)
    }

    /// Its name in the configuration.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sign_in",
            Self::SessionEnded => "session_ended",
            Self::Forbidden => "forbidden",
            Self::StepUpFailed => "step_up_failed",
            Self::BadRequest => "bad_request",
            Self::UnknownHost => "unknown_host",
            Self::Unavailable => "unavailable",
            Self::LoginCancelled => "login_cancelled",
            Self::LoginFailed => "login_failed",
            Self::LoginStale => "login_stale",
            Self::LoginLoop => "login_loop",
            Self::LoginInsecure => "login_insecure",
            Self::LogoutQuestion => "logout_question",
        }
    }
}

/// Names and languages of the pages, checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Texts {
    pub(super) names: BTreeMap<String, String>,
    /// Tag of the language for everybody else; none: English.
    pub(super) default: Option<String>,
    pub(super) languages: BTreeMap<String, Catalogue>,
}

/// The language of one page.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speech<'t> {
    /// Its tag.
    pub(crate) tag: &'t str,
    own: Option<&'t Catalogue>,
    /// What the operator has made of the English texts.
    english: Option<&'t Catalogue>,
}

/// A text, and the tag of the language in which it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Words<'t> {
    pub(crate) tag: &'t str,
    pub(crate) text: &'t str,
}

impl Texts {
    /// What the pages of a realm are headed with.
    pub(crate) fn name(&self, realm: &str) -> Option<&str> {
        self.names.get(realm).map(String::as_str)
    }

    /// Chooses the language for the value of an `Accept-Language`.
    pub(crate) fn speak(&self, accept_language: Option<&[u8]>) -> Speech<'_> {
        let asked = accept_language.and_then(|value| self.lookup(std::str::from_utf8(value).ok()?));
        let tag = asked.or(self.default.as_deref()).unwrap_or(ENGLISH);
        Speech { tag, own: self.language(tag).map(|(_, own)| own), english: self.languages.get(ENGLISH) }
    }

    /// RFC 4647 section 3.4: of the ranges for which there is a language, the one that weighs most.
    fn lookup(&self, accept_language: &str) -> Option<&str> {
        let mut best = (0, None);
        for item in accept_language.split(',').take(MAX_RANGES) {
            if let Some((range, weight)) = weighted(item)
                && weight > best.0
                && let Some(tag) = self.closest(range)
            {
                best = (weight, Some(tag));
            }
        }
        best.1
    }

    /// The language of a range, or of its beginning: `uk` for `uk-UA`.
    fn closest(&self, mut range: &str) -> Option<&str> {
        loop {
            match self.language(range) {
                Some((tag, _)) => return Some(tag),
                None if range.eq_ignore_ascii_case(ENGLISH) => return Some(ENGLISH),
                None => range = shortened(range)?,
            }
        }
    }

    fn language(&self, tag: &str) -> Option<(&str, &Catalogue)> {
        let mut languages = self.languages.iter().map(|(known, language)| (known.as_str(), language));
        languages.find(|(known, _)| known.eq_ignore_ascii_case(tag))
    }
}

/// A language range and its weight (RFC 9110 section 12.5.4); `*` matches no language in particular.
fn weighted(item: &str) -> Option<(&str, u16)> {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next().filter(|range| is_tag(range))?;
    let weight = match parts.next() {
        None => 1000,
        Some(part) => weight(part.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim())?,
    };
    Some((range, weight))
}

/// Leaves out the last subtag, and a singleton that then ends it.
fn shortened(range: &str) -> Option<&str> {
    let (rest, _) = range.rsplit_once('-')?;
    match rest.rsplit_once('-') {
        Some((before, singleton)) if singleton.len() == 1 => Some(before),
        _ => Some(rest),
    }
}

/// Whether this has the shape of a language tag (RFC 5646 section 2.1, without the grandfathered ones).
pub(crate) fn is_tag(text: &str) -> bool {
    const MAX_BYTES: usize = 35;
    let mut subtags = text.split('-');
    let primary = subtags.next().unwrap_or_default();
    let alphanumeric = |subtag: &str| {
        (1..=8).contains(&subtag.len()) && subtag.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    text.len() <= MAX_BYTES
        && (2..=8).contains(&primary.len())
        && primary.bytes().all(|byte| byte.is_ascii_alphabetic())
        && subtags.all(alphanumeric)
}

/// Value of `dir` for a language.
pub(crate) fn direction(tag: &str) -> &'static str {
    let known = |list: &[&str], subtag: &str| list.iter().any(|known| known.eq_ignore_ascii_case(subtag));
    let mut subtags = tag.split('-');
    let language = subtags.next().unwrap_or_default();
    let script =
        subtags.find(|subtag| subtag.len() == 4 && !subtag.starts_with(|c: char| c.is_ascii_digit()));
    let leftward = match script {
        Some(script) => known(&RIGHT_TO_LEFT_SCRIPTS, script),
        None => known(&RIGHT_TO_LEFT, language),
    };
    if leftward { "rtl" } else { "ltr" }
}

impl<'t> Speech<'t> {
    pub(crate) fn title(self, page: Page) -> Words<'t> {
        self.find(&format!("{}.title", page.name()), english(page).0)
    }

    pub(crate) fn body(self, page: Page) -> Words<'t> {
        self.find(&format!("{}.body", page.name()), english(page).1)
    }

    pub(crate) fn action(self, page: Page) -> Words<'t> {
        self.find(&format!("{}.action", page.name()), english(page).2)
    }

    pub(crate) fn reference(self) -> Words<'t> {
        self.find(REFERENCE, "Reference")
    }

    fn find(self, key: &str, built_in: &'static str) -> Words<'t> {
        let of = |language: Option<&'t Catalogue>| language.and_then(|texts| texts.get(key));
        match of(self.own) {
            Some(text) => Words { tag: self.tag, text },
            None => Words { tag: ENGLISH, text: of(self.english).map_or(built_in, String::as_str) },
        }
    }
}

/// Title, body and action.
const fn english(page: Page) -> (&'static str, &'static str, &'static str) {
    match page {
        Page::SignIn => ("Sign in", "You need to sign in to see this page.", "Sign in"),
        Page::SessionEnded => (
            "Your session has ended",
            "What you sent was not processed. Sign in, which opens a new tab, then come back to this one and \
             reload it: your browser sends everything again.",
            "Sign in (new tab)",
        ),
        Page::Forbidden => {
            ("No access", "Your account does not have access to this page.", "Use another account")
        }
        Page::StepUpFailed => (
            "Stronger sign-in needed",
            "This page needs a stronger or more recent sign-in than yours, for example with a one-time code. If \
             signing in again does not bring it, your administrator can set it up for your account.",
            "Try again",
        ),
        Page::BadRequest => ("Bad request", "The request could not be understood.", "Go to the start page"),
        Page::UnknownHost => ("Unknown address", "This address is not served here.", "Go to the start page"),
        Page::Unavailable => (
            "Temporarily unavailable",
            "Sign-in is unavailable at the moment. Please try again shortly.",
            "Try again",
        ),
        Page::LoginCancelled => {
            ("Not signed in", "The sign-in was cancelled, or your account was refused.", "Sign in")
        }
        Page::LoginFailed => (
            "Sign-in failed",
            "The sign-in could not be completed. If it fails again, please tell your administrator.",
            "Try again",
        ),
        Page::LoginStale => (
            "Sign-in no longer valid",
            "This sign-in took too long, was completed already, or was begun in another browser. If that is not \
             so, your browser may be blocking cookies: please allow them for this site.",
            "Sign in again",
        ),
        Page::LoginLoop => (
            "Sign-in does not last",
            "You signed in several times, and each time the session was lost. Your browser may be blocking \
             cookies: please allow them for this site, then try again.",
            "Try again",
        ),
        Page::LoginInsecure => (
            "Secure connection needed",
            "Signing in works over HTTPS only. Please open this address with https:// in front.",
            "Try again",
        ),
        Page::LogoutQuestion => ("Sign out", "Do you want to sign out?", "Sign out"),
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
