//! A browser's session: the tokens of a login, sealed into cookies that only this host gets back.
//!
//! Nothing is kept on the server (ADR 0011). A session that does not fit into one cookie is cut into several; their
//! number is part of what the seal is bound to, and they are one seal: pieces of two sessions never fit together.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cookie;
use crate::entropy::Entropy;
use crate::error::LoginError;
use crate::filter::Filter;
use crate::memory::{ENTRY_BYTES, Memory};
use crate::oidc::attempt::Demand;
use crate::oidc::browser::Browser;
use crate::oidc::{Login, SessionSpan, binding};
use crate::realm::Realm;
use crate::time::UnixTime;

const COOKIE: &str = "session-";
/// Characters of a value: browsers keep 4096 bytes of name, value and attributes.
const PIECE_BYTES: usize = 3_800;
/// Pieces of one session: three tokens of 12 kB and what sealing adds.
const MOST_PIECES: usize = 16;
/// A use is noted when this part of the idle time has gone by since the last note.
const NOTES: u32 = 10;
/// Part of `max_remembered_bytes` that opened sessions may take beside it.
const SHARE: usize = 4;

/// The session of one browser at one host.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Session {
    /// Ours, made at the login.
    pub(crate) id: String,
    /// How often its tokens were renewed.
    pub(crate) generation: u32,
    /// `sub` of the user who signed in.
    pub(crate) subject: String,
    /// Keycloak's session.
    pub(crate) sid: Option<String>,
    pub(crate) access_token: String,
    /// `exp` of the access token.
    pub(crate) expires: UnixTime,
    pub(crate) refresh_token: Option<String>,
    /// For the logout.
    pub(crate) id_token: Option<String>,
    pub(crate) started: UnixTime,
    /// When it was last noted to be used.
    pub(crate) seen: UnixTime,
    pub(crate) renewed: Option<UnixTime>,
    /// What the login that began it was asked for beyond an ordinary one.
    pub(crate) demand: Option<Demand>,
}

/// Sessions that were opened lately: what a browser sends a thousand times is opened once. A configuration, and with it
/// its keys, begins with an empty memory.
#[derive(Debug)]
pub struct OpenedSessions(Memory<Session>);

impl OpenedSessions {
    /// An empty memory with a part of the room that the filter gives to accepted tokens.
    pub fn new(filter: &Filter) -> Self {
        let limits = filter.limits();
        Self(Memory::bounded(limits.max_remembered_bytes / SHARE, limits.max_remembered_tokens))
    }
}

impl Session {
    /// Reads the session of a browser, if it has one that still lasts.
    pub(crate) fn find(
        (realm, login): (&Realm, &Login),
        browser: &Browser,
        opened: &mut OpenedSessions,
        now: UnixTime,
    ) -> Option<Self> {
        let (pieces, sealed) = join(browser)?;
        let host = browser.host();
        // All that a seal is bound to; no host and no realm holds a line break.
        let text = format!("{host}\n{}\n{pieces}.{sealed}", realm.name);
        let lasting = |session: &Self| session.lasts(login.session, now).then(|| session.clone());
        if let Some(known) = opened.0.get(&text, lasting) {
            return known;
        }
        let plain = login.keys.open(binding(&purpose(pieces), &realm.name, host), &sealed)?;
        let session: Self = serde_json::from_slice(&plain).ok()?;
        let bytes = ENTRY_BYTES + text.len() + plain.len();
        opened.0.insert(text.into(), session.clone(), bytes);
        session.lasts(login.session, now).then_some(session)
    }

    /// Takes the session back: every cookie of it that the browser brought.
    pub(crate) fn delete(browser: &Browser) -> Vec<String> {
        browser
            .cookies
            .beginning(COOKIE)
            .map(|(name, _)| cookie::delete(&format!("{COOKIE}{name}")))
            .collect()
    }

    /// The cookies that give it to the browser, and take back those of a longer one before it.
    ///
    /// # Errors
    /// It does not fit into what browsers keep.
    pub(crate) fn set_cookies(
        &self,
        (realm, login): (&Realm, &Login),
        browser: &Browser,
        entropy: &mut Entropy,
    ) -> Result<Vec<String>, LoginError> {
        // Strings and numbers always serialise.
        let plain = serde_json::to_vec(self).unwrap_or_default();
        // Sealing adds a nonce and a tag; base64 a third; the key's id is short.
        let length = (plain.len() + 40).div_ceil(3) * 4 + 40;
        let pieces = length.div_ceil(PIECE_BYTES);
        if pieces > MOST_PIECES {
            return Err(LoginError::TooLarge);
        }
        let purpose = purpose(pieces);
        let sealed = login.keys.seal(binding(&purpose, &realm.name, browser.host()), &plain, entropy);
        let mut rest = sealed.as_str();
        let mut cookies = Vec::with_capacity(pieces);
        for at in 0..pieces {
            // The last piece takes what is left, nothing included.
            let (piece, after) = rest.split_at_checked(PIECE_BYTES).unwrap_or((rest, ""));
            let value = if at == 0 { format!("{pieces}.{piece}") } else { piece.to_owned() };
            cookies.push(cookie::set(&format!("{COOKIE}{at}"), &value, None));
            rest = after;
        }
        let stale = browser.cookies.beginning(COOKIE).filter(|(name, _)| {
            name.parse::<usize>().map_or(true, |at| at >= pieces || *name != at.to_string())
        });
        cookies.extend(stale.map(|(name, _)| cookie::delete(&format!("{COOKIE}{name}"))));
        Ok(cookies)
    }

    /// Whether neither limit has passed.
    fn lasts(&self, span: SessionSpan, now: UnixTime) -> bool {
        now < self.started.plus(span.absolute) && now < self.seen.plus(span.idle)
    }

    /// When it ends if nobody uses it any more.
    pub(crate) fn ends(&self, span: SessionSpan) -> UnixTime {
        self.started.plus(span.absolute).min(self.seen.plus(span.idle))
    }

    /// Notes that it is used; `true`: that is worth new cookies.
    pub(crate) fn note_use(&mut self, span: SessionSpan, now: UnixTime) -> bool {
        let due = self.seen.plus(span.idle / NOTES) <= now && self.seen < now;
        if due {
            self.seen = now;
        }
        due
    }

    /// What names this generation of it.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.id, self.generation)
    }
}

/// The pieces of a session put together, and how many they are.
fn join(browser: &Browser) -> Option<(usize, String)> {
    let piece = |at: usize| browser.cookies.value(&format!("{COOKIE}{at}"));
    let (number, first) = piece(0)?.split_once('.')?;
    let pieces: usize = number.parse().ok().filter(|pieces| (1..=MOST_PIECES).contains(pieces))?;
    let mut sealed = first.to_owned();
    for at in 1..pieces {
        // As it was cut, and in no other way: only the end is shorter.
        let next = piece(at).filter(|next| next.is_empty() || sealed.len() == at * PIECE_BYTES)?;
        sealed.push_str(next);
    }
    (number == pieces.to_string()).then_some((pieces, sealed))
}

/// What the pieces' seal is for: their number is part of it.
fn purpose(pieces: usize) -> String {
    format!("session/{pieces}")
}

impl fmt::Debug for Session {
    /// Without a token: neither a log line nor a message shows one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("generation", &self.generation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::request::Header;
    use crate::testing::{NOW, compile, realm, test, two_realms_json};

    fn session(bytes: usize) -> Session {
        Session {
            id: "id".to_owned(),
            generation: 0,
            subject: "bob".to_owned(),
            sid: None,
            access_token: "t".repeat(bytes),
            expires: NOW,
            refresh_token: None,
            id_token: None,
            started: NOW,
            seen: NOW,
            renewed: None,
            demand: None,
        }
    }

    /// Around the sizes at which one more piece begins, and at which it is reckoned with and stays empty.
    #[test]
    fn a_session_of_any_size_comes_back_from_its_pieces() {
        let mut document = two_realms_json();
        document["realms"]["customers"]["login"] = json!({
            "client_id": "selfcare-ui",
            "cookie_keys": [{"id": "k1", "inline": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}],
        });
        let filter = compile(&document);
        let realm = realm(&filter, "customers");
        let login = realm.login.as_ref().unwrap();
        let mut entropy = Entropy::seeded([7; 32]);
        let browser = |cookies: String| {
            let fields = [(":authority", "selfcare.csp.com"), (":path", "/"), ("cookie", &cookies)];
            let headers: Vec<Header> =
                fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
            Browser::read(&headers, login).unwrap()
        };
        for bytes in (2_500..2_750).chain(5_300..5_600) {
            let session = session(bytes);
            let set = session.set_cookies((&realm, login), &browser(String::new()), &mut entropy).unwrap();
            let pairs: Vec<_> = set.iter().map(|line| line.split("; ").next().unwrap()).collect();
            let found = Session::find(
                (&realm, login),
                &browser(pairs.join("; ")),
                &mut OpenedSessions::new(&filter),
                NOW,
            );
            assert_eq!(found.as_ref(), Some(&session), "{bytes} bytes in {} pieces", pairs.len());
        }
    }
}
