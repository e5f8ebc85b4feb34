//! **An emulator of PortaSwitch**, and nothing of PortaOne's: PortaBilling's session API as its public documentation and its public clients
//! show it, and two small portals of our own. It stands in for PortaSwitch alone; Envoy, the filter and Keycloak are never emulated by it.
//!
//! ```text
//! /                     the portal's sign-in page: a password form, and a button for single sign-on
//! /dashboard            the portal: who is here, requests by script, a form, a WebSocket, logout
//! /sim                  a page of the portal for which a site may ask for a second factor
//! /profile              takes the form
//! /whoami               the identity header fields as JSON, and whose PortaBilling session came along
//! /password/whoami      the same, for a site that lets PortaBilling's own sessions through there
//! /ws                   echoes
//! /rest/Session/...     login, ping, logout, refresh_access_token, change_password, login_to_realm
//! /rest/<other>/...     answers whom the identity header fields or a PortaBilling session name, and nobody else
//! ```
//!
//! A host that begins with `admin.` is the Admin UI's, any other one self-care's. What PortaBilling calls its cookies, its other realms and
//! some faults is not documented: those names are this emulator's.

mod call;
mod portal;
mod session;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Map, Value, json};

use self::call::Call;
use self::session::Sessions;
use crate::server::{Body, Server, whole};
use crate::upstream::Seen;
use crate::websocket;

/// Who signs in with a password, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The login.
    pub login: &'static str,
    /// The password at the start.
    pub password: &'static str,
    /// Where the login is one.
    pub portal: Portal,
    /// The password has to be changed before it serves.
    pub expired: bool,
}

/// Support's customer in self-care.
pub const ZZZ_PORTAONE: User = User {
    login: "ZZZPortaOne",
    password: "support in self-care 1",
    portal: Portal::SelfCare,
    expired: false,
};
/// Support in the Admin UI.
pub const PORTA_SUPPORT: User = User {
    login: "porta-support",
    password: "support in the admin ui 2",
    portal: Portal::Admin,
    expired: false,
};
/// An ordinary customer.
pub const ALPHA: User = User {
    login: "alpha.corp",
    password: "alpha's own password 3",
    portal: Portal::SelfCare,
    expired: false,
};
/// A customer whose password is the first one.
pub const BETA: User =
    User { login: "beta.corp", password: "first password 4", portal: Portal::SelfCare, expired: true };

const USERS: [User; 4] = [ZZZ_PORTAONE, PORTA_SUPPORT, ALPHA, BETA];

/// Which of the two portals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portal {
    /// The customers'.
    SelfCare,
    /// The administrators'.
    Admin,
}

impl Portal {
    fn of(seen: &Seen) -> Self {
        let admin = seen.authority.as_deref().is_some_and(|host| host.starts_with("admin."));
        if admin { Self::Admin } else { Self::SelfCare }
    }
}

/// Puts the portals' sites, and who signs in there with a password, into a plugin configuration. Customers are asked for a second factor
/// at every login, as administrators always are.
///
/// # Panics
/// Never: the file beside this one is JSON.
pub fn configure(plugin: &mut Value) {
    let sites: Map<String, Value> =
        serde_json::from_str(include_str!("portaswitch/sites.json")).expect("the file is JSON");
    for (name, value) in sites {
        plugin[name] = value;
    }
    plugin["realms"]["customers"]["login"]["acr_values"] = json!(["gold"]);
}

/// Something that PortaBilling refuses: HTTP 500, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fault {
    code: &'static str,
    text: &'static str,
}

/// What a call comes to: its result, and the cookies that come with it.
struct Outcome {
    result: Value,
    cookies: Vec<String>,
}

impl Outcome {
    fn of(result: Value) -> Self {
        Self { result, cookies: Vec::new() }
    }
}

/// A running emulator. Dropping it closes it.
pub struct PortaSwitch {
    state: Arc<State>,
    server: Server,
}

struct State {
    sessions: Mutex<Sessions>,
    seen: Mutex<Vec<Seen>>,
}

impl PortaSwitch {
    /// Listens on any port of 127.0.0.1.
    ///
    /// # Panics
    /// When no port is left.
    // Asynchronous since the server belongs to the runtime that polls this.
    #[allow(clippy::unused_async)]
    pub async fn start() -> Self {
        let state = Arc::new(State { sessions: Mutex::new(Sessions::new()), seen: Mutex::default() });
        let shared = Arc::clone(&state);
        let server = Server::start(0, move |request| answer(Arc::clone(&shared), request));
        Self { state, server: server.unwrap_or_else(|e| panic!("the emulator cannot listen: {e}")) }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Every request that arrived, in order.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// The requests for a path, whatever their query, in order.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        let at = |seen: &Seen| seen.path.split('?').next() == Some(path);
        self.seen().into_iter().filter(at).collect()
    }
}

async fn answer(state: Arc<State>, mut request: Request<Incoming>) -> Response<Body> {
    let switching = websocket::accept(&mut request);
    let (head, body) = request.into_parts();
    if let Some(switching) = switching {
        lock(&state.seen).push(Seen::of(&head, &HeaderMap::new(), &[]));
        return switching;
    }
    let Ok(body) = body.collect().await else {
        return whole(400, "text/plain", "the request body broke off");
    };
    let body = body.to_bytes();
    let seen = Seen::of(&head, &HeaderMap::new(), &body);
    lock(&state.seen).push(seen.clone());
    let portal = Portal::of(&seen);
    let segments: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    match (&head.method, &*segments) {
        (&Method::POST, ["rest", service, method]) => {
            let outcome = match Call::read(&head.headers, body).await {
                Ok(call) => api(&state, (portal, service, method), &call, &seen),
                Err(fault) => Err(fault),
            };
            json_answer(outcome)
        }
        (&Method::GET, ["whoami"] | ["password", "whoami"]) => {
            let call = Call::of_headers(&head.headers);
            let session = lock(&state.sessions).who(portal, &call).map(str::to_owned);
            let who = json!({"identity": identity(&seen), "password_session": session});
            whole(200, "application/json", who.to_string())
        }
        (&Method::POST, ["profile"]) => portal::page(&portal::SAVED, portal),
        (&Method::GET | &Method::HEAD, [path]) => match *path {
            "" => portal::page(&portal::SIGN_IN, portal),
            "dashboard" => portal::page(&portal::DASHBOARD, portal),
            "sim" => portal::page(&portal::SIM, portal),
            _ => whole(404, "text/plain", "there is no such page"),
        },
        _ => whole(404, "text/plain", "there is no such page"),
    }
}

/// A method of PortaBilling's API: the session service itself, or any other one, for somebody who is known.
fn api(
    state: &State,
    (portal, service, method): (Portal, &str, &str),
    call: &Call,
    seen: &Seen,
) -> Result<Outcome, Fault> {
    let mut sessions = lock(&state.sessions);
    if service == "Session" {
        return sessions.call(portal, method, call);
    }
    let by_headers = seen.header("x-porta-user");
    let user = by_headers.as_deref().or_else(|| sessions.who(portal, call));
    let user = user.ok_or(session::NOT_SIGNED_IN)?;
    let by = if by_headers.is_some() { "identity" } else { "password" };
    Ok(Outcome::of(json!({"service": service, "method": method, "user": user, "by": by})))
}

/// What the filter says about the one who asks.
fn identity(seen: &Seen) -> Map<String, Value> {
    let fields = seen.headers_with_prefix("x-porta-").into_iter();
    fields.map(|(name, value)| (name, value.into())).collect()
}

fn json_answer(outcome: Result<Outcome, Fault>) -> Response<Body> {
    let (status, result, cookies) = match outcome {
        Ok(Outcome { result, cookies }) => (200, result, cookies),
        Err(Fault { code, text }) => (500, json!({"faultcode": code, "faultstring": text}), Vec::new()),
    };
    let mut response = whole(status, "application/json", result.to_string());
    for cookie in cookies {
        let cookie = HeaderValue::try_from(cookie).expect("a cookie of this emulator is visible ASCII");
        response.headers_mut().append("set-cookie", cookie);
    }
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
