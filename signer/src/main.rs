//! strongroomd: the daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Requests are taken apart on one thread and answered on another, so memory is freed where it did not come from.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Strongroom's daemon: a validating remote signer for lnd, with keys under a PKCS#11 token.
///
/// It listens for lnd on `lnd.listen` (TLS, macaroon) and for `strongroom`, the operator's command, on the Unix socket
/// `operator.socket`. It starts sealed unless `appliance.pin` names a systemd credential or an inherited descriptor.
#[derive(Parser)]
#[command(
    name = "strongroomd",
    version,
    after_help = "\
Examples:
  strongroomd --config /etc/strongroom/strongroom.toml
  strongroomd --config /etc/strongroom/strongroom.toml --check    check configuration and policy, then leave

Logs go to standard error; STRONGROOM_LOG sets their level (error, warn, info, debug), --log-json their form.
Exit status: 0 stopped in good order, 1 a fault, 2 a configuration or policy that it does not start with."
)]
struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check configuration and policy, then leave.
    #[arg(long)]
    check: bool,
    /// Write logs as JSON, one object a line.
    #[arg(long)]
    log_json: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match strongroom_signer::daemon::run(&args.config, args.check, args.log_json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("strongroomd: {e}");
            ExitCode::from(if e.is_configuration() { 2 } else { 1 })
        }
    }
}
