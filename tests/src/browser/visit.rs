//! What a browser asks for, and what it says about that.

use std::fmt;

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{Method, Request};
use reqwest::Url;

use super::form::Form;

/// Who caused a request (`Sec-Fetch-Site`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The user: the address bar, a bookmark.
    None,
    /// A page of the same origin.
    SameOrigin,
    /// A page of another host of the same registrable domain.
    SameSite,
    /// A page of a foreign site.
    CrossSite,
}

/// What the answer is for (`Sec-Fetch-Mode`, `Sec-Fetch-Dest`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The page in the tab.
    Navigation,
    /// A page in a frame of another.
    Frame,
    /// `fetch()` and `XMLHttpRequest`.
    Fetch,
    /// An image.
    Image,
    /// `<link rel=prefetch>`.
    Prefetch,
    /// A page that may become the one in the tab (speculation rules).
    Prerender,
    /// A WebSocket handshake.
    WebSocket,
}

/// A request of a browser.
#[derive(Clone, Debug)]
#[must_use = "a visit is nothing before a browser goes there"]
pub struct Visit {
    method: Method,
    url: Url,
    kind: Kind,
    site: Site,
    origin: Origin,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// What the header `origin` says.
#[derive(Clone, Debug)]
enum Origin {
    /// What a browser would say, if it said anything.
    True,
    Other(String),
    Absent,
}

/// The origins of who may cause a request.
const SIBLING: &str = "https://www.csp.com";
const STRANGER: &str = "https://evil.example";

impl Visit {
    fn new(method: Method, url: impl AsRef<str>, kind: Kind, site: Site) -> Self {
        let url = super::parse(url.as_ref());
        Self { method, url, kind, site, origin: Origin::True, headers: Vec::new(), body: Bytes::new() }
    }

    /// The user types an address.
    pub fn navigation(url: impl AsRef<str>) -> Self {
        Self::new(Method::GET, url, Kind::Navigation, Site::None)
    }

    /// The user submits a form of a page of the same origin.
    pub fn form(url: impl AsRef<str>, fields: &[(&str, &str)]) -> Self {
        Self::new(Method::POST, url, Kind::Navigation, Site::SameOrigin).form_body(fields)
    }

    /// The user submits a form that was found on a page of the same origin.
    pub fn submission(form: &Form) -> Self {
        let fields: Vec<_> =
            form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::form(&form.action, &fields).method(form.method.as_str())
    }

    /// A script of a page of the same origin fetches something.
    pub fn fetch(url: impl AsRef<str>) -> Self {
        Self::new(Method::GET, url, Kind::Fetch, Site::SameOrigin)
    }

    /// A page of the same origin shows it in a frame.
    pub fn frame(url: impl AsRef<str>) -> Self {
        Self::new(Method::GET, url, Kind::Frame, Site::SameOrigin)
    }

    /// A page of the same origin shows it as an image.
    pub fn image(url: impl AsRef<str>) -> Self {
        Self::new(Method::GET, url, Kind::Image, Site::SameOrigin)
    }

    /// A page of the same origin asks for it in advance.
    pub fn prefetch(url: impl AsRef<str>) -> Self {
        Self::new(Method::GET, url, Kind::Prefetch, Site::SameOrigin)
    }

    /// A page of the same origin asks for it in advance, as the next page.
    pub fn prerender(url: impl AsRef<str>) -> Self {
        Self::new(Method::GET, url, Kind::Prerender, Site::SameOrigin)
    }

    /// A script of a page of the same origin opens a WebSocket; the URL is that of an ordinary request.
    pub fn websocket(url: impl AsRef<str>) -> Self {
        Self::new(Method::GET, url, Kind::WebSocket, Site::SameOrigin)
    }

    /// Somebody else causes it.
    pub fn from(mut self, site: Site) -> Self {
        self.site = site;
        self
    }

    /// Another method.
    ///
    /// # Panics
    /// When it is none.
    pub fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap_or_else(|e| panic!("{method:?} is no method: {e}"));
        self
    }

    /// Another `origin` than a browser would send, or none at all.
    pub fn origin(mut self, origin: Option<&str>) -> Self {
        self.origin = origin.map_or(Origin::Absent, |origin| Origin::Other(origin.to_owned()));
        self
    }

    /// One more header field.
    ///
    /// # Panics
    /// When it cannot be sent.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let name = HeaderName::try_from(name).unwrap_or_else(|e| panic!("{name:?} is no header name: {e}"));
        let value = HeaderValue::from_bytes(value.as_ref()).unwrap_or_else(|e| panic!("{name}: {e}"));
        self.headers.push((name, value));
        self
    }

    /// A body of this type.
    pub fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut visit = self.header("content-type", content_type);
        visit.body = body.into();
        visit
    }

    /// The body of a form.
    pub fn form_body(self, fields: &[(&str, &str)]) -> Self {
        self.body("application/x-www-form-urlencoded", encode_form(fields))
    }

    /// Where it goes.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The next hop after an answer with this status: 307 and 308 keep method and body, everything else asks with GET for what it is sent
    /// to (Fetch standard, HTTP-redirect fetch).
    pub(super) fn redirected(&self, status: u16, location: Url) -> Self {
        let mut next = Self { url: location, ..self.clone() };
        if !matches!(status, 307 | 308) && next.method != Method::HEAD {
            next.method = Method::GET;
            next.body = Bytes::new();
            next.headers.retain(|(name, _)| name != "content-type");
        }
        if self.url.origin() != next.url.origin() && next.site == Site::SameOrigin {
            next.site = Site::CrossSite;
        }
        next
    }

    /// Whether SameSite=Lax lets a cookie go with it (RFC 6265bis section 5.6.7.1).
    pub(super) fn may_bear_lax_cookies(&self) -> bool {
        self.may_bear_strict_cookies() || (self.kind == Kind::Navigation && self.method.is_safe())
    }

    /// Whether SameSite=Strict lets a cookie go with it.
    pub(super) fn may_bear_strict_cookies(&self) -> bool {
        self.site != Site::CrossSite
    }

    /// The request without cookies.
    pub(super) fn request(&self, fetch_metadata: bool) -> Request<Bytes> {
        let request = Request::builder().method(&self.method).uri(self.url.as_str());
        let mut request = request.body(self.body.clone()).expect("a URL and a method are enough");
        let mut set = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect("what a browser says is visible ASCII");
            request.headers_mut().append(HeaderName::from_static(name), value);
        };
        set("user-agent", "Mozilla/5.0 (testkit)");
        set("accept", self.accept());
        if fetch_metadata {
            set("sec-fetch-site", self.site.name());
            set("sec-fetch-mode", self.mode());
            set("sec-fetch-dest", self.dest());
            if self.kind == Kind::Navigation {
                set("sec-fetch-user", "?1");
            }
        }
        if matches!(self.kind, Kind::Prefetch | Kind::Prerender) {
            let purpose = if self.kind == Kind::Prerender { "prefetch;prerender" } else { "prefetch" };
            set("sec-purpose", purpose);
        }
        if self.kind == Kind::WebSocket {
            set("connection", "Upgrade");
            set("upgrade", "websocket");
            set("sec-websocket-version", "13");
            set("sec-websocket-key", &tokio_tungstenite::tungstenite::handshake::client::generate_key());
            set("host", self.url.authority());
        }
        let origin = match &self.origin {
            Origin::True => self.says_origin().then(|| self.initiator()),
            Origin::Other(origin) => Some(origin.clone()),
            Origin::Absent => None,
        };
        if let Some(origin) = origin {
            set("origin", &origin);
        }
        for (name, value) in &self.headers {
            request.headers_mut().append(name, value.clone());
        }
        request
    }

    fn says_origin(&self) -> bool {
        let safe = matches!(self.method, Method::GET | Method::HEAD);
        !safe || self.kind == Kind::WebSocket || (self.kind == Kind::Fetch && self.site != Site::SameOrigin)
    }

    fn initiator(&self) -> String {
        match self.site {
            Site::None | Site::SameOrigin => self.url.origin().ascii_serialization(),
            Site::SameSite => SIBLING.to_owned(),
            Site::CrossSite => STRANGER.to_owned(),
        }
    }

    fn accept(&self) -> &'static str {
        match self.kind {
            Kind::Navigation | Kind::Frame | Kind::Prerender => {
                "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
            }
            Kind::Image => "image/avif,image/webp,image/*,*/*;q=0.8",
            Kind::Fetch | Kind::Prefetch | Kind::WebSocket => "*/*",
        }
    }

    fn mode(&self) -> &'static str {
        match self.kind {
            Kind::Navigation | Kind::Frame | Kind::Prerender => "navigate",
            Kind::Fetch => "cors",
            Kind::Image | Kind::Prefetch => "no-cors",
            Kind::WebSocket => "websocket",
        }
    }

    fn dest(&self) -> &'static str {
        match self.kind {
            Kind::Navigation | Kind::Prerender => "document",
            Kind::Frame => "iframe",
            Kind::Fetch | Kind::Prefetch => "empty",
            Kind::Image => "image",
            Kind::WebSocket => "websocket",
        }
    }
}

/// The request line and what tells who asks: `GET https://selfcare.csp.com/ (navigate, document, cross-site)`.
impl fmt::Display for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, url, .. } = self;
        write!(f, "{method} {url} ({}, {}, {})", self.mode(), self.dest(), self.site.name())
    }
}

impl Site {
    fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SameOrigin => "same-origin",
            Self::SameSite => "same-site",
            Self::CrossSite => "cross-site",
        }
    }
}

/// `application/x-www-form-urlencoded`.
pub fn encode_form(fields: &[(&str, &str)]) -> String {
    let mut url = super::parse("form:");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_owned()
}
