//! What the pages say that a person sees.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Names and languages of the pages.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Text {
    /// What the pages on a realm's hosts are headed with, by realm. A realm that is not listed: nothing.
    pub names: BTreeMap<String, String>,
    /// Language tag for a browser that prefers none of the languages there are. Default `en`.
    pub language: Option<String>,
    /// Languages by their tags (RFC 5646), at most 64. English is built in, and stands for each text that is
    /// left out.
    pub languages: BTreeMap<String, Catalogue>,
}

/// The texts of one language; plain text, not HTML. `<page>.title` is the heading and the title of the browser's
/// tab, `<page>.body` one paragraph, `<page>.action` the link or button, of the pages `sign_in`, `session_ended`,
/// `forbidden`, `step_up_failed`, `bad_request`, `unknown_host`, `unavailable`, `login_cancelled`, `login_failed`,
/// `login_stale`, `login_loop`, `login_insecure` and `logout_question`. `reference` stands before the request id.
pub type Catalogue = BTreeMap<String, String>;
