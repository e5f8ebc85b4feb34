//! A browser, as far as a login has to do with one: it keeps cookies by their rules, says with Fetch Metadata what it asks for, and goes
//! where an answer sends it, one hop at a time so that a test sees each of them.
//!
//! ```no_run
//! # async fn example(envoy: std::net::SocketAddr, keycloak: std::net::SocketAddr) {
//! use portcullis_tests::browser::{Browser, Visit};
//!
//! let browser = Browser::new().tls_route("https://selfcare.csp.com", envoy);
//! let mut browser = browser.route("https://sso.csp.com", keycloak);
//! let page = browser.go(&Visit::navigation("https://selfcare.csp.com/")).await;
//! let there = browser.follow(&page).await;
//! assert_eq!(there.url.host_str(), Some("sso.csp.com"));
//! # }
//! ```
//!
//! It renders nothing and runs no script. An origin without a route is reached only if its host is an address of its own, or `localhost`.

mod form;
mod jar;
mod transport;
mod visit;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Url;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WebSocketError;

pub use self::form::Form;
use self::jar::Jar;
use self::transport::Transport;
pub use self::visit::{Kind, Site, Visit, encode_form};
use crate::PATIENCE;
use crate::client::RawResponse;
use crate::tls::Alpn;

/// How many redirects a browser follows before it gives up (Fetch standard: 20).
const AT_MOST_HOPS: usize = 20;

/// A browser with its cookies. A clone is another browser with the same ones.
#[derive(Clone, Debug)]
pub struct Browser {
    jar: Jar,
    routes: BTreeMap<String, Route>,
    alpn: Alpn,
    fetch_metadata: bool,
    patience: Duration,
}

/// Where an origin is in truth.
#[derive(Clone, Copy, Debug)]
struct Route {
    addr: SocketAddr,
    tls: bool,
}

/// What came back, and from where.
#[derive(Clone, Debug)]
pub struct Page {
    /// The URL that was asked for.
    pub url: Url,
    /// What was asked for, to go on from here.
    pub visit: Visit,
    /// The answer.
    pub response: RawResponse,
}

impl Deref for Page {
    type Target = RawResponse;

    fn deref(&self) -> &RawResponse {
        &self.response
    }
}

impl Page {
    /// Where the answer sends the browser, if anywhere.
    ///
    /// # Panics
    /// When the `location` is no URL.
    pub fn location(&self) -> Option<Url> {
        let location =
            self.response.header("location").filter(|_| (300..400).contains(&self.response.status))?;
        Some(self.url.join(&location).unwrap_or_else(|e| panic!("{location:?} is no URL: {e}")))
    }

    /// The value of a parameter in the query of the `location`.
    ///
    /// # Panics
    /// When it is there more than once.
    pub fn location_parameter(&self, name: &str) -> Option<String> {
        let location = self.location()?;
        let mut values = location.query_pairs().filter(|(n, _)| n == name).map(|(_, value)| value);
        let first = values.next().map(std::borrow::Cow::into_owned);
        assert!(values.next().is_none(), "{name} is in {location} more than once");
        first
    }

    /// The first link on the page that begins so.
    pub fn link(&self, start: &str) -> Option<Url> {
        let links = form::links(&self.response.text());
        let link = links.into_iter().find(|link| link.starts_with(start))?;
        self.url.join(&link).ok()
    }

    /// The first form on the page.
    pub fn form(&self) -> Option<Form> {
        form::first(&self.response.text(), &self.url)
    }
}

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// A new browser without cookies. It speaks HTTP/2 where the server does.
    pub fn new() -> Self {
        Self {
            jar: Jar::default(),
            routes: BTreeMap::new(),
            alpn: Alpn::Http2,
            fetch_metadata: true,
            patience: PATIENCE,
        }
    }

    /// The origin of this URL is at this address and speaks plain HTTP, whatever the URL says: somebody in front of it, who is not here,
    /// speaks TLS for it. The browser believes the URL.
    #[must_use]
    pub fn route(self, origin: impl AsRef<str>, addr: SocketAddr) -> Self {
        self.lead(origin.as_ref(), Route { addr, tls: false })
    }

    /// The origin of this URL is at this address and speaks TLS.
    #[must_use]
    pub fn tls_route(self, origin: impl AsRef<str>, addr: SocketAddr) -> Self {
        self.lead(origin.as_ref(), Route { addr, tls: true })
    }

    fn lead(mut self, origin: &str, route: Route) -> Self {
        self.routes.insert(parse(origin).origin().ascii_serialization(), route);
        self
    }

    /// Waits so long for each answer, where [`PATIENCE`] is not enough.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Speaks HTTP/1.1 only.
    #[must_use]
    pub fn http1(mut self) -> Self {
        self.alpn = Alpn::Http1;
        self
    }

    /// A browser from before Fetch Metadata: what it asks for is in `accept` at best.
    #[must_use]
    pub fn without_fetch_metadata(mut self) -> Self {
        self.fetch_metadata = false;
        self
    }

    /// A browser from before SameSite: it sends every cookie whoever asks for the request.
    #[must_use]
    pub fn without_same_site(mut self) -> Self {
        self.jar.same_site = false;
        self
    }

    /// A browser whose user blocks all cookies.
    #[must_use]
    pub fn without_cookies(mut self) -> Self {
        self.jar.blocked = true;
        self
    }

    /// Sends a request and keeps the cookies of the answer. It follows nothing.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn go(&mut self, visit: &Visit) -> Page {
        let response = self.reach(visit).send(self.request(visit), self.patience).await;
        let response = response.unwrap_or_else(|e| panic!("no answer from {}: {e}", visit.url()));
        for set_cookie in response.header_all("set-cookie") {
            self.jar.take(&set_cookie, visit.url());
        }
        Page { url: visit.url().clone(), visit: visit.clone(), response }
    }

    /// Goes where an answer sends it: one hop.
    ///
    /// # Panics
    /// When the answer is no redirect, or no answer comes.
    pub async fn follow(&mut self, page: &Page) -> Page {
        let location = page.location();
        let location =
            location.unwrap_or_else(|| panic!("{} {} sends nowhere: {}", page.status, page.url, page.text()));
        let visit = page.visit.redirected(page.status, location);
        self.go(&visit).await
    }

    /// Sends a request and follows redirects as far as there are routes: all answers. A redirect to nowhere is the last of them.
    ///
    /// # Panics
    /// When there are too many redirects, or no answer comes.
    pub async fn open(&mut self, visit: &Visit) -> Vec<Page> {
        let mut pages = vec![self.go(visit).await];
        while let Some(page) = pages.last()
            && page.location().is_some_and(|location| self.transport(&location).is_some())
        {
            assert!(pages.len() <= AT_MOST_HOPS, "redirects without an end, at {}", page.url);
            let next = self.follow(page).await;
            pages.push(next);
        }
        pages
    }

    /// Opens an address, as if a person had typed it in, and follows redirects as far as there are routes.
    ///
    /// # Panics
    /// As [`open`](Self::open).
    pub async fn navigate(&mut self, url: impl AsRef<str>) -> Page {
        self.arrive(&Visit::navigation(url)).await
    }

    /// Sends a form, and follows redirects.
    ///
    /// # Panics
    /// As [`open`](Self::open).
    pub async fn submit(&mut self, form: Form) -> Page {
        self.arrive(&Visit::submission(&form)).await
    }

    async fn arrive(&mut self, visit: &Visit) -> Page {
        let last = self.open(visit).await.pop();
        last.expect("a visit has an answer")
    }

    /// Opens a WebSocket; the status where the server does not open it. One message went there and back when it is 101.
    ///
    /// # Panics
    /// When neither a WebSocket nor an answer comes.
    pub async fn websocket(&self, visit: &Visit) -> u16 {
        use futures_util::SinkExt as _;
        let shake = async {
            let stream = self.reach(visit).http1_stream().await?;
            let mut request = self.request(visit).map(|_| ());
            // Only the name of the scheme: the stream is there already.
            let uri = visit.url().as_str().replacen("http", "ws", 1);
            *request.uri_mut() = uri.parse().expect("the URL of a visit is one");
            let (mut socket, response): (WebSocketStream<_>, _) =
                tokio_tungstenite::client_async(request, stream).await?;
            socket.send("hello".into()).await?;
            let echo = socket.next().await.ok_or(WebSocketError::ConnectionClosed)??;
            assert_eq!(echo, "hello".into());
            Ok(response.status().as_u16())
        };
        match tokio::time::timeout(self.patience, shake).await {
            Ok(Ok(status)) => status,
            Ok(Err(WebSocketError::Http(response))) => response.status().as_u16(),
            other => panic!("neither a WebSocket nor an answer from {}: {other:?}", visit.url()),
        }
    }

    /// The cookies that it would send there, name and value.
    pub fn cookies(&self, url: impl AsRef<str>) -> Vec<(String, String)> {
        self.jar.at(&parse(url.as_ref()))
    }

    /// The value of one of them.
    pub fn cookie(&self, url: impl AsRef<str>, name: &str) -> Option<String> {
        self.cookies(url).into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// Puts a cookie there as if the host had set it: secure, for the host alone, and for every path of it.
    pub fn put_cookie(&mut self, url: impl AsRef<str>, name: &str, value: &str) {
        self.jar.put(&parse(url.as_ref()), name, value);
    }

    /// Forgets the cookies of this name.
    pub fn drop_cookie(&mut self, name: &str) {
        self.jar.forget(name);
    }

    /// Forgets every cookie.
    pub fn drop_cookies(&mut self) {
        self.jar.clear();
    }

    /// The `set-cookie` lines that it refused to keep: each of them is a fault of who sent it.
    pub fn refused_cookies(&self) -> &[String] {
        &self.jar.refused
    }

    /// How a URL is reached, if at all.
    fn transport(&self, url: &Url) -> Option<Transport> {
        let host = url.host_str()?;
        if let Some(route) = self.routes.get(&url.origin().ascii_serialization()) {
            return Some(Transport::new(route.addr, host, route.tls.then_some(self.alpn)));
        }
        let ip = if host == "localhost" { "127.0.0.1" } else { host }.parse().ok()?;
        let addr = SocketAddr::new(ip, url.port_or_known_default()?);
        Some(Transport::new(addr, host, (url.scheme() == "https").then_some(self.alpn)))
    }

    fn reach(&self, visit: &Visit) -> Transport {
        let url = visit.url();
        self.transport(url).unwrap_or_else(|| panic!("there is no route to {url}"))
    }

    fn request(&self, visit: &Visit) -> http::Request<bytes::Bytes> {
        let mut request = visit.request(self.fetch_metadata);
        let route = self.routes.get(&visit.url().origin().ascii_serialization());
        if route.is_some_and(|route| !route.tls) {
            // What somebody in front says.
            let scheme = visit.url().scheme().parse().expect("a scheme can be a header's value");
            request.headers_mut().insert("x-forwarded-proto", scheme);
        }
        if let Some(cookies) = self.jar.header(visit) {
            let cookies = cookies.parse().expect("what was a cookie can be one again");
            request.headers_mut().append("cookie", cookies);
        }
        request
    }
}

fn parse(url: &str) -> Url {
    Url::parse(url).unwrap_or_else(|e| panic!("{url:?} is no URL: {e}"))
}

#[cfg(test)]
mod tests;
