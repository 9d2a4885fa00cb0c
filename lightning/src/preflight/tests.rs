//! What is foreseen, held against the shipped policy. What must be refused comes first.

use bitcoin::hashes::{Hash as _, ripemd160};
use bitcoin::{Amount, OutPoint, ScriptBuf};
use strongroom_policy::{Ask, Case, ChannelUpdate, Facts, Network, Operation, Policy, Profile, SpendAsk};

use super::{
    Closing, Foreseen, Foresight, Forwarding, Intent, NewChannel, Opening, OutgoingHtlc, Payment,
    WalletPayment,
};
use crate::books::{Authorization, Terms};
use crate::channels::CloseAllowance;
use crate::classify::tests::channel::*;
use crate::fixture::*;

const NOW: u64 = 1_700_000_000;
const TERMS: Terms = Terms { funded_by_us: true, now: NOW, window: 86_400, claim_seconds: 600 };

/// The shipped policy, with limits that a channel of 1,000,000 sat can reach.
fn policy(change: (&str, &str)) -> Policy {
    let text = Profile::Cautious
        .render(Network::Regtest)
        .replace("max_unauthorized_htlc_sat = 1_000_000", "max_unauthorized_htlc_sat = 100_000")
        .replace(change.0, change.1);
    Policy::from_toml(&text).unwrap_or_else(|e| panic!("{e}"))
}

fn cautious() -> Policy {
    policy(("", ""))
}

/// What the journal would add for a node that has done nothing yet.
fn decide(
    policy: &Policy,
    node: &Node,
    ask: SpendAsk,
    update: Option<ChannelUpdate>,
    of: &Foreseen,
) -> Vec<String> {
    let channel = ask.inputs[0].outpoint;
    let facts = Facts {
        now: NOW,
        update,
        channel_known: node.channels.is_known(&channel),
        channel_capacity: node.channels.capacity(&channel),
        channel_balance: node.channels.balance(&channel).unwrap_or(Amount::ZERO),
        channels_total: node.channels.open_capacity(),
        open_reservations: node.channels.open_reservations() + of.reservations,
        funded_by_us: of.funded_by_us,
        ..Facts::default()
    };
    let case = Case {
        node: "alice".parse().expect("a name"),
        client: "companion".parse().expect("a name"),
        operation: Operation::SignPsbt,
        ask: Ask::Spend(ask),
    };
    policy.decide(&case, &facts).enforced.into_iter().map(|violation| violation.tag).collect()
}

fn foresee(node: &Node, intent: Intent) -> Foresight {
    let before = node.accounts.marks();
    let foresight = node.channels.foresee(&intent, &node.accounts, TERMS);
    assert_eq!(node.accounts.marks(), before, "a question moved the lookahead");
    foresight
}

/// The rules that are certain to be broken.
fn broken_by(policy: &Policy, node: &Node, intent: Intent) -> Vec<String> {
    let certain = foresee(node, intent).certain;
    let tags = certain.iter().flat_map(|of| decide(policy, node, of.ask.clone(), of.update.clone(), of));
    tags.collect()
}

fn pay(sat: u64) -> Payment {
    Payment { hash: Some([1; 32]), amount_msat: sat * 1_000, max_fee_msat: 0, max_part_msat: None }
}

fn payment(payment: Payment) -> Intent {
    Intent::Payment(payment)
}

fn leave(amount: u64) -> Authorization {
    Authorization {
        payment_hash: [1; 32],
        amount: sat(amount),
        max_attempts: 1,
        expires: NOW + 60,
        created: NOW,
        label: String::new(),
        offered: Amount::ZERO,
    }
}

#[test]
fn a_payment_above_a_limit_is_foreseen() {
    let node = Node::with_channel(500_000);
    assert_eq!(broken_by(&cautious(), &node, payment(pay(100_001))), ["payment-amount"]);
    let amp = Payment { hash: None, ..pay(100_001) };
    assert_eq!(broken_by(&cautious(), &node, payment(amp)), ["payment-amount"]);
    let leave_for_all = policy(("require_authorization = false", "require_authorization = true"));
    assert_eq!(broken_by(&leave_for_all, &node, payment(pay(400))), ["payment-authorization"]);
    let window =
        policy(("max_unauthorized_in_window_sat = 10_000_000", "max_unauthorized_in_window_sat = 150_000"));
    let parts = Payment { max_part_msat: Some(100_000_000), ..pay(150_001) };
    assert_eq!(broken_by(&window, &node, payment(parts)), ["payment-window"]);
    // HTLCs too small for an output leave without a trace.
    let dust = policy(("max_unexplained_in_window_sat = 1_000_000", "max_unexplained_in_window_sat = 999"));
    let crumbs = Payment { max_part_msat: Some(100_000), ..pay(1_000) };
    assert_eq!(broken_by(&dust, &node, payment(crumbs)), ["unexplained-outflow"]);
}

#[test]
fn more_than_was_authorised_is_foreseen_and_the_fee_only_as_possible() {
    let mut node = Node::with_channel(500_000);
    node.authorize(leave(200_000), NOW);
    assert_eq!(broken_by(&cautious(), &node, payment(pay(200_001))), ["payment-authorization"]);
    assert_eq!(broken_by(&cautious(), &node, payment(pay(200_000))), [""; 0]);
    let foresight = foresee(&node, payment(Payment { max_fee_msat: 9_000, ..pay(200_000) }));
    let [(when, of)] = &foresight.possible[..] else { panic!("{foresight:?}") };
    assert!(when.contains("9 sat"), "{when}");
    let tags = decide(&cautious(), &node, of.ask.clone(), of.update.clone(), of);
    assert_eq!(tags, ["payment-authorization"]);
}

#[test]
fn what_fits_is_not_refused_beforehand() {
    let node = Node::with_channel(500_000);
    let parts = Payment { max_part_msat: Some(100_000_000), ..pay(250_000) };
    // No HTLC is larger than the balance that it is paid from.
    let poor = Node::with_channel(90_000);
    for (node, intent) in
        [(&node, pay(100_000)), (&node, parts), (&poor, pay(180_000)), (&Node::new(), pay(900_000))]
    {
        assert_eq!(broken_by(&cautious(), node, payment(intent)), [""; 0], "{intent:?}");
    }
    assert!(foresee(&Node::new(), payment(pay(1))).unchecked[0].contains("no channel"));
}

#[test]
fn what_is_foreseen_is_what_the_step_is() {
    use crate::books::tests::{Htlc, hash160};
    let mut node = Node::with_channel(500_000);
    let htlc = Htlc { by_us: true, hash: 1, amount: 150_000, cltv: 700_000 };
    let commitment = node.commitment_tx(1, 350_000, &[htlc.output(&node)]);
    node.approve(&htlc.request(&node, &commitment, 2, &delayed_script(1)));
    let (ask, learned) = node.ask(&node.funding_spend(&commitment, 1));
    let real = node.channels.step(&ask, &learned, TERMS).expect("a step").update;
    let foreseen = foresee(&node, payment(pay(150_000))).certain.remove(0);
    // Its timeout depends on the route.
    let mut update = foreseen.update.expect("a step");
    update.offered[0].cltv_expiry = 700_000;
    // What the peer has is no matter of ours: a payment that we make leaves it as it is.
    update.peer_balance = real.peer_balance;
    assert_eq!(update, real);
    assert_eq!(hash160(1), ripemd160::Hash::hash(&[1; 32]).to_byte_array());
}

/// A node that 51,000 sat of hash 3 came to, by the second channel.
fn asked_to_forward() -> Node {
    use crate::books::tests::{Htlc, approve};
    let mut node = Node::with_two_channels(500_000);
    node.at = 1;
    approve(&mut node, 1, 500_000, &[Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 }]);
    node.at = 0;
    node
}

fn outgoing(sat: u64, expiry: u32) -> OutgoingHtlc {
    OutgoingHtlc { hash: [3; 32], amount_msat: sat * 1_000 + 999, expiry }
}

fn forwarding(sat: u64, expiry: u32) -> Intent {
    Intent::Forward(Forwarding { htlc: outgoing(sat, expiry), beside: vec![] })
}

#[test]
fn a_forward_that_would_be_refused_is_foreseen() {
    let node = asked_to_forward();
    assert_eq!(broken_by(&cautious(), &node, forwarding(50_000, 700_099)), ["forward-cltv"]);
    let least = ("max_provisional_per_channel_sat = 16_777_215", "max_provisional_per_channel_sat = 49_999");
    let channel = policy(least);
    assert_eq!(broken_by(&channel, &node, forwarding(50_000, 700_000)), ["forward-exposure"]);
    assert_eq!(broken_by(&channel, &node, forwarding(49_999, 700_000)), [""; 0]);
    assert_eq!(broken_by(&cautious(), &node, forwarding(50_000, 700_000)), [""; 0]);
}

/// A payer whose payment fails tries again in parts, which come together.
#[test]
fn parts_that_come_together_are_counted_together() {
    use crate::books::tests::{Htlc, approve, offer};
    let mut node = asked_to_forward();
    let incoming = Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 };
    node.at = 1;
    approve(&mut node, 2, 500_000, &[incoming, incoming]);
    node.at = 0;
    let channel =
        policy(("max_provisional_per_channel_sat = 16_777_215", "max_provisional_per_channel_sat = 50_000"));
    let beside = |sat, beside| {
        Intent::Forward(Forwarding { htlc: outgoing(sat, 700_000), beside: vec![outgoing(beside, 700_000)] })
    };
    assert_eq!(broken_by(&channel, &node, beside(25_001, 25_000)), ["forward-exposure"]);
    assert_eq!(broken_by(&channel, &node, beside(25_000, 25_000)), [""; 0]);
    // What no HTLC pays for is no forward beside it, nor what is too small.
    assert_eq!(broken_by(&channel, &node, beside(50_000, 51_001)), [""; 0]);
    assert_eq!(broken_by(&channel, &node, beside(50_000, 329)), [""; 0]);
    // Once the first is out, the books count it, once; the second is another by its amount.
    approve(&mut node, 1, 475_000, &[offer(3, 25_000)]);
    let cltv = offer(3, 25_000).cltv;
    let second = |sat| {
        Intent::Forward(Forwarding { htlc: outgoing(sat, 700_000), beside: vec![outgoing(25_000, cltv)] })
    };
    assert_eq!(broken_by(&channel, &node, second(25_001)), ["forward-exposure"]);
    let room =
        policy(("max_provisional_per_channel_sat = 16_777_215", "max_provisional_per_channel_sat = 50_001"));
    assert_eq!(broken_by(&room, &node, second(25_001)), [""; 0]);
}

/// lnd asks again about forwards that are out. To fail one would give its amount away.
#[test]
fn a_forward_that_may_be_out_is_never_turned_down() {
    use crate::books::tests::{Htlc, approve, offer};
    let out = Htlc { cltv: 700_099, ..offer(3, 50_000) };
    let nothing_against = |node: &Node, sat, because: &str| {
        let foresight = foresee(node, forwarding(sat, 700_099));
        assert!(foresight.certain.is_empty(), "{foresight:?}");
        assert!(foresight.unchecked[0].contains(because), "{foresight:?}");
    };
    let mut node = asked_to_forward();
    nothing_against(&node, 51_001, "no HTLC in the books pays for it");
    nothing_against(&node, 329, "too small");
    nothing_against(&Node::with_channel(500_000), 50_000, "no HTLC in the books pays for it");
    approve(&mut node, 1, 450_000, &[out]);
    nothing_against(&node, 50_000, "is out, or was");
    // Another like it came in; which of the two is asked about the question does not say.
    node.at = 1;
    let incoming = Htlc { by_us: false, hash: 3, amount: 51_000, cltv: 700_100 };
    approve(&mut node, 2, 500_000, &[incoming, incoming]);
    node.at = 0;
    nothing_against(&node, 50_000, "is out, or was");
    // It was paid, and the incoming one is still to be claimed.
    approve(&mut node, 2, 450_000, &[]);
    approve(&mut node, 3, 450_000, &[]);
    nothing_against(&node, 50_000, "is out, or was");
}

#[test]
fn a_version_given_up_that_offered_the_forward_counts_as_out() {
    use crate::books::tests::{Htlc, approve, offer};
    let mut node = asked_to_forward();
    approve(&mut node, 1, 450_000, &[Htlc { cltv: 700_099, ..offer(3, 50_000) }]);
    // The number is signed again, without it; the peer may have the first.
    approve(&mut node, 1, 500_000, &[]);
    let foresight = foresee(&node, forwarding(50_000, 700_099));
    assert!(foresight.certain.is_empty(), "{foresight:?}");
}

fn wallet_payment(script: &ScriptBuf, amount: u64) -> WalletPayment {
    WalletPayment { outputs: vec![(script.clone(), sat(amount))], fee_rate: Some(1_250), all: false }
}

#[test]
fn wallet_payments_are_held_to_their_limits() {
    let node = Node::new();
    let (stranger, own) = (stranger(5), node.wallet_script(0, 3));
    let broken = |payment| broken_by(&cautious(), &node, Intent::Wallet(payment));
    assert_eq!(broken(wallet_payment(&stranger, 1_000_001)), ["outflow-per-transaction"]);
    assert_eq!(
        broken(WalletPayment { fee_rate: Some(301 * 250), ..wallet_payment(&stranger, 9) }),
        ["fee-rate"]
    );
    assert_eq!(broken(WalletPayment { fee_rate: Some(u64::MAX), ..wallet_payment(&own, 9) })[0], "fee-cap");
    let many =
        WalletPayment { outputs: vec![(stranger.clone(), sat(600_000)); 2], ..wallet_payment(&own, 1) };
    assert_eq!(broken(many), ["outflow-per-transaction"]);
    assert_eq!(broken(wallet_payment(&own, 900_000_000)), [""; 0]);
    let highest = WalletPayment { fee_rate: Some(300 * 250), ..wallet_payment(&stranger, 1_000_000) };
    assert_eq!(broken(highest), [""; 0]);
    let all = WalletPayment { all: true, fee_rate: None, ..wallet_payment(&stranger, 0) };
    assert!(foresee(&node, Intent::Wallet(all)).unchecked.iter().any(|what| what.contains("whole wallet")));
    // While a reservation is open such an output may be a channel's, as it is when it is asked for.
    let mut opening = Node::new();
    opening.reserve(0);
    let broken = broken_by(&cautious(), &opening, Intent::Wallet(wallet_payment(&stranger, 1_000_001)));
    assert_eq!(broken, [""; 0]);
}

fn opening(capacity: u64, push: u64) -> Opening {
    let channel = NewChannel { capacity: Some(sat(capacity)), push: sat(push), peer: None, close_to: None };
    Opening { channels: vec![channel], fee_rate: Some(1_250), funded_elsewhere: false }
}

#[test]
fn openings_are_held_to_the_caps() {
    let node = Node::with_channel(500_000);
    let broken = |policy: &Policy, opening| broken_by(policy, &node, Intent::Open(opening));
    // The funding transaction and the first commitment both break it.
    let twice = |tag: &'static str| [tag, tag];
    assert_eq!(broken(&cautious(), opening(16_777_216, 0)), twice("channel-capacity"));
    let total = policy(("max_total_sat = 500_000_000", "max_total_sat = 2_999_999"));
    assert_eq!(broken(&total, opening(2_000_000, 0)), twice("channels-total"));
    let unmatched =
        policy(("max_unmatched_funding_sat = 33_554_430", "max_unmatched_funding_sat = 1_999_999"));
    assert_eq!(broken(&unmatched, opening(2_000_000, 0)), ["unmatched-funding"]);
    assert_eq!(broken(&cautious(), opening(5_000_000, 1_000_001)), ["outflow-per-transaction"]);
    let five = Opening { channels: vec![opening(100_000, 0).channels[0].clone(); 5], ..opening(1, 0) };
    assert_eq!(broken(&cautious(), five), ["unmatched-funding"]);
    assert_eq!(broken(&cautious(), opening(16_777_215, 1_000_000)), [""; 0]);
    let elsewhere = Opening { funded_elsewhere: true, ..opening(16_777_216, 0) };
    assert_eq!(broken(&cautious(), elsewhere), ["channel-capacity"]);
    let most = NewChannel { capacity: None, push: Amount::ZERO, peer: None, close_to: None };
    let foresight = foresee(&node, Intent::Open(Opening { channels: vec![most], ..opening(1, 0) }));
    assert!(foresight.certain.is_empty() && foresight.unchecked[0].contains("capacity"), "{foresight:?}");
}

#[test]
fn where_a_close_will_pay_is_held_to_our_wallet_at_the_opening() {
    let node = Node::with_channel(500_000);
    let broken = |capacity: Option<u64>, close_to: Option<ScriptBuf>| {
        let mut opening = opening(100_000, 0);
        opening.channels[0] =
            NewChannel { capacity: capacity.map(sat), close_to, ..opening.channels[0].clone() };
        let foresight = foresee(&node, Intent::Open(opening));
        let ends = foresight.at_its_end.iter();
        let tags = ends.flat_map(|of| decide(&cautious(), &node, of.ask.clone(), None, of));
        tags.filter(|tag| tag == "mutual-close-balance").count()
    };
    for capacity in [Some(100_000), Some(16_777_215), None] {
        assert_eq!(broken(capacity, Some(stranger(5))), 1, "{capacity:?}");
        assert_eq!(broken(capacity, Some(node.wallet_script(0, 2))), 0);
        assert_eq!(broken(capacity, None), 0);
    }
}

fn closing(node: &Node, to: Option<ScriptBuf>) -> Closing {
    Closing { channel: node.funding_outpoint(), force: false, to, fee_rate: Some(1_250) }
}

#[test]
fn closes_pay_us_and_are_of_channels_that_are_known() {
    let node = Node::with_channel(500_000);
    let broken = |closing| broken_by(&cautious(), &node, Intent::Close(closing));
    // Two outputs are neither ours nor one peer's, and we get nothing.
    assert_eq!(broken(closing(&node, Some(stranger(5)))), ["mutual-close-balance"; 2]);
    let steep = Closing { fee_rate: Some(1_201 * 250), ..closing(&node, None) };
    assert!(broken(steep).contains(&"fee-rate".to_owned()));
    let unknown = |force| Closing { channel: OutPoint::null(), force, ..closing(&node, None) };
    assert_eq!(broken(unknown(false)), ["channel-known"]);
    assert_eq!(broken(unknown(true)), [""; 0]);
    for to in [None, Some(node.wallet_script(0, 2))] {
        assert_eq!(broken(closing(&node, to)), [""; 0]);
    }
    assert_eq!(broken(Closing { force: true, ..closing(&node, None) }), [""; 0]);
}

/// Where the books are not to be believed, the balance in them lets no close begin that the signer then refuses.
#[test]
fn a_close_of_a_channel_that_is_behind_waits_for_an_operators_word() {
    let mut node = Node::with_channel(500_000);
    let (ask, _) = node.ask(&node.commitment(9, 400_000, &[]));
    let behind = node.channels.fell_behind(&ask);
    node.learn(behind);
    let broken = |node: &Node, to| broken_by(&cautious(), node, Intent::Close(closing(node, to)));
    assert_eq!(broken(&node, None), ["unknown-spend"]);
    let word = CloseAllowance { at_least: sat(390_000), expires: u64::MAX, created: 0 };
    let forever = node.channels.allow_close(node.funding_outpoint(), word, NOW);
    assert!(forever.is_err(), "not for ever");
    node.allow_close(node.funding_outpoint(), CloseAllowance { expires: NOW + 60, ..word }, NOW);
    assert_eq!(broken(&node, None), [""; 0]);
    assert_eq!(broken(&node, Some(node.wallet_script(0, 2))), [""; 0]);
    assert!(broken(&node, Some(stranger(5))).contains(&"mutual-close-balance".to_owned()));
}

/// However many and large the channels closed before: what tells of them refuses none.
#[test]
fn a_force_close_waits_for_nobodys_leave() {
    let mut node = Node::with_channel(500_000);
    let theirs = node.commitment(1, 500_000, &[]);
    node.approve(&theirs);
    for (limit, none) in
        [("max_force_closes_in_window = 40", "= 0"), ("value_in_window_sat = 100_000_000", "= 0")]
    {
        let (key, _) = limit.split_once(" = ").expect("a key and its value");
        let told_of = policy((limit, &format!("{key} {none}")));
        let force = Intent::Close(Closing { force: true, ..closing(&node, None) });
        assert_eq!(broken_by(&told_of, &node, force), [""; 0]);
    }
}
