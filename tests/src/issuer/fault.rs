//! How an endpoint misbehaves.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use serde_json::Value;

use crate::server::{Body, whole};

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

/// The right answer of an endpoint.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    /// Where it sends the browser.
    pub(super) location: Option<String>,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(status: u16, document: &Value) -> Self {
        let content_type = "application/json;charset=UTF-8";
        Self { status, content_type, location: None, body: document.to_string().into() }
    }

    /// A page that is not worth a template.
    pub(super) fn page(status: u16, title: &str) -> Self {
        let body = format!("<!doctype html><title>{title}</title><h1>{title}</h1>").into();
        Self { status, content_type: "text/html;charset=utf-8", location: None, body }
    }

    pub(super) fn redirect(location: String) -> Self {
        let body = Bytes::new();
        Self { status: 302, content_type: "text/html;charset=utf-8", location: Some(location), body }
    }

    fn response(self) -> Response<Body> {
        let mut response = whole(self.status, self.content_type, self.body);
        let headers = response.headers_mut();
        headers.insert("cache-control", http::HeaderValue::from_static("no-cache"));
        if let Some(location) = self.location {
            headers.insert("location", location.parse().expect("a location is a URL"));
        }
        response
    }
}

/// Answers as the fault says. The endpoint does its work only where its answer is wanted: a fault that replaces it leaves everything as it
/// was, one that spoils it does not.
pub(super) async fn respond(fault: Option<Fault>, good: impl FnOnce() -> Answer) -> Response<Body> {
    match fault {
        None | Some(Fault::Hold) => good().response(),
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
            good().response()
        }
        Some(Fault::Stall) => std::future::pending().await,
        Some(Fault::Drip) => drip(good()),
        Some(Fault::ResetMidBody) => half(good()),
        Some(Fault::WrongIssuer) => {
            let mut answer = good();
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            let document: Value = serde_json::from_str(&text).unwrap_or_default();
            let issuer = document["issuer"].as_str().unwrap_or("https://sso.csp.com/realms/customers");
            answer.body = text.replace(issuer, "https://evil.example/realms/other").into();
            answer.response()
        }
    }
}

/// A byte every 100 ms.
fn drip(mut answer: Answer) -> Response<Body> {
    let good = std::mem::take(&mut answer.body);
    let bytes = stream::iter(0..good.len()).then(move |at| {
        let byte = good.slice(at..=at);
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            Ok(Frame::data(byte))
        }
    });
    answer.response().map(|_| StreamBody::new(bytes).boxed_unsync())
}

/// Half of what `content-length` promises, then the connection breaks.
fn half(mut answer: Answer) -> Response<Body> {
    let good = std::mem::take(&mut answer.body);
    let first = Ok(Frame::data(good.slice(..good.len() / 2)));
    let pause = async {
        // Time for the half to leave: an error at once would take its place.
        tokio::time::sleep(Duration::from_millis(50)).await;
        Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
    };
    let broken = stream::iter([first]).chain(stream::once(pause));
    let mut response = answer.response().map(|_| StreamBody::new(broken).boxed_unsync());
    response.headers_mut().insert("content-length", good.len().into());
    response
}
