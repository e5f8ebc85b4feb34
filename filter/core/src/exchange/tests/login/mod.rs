//! Browsers sign in: whole exchanges with a browser that keeps cookies, shared data, and a Keycloak that answers as a
//! test tells it.

mod backchannel;
mod flow;
mod renewals;
mod sessions;

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::testing::{change, claims_with};

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";
const OTHER_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
const ORIGIN: &str = "https://selfcare.csp.com";

/// The configuration of the other tests, with a login for customers.
fn login_document() -> Value {
    let mut document = document();
    document["realms"]["customers"]["login"] = json!({
        "client_id": "selfcare-ui",
        "client_secret": {"inline": "s3cret/+&"},
        "cookie_keys": [{"id": "k1", "inline": KEY}],
    });
    document["sites"][0]["login"] = json!("required");
    let rules = document["sites"][0]["rules"].as_array_mut().unwrap();
    rules.push(
        json!({"name": "ui", "path": {"prefix": "/"}, "require": {"realm_roles": {"any": ["customer"]}}}),
    );
    document
}

/// What came of a request.
#[derive(Debug)]
struct Outcome {
    /// Status and reason, or who was let pass.
    what: String,
    location: String,
    body: String,
    set_cookies: Vec<String>,
    /// What the upstream got.
    upstream: Option<Vec<Header>>,
}

/// Answers a call to Keycloak.
type Keycloak = Box<dyn Fn(&str) -> Result<HttpAnswer, CallError>>;

/// A worker, the data that it shares with others, and Keycloak.
struct Desk {
    gate: Gate,
    shared: RefCell<HashMap<String, (Vec<u8>, u32)>>,
    keycloak: RefCell<Keycloak>,
    /// Forms that were posted to Keycloak.
    posted: RefCell<Vec<String>>,
}

/// The cookies of one browser at one host.
#[derive(Clone, Debug, Default)]
struct Jar(Vec<(String, String)>);

impl Jar {
    /// Keeps what an answer sets, as browsers do with `__Host-` cookies.
    fn keep(&mut self, outcome: &Outcome) {
        for cookie in &outcome.set_cookies {
            let (pair, attributes) = cookie.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            assert!(name.starts_with("__Host-"), "{cookie}");
            for attribute in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.split("; ").any(|one| one == attribute), "{cookie} lacks {attribute}");
            }
            assert!(cookie.len() <= 4096, "browsers drop it: {} bytes", cookie.len());
            self.0.retain(|(known, _)| known != name);
            if !attributes.contains("Max-Age=0") {
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| name.strip_prefix("__Host-portcullis-").unwrap()).collect()
    }

    /// How many cookies of this kind there are.
    fn count(&self, kind: &str) -> usize {
        self.names().iter().filter(|name| name.starts_with(kind)).count()
    }

    fn header(&self) -> String {
        let pairs: Vec<_> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }
}

impl Desk {
    fn new() -> Self {
        Self::with(&login_document())
    }

    fn with(document: &Value) -> Self {
        let gate = Gate::with(document);
        let shared =
            crate::shared_seeds(&gate.filter, [9; 32]).map(|(name, bytes)| (name, (bytes, 1))).collect();
        let keycloak: Keycloak = Box::new(|_| panic!("Keycloak is asked"));
        Self {
            gate,
            shared: RefCell::new(shared),
            keycloak: RefCell::new(keycloak),
            posted: RefCell::new(Vec::new()),
        }
    }

    fn answers(&self, keycloak: impl Fn(&str) -> Result<HttpAnswer, CallError> + 'static) {
        *self.keycloak.borrow_mut() = Box::new(keycloak);
    }

    /// A navigation of this browser, and what came of it; it keeps the cookies.
    fn navigate(&self, jar: &mut Jar, path: &str) -> Outcome {
        self.send(jar, navigation(path))
    }

    fn send(&self, jar: &mut Jar, head: Head) -> Outcome {
        self.send_body(jar, head, None)
    }

    fn send_body(&self, jar: &mut Jar, head: Head, body: Option<&str>) -> Outcome {
        let head = if jar.0.is_empty() { head } else { head.with("cookie", jar.header()) };
        let step = self.gate.start(&head);
        let outcome = self.settle(&head, step, body);
        jar.keep(&outcome);
        outcome
    }

    /// Drives a request to its end, as the adapter does.
    fn settle(&self, head: &Head, mut step: Step, body: Option<&str>) -> Outcome {
        loop {
            let (exchange, need) = match step {
                Step::Done(decision) => return self.outcome(head, decision),
                Step::Wait(exchange, need) => (exchange, need),
            };
            let input = match need {
                Need::Shared(name) => {
                    let shared = self.shared.borrow();
                    let found = shared.get(&name);
                    Input::Shared(found.map(|(bytes, _)| bytes.clone()), found.map(|(_, version)| *version))
                }
                Need::Swap { name, version, bytes } => {
                    let mut shared = self.shared.borrow_mut();
                    let slot = shared.get_mut(&name).expect("it was seeded");
                    let swapped = version == Some(slot.1);
                    if swapped {
                        *slot = (bytes, slot.1 + 1);
                    }
                    Input::Swapped(swapped)
                }
                Need::Call(call) => {
                    let form = call
                        .form
                        .as_ref()
                        .expect("a form")
                        .body(|_, _| Some(b"signed".to_vec()))
                        .expect("a body");
                    self.posted.borrow_mut().push(form.clone());
                    Input::Called((self.keycloak.borrow())(&form))
                }
                Need::Body(_) => Input::Body(Some(body.unwrap_or_default().as_bytes().to_vec())),
                Need::Keys(..) => Input::Deadline,
                Need::Later(_) => panic!("nobody else is at it"),
            };
            step = self.gate.resume(exchange, input);
        }
    }

    fn outcome(&self, head: &Head, decision: Decision) -> Outcome {
        let of_reply = |what: String, reply: LocalReply| {
            let all = |name: &str| {
                reply
                    .headers
                    .iter()
                    .filter(|(known, _)| *known == name)
                    .map(|(_, value)| value.clone())
                    .collect::<Vec<_>>()
            };
            assert_eq!(all("cache-control"), ["no-store"], "{what}");
            Outcome {
                what,
                location: all("location").concat(),
                body: reply.body.clone(),
                set_cookies: all("set-cookie"),
                upstream: None,
            }
        };
        match decision {
            Decision::Forward { request, permit, set_cookies, .. } => {
                self.gate.check_forward(head, &request, &permit);
                let mut upstream = upstream(head, &request);
                if let Some(cookie) = request.cookie() {
                    upstream.retain(|(name, _)| name != "cookie");
                    upstream.push(("cookie".to_owned(), cookie.to_vec()));
                }
                let what = format!("allowed {}", permit.rule);
                Outcome {
                    what,
                    location: String::new(),
                    body: String::new(),
                    set_cookies,
                    upstream: Some(upstream),
                }
            }
            Decision::Reply { reply, refusal } => {
                check_reply(head, &reply, &refusal);
                of_reply(format!("{} {}", reply.status, refusal.denial.slug()), reply)
            }
            Decision::Answer { reply, notice } => {
                of_reply(format!("{} {}", reply.status, notice.what), reply)
            }
        }
    }

    /// Begins a login at a path: the parameters that Keycloak gets.
    #[track_caller]
    fn begin(&self, jar: &mut Jar, path: &str) -> HashMap<String, String> {
        let outcome = self.navigate(jar, path);
        assert_eq!(outcome.what, "303 login_begun", "{outcome:?}");
        let (endpoint, query) = outcome.location.split_once('?').unwrap();
        assert_eq!(endpoint, format!("{CUSTOMERS}/auth"));
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    /// Has Keycloak answer the next code with tokens that are right but for these changes.
    fn issue(&self, asked: &HashMap<String, String>, id: Value, access: Value) {
        let (nonce, challenge) = (asked["nonce"].clone(), asked["code_challenge"].clone());
        self.answers(move |form| {
            let form: HashMap<_, _> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
            assert_eq!(form["grant_type"], "authorization_code");
            assert_eq!(form["redirect_uri"], format!("{ORIGIN}/sso/callback"));
            let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
            assert_eq!(verifier, challenge, "PKCE");
            tokens(&nonce, id.clone(), access.clone())
        });
    }

    /// Comes back from Keycloak.
    fn call_back(&self, jar: &mut Jar, asked: &HashMap<String, String>) -> Outcome {
        self.navigate(jar, &callback(&asked["state"]))
    }

    /// Signs in at a path.
    #[track_caller]
    fn sign_in(&self, jar: &mut Jar, path: &str) {
        self.sign_in_as(jar, path, json!({}));
    }

    /// The same, with these changes of the access token.
    #[track_caller]
    fn sign_in_as(&self, jar: &mut Jar, path: &str, access: Value) {
        let asked = self.begin(jar, path);
        self.issue(&asked, json!({}), access);
        let outcome = self.call_back(jar, &asked);
        assert_eq!(outcome.what, "303 login_completed", "{outcome:?}");
        assert_eq!(outcome.location, path);
    }
}

fn navigation(path: &str) -> Head {
    get(SELFCARE, path).with("x-forwarded-proto", "https").with("sec-fetch-mode", "navigate")
}

/// A request of a script of the site.
fn script(method: &str, path: &str) -> Head {
    head(method, SELFCARE, path)
        .with("x-forwarded-proto", "https")
        .with("sec-fetch-mode", "cors")
        .with("sec-fetch-site", "same-origin")
}

fn callback(state: &str) -> String {
    let iss = form_urlencoded::byte_serialize(CUSTOMERS.as_bytes()).collect::<String>();
    format!("/sso/callback?state={state}&session_state=x&iss={iss}&code=c0de")
}

/// What the token endpoint issues: tokens of Bob's, which `id` and `access` change.
fn tokens(nonce: &str, id: Value, access: Value) -> Result<HttpAnswer, CallError> {
    let minter = Minter::customers();
    let access_token = minter.mint(&minter.header(), &claims_with(access));
    let digest = Sha256::digest(&access_token);
    let mut claims = claims_with(json!({
        "typ": "ID", "aud": "selfcare-ui", "nonce": nonce,
        "at_hash": URL_SAFE_NO_PAD.encode(&digest[..16]),
        "realm_access": null, "resource_access": null, "scope": null,
    }));
    change(&mut claims, id);
    let id_token = minter.mint(&minter.header(), &claims);
    answer(&json!({
        "access_token": access_token, "id_token": id_token, "refresh_token": "r.0.x",
        "token_type": "Bearer", "expires_in": 300,
    }))
}

#[expect(clippy::unnecessary_wraps, reason = "the tests' answers read better")]
fn answer(body: &Value) -> Result<HttpAnswer, CallError> {
    Ok(HttpAnswer { status: 200, body: body.to_string().into_bytes() })
}

#[expect(clippy::unnecessary_wraps, reason = "likewise")]
fn status(status: u16, body: &str) -> Result<HttpAnswer, CallError> {
    Ok(HttpAnswer { status, body: body.as_bytes().to_vec() })
}
