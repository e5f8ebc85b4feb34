//! The demonstration: a tour of what Portcullis admits and refuses, in a real Envoy, that a person can read and repeat.

#[path = "demo/screen.rs"]
mod screen;
#[path = "demo/step.rs"]
mod step;
#[path = "demo/tour.rs"]
mod tour;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Portcullis between an issuer and an application, both of its own.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts two issuers, an application and Envoy, and walks through requests that pass and requests that do not.
    ///
    /// Exits with 0 only if every step went as told.
    Tour {
        /// Leaves everything running after the tour, until Ctrl-C.
        #[arg(long)]
        keep: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Tour { keep } = Arguments::parse().command;
    // Whichever way it ends, what was started ends with the values that hold it.
    let (code, tour) = tokio::select! {
        ended = tour::run() => ended,
        code = interrupted() => return code,
    };
    if let Some(tour) = tour.filter(|_| keep) {
        tour.keep();
        interrupted().await;
    }
    code
}

/// Waits for Ctrl-C or a request to end, and tells how a shell knows it.
async fn interrupted() -> ExitCode {
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be heard");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
        _ = terminate.recv() => ExitCode::from(143),
    }
}
