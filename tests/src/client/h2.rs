//! HTTP/2 with prior knowledge, pseudo headers and trailers included.

use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{self, ResponseFuture, SendRequest};
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::{RawResponse, pairs, patiently};

/// An HTTP/2 request.
#[derive(Clone, Debug)]
#[must_use = "a request is nothing before it is sent"]
pub struct H2Request {
    method: String,
    authority: String,
    path: String,
    headers: HeaderMap,
    trailers: HeaderMap,
    body: Bytes,
}

/// A request whose body has not ended: `finish` it, or `reset` it.
pub struct H2Pending {
    response: ResponseFuture,
    stream: SendStream<Bytes>,
    connection: Connection,
}

/// The connection ends with the value.
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl H2Request {
    /// A request with these pseudo headers.
    pub fn new(method: &str, authority: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            authority: authority.to_owned(),
            path: path.to_owned(),
            headers: HeaderMap::new(),
            trailers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Adds a header field, `host` included.
    ///
    /// # Panics
    /// When HTTP/2 cannot carry it.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.append(field_name(name), field_value(value.as_ref()));
        self
    }

    /// Adds `authorization: Bearer <token>`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Adds a trailer field.
    ///
    /// # Panics
    /// When HTTP/2 cannot carry it.
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.append(field_name(name), field_value(value.as_ref()));
        self
    }

    /// Sends a body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and reads the answer.
    pub async fn send(&self, addr: SocketAddr) -> io::Result<RawResponse> {
        self.begin(addr).await?.finish(self.body.clone(), self.trailers.clone()).await
    }

    /// Sends the head only.
    pub async fn begin(&self, addr: SocketAddr) -> io::Result<H2Pending> {
        patiently(async {
            let stream = TcpStream::connect(addr).await?;
            let (sender, driver) = client::handshake(stream).await.map_err(io::Error::other)?;
            let task = tokio::spawn(async {
                let _ = driver.await;
            });
            let connection = Connection(task.abort_handle());
            let mut sender: SendRequest<Bytes> = sender.ready().await.map_err(io::Error::other)?;
            let (response, stream) = sender.send_request(self.head()?, false).map_err(io::Error::other)?;
            Ok(H2Pending { response, stream, connection })
        })
        .await?
    }

    fn head(&self) -> io::Result<Request<()>> {
        let uri = Uri::builder().scheme("http").authority(self.authority.as_str());
        let uri = uri.path_and_query(self.path.as_str()).build().map_err(io::Error::other)?;
        let request = Request::builder().method(self.method.as_str()).uri(uri).version(http::Version::HTTP_2);
        let mut request = request.body(()).map_err(io::Error::other)?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }
}

impl H2Pending {
    /// Sends the rest and reads the answer.
    pub async fn finish(mut self, body: Bytes, trailers: HeaderMap) -> io::Result<RawResponse> {
        patiently(async {
            // A server may answer before it has the body: what counts is the answer.
            let _ = self.stream.send_data(body, trailers.is_empty());
            if !trailers.is_empty() {
                let _ = self.stream.send_trailers(trailers);
            }
            let (head, mut body) = self.response.await.map_err(io::Error::other)?.into_parts();
            let mut whole = Vec::new();
            while let Some(chunk) = body.data().await {
                let chunk = chunk.map_err(io::Error::other)?;
                let _ = body.flow_control().release_capacity(chunk.len());
                whole.extend_from_slice(&chunk);
            }
            drop(self.connection);
            Ok(RawResponse { status: head.status.as_u16(), headers: pairs(&head.headers), body: whole })
        })
        .await?
    }

    /// Sends `RST_STREAM` and leaves; returns when the frame had time to go.
    pub async fn reset(mut self) {
        self.stream.send_reset(Reason::CANCEL);
        let _ = tokio::time::timeout(std::time::Duration::from_millis(100), self.response).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        drop(self.connection);
    }
}

fn field_name(name: &str) -> HeaderName {
    name.parse().unwrap_or_else(|e| panic!("{name:?} is no header name: {e}"))
}

fn field_value(value: &[u8]) -> HeaderValue {
    let text = String::from_utf8_lossy(value).into_owned();
    HeaderValue::from_bytes(value).unwrap_or_else(|e| panic!("{text:?} is no header value: {e}"))
}
