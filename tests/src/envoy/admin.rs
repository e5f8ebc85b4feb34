//! Envoy's admin interface, as far as the tests ask it.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;

#[derive(Clone)]
pub(super) struct Admin {
    addr: SocketAddr,
    client: reqwest::Client,
}

impl Admin {
    /// The interface whose address Envoy wrote to `file`, once it did.
    pub(super) fn find(file: &Path) -> Option<Self> {
        let addr = fs::read_to_string(file).ok()?.trim().parse().ok()?;
        Some(Self { addr, client: crate::client::ordinary() })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) async fn get(&self, path: &str) -> Option<String> {
        let response = self.client.get(format!("http://{}{path}", self.addr)).send().await.ok()?;
        response.status().is_success().then_some(())?;
        response.text().await.ok()
    }

    pub(super) async fn ready(&self) -> bool {
        self.get("/ready").await.is_some()
    }

    /// The port of the first listener that is bound.
    pub(super) async fn listener_port(&self) -> Option<u16> {
        let listeners: Value = serde_json::from_str(&self.get("/listeners?format=json").await?).ok()?;
        let statuses = listeners["listener_statuses"].as_array()?;
        let ports =
            statuses.iter().filter_map(|l| l["local_address"]["socket_address"]["port_value"].as_u64());
        ports.filter_map(|port| u16::try_from(port).ok()).find(|port| *port != 0)
    }

    /// The counters and gauges whose names start with `prefix`.
    pub(super) async fn stats(&self, prefix: &str) -> Vec<(String, u64)> {
        let filter: String = prefix.bytes().map(escape).collect();
        let text = self.get(&format!("/stats?filter=^{filter}")).await.unwrap_or_default();
        let lines = text.lines().filter_map(|line| line.split_once(": "));
        // A histogram's line has no number, and belongs to none of the tests.
        lines.filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect()
    }

    pub(super) async fn stat(&self, name: &str) -> Option<u64> {
        let stats = self.stats(name).await;
        stats.into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    pub(super) async fn quit(&self) {
        let _ = self.client.post(format!("http://{}/quitquitquit", self.addr)).send().await;
    }
}

/// A byte of a name as it stands in a regular expression in a query.
fn escape(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => char::from(byte).to_string(),
        other => format!("%5C%{other:02X}"),
    }
}
