//! Clients for requests that an ordinary library refuses to send. For anything else there is `reqwest`, see [`ordinary`].
//!
//! - [`Raw`] writes an HTTP/1.1 request byte by byte: repeated headers, bytes above 0x7f, absolute-form, paths that nobody normalised.
//! - [`Connection`] sends such requests one after the other on one connection.
//! - [`H2Request`] speaks HTTP/2 with prior knowledge: authority next to a `host` header, trailers, a reset in the middle.
//! - [`websocket`] opens a WebSocket.
//!
//! Each of them gives up after [`PATIENCE`].

mod connection;
mod h2;
mod raw;

use std::io;
use std::net::SocketAddr;

use http::HeaderMap;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

pub use self::connection::Connection;
pub use self::h2::{H2Pending, H2Request};
pub use self::raw::{Raw, raw_http1, raw_tls};
use crate::PATIENCE;

/// An answer, header fields in the order in which they came.
#[derive(Clone, Debug)]
pub struct RawResponse {
    /// The status code.
    pub status: u16,
    /// The header fields; names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The body, decoded from chunks.
    pub body: Vec<u8>,
}

impl RawResponse {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        self.header_all(name).into_iter().next()
    }

    /// Every value of a header.
    pub fn header_all(&self, name: &str) -> Vec<String> {
        let of_name = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        of_name.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("the body of this {} is no JSON ({e}): {}", self.status, self.text()))
    }
}

/// An ordinary client that follows no redirect, uses no proxy and loses its patience.
///
/// # Panics
/// Never: nothing in its configuration can fail.
pub fn ordinary() -> reqwest::Client {
    let client = reqwest::Client::builder().timeout(PATIENCE).no_proxy();
    client.redirect(reqwest::redirect::Policy::none()).build().expect("a client without TLS always builds")
}

/// Opens a WebSocket. A refused handshake is [`WebSocketError::Http`] with the answer.
///
/// # Panics
/// When `authority`, `path` or a header cannot be sent.
pub async fn websocket(
    addr: SocketAddr,
    authority: &str,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, WebSocketError> {
    let request = format!("ws://{authority}{path}").into_client_request();
    let mut request = request.expect("a WebSocket needs an authority and a path");
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().expect("a header value of visible ASCII"));
    }
    let handshake = async {
        let stream = TcpStream::connect(addr).await?;
        tokio_tungstenite::client_async(request, stream).await
    };
    let (socket, _) = patiently(handshake).await??;
    Ok(socket)
}

/// The result, or `TimedOut` once the patience is at its end.
pub(crate) async fn patiently<T>(future: impl Future<Output = T>) -> io::Result<T> {
    within(PATIENCE, future).await
}

/// The result, or `TimedOut` once this patience is at its end.
pub(crate) async fn within<T>(
    patience: std::time::Duration,
    future: impl Future<Output = T>,
) -> io::Result<T> {
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {patience:?}"));
    tokio::time::timeout(patience, future).await.map_err(late)
}

/// Header fields as pairs.
pub(crate) fn pairs(headers: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}
