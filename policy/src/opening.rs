//! May a channel be opened now? Asked before LND begins, by the rules that would refuse it later.

use bitcoin::hashes::Hash as _;
use bitcoin::{Amount, OutPoint, ScriptBuf, Txid, WScriptHash, Weight};

use crate::case::{
    Ask, Case, Destination, Evidence, InputFact, MessageAsk, MessageKind, Operation, OutputFact, Spend,
    SpendAsk,
};
use crate::facts::{Announced, Facts};
use crate::file::Mode;
use crate::key::{KeyLocator, NodeName};
use crate::node_id::NodeId;
use crate::policy::Policy;
use crate::profile::Profile;
use crate::violation::Violation;

/// A channel that somebody means to open.
#[derive(Clone, Debug)]
pub struct Opening {
    /// Our node.
    pub node: NodeName,
    /// The other.
    pub peer: NodeId,
    /// The channel's size.
    pub capacity: Amount,
    /// Our wallet funds it.
    pub we_fund: bool,
    /// Channels that were announced with this peer, together.
    pub peer_total: Amount,
}

/// The rules that an opening is held to, at its funding, its first commitment or its announcement.
const ASKED: [&str; 8] = [
    "tier",
    "chain-current",
    "channel-capacity",
    "channels-total",
    "unmatched-funding",
    "unnamed-total",
    "peer-listed",
    "peer-total",
];

impl Policy {
    /// What stands against opening a channel now: what refuses, and what is only written down. `facts` has the sums over
    /// channels, the chain and the tier; nothing else of it is looked at.
    pub fn may_open(&self, opening: &Opening, facts: &Facts) -> (Vec<Violation>, Vec<Violation>) {
        let facts = Facts {
            channel_known: false,
            channel_capacity: None,
            already_charged: false,
            update: None,
            known_fundings: Vec::new(),
            announced: Some(Ok(Announced {
                peer: opening.peer,
                named: None,
                capacity: opening.capacity,
                peer_total: opening.peer_total,
            })),
            ..facts.clone()
        };
        let (mut refuses, mut written) = (Vec::new(), Vec::new());
        let case = |operation, ask| Case {
            node: opening.node.clone(),
            client: Profile::CLIENT.parse().expect("the profiles' client has a name of three letters"),
            operation,
            ask,
        };
        let cases = [
            case(Operation::SignPsbt, Ask::Spend(opening.spend())),
            case(Operation::SignMessage, Ask::Message(announcement())),
        ];
        for (rule, mode) in self.rules().filter(|(rule, _)| ASKED.contains(&rule.tag.0)) {
            let found = if mode == Mode::Enforce { &mut refuses } else { &mut written };
            cases.iter().for_each(|case| (rule.check)(self, case, &facts, found));
        }
        (refuses, written)
    }
}

impl Opening {
    /// The funding if we make it, else the first commitment.
    fn spend(&self) -> SpendAsk {
        let channel = OutPoint { txid: Txid::all_zeros(), vout: 0 };
        let script = ScriptBuf::new_p2wsh(&WScriptHash::all_zeros());
        let output = |to| OutputFact { amount: self.capacity, script_pubkey: script.clone(), to };
        let input = InputFact {
            outpoint: channel,
            amount: self.capacity,
            script_pubkey: script.clone(),
            sequence: 0,
            evidence: Evidence::Claimed,
        };
        let (spend, output) = if self.we_fund {
            (Spend::Onchain, output(Destination::MaybeFunding))
        } else {
            let number = 0;
            let to_remote = Amount::ZERO;
            (Spend::CounterpartyCommitment { channel, number, to_remote }, output(Destination::Stranger))
        };
        SpendAsk {
            txid: channel.txid,
            spend,
            signed: Vec::new(),
            inputs: vec![input],
            outputs: vec![output],
            weight: Weight::ZERO,
            claimed: Amount::ZERO,
        }
    }
}

fn announcement() -> MessageAsk {
    MessageAsk {
        key: KeyLocator { family: KeyLocator::MULTISIG, index: 0 },
        kind: MessageKind::ChannelAnnouncement { names_key: true },
        schnorr: false,
        tap_tweak: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ChainFact;
    use crate::fixture::*;

    fn opening(capacity: u64) -> Opening {
        let node = "alice".parse().expect("a name of few letters");
        Opening { node, peer: peer(1), capacity: sat(capacity), we_fund: true, peer_total: sat(0) }
    }

    fn refused_by(policy: &Policy, opening: &Opening, facts: &Facts) -> Vec<String> {
        policy.may_open(opening, facts).0.into_iter().map(|violation| violation.tag).collect()
    }

    #[test]
    fn each_cap_answers_before_the_channel_is_begun() {
        let by_peer = |capacity| Opening { we_fund: false, ..opening(capacity) };
        let free = Facts::default();
        let none: [&str; 0] = [];
        for good in [opening(16_777_215), by_peer(16_777_215)] {
            assert_eq!(refused_by(&cautious(), &good, &free), none);
        }
        let too_large = ["channel-capacity"];
        for large in [opening(16_777_216), by_peer(16_777_216)] {
            assert_eq!(refused_by(&cautious(), &large, &free), too_large);
        }
        let full = Facts { channels_total: sat(495_000_000), ..Facts::default() };
        assert_eq!(refused_by(&cautious(), &opening(6_000_000), &full), ["channels-total"]);
        let unnamed = Facts { unnamed_total: sat(95_000_000), ..Facts::default() };
        assert_eq!(refused_by(&cautious(), &by_peer(6_000_000), &unnamed), ["unnamed-total"]);
        let waiting = Facts { unmatched_funding_count: 4, ..Facts::default() };
        assert_eq!(refused_by(&cautious(), &opening(6_000_000), &waiting), ["unmatched-funding"]);
        assert_eq!(refused_by(&cautious(), &by_peer(6_000_000), &waiting), none);
        let many = Opening { peer_total: sat(95_000_000), ..opening(6_000_000) };
        assert_eq!(refused_by(&cautious(), &many, &free), ["peer-total"]);
        let stale = Facts { chain: ChainFact::NotCurrent("silent".into()), ..Facts::default() };
        assert_eq!(refused_by(&cautious(), &opening(6_000_000), &stale), ["chain-current"]);
        assert_eq!(refused_by(&listing(&[2]), &opening(6_000_000), &free), ["peer-listed"]);
        assert_eq!(refused_by(&listing(&[1]), &opening(6_000_000), &free), none);
        let requiring = edited("channels", "require_tier", "\"W\"");
        assert_eq!(refused_by(&requiring, &opening(6_000_000), &free), ["tier"]);
    }

    #[test]
    fn what_only_observes_is_told_and_refuses_nothing() {
        let lab = Policy::from_toml(&Profile::Lab.render(crate::Network::Regtest)).expect("a policy");
        let (refuses, written) = lab.may_open(&opening(16_777_216), &Facts::default());
        assert!(refuses.is_empty());
        assert_eq!(written.len(), 1);
    }

    #[test]
    fn every_rule_asked_is_one() {
        assert!(ASKED.iter().all(|tag| crate::rules::by_tag(tag).is_some()));
    }
}
