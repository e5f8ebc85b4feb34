//! HTTP/1.1, byte by byte.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{RawResponse, patiently};
use crate::tls::{self, Alpn};

/// An HTTP/1.1 request that goes out exactly as written.
#[derive(Clone, Debug)]
#[must_use = "a request is nothing before it is sent"]
pub struct Raw {
    line: Vec<u8>,
    fields: Vec<u8>,
    body: Vec<u8>,
}

impl Raw {
    /// `<method> <target> HTTP/1.1`; the target may be any bytes, in origin-form, absolute-form or neither.
    pub fn new(method: &str, target: impl AsRef<[u8]>) -> Self {
        let line = [method.as_bytes(), b" ", target.as_ref(), b" HTTP/1.1\r\n"].concat();
        Self { line, fields: Vec::new(), body: Vec::new() }
    }

    /// A GET request.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// A POST request.
    pub fn post(target: impl AsRef<[u8]>) -> Self {
        Self::new("POST", target)
    }

    /// Adds a `Host` header. There is none unless this is called.
    pub fn host(self, host: impl AsRef<[u8]>) -> Self {
        self.header("Host", host)
    }

    /// Adds a header field. The same name again makes a second line.
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.fields.extend([name.as_ref(), b": ", value.as_ref(), b"\r\n"].concat());
        self
    }

    /// Adds `Authorization: Bearer <token>`.
    pub fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }

    /// Sends a body with its `Content-Length`.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", length)
    }

    /// The request as it goes out on a connection of its own.
    pub fn bytes(&self) -> Vec<u8> {
        [&self.line[..], &self.fields, b"Connection: close\r\n\r\n", &self.body].concat()
    }

    /// The request as it goes out on a [`Connection`](super::Connection) that others use after it.
    pub(super) fn kept_alive(&self) -> Vec<u8> {
        [&self.line[..], &self.fields, b"\r\n", &self.body].concat()
    }

    /// Sends it.
    pub async fn send(&self, addr: SocketAddr) -> io::Result<RawResponse> {
        raw_http1(addr, &self.bytes()).await
    }

    /// Sends it over TLS to the server of this host.
    pub async fn send_tls(&self, addr: SocketAddr, host: &str) -> io::Result<RawResponse> {
        raw_tls(addr, host, &self.bytes()).await
    }
}

/// Writes bytes to a server and reads one HTTP/1.1 answer, until it is complete or the server closes.
pub async fn raw_http1(addr: SocketAddr, request: &[u8]) -> io::Result<RawResponse> {
    patiently(async { exchange(TcpStream::connect(addr).await?, request).await }).await?
}

/// The same over TLS, to the server of this host.
pub async fn raw_tls(addr: SocketAddr, host: &str, request: &[u8]) -> io::Result<RawResponse> {
    patiently(async { exchange(tls::connect(addr, host, Alpn::Http1).await?, request).await }).await?
}

async fn exchange<S>(mut stream: S, request: &[u8]) -> io::Result<RawResponse>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // A server may answer and close before it has read everything, so the answer decides, not the write.
    let written = stream.write_all(request).await;
    let mut received = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        if let Some(response) = parse(&received, false)? {
            return Ok(response);
        }
        match stream.read(&mut buffer).await {
            Ok(0) => break,
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(_) if !received.is_empty() => break,
            Err(e) => return Err(e),
        }
    }
    written?;
    parse(&received, true)?.ok_or_else(|| incomplete(&received))
}

/// The answer, once it is complete. `closed` says that nothing will follow.
pub(super) fn parse(received: &[u8], closed: bool) -> io::Result<Option<RawResponse>> {
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(length) = head.parse(received).map_err(invalid)? else { return Ok(None) };
    let status = head.code.unwrap_or_default();
    let headers: Vec<_> =
        head.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value.to_vec())).collect();
    let rest = &received[length..];
    if status == 100 {
        return parse(rest, closed);
    }
    let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice());
    let body = if matches!(status, 101 | 204 | 304) {
        Some(Vec::new())
    } else if value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked")) {
        unchunk(rest)?
    } else if let Some(promised) = value("content-length") {
        let promised: usize = String::from_utf8_lossy(promised).parse().map_err(invalid)?;
        // An answer to HEAD promises a body that never comes.
        (rest.len() >= promised || closed).then(|| rest[..promised.min(rest.len())].to_vec())
    } else {
        closed.then(|| rest.to_vec())
    };
    Ok(body.map(|body| RawResponse { status, headers, body }))
}

/// The body behind the chunks, once the last one is there.
fn unchunk(mut rest: &[u8]) -> io::Result<Option<Vec<u8>>> {
    let mut body = Vec::new();
    loop {
        let httparse::Status::Complete((start, size)) =
            httparse::parse_chunk_size(rest).map_err(|_| invalid("an invalid chunk size"))?
        else {
            return Ok(None);
        };
        if size == 0 {
            return Ok(Some(body));
        }
        let end = start + usize::try_from(size).map_err(invalid)?;
        let Some(chunk) = rest.get(start..end) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = rest.get(end + 2..).unwrap_or_default();
    }
}

fn invalid(problem: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem.to_string())
}

pub(super) fn incomplete(received: &[u8]) -> io::Error {
    let start = String::from_utf8_lossy(&received[..received.len().min(200)]).into_owned();
    let problem = format!("the connection ended after {} bytes: {start:?}", received.len());
    io::Error::new(io::ErrorKind::UnexpectedEof, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_out_as_written() {
        let request = Raw::get("/a/../b").host("h").header("x-a", b"\xff").header("x-a", "2").body("hi");
        assert_eq!(
            request.bytes(),
            b"GET /a/../b HTTP/1.1\r\nHost: h\r\nx-a: \xff\r\nx-a: 2\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
        );
    }

    #[test]
    fn an_answer_is_complete_when_its_framing_says_so() {
        let whole = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        assert!(parse(&whole[..whole.len() - 1], false).unwrap().is_none());
        assert_eq!(parse(whole, false).unwrap().unwrap().body, b"hi");
        let chunked = b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n";
        assert!(parse(&chunked[..chunked.len() - 6], false).unwrap().is_none());
        let response = parse(chunked, false).unwrap().unwrap();
        assert_eq!((response.status, response.body.as_slice()), (403, &b"hi!"[..]));
        let unframed = b"HTTP/1.1 200 OK\r\n\r\nuntil the end";
        assert!(parse(unframed, false).unwrap().is_none());
        assert_eq!(parse(unframed, true).unwrap().unwrap().body, b"until the end");
    }

    #[tokio::test]
    async fn a_silent_server_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::time::pause();
        let error = raw_http1(addr, b"GET / HTTP/1.1\r\n\r\n").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
