//! Raising a limit never turns a yes into a no; the order of rules never matters; nothing panics.

use bitcoin::{Amount, Weight};
use proptest::prelude::*;

use crate::case::*;
use crate::facts::{Announced, ChainFact, Facts, KnownFunding};
use crate::fixture::*;
use crate::update::{ChannelUpdate, Cover, Frozen, OfferedHtlc, Reopened, UnpaidForward};
use crate::{Network, Policy, Profile, rules};

/// Every number that limits: table, key, its least and greatest value.
const LIMITS: [(&str, &str, u64, u64); 25] = [
    ("outflow", "max_per_transaction_sat", 0, 3_000_000),
    ("outflow", "max_in_window_sat", 0, 6_000_000),
    ("fees.wallet", "max_per_transaction_sat", 0, 400_000),
    ("fees.wallet", "max_rate_sat_per_vb", 1, 2_000),
    ("fees.wallet", "max_in_window_sat", 0, 400_000),
    ("fees.closing", "max_share_per_mille", 0, 1_000),
    ("fees.closing", "max_rate_sat_per_vb", 1, 2_000),
    ("fees.closing", "max_in_window_sat", 0, 400_000),
    ("fees.commitment", "max_per_transaction_sat", 0, 400_000),
    ("channels", "max_capacity_sat", 0, 8_000_000),
    ("channels", "max_total_sat", 0, 20_000_000),
    ("channels", "max_per_peer_sat", 0, 8_000_000),
    ("channels", "max_unnamed_sat", 0, 20_000_000),
    ("channels", "max_unmatched_funding_sat", 0, 8_000_000),
    ("channels", "max_unmatched_funding_count", 0, 6),
    ("payments", "max_unauthorized_htlc_sat", 0, 3_000_000),
    ("payments", "max_unauthorized_in_window_sat", 0, 6_000_000),
    ("payments", "max_unexplained_in_window_sat", 0, 3_000_000),
    ("forwards", "max_provisional_per_channel_sat", 0, 6_000_000),
    ("forwards", "max_provisional_total_sat", 0, 6_000_000),
    ("closing", "max_mutual_close_loss_sat", 0, 3_000_000),
    ("musig2", "max_sessions", 0, 6),
    // Switches, off and on.
    ("taproot", "channels", 0, 1),
    ("messages", "schnorr", 0, 1),
    ("musig2", "enabled", 0, 1),
];

fn with(table: &str, key: &str, value: u64) -> Policy {
    let switch = matches!(key, "channels" if table == "taproot") || matches!(key, "schnorr" | "enabled");
    if switch { edited(table, key, value == 1) } else { edited(table, key, value) }
}

fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0u64..4_000_000, 1 => Just(330), 1 => any::<u64>()]
}

fn spends() -> impl Strategy<Value = Spend> {
    let sweeps = prop_oneof![
        Just(SweepOf::Delayed),
        Just(SweepOf::ToRemote),
        Just(SweepOf::CounterpartyHtlc),
        Just(SweepOf::Anchor)
    ];
    prop_oneof![
        4 => Just(Spend::Onchain),
        1 => (0u64..3).prop_map(theirs),
        1 => (0u64..3).prop_map(ours),
        1 => amount().prop_map(peers_htlc),
        1 => Just(our_htlc()),
        1 => (0u64..4_000_000, amount(), any::<bool>()).prop_map(|(balance, peers, htlcs)| {
            let channel = outpoint(60);
            Spend::MutualClose { channel, our_balance: sat(balance), peers_balance: sat(peers), htlcs_pending: htlcs, by_word: false }
        }),
        2 => sweeps.prop_map(Spend::Sweep),
        1 => Just(Spend::Justice),
        1 => Just(Spend::Unknown { why: "chance".into() }),
    ]
}

fn outputs() -> impl Strategy<Value = Vec<OutputFact>> {
    let to = prop_oneof![
        4 => Just(Destination::OwnWallet(wallet_path())),
        1 => Just(Destination::OwnFunding(locator(0, 1))),
        1 => Just(Destination::OwnChannel),
        2 => Just(Destination::MaybeFunding),
        1 => Just(Destination::Unspendable),
        2 => Just(Destination::Stranger),
    ];
    prop::collection::vec((amount(), 0u8..4, to).prop_map(|(sats, n, to)| output(sats, wsh(n), to)), 0..4)
}

fn locks() -> impl Strategy<Value = Lock> {
    prop_oneof![Just(Lock::P2wsh), Just(Lock::TaprootKeyBip86), Just(Lock::TaprootScript)]
}

prop_compose! {
    fn spend_asks()(
        kind in spends(),
        outputs in outputs(),
        fee in prop_oneof![0u64..2_000, 0u64..400_000],
        odd in prop::option::weighted(0.2, (0usize..3, 0u32..11, any::<u8>(), any::<u32>(), amount(), locks())),
        claimed in prop::bool::weighted(0.1),
        weight in prop_oneof![500u64..4_000, any::<u64>()],
        home in amount(),
    ) -> SpendAsk {
        let mut ask = spend(kind, vec![to_us(1)]);
        let paid = outputs.iter().fold(0u64, |sum, o| sum.saturating_add(o.amount.to_sat()));
        let first = ask.inputs.len() - 1;
        let others: u64 = ask.inputs[..first].iter().map(|i| i.amount.to_sat()).sum();
        ask.inputs[first].amount = sat(paid.saturating_add(fee).saturating_sub(others));
        ask.outputs = outputs;
        ask.weight = Weight::from_wu(weight);
        ask.claimed = sat(home.min(Amount::MAX_MONEY.to_sat()));
        if let Some((index, family, sighash, sequence, spent, lock)) = odd {
            ask.signed[0].index = index;
            ask.signed[0].lock = lock;
            ask.signed[0].key = key(family);
            ask.signed[0].sighash = u32::from(sighash);
            ask.inputs[0].sequence = sequence;
            ask.inputs[0].amount = sat(spent);
        }
        if claimed {
            ask.inputs[0].evidence = Evidence::Claimed;
        }
        ask
    }
}

pub(super) fn cases() -> impl Strategy<Value = Case> {
    let kinds = prop_oneof![
        Just(MessageKind::NodeAnnouncement),
        Just(MessageKind::ChannelUpdate),
        Just(MessageKind::Invoice { amount_msat: None }),
        Just(MessageKind::LightningSignedMessage),
        any::<bool>().prop_map(|names_key| MessageKind::ChannelAnnouncement { names_key }),
        Just(MessageKind::Tagged { tag: "t".into() }),
        Just(MessageKind::Unknown { looks_like: "?".into() }),
    ];
    let families = prop_oneof![1 => Just(0u32), 2 => 0u32..11];
    let messages = (families, 0u32..2, kinds, any::<bool>(), any::<bool>()).prop_map(
        |(f, i, kind, schnorr, tap_tweak)| {
            Ask::Message(MessageAsk { key: locator(f, i), kind, schnorr, tap_tweak })
        },
    );
    let points = (0u32..11, prop::option::of((0u32..3).prop_map(|i| locator(0, i))))
        .prop_map(|(f, own)| Ask::Ecdh(EcdhAsk { key: locator(f, 1), with_own_multisig: own }));
    let sessions = (any::<bool>(), any::<bool>()).prop_map(|(pregenerated_nonce, create)| {
        let step = if create { Musig2Step::Create } else { Musig2Step::Sign };
        Ask::Musig2(Musig2Ask { key: locator(0, 3), pregenerated_nonce, step })
    });
    prop_oneof![12 => spend_asks().prop_map(Ask::Spend), 1 => messages, 1 => points, 1 => sessions]
        .prop_map(case)
}

fn covers() -> impl Strategy<Value = Cover> {
    prop_oneof![
        1 => Just(Cover::Authorized),
        1 => Just(Cover::Beyond { value: "2 sat".into(), limit: "1 sat".into() }),
        1 => (699_990u32..700_100, 0u64..4_000_000).prop_map(|(cltv, before)| forward(cltv, before)),
        1 => Just(Cover::Forward { incoming: outpoint(59), incoming_cltv: 700_100, provisional: sat(0), again: false, claims_overdue: 1 }),
        2 => Just(Cover::Own),
    ]
}

prop_compose! {
    fn updates()(
        unexplained_outputs in prop_oneof![3 => Just(0u32), 1 => 0u32..3],
        unexplained in prop_oneof![Just(0u64), amount()],
        offered in prop::collection::vec((amount(), covers()), 0..3),
        again in prop_oneof![3 => Just(0u64), 1 => 0u64..80_000_000],
        frozen in prop::option::weighted(0.1, Just(Frozen::MutualClose)),
        peer_balance in prop_oneof![2 => Just((0, 0)), 1 => (0u64..4_000_000, 0u64..400_000)],
        unpaid in prop::option::weighted(0.1, amount()),
    ) -> ChannelUpdate {
        let unpaid = unpaid.map(|sats| UnpaidForward { payment_hash160: "00".repeat(20), amount: sat(sats) });
        let unpaid = unpaid.into_iter().collect();
        let offered = offered.into_iter().map(|(sats, cover)| OfferedHtlc {
            payment_hash160: "00".repeat(20),
            amount: sat(sats),
            cltv_expiry: 700_000,
            cover,
        });
        let peer_balance = (sat(peer_balance.0), sat(peer_balance.1));
        let unexplained_outflow = sat(unexplained);
        let offered = offered.collect();
        let reopened = (again > 0).then(|| Reopened {
            total: sat(again),
            channels: vec![(outpoint(59), sat(again))],
        });
        ChannelUpdate {
            unexplained_outputs,
            perhaps_htlcs: 0,
            unexplained_outflow,
            offered,
            frozen,
            peer_balance,
            unpaid,
            reopened,
        }
    }
}

prop_compose! {
    pub(super) fn facts()(
        update in prop::option::weighted(0.7, updates()),
        current in prop::bool::weighted(0.9),
        announced in prop::option::weighted(0.8, (1u8..4, prop::option::of(1u8..4), amount(), amount())),
        flows in prop::array::uniform6(prop_oneof![Just(0u64), 0u64..4_000_000, any::<u64>()]),
        already_charged in prop::bool::weighted(0.2),
        channel_known in any::<bool>(),
        sums in prop::array::uniform9(prop_oneof![Just(0u64), 0u64..4_000_000, any::<u64>()]),
        counts in prop::array::uniform4(0u32..6),
        capacity in prop::option::of(amount()),
        conflict in prop::bool::weighted(0.1),
        seen in prop::option::of((0u32..3, amount(), amount())),
        root in prop::option::of(0u32..3),
    ) -> Facts {
        let [outflow, fees, closing, replaced_outflow, replaced_fee, replaced_closing, total, unmatched, funded] = sums;
        let conflicts = conflict.then(|| (outpoint(1), sat(1), sat(2)));
        Facts {
            now: 1_700_000_000,
            already_charged,
            outflow_in_window: sat(outflow),
            fees_in_window: sat(fees),
            closing_fees_in_window: sat(closing),
            replaced_outflow: sat(replaced_outflow),
            replaced_fee: sat(replaced_fee),
            replaced_closing_fee: sat(replaced_closing),
            amount_conflicts: conflicts.into_iter().collect(),
            channels_total: sat(total),
            channel_capacity: capacity.map(sat),
            channel_known,
            funded_by_us: sat(funded),
            known_fundings: seen
                .map(|(output, capacity, pushed)| KnownFunding { output, capacity: sat(capacity), pushed: sat(pushed) })
                .into_iter()
                .collect(),
            force_closes_in_window: counts[0],
            unmatched_funding: sat(unmatched),
            unmatched_funding_count: counts[1],
            open_reservations: counts[2],
            root_answered_for: root.map(|i| locator(0, i)),
            multisig_answered_by: None,
            musig2_sessions: counts[3],
            update,
            chain: if current { ChainFact::Current } else { ChainFact::NotCurrent("chance".into()) },
            unexplained_in_window: sat(flows[0]),
            unauthorized_in_window: sat(flows[1]),
            provisional_total: sat(flows[2]),
            channel_balance: sat(flows[3]),
            force_close_value_in_window: sat(flows[4]),
            tier: crate::Tier::T0,
            unnamed_total: sat(flows[5]),
            peer: announced.as_ref().map(|(n, ..)| peer(*n)),
            announced: announced.map(|(n, named, capacity, before)| match announcing(n, named, capacity).announced {
                Some(Ok(announced)) if before != 330 => Ok(Announced { peer_total: sat(before), ..announced }),
                _ => Err("chance".into()),
            }),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn raising_a_limit_never_turns_a_yes_into_a_no(
        case in cases(),
        facts in facts(),
        which in 0..LIMITS.len(),
        low in 0.0f64..=1.0,
        high in 0.0f64..=1.0,
    ) {
        let (table, key, least, most) = LIMITS[which];
        let at = |share: f64| least + ((most - least) as f64 * share).round() as u64;
        let (low, high) = (at(low.min(high)), at(low.max(high)));
        let (strict, loose) = (with(table, key, low).decide(&case, &facts), with(table, key, high).decide(&case, &facts));
        for violation in &loose.enforced {
            prop_assert!(
                strict.enforced.iter().any(|v| v.tag == violation.tag),
                "[{}] {} from {} to {}: {}", table, key, low, high, violation
            );
        }
        prop_assert!(!strict.allowed() || loose.allowed());
    }

    #[test]
    fn more_destinations_refuse_no_more(case in cases(), facts in facts()) {
        prop_assert!(!cautious().decide(&case, &facts).allowed() || allowing(&wsh(1)).decide(&case, &facts).allowed());
    }

    #[test]
    fn the_order_of_rules_never_matters(
        case in cases(),
        facts in facts(),
        order in Just((0..rules::ALL.len()).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let policy = Policy::from_toml(&Profile::Cautious.render(Network::Regtest)).expect("a policy");
        let modes: Vec<_> = policy.rules().collect();
        let shuffled = order.into_iter().map(|n| modes[n]);
        let sorted = |verdict: crate::Verdict| {
            let mut texts: Vec<String> = verdict.enforced.iter().map(ToString::to_string).collect();
            texts.sort_unstable();
            (texts, verdict.charges)
        };
        prop_assert_eq!(sorted(policy.decide(&case, &facts)), sorted(policy.decide_by(shuffled, &case, &facts)));
    }

    #[test]
    fn an_approved_transaction_is_charged_once(case in cases(), facts in facts()) {
        let again = Facts { already_charged: true, ..facts };
        prop_assert_eq!(cautious().decide(&case, &again).charges, crate::Charges::default());
    }
}

/// Chance must hit yeses and every rule's no, or the laws above say little.
#[test]
fn chance_reaches_yes_and_every_no() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (cases(), facts());
    let lowest = LIMITS.iter().map(|(table, key, least, _)| with(table, key, *least));
    let stricter = [
        edited("channels", "max_force_closes_in_window", 0),
        edited("channels", "max_force_close_value_in_window_sat", 0),
        edited("channels", "require_tier", "\"T1\""),
        edited("channels", "require_psbt_funding", true),
        listing(&[1]),
    ];
    let policies: Vec<Policy> = lowest.chain(stricter).collect();
    let (mut yes, mut tags) = (0, std::collections::BTreeSet::new());
    for _ in 0..6_000 {
        let (case, facts) = strategy.new_tree(&mut runner).expect("a case").current();
        for policy in &policies {
            let verdict = policy.decide(&case, &facts);
            yes += usize::from(verdict.allowed());
            tags.extend(verdict.enforced.into_iter().chain(verdict.observed).map(|violation| violation.tag));
        }
    }
    assert!(yes > 5_000, "{yes} yeses");
    let missing: Vec<_> =
        rules::ALL.iter().filter(|rule| !tags.contains(rule.tag.0)).map(|rule| rule.tag).collect();
    assert!(missing.is_empty(), "never violated: {missing:?}");
}
