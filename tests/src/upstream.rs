//! The protected application: it answers with what it was sent, so that a test can say what got through.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{HeaderMap, HeaderValue};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::server::{Body, Server, whole};
use crate::websocket;

/// An echoing upstream for HTTP/1.1, HTTP/2 with prior knowledge, and WebSockets at any path.
pub struct Upstream {
    state: Arc<State>,
    server: Server,
}

#[derive(Default)]
struct State {
    requests: AtomicU64,
    last: Mutex<Option<Seen>>,
    delay: Mutex<Duration>,
    canned: Mutex<Option<Canned>>,
}

/// An answer that does not depend on the request.
#[derive(Clone, Debug)]
pub struct Canned {
    /// The status.
    pub status: u16,
    /// The `set-cookie` fields.
    pub cookies: Vec<String>,
    /// The JSON body.
    pub body: String,
}

/// A request as it reached the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The authority: `:authority`, or `Host`.
    pub authority: Option<String>,
    /// The header fields in order, repetitions included; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The trailer fields.
    pub trailers: Vec<(String, Vec<u8>)>,
    /// The body.
    pub body: Vec<u8>,
    /// The SHA-256 of the body in hexadecimal.
    pub body_sha256: String,
}

impl Seen {
    pub(crate) fn of(head: &http::request::Parts, trailers: &HeaderMap, body: &[u8]) -> Self {
        let header =
            head.headers.get("host").map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
        Self {
            method: head.method.to_string(),
            path: head.uri.path_and_query().map_or_else(|| head.uri.to_string(), ToString::to_string),
            authority: head.uri.authority().map(ToString::to_string).or(header),
            headers: pairs(&head.headers),
            trailers: pairs(trailers),
            body: body.to_vec(),
            body_sha256: format!("{:x}", Sha256::digest(body)),
        }
    }

    /// The value of a header that is there once.
    ///
    /// # Panics
    /// When it is there more than once: no test should overlook that.
    pub fn header(&self, name: &str) -> Option<String> {
        let values = self.header_all(name);
        assert!(values.len() < 2, "the upstream saw {name} {} times: {values:?}", values.len());
        values.into_iter().next()
    }

    /// Every value of a header.
    pub fn header_all(&self, name: &str) -> Vec<String> {
        let of_name = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The headers whose names start so, as pairs of text in order.
    pub fn headers_with_prefix(&self, prefix: &str) -> Vec<(String, String)> {
        let matching = self.headers.iter().filter(|(name, _)| name.starts_with(prefix));
        matching.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect()
    }

    /// The request as the upstream's answer tells it.
    pub fn to_json(&self) -> Value {
        let text = |fields: &[(String, Vec<u8>)]| -> Vec<Value> {
            fields.iter().map(|(name, value)| json!([name, String::from_utf8_lossy(value)])).collect()
        };
        json!({
            "method": self.method,
            "path": self.path,
            "authority": self.authority,
            "headers": text(&self.headers),
            "trailers": text(&self.trailers),
            "body_len": self.body.len(),
            "body_sha256": self.body_sha256,
        })
    }
}

impl Upstream {
    /// Listens on any port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port is left.
    // Asynchronous since the server belongs to the runtime that polls this.
    #[allow(clippy::unused_async)]
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let server = Server::start(0, move |request| answer(Arc::clone(&shared), request));
        Self { state, server: server.unwrap_or_else(|e| panic!("the upstream cannot listen: {e}")) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// How many requests arrived, WebSocket handshakes included.
    pub fn requests(&self) -> u64 {
        self.state.requests.load(Ordering::SeqCst)
    }

    /// The last request that arrived in full.
    pub fn last(&self) -> Option<Seen> {
        lock(&self.state.last).clone()
    }

    /// From now on, every answer takes this long.
    pub fn delay(&self, delay: Duration) {
        *lock(&self.state.delay) = delay;
    }

    /// From now on, every answer is this one; `None`: what it was sent.
    pub fn answers(&self, canned: Option<Canned>) {
        *lock(&self.state.canned) = canned;
    }

    /// Closes the listener and all connections.
    pub async fn stop(&self) {
        self.server.stop().await;
    }
}

async fn answer(state: Arc<State>, mut request: Request<Incoming>) -> Response<Body> {
    state.requests.fetch_add(1, Ordering::SeqCst);
    let delay = *lock(&state.delay);
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    if let Some(switching) = websocket::accept(&mut request) {
        let (head, _) = request.into_parts();
        *lock(&state.last) = Some(Seen::of(&head, &HeaderMap::new(), &[]));
        return switching;
    }
    let (head, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return whole(400, "text/plain", "the request body broke off");
    };
    let trailers = body.trailers().cloned().unwrap_or_default();
    let seen = Seen::of(&head, &trailers, &body.to_bytes());
    let answer = seen.to_json().to_string();
    *lock(&state.last) = Some(seen);
    let Some(Canned { status, cookies, body }) = lock(&state.canned).clone() else {
        return whole(200, "application/json", answer);
    };
    let mut response = whole(status, "application/json", body);
    for cookie in cookies {
        let cookie = HeaderValue::from_str(&cookie).expect("a field value");
        response.headers_mut().append("set-cookie", cookie);
    }
    response
}

fn pairs(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};

    use super::*;
    use crate::client::{H2Request, Raw, websocket};

    #[tokio::test]
    async fn tells_what_it_was_sent() {
        let upstream = Upstream::start().await;
        let request =
            Raw::post("/rest/x?y=1").host("app").header("x-a", b"1").header("x-a", b"\xff").body(b"abc");
        let response = request.send(upstream.addr()).await.unwrap();
        assert_eq!(response.status, 200);
        let seen = upstream.last().unwrap();
        assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/rest/x?y=1"));
        assert_eq!(seen.authority.as_deref(), Some("app"));
        let repeated: Vec<_> = seen.headers.iter().filter(|(name, _)| name == "x-a").collect();
        assert_eq!(repeated, [&("x-a".to_owned(), b"1".to_vec()), &("x-a".to_owned(), vec![0xff])]);
        assert_eq!(seen.body_sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(response.json(), seen.to_json());
        assert_eq!(upstream.requests(), 1);
    }

    #[tokio::test]
    async fn speaks_http2_with_trailers() {
        let upstream = Upstream::start().await;
        let request = H2Request::new("POST", "app", "/x").header("x-a", "1").trailer("x-t", "2");
        let response = request.send(upstream.addr()).await.unwrap();
        assert_eq!(response.status, 200);
        let seen = upstream.last().unwrap();
        assert_eq!(seen.trailers, [("x-t".to_owned(), b"2".to_vec())]);
        assert_eq!(seen.authority.as_deref(), Some("app"));
    }

    #[tokio::test]
    async fn echoes_a_websocket() {
        let upstream = Upstream::start().await;
        let mut socket = websocket(upstream.addr(), "app", "/ws", &[]).await.unwrap();
        socket.send("hello".into()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), "hello".into());
    }
}
