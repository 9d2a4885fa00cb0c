//! `softhsm-setup DIR`: a development token in one step.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use clap::Parser;
use softhsm_setup::{DevToken, Layout, SetupError, create_here, find_module, repair};
use strongroom_hsm::PinSource;

/// Makes a development SoftHSM token in one step. Keys lie in files: never for production.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Directory for softhsm2.conf, the token and its PIN files; must hold none yet.
    dir: PathBuf,
    /// The token's label, 1 to 32 bytes.
    #[arg(long, default_value = "strongroom-dev")]
    label: String,
    /// SoftHSM's module, if it is not in a usual place.
    #[arg(long, value_name = "PATH")]
    module: Option<PathBuf>,
    /// Read the user PIN from this file descriptor instead of generating one into DIR/pin.
    #[arg(long, value_name = "FD")]
    pin_fd: Option<i32>,
    /// Read the security officer's PIN from this file descriptor instead of generating one.
    #[arg(long, value_name = "FD")]
    so_pin_fd: Option<i32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Restore the token's head file after SoftHSM was killed while writing it, and stop.
    #[arg(long, conflicts_with_all = ["label", "module", "pin_fd", "so_pin_fd", "json"])]
    repair: bool,
    /// Set when this program starts itself again.
    #[arg(long, hide = true)]
    prepared: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("softhsm-setup: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), SetupError> {
    if arguments.repair {
        let restored = repair(&arguments.dir)?;
        return print(&format!("{restored} token(s) restored\n"));
    }
    let layout = Layout::new(&arguments.dir)?;
    if !arguments.prepared {
        // Before anything is written: without SoftHSM nothing must be left behind.
        find_module(arguments.module.as_deref())?;
        layout.prepare()?;
        // SoftHSM looks at its environment when it is loaded: begin again, with it set.
        let program = std::env::current_exe().map_err(|source| io("softhsm-setup", source))?;
        let error = Command::new(&program)
            .args(std::env::args_os().skip(1))
            .arg("--prepared")
            .env("SOFTHSM2_CONF", layout.conf())
            .exec();
        return Err(SetupError::Io { path: program, source: error });
    }
    let pin = arguments.pin_fd.map(PinSource::Fd);
    let so_pin = arguments.so_pin_fd.map(PinSource::Fd);
    let module = arguments.module.as_deref();
    let token = create_here(&layout, &arguments.label, module, pin.as_ref(), so_pin.as_ref())?;
    print(&if arguments.json { json(&token)? } else { words(&token) })
}

fn json(token: &DevToken) -> Result<String, SetupError> {
    let json = serde_json::to_string_pretty(token);
    json.map(|text| text + "\n").map_err(|error| io("JSON", error.into()))
}

fn words(token: &DevToken) -> String {
    let mut text = format!("token:  {}\n", token.uri);
    for (what, file) in [("PIN", &token.pin_file), ("SO PIN", &token.so_pin_file)] {
        if let Some(file) = file {
            text += &format!("{what} in: {}\n", file.display());
        }
    }
    text + &format!("export SOFTHSM2_CONF={:?}\n", token.conf)
}

fn print(text: &str) -> Result<(), SetupError> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|source| io("standard output", source))
}

fn io(what: &str, source: std::io::Error) -> SetupError {
    SetupError::Io { path: what.into(), source }
}
