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
use clap::error::ErrorKind;

use cli::Cli;
use failure::{Exit, Failure};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let json = cli.global.json;
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report(json);
            ExitCode::from(failure.exit as u8)
        }
    }
}

/// Help asked for, or wrong usage in this program's own voice.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // As with any other output: a reader that went away is no failure.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return ExitCode::from(Exit::Usage as u8);
    }
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
    let json = std::env::args_os().any(|argument| argument == "--json");
    Failure::new(Exit::Usage, text).report(json);
    ExitCode::from(Exit::Usage as u8)
}

fn run(cli: Cli) -> Result<(), Failure> {
    // PINs and seed words pass through this process: no core file, no debugger.
    secmem_proc::harden_process().map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot forbid core files to this process: {error}"))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot start: {error}")))?;
    runtime.block_on(cli.command.run(&cli.global))
}
