//! The load: wrk, told by a Lua script which credentials to send.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::process::Command;

const SCRIPT: &str = include_str!("load.lua");
/// One request at a time on each; enough to keep a worker busy.
pub(crate) const CONNECTIONS: u32 = 16;

/// What stands before a bearer token.
pub(crate) const BEARER: &str = "authorization: Bearer ";

/// A load generator with its script.
pub(crate) struct Load {
    directory: TempDir,
}

/// Which credentials are sent, and where to.
pub(crate) struct Order<'a> {
    pub(crate) to: SocketAddr,
    /// The field that carries one, up to where it begins.
    pub(crate) field: &'a str,
    /// A credential a line.
    pub(crate) credentials: &'a Path,
    /// The first and the last line, from 1.
    pub(crate) lines: (usize, usize),
    /// Each once at most, and the end when they are used up.
    pub(crate) once: bool,
    /// Host and path.
    pub(crate) targets: &'a [(String, String)],
    pub(crate) seconds: u64,
}

/// What wrk counted.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) requests: u64,
    pub(crate) duration_us: u64,
    /// Answers with a status of 400 and up.
    pub(crate) refused: u64,
    /// Requests that got no answer.
    pub(crate) broken: u64,
    /// Requests with a credential that should have been sent once and was not.
    pub(crate) repeated: u64,
    pub(crate) p50_us: u64,
    pub(crate) p99_us: u64,
    pub(crate) max_us: u64,
}

impl Load {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("portcullis-bench-").tempdir()?;
        fs::write(directory.path().join("load.lua"), SCRIPT)?;
        Ok(Self { directory })
    }

    /// wrk's name and version.
    pub(crate) async fn version(&self) -> anyhow::Result<String> {
        let output = Command::new("wrk").arg("-v").output().await.context("wrk does not run")?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.split(" [").next().unwrap_or_default().trim().to_owned())
    }

    /// Sends requests as fast as they are answered.
    pub(crate) async fn run(&self, order: &Order<'_>) -> anyhow::Result<Report> {
        let targets = self.write_targets(order.targets)?;
        let mut command = Command::new("wrk");
        command
            .args(["--threads", "1", "--timeout", "5s"])
            .args(["--connections", &CONNECTIONS.to_string()])
            .args(["--duration", &format!("{}s", order.seconds)])
            .arg("--script")
            .arg(self.directory.path().join("load.lua"))
            .arg(format!("http://{}/", order.to))
            .arg("--")
            .arg(order.credentials)
            .args([order.lines.0.to_string(), order.lines.1.to_string()])
            .arg(if order.once { "once" } else { "again" })
            .arg(targets)
            .arg(order.field)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let patience = Duration::from_secs(order.seconds + 30);
        let output = tokio::time::timeout(patience, command.output()).await.context("wrk does not end")??;
        let text = String::from_utf8_lossy(&output.stdout);
        let report = text.lines().find_map(|line| line.strip_prefix("REPORT "));
        let report = report.with_context(|| {
            format!("wrk says nothing ({}): {text}{}", output.status, String::from_utf8_lossy(&output.stderr))
        })?;
        Ok(serde_json::from_str(report)?)
    }

    fn write_targets(&self, targets: &[(String, String)]) -> anyhow::Result<PathBuf> {
        let file = self.directory.path().join("targets");
        let lines: Vec<String> = targets.iter().map(|(host, path)| format!("{host} {path}")).collect();
        fs::write(&file, lines.join("\n"))?;
        Ok(file)
    }
}
