//! One HTTP/1.1 connection for many requests.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::raw::{Raw, incomplete, parse};
use super::{RawResponse, within};
use crate::PATIENCE;

/// A connection that is kept alive, and opened anew where the server wants no more of it.
pub struct Connection {
    addr: SocketAddr,
    stream: Option<TcpStream>,
    patience: Duration,
}

impl Connection {
    /// A connection to this address, opened by the first request.
    pub fn to(addr: SocketAddr) -> Self {
        Self { addr, stream: None, patience: PATIENCE }
    }

    /// Waits so long for each answer, where [`PATIENCE`] is not enough.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends a request and waits for its answer.
    pub async fn send(&mut self, request: &Raw) -> io::Result<RawResponse> {
        within(self.patience, self.exchange(&request.kept_alive())).await?
    }

    /// Sends a request and does not wait: dropping the connection then is a client that went away.
    pub async fn send_only(&mut self, request: &Raw) -> io::Result<()> {
        self.stream().await?.write_all(&request.kept_alive()).await
    }

    async fn stream(&mut self) -> io::Result<&mut TcpStream> {
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(self.addr).await?,
        };
        stream.set_nodelay(true)?;
        Ok(self.stream.insert(stream))
    }

    async fn exchange(&mut self, request: &[u8]) -> io::Result<RawResponse> {
        let stream = self.stream().await?;
        let written = stream.write_all(request).await;
        let mut received = Vec::new();
        let mut buffer = vec![0; 16 * 1024];
        let response = loop {
            if let Some(response) = parse(&received, false)? {
                break response;
            }
            match stream.read(&mut buffer).await? {
                0 => return written.and(Err(incomplete(&received))),
                count => received.extend_from_slice(&buffer[..count]),
            }
        };
        if response.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            self.stream = None;
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::Upstream;

    #[tokio::test]
    async fn a_connection_serves_many_requests_and_is_opened_anew() {
        let upstream = Upstream::start().await;
        let mut connection = Connection::to(upstream.addr());
        for (count, request) in [
            Raw::get("/a"),
            Raw::post("/b").body("x"),
            Raw::get("/c").header("connection", "close"),
            Raw::get("/d"),
        ]
        .iter()
        .enumerate()
        {
            let response = connection.send(&request.clone().host("app")).await.unwrap();
            assert_eq!((response.status, upstream.requests()), (200, count as u64 + 1));
        }
    }
}
