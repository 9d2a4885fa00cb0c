//! What lnd would ask for if it did what its user wants: the cases that the rules can be asked about before lnd begins.
//!
//! A case holds what is certain beforehand, or taken from the books. What is not known yet stands in it at the value that
//! refuses least, and is named as unchecked: an answer beforehand must not turn down what the signer would sign.

mod close;
mod forward;
mod payment;
#[cfg(test)]
mod tests;
mod wallet;

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, OutPoint, Script, ScriptBuf, Sequence, Txid, Weight};
use strongroom_policy::case::{Destination, Evidence, InputFact, OutputFact, Spend, SpendAsk};
use strongroom_policy::{ChannelUpdate, NodeId};

use crate::accounts::Accounts;
use crate::books::Terms;
use crate::channels::Channels;

/// What lnd's user wants.
#[derive(Clone, Debug)]
pub enum Intent {
    /// To pay over channels.
    Payment(Payment),
    /// To pay from the wallet.
    Wallet(WalletPayment),
    /// To open channels with one transaction.
    Open(Opening),
    /// To close a channel.
    Close(Closing),
    /// To offer an HTLC further that came in.
    Forward(Forwarding),
}

impl Intent {
    /// Scripts that the user named, which may be our wallet's.
    pub fn scripts(&self) -> Vec<&Script> {
        match self {
            Intent::Payment(_) | Intent::Forward(_) => Vec::new(),
            Intent::Wallet(payment) => payment.outputs.iter().map(|(script, _)| &**script).collect(),
            Intent::Open(opening) => opening.channels.iter().filter_map(|c| c.close_to.as_deref()).collect(),
            Intent::Close(closing) => closing.to.as_deref().into_iter().collect(),
        }
    }
}

/// A payment over channels.
#[derive(Clone, Copy, Debug)]
pub struct Payment {
    /// SHA256 of the preimage; `None` where lnd makes it itself (AMP).
    pub hash: Option<[u8; 32]>,
    /// What the payee gets, msat.
    pub amount_msat: u64,
    /// Most for routing on top, msat.
    pub max_fee_msat: u64,
    /// Most in one HTLC, msat; lnd splits only where it must.
    pub max_part_msat: Option<u64>,
}

/// An HTLC that goes on.
#[derive(Clone, Debug)]
pub struct Forwarding {
    /// It.
    pub htlc: OutgoingHtlc,
    /// Others that lnd was let go on with a moment ago, and may not have asked for yet.
    pub beside: Vec<OutgoingHtlc>,
}

/// An HTLC that lnd is about to offer.
#[derive(Clone, Copy, Debug)]
pub struct OutgoingHtlc {
    /// SHA256 of the preimage.
    pub hash: [u8; 32],
    /// What it holds, msat.
    pub amount_msat: u64,
    /// Block height of its timeout.
    pub expiry: u32,
}

/// A payment from the wallet.
#[derive(Clone, Debug)]
pub struct WalletPayment {
    /// Destinations and amounts.
    pub outputs: Vec<(ScriptBuf, Amount)>,
    /// Satoshis for 1,000 weight units, if the user set it.
    pub fee_rate: Option<u64>,
    /// The whole wallet goes to the first destination, whose amount is not known.
    pub all: bool,
}

/// Channels opened with one transaction.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Each channel's.
    pub channels: Vec<NewChannel>,
    /// Satoshis for 1,000 weight units, if the user set it.
    pub fee_rate: Option<u64>,
    /// Somebody else makes the funding transaction, or the user does, from a PSBT.
    pub funded_elsewhere: bool,
}

/// A channel to be opened by us.
#[derive(Clone, Debug)]
pub struct NewChannel {
    /// Its capacity; `None` for as much as the wallet has.
    pub capacity: Option<Amount>,
    /// Given to the peer at the opening.
    pub push: Amount,
    /// The peer, if it is known.
    pub peer: Option<NodeId>,
    /// Where a close by agreement will pay us, if that is agreed at the opening.
    pub close_to: Option<ScriptBuf>,
}

/// The close of a channel.
#[derive(Clone, Debug)]
pub struct Closing {
    /// Its funding outpoint.
    pub channel: OutPoint,
    /// By publishing our own commitment.
    pub force: bool,
    /// Where our balance goes; `None` for lnd's wallet, or what was agreed at the opening.
    pub to: Option<ScriptBuf>,
    /// Satoshis for 1,000 weight units, if the user set it.
    pub fee_rate: Option<u64>,
}

/// A request that lnd would make.
#[derive(Clone, Debug)]
pub struct Foreseen {
    /// As far as it is known. Nothing is signed in it, so rules about keys have nothing to say.
    pub ask: SpendAsk,
    /// What the commitment changes, where it is one of a payment.
    pub update: Option<ChannelUpdate>,
    /// Reservations that lnd will have made by then.
    pub reservations: u32,
    /// What our wallet will have paid into the new channel.
    pub funded_by_us: Amount,
}

/// What lnd would ask for.
#[derive(Clone, Debug, Default)]
pub struct Foresight {
    /// This at least.
    pub certain: Vec<Foreseen>,
    /// This when a channel that is to be opened is closed one day: of it only where our balance goes is known.
    pub at_its_end: Vec<Foreseen>,
    /// This if it comes to the worst, and when that is.
    pub possible: Vec<(String, Foreseen)>,
    /// What is not known beforehand.
    pub unchecked: Vec<String>,
}

impl Channels {
    /// What lnd would ask for to do this. Reads only: neither books nor lookahead move.
    pub fn foresee(&self, intent: &Intent, accounts: &Accounts, terms: Terms) -> Foresight {
        let mut foresight = match intent {
            Intent::Payment(payment) => self.foresee_payment(payment, terms),
            Intent::Wallet(payment) => self.foresee_wallet(payment, accounts),
            Intent::Open(opening) => wallet::foresee_opening(opening, accounts),
            Intent::Close(closing) => self.foresee_close(closing, accounts, terms),
            Intent::Forward(forwarding) => self.foresee_forward(forwarding, terms),
        };
        foresight
            .unchecked
            .push("VLS's rules on commitments and closes, which need the transaction".to_owned());
        foresight
    }
}

impl Foreseen {
    /// A transaction with one input, whose amount is `spent`, and these outputs.
    fn new(
        spend: Spend,
        outpoint: OutPoint,
        spent: Amount,
        outputs: Vec<OutputFact>,
        weight: Weight,
    ) -> Self {
        let input = InputFact {
            outpoint,
            amount: spent,
            script_pubkey: ScriptBuf::new(),
            sequence: Sequence::MAX.0,
            evidence: Evidence::PreviousTransaction,
        };
        let claimed = if matches!(spend, Spend::MutualClose { .. }) { spent } else { Amount::ZERO };
        let ask = SpendAsk {
            txid: Txid::all_zeros(),
            claimed,
            spend,
            signed: Vec::new(),
            inputs: vec![input],
            outputs,
            weight,
        };
        Self { ask, update: None, reservations: 0, funded_by_us: Amount::ZERO }
    }
}

fn output(amount: Amount, script_pubkey: ScriptBuf, to: Destination) -> OutputFact {
    OutputFact { amount, script_pubkey, to }
}

/// Whose a destination is by derivation alone.
fn owner(accounts: &Accounts, script: &Script) -> Destination {
    match accounts.peek_script(script) {
        Some(path) => Destination::OwnWallet(path),
        None if script.is_op_return() => Destination::Unspendable,
        None => Destination::Stranger,
    }
}

/// A 2-of-2 whose keys nobody knows yet.
fn some_funding_script() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::all_zeros())
}

/// A place for what pays the wallet at an address that lnd has yet to choose.
fn own_wallet() -> (ScriptBuf, Destination) {
    let script = ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::all_zeros());
    let path = strongroom_policy::WalletPath { purpose: 84, branch: 1, index: 0 };
    (script, Destination::OwnWallet(path))
}

/// The peer's balance; its script is the peer's choice.
fn peers(amount: Amount) -> OutputFact {
    output(amount, ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::all_zeros()), Destination::Stranger)
}

/// What the fee of so much weight comes to, sat.
fn fee(rate: Option<u64>, weight: Weight) -> Amount {
    let sat = u128::from(rate.unwrap_or(0)) * u128::from(weight.to_wu()) / 1_000;
    Amount::from_sat(u64::try_from(sat).unwrap_or(u64::MAX)).min(Amount::MAX_MONEY)
}

fn plus(a: Amount, b: Amount) -> Amount {
    a.checked_add(b).unwrap_or(Amount::MAX_MONEY)
}

fn minus(a: Amount, b: Amount) -> Amount {
    a.checked_sub(b).unwrap_or(Amount::ZERO)
}

const FEE_UNKNOWN: &str = "the fee, which lnd has yet to estimate";
