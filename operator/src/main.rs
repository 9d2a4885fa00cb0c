//! The CLI `strongroom`: asks the daemon, and verifies offline. It never signs.

mod answer;
mod cli;
mod command;
mod daemon;
mod failure;
mod new_file;
mod secret;
mod terminal;
mod wording;

use std::process::ExitCode;

use clap::Parser;

use cli::Cli;
use failure::{Exit, Failure};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(json);
            ExitCode::from(failure.exit as u8)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    // PINs and seed words pass through this process: no core file, no debugger.
    secmem_proc::harden_process().map_err(|error| {
        Failure::new(
            Exit::Failed,
            format!("cannot forbid core files to this process: {error}"),
        )
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    runtime.block_on(cli.command.run(&cli.global))
}
