//! How rules speak of a spend and its outputs.

use bitcoin::Address;

use crate::case::{Destination, OutputFact, Spend, SpendAsk, SweepOf};
use crate::policy::Policy;

/// The kind of a spend, in words.
pub(crate) fn kind(spend: &Spend) -> &'static str {
    match spend {
        Spend::Onchain => "a wallet spend",
        Spend::CounterpartyCommitment { .. } => "the peer's commitment",
        Spend::HolderCommitment { .. } => "our own commitment",
        Spend::CounterpartyHtlc { .. } => "the peer's HTLC transaction",
        Spend::HolderHtlc { .. } => "our own HTLC transaction",
        Spend::MutualClose { .. } => "a mutual close",
        Spend::Sweep(SweepOf::Delayed) => "a sweep of a delayed output",
        Spend::Sweep(SweepOf::ToRemote) => "a sweep of our output on the peer's commitment",
        Spend::Sweep(SweepOf::CounterpartyHtlc) => "a sweep of an HTLC on the peer's commitment",
        Spend::Sweep(SweepOf::Anchor) => "a sweep of an anchor",
        Spend::Justice => "a justice transaction",
        Spend::Unknown { .. } => "an unknown transaction",
    }
}

/// Where an output goes: its address, else its script.
pub(crate) fn payee(policy: &Policy, output: &OutputFact) -> String {
    let address = policy
        .network()
        .address_network()
        .and_then(|network| Address::from_script(&output.script_pubkey, network).ok());
    match address {
        Some(address) => address.to_string(),
        None => {
            let hex = output.script_pubkey.to_hex_string();
            format!("script {}", hex.get(..80).map_or(hex.clone(), |start| format!("{start}…")))
        }
    }
}

/// The destinations of a spend that may be strangers, at most three by name.
pub(crate) fn payees(policy: &Policy, ask: &SpendAsk) -> String {
    let strangers: Vec<&OutputFact> = ask
        .outputs
        .iter()
        .filter(|output| !matches!(output.to, Destination::OwnWallet(_)))
        .filter(|output| policy.allowed.label(&output.script_pubkey).is_none())
        .collect();
    let named: Vec<String> = strangers.iter().take(3).map(|output| payee(policy, output)).collect();
    match strangers.len().saturating_sub(named.len()) {
        0 => format!("to {}", named.join(", ")),
        more => format!("to {} and {more} more", named.join(", ")),
    }
}
