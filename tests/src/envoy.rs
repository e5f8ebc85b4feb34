//! A real Envoy, with a configuration that an operator could copy.
//!
//! ```no_run
//! # async fn example() -> Result<(), portcullis_tests::envoy::StartError> {
//! use portcullis_tests::{EnvoyConfig, Issuer, Upstream};
//!
//! let (issuer, upstream) = (Issuer::customers().await, Upstream::start().await);
//! let envoy = EnvoyConfig::file("minimal.yaml")
//!     .cluster("keycloak_customers", issuer.addr())
//!     .cluster("upstream", upstream.addr())
//!     .start()
//!     .await?;
//! println!("{}", envoy.url("/"));
//! # Ok(())
//! # }
//! ```
//!
//! Envoy is `$ENVOY_BIN`, or `.tools/bin/envoy`, or `.tools/envoy`; the filter is `$PORTCULLIS_WASM`, or what a release build left in
//! `target/`.

mod admin;
mod config;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tokio::time::Instant;

use self::admin::Admin;
pub use self::config::{EnvoyConfig, SECRETS};

/// How long an Envoy may take to start: compiling a large module is slow on a busy machine.
const START: Duration = Duration::from_mins(1);

/// Envoy did not start, or refused a configuration; its log tells why.
#[derive(Debug)]
pub struct StartError {
    /// What went wrong.
    pub problem: String,
    /// What Envoy logged up to then.
    pub log: String,
}

impl std::fmt::Display for StartError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = self.log.len() - self.log.len().min(4000);
        let end = self.log.get(start..).unwrap_or(&self.log);
        if end.is_empty() { f.write_str(&self.problem) } else { write!(f, "{}\n{end}", self.problem) }
    }
}

impl std::error::Error for StartError {}

/// A running Envoy. Dropping it ends the process.
pub struct Envoy {
    process: Process,
    admin: Admin,
    port: u16,
    dynamic: bool,
    /// How often it took over from another, where it can be followed at all.
    epoch: Option<u32>,
    directory: TempDir,
}

/// The child, killed with the value.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Envoy {
    pub(crate) async fn start(config: &EnvoyConfig) -> Result<Self, StartError> {
        Self::start_as(config, &Succession::first(config)).await
    }

    async fn start_as(config: &EnvoyConfig, succession: &Succession) -> Result<Self, StartError> {
        let problem = |problem: String| StartError { problem, log: String::new() };
        let binary = find_envoy().map_err(problem)?;
        if config.needs_wasm() {
            find_wasm().map_err(problem)?;
        }
        let directory = tempfile::Builder::new().prefix("portcullis-envoy-").tempdir();
        let directory = directory.map_err(|e| problem(format!("no temporary directory: {e}")))?;
        let process = launch(&binary, config, succession, directory.path());
        let process = process.map_err(|e| problem(format!("{} does not run: {e}", binary.display())))?;
        let failed = |problem: &str| StartError { problem: problem.to_owned(), log: log(directory.path()) };

        let mut process = Process(process);
        let deadline = Instant::now() + START;
        let mut admin = None;
        loop {
            if let Ok(Some(status)) = process.0.try_wait() {
                return Err(failed(&format!("Envoy ended with {status}")));
            }
            admin = admin.or_else(|| Admin::find(&directory.path().join("admin")));
            if let Some(admin) = &admin {
                if config.is_dynamic() && admin.stat("listener_manager.lds.update_rejected").await > Some(0) {
                    return Err(failed("Envoy refused the listener"));
                }
                if admin.ready().await
                    && let Some(port) = admin.listener_port().await
                {
                    let admin = admin.clone();
                    let dynamic = config.is_dynamic();
                    let epoch = succession.epoch();
                    return Ok(Self { process, admin, port, dynamic, epoch, directory });
                }
            }
            if Instant::now() > deadline {
                return Err(failed("Envoy was not ready in time"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The listener's port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The listener's address.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// The URL of a path at the listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The address of the admin interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin.addr()
    }

    /// The answer of the admin interface to a GET, say `/config_dump`.
    pub async fn admin_get(&self, path: &str) -> Option<String> {
        self.admin.get(path).await
    }

    /// Everything that Envoy and the filter logged so far.
    pub fn log(&self) -> String {
        log(self.directory.path())
    }

    /// The value of a counter or gauge; absent until it was first touched.
    pub async fn stat(&self, name: &str) -> Option<u64> {
        self.admin.stat(name).await
    }

    /// The counters and gauges whose names start so.
    pub async fn stats_matching(&self, prefix: &str) -> Vec<(String, u64)> {
        self.admin.stats(prefix).await
    }

    /// Waits until a counter or gauge is at least so high.
    ///
    /// # Panics
    /// When it does not get there within [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for_stat(&self, name: &str, at_least: u64) {
        let deadline = Instant::now() + crate::PATIENCE;
        while self.stat(name).await.unwrap_or(0) < at_least {
            let now = self.stat(name).await;
            assert!(
                Instant::now() < deadline,
                "{name} is {now:?}, not {at_least}; Envoy's log:\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process identifier.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Whether the process lives.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.0.try_wait(), Ok(None))
    }

    /// Replaces the listener of an Envoy that was started with [`EnvoyConfig::dynamic`], and waits for Envoy's verdict. Refused: the old
    /// listener goes on serving.
    ///
    /// # Panics
    /// When Envoy was not started so, or gives no verdict in time.
    pub async fn update_listener(&mut self, config: &EnvoyConfig) -> Result<(), StartError> {
        assert!(
            self.dynamic,
            "only an Envoy that was started with EnvoyConfig::dynamic takes a new listener"
        );
        let stat = |name: &'static str| {
            let admin = self.admin.clone();
            async move { admin.stat(name).await.unwrap_or(0) }
        };
        let rejected = stat("listener_manager.lds.update_rejected").await;
        let accepted = stat("listener_manager.lds.update_success").await;
        let seen = self.log().len();
        let written = write_listeners(self.directory.path(), config, Some(accepted + rejected + 1));
        written.expect("the directory of the listeners is ours to write");

        let deadline = Instant::now() + START;
        loop {
            if stat("listener_manager.lds.update_rejected").await > rejected {
                let log = self.log().get(seen..).unwrap_or_default().to_owned();
                return Err(StartError { problem: "Envoy refused the listener".to_owned(), log });
            }
            let warming = stat("listener_manager.total_listeners_warming").await;
            if stat("listener_manager.lds.update_success").await > accepted && warming == 0 {
                self.port = self.admin.listener_port().await.unwrap_or(self.port);
                return Ok(());
            }
            assert!(Instant::now() < deadline, "Envoy gives no verdict; its log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts another Envoy that takes over the sockets of this one, which was started with [`EnvoyConfig::hot_restart`], and waits until
    /// this one has drained and ended.
    ///
    /// # Panics
    /// When this one cannot be followed.
    pub async fn succeed(mut self, config: &EnvoyConfig) -> Result<Self, StartError> {
        let epoch =
            self.epoch.expect("only an Envoy that was started with EnvoyConfig::hot_restart is followed");
        let base_id = fs::read_to_string(self.directory.path().join("base-id"));
        let base_id = base_id.ok().and_then(|id| id.trim().parse().ok()).expect("Envoy wrote its base id");
        let config = config.clone().on_port(self.port);
        let next = Self::start_as(&config, &Succession::Next { base_id, epoch: epoch + 1 }).await?;
        // The next one needs the same file for the one after it.
        let copied = fs::copy(self.directory.path().join("base-id"), next.directory.path().join("base-id"));
        copied.expect("the directory is ours to write");
        let deadline = Instant::now() + START;
        while self.is_running() {
            if Instant::now() > deadline {
                let problem = "the predecessor does not end".to_owned();
                return Err(StartError { problem, log: self.log() });
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(next)
    }

    /// Ends the process as an operator would, and returns its whole log.
    pub async fn stop(mut self) -> String {
        self.admin.quit().await;
        let deadline = Instant::now() + crate::PATIENCE;
        while self.is_running() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.log()
    }
}

/// Which Envoy of a row of Envoys this is.
enum Succession {
    /// The only one. Many run side by side, so it may not look for a predecessor.
    None,
    First,
    Next {
        base_id: u32,
        epoch: u32,
    },
}

impl Succession {
    fn first(config: &EnvoyConfig) -> Self {
        if config.may_restart() { Self::First } else { Self::None }
    }

    fn epoch(&self) -> Option<u32> {
        match self {
            Self::None => None,
            Self::First => Some(0),
            Self::Next { epoch, .. } => Some(*epoch),
        }
    }

    fn arguments(&self, directory: &Path) -> Vec<String> {
        let mut arguments = match self {
            Self::None => return vec!["--disable-hot-restart".to_owned()],
            Self::First => {
                let file = directory.join("base-id").display().to_string();
                vec!["--use-dynamic-base-id".to_owned(), "--base-id-path".to_owned(), file]
            }
            Self::Next { base_id, epoch } => {
                let (id, epoch) = (base_id.to_string(), epoch.to_string());
                vec!["--base-id".to_owned(), id, "--restart-epoch".to_owned(), epoch]
            }
        };
        arguments.extend(["--drain-time-s", "2", "--parent-shutdown-time-s", "4"].map(str::to_owned));
        arguments
    }
}

fn launch(
    binary: &Path,
    config: &EnvoyConfig,
    succession: &Succession,
    directory: &Path,
) -> std::io::Result<Child> {
    let bootstrap = directory.join("envoy.json");
    fs::write(&bootstrap, config.bootstrap(directory).to_string())?;
    if config.is_dynamic() {
        write_listeners(directory, config, None)?;
    }
    let log = File::create(directory.join("log"))?;
    Command::new(binary)
        .arg("--config-path")
        .arg(&bootstrap)
        .arg("--admin-address-path")
        .arg(directory.join("admin"))
        .args(succession.arguments(directory))
        // Envoy overlooks a misspelt field in what it loads at run time; a test must not.
        .arg("--reject-unknown-dynamic-fields")
        .args(["--service-node", "testkit", "--service-cluster", "testkit"])
        .args(config.arguments())
        .envs(config.environment())
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
}

/// Puts the listeners where a dynamic Envoy looks for them. It notices files that are moved into place.
fn write_listeners(directory: &Path, config: &EnvoyConfig, version: Option<u64>) -> std::io::Result<()> {
    let version = version.unwrap_or(0).to_string();
    let listeners = json!({"version_info": version, "resources": config.listeners()});
    let fresh = directory.join("lds.fresh.json");
    fs::write(&fresh, listeners.to_string())?;
    fs::rename(fresh, directory.join(config::LISTENERS))
}

fn log(directory: &Path) -> String {
    let bytes = fs::read(directory.join("log")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a test with the filter in Envoy needs and does not bring along; the error tells how to get it.
pub fn prerequisites() -> Result<(), String> {
    find_envoy().and(find_wasm()).map(drop)
}

/// The Envoy to test with.
pub fn find_envoy() -> Result<PathBuf, String> {
    let tools = crate::repository().join(".tools");
    find("Envoy", "ENVOY_BIN", &[tools.join("bin/envoy"), tools.join("envoy")])
}

/// The filter to test.
pub fn find_wasm() -> Result<PathBuf, String> {
    find("the filter", "PORTCULLIS_WASM", &[target().join("wasm32-wasip1/release/portcullis.wasm")])
}

/// Where Cargo puts what it builds.
pub(crate) fn target() -> PathBuf {
    let root = crate::repository();
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), |own| root.join(own))
}

fn find(what: &str, variable: &str, places: &[PathBuf]) -> Result<PathBuf, String> {
    if let Some(chosen) = std::env::var_os(variable).map(PathBuf::from) {
        let there = chosen.is_file();
        return if there {
            Ok(chosen)
        } else {
            Err(format!("{variable} names no file: {}", chosen.display()))
        };
    }
    let found = places.iter().find(|place| place.is_file()).cloned();
    found.ok_or_else(|| {
        let places: Vec<_> = places.iter().map(|place| place.display().to_string()).collect();
        format!("{what} is not at {}: run ./scripts/test.sh, or set {variable}", places.join(" nor at "))
    })
}
