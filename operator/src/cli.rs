//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::command::{self, chain, channel, journal, macaroon, node, payments, policy};
use crate::daemon::SOCKET;
use crate::failure::Failure;

const AFTER: &str = "\
First use:
  strongroom policy init --profile cautious --network regtest \\
      --out /etc/strongroom/policy.toml
  systemctl start strongroomd
  strongroom init                   keys on the token; note the audit key
  strongroom node add alice --out ./alice     what lnd needs, and what to do
  strongroom status

Every day:
  strongroom unseal                 after a restart, or when the token was gone
  strongroom channels               balances, HTLCs and what is at risk
  strongroom payments authorize alice --invoice lnbc…
  strongroom journal tail --follow  what is being decided
  strongroom journal export day.jsonl
  strongroom journal verify day.jsonl --key p256:02…

Exit codes:
  0  done
  1  failed here: a file, a prompt
  2  wrong usage
  3  the daemon cannot be reached
  4  the daemon refused
  5  what was checked is not right: policy check, journal verify

PINs, seed words and passphrases are asked for without echo, or read from a
file descriptor (--pin-fd 3 3< FILE). They are never taken from arguments or
the environment.";

/// Heading of the options that every command has.
const EVERYWHERE: &str = "Options of every command";

/// Operates Strongroom, the HSM-backed signer behind lnd.
#[derive(Parser)]
#[command(name = "strongroom", version, after_long_help = AFTER, after_help = "See --help for examples and exit codes.")]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Args)]
pub struct Global {
    /// Socket of the daemon.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "STRONGROOM_SOCKET",
        hide_env_values = true,
        default_value = SOCKET,
        help_heading = EVERYWHERE
    )]
    pub socket: PathBuf,
    /// Answer, and fail, in JSON with stable field names.
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub json: bool,
}

/// The commands, each in a file of its name.
#[derive(Subcommand)]
pub enum Command {
    /// Make the keys on the token and the journal, once per appliance.
    Init(command::init::Init),
    /// Add and list lnd nodes, and recognise their addresses.
    #[command(subcommand)]
    Node(node::Node),
    /// Mint, list and revoke macaroons.
    #[command(subcommand)]
    Macaroon(macaroon::Macaroon),
    /// Open the token and every node's seed.
    Unseal(command::unseal::Unseal),
    /// Wipe every secret from the daemon's memory; requests are refused until it is unsealed.
    Seal(command::seal::Seal),
    /// State of keys, nodes, limits, policy, journal, chain and token.
    Status(command::status::Status),
    /// Channels by the signer's own books.
    Channels(command::channels::Channels),
    /// Look at one channel, and say what its close must pay.
    #[command(subcommand)]
    Channel(channel::Channel),
    /// Authorise and list Lightning payments.
    #[command(subcommand)]
    Payments(payments::Payments),
    /// Write, check and show policies.
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Decide about the chain that is followed.
    #[command(subcommand)]
    Chain(chain::Chain),
    /// Read, export and verify the journal.
    #[command(subcommand)]
    Journal(journal::Journal),
    /// Versions of this program and of the daemon.
    Version(command::version::Version),
}

impl Command {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        match self {
            Self::Init(command) => command.run(global).await,
            Self::Node(command) => command.run(global).await,
            Self::Macaroon(command) => command.run(global).await,
            Self::Unseal(command) => command.run(global).await,
            Self::Seal(command) => command.run(global).await,
            Self::Status(command) => command.run(global).await,
            Self::Channels(command) => command.run(global).await,
            Self::Channel(command) => command.run(global).await,
            Self::Payments(command) => command.run(global).await,
            Self::Policy(command) => command.run(global).await,
            Self::Chain(command) => command.run(global).await,
            Self::Journal(command) => command.run(global).await,
            Self::Version(command) => command.run(global).await,
        }
    }
}
