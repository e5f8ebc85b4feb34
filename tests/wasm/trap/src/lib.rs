//! The filter's own sources, module by module, in an entry point that can make them panic: a trap has to happen in the filter's VM, and
//! nothing in the filter may make one on demand. (The filter as a library that this crate links would do, but Cargo optimises no cdylib at
//! link time that is an rlib, too.)
//!
//! `x-test-trap: headers` panics before the filter judges the request, `after` when it has done so and before the answer or the request
//! goes on, and `done` at the end of the request.

#![cfg(target_os = "wasi")]
// The filter's own lints are checked where it is built.
#![allow(missing_docs, unsafe_code)]

#[path = "../../../../filter/proxy/src/crypto.rs"]
mod crypto;
#[path = "../../../../filter/proxy/src/host.rs"]
mod host;
#[path = "../../../../filter/proxy/src/metrics.rs"]
mod metrics;
#[path = "../../../../filter/proxy/src/root.rs"]
mod root;
#[path = "../../../../filter/proxy/src/signing.rs"]
mod signing;
#[path = "../../../../filter/proxy/src/stream.rs"]
mod stream;
#[path = "../../../../filter/proxy/src/worker.rs"]
mod worker;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType};

use crate::root::Root;

#[derive(Default)]
struct TrapRoot(Root);

struct Trap {
    stream: Box<dyn HttpContext>,
    when: Vec<u8>,
}

impl Trap {
    fn spring(&self, when: &str) {
        assert!(self.when != when.as_bytes(), "x-test-trap: {when}");
    }
}

impl Context for TrapRoot {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        self.0.on_http_call_response(token, headers, body, trailers);
    }

    fn on_foreign_function(&mut self, function: u32, arguments: usize) {
        self.0.on_foreign_function(function, arguments);
    }

    fn on_done(&mut self) -> bool {
        self.0.on_done()
    }
}

impl RootContext for TrapRoot {
    fn on_vm_start(&mut self, size: usize) -> bool {
        self.0.on_vm_start(size)
    }

    fn on_configure(&mut self, size: usize) -> bool {
        self.0.on_configure(size)
    }

    fn on_tick(&mut self) {
        self.0.on_tick();
    }

    fn on_queue_ready(&mut self, queue: u32) {
        self.0.on_queue_ready(queue);
    }

    fn on_log(&mut self) {
        RootContext::on_log(&mut self.0);
    }

    fn create_http_context(&self, context: u32) -> Option<Box<dyn HttpContext>> {
        let stream = self.0.create_http_context(context)?;
        Some(Box::new(Trap { stream, when: Vec::new() }))
    }

    fn get_type(&self) -> Option<ContextType> {
        self.0.get_type()
    }
}

impl Context for Trap {
    fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize, trailers: usize) {
        self.stream.on_http_call_response(token, headers, body, trailers);
    }
}

impl Drop for Trap {
    fn drop(&mut self) {
        self.spring("done");
    }
}

impl HttpContext for Trap {
    fn on_http_request_headers(&mut self, headers: usize, end: bool) -> Action {
        // As the filter reads them: Envoy's configuration lists what the filter may call, and nothing for this crate.
        let when = host::request_headers().into_iter().find(|(name, _)| name == "x-test-trap");
        self.when = when.map(|(_, value)| value).unwrap_or_default();
        self.spring("headers");
        let action = self.stream.on_http_request_headers(headers, end);
        self.spring("after");
        action
    }

    fn on_http_request_body(&mut self, size: usize, end: bool) -> Action {
        self.stream.on_http_request_body(size, end)
    }

    fn on_http_request_trailers(&mut self, trailers: usize) -> Action {
        self.stream.on_http_request_trailers(trailers)
    }

    fn on_http_response_headers(&mut self, headers: usize, end: bool) -> Action {
        self.stream.on_http_response_headers(headers, end)
    }

    fn on_http_response_body(&mut self, size: usize, end: bool) -> Action {
        self.stream.on_http_response_body(size, end)
    }

    fn on_http_response_trailers(&mut self, trailers: usize) -> Action {
        self.stream.on_http_response_trailers(trailers)
    }

    fn on_log(&mut self) {
        self.stream.on_log();
    }
}

mod entry {
    proxy_wasm::main! {{
        proxy_wasm::set_log_level(proxy_wasm::types::LogLevel::Info);
        proxy_wasm::set_root_context(|_| Box::new(crate::TrapRoot::default()));
    }}
}
