//! `strongroom node add`

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use strongroom_policy::NodeName;
use strongroom_proto::strongroom::v1::node_add_request::Seed;
use strongroom_proto::strongroom::v1::{Aezeed, Generate, NodeAddRequest};
use zeroize::Zeroizing;

use super::files::Folder;
use crate::answer::Answer;
use crate::cli::Global;
use crate::command::macaroon::life::expires_in;
use crate::daemon::connect;
use crate::failure::{Exit, Failure};
use crate::secret::{self, Secret};
use crate::terminal::Terminal;

const AFTER: &str = "\
Without an import the appliance makes the seed, and nobody need ever see it.
An imported seed was known elsewhere and is marked imported-hot for ever.
Channels that an imported node has open only close: what they hold of ours is
not known here. Close them before the import if you can.

  strongroom node add alice --out ./alice

Show the 24 words of the new seed once, for a backup on paper:
  strongroom node add alice --out ./alice --reveal-words

Ask for an existing lnd's 24 words and their passphrase:
  strongroom node add bob --out ./bob --import-aezeed

Read an extended private key without a trace in the shell's history:
  strongroom node add bob --out ./bob --import-xprv \\
      --seed-fd 3 3< <(gpg -d xprv.gpg) --yes";

/// What an operator has to know before a node with open channels is imported.
const IMPORTED: &str = "\
channels that this node has open will neither pay nor go on: the signer has not seen them. They close by force, or by
agreement once you said what is yours in each (strongroom channel allow-close). To close them first is cheaper.
lnd takes the watch-only accounts over with remotesigner.migrate-wallet-to-watch-only=true in its lnd.conf; stop it before,
and never let it run on the old keys again.
";

/// Add an lnd node: a new seed, or an imported one.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Add {
    /// Name of the node: 1 to 32 of a-z, 0-9 and '-'.
    name: NodeName,
    /// Folder for accounts.json, tls.cert and signer.macaroon; made if it does not exist.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Import the seed of an existing lnd: its 24 words.
    #[arg(long, conflicts_with = "import_xprv")]
    import_aezeed: bool,
    /// Import an extended private key (xprv or tprv).
    #[arg(long)]
    import_xprv: bool,
    /// Read the words or the key to import from this file descriptor instead of asking.
    #[arg(long, value_name = "N")]
    seed_fd: Option<u32>,
    /// Read the passphrase of the words from this file descriptor; with --seed-fd and without this it is empty.
    #[arg(long, value_name = "N", conflicts_with = "import_xprv")]
    passphrase_fd: Option<u32>,
    /// Show the 24 words of the new seed on the terminal, once.
    #[arg(long, conflicts_with_all = ["import_aezeed", "import_xprv", "words_fd"])]
    reveal_words: bool,
    /// Write the 24 words of the new seed to this file descriptor.
    #[arg(long, value_name = "N", conflicts_with_all = ["import_aezeed", "import_xprv"])]
    words_fd: Option<u32>,
    /// Import without asking: open channels of the node will only close.
    #[arg(long)]
    yes: bool,
    /// Let the macaroon expire, as 90d or 12h.
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    macaroon_expires_in: Option<Duration>,
    /// Make the macaroon good for requests from this IP address only.
    #[arg(long, value_name = "IP")]
    macaroon_address: Option<std::net::IpAddr>,
}

/// Where the words of a new seed go.
enum Words {
    Nowhere,
    Screen(Terminal),
    File(File),
}

impl Add {
    /// Does it. What can fail here fails before the daemon is asked: a node cannot be added twice.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        if self.seed_fd.is_some() && !self.import_aezeed && !self.import_xprv {
            return Err(Failure::new(Exit::Usage, "--seed-fd is for an import")
                .hint("say which: --import-aezeed or --import-xprv"));
        }
        self.confirm()?;
        let mut daemon = connect(&global.socket).await?;
        let folder = Folder::prepare(&self.out)?;
        let mut words = self.words()?;
        let request = NodeAddRequest {
            name: self.name.to_string(),
            seed: Some(self.seed(&words)?),
            macaroon_expires_in: expires_in(self.macaroon_expires_in)?,
            macaroon_address: self.macaroon_address.map_or_else(String::new, |ip| ip.to_string()),
        };
        let mut export = daemon.node_add(request).await?.into_inner();
        let made: Secret = Zeroizing::new(std::mem::take(&mut export.words));
        let shown = words.give(&made);
        let written = folder.write(export).map_err(|failure| {
            failure
                .hint(format!("the node was added: strongroom node export {} and macaroon mint", self.name))
        });
        // Both were tried, whatever became of the other.
        shown?;
        written?.give(global.json)
    }

    /// Says what follows from an import, and asks.
    fn confirm(&self) -> Result<(), Failure> {
        if self.yes || !self.import_aezeed && !self.import_xprv {
            return Ok(());
        }
        let mut terminal =
            Terminal::open("an import asks first: open channels of the node will only close; --yes says so")?;
        terminal.write(IMPORTED)?;
        if terminal.ask("type yes to go on: ")? != "yes" {
            return Err(Failure::new(Exit::Failed, "nothing was done").hint("the answer was not yes"));
        }
        Ok(())
    }

    fn words(&self) -> Result<Words, Failure> {
        if let Some(fd) = self.words_fd {
            return Ok(Words::File(secret::fd_to_write(fd, "--words-fd")?));
        }
        if !self.reveal_words {
            return Ok(Words::Nowhere);
        }
        let mut terminal = Terminal::open("without one, take the words by --words-fd N")?;
        let question = "the new seed's 24 words will be shown on this terminal once; who sees them can take everything\n\
                        type yes to go on: ";
        if terminal.ask(question)? != "yes" {
            return Err(Failure::new(Exit::Failed, "nothing was done").hint("the answer was not yes"));
        }
        Ok(Words::Screen(terminal))
    }

    fn seed(&self, words: &Words) -> Result<Seed, Failure> {
        if self.import_xprv {
            let mut key = secret::read_some("extended private key", self.seed_fd, "--seed-fd")?;
            return Ok(Seed::ExtendedPrivateKey(std::mem::take(&mut *key)));
        }
        if self.import_aezeed {
            let mut words = secret::read_some("24 words of the seed", self.seed_fd, "--seed-fd")?;
            let given = words.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
            if given != 24 {
                return Err(Failure::new(Exit::Usage, format!("{given} words; an lnd seed has 24")));
            }
            let mut passphrase = self.passphrase(self.seed_fd.is_none())?;
            let (words, passphrase) = (std::mem::take(&mut *words), std::mem::take(&mut *passphrase));
            return Ok(Seed::Aezeed(Aezeed { words, passphrase }));
        }
        let mut passphrase = self.passphrase(matches!(words, Words::Screen(_)))?;
        let reveal_words = !matches!(words, Words::Nowhere);
        Ok(Seed::Generate(Generate { reveal_words, passphrase: std::mem::take(&mut *passphrase) }))
    }

    /// The passphrase of the words: given, asked for, or empty.
    fn passphrase(&self, ask: bool) -> Result<Secret, Failure> {
        if self.passphrase_fd.is_none() && !ask {
            return Ok(Secret::default());
        }
        secret::read("passphrase of the words (empty for none): ", self.passphrase_fd, "--passphrase-fd")
    }
}

impl Words {
    /// Hands the words over.
    fn give(&mut self, words: &[u8]) -> Result<(), Failure> {
        match self {
            Self::Nowhere => Ok(()),
            _ if words.is_empty() => Err(Failure::new(Exit::Refused, "the daemon sent no words")),
            Self::File(file) => secret::write(file, words),
            Self::Screen(terminal) => {
                // Numbered, six a line: made to be copied by hand and read back.
                let mut text = Zeroizing::new(String::with_capacity(1024));
                for (at, word) in
                    words.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).enumerate()
                {
                    let word = str::from_utf8(word).unwrap_or("?");
                    text.push_str(if at % 6 == 0 { "\n" } else { "  " });
                    for part in [if at < 9 { " " } else { "" }, &(at + 1).to_string(), " ", word] {
                        text.push_str(part);
                    }
                    (word.len()..8).for_each(|_| text.push(' '));
                }
                terminal.clear()?;
                terminal.write(&text)?;
                terminal.ask("\n\npress Enter when they are written down; the screen is cleared then ")?;
                terminal.clear()
            }
        }
    }
}
