//! What a login needs to know of the request that led to it.

use crate::cookie::OwnCookies;
use crate::fetch_metadata::{Errand, may_be_navigation};
use crate::request::{Header, values};

use super::origin::Origin;
use super::{Login, return_target};

/// A browser at one of the realm's hosts, and what it came for.
#[derive(Clone, Debug)]
pub(crate) struct Browser {
    pub(crate) origin: Origin,
    pub(crate) cookies: OwnCookies,
    /// Path and query of the request, as far as a login may return there.
    pub(crate) target: String,
    pub(crate) errand: Errand,
    /// Whether it is at one of the login's own paths.
    pub(crate) own_path: bool,
    /// Whether the request may begin a login where it asks for one.
    pub(crate) may_start: bool,
    /// `Sec-Fetch-Site`, where the browser says it.
    pub(crate) fetch_site: Option<String>,
}

impl Browser {
    /// Reads it; `None` where the authority is no host.
    pub(crate) fn read(headers: &[Header], login: &Login) -> Option<Self> {
        let text = |name: &str| {
            let value = values(headers, name).next()?;
            std::str::from_utf8(value).ok()
        };
        // Envoy's own word: its connection manager sets it, or keeps that of a proxy that it trusts.
        let mut schemes = values(headers, "x-forwarded-proto");
        let secure = matches!((schemes.next(), schemes.next()), (Some(b"https"), None));
        let target = text(":path").unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        Some(Self {
            own_path: login.endpoint(path).is_some(),
            origin: Origin::of(values(headers, ":authority").next()?, secure)?,
            cookies: OwnCookies::read(headers),
            target: return_target::read(target, &login.prefix),
            errand: Errand::of(headers),
            may_start: may_be_navigation(headers),
            fetch_site: text("sec-fetch-site").map(str::to_owned),
        })
    }

    /// The canonical host, which everything that is sealed for this browser is bound to.
    pub(crate) fn host(&self) -> &str {
        self.origin.host()
    }
}
