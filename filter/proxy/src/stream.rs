//! One request.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::host;
use crate::worker::Worker;

/// A request and its way to the worker that judges it.
#[derive(Debug)]
pub(crate) struct Stream {
    context: u32,
    worker: Rc<RefCell<Worker>>,
}

impl Stream {
    pub(crate) const fn new(context: u32, worker: Rc<RefCell<Worker>>) -> Self {
        Self { context, worker }
    }
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        if let Ok(mut worker) = self.worker.try_borrow_mut() {
            worker.forget(self.context);
        }
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        match self.worker.try_borrow_mut() {
            Ok(mut worker) => worker.judge(self.context),
            // Only if the host called back in the middle of another callback, which Envoy never does.
            Err(_) => host::fail(),
        }
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        match self.worker.try_borrow() {
            Ok(worker) => {
                for (name, _) in host::request_trailers() {
                    if worker.filter.strips_trailer(&name) {
                        host::remove_request_trailer(&name);
                    }
                }
                Action::Continue
            }
            Err(_) => host::fail(),
        }
    }
}
