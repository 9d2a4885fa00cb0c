//! Cases as an auditor reads them.

use strongroom_audit as audit;
use strongroom_policy::{
    Ask, Case, Charges, Destination, Kind, MessageKind, Musig2Ask, Spend, SpendAsk, Tier, Verdict, Violation,
};

/// What is told of a message beside its kind.
fn message_detail(kind: &MessageKind) -> Option<String> {
    match kind {
        MessageKind::Invoice { amount_msat } => amount_msat.map(|a| format!("{a} msat")),
        MessageKind::Tagged { tag } => Some(tag.clone()),
        MessageKind::Unknown { looks_like } => Some(looks_like.clone()),
        MessageKind::NodeAnnouncement
        | MessageKind::ChannelUpdate
        | MessageKind::ChannelAnnouncement { .. }
        | MessageKind::LightningSignedMessage => None,
    }
}

/// A word for metrics.
pub(super) fn kind(ask: &Ask) -> &'static str {
    Kind::of(ask).as_str()
}

fn spend(ask: &SpendAsk) -> audit::Spend {
    let (channel, commitment, detail) = match &ask.spend {
        Spend::CounterpartyCommitment { channel, number, to_remote } => {
            (Some(channel), Some(*number), Some(format!("to_remote {to_remote}")))
        }
        Spend::HolderCommitment { channel, number } => (Some(channel), Some(*number), None),
        Spend::CounterpartyHtlc { channel, commitment, payment_hash160, amount } => {
            (Some(channel), None, Some(format!("htlc {amount} hash160 {payment_hash160} on {commitment}")))
        }
        Spend::HolderHtlc { commitment } => (None, None, Some(format!("on {commitment}"))),
        Spend::MutualClose { channel, our_balance, by_word, .. } => {
            let said = if *by_word { ", as an operator said" } else { "" };
            (Some(channel), None, Some(format!("ours at least {our_balance}{said}")))
        }
        Spend::Unknown { why } => (None, None, Some(why.clone())),
        Spend::Onchain | Spend::Sweep(_) | Spend::Justice => (None, None, None),
    };
    let sat = |amounts: &mut dyn Iterator<Item = u64>| amounts.fold(0u64, u64::saturating_add);
    audit::Spend {
        txid: ask.txid.to_string(),
        kind: Kind::of_spend(&ask.spend).as_str().to_owned(),
        channel: channel.map(ToString::to_string),
        commitment,
        signed: ask
            .signed
            .iter()
            .map(|s| audit::SignedInput {
                input: u32::try_from(s.index).unwrap_or(u32::MAX),
                outpoint: ask.inputs.get(s.index).map_or_else(String::new, |i| i.outpoint.to_string()),
                key: s.key.to_string(),
                sighash: s.sighash,
            })
            .collect(),
        spent_sat: sat(&mut ask.inputs.iter().map(|i| i.amount.to_sat())),
        paid_out_sat: sat(&mut ask
            .outputs
            .iter()
            .filter(|o| matches!(o.to, Destination::Stranger | Destination::MaybeFunding))
            .map(|o| o.amount.to_sat())),
        fee_sat: ask.fee().map(|f| f.to_sat()),
        detail,
    }
}

/// What was asked.
pub(super) fn ask(case: &Case) -> audit::Ask {
    match &case.ask {
        Ask::Spend(ask) => audit::Ask::Spend(spend(ask)),
        Ask::Message(ask) => {
            let kind = Kind::of_message(&ask.kind).as_str().to_owned();
            let detail = message_detail(&ask.kind);
            audit::Ask::Message { key: format!("{{{}}}", ask.key), kind, detail }
        }
        Ask::Ecdh(ask) => {
            let purpose = Kind::of_ecdh(ask).as_str().to_owned();
            audit::Ask::Ecdh { key: format!("{{{}}}", ask.key), purpose }
        }
        Ask::Musig2(Musig2Ask { key, step, .. }) => audit::Ask::Musig2 {
            key: format!("{{{key}}}"),
            step: match step {
                strongroom_policy::Musig2Step::Create => "create",
                strongroom_policy::Musig2Step::Sign => "sign",
            }
            .to_owned(),
        },
    }
}

fn violations(found: &[Violation]) -> Vec<audit::Violation> {
    found
        .iter()
        .map(|v| audit::Violation { tag: v.tag.clone(), value: v.value.clone(), limit: v.limit.clone() })
        .collect()
}

fn charges(charged: &Charges) -> Vec<audit::Charge> {
    let charged = [
        ("outflow", charged.outflow),
        ("fees", charged.fee),
        ("unmatched-funding", charged.unmatched_funding),
        ("unexplained", charged.unexplained),
        ("unauthorized", charged.unauthorized),
    ];
    charged
        .into_iter()
        .filter(|(_, amount)| *amount > bitcoin::Amount::ZERO)
        .map(|(allowance, amount)| audit::Charge { allowance: allowance.to_owned(), sat: amount.to_sat() })
        .collect()
}

/// The whole decision.
pub(super) fn decision(
    case: &Case,
    request: [u8; 32],
    verdict: &Verdict,
    policy: [u8; 32],
    durability: audit::Durability,
    (tier, checks): (Tier, u64),
) -> audit::Decision {
    audit::Decision {
        node: case.node.to_string(),
        client: case.client.to_string(),
        operation: case.operation.as_str().to_owned(),
        request: audit::Digest(request),
        what: ask(case),
        verdict: if verdict.allowed() {
            audit::Verdict::Approved { charges: charges(&verdict.charges) }
        } else {
            audit::Verdict::Refused { enforced: violations(&verdict.enforced) }
        },
        observed: violations(&verdict.observed),
        policy: audit::Digest(policy),
        durability,
        tier: Some(tier.as_str().to_owned()),
        checks: Some(checks),
    }
}
