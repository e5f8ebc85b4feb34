//! The Java process: how it is started, on which ports, and how it ends.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use reqwest::Url;

use crate::process::Process;

/// The file in a home with the authority to trust beside Java's own.
pub(super) const AUTHORITY: &str = "authority.pem";
/// The file in a home with the names that are found on this machine, if it finds any there.
pub(super) const HOSTS: &str = "hosts";

/// Where a Keycloak runs.
pub(super) struct Launch {
    pub(super) home: PathBuf,
    pub(super) base: Url,
    pub(super) port: u16,
    pub(super) management: u16,
}

impl Launch {
    pub(super) fn start(&self) -> io::Result<Process> {
        let log = File::options().create(true).append(true).open(self.home.join("log"))?;
        let (user, password) = super::ADMINISTRATOR;
        let child = java(&self.home)
            .args([
                "start",
                "--optimized",
                "--import-realm",
                "--cache=local",
                "--log-level=info,io.smallrye.health:warn",
            ])
            // The proxy in front of it ends TLS, and says so in x-forwarded-proto.
            .args(["--http-enabled=true", "--http-host=127.0.0.1", "--proxy-headers=xforwarded"])
            .arg(format!("--http-port={}", self.port))
            .arg(format!("--http-management-port={}", self.management))
            .arg(format!("--hostname={}", self.base.as_str().trim_end_matches('/')))
            .arg(format!("--truststore-paths={}", self.home.join(AUTHORITY).display()))
            // Calls from within the cluster may use another name; `iss` stays.
            .arg("--hostname-backchannel-dynamic=true")
            .env("KC_BOOTSTRAP_ADMIN_USERNAME", user)
            .env("KC_BOOTSTRAP_ADMIN_PASSWORD", password)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        Process::leashed(child)
    }

    /// Whether the server says of itself that it is ready.
    pub(super) async fn is_ready(&self) -> bool {
        let path = self.base.path().trim_end_matches('/');
        let health = format!("http://127.0.0.1:{}{path}/health/ready", self.management);
        let answer = crate::client::ordinary().get(health).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Java with Keycloak's class path, as `bin/kc.sh` calls it, for a small machine: one that starts soon rather than runs fast.
pub(super) fn java(home: &Path) -> Command {
    let java = std::env::var_os("JAVA_HOME").map(|java| PathBuf::from(java).join("bin/java"));
    let mut command = Command::new(java.unwrap_or_else(|| "java".into()));
    if home.join(HOSTS).is_file() {
        command.arg(format!("-Djdk.net.hosts.file={}", home.join(HOSTS).display()));
    }
    command
        .args(["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xms128m", "-Xmx512m", "-Xshare:auto"])
        .args(["java.util", "java.util.concurrent", "java.security", "java.lang"].map(|package| {
            format!("--add-opens=java.base/{package}=ALL-UNNAMED")
        }))
        .args(["-Dfile.encoding=UTF-8", "-Duser.language=en", "-Duser.country=US"])
        .arg("-Djava.util.logging.manager=org.jboss.logmanager.LogManager")
        .arg("-Djava.util.concurrent.ForkJoinPool.common.threadFactory=io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory")
        .arg("-Dpicocli.disable.closures=true")
        .arg(format!("-Dkc.home.dir={}", home.display()))
        .arg(format!("-Djboss.server.config.dir={}", home.join("conf").display()))
        .arg("-cp")
        .arg(home.join("lib/quarkus-run.jar"))
        .arg("io.quarkus.bootstrap.runner.QuarkusEntryPoint");
    command
}
