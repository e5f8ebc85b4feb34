//! The plugin in one worker: loads the configuration and drives the key store.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use portcullis_core::{
    CallError, Filter, HttpAnswer, HttpCall, KeyEvent, KeyStore, Monotonic, RealmId, shared_seeds,
};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::crypto;
use crate::host;
use crate::metrics::Metrics;
use crate::signing;
use crate::stream::Stream;
use crate::worker::Worker;

/// The root context. Without a configuration it creates no streams, and the host refuses the plugin.
#[derive(Debug, Default)]
pub(crate) struct Root {
    worker: Option<Rc<RefCell<Worker>>>,
    /// Calls that are under way.
    calls: HashMap<u32, Pending>,
}

/// A call that is under way.
#[derive(Debug)]
struct Pending {
    whose: Whose,
    max_body_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum Whose {
    /// The key store's, for this realm.
    Keys(RealmId),
    /// A request's, by its context.
    Request(u32),
}

impl Root {
    /// One round: take in what other workers did, fetch what is due, resume whom it concerns.
    fn round(&mut self) {
        let Some(worker) = self.worker.clone() else { return };
        let Ok(mut worker) = worker.try_borrow_mut() else { return };
        let env = host::env();
        let mut changed = Vec::new();
        for realm in worker.keys.realms() {
            let Some(name) = worker.keys.record_name(realm).map(str::to_owned) else { continue };
            if worker.adopt(realm, env.monotonic) {
                changed.push(realm);
            }
            if worker.keys.is_due(realm, env.monotonic)
                && host::swap_shared(&name, |record| worker.keys.claim(realm, record, env.monotonic))
                && let Some(call) = worker.keys.begin(realm, env.monotonic)
                && self.call(&mut worker, realm, &call, env.monotonic)
            {
                changed.push(realm);
            }
        }
        worker.observe_revoked(env);
        worker.resume(&changed, env);
        self.send(&mut worker);
        worker.show(env.monotonic);
        worker.schedule(env.monotonic);
    }

    /// Sends what requests have to ask Keycloak.
    fn send(&mut self, worker: &mut Worker) {
        for (context, call) in worker.outbox() {
            match host::dispatch(&call) {
                Ok(token) => {
                    let pending =
                        Pending { whose: Whose::Request(context), max_body_bytes: call.max_body_bytes };
                    self.calls.insert(token, pending);
                }
                Err(error) => worker.answered(context, Err(error)),
            }
        }
    }

    /// Sends a call. `true`: it failed at once, and the fetch has ended.
    fn call(&mut self, worker: &mut Worker, realm: RealmId, call: &HttpCall, now: Monotonic) -> bool {
        match host::dispatch(call) {
            Ok(token) => {
                let pending = Pending { whose: Whose::Keys(realm), max_body_bytes: call.max_body_bytes };
                self.calls.insert(token, pending);
                false
            }
            Err(error) => self.answered(worker, realm, Err(error), now),
        }
    }

    /// Takes in an answer. `true`: the fetch has ended.
    fn answered(
        &mut self,
        worker: &mut Worker,
        realm: RealmId,
        answer: Result<HttpAnswer, CallError>,
        now: Monotonic,
    ) -> bool {
        let event = worker.keys.answered(realm, answer, now);
        if let KeyEvent::Call(call) = event {
            return self.call(worker, realm, &call, now);
        }
        if let Some(name) = worker.keys.record_name(realm) {
            host::swap_shared(name, |record| worker.keys.release(realm, record, now));
        }
        let name = worker.filter.realm_names().find(|(id, _)| *id == realm).map(|(_, name)| name.to_owned());
        let name = name.unwrap_or_default();
        match &event {
            KeyEvent::Fetched { usable, dropped } => {
                log::info!("keys fetched realm={name} usable={usable} dropped={dropped}");
            }
            KeyEvent::Failed(error) => {
                log::warn!("keys not fetched realm={name} reason={} ({error})", error.slug());
            }
            KeyEvent::Call(_) | KeyEvent::Stray => {}
        }
        worker.fetched(&name, &event);
        true
    }
}

impl Context for Root {
    fn on_http_call_response(
        &mut self,
        token: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        let Some(Pending { whose, max_body_bytes }) = self.calls.remove(&token) else { return };
        let Some(worker) = self.worker.clone() else { return };
        let Ok(mut worker) = worker.try_borrow_mut() else { return };
        let env = host::env();
        let answer = host::answer(num_headers, body_size, max_body_bytes);
        match whose {
            Whose::Keys(realm) => {
                if self.answered(&mut worker, realm, answer, env.monotonic) {
                    worker.resume(&[realm], env);
                    worker.schedule(env.monotonic);
                }
            }
            Whose::Request(context) => {
                worker.answered(context, answer);
                worker.schedule(env.monotonic);
            }
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        host::adopt_log_level();
        // Before anything verifies, bootstrap keys of the configuration included.
        let host_verifies = crypto::install();
        log::info!(
            "signatures are verified by {}",
            if host_verifies { "the host" } else { "the filter itself" }
        );
        Metrics::host_verifies(host_verifies);
        let document = hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size).ok().flatten();
        let filter = match Filter::parse_in(&document.unwrap_or_default(), &host::environment()) {
            Ok(filter) => filter,
            Err(error) => {
                log::error!("configuration refused: {error}");
                return false;
            }
        };
        let useless = filter.client_keys().find(|(_, key)| signing::sign(key, b"a text").is_none());
        if let Some((realm, key)) = useless {
            log::error!(
                "configuration refused: realms.{realm}.login.client_key: the host does not sign with it by {:?}",
                key.algorithm()
            );
            return false;
        }
        let env = host::env();
        let mut keys = KeyStore::new(&filter, host::seed(), env.monotonic);
        for realm in keys.realms() {
            let Some(name) = keys.record_name(realm).map(str::to_owned) else { continue };
            host::seed_shared(&name, &KeyStore::seed_record());
            // After a reload the keys are there already.
            if let Some(record) = host::shared(&name) {
                keys.observe(realm, &record, env.monotonic);
            }
        }
        let random = host::entropy();
        for (name, bytes) in random.iter().flat_map(|random| shared_seeds(&filter, *random)) {
            host::seed_shared(&name, &bytes);
        }
        let Some(mut worker) = Worker::new(filter, keys) else {
            log::error!(
                "configuration refused: the host has no randomness, without which nobody can sign in"
            );
            return false;
        };
        worker.schedule(env.monotonic);
        self.worker = Some(Rc::new(RefCell::new(worker)));
        true
    }

    fn on_tick(&mut self) {
        host::adopt_log_level();
        self.round();
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let worker = self.worker.clone()?;
        Some(Box::new(Stream::new(context, worker)))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
