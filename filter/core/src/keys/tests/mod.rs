//! The store driven by hand: several workers of one Envoy, with a fake clock, fake shared data and a
//! Keycloak that answers as a test tells it.

mod faults;
mod rounds;
mod unknown;

use std::collections::{BTreeSet, HashMap};

use serde_json::{Value, json};

use super::machine::BUSY_POLL;
use super::record::Published;
use super::*;
use crate::filter::Filter;
use crate::testing::change;

const R: RealmId = RealmId(0);
const SECOND: Duration = Duration::from_secs(1);
const DISCOVERY: &str = "/realms/r/.well-known/openid-configuration";
const CERTS: &str = "/realms/r/certs";

/// One Envoy: workers with a clock and data in common, and the Keycloak that they call.
struct Envoy {
    filter: Filter,
    now: Monotonic,
    /// Bytes and the version that a compare-and-swap must name.
    shared: HashMap<String, (Vec<u8>, u64)>,
    workers: Vec<Worker>,
    keycloak: Keycloak,
    /// Every call, by time and path.
    calls: Vec<(Monotonic, String)>,
}

struct Worker {
    keys: KeyStore,
    /// The call of each realm that is not answered yet.
    pending: HashMap<usize, HttpCall>,
    /// How often a worker would have resumed its waiting requests.
    news: usize,
}

/// Answers a path.
type Keycloak = Box<dyn Fn(&str) -> Result<HttpAnswer, CallError>>;

/// A look-up without the key.
#[derive(Debug, PartialEq, Eq)]
enum Said {
    Found,
    Wait,
    Unknown,
    Unavailable,
}
use Said::{Found, Unavailable, Unknown, Wait};

/// A JWK Set in which the public key of RFC 7515 appendix A.3 goes by these ids.
fn jwks(kids: &[&str]) -> Value {
    let key = |kid: &&str| {
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
               "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
               "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})
    };
    json!({"keys": kids.iter().map(key).collect::<Vec<_>>()})
}

#[expect(
    clippy::needless_pass_by_value,
    clippy::unnecessary_wraps,
    reason = "the tables of answers read better"
)]
fn answer(status: u16, body: impl ToString) -> Result<HttpAnswer, CallError> {
    Ok(HttpAnswer { status, body: body.to_string().into_bytes() })
}

/// A Keycloak that publishes these keys, where discovery says they are.
fn serving(kids: &[&str]) -> Keycloak {
    serving_at(CERTS, kids)
}

fn serving_at(certs: &'static str, kids: &[&str]) -> Keycloak {
    let jwks = jwks(kids);
    Box::new(move |path| match path {
        DISCOVERY => answer(
            200,
            json!({"issuer": "https://sso/realms/r", "jwks_uri": format!("https://sso:8443{certs}")}),
        ),
        path if path == certs => answer(200, &jwks),
        _ => answer(404, ""),
    })
}

fn down() -> Keycloak {
    Box::new(|_| Err(CallError::Unreachable))
}

/// A configuration with one realm, `r`, and these further fields of it.
fn config(fields: Value) -> Value {
    let mut realm = json!({"issuer": "https://sso/realms/r", "cluster": "keycloak", "audiences": ["api"],
                           "algorithms": ["ES256"]});
    change(&mut realm, fields);
    json!({"realms": {"r": realm},
           "sites": [{"hosts": ["a"], "realm": "r",
                      "rules": [{"name": "n", "path": {"prefix": "/"}, "access": "public"}]}]})
}

impl Envoy {
    fn new(workers: u64) -> Self {
        Self::with(&config(json!({})), workers)
    }

    fn with(config: &Value, workers: u64) -> Self {
        let filter = Filter::parse(config.to_string().as_bytes()).unwrap();
        let now = Monotonic(1_000_000);
        let worker =
            |seed| Worker { keys: KeyStore::new(&filter, seed, now), pending: HashMap::new(), news: 0 };
        let workers: Vec<Worker> = (1..=workers).map(worker).collect();
        let keys = &workers[0].keys;
        let names = keys.realms().map(|realm| keys.record_name(realm).unwrap().to_owned());
        let shared = names.map(|name| (name, (KeyStore::seed_record(), 1))).collect();
        Self { filter, now, shared, workers, keycloak: serving(&["k1"]), calls: Vec::new() }
    }

    /// An Envoy whose workers have all adopted `k1`, some time ago.
    fn warm(workers: u64) -> Self {
        let mut envoy = Self::new(workers);
        envoy.settle();
        envoy.pass(60 * SECOND);
        envoy.calls.clear();
        envoy
    }

    fn pass(&mut self, time: Duration) {
        self.now = self.now.plus(time);
    }

    /// One round of one worker, as the adapter's `Root::round` makes it.
    fn round(&mut self, worker: usize) {
        for realm in self.workers[worker].keys.realms() {
            self.observe(worker, realm);
            self.fetch_if_due(worker, realm);
        }
    }

    fn observe(&mut self, worker: usize, realm: RealmId) {
        let record = self.record(realm);
        let Worker { keys, news, .. } = &mut self.workers[worker];
        *news += usize::from(keys.observe(realm, &record, self.now));
    }

    fn fetch_if_due(&mut self, worker: usize, realm: RealmId) {
        let (record, now) = (self.record(realm), self.now);
        let keys = &mut self.workers[worker].keys;
        if !keys.is_due(realm, now) {
            return;
        }
        if let Some(claimed) = keys.claim(realm, &record, now) {
            let call = keys.begin(realm, now).unwrap();
            self.put(realm, claimed);
            self.send(worker, realm, call);
        }
    }

    fn send(&mut self, worker: usize, realm: RealmId, call: HttpCall) {
        self.calls.push((self.now, call.path.clone()));
        let earlier = self.workers[worker].pending.insert(realm.0, call);
        assert_eq!(earlier, None, "two calls at a time");
    }

    /// Keycloak answers the worker's call; the adapter's `Root::answered`.
    fn answered(&mut self, worker: usize, realm: RealmId) -> KeyEvent {
        let call = self.workers[worker].pending.remove(&realm.0).expect("a call is under way");
        let answer = (self.keycloak)(&call.path);
        let event = self.workers[worker].keys.answered(realm, answer, self.now);
        if let KeyEvent::Call(call) = event.clone() {
            self.send(worker, realm, call);
        } else if let Some(record) = self.workers[worker].keys.release(realm, &self.record(realm), self.now) {
            self.put(realm, record);
        }
        event
    }

    /// Answers whatever is asked, until every fetch has ended.
    fn answer_all(&mut self) {
        for worker in 0..self.workers.len() {
            while let Some(realm) = self.workers[worker].pending.keys().next().copied() {
                self.answered(worker, RealmId(realm));
            }
        }
    }

    /// One round of every worker, the answers, and a round in which the others learn of them.
    fn settle(&mut self) {
        (0..self.workers.len()).for_each(|worker| self.round(worker));
        self.answer_all();
        (0..self.workers.len()).for_each(|worker| self.observe_all(worker));
    }

    fn observe_all(&mut self, worker: usize) {
        for realm in self.workers[worker].keys.realms() {
            self.observe(worker, realm);
        }
    }

    fn record(&self, realm: RealmId) -> Vec<u8> {
        let name = self.workers[0].keys.record_name(realm).unwrap();
        self.shared[name].0.clone()
    }

    fn put(&mut self, realm: RealmId, bytes: Vec<u8>) {
        let name = self.workers[0].keys.record_name(realm).unwrap();
        let slot = self.shared.get_mut(name).unwrap();
        *slot = (bytes, slot.1 + 1);
    }

    /// What a request of this worker learns, and, where it would wait, its wish for the key.
    fn ask(&mut self, worker: usize, kid: &str) -> Said {
        let said = self.find(worker, kid);
        if said == Wait {
            self.workers[worker].keys.want(R, kid, self.now);
        }
        said
    }

    fn find(&self, worker: usize, kid: &str) -> Said {
        self.find_in(worker, R, kid)
    }

    fn find_in(&self, worker: usize, realm: RealmId, kid: &str) -> Said {
        match self.workers[worker].keys.find(realm, kid, self.now) {
            Lookup::Found(_) => Found,
            Lookup::Wait => Wait,
            Lookup::Unknown => Unknown,
            Lookup::Unavailable { retry_after } => {
                assert!(retry_after > Duration::ZERO);
                Unavailable
            }
        }
    }

    /// The same answer from every worker.
    #[track_caller]
    fn all_say(&self, kid: &str, said: &Said) {
        for worker in 0..self.workers.len() {
            assert_eq!(self.find(worker, kid), *said, "worker {worker} about {kid}");
        }
    }

    /// The paths called since the last look.
    fn paths(&mut self) -> Vec<String> {
        self.calls.drain(..).map(|(_, path)| path).collect()
    }

    /// Seconds between the calls since the last look.
    fn gaps(&self) -> Vec<f64> {
        self.calls.windows(2).map(|pair| pair[1].0.since(pair[0].0).as_secs_f64()).collect()
    }

    /// Lets time pass in rounds of every worker, each at the time that its store asked for.
    fn run(&mut self, time: Duration, mut each: impl FnMut(&mut Self, usize)) {
        let end = self.now.plus(time);
        let mut due = vec![self.now; self.workers.len()];
        while self.now < end {
            for (worker, due) in due.iter_mut().enumerate() {
                if *due <= self.now {
                    self.round(worker);
                    self.answer_all();
                    each(self, worker);
                    *due = self.now.plus(self.workers[worker].keys.next_round(self.now));
                }
            }
            self.now = *due.iter().min().unwrap();
        }
        self.now = end;
    }
}
