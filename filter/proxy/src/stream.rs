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

impl Context for Stream {}

/// Not `on_done`: with its context's end the host calls once less for each request.
impl Drop for Stream {
    fn drop(&mut self) {
        if let Ok(mut worker) = self.worker.try_borrow_mut() {
            worker.forget(self.context);
        }
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        match self.worker.try_borrow_mut() {
            Ok(mut worker) => worker.judge(self.context, end_of_stream),
            // Only if the host called back in the middle of another callback, which Envoy never does.
            Err(_) => host::fail(),
        }
    }

    /// Only where the plugin sets `allow_on_headers_stop_iteration`; else the body waits with the head.
    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        match self.worker.try_borrow_mut() {
            Ok(mut worker) => worker.body(self.context, body_size, end_of_stream),
            Err(_) => host::fail(),
        }
    }

    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        match self.worker.try_borrow_mut() {
            Ok(mut worker) => {
                for (name, _) in host::request_trailers() {
                    if worker.filter.strips_trailer(&name) {
                        host::remove_request_trailer(&name);
                    }
                }
                // Behind them there is no more body.
                worker.body(self.context, usize::MAX, true)
            }
            Err(_) => host::fail(),
        }
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        let Ok(mut worker) = self.worker.try_borrow_mut() else { return Action::Continue };
        let cookies = worker.set_cookies(self.context);
        if !cookies.is_empty() {
            host::set_cookies(&cookies);
        }
        worker.answer_head(self.context, end_of_stream)
    }

    fn on_http_response_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        match self.worker.try_borrow_mut() {
            Ok(mut worker) => worker.answer_body(self.context, body_size, end_of_stream),
            Err(_) => Action::Continue,
        }
    }

    fn on_http_response_trailers(&mut self, _num_trailers: usize) -> Action {
        match self.worker.try_borrow_mut() {
            // Behind them there is no more body.
            Ok(mut worker) => worker.answer_end(self.context),
            Err(_) => Action::Continue,
        }
    }
}
