//! An OpenID Connect issuer in Keycloak's shape. It is **not Keycloak**: it serves discovery and keys as Keycloak 26 does, tokens are
//! minted in the test itself, and nobody can log in. What it adds is what a test of failure needs: faults, counters, and an end.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};

use crate::realm::Realm;
use crate::server::{Body, Server, whole};

/// Which realm an issuer serves, and where.
#[derive(Clone, Debug)]
pub struct IssuerOptions {
    /// The realm's name.
    pub realm: String,
    /// The public issuer URL; its path is where the endpoints lie.
    pub issuer: String,
    /// The port on 127.0.0.1; 0 for any.
    pub port: u16,
}

impl Default for IssuerOptions {
    /// The realm `customers` of the configurations in `/envoy`.
    fn default() -> Self {
        let realm = "customers".to_owned();
        Self { realm, issuer: "https://sso.csp.com/realms/customers".to_owned(), port: 0 }
    }
}

/// What an issuer serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `<issuer>/.well-known/openid-configuration`
    Discovery,
    /// `<issuer>/protocol/openid-connect/certs`
    Jwks,
}

/// How an endpoint misbehaves.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status with a small JSON error.
    Status(u16),
    /// 302 to another host.
    Redirect,
    /// 204.
    NoContent,
    /// 200 with something else.
    Body {
        /// The `content-type`.
        content_type: &'static str,
        /// The body.
        bytes: Bytes,
    },
    /// The right answer, late.
    Delay(Duration),
    /// Takes the request and never answers.
    Stall,
    /// The right answer, but only once the endpoint's fault is another one or none: the test says when.
    Hold,
    /// The right answer, a byte every 100 ms.
    Drip,
    /// Promises the right length, sends half and breaks the connection.
    ResetMidBody,
    /// The right answer of another realm: every URL is `https://evil.example/realms/other`'s.
    WrongIssuer,
}

impl Fault {
    /// An HTML page, as a proxy in front of Keycloak would send.
    pub fn html() -> Self {
        Self::body("text/html", "<!doctype html><title>Maintenance</title><h1>Back soon</h1>")
    }

    /// JSON that ends too early.
    pub fn truncated() -> Self {
        Self::body("application/json", r#"{"keys":[{"kid":"abc","kty":"RSA","n":"#)
    }

    /// JSON of the test's own.
    pub fn json(value: &Value) -> Self {
        Self::body("application/json", value.to_string())
    }

    /// 10 MB of well formed JSON.
    pub fn huge() -> Self {
        Self::body("application/json", format!(r#"{{"keys":[],"filling":"{}"}}"#, "x".repeat(10_000_000)))
    }

    /// A gzip header where JSON should be, without `content-encoding`.
    pub fn gzip() -> Self {
        Self::body("application/json", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0][..])
    }

    /// 200 with something else.
    pub fn body(content_type: &'static str, bytes: impl Into<Bytes>) -> Self {
        Self::Body { content_type, bytes: bytes.into() }
    }
}

/// A realm that is served. It dereferences to its [`Realm`]: `issuer.token()`, `issuer.rotate(..)`.
pub struct Issuer {
    realm: Realm,
    observed: Arc<Observed>,
    server: Server,
}

#[derive(Default)]
struct Observed {
    discovery_hits: AtomicU64,
    jwks_hits: AtomicU64,
    last_host: Mutex<Option<String>>,
    faults: Mutex<Vec<(Endpoint, Fault)>>,
}

impl Issuer {
    /// Serves a new realm.
    ///
    /// # Panics
    /// When the port is taken.
    pub async fn start(options: IssuerOptions) -> Self {
        Self::serve(Realm::new(&options.realm, &options.issuer), options.port).await
    }

    /// Serves the realm `customers` of the configurations in `/envoy`.
    pub async fn customers() -> Self {
        Self::serve(Realm::customers(), 0).await
    }

    /// Serves the realm `admins` of the configurations in `/envoy`.
    pub async fn admins() -> Self {
        Self::serve(Realm::admins(), 0).await
    }

    /// Serves a realm that exists; it may be another issuer's, as with a second node of one Keycloak.
    ///
    /// # Panics
    /// When the port is taken.
    // Asynchronous since the server belongs to the runtime that polls this.
    #[allow(clippy::unused_async)]
    pub async fn serve(realm: Realm, port: u16) -> Self {
        let observed = Arc::new(Observed::default());
        let server = listen(&realm, &observed, port);
        Self { realm, observed, server }
    }

    /// The realm, to keep beyond the issuer.
    pub fn realm(&self) -> &Realm {
        &self.realm
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// How often discovery was asked for, faults included.
    pub fn discovery_hits(&self) -> u64 {
        self.observed.discovery_hits.load(Ordering::SeqCst)
    }

    /// How often the keys were asked for, faults included.
    pub fn jwks_hits(&self) -> u64 {
        self.observed.jwks_hits.load(Ordering::SeqCst)
    }

    /// The authority of the last request.
    pub fn last_host_header(&self) -> Option<String> {
        lock(&self.observed.last_host).clone()
    }

    /// From now on, this endpoint misbehaves. One fault at a time for each endpoint.
    pub fn fault(&self, endpoint: Endpoint, fault: Fault) {
        let mut faults = lock(&self.observed.faults);
        faults.retain(|(at, _)| *at != endpoint);
        faults.push((endpoint, fault));
    }

    /// From now on, everything answers as it should.
    pub fn clear_faults(&self) {
        lock(&self.observed.faults).clear();
    }

    /// Closes the listener and all connections: from now on a connection is refused.
    pub async fn stop(&self) {
        self.server.stop().await;
    }

    /// Listens on the same port again.
    ///
    /// # Panics
    /// When somebody else took the port in the meantime.
    pub async fn restart(&mut self) {
        self.server.stop().await;
        self.server = listen(&self.realm, &self.observed, self.addr().port());
    }
}

impl Deref for Issuer {
    type Target = Realm;

    fn deref(&self) -> &Realm {
        &self.realm
    }
}

fn listen(realm: &Realm, observed: &Arc<Observed>, port: u16) -> Server {
    let (realm, observed) = (realm.clone(), Arc::clone(observed));
    let respond = move |request| answer(realm.clone(), Arc::clone(&observed), request);
    Server::start(port, respond)
        .unwrap_or_else(|e| panic!("the issuer cannot listen on 127.0.0.1:{port}: {e}"))
}

async fn answer(realm: Realm, observed: Arc<Observed>, request: Request<Incoming>) -> Response<Body> {
    let header = request.headers().get("host").and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(http::uri::Authority::as_str).or(header);
    *lock(&observed.last_host) = host.map(str::to_owned);

    let base = path_of(realm.issuer());
    let path = request.uri().path();
    let (endpoint, document) = match path.strip_prefix(base) {
        Some("/.well-known/openid-configuration") => (Endpoint::Discovery, realm.discovery()),
        Some("/protocol/openid-connect/certs") => (Endpoint::Jwks, realm.jwks()),
        _ => return whole(404, "application/json", json!({"error": "Realm does not exist"}).to_string()),
    };
    let hits = match endpoint {
        Endpoint::Discovery => &observed.discovery_hits,
        Endpoint::Jwks => &observed.jwks_hits,
    };
    hits.fetch_add(1, Ordering::SeqCst);
    let fault =
        || lock(&observed.faults).iter().find(|(at, _)| *at == endpoint).map(|(_, fault)| fault.clone());
    while matches!(fault(), Some(Fault::Hold)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    respond(&document, fault()).await
}

async fn respond(document: &Value, fault: Option<Fault>) -> Response<Body> {
    let good = Bytes::from(document.to_string());
    match fault {
        None | Some(Fault::Hold) => json_document(good),
        Some(Fault::Status(status)) => whole(status, "application/json", r#"{"error":"unknown_error"}"#),
        Some(Fault::Redirect) => {
            let mut response = whole(302, "text/html", "");
            let elsewhere = http::HeaderValue::from_static("https://evil.example/certs");
            response.headers_mut().insert("location", elsewhere);
            response
        }
        Some(Fault::NoContent) => whole(204, "application/json", ""),
        Some(Fault::Body { content_type, bytes }) => whole(200, content_type, bytes),
        Some(Fault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            json_document(good)
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Drip) => drip(good),
        Some(Fault::ResetMidBody) => half(&good),
        Some(Fault::WrongIssuer) => {
            let issuer = document["issuer"].as_str().unwrap_or("https://sso.csp.com/realms/customers");
            json_document(document.to_string().replace(issuer, "https://evil.example/realms/other").into())
        }
    }
}

fn json_document(body: Bytes) -> Response<Body> {
    let mut response = whole(200, "application/json;charset=UTF-8", body);
    response.headers_mut().insert("cache-control", http::HeaderValue::from_static("no-cache"));
    response
}

/// A byte every 100 ms.
fn drip(good: Bytes) -> Response<Body> {
    let bytes = stream::iter(0..good.len()).then(move |at| {
        let byte = good.slice(at..=at);
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(Frame::data(byte))
        }
    });
    json_document(Bytes::new()).map(|_| StreamBody::new(bytes).boxed_unsync())
}

/// Half of what `content-length` promises, then the connection breaks.
fn half(good: &Bytes) -> Response<Body> {
    let first = Ok(Frame::data(good.slice(..good.len() / 2)));
    let pause = async {
        // Time for the half to leave: an error at once would take its place.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let broken = stream::iter([first]).chain(stream::once(pause));
    let mut response = json_document(Bytes::new()).map(|_| StreamBody::new(broken).boxed_unsync());
    response.headers_mut().insert("content-length", good.len().into());
    response
}

/// The path of a URL, without a trailing slash.
fn path_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority.find('/').map_or("", |at| authority[at..].trim_end_matches('/'))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(issuer: &Issuer, path: &str) -> Result<(u16, Vec<u8>), reqwest::Error> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).no_proxy();
        let client = client.redirect(reqwest::redirect::Policy::none()).build()?;
        let url = format!("http://{}/realms/customers{path}", issuer.addr());
        let response = client.get(url).header("host", "sso.csp.com").send().await?;
        Ok((response.status().as_u16(), response.bytes().await?.to_vec()))
    }

    const CERTS: &str = "/protocol/openid-connect/certs";

    #[tokio::test]
    async fn serves_discovery_and_keys_and_counts() {
        let issuer = Issuer::customers().await;
        let (status, body) = get(&issuer, "/.well-known/openid-configuration").await.unwrap();
        assert_eq!((status, serde_json::from_slice::<Value>(&body).unwrap()), (200, issuer.discovery()));
        let (_, keys) = get(&issuer, CERTS).await.unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&keys).unwrap(), issuer.jwks());
        assert_eq!((issuer.discovery_hits(), issuer.jwks_hits()), (1, 1));
        assert_eq!(issuer.last_host_header().as_deref(), Some("sso.csp.com"));
        assert_eq!(get(&issuer, "/../other/certs").await.unwrap().0, 404);
    }

    #[tokio::test]
    async fn faults_are_as_told_and_can_be_cleared() {
        let issuer = Issuer::customers().await;
        for (fault, status) in
            [(Fault::Status(500), 500), (Fault::Redirect, 302), (Fault::NoContent, 204), (Fault::html(), 200)]
        {
            issuer.fault(Endpoint::Jwks, fault.clone());
            assert_eq!(get(&issuer, CERTS).await.unwrap().0, status, "{fault:?}");
        }
        for fault in [Fault::Stall, Fault::Drip, Fault::ResetMidBody, Fault::Delay(Duration::from_secs(5))] {
            issuer.fault(Endpoint::Jwks, fault.clone());
            assert!(get(&issuer, CERTS).await.is_err(), "{fault:?}");
        }
        issuer.fault(Endpoint::Jwks, Fault::Hold);
        let release = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            issuer.clear_faults();
        };
        let (held, ()) = tokio::join!(get(&issuer, CERTS), release);
        assert_eq!(held.unwrap().0, 200);
        issuer.fault(Endpoint::Discovery, Fault::WrongIssuer);
        let (_, body) = get(&issuer, "/.well-known/openid-configuration").await.unwrap();
        assert_eq!(
            serde_json::from_slice::<Value>(&body).unwrap()["issuer"],
            "https://evil.example/realms/other"
        );
        issuer.clear_faults();
        assert_eq!(get(&issuer, CERTS).await.unwrap().0, 200);
    }

    #[tokio::test]
    async fn stops_with_its_connections_and_comes_back_on_its_port() {
        let mut issuer = Issuer::customers().await;
        issuer.fault(Endpoint::Jwks, Fault::Stall);
        let waiting = async { get(&issuer, CERTS).await };
        let stopping = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            issuer.stop().await;
        };
        let (broken, ()) = tokio::join!(waiting, stopping);
        assert!(!broken.unwrap_err().is_timeout(), "the open connection was cut");
        assert!(get(&issuer, CERTS).await.unwrap_err().is_connect(), "a new one is refused");
        let addr = issuer.addr();
        issuer.restart().await;
        issuer.clear_faults();
        assert_eq!(issuer.addr(), addr);
        assert_eq!(get(&issuer, CERTS).await.unwrap().0, 200);
    }
}
