//! One request on one connection of its own.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http::header::{HOST, HeaderValue};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use tokio_rustls::client::TlsStream;

use crate::client::{RawResponse, pairs, within};
use crate::tls::{self, Alpn};

/// How a host is reached.
pub(super) struct Transport {
    addr: SocketAddr,
    host: String,
    /// The protocols to offer, over TLS.
    tls: Option<Alpn>,
}

/// A connection, with TLS or without.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// The connection ends with the value.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Transport {
    pub(super) fn new(addr: SocketAddr, host: &str, tls: Option<Alpn>) -> Self {
        Self { addr, host: host.to_owned(), tls }
    }

    pub(super) async fn send(&self, request: Request<Bytes>, patience: Duration) -> io::Result<RawResponse> {
        within(patience, async {
            let stream = self.stream(self.tls).await?;
            match stream {
                Stream::Tls(tls) if tls::is_http2(&tls) => over_http2(Stream::Tls(tls), request).await,
                stream => over_http1(stream, request).await,
            }
        })
        .await?
    }

    /// A connection for HTTP/1.1.
    pub(super) async fn http1_stream(&self) -> io::Result<Stream> {
        self.stream(self.tls.map(|_| Alpn::Http1)).await
    }

    async fn stream(&self, tls: Option<Alpn>) -> io::Result<Stream> {
        Ok(match tls {
            Some(alpn) => Stream::Tls(Box::new(tls::connect(self.addr, &self.host, alpn).await?)),
            None => Stream::Plain(TcpStream::connect(self.addr).await?),
        })
    }
}

async fn over_http1(stream: Stream, request: Request<Bytes>) -> io::Result<RawResponse> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let _driver = drive(connection);
    let mut request = request.map(Full::new);
    let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
    if let Some(Ok(authority)) = authority
        && !request.headers().contains_key(HOST)
    {
        request.headers_mut().insert(HOST, authority);
    }
    let origin_form = request.uri().path_and_query().cloned().map(http::Uri::from);
    *request.uri_mut() = origin_form.unwrap_or_default();
    collect(sender.send_request(request).await).await
}

async fn over_http2(stream: Stream, request: Request<Bytes>) -> io::Result<RawResponse> {
    let mut client = http2::Builder::new(TokioExecutor::new());
    // As much as a browser takes: a session of large tokens is many cookies.
    client.max_header_list_size(256 * 1024);
    let (mut sender, connection) = client.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let _driver = drive(connection);
    collect(sender.send_request(request.map(Full::new)).await).await
}

fn drive(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Driver {
    let task = tokio::spawn(async {
        // How the connection ends is in the answer, or in its absence.
        let _ = connection.await;
    });
    Driver(task.abort_handle())
}

async fn collect(response: hyper::Result<hyper::Response<hyper::body::Incoming>>) -> io::Result<RawResponse> {
    let (head, body) = response.map_err(io::Error::other)?.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes().to_vec();
    Ok(RawResponse { status: head.status.as_u16(), headers: pairs(&head.headers), body })
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
