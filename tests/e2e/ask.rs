//! A request and everything that came of it: what the client saw, what the upstream saw, and what the filter counted.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;

use portcullis_tests::client::{H2Request, Raw, RawResponse, raw_http1};
use portcullis_tests::upstream::Seen;
use portcullis_tests::{EnvoyConfig, World};
use serde_json::json;

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The filter refuses with this status, for this reason (a slug of its metrics).
    Refused(u16, &'static str),
    /// The upstream answers; the filter let it pass on this ground (`token`, `public`, `legacy`).
    Forwarded(&'static str),
    /// Envoy itself refuses with this status before the filter is asked; 0: it resets the stream or closes the connection.
    ByEnvoy(u16),
}

pub(crate) use Verdict::{ByEnvoy, Forwarded, Refused};

/// Where Envoy's metrics of the filter begin.
const METRICS: &str = "wasmcustom.portcullis.";

/// What came of a request.
pub(crate) struct Outcome {
    what: String,
    answer: io::Result<RawResponse>,
    /// What the filter counted meanwhile: `customers.denied.token_issuer`.
    counted: Vec<String>,
    reached: u64,
    seen: Option<Seen>,
    log: String,
}

/// A request that can be sent.
pub(crate) trait Request {
    async fn answer(&self, addr: SocketAddr) -> io::Result<RawResponse>;
}

impl Request for Raw {
    async fn answer(&self, addr: SocketAddr) -> io::Result<RawResponse> {
        self.send(addr).await
    }
}

impl Request for H2Request {
    async fn answer(&self, addr: SocketAddr) -> io::Result<RawResponse> {
        self.send(addr).await
    }
}

/// The configuration with everything off by which Envoy itself would refuse or change an ambiguous request.
pub(crate) fn bare(config: EnvoyConfig) -> EnvoyConfig {
    config.edit_manager(|manager| {
        manager["normalize_path"] = json!(false);
        manager["merge_slashes"] = json!(false);
        manager["path_with_escaped_slashes_action"] = json!("KEEP_UNCHANGED");
        manager["common_http_protocol_options"]["headers_with_underscores_action"] = json!("ALLOW");
    })
}

/// Bytes of HTTP/1.1, without the `Connection: close` that [`Raw`] adds.
impl Request for Vec<u8> {
    async fn answer(&self, addr: SocketAddr) -> io::Result<RawResponse> {
        raw_http1(addr, self).await
    }
}

/// Sending one request at a time, and watching all sides.
pub(crate) trait Ask {
    /// Sends the request. `what` says in a failure which line of a table it was.
    async fn ask(&self, what: &str, request: &impl Request) -> Outcome;

    /// Sends the request to another address from where it gets to the same Envoy.
    async fn ask_through(&self, addr: SocketAddr, what: &str, request: &impl Request) -> Outcome;
}

impl Ask for World {
    async fn ask(&self, what: &str, request: &impl Request) -> Outcome {
        self.ask_through(self.envoy.addr(), what, request).await
    }

    async fn ask_through(&self, addr: SocketAddr, what: &str, request: &impl Request) -> Outcome {
        let (verdicts, requests) = (verdicts(self).await, self.upstream.requests());
        let answer = request.answer(addr).await;
        let (after, reached) = (self::verdicts(self).await, self.upstream.requests() - requests);
        let mut counted = Vec::new();
        for (name, count) in after {
            let times = count - verdicts.get(&name).copied().unwrap_or(0);
            counted.extend((0..times).map(|_| name.clone()));
        }
        let seen = (reached > 0).then(|| self.upstream.last()).flatten();
        Outcome { what: what.to_owned(), answer, counted, reached, seen, log: self.envoy.log() }
    }
}

/// How often the filter allowed and denied what.
async fn verdicts(world: &World) -> BTreeMap<String, u64> {
    let stats = world.envoy.stats_matching(METRICS).await.into_iter();
    let named = stats.filter_map(|(name, count)| Some((name.strip_prefix(METRICS)?.to_owned(), count)));
    named.filter(|(name, _)| name.contains(".denied.") || name.contains(".allowed.")).collect()
}

impl Outcome {
    /// Asserts the verdict on all three sides: client, upstream, metrics.
    #[track_caller]
    pub(crate) fn is(&self, expected: Verdict) -> &Self {
        let (status, counted) = match expected {
            Refused(status, reason) => (status, Some(format!("denied.{reason}"))),
            Forwarded(ground) => (200, Some(format!("allowed.{ground}"))),
            ByEnvoy(status) => (status, None),
        };
        let got: Vec<&str> = self.counted.iter().filter_map(|name| Some(name.split_once('.')?.1)).collect();
        let counted: Vec<&str> = counted.iter().map(String::as_str).collect();
        assert_eq!((self.status(), got), (status, counted), "{expected:?} {}", self.context());
        assert_eq!(self.reached, u64::from(matches!(expected, Forwarded(_))), "upstream: {}", self.context());
        if status == 401 && matches!(expected, Refused(..)) {
            let challenge = self.challenge();
            assert!(challenge.starts_with("Bearer"), "a 401 has a challenge: {}", self.context());
        }
        self
    }

    /// Asserts that the filter counted it for this realm.
    #[track_caller]
    pub(crate) fn of_realm(&self, realm: &str) -> &Self {
        let realms: Vec<_> = self.counted.iter().filter_map(|name| Some(name.split_once('.')?.0)).collect();
        assert_eq!(realms, [realm], "{}", self.context());
        self
    }

    /// Asserts that it was forwarded because of its token, and returns what the upstream saw.
    #[track_caller]
    pub(crate) fn forwarded(&self) -> &Seen {
        self.is(Forwarded("token")).seen()
    }

    /// What the upstream saw.
    #[track_caller]
    pub(crate) fn seen(&self) -> &Seen {
        self.seen.as_ref().unwrap_or_else(|| panic!("nothing reached the upstream: {}", self.context()))
    }

    /// The status that the client saw; 0 where it saw none.
    pub(crate) fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |response| response.status)
    }

    /// The answer.
    #[track_caller]
    pub(crate) fn response(&self) -> &RawResponse {
        self.answer.as_ref().unwrap_or_else(|e| panic!("no answer ({e}): {}", self.context()))
    }

    /// What the filter counted meanwhile: `customers.denied.token_issuer`.
    pub(crate) fn counted(&self) -> &[String] {
        &self.counted
    }

    /// The challenge of a refusal; empty where there is none.
    #[track_caller]
    pub(crate) fn challenge(&self) -> String {
        self.response().header("www-authenticate").unwrap_or_default()
    }

    fn context(&self) -> String {
        let answer = match &self.answer {
            Ok(response) => response.text(),
            Err(error) => error.to_string(),
        };
        let Self { what, counted, reached, log, .. } = self;
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n");
        format!(
            "{what}\ncounted {counted:?}, reached the upstream {reached} times\nanswer: {answer}\nlog:\n{end}"
        )
    }
}
