//! What the requests of one worker share with its root context: configuration, keys, and the requests that
//! wait.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use portcullis_core::{
    AcceptedTokens, CallError, Decision, Denial, Entropy, Env, Exchange, Filter, HttpAnswer, HttpCall, Input,
    KeyEvent, KeyStore, Knowledge, LegacyAnswer, Monotonic, Need, Notice, OpenedSessions, RealmId, Revoked,
    Step, TokenError, Watch, revoked_records,
};
use proxy_wasm::types::Action;

use crate::host;
use crate::metrics::Metrics;

/// Soonest next tick of the root context.
const SOON: Duration = Duration::from_millis(1);
/// How often a worker looks whether sessions were logged out.
const REVOKED_POLL: Duration = Duration::from_millis(250);
/// Requests that wait for a body, an answer or another worker at one time, beside those that wait for keys.
const MOST_WAITING: usize = 10_000;

/// The state of one plugin in one worker.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) filter: Filter,
    pub(crate) keys: KeyStore,
    accepted: AcceptedTokens,
    opened: OpenedSessions,
    revoked: Revoked,
    entropy: Entropy,
    /// Requests that wait, by context id.
    waiting: BTreeMap<u32, Waiting>,
    /// Calls that the root context sends with its next tick, by context id: an answer that comes back to a stream is
    /// lost with the stream.
    outbox: Vec<(u32, HttpCall)>,
    /// Cookies that responses will get, by context id.
    set_cookies: HashMap<u32, Vec<String>>,
    /// Logins that PortaBilling has not answered yet, by context id, and how much of the answer's body is needed: known
    /// once its head is there.
    watches: HashMap<u32, (Watch, usize)>,
    /// Versions of the realms' key records as last seen.
    seen: HashMap<RealmId, u32>,
    /// When the root context ticks next.
    next_tick: Monotonic,
    metrics: Metrics,
}

#[derive(Debug)]
struct Waiting {
    exchange: Box<Exchange>,
    wants: Wants,
    /// Whether the client has gone, and only what others need of it is still done.
    alone: bool,
}

/// What resumes a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wants {
    /// Keys of the realm, up to this time.
    Keys(RealmId, Monotonic),
    /// The answer to its call.
    Answer,
    /// The body, up to this size and time.
    Body(usize, Monotonic),
    /// This time.
    Time(Monotonic),
}

impl Wants {
    const fn until(self) -> Option<Monotonic> {
        match self {
            Self::Keys(_, time) | Self::Body(_, time) | Self::Time(time) => Some(time),
            Self::Answer => None,
        }
    }
}

/// In which callback a request is driven: what lets it go on differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Callback {
    /// Its own: the callback's return value lets it go on.
    Own,
    /// Another one, while it is paused.
    Other,
}

impl Worker {
    /// `None` where the host has no randomness: no login would be safe.
    pub(crate) fn new(filter: Filter, keys: KeyStore) -> Option<Self> {
        Some(Self {
            accepted: AcceptedTokens::new(&filter),
            opened: OpenedSessions::new(&filter),
            revoked: Revoked::new(&filter),
            entropy: Entropy::seeded(host::entropy()?),
            filter,
            keys,
            waiting: BTreeMap::new(),
            outbox: Vec::new(),
            set_cookies: HashMap::new(),
            watches: HashMap::new(),
            seen: HashMap::new(),
            next_tick: Monotonic::default(),
            metrics: Metrics::default(),
        })
    }

    /// Judges the request of the current context.
    pub(crate) fn judge(&mut self, context: u32, end: bool) -> Action {
        let headers = host::request_headers();
        let env = host::env();
        let mut step = Exchange::start(&mut self.knowledge(env), &headers, host::source_address);
        // Another worker may have fetched the key a moment ago: no request is refused for a look at the record.
        if let Some(realm) = self.lacks_key(&step)
            && self.adopt(realm, env.monotonic)
        {
            step = Exchange::start(&mut self.knowledge(env), &headers, host::source_address);
        }
        let action = self.drive(context, step, env, (Callback::Own, None, false));
        // There is no body to wait for.
        if end && self.waits_for_body(context).is_some() {
            return self.input(context, Input::Body(Some(Vec::new())), Callback::Own);
        }
        action
    }

    /// Goes on with a request whose body comes in. `size`: what there is of it.
    pub(crate) fn body(&mut self, context: u32, size: usize, end: bool) -> Action {
        if !self.waiting.contains_key(&context) {
            return Action::Continue;
        }
        match self.waits_for_body(context) {
            Some(most) if end || size > most => {
                let body = host::request_body(size.min(most + 1));
                let body = Some(body).filter(|body| body.len() <= most);
                self.input(context, Input::Body(body), Callback::Own)
            }
            // It is read with the rest, or waits for something else.
            _ => Action::Pause,
        }
    }

    /// The most bytes of its body that a request waits for.
    fn waits_for_body(&self, context: u32) -> Option<usize> {
        match self.waiting.get(&context)?.wants {
            Wants::Body(most, _) => Some(most),
            _ => None,
        }
    }

    /// A request has ended. If it waited, nobody does any more, but a call that is under way may be for others, too.
    pub(crate) fn forget(&mut self, context: u32) {
        self.set_cookies.remove(&context);
        self.watches.remove(&context);
        match self.waiting.get_mut(&context) {
            Some(waiting) if waiting.wants == Wants::Answer => waiting.alone = true,
            _ => drop(self.waiting.remove(&context)),
        }
    }

    /// The cookies that the response of this context gets.
    pub(crate) fn set_cookies(&mut self, context: u32) -> Vec<String> {
        self.set_cookies.remove(&context).unwrap_or_default()
    }

    /// The answer to a request begins. That to a login is held back until it is known what it says, so that nobody uses
    /// a token before every worker knows it.
    pub(crate) fn answer_head(&mut self, context: u32, end: bool) -> Action {
        let Some((watch, most)) = self.watches.get_mut(&context) else { return Action::Continue };
        let status = host::status(&host::response_headers()).unwrap_or_default();
        *most = watch.needs_body(status).unwrap_or_default();
        if *most > 0 && !end { Action::Pause } else { self.conclude(context, None) }
    }

    /// Goes on with an answer whose body comes in. `size`: what there is of it.
    pub(crate) fn answer_body(&mut self, context: u32, size: usize, end: bool) -> Action {
        match self.watches.get(&context) {
            None => Action::Continue,
            Some((_, most)) if size > *most => self.conclude(context, None),
            Some(_) if end => self.conclude(context, Some(&host::response_body(size))),
            Some(_) => Action::Pause,
        }
    }

    /// The body of an answer has come.
    pub(crate) fn answer_end(&mut self, context: u32) -> Action {
        let Some(&(_, most)) = self.watches.get(&context) else { return Action::Continue };
        let body = host::response_body(most + 1);
        self.conclude(context, Some(&*body).filter(|body| body.len() <= most))
    }

    fn conclude(&mut self, context: u32, body: Option<&[u8]>) -> Action {
        let Some((watch, _)) = self.watches.remove(&context) else { return Action::Continue };
        let (headers, now) = (host::response_headers(), host::env().now);
        let status = host::status(&headers).unwrap_or_default();
        let cookies = headers.into_iter().filter(|(name, _)| name == "set-cookie");
        let cookies: Vec<Vec<u8>> = cookies.map(|(_, value)| value).collect();
        let answer = LegacyAnswer { status, cookies: &cookies, body };
        let conclusion = watch.conclude(&answer, now);
        for change in &conclusion.changes {
            if !host::swap_shared(&change.name, |shared| Some(change.apply(shared, now))) {
                log::warn!("a password login was not recorded: other workers were quicker");
            }
        }
        self.metrics.concluded(&conclusion);
        log::warn!("{}", conclusion.line);
        Action::Continue
    }

    /// Resumes the requests that wait for a realm whose keys changed, and those whose time has come.
    pub(crate) fn resume(&mut self, changed: &[RealmId], env: Env) {
        let now = env.monotonic;
        let ready: Vec<(u32, Input)> = self
            .waiting
            .iter()
            .filter_map(|(context, Waiting { wants, .. })| match wants {
                Wants::Keys(_, deadline) | Wants::Body(_, deadline) if *deadline <= now => {
                    Some((*context, Input::Deadline))
                }
                Wants::Keys(realm, _) if changed.contains(realm) => Some((*context, Input::KeysChanged)),
                Wants::Time(time) if *time <= now => Some((*context, Input::Elapsed)),
                _ => None,
            })
            .collect();
        for (context, input) in ready {
            self.input(context, input, Callback::Other);
        }
    }

    /// The calls that are to be sent, and for whom.
    pub(crate) fn outbox(&mut self) -> Vec<(u32, HttpCall)> {
        std::mem::take(&mut self.outbox)
    }

    /// Takes in the answer to a request's call.
    pub(crate) fn answered(&mut self, context: u32, answer: Result<HttpAnswer, CallError>) {
        if self.waiting.get(&context).is_some_and(|waiting| waiting.wants == Wants::Answer) {
            self.input(context, Input::Called(answer), Callback::Other);
        }
    }

    /// Takes in which sessions were logged out.
    pub(crate) fn observe_revoked(&mut self, env: Env) {
        for (realm, name) in revoked_records(&self.filter) {
            let (record, version) = host::shared_version(&name);
            self.revoked.observe(realm, &record.unwrap_or_default(), version, env.now);
        }
    }

    /// Takes in the realm's shared record, if it is another one than before. `true`: something changed for requests
    /// that wait.
    pub(crate) fn adopt(&mut self, realm: RealmId, now: Monotonic) -> bool {
        let Some(name) = self.keys.record_name(realm) else { return false };
        let (Some(record), Some(version)) = host::shared_version(name) else { return false };
        self.seen.insert(realm, version) != Some(version) && self.keys.observe(realm, &record, now)
    }

    /// Takes in the end of a fetch.
    pub(crate) fn fetched(&mut self, realm: &str, event: &KeyEvent) {
        self.metrics.fetched(realm, event);
    }

    /// Brings the gauges up to date.
    pub(crate) fn show(&mut self, now: Monotonic) {
        let (tokens, bytes) = self.accepted.size();
        self.metrics.remembered(tokens, bytes);
        for (realm, name) in self.filter.realm_names() {
            if let Some((age, usable)) = self.keys.age(realm, now) {
                self.metrics.keys(name, age.as_secs(), usable);
            }
            self.metrics.waiting(name, waiting_for(&self.waiting, realm));
        }
    }

    /// Has the root context tick when it has something to do, at the latest.
    pub(crate) fn schedule(&mut self, now: Monotonic) {
        let outbox = (!self.outbox.is_empty()).then_some(SOON);
        let times =
            self.waiting.values().filter_map(|waiting| waiting.wants.until()).map(|time| time.since(now));
        let poll = if self.filter.has_login() { Some(REVOKED_POLL) } else { None };
        let next = times
            .chain(poll)
            .chain(outbox)
            .chain([self.keys.next_round(now)])
            .min()
            .unwrap_or_default()
            .max(SOON);
        self.next_tick = now.plus(next);
        host::tick_after(next);
    }

    /// Has it tick soon. A tick that is near already is left alone: to set it anew is to put it off.
    fn hurry(&mut self, now: Monotonic, within: Duration) {
        let soon = now.plus(within.max(SOON));
        if self.next_tick > soon {
            self.next_tick = soon;
            host::tick_after(within.max(SOON));
        }
    }

    const fn knowledge(&mut self, env: Env) -> Knowledge<'_> {
        Knowledge {
            filter: &self.filter,
            keys: &self.keys,
            accepted: &mut self.accepted,
            opened: &mut self.opened,
            revoked: &mut self.revoked,
            entropy: &mut self.entropy,
            env,
        }
    }

    /// The realm whose keys lack the one that a request was refused for.
    fn lacks_key(&self, step: &Step) -> Option<RealmId> {
        let Step::Done(Decision::Reply { refusal, .. }) = step else { return None };
        if refusal.denial != Denial::Token(TokenError::UnknownKey) {
            return None;
        }
        let name = refusal.realm.as_deref()?;
        self.filter.realm_names().find(|(_, known)| *known == name).map(|(realm, _)| realm)
    }

    /// Resumes one request.
    fn input(&mut self, context: u32, input: Input, callback: Callback) -> Action {
        let Some(Waiting { exchange, wants, alone }) = self.waiting.remove(&context) else {
            return Action::Pause;
        };
        // A context that is gone must not leave another one in its place.
        if !alone && callback == Callback::Other && !host::enter(context) {
            return Action::Pause;
        }
        let env = host::env();
        let step = exchange.resume(&mut self.knowledge(env), input);
        let earlier = match wants {
            Wants::Keys(_, deadline) => Some(deadline),
            _ => None,
        };
        self.drive(context, step, env, (callback, earlier, alone))
    }

    /// Drives an exchange until it is decided or has to wait. `earlier`: when a wait for keys that it has behind it
    /// would have ended; a further one ends no later.
    fn drive(
        &mut self,
        context: u32,
        mut step: Step,
        env: Env,
        (callback, earlier, alone): (Callback, Option<Monotonic>, bool),
    ) -> Action {
        let deadline = earlier.unwrap_or(env.monotonic.plus(self.filter.limits().wait_timeout));
        loop {
            let (exchange, need) = match step {
                Step::Done(_) if alone => return Action::Pause,
                Step::Done(decision) => return self.perform(context, decision, callback),
                Step::Wait(exchange, need) => (exchange, need),
            };
            let wants = match need {
                Need::Shared(name) => {
                    let (bytes, version) = host::shared_version(&name);
                    step = exchange.resume(&mut self.knowledge(env), Input::Shared(bytes, version));
                    continue;
                }
                Need::Swap { name, version, bytes } => {
                    let swapped = host::swap_version(&name, &bytes, version);
                    step = exchange.resume(&mut self.knowledge(env), Input::Swapped(swapped));
                    continue;
                }
                Need::Call(_) | Need::Later(_) | Need::Body(_) if self.waiting.len() >= MOST_WAITING => {
                    step = exchange.resume(&mut self.knowledge(env), Input::Overflow);
                    continue;
                }
                Need::Call(call) => {
                    self.outbox.push((context, call));
                    self.hurry(env.monotonic, SOON);
                    Wants::Answer
                }
                _ if alone => return Action::Pause,
                Need::Keys(realm, kid) => {
                    if waiting_for(&self.waiting, realm) >= self.filter.limits().waiting_requests {
                        step = exchange.resume(&mut self.knowledge(env), Input::Overflow);
                        continue;
                    }
                    if let Some(kid) = kid {
                        self.keys.want(realm, &kid, env.monotonic);
                    }
                    self.hurry(env.monotonic, SOON);
                    Wants::Keys(realm, deadline)
                }
                Need::Later(time) => {
                    self.hurry(env.monotonic, time);
                    Wants::Time(env.monotonic.plus(time))
                }
                Need::Body(most) => {
                    self.hurry(env.monotonic, self.filter.limits().wait_timeout);
                    Wants::Body(most, deadline)
                }
            };
            self.waiting.insert(context, Waiting { exchange, wants, alone });
            return Action::Pause;
        }
    }

    fn perform(&mut self, context: u32, decision: Decision, callback: Callback) -> Action {
        self.metrics.decided(&decision);
        match &decision {
            Decision::Reply { refusal, reply } => {
                let audited = refusal.legacy.is_some() || reply.status == 503;
                let level = if audited { log::Level::Warn } else { log::Level::Info };
                log::log!(level, "{refusal}");
            }
            Decision::Answer { notice, .. } => log::log!(level_of(notice), "{notice}"),
            Decision::Forward { permit, .. } => {
                if let Some(line) = permit.audit() {
                    log::warn!("{line}");
                }
            }
        }
        let action = host::perform(&decision, callback == Callback::Other);
        if let Decision::Forward { set_cookies, watch, .. } = decision {
            if !set_cookies.is_empty() {
                self.set_cookies.insert(context, set_cookies);
            }
            if let Some(watch) = watch {
                self.watches.insert(context, (*watch, 0));
            }
        }
        action
    }
}

/// A page may ask every few seconds who is signed in.
fn level_of(notice: &Notice) -> log::Level {
    if notice.what == "session_shown" { log::Level::Debug } else { log::Level::Info }
}

/// How many requests wait for a realm's keys.
fn waiting_for(waiting: &BTreeMap<u32, Waiting>, realm: RealmId) -> usize {
    let waits = |waiting: &&Waiting| matches!(waiting.wants, Wants::Keys(other, _) if other == realm);
    waiting.values().filter(waits).count()
}
