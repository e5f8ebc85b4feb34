//! Where the processor time of an Envoy goes, as Linux's `perf` samples it.

use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use serde::Serialize;
use tokio::process::{Child, Command};

/// Samples a second of processor time: not a divisor of what timers do.
const FREQUENCY: &str = "997";

/// Parts of the processor time, of one in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Profile {
    /// Sockets, mostly.
    pub(crate) kernel: f64,
    /// What V8 compiled from the filter's module.
    pub(crate) vm: f64,
    /// Envoy with all that is linked into it: V8's way into the module and out of it, BoringSSL, the allocator.
    pub(crate) envoy: f64,
}

/// Samples the process for so many seconds.
pub(crate) fn record(pid: u32, seconds: u64, file: &Path) -> anyhow::Result<Child> {
    let mut command = Command::new("perf");
    command.args(["record", "--quiet", "--event", "cpu-clock", "--freq", FREQUENCY]);
    command.args(["--pid", &pid.to_string(), "--output"]).arg(file);
    command.args(["--", "sleep", &seconds.to_string()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command.spawn().context("perf does not run (Debian: linux-perf)")
}

/// Waits until the sampling has ended, and reads what came of it.
pub(crate) async fn read(mut recording: Child, file: &Path) -> anyhow::Result<Profile> {
    let status = recording.wait().await?;
    anyhow::ensure!(status.success(), "perf record failed: {status}");
    let mut command = Command::new("perf");
    command.args(["report", "--stdio", "--quiet", "--no-children", "--sort", "dso", "--input"]).arg(file);
    let output = command.kill_on_drop(true).output().await?;
    anyhow::ensure!(output.status.success(), "perf report failed: {}", output.status);
    parse(&String::from_utf8_lossy(&output.stdout))
}

/// Lines of a share and where it was spent: `64.13%  envoy`.
fn parse(report: &str) -> anyhow::Result<Profile> {
    let mut profile = Profile::default();
    for line in report.lines() {
        let Some((share, place)) = line.trim().split_once('%') else { continue };
        let share = share.parse::<f64>().with_context(|| format!("no share: {line}"))? / 100.0;
        match place.trim() {
            place if place.starts_with("[JIT]") => profile.vm += share,
            // The kernel, and what it lends to a process.
            place if place.starts_with('[') => profile.kernel += share,
            _ => profile.envoy += share,
        }
    }
    anyhow::ensure!(profile.envoy > 0.0, "perf saw nothing");
    Ok(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_added_up_by_place() {
        let report = "\n    60.00%  envoy\n    20.50%  [kernel.kallsyms]\n    15.00%  [JIT] tid 71\n     4.00%  libc.so.6\n     0.50%  [vdso]\n";
        let profile = parse(report).expect("a report");
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(
            near(profile.envoy, 0.64) && near(profile.kernel, 0.21) && near(profile.vm, 0.15),
            "{profile:?}"
        );
        assert!(parse("").is_err());
    }
}
