//! The benchmark: what Portcullis costs in a real Envoy, beside no filter, an empty one, and Envoy's own `jwt_authn` and `rbac`.
//!
//! ```text
//!   wrk ──> Envoy, one worker, freshly started for each round ──> upstream (a thread of this program)
//!                └──> issuer (this program): keys
//! ```
//!
//! `rows` says what is measured, `config` what the Envoys look like, `measure` how a round goes, `memory` how a VM is weighed, and
//! `report` what comes of it. `scripts/bench.sh` installs what is needed and starts this.

mod config;
mod load;
mod measure;
mod memory;
mod process;
mod profile;
mod progress;
mod report;
mod rows;
mod sessions;
mod stats;
mod tokens;
mod upstream;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use portcullis_tests::envoy::{find_envoy, find_wasm};
use portcullis_tests::{Issuer, repository};
use serde_json::json;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::config::Surroundings;
use crate::load::Load;
use crate::measure::Bench;
use crate::report::{Machine, Outcome, Report, Settings, chart, markdown};
use crate::rows::{ROWS, Row};
use crate::tokens::{Set, Store};
use crate::upstream::Upstream;

/// What `--only` calls the weighing of a VM, which is no row.
const MEMORY: &str = "memory";
/// Different tokens of a kind: 20,000 to measure with, after those of the warm-up.
const TOKENS: usize = 24_000;
/// Large tokens to fill the cache with, 8 kB each.
const LARGE: usize = 2000;
/// When a quick run begins no further round that would end later.
const QUICK: Duration = Duration::from_secs(165);

/// Measures what Portcullis costs in a real Envoy.
#[derive(Parser)]
#[command(name = "bench.sh", version)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
struct Arguments {
    /// The rows that the targets need, with short rounds: under 3 minutes.
    #[arg(long)]
    quick: bool,
    /// These rows only; `memory` is one of them.
    #[arg(long, value_name = "ROW", value_delimiter = ',')]
    only: Vec<String>,
    /// How often each row is measured [default: 5, quick: 3].
    #[arg(long)]
    rounds: Option<usize>,
    /// How long a load lasts at most [default: 5, quick: 1].
    #[arg(long)]
    seconds: Option<u64>,
    /// How many different tokens there are of each kind, those of the warm-up included.
    #[arg(long, default_value_t = TOKENS)]
    tokens: usize,
    /// Writes the medians here, too.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// One more round, in which perf tells where the time goes.
    #[arg(long)]
    profile: bool,
    /// Puts the report and the chart into filter/docs.
    #[arg(long)]
    publish: bool,
    /// Lists the rows and measures nothing.
    #[arg(long)]
    list: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.list {
        for row in ROWS {
            println!("{:<26}{}{}", row.key, row.label, if row.quick { "" } else { " (not quick)" });
        }
        println!("{MEMORY:<26}memory of a VM");
        return ExitCode::SUCCESS;
    }
    // Whichever way it ends, what was started ends with the values that hold it.
    tokio::select! {
        ended = run(&arguments) => ended.unwrap_or_else(|error| {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }),
        code = interrupted() => code,
    }
}

/// Waits for Ctrl-C or a request to end, and tells how a shell knows it.
async fn interrupted() -> ExitCode {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let begin = Instant::now();
    let (rows, weigh) = selection(arguments)?;
    let mut settings = Settings {
        rounds: arguments.rounds.unwrap_or(if arguments.quick { 3 } else { 5 }),
        seconds: arguments.seconds.unwrap_or(if arguments.quick { 1 } else { 5 }),
        tokens: arguments.tokens,
        warm_up_tokens: arguments.tokens / 6,
        connections: load::CONNECTIONS,
    };
    anyhow::ensure!(settings.rounds > 0 && settings.seconds > 0, "nothing to measure in no time");
    anyhow::ensure!(settings.warm_up_tokens >= rows::KNOWN, "too few tokens: at least {}", rows::KNOWN * 6);

    let load = Load::new()?;
    let machine = describe_machine(&load).await?;
    if machine.load_before > 0.5 {
        progress::say(&format!(
            "the machine is busy (load average {:.2}): the figures will not mean much",
            machine.load_before
        ));
    }
    let directory = target_directory().join("bench");
    let sets = token_sets(&rows, weigh, arguments, settings.tokens);
    let store = Store::open(&directory.join("tokens"), &sets)?;
    let issuer = Issuer::customers().await;
    // Its own key, for those who sign in, and those that the tokens on disk were signed with.
    let keys = [vec![issuer.jwks()["keys"][0].take()], store.keys()].concat();
    issuer.set_jwks(json!({"keys": keys}));
    let upstream = Upstream::start()?;
    let around = Surroundings { issuer: issuer.addr(), upstream: upstream.addr(), noop: find_noop()? };
    let Settings { seconds, tokens, warm_up_tokens: warm, .. } = settings;
    let sessions = directory.join("sessions.txt");
    if rows.iter().any(|row| row.setup.takes_sessions()) {
        sessions::sign_in(&around, &issuer, &sessions).await?;
    }
    let bench = Bench { around, upstream, store, sessions, load, seconds, warm, tokens };

    let memory = if weigh {
        let (rounds, large) = if arguments.quick { (1, 0) } else { (settings.rounds.min(3), LARGE) };
        match bench.memory(rounds, large).await {
            Ok(memory) => Some(memory),
            Err(error) => {
                progress::say(&format!("the memory was not measured: {error:#}"));
                None
            }
        }
    } else {
        None
    };
    let deadline = arguments.quick.then(|| begin + QUICK);
    let (mut outcomes, rounds) = measure(&bench, &rows, settings.rounds, deadline).await;
    settings.rounds = rounds;
    if arguments.profile {
        profiled(&bench, &mut outcomes, &directory).await;
    }

    let module = find_wasm().map_err(anyhow::Error::msg)?;
    let mut report = Report {
        command: command_line(arguments),
        machine,
        settings,
        module_bytes: fs::metadata(&module).with_context(|| module.display().to_string())?.len(),
        memory,
        rows: outcomes,
        targets: Vec::new(),
    };
    report.judge();
    write(&report, &directory, arguments)?;
    println!("\n{}", markdown::tables(&report));
    println!("{}", directory.join("report.md").display());

    let complete =
        report.rows.iter().all(|outcome| outcome.error.is_none()) && report.memory.is_some() == weigh;
    Ok(if complete { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The rows to measure, and whether a VM is to be weighed.
fn selection(arguments: &Arguments) -> anyhow::Result<(Vec<Row>, bool)> {
    if arguments.only.is_empty() {
        let rows = ROWS.iter().filter(|row| row.quick || !arguments.quick).copied().collect();
        return Ok((rows, true));
    }
    for name in &arguments.only {
        let known = name == MEMORY || ROWS.iter().any(|row| row.key == name);
        anyhow::ensure!(known, "there is no row {name}; --list tells what there is");
    }
    let named = |key: &str| arguments.only.iter().any(|name| name == key);
    Ok((ROWS.iter().filter(|row| named(row.key)).copied().collect(), named(MEMORY)))
}

/// The tokens that the rows need, and how many of each.
fn token_sets(rows: &[Row], weigh: bool, arguments: &Arguments, tokens: usize) -> Vec<(Set, usize)> {
    let needs = |set: Set| rows.iter().any(|row| row.set == set);
    let ordinary = [Set::Rs256, Set::Es256, Set::Ps256, Set::Forged];
    let needed = ordinary.into_iter().filter(|set| match set {
        // What fills the cache is ordinary, and what is forged is made of it.
        Set::Rs256 => weigh || needs(Set::Rs256) || needs(Set::Forged),
        set => needs(*set),
    });
    let large = (weigh && !arguments.quick).then_some((Set::Large, LARGE));
    needed.map(|set| (set, tokens)).chain(large).collect()
}

/// Round by round through all rows, so that what disturbs the machine for a while disturbs all of them. Also tells how many rounds
/// there were: fewer than asked for where the next one would not be over at the deadline.
async fn measure(
    bench: &Bench,
    rows: &[Row],
    rounds: usize,
    deadline: Option<Instant>,
) -> (Vec<Outcome>, usize) {
    let mut outcomes: Vec<Outcome> = rows.iter().copied().map(Outcome::new).collect();
    let step = progress::step("measuring", rounds * rows.len());
    let mut done = 0;
    while done < rounds {
        let begin = Instant::now();
        for outcome in &mut outcomes {
            step.now(&format!("round {} of {rounds}: {}", done + 1, outcome.row.key));
            if outcome.error.is_none() {
                match bench.round(&outcome.row, None).await {
                    Ok(round) => outcome.add(round),
                    Err(error) => {
                        step.say(&format!("{}: {error:#}", outcome.row.key));
                        outcome.fail(&error);
                    }
                }
            }
            step.count(());
        }
        done += 1;
        if deadline.is_some_and(|deadline| Instant::now() + begin.elapsed() > deadline) && done < rounds {
            step.say(&format!("no time for more than {done} of {rounds} rounds"));
            break;
        }
    }
    step.done();
    (outcomes, done)
}

/// A round in which perf looks on. It counts for nothing else: to be looked at takes time.
async fn profiled(bench: &Bench, outcomes: &mut [Outcome], directory: &Path) {
    let step = progress::step("profiling", outcomes.len());
    for outcome in outcomes.iter_mut().filter(|outcome| outcome.error.is_none()) {
        step.now(outcome.row.key);
        match bench.round(&outcome.row, Some(&directory.join("perf.data"))).await {
            Ok(round) => outcome.profile = round.profile,
            Err(error) => step.say(&format!("{}: not profiled: {error:#}", outcome.row.key)),
        }
        step.count(());
    }
    step.done();
}

fn write(report: &Report, directory: &Path, arguments: &Arguments) -> anyhow::Result<()> {
    let json = |file: &Path, value: &serde_json::Value| {
        fs::write(file, serde_json::to_string_pretty(value)? + "\n")
            .with_context(|| file.display().to_string())
    };
    json(&directory.join("report.json"), &serde_json::to_value(report)?)?;
    if let Some(file) = &arguments.json {
        json(file, &report.summary())?;
    }
    fs::write(directory.join("report.md"), markdown::whole(report, "chart.svg"))?;
    chart::draw(report, &directory.join("chart.svg"))?;
    if arguments.publish {
        let docs = repository().join("filter/docs");
        let file = docs.join("performance.md");
        let document = fs::read_to_string(&file).unwrap_or_else(|_| "# Performance\n".to_owned());
        fs::write(&file, markdown::publish(&document, &markdown::whole(report, "performance.svg")))?;
        fs::copy(directory.join("chart.svg"), docs.join("performance.svg"))?;
    }
    Ok(())
}

async fn describe_machine(load: &Load) -> anyhow::Result<Machine> {
    let (processor, cores) = process::processor()?;
    let envoy = output(Command::new(find_envoy().map_err(anyhow::Error::msg)?).arg("--version")).await?;
    // ".../envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL"
    let version = envoy.rsplit_once("version: ").and_then(|(_, version)| version.split('/').nth(1));
    let envoy = version.map_or(envoy.clone(), |version| format!("Envoy {version}"));
    let git = ["describe", "--always", "--dirty", "--exclude=*"];
    let commit = output(Command::new("git").arg("-C").arg(repository()).args(git)).await;
    Ok(Machine {
        processor,
        cores,
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        envoy,
        load_generator: load.version().await?,
        commit: commit.unwrap_or_else(|_| "unknown".to_owned()),
        load_before: process::load()?,
    })
}

async fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.kill_on_drop(true).output().await?;
    anyhow::ensure!(output.status.success(), "{command:?} failed");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The filter that does nothing.
fn find_noop() -> anyhow::Result<PathBuf> {
    let noop = target_directory().join("wasm32-wasip1/release/portcullis_noop.wasm");
    anyhow::ensure!(noop.is_file(), "{} is missing: run scripts/bench.sh", noop.display());
    Ok(noop)
}

fn target_directory() -> PathBuf {
    let own = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    repository().join(own)
}

/// The command that says what this run measured, whatever started it.
fn command_line(arguments: &Arguments) -> String {
    let mut words = vec!["./scripts/bench.sh".to_owned()];
    if arguments.quick {
        words.push("--quick".to_owned());
    }
    if !arguments.only.is_empty() {
        words.push(format!("--only {}", arguments.only.join(",")));
    }
    words.extend(arguments.rounds.map(|rounds| format!("--rounds {rounds}")));
    words.extend(arguments.seconds.map(|seconds| format!("--seconds {seconds}")));
    if arguments.profile {
        words.push("--profile".to_owned());
    }
    if arguments.tokens != TOKENS {
        words.push(format!("--tokens {}", arguments.tokens));
    }
    words.join(" ")
}
