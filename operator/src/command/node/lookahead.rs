//! `strongroom node lookahead`

use clap::Args;
use serde::Serialize;
use strongroom_policy::NodeName;
use strongroom_proto::strongroom::v1::NodeLookaheadRequest;

use crate::answer::Answer;
use crate::cli::Global;
use crate::daemon::connect;
use crate::failure::Failure;
use crate::wording::{number, plain};

const AFTER: &str = "\
The signer recognises an address of lnd's wallet as its own by deriving it: the
first 1,000 after the last one in use at once, the first 20,000 when it must.
An imported wallet may be further, and so may one that was asked for many
addresses that nobody paid; then its own change and closes are refused as
payments to strangers. lnd says how far it is (external_key_count, and
internal_key_count for --change):

  lncli wallet accounts list
  strongroom node lookahead alice --account 86 --index 25000
  strongroom node lookahead alice --account 84 --change --index 4200

It gives no right to pay anybody: every such address is made of the node's own
keys. A far index takes the daemon some seconds, again at each start. It is
written into the journal.";

/// Recognise a wallet's own addresses further on.
#[derive(Args)]
#[command(after_long_help = AFTER)]
pub struct Lookahead {
    /// The node.
    node: NodeName,
    /// Account of lnd's wallet: 49 nested, 84 native SegWit, 86 taproot.
    #[arg(long, value_parser = ["49", "84", "86"])]
    account: String,
    /// Addresses for change rather than those given out.
    #[arg(long)]
    change: bool,
    /// The highest index in use.
    #[arg(long, value_name = "N")]
    index: u32,
}

#[derive(Serialize)]
struct Moved {
    node: String,
    account: u32,
    change: bool,
    index: u32,
}

impl Lookahead {
    /// Does it.
    pub async fn run(self, global: &Global) -> Result<(), Failure> {
        let account = self.account.parse().unwrap_or_default();
        let (name, change, index) = (String::from(self.node), self.change, self.index);
        let request = NodeLookaheadRequest { name: name.clone(), account, change, index };
        connect(&global.socket).await?.node_lookahead(request).await?;
        Moved { node: name, account, change, index }.give(global.json)
    }
}

impl Answer for Moved {
    fn words(&self) -> String {
        format!(
            "addresses of {} are recognised up to index {} of m/{}'/0'/0'/{}, and the lookahead beyond; what was refused, \
             lnd asks for again once it is started again",
            plain(&self.node),
            number(self.index.into()),
            self.account,
            u32::from(self.change),
        )
    }
}
