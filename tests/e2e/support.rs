//! What every module of the suite needs.

use portcullis_tests::client::RawResponse;
use portcullis_tests::upstream::Seen;
use portcullis_tests::{EnvoyConfig, Stage, World, envoy};

/// The host of the customers' portal.
pub(crate) const SELFCARE: &str = "selfcare.csp.com";
/// The host of the administrators.
pub(crate) const ADMIN: &str = "admin.csp.com";
/// A path of the customers that wants the client role `billing`.
pub(crate) const INVOICES: &str = "/rest/Invoice/get_invoice_list";

/// The world of `envoy/two-realms.yaml`; none where a prerequisite is missing.
pub(crate) async fn world() -> Option<World> {
    world_with(EnvoyConfig::file("two-realms.yaml")).await
}

/// The world of another configuration; none where a prerequisite is missing.
pub(crate) async fn world_with(config: EnvoyConfig) -> Option<World> {
    stage().await?.start(config).await.map_or_else(|e| panic!("{e}"), Some)
}

/// A stage for what has to be arranged before Envoy starts; none where a prerequisite is missing.
pub(crate) async fn stage() -> Option<Stage> {
    if let Err(missing) = envoy::prerequisites() {
        assert!(std::env::var_os("CI").is_none(), "{missing}");
        eprintln!("SKIPPED: {missing}");
        return None;
    }
    Some(Stage::new().await)
}

/// What a test claims about an answer, with Envoy's log in the message when it does not hold.
pub(crate) trait Assert {
    /// The answer is this refusal, complete, and the upstream saw nothing.
    fn assert_refused(&self, response: &RawResponse, status: u16);
    /// The answer is the upstream's; returns what it saw.
    fn assert_forwarded(&self, response: &RawResponse) -> Seen;
}

impl Assert for World {
    #[track_caller]
    fn assert_refused(&self, response: &RawResponse, status: u16) {
        let text = response.text();
        assert_eq!(response.status, status, "{text}\n{}", self.envoy.log());
        assert_eq!(self.reached_upstream(), 0, "a refused request reached the upstream");
        if status == 401 {
            let challenge = response.header("www-authenticate").unwrap_or_default();
            assert!(challenge.starts_with("Bearer"), "a 401 has a challenge, not {challenge:?}");
        }
    }

    #[track_caller]
    fn assert_forwarded(&self, response: &RawResponse) -> Seen {
        assert_eq!(response.status, 200, "{}\n{}", response.text(), self.envoy.log());
        assert_eq!(self.reached_upstream(), 1);
        self.upstream.last().expect("the upstream saw a request")
    }
}
