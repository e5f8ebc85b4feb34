//! Calls to the host, each in a form that cannot trap: bytes instead of Strings, errors instead of panics,
//! and only in phases in which the host takes them.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, UNIX_EPOCH};

use portcullis_core::{
    CallError, Decision, Env, Header, HeaderEdits, HttpAnswer, HttpCall, LocalReply, Monotonic, UnixTime,
};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{Action, BufferType, MapType};

use crate::signing;

/// How often a compare-and-swap is tried against other workers.
const SWAP_TRIES: usize = 8;

/// Both clocks.
pub(crate) fn env() -> Env {
    let now = hostcalls::get_current_time().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    // A host without a wall clock would make every token look unborn, and that refuses it.
    Env { now: UnixTime(now.unwrap_or_default().as_secs()), monotonic: monotonic() }
}

/// Milliseconds of the process-wide steady clock. `std::time::Instant` has no number that workers could
/// share.
#[allow(unsafe_code, reason = "the WASI call has no safe wrapper; it takes two numbers and returns one")]
fn monotonic() -> Monotonic {
    const NANOSECONDS: u64 = 1_000_000;
    // SAFETY: the function reads no memory of ours and writes only the number that the wrapper returns.
    let nanoseconds = unsafe { wasi::clock_time_get(wasi::CLOCKID_MONOTONIC, NANOSECONDS) };
    Monotonic(nanoseconds.unwrap_or_default() / NANOSECONDS)
}

/// A number that tells this worker from the others.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 8];
    // Without randomness two workers may share a lease: one fetch too many, and nothing worse.
    let _ = getrandom::getrandom(&mut bytes);
    u64::from_ne_bytes(bytes)
}

/// What a worker's generator is seeded with; `None`: the host has no randomness.
pub(crate) fn entropy() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::getrandom(&mut bytes).ok().map(|()| bytes)
}

/// The VM's environment variables, where secrets are kept.
pub(crate) fn environment() -> HashMap<String, String> {
    let text = |text: OsString| text.into_string().ok();
    std::env::vars_os().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// Takes over the host's log level, so that nothing is formatted that would not be written.
pub(crate) fn adopt_log_level() {
    if let Ok(level) = hostcalls::get_log_level() {
        proxy_wasm::set_log_level(level);
    }
}

/// The head of the request, in one call.
pub(crate) fn request_headers() -> Vec<Header> {
    hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default()
}

/// Names of the request's trailers.
pub(crate) fn request_trailers() -> Vec<Header> {
    hostcalls::get_map_bytes(MapType::HttpRequestTrailers).unwrap_or_default()
}

/// Removes all trailers of this name.
pub(crate) fn remove_request_trailer(name: &str) {
    let _ = hostcalls::remove_map_value(MapType::HttpRequestTrailers, name);
}

/// The client's address, as Envoy's `use_remote_address` and `xff_num_trusted_hops` make it.
pub(crate) fn source_address() -> Option<IpAddr> {
    let address = hostcalls::get_property(vec!["source", "address"]).ok()??;
    let address = std::str::from_utf8(&address).ok()?;
    address.parse::<SocketAddr>().map(|address| address.ip()).ok().or_else(|| address.parse().ok())
}

/// Performs a decision on the request of the effective context: the only place that lets a request go on
/// or answers it. `paused`: it was held back before.
pub(crate) fn perform(decision: &Decision, paused: bool) -> Action {
    match decision {
        Decision::Forward { request, .. } => {
            edit_request(request);
            if paused {
                let _ = hostcalls::resume_http_request();
            }
            Action::Continue
        }
        Decision::Reply { reply, .. } | Decision::Answer { reply, .. } => {
            send(reply);
            Action::Pause
        }
    }
}

/// Refuses a request that could not even be judged.
pub(crate) fn fail() -> Action {
    send(&LocalReply { status: 500, headers: Vec::new(), body: String::new() });
    Action::Pause
}

fn send(reply: &LocalReply) {
    let headers = reply.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let _ = hostcalls::send_http_response(u32::from(reply.status), headers, Some(reply.body.as_bytes()));
}

fn edit_request(edits: &HeaderEdits) {
    for name in edits.removed() {
        let _ = hostcalls::remove_map_value(MapType::HttpRequestHeaders, name);
    }
    for (name, value) in edits.set() {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, name, Some(value.as_bytes()));
    }
    if let Some(cookie) = edits.cookie() {
        let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, "cookie", Some(cookie));
    }
    // The route may have been chosen by a header that the client made up. Hosts without this function
    // choose it later anyway.
    if !edits.removed().is_empty() || !edits.set().is_empty() || edits.cookie().is_some() {
        let _ = hostcalls::call_foreign_function("clear_route_cache", None);
    }
}

/// The first bytes of the request's body, as far as it has come.
pub(crate) fn request_body(size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(BufferType::HttpRequestBody, 0, size).ok().flatten().unwrap_or_default()
}

/// The head of the response, in one call.
pub(crate) fn response_headers() -> Vec<Header> {
    hostcalls::get_map_bytes(MapType::HttpResponseHeaders).unwrap_or_default()
}

/// The status in the head of a response.
pub(crate) fn status(headers: &[Header]) -> Option<u16> {
    let (_, status) = headers.iter().find(|(name, _)| name == ":status")?;
    std::str::from_utf8(status).ok()?.parse().ok()
}

/// The first bytes of the response's body, as far as it has come.
pub(crate) fn response_body(size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(BufferType::HttpResponseBody, 0, size).ok().flatten().unwrap_or_default()
}

/// Gives the response cookies of ours, which no cache may hand to anybody else.
pub(crate) fn set_cookies(cookies: &[String]) {
    for cookie in cookies {
        let _ = hostcalls::add_map_value(MapType::HttpResponseHeaders, "set-cookie", cookie);
    }
    let _ = hostcalls::set_map_value(MapType::HttpResponseHeaders, "cache-control", Some("no-store"));
}

/// Makes another request's context the effective one; `false` where it is gone.
pub(crate) fn enter(context: u32) -> bool {
    hostcalls::set_effective_context(context).is_ok()
}

/// Has the root context ticked after this time, and at that interval from then on.
pub(crate) fn tick_after(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

/// Sends a call; the number is the one under which the answer comes.
pub(crate) fn dispatch(call: &HttpCall) -> Result<u32, CallError> {
    let method = if call.form.is_some() { "POST" } else { "GET" };
    let mut headers = vec![
        (":method", method),
        (":path", call.path.as_str()),
        (":authority", call.authority.as_str()),
        ("accept", "application/json"),
    ];
    if let Some(form) = &call.form {
        headers.push(("content-type", "application/x-www-form-urlencoded"));
        headers.extend(form.authorization().map(|value| ("authorization", value)));
    }
    let body = match &call.form {
        Some(form) => Some(form.body(signing::sign).ok_or(CallError::Unreachable)?),
        None => None,
    };
    let body = body.as_ref().map(String::as_bytes);
    hostcalls::dispatch_http_call(&call.cluster, headers, body, Vec::new(), call.timeout)
        .map_err(|_| CallError::Unreachable)
}

/// Reads the answer to a call. A call that was reset has no headers at all.
pub(crate) fn answer(
    num_headers: usize,
    body_size: usize,
    max_body_bytes: usize,
) -> Result<HttpAnswer, CallError> {
    if num_headers == 0 {
        return Err(CallError::Unreachable);
    }
    let headers = hostcalls::get_map_bytes(MapType::HttpCallResponseHeaders).unwrap_or_default();
    let status = status(&headers).ok_or(CallError::Unreachable)?;
    if body_size > max_body_bytes {
        return Err(CallError::TooLarge);
    }
    let body = match body_size {
        0 => None,
        size => hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size)
            .map_err(|_| CallError::Unreachable)?,
    };
    Ok(HttpAnswer { status, body: body.unwrap_or_default() })
}

/// Bytes that the workers share.
pub(crate) fn shared(name: &str) -> Option<Vec<u8>> {
    hostcalls::get_shared_data(name).ok()?.0
}

/// The same with the version that a swap must name.
pub(crate) fn shared_version(name: &str) -> (Option<Vec<u8>>, Option<u32>) {
    hostcalls::get_shared_data(name).unwrap_or_default()
}

/// Swaps shared bytes, unless somebody has changed them since that version. Without a version there is nothing to
/// swap: it would not be atomic.
pub(crate) fn swap_version(name: &str, bytes: &[u8], version: Option<u32>) -> bool {
    version.is_some() && hostcalls::set_shared_data(name, Some(bytes), version).is_ok()
}

/// Puts bytes where none are. Not atomic, so it is done while the configuration loads, which happens on the
/// main thread before the workers do the same.
pub(crate) fn seed_shared(name: &str, bytes: &[u8]) {
    if shared(name).is_none() {
        let _ = hostcalls::set_shared_data(name, Some(bytes), None);
    }
}

/// Swaps shared bytes for what `change` makes of them; `false` where it makes nothing, or other workers are
/// always quicker.
pub(crate) fn swap_shared(name: &str, change: impl Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
    for _ in 0..SWAP_TRIES {
        let Ok((bytes, version)) = hostcalls::get_shared_data(name) else { return false };
        let Some(changed) = change(&bytes.unwrap_or_default()) else { return false };
        if hostcalls::set_shared_data(name, Some(&changed), version).is_ok() {
            return true;
        }
    }
    false
}
