//! The cookies of a browser: those of RFC 6265 by the `cookie_store` crate, and the rules of RFC 6265bis that it does not know.

use cookie_store::{CookieStore, RawCookie};
use reqwest::Url;

use super::visit::Visit;

/// Name and value together may be this long (RFC 6265bis section 5.6).
const AT_MOST_BYTES: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Jar {
    store: CookieStore,
    /// The lines that no browser would have kept.
    pub(super) refused: Vec<String>,
    /// Whether SameSite is heeded.
    pub(super) same_site: bool,
    /// Whether the user wants no cookies at all.
    pub(super) blocked: bool,
}

impl Default for Jar {
    fn default() -> Self {
        Self { store: CookieStore::new(), refused: Vec::new(), same_site: true, blocked: false }
    }
}

impl Jar {
    /// Keeps what a `set-cookie` line says, or forgets what it says.
    pub(super) fn take(&mut self, set_cookie: &str, url: &Url) {
        if self.blocked {
            return;
        }
        let cookie = RawCookie::parse(set_cookie.to_owned());
        let Some(cookie) = cookie.ok().filter(|cookie| acceptable(cookie, url)) else {
            self.refused.push(set_cookie.to_owned());
            return;
        };
        // The only error that is not the server's fault: it deletes a cookie that is not there.
        let _ = self.store.insert_raw(&cookie, &as_secure(url));
    }

    /// The `cookie` header of a request, if it has one.
    pub(super) fn header(&self, visit: &Visit) -> Option<String> {
        let cookies = self.matching(visit.url()).into_iter().filter(|cookie| {
            let lax = |_| visit.may_bear_lax_cookies();
            !self.same_site
                || match cookie.same_site() {
                    Some(site) if site.is_strict() => visit.may_bear_strict_cookies(),
                    Some(site) if site.is_none() => true,
                    other => lax(other),
                }
        });
        let pairs: Vec<String> =
            cookies.map(|cookie| format!("{}={}", cookie.name(), cookie.value())).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    pub(super) fn at(&self, url: &Url) -> Vec<(String, String)> {
        let cookies = self.matching(url).into_iter();
        cookies.map(|cookie| (cookie.name().to_owned(), cookie.value().to_owned())).collect()
    }

    pub(super) fn put(&mut self, url: &Url, name: &str, value: &str) {
        let cookie = format!("{name}={value}; Path=/; Secure; HttpOnly; SameSite=Lax");
        let refused = self.refused.len();
        self.take(&cookie, url);
        assert_eq!(self.refused.len(), refused, "no browser keeps {cookie}");
    }

    pub(super) fn forget(&mut self, name: &str) {
        let places = self.store.iter_any().filter(|cookie| cookie.name() == name);
        let places: Vec<(String, String)> =
            places.map(|cookie| (String::from(&cookie.domain), String::from(&cookie.path))).collect();
        for (domain, path) in places {
            self.store.remove(&domain, &path, name);
        }
    }

    pub(super) fn clear(&mut self) {
        self.store.clear();
    }

    /// Longer paths first, then by name: the store itself has no order.
    fn matching(&self, url: &Url) -> Vec<&RawCookie<'static>> {
        let url = as_secure(url);
        let mut cookies = self.store.matches(&url);
        cookies.sort_by_key(|cookie| {
            (std::cmp::Reverse(String::from(&cookie.path).len()), cookie.name().to_owned())
        });
        cookies.into_iter().map(|cookie| &**cookie).collect()
    }
}

/// What RFC 6265bis section 5.7 asks beyond RFC 6265.
fn acceptable(cookie: &RawCookie<'_>, url: &Url) -> bool {
    let name = cookie.name().to_ascii_lowercase();
    let secure = cookie.secure() == Some(true);
    let prefix = if name.starts_with("__host-") {
        secure && cookie.domain().is_none() && cookie.path() == Some("/")
    } else {
        secure || !name.starts_with("__secure-")
    };
    let small = cookie.name().len() + cookie.value().len() <= AT_MOST_BYTES;
    let needs_secure = cookie.same_site().is_some_and(|site| site.is_none());
    prefix && small && (!secure || trustworthy(url)) && (secure || !needs_secure)
}

/// Whether the connection counts as secure: TLS, or a loopback host.
fn trustworthy(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    url.scheme() == "https" || host == "localhost" || host.ends_with(".localhost") || host == "127.0.0.1"
}

/// The URL as the store is to see it, to which `localhost` is a secure host, but no host below it.
fn as_secure(url: &Url) -> Url {
    let mut url = url.clone();
    if trustworthy(&url) {
        url.set_scheme("https").expect("one scheme of HTTP can replace the other");
    }
    url
}
