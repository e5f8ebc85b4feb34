//! One request's state machine. It reads like the list in `ARCHITECTURE.md`; every step that refuses does so
//! with a [`Denial`], and the only way to the upstream is a [`Permit`].
//!
//! `token` judges an access token, whoever brought it; `session` a browser's session, and renews it; `login` begins
//! and completes logins; `logout` ends sessions; `legacy` judges who may use PortaBilling's own credentials.

mod legacy;
mod login;
mod logout;
mod outcome;
mod session;
mod token;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::accepted::AcceptedTokens;
use crate::call::{CallError, HttpAnswer, HttpCall};
use crate::cookie;
use crate::credential::Credential;
use crate::entropy::Entropy;
use crate::filter::Filter;
use crate::identity::{HeaderEdits, IdentityPolicy};
use crate::keys::KeyStore;
use crate::oidc::browser::Browser;
use crate::oidc::{Endpoint, Login};
use crate::realm::RealmId;
use crate::reply::{Audience, Denial};
use crate::request::{self, Header, Request};
use crate::revoked::Revoked;
use crate::rule::{Access, Rule};
use crate::session::{OpenedSessions, Session};
use crate::site::Site;
use crate::time::Env;

pub use outcome::{Decision, Ground, Notice, Permit, Refusal};
use outcome::{forward, refuse};
use token::Verdict;

/// A request that waits for something.
#[derive(Debug)]
pub struct Exchange {
    visit: Visit,
    stage: Stage,
}

/// What is kept of a request while it is judged.
#[derive(Debug)]
struct Visit {
    site: Arc<Site>,
    edits: HeaderEdits,
    audience: Audience,
    /// Where browsers sign in, and one may be here.
    browser: Option<Browser>,
}

/// How far the judgement has come.
#[derive(Debug)]
enum Stage {
    /// A bearer token whose key is not known yet.
    Bearer(Arc<Rule>, String),
    Session(Box<session::Stage>),
    Start(Box<login::Start>),
    Callback(Box<login::Completion>),
    Logout(Box<logout::Logout>),
    BackChannel(Box<logout::BackChannel>),
    Legacy(Box<legacy::Legacy>),
}

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// The request is decided.
    Done(Decision),
    /// The request waits, and is resumed when the need is met.
    Wait(Box<Exchange>, Need),
}

/// What a request waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    /// The keys of a realm: because of a key id that is not among them, or because there is nothing yet.
    Keys(RealmId, Option<String>),
    /// An answer of Keycloak's.
    Call(HttpCall),
    /// The shared bytes of this name; the adapter has them at once.
    Shared(String),
    /// These bytes in their place, if nobody has changed them since that version; done at once, too.
    Swap {
        /// Whose.
        name: String,
        /// The version that was read.
        version: Option<u32>,
        /// The new bytes.
        bytes: Vec<u8>,
    },
    /// Some time.
    Later(Duration),
    /// The request's body, up to so many bytes.
    Body(usize),
}

/// Why a request that waited is resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The keys of its realm were fetched, or could not be.
    KeysChanged,
    /// Keycloak answered, or did not.
    Called(Result<HttpAnswer, CallError>),
    /// The shared bytes and their version.
    Shared(Option<Vec<u8>>, Option<u32>),
    /// Whether the bytes were swapped.
    Swapped(bool),
    /// The time has gone by.
    Elapsed,
    /// The body; `None`: it is too long, or did not come.
    Body(Option<Vec<u8>>),
    /// It has waited for as long as it may.
    Deadline,
    /// It cannot wait: too many do.
    Overflow,
}

/// What a decision draws on besides the request.
#[derive(Debug)]
pub struct Knowledge<'k> {
    /// The configuration.
    pub filter: &'k Filter,
    /// The realms' keys.
    pub keys: &'k KeyStore,
    /// Tokens that were accepted lately.
    pub accepted: &'k mut AcceptedTokens,
    /// Sessions that were opened lately.
    pub opened: &'k mut OpenedSessions,
    /// Sessions that were logged out.
    pub revoked: &'k mut Revoked,
    /// Randomness.
    pub entropy: &'k mut Entropy,
    /// The clocks.
    pub env: Env,
}

impl Exchange {
    /// Judges a request by its head. `source` asks the host for the client's address, which only legacy rules need;
    /// `None`: it does not know it.
    pub fn start(
        knowledge: &mut Knowledge<'_>,
        headers: &[Header],
        source: impl FnOnce() -> Option<IpAddr>,
    ) -> Step {
        let filter = knowledge.filter;
        let mut edits = filter.identity().strip(headers);
        if filter.has_login() {
            edits.keep_cookies(cookie::without_ours(headers));
        }
        let host = request::host(headers);
        let site = host.as_ref().ok().and_then(|host| filter.sites().select(host).cloned());
        let audience = || {
            let of_site = site.as_ref().map(|site| (&*site.realm.name, site.error_format));
            Audience::of(headers, of_site, filter.texts())
        };
        let refuse = |rule: Option<&Rule>, denial| refuse(audience(), rule, None, denial, Vec::new());

        let request = match Request::parse(headers, host, filter.limits().max_head_bytes) {
            Ok(request) => request,
            Err(error) => return refuse(None, Denial::BadRequest(error)),
        };
        let Some(site) = &site else { return refuse(None, Denial::UnknownHost) };
        let login = site.realm.login.as_ref();
        let visit = |edits, browser| {
            Visit { site: Arc::clone(site), edits, audience: audience(), browser }.told_where_to_sign_in()
        };
        if let Some(login) = login
            && let Some(endpoint) = login.endpoint(request.path.as_str())
        {
            let visit = visit(edits, Browser::read(headers, login));
            return own_path(knowledge, visit, endpoint, &request, headers);
        }
        let Some(rule) = site.rules.select(request.method, &request.path) else {
            return refuse(None, Denial::NoRule);
        };
        match &rule.access {
            Access::Public => forward(site, rule, IdentityPolicy::anonymous(edits), Ground::Public),
            Access::Legacy => {
                let visit = visit(edits, login.and_then(|login| Browser::read(headers, login)));
                legacy::start(knowledge, visit, rule, &request, headers, source())
            }
            Access::Require(_) => {
                let credential = Credential::find(headers, &request);
                let browser = login
                    .filter(|_| credential == Credential::None || cookie::brings_ours(headers))
                    .and_then(|login| Browser::read(headers, login));
                let session = browser.as_ref().zip(login).and_then(|(browser, login)| {
                    Session::find((&site.realm, login), browser, knowledge.opened, knowledge.env.now)
                });
                match (credential, session) {
                    (Credential::None, Some(session)) => {
                        let visit = visit(edits, browser);
                        session::start(knowledge, visit, rule, session, request.method, headers)
                    }
                    (Credential::None, None) => {
                        let visit = visit(edits, browser);
                        visit.challenge(knowledge, Some(rule), Denial::NoCredential)
                    }
                    (_, Some(_)) | (Credential::Ambiguous, None) => {
                        refuse(Some(rule), Denial::AmbiguousCredential)
                    }
                    (Credential::Malformed, None) => refuse(Some(rule), Denial::MalformedCredential),
                    (Credential::Bearer(token), None) => match token::present(knowledge, site, rule, token) {
                        Verdict::Accept(identity, authorized) => {
                            let edits = filter.identity().identified(edits, &identity);
                            forward(site, rule, edits, Ground::Token(authorized))
                        }
                        Verdict::Refuse { subject, denial } => {
                            self::refuse(audience(), Some(rule), subject, denial, Vec::new())
                        }
                        Verdict::Wait(kid) => {
                            let stage = Stage::Bearer(Arc::clone(rule), token.to_owned());
                            let need = Need::Keys(site.realm.id, Some(kid));
                            visit(edits, None).wait(stage, need)
                        }
                    },
                }
            }
        }
    }

    /// Goes on with a request that waited.
    pub fn resume(self, knowledge: &mut Knowledge<'_>, input: Input) -> Step {
        let Self { visit, stage } = self;
        match stage {
            Stage::Bearer(rule, token) => bearer(knowledge, visit, rule, token, &input),
            Stage::Session(stage) => stage.resume(knowledge, visit, input),
            Stage::Start(start) => start.resume(knowledge, visit, &input),
            Stage::Callback(completion) => completion.resume(knowledge, visit, input),
            Stage::Logout(logout) => logout.resume(knowledge, visit, input),
            Stage::BackChannel(logout) => logout.resume(knowledge, visit, input),
            Stage::Legacy(legacy) => legacy.resume(knowledge, visit, input),
        }
    }
}

/// Goes on with a bearer token whose key was not known.
fn bearer(
    knowledge: &mut Knowledge<'_>,
    visit: Visit,
    rule: Arc<Rule>,
    token: String,
    input: &Input,
) -> Step {
    if *input == Input::Overflow {
        return visit.refuse(Some(&rule), Denial::TooManyWaiting);
    }
    match token::present(knowledge, &visit.site, &rule, &token) {
        Verdict::Accept(identity, authorized) => {
            let edits = knowledge.filter.identity().identified(visit.edits, &identity);
            forward(&visit.site, &rule, edits, Ground::Token(authorized))
        }
        Verdict::Refuse { subject, denial } => {
            refuse(visit.audience, Some(&rule), subject, denial, Vec::new())
        }
        // At the deadline the keys may have come with the same tick, so it was worth a look.
        Verdict::Wait(_) if *input == Input::Deadline => visit.refuse(Some(&rule), Denial::WaitedTooLong),
        Verdict::Wait(kid) => {
            let need = Need::Keys(visit.site.realm.id, Some(kid));
            visit.wait(Stage::Bearer(rule, token), need)
        }
    }
}

/// One of the login's own paths. They never reach an upstream.
fn own_path(
    knowledge: &mut Knowledge<'_>,
    visit: Visit,
    endpoint: Endpoint,
    request: &Request<'_>,
    headers: &[Header],
) -> Step {
    let expected = match endpoint {
        Endpoint::Session => &["GET"][..],
        Endpoint::Logout => &["GET", "POST"],
        Endpoint::BackChannelLogout => &["POST"],
        // They say themselves what they make of other methods.
        Endpoint::Start | Endpoint::Callback | Endpoint::Unknown => &[],
    };
    if !expected.is_empty() && !expected.contains(&request.method) {
        return visit.refuse(None, Denial::Method { allow: expected });
    }
    match endpoint {
        Endpoint::Start => login::start(knowledge, visit, request),
        Endpoint::Callback => login::callback(knowledge, visit, request),
        Endpoint::Logout => logout::start(knowledge, visit, request, headers),
        Endpoint::BackChannelLogout => logout::receive(visit, headers),
        Endpoint::Session => session::describe(knowledge, visit, Credential::find(headers, request)),
        Endpoint::Unknown => visit.refuse(None, Denial::NoSuchPath),
    }
}

impl Visit {
    /// The browser and the login of a visit to a site where there is one.
    fn login(&self) -> Option<(&Browser, &Login)> {
        self.browser.as_ref().zip(self.site.realm.login.as_ref())
    }

    /// Answers name the way to the login where the site offers one, and the way out.
    fn told_where_to_sign_in(mut self) -> Self {
        self.audience.login_url = self.login_url();
        self.audience.logout_url = self.login().map(|(_, login)| login.logout_url());
        self
    }

    fn wait(self, stage: Stage, need: Need) -> Step {
        Step::Wait(Box::new(Exchange { visit: self, stage }), need)
    }

    fn refuse(self, rule: Option<&Rule>, denial: Denial) -> Step {
        refuse(self.audience, rule, None, denial, Vec::new())
    }
}

#[cfg(test)]
mod tests;
