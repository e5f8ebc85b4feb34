//! A login loop: logins that are completed and bring no session that serves, over and over.
//!
//! A browser that does not keep the session's cookie comes back without one, is sent to Keycloak, which knows it
//! and sends it back at once. Completed callbacks are counted in a cookie; a session that serves takes it back.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cookie;
use crate::entropy::Entropy;
use crate::realm::Realm;
use crate::time::UnixTime;

use super::browser::Browser;
use super::{Login, binding};

const COOKIE: &str = "loop";
/// Completed logins in vain, after which a person is asked what to do.
const MOST: u32 = 3;
/// A count that is older than this is forgotten.
const WINDOW: Duration = Duration::from_mins(5);

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Count {
    completed: u32,
    at: u64,
}

/// Whether another login would be one more in vain.
pub(crate) fn is_loop(realm: &Realm, login: &Login, browser: &Browser, now: UnixTime) -> bool {
    count(realm, login, browser, now).completed >= MOST
}

/// The cookie that counts one more completed login.
pub(crate) fn completed(
    realm: &Realm,
    login: &Login,
    browser: &Browser,
    now: UnixTime,
    entropy: &mut Entropy,
) -> String {
    let completed = count(realm, login, browser, now).completed.saturating_add(1);
    // Numbers always serialise.
    let plain = serde_json::to_vec(&Count { completed, at: now.0 }).unwrap_or_default();
    let sealed = login.keys.seal(binding(COOKIE, &realm.name, browser.host()), &plain, entropy);
    cookie::set(COOKIE, &sealed, Some(WINDOW.as_secs()))
}

/// Takes the count back, where there is one.
pub(crate) fn ended(browser: &Browser) -> Option<String> {
    browser.cookies.value(COOKIE).map(|_| cookie::delete(COOKIE))
}

fn count(realm: &Realm, login: &Login, browser: &Browser, now: UnixTime) -> Count {
    let sealed = browser.cookies.value(COOKIE);
    let plain =
        sealed.and_then(|sealed| login.keys.open(binding(COOKIE, &realm.name, browser.host()), sealed));
    let count: Option<Count> = plain.and_then(|plain| serde_json::from_slice(&plain).ok());
    count.filter(|count| now < UnixTime(count.at).plus(WINDOW)).unwrap_or_default()
}
