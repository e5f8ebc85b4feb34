//! Whole exchanges: a head goes in, and what becomes of it is compared in one line of text.

mod legacy;
mod login;
mod memory;
mod properties;
mod requests;
mod tokens;
mod waits;

use std::collections::HashMap;
use std::fmt::{self, Write as _};
use std::sync::Mutex;

use serde_json::{Value, json};

use super::*;
use crate::error::TokenError;
use crate::jose::alg::Algorithm;
use crate::keys::KeyEvent;
use crate::reply::LocalReply;
use crate::testing::{self, ADMINS, CUSTOMERS, Holder, Minter, NOW, admin_claims, jwk_set};
use crate::time::{Monotonic, UnixTime};

const SELFCARE: &str = "selfcare.csp.com";
const ADMIN: &str = "admin.csp.com";
/// A site whose refusals are PortaBilling's.
const PORTAL: &str = "portal.csp.com";
const START: Monotonic = Monotonic(3_600_000);

/// The configuration of the design, with rules for what it does not show.
fn document() -> Value {
    let mut document = testing::two_realms_json();
    let rules = document["sites"][0]["rules"].as_array_mut().unwrap();
    for (at, rule) in [
        json!({"name": "health", "methods": ["GET"], "path": {"exact": "/health"}, "access": "public"}),
        json!({"name": "password-login", "path": {"template": "/rest/Session/{method}"}, "access": "legacy"}),
        json!({"name": "open-post", "methods": ["POST"], "path": {"exact": "/open"}, "access": "public"}),
    ]
    .into_iter()
    .enumerate()
    {
        rules.insert(at, rule);
    }
    document["sites"].as_array_mut().unwrap().push(json!({
        "hosts": [PORTAL], "realm": "customers", "error_format": "portabilling",
        "rules": [
            {"name": "sessions", "path": {"prefix": "/rest/Session"}, "access": "legacy"},
            {"name": "all", "path": {"prefix": "/"}, "require": {"realm_roles": {"any": ["customer"]}}},
        ],
    }));
    document["legacy"] = json!({"logins": {SELFCARE: ["ZZZPortaOne"]}});
    document
}

/// What changes with every request.
struct Memory {
    accepted: AcceptedTokens,
    opened: OpenedSessions,
    revoked: Revoked,
    entropy: Entropy,
}

impl Memory {
    fn new(filter: &Filter) -> Self {
        Self {
            accepted: AcceptedTokens::new(filter),
            opened: OpenedSessions::new(filter),
            revoked: Revoked::new(filter),
            entropy: Entropy::seeded([7; 32]),
        }
    }
}

/// One worker: configuration, keys and clocks.
struct Gate {
    filter: Filter,
    keys: KeyStore,
    memory: Mutex<Memory>,
    env: Env,
    /// The shared record of each realm.
    records: Vec<Vec<u8>>,
    /// The other shared data that requests ask for, with its versions.
    shared: Mutex<HashMap<String, (Vec<u8>, u32)>>,
}

impl Gate {
    /// A gate that has no keys yet.
    fn cold(document: &Value) -> Self {
        let filter = testing::compile(document);
        let keys = KeyStore::new(&filter, 1, START);
        let records = filter.realms().iter().map(|_| KeyStore::seed_record()).collect();
        let memory = Mutex::new(Memory::new(&filter));
        let shared = crate::shared_seeds(&filter, [9; 32]).map(|(name, bytes)| (name, (bytes, 1))).collect();
        let env = Env { now: NOW, monotonic: START };
        Self { filter, keys, memory, env, records, shared: Mutex::new(shared) }
    }

    /// A gate with the keys of both realms, fetched a minute ago.
    fn with(document: &Value) -> Self {
        let mut gate = Self::cold(document);
        assert_eq!(gate.fetch("customers", Ok(&[Minter::customers().jwk()])), "fetched 1");
        assert_eq!(gate.fetch("admins", Ok(&[Minter::admins().jwk()])), "fetched 1");
        gate.pass(60);
        gate
    }

    fn warm() -> Self {
        Self::with(&document())
    }

    /// Both clocks go on.
    fn pass(&mut self, seconds: u64) {
        self.env.now = UnixTime(self.env.now.0 + seconds);
        self.env.monotonic = Monotonic(self.env.monotonic.0 + seconds * 1_000);
    }

    fn realm(&self, name: &str) -> RealmId {
        testing::realm(&self.filter, name).id
    }

    /// Fetches a realm's keys, if the store wants that: what came of it.
    fn fetch(&mut self, realm: &str, keys: Result<&[Value], CallError>) -> String {
        let (id, now) = (self.realm(realm), self.env.monotonic);
        self.keys.observe(id, &self.records[id.0], now);
        let claimed = self.keys.claim(id, &self.records[id.0], now).filter(|_| self.keys.is_due(id, now));
        let Some(claimed) = claimed else { return "nothing to fetch".to_owned() };
        self.records[id.0] = claimed;
        let mut event = KeyEvent::Call(self.keys.begin(id, now).unwrap());
        while let KeyEvent::Call(call) = &event {
            let issuer = &self.filter.realms()[id.0].issuer;
            let answer = keys.map(|keys| {
                let body = if call.path.contains("/.well-known/") {
                    json!({"issuer": issuer, "jwks_uri": format!("{issuer}/certs"),
                           "authorization_endpoint": format!("{issuer}/auth"),
                           "token_endpoint": format!("{issuer}/token"),
                           "end_session_endpoint": format!("{issuer}/logout"),
                           "authorization_response_iss_parameter_supported": true})
                    .to_string()
                } else {
                    jwk_set(keys)
                };
                HttpAnswer { status: 200, body: body.into_bytes() }
            });
            event = self.keys.answered(id, answer, now);
        }
        self.records[id.0] = self.keys.release(id, &self.records[id.0], now).unwrap();
        self.keys.observe(id, &self.records[id.0], now);
        match event {
            KeyEvent::Fetched { usable, .. } => format!("fetched {usable}"),
            other => format!("{other:?}"),
        }
    }

    fn knowledge<'k>(&'k self, memory: &'k mut Memory) -> Knowledge<'k> {
        let Memory { accepted, opened, revoked, entropy } = memory;
        Knowledge {
            filter: &self.filter,
            keys: &self.keys,
            accepted,
            opened,
            revoked,
            entropy,
            env: self.env,
        }
    }

    fn resume(&self, exchange: Box<Exchange>, input: Input) -> Step {
        exchange.resume(&mut self.knowledge(&mut self.memory.lock().unwrap()), input)
    }

    fn start(&self, head: &Head) -> Step {
        Exchange::start(&mut self.knowledge(&mut self.memory.lock().unwrap()), &head.0, || head.1)
    }

    /// Judges a request with this body, until it waits for something that is not there at once.
    fn judge(&self, head: &Head, body: &str) -> Step {
        let mut step = self.start(head);
        loop {
            let (exchange, input) = match step {
                Step::Wait(exchange, Need::Body(_)) => {
                    (exchange, Input::Body(Some(body.as_bytes().to_vec())))
                }
                Step::Wait(exchange, Need::Shared(name)) => {
                    let (bytes, version) = self.shared.lock().unwrap().get(&name).cloned().unzip();
                    (exchange, Input::Shared(bytes, version))
                }
                Step::Wait(exchange, Need::Swap { name, version, bytes }) => {
                    let mut shared = self.shared.lock().unwrap();
                    let slot = shared.get_mut(&name).expect("it was seeded");
                    let swapped = version == Some(slot.1);
                    if swapped {
                        *slot = (bytes, slot.1 + 1);
                    }
                    (exchange, Input::Swapped(swapped))
                }
                step => return step,
            };
            step = self.resume(exchange, input);
        }
    }

    /// Judges a head and compares the outcome: `allowed RULE GROUND`, `STATUS SLUG`, `wait REALM KID`.
    #[track_caller]
    fn check(&self, head: &Head, expect: &str) {
        self.check_body(head, "", expect);
    }

    /// The same with a body, where one is asked for.
    #[track_caller]
    fn check_body(&self, head: &Head, body: &str, expect: &str) {
        let step = self.judge(head, body);
        self.check_step(head, &step, expect);
    }

    #[track_caller]
    fn check_step(&self, head: &Head, step: &Step, expect: &str) {
        let outcome = match step {
            Step::Wait(_, Need::Keys(realm, kid)) => {
                let kid = kid.as_deref().unwrap_or("any");
                format!("wait {} {kid}", self.filter.realms()[realm.0].name)
            }
            Step::Wait(_, need) => format!("wait {need:?}"),
            Step::Done(Decision::Answer { reply, notice }) => format!("{} {}", reply.status, notice.what),
            Step::Done(Decision::Forward { request, permit, .. }) => {
                self.check_forward(head, request, permit);
                let ground = match permit.ground {
                    Ground::Public => "public",
                    Ground::Legacy(_) => "legacy",
                    Ground::Token(_) => "token",
                    Ground::Session(_) => "session",
                };
                format!("allowed {} {ground}", permit.rule)
            }
            Step::Done(Decision::Reply { reply, refusal }) => {
                check_reply(head, reply, refusal);
                format!("{} {}", reply.status, refusal.denial.slug())
            }
        };
        assert_eq!(outcome, expect, "{head}");
    }

    /// What holds for every request that goes on.
    #[track_caller]
    fn check_forward(&self, head: &Head, edits: &HeaderEdits, permit: &Permit) {
        let sent = upstream(head, edits);
        let ours = |(name, value): &&Header| {
            edits.set().iter().any(|(set, text)| **set == **name && text.as_bytes() == value)
        };
        for field in &sent {
            let name = &field.0;
            assert!(ours(&field) || !self.filter.strips(name), "the client's {name} goes on: {head}");
        }
        let identity: Vec<_> = edits.set().iter().filter(|(name, _)| name.starts_with("x-porta-")).collect();
        let has_authorization = sent.iter().any(|field| field.0 == "authorization" && !ours(&field));
        match permit.ground {
            Ground::Public => assert!(identity.is_empty() && !has_authorization, "{head}"),
            Ground::Legacy(_) => assert!(identity.is_empty(), "{head}"),
            Ground::Token(_) | Ground::Session(_) => {
                assert!(!identity.is_empty() && !has_authorization, "{head}");
            }
        }
    }
}

/// What holds for every refusal: it is told from its parts what was wrong, and nothing of what was sent.
#[track_caller]
fn check_reply(head: &Head, reply: &LocalReply, refusal: &Refusal) {
    let header = |name: &str| reply.headers.iter().filter(|(known, _)| *known == name).count();
    assert_eq!(header("cache-control"), 1);
    assert_eq!(header("content-type"), 1);
    assert!(refusal.denial.status() != 401 || header("www-authenticate") == 1, "{head}");
    assert_eq!(header("retry-after"), usize::from([429, 503].contains(&reply.status)), "{head}");
    let said = format!("{refusal} {reply:?}");
    for secret in head.secrets() {
        assert!(!said.contains(&secret), "{said} repeats {secret}");
    }
}

/// The request's headers as the upstream has them; the case of names does not matter to Envoy.
fn upstream(head: &Head, edits: &HeaderEdits) -> Vec<Header> {
    let removed = |name: &str| edits.removed().iter().any(|known| known.eq_ignore_ascii_case(name));
    let replaced = |name: &str| edits.set().iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let mut headers = head.0.clone();
    headers.retain(|(name, _)| !removed(name) && !replaced(name));
    headers.extend(edits.set().iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())));
    headers
}

/// The head of a request, and where it came from.
#[derive(Clone, Debug)]
struct Head(Vec<Header>, Option<IpAddr>);

fn head(method: &str, authority: &str, path: &str) -> Head {
    let fields = [(":method", method), (":authority", authority), (":path", path), ("x-request-id", "id-1")];
    Head(fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec(), None)
}

fn get(authority: &str, path: &str) -> Head {
    head("GET", authority, path)
}

impl Head {
    fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.0.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    fn bearer(self, token: &str) -> Self {
        self.with("authorization", format!("Bearer {token}"))
    }

    fn from(mut self, source: &str) -> Self {
        self.1 = Some(source.parse().unwrap());
        self
    }

    /// What no answer and no log line may repeat: tokens, queries, cookies.
    fn secrets(&self) -> Vec<String> {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let mut secrets = Vec::new();
        for (name, value) in &self.0 {
            match name.as_str() {
                "authorization" => secrets.extend(text(value).split(' ').next_back().map(str::to_owned)),
                "cookie" => secrets.push(text(value)),
                ":path" => secrets.extend(text(value).split_once('?').map(|(_, query)| query.to_owned())),
                _ => {}
            }
        }
        secrets.retain(|secret| secret.len() > 3);
        secrets
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (name, value) in &self.0 {
            write!(text, "{name}: {:.120} | ", value.escape_ascii().to_string())?;
        }
        f.write_str(&text)
    }
}
