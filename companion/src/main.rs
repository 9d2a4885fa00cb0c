//! strongroom-companion: beside lnd, turns down what the signer would refuse before lnd begins it.
//!
//! It holds no keys and enforces nothing: what it misses, or whoever goes around it, meets the signer.

mod ask;
mod config;
mod door;
mod forwards;
mod lnd;
mod question;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use ask::Signer;
use config::Config;

/// Beside lnd: turns down before lnd begins what Strongroom would refuse to sign.
///
/// It registers with lnd's RPC middleware and looks at payments, sends, opens and closes before lnd acts. Each is held
/// against the signer's rules by asking the signer (strongroom.v1.Preflight); what would be refused goes back to the caller
/// in the signer's words, with nothing begun: no HTLC sent, no channel stuck. The signer stays the one that enforces.
#[derive(Parser)]
#[command(
    name = "strongroom-companion",
    version,
    after_long_help = "\
What it needs:
  lnd.conf      rpcmiddleware.enable=true
  from lnd      a macaroon for one call, and lnd's tls.cert:
                lncli bakemacaroon --save_to companion-lnd.macaroon \\
                    uri:/lnrpc.Lightning/RegisterRPCMiddleware
                and, for intercept_forwards, in the same macaroon:
                    uri:/routerrpc.Router/HtlcInterceptor
  from signer   a macaroon that may ask and sign nothing, and tls.cert:
                strongroom macaroon mint alice --client companion \\
                    --out companion-signer.macaroon

The configuration, complete:
  [lnd]
  address = \"127.0.0.1:10009\"
  tls_cert = \"/etc/strongroom-companion/lnd-tls.cert\"
  macaroon = \"/etc/strongroom-companion/lnd.macaroon\"
  intercept_forwards = false       # or true: see below

  [signer]
  address = \"strongroom.internal:10019\"
  tls_cert = \"/etc/strongroom-companion/signer-tls.cert\"
  macaroon = \"/etc/strongroom-companion/signer.macaroon\"
  when_unreachable = \"refuse\"    # or \"pass\": lnd begins, the signer decides

intercept_forwards = true has lnd hold each forward until the signer was asked.
One that it would refuse is failed (TEMPORARY_CHANNEL_FAILURE), and the link it
would have taken stays up. Without an answer within a second it goes on, and the
signer decides. Mind two things: it needs a right to write (of offchain:write
this one call), with which one can fail, alter and settle forwards; and lnd has
one interceptor, so no other program of yours can be it at the same time.

If it ends, lnd goes on without it and the signer alone decides. To have lnd
refuse all calls then (channels and forwards go on), add to lnd.conf:
  rpcmiddleware.addmandatory=strongroom-companion

Logs go to standard error; STRONGROOM_LOG sets their level.
Exit status: 0 stopped in good order, 1 a fault, 2 a configuration that it
does not start with."
)]
struct Args {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration and the files it names, then leave.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let config = match Config::read(&args.config) {
        Ok(config) => config,
        Err(e) => return ended(2, &e),
    };
    if args.check {
        return ExitCode::SUCCESS;
    }
    // Macaroons pass through this process: no core file, no debugger.
    if let Err(e) = secmem_proc::harden_process() {
        return ended(1, &format!("cannot forbid core files to this process: {e}"));
    }
    logs();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(e) => return ended(1, &e),
    };
    runtime.block_on(async {
        let signer = Signer::new(&config);
        tokio::select! {
            () = lnd::accompany(&config, &signer) => {}
            () = forwards::hold(&config, &signer), if config.intercept_forwards => {}
            outcome = stopped() => {
                if let Err(e) = outcome {
                    return ended(1, &format!("signals cannot be watched: {e}"));
                }
            }
        }
        let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
        ExitCode::SUCCESS
    })
}

fn ended(status: u8, because: &impl std::fmt::Display) -> ExitCode {
    eprintln!("strongroom-companion: {because}");
    ExitCode::from(status)
}

fn logs() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STRONGROOM_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .init();
}

async fn stopped() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
    Ok(())
}
