//! The upstream: as little work as an HTTP server can do, on a thread of its own.
//!
//! It is not part of the measured Envoy (a `direct_response` there would skip what proxying costs), and it counts what it sees, so
//! that a row that measures the wrong thing is found out.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const BODY: &[u8] = br#"{"invoice_list":[{"i_invoice":90125,"amount_due":"12.50","iso_4217":"EUR"}]}"#;

/// A running upstream. Its thread ends with the process.
pub(crate) struct Upstream {
    addr: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    identified: AtomicU64,
    anonymous: AtomicU64,
    with_credential: AtomicU64,
}

/// What reached the upstream.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    /// Requests that say who the user is.
    pub(crate) identified: u64,
    /// Requests that do not.
    pub(crate) anonymous: u64,
    /// Requests that still have a token or a cookie, among both.
    pub(crate) with_credential: u64,
}

impl Upstream {
    /// Listens on any port of 127.0.0.1.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).context("the upstream cannot listen")?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        std::thread::Builder::new()
            .name("upstream".to_owned())
            .spawn(move || runtime.block_on(serve(listener, shared)))?;
        Ok(Self { addr, counts })
    }

    /// Where it listens.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What arrived since the last call.
    pub(crate) fn take(&self) -> Seen {
        let take = |count: &AtomicU64| count.swap(0, Ordering::Relaxed);
        Seen {
            identified: take(&self.counts.identified),
            anonymous: take(&self.counts.anonymous),
            with_credential: take(&self.counts.with_credential),
        }
    }
}

async fn serve(listener: std::net::TcpListener, counts: Arc<Counts>) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let counts = Arc::clone(&counts);
        let service = service_fn(move |request| {
            let answer = answer(&counts, &request);
            async move { Ok::<_, Infallible>(answer) }
        });
        // A client that goes away is its own affair.
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

fn answer(counts: &Counts, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let headers = request.headers();
    let count = if headers.contains_key("x-porta-user") { &counts.identified } else { &counts.anonymous };
    count.fetch_add(1, Ordering::Relaxed);
    if headers.contains_key("authorization") || headers.contains_key("cookie") {
        counts.with_credential.fetch_add(1, Ordering::Relaxed);
    }
    let mut response = Response::new(Full::new(Bytes::from_static(BODY)));
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}
