//! An OpenID provider in Keycloak's shape. It is **not Keycloak**: it serves discovery, keys and the code flow as Keycloak 26 does, and asks
//! nobody for a password, since the test says who signs in. What it adds is what a test of failure needs: faults, lies, counters, and an end.

mod authorization;
mod fault;
mod lie;
mod provider;
#[cfg(test)]
mod tests;
mod token_endpoint;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;

pub use self::fault::Fault;
use self::fault::{Answer, respond};
pub use self::lie::Lie;
pub use self::provider::{Authentication, Client, Parameters, Provider, Session, TokenRequest, User};
use crate::realm::Realm;
use crate::server::{Body, Server};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `<issuer>/.well-known/openid-configuration`
    Discovery,
    /// `<issuer>/protocol/openid-connect/certs`
    Jwks,
    /// `<issuer>/protocol/openid-connect/auth`
    Authorization,
    /// `<issuer>/protocol/openid-connect/token`
    Token,
    /// `<issuer>/protocol/openid-connect/logout`
    EndSession,
}

/// A realm that is served. It dereferences to its [`Realm`]: `issuer.token()`, `issuer.rotate(..)`.
pub struct Issuer {
    provider: Provider,
    observed: Arc<Observed>,
    server: Server,
}

#[derive(Default)]
struct Observed {
    hits: Mutex<HashMap<Endpoint, u64>>,
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
        let (provider, observed) = (Provider::new(realm), Arc::new(Observed::default()));
        let server = listen(&provider, &observed, port);
        Self { provider, observed, server }
    }

    /// The realm, to keep beyond the issuer.
    pub fn realm(&self) -> &Realm {
        self.provider.realm()
    }

    /// Who may sign in, and what became of it.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// How often an endpoint was asked, faults included.
    pub fn hits(&self, endpoint: Endpoint) -> u64 {
        lock(&self.observed.hits).get(&endpoint).copied().unwrap_or(0)
    }

    /// How often discovery was asked for, faults included.
    pub fn discovery_hits(&self) -> u64 {
        self.hits(Endpoint::Discovery)
    }

    /// How often the keys were asked for, faults included.
    pub fn jwks_hits(&self) -> u64 {
        self.hits(Endpoint::Jwks)
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
        self.server = listen(&self.provider, &self.observed, self.addr().port());
    }
}

impl Deref for Issuer {
    type Target = Realm;

    fn deref(&self) -> &Realm {
        self.realm()
    }
}

fn listen(provider: &Provider, observed: &Arc<Observed>, port: u16) -> Server {
    let (provider, observed) = (provider.clone(), Arc::clone(observed));
    let respond = move |request| answer(provider.clone(), Arc::clone(&observed), request);
    Server::start(port, respond)
        .unwrap_or_else(|e| panic!("the issuer cannot listen on 127.0.0.1:{port}: {e}"))
}

async fn answer(provider: Provider, observed: Arc<Observed>, request: Request<Incoming>) -> Response<Body> {
    let header = request.headers().get("host").and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(http::uri::Authority::as_str).or(header);
    *lock(&observed.last_host) = host.map(str::to_owned);

    let path = request.uri().path();
    let Some(endpoint) = path.strip_prefix(path_of(provider.realm().issuer())).and_then(endpoint) else {
        let unknown = || Answer::json(404, &json!({"error": "Realm does not exist"}));
        return respond(None, unknown).await;
    };
    *lock(&observed.hits).entry(endpoint).or_insert(0) += 1;
    let (head, body) = request.into_parts();
    // Who breaks off in the middle of a request is not answered anyway.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let fault =
        || lock(&observed.faults).iter().find(|(at, _)| *at == endpoint).map(|(_, fault)| fault.clone());
    while matches!(fault(), Some(Fault::Hold)) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let good = || match endpoint {
        Endpoint::Discovery => Answer::json(200, &provider.realm().discovery()),
        Endpoint::Jwks => Answer::json(200, &provider.realm().jwks()),
        Endpoint::Authorization => authorization::authorize(&provider, &parameters(&head, &body)),
        Endpoint::EndSession => authorization::end_session(&provider, &parameters(&head, &body)),
        Endpoint::Token => token_endpoint::answer(&provider, &head, &body),
    };
    respond(fault(), good).await
}

fn endpoint(path: &str) -> Option<Endpoint> {
    Some(match path {
        "/.well-known/openid-configuration" => Endpoint::Discovery,
        "/protocol/openid-connect/certs" => Endpoint::Jwks,
        "/protocol/openid-connect/auth" => Endpoint::Authorization,
        "/protocol/openid-connect/token" => Endpoint::Token,
        "/protocol/openid-connect/logout" => Endpoint::EndSession,
        _ => return None,
    })
}

/// The parameters of a request to an endpoint that takes them by GET and by POST.
fn parameters(head: &http::request::Parts, body: &[u8]) -> Parameters {
    let form = if head.method == http::Method::POST { body } else { &[] };
    Parameters::parse(head.uri.query().unwrap_or_default().as_bytes()).and(&Parameters::parse(form))
}

/// The path of a URL, without a trailing slash.
fn path_of(url: &str) -> &str {
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
    authority.find('/').map_or("", |at| authority[at..].trim_end_matches('/'))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
