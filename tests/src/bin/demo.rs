//! The demonstration: a tour of what Portcullis admits and refuses, in a real Envoy, that a person can read and repeat.

#[path = "demo/by_hand.rs"]
mod by_hand;
#[path = "demo/expectation.rs"]
mod expectation;
#[path = "demo/portal.rs"]
mod portal;
#[path = "demo/provider.rs"]
mod provider;
#[path = "demo/screen.rs"]
mod screen;
#[path = "demo/step.rs"]
mod step;
#[path = "demo/tour.rs"]
mod tour;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

/// Portcullis between issuers and an application.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Starts two issuers, Keycloak or its stand-in, an application and Envoy, and walks through requests that pass and requests that do not,
    /// and through the logins of browsers.
    ///
    /// Exits with 0 only if every step went as told.
    Tour {
        /// Leaves everything running after the tour, until Ctrl-C.
        #[arg(long)]
        keep: bool,
        /// Two real Keycloaks in place of the stand-ins. They take a minute to start.
        #[arg(long)]
        keycloak: bool,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Tour { keep, keycloak } = Arguments::parse().command;
    // Whichever way it ends, what was started ends with the values that hold it.
    let (code, tour) = tokio::select! {
        ended = tour::run(keycloak) => ended,
        code = interrupted() => return code,
    };
    if let Some(tour) = tour.filter(|_| keep) {
        tokio::select! {
            () = tour.keep() => {}
            _ = interrupted() => {}
        }
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
