//! A day of an ordinary LND under the cautious profile, with its charges booked: nothing is refused.

use bitcoin::Amount;

use crate::case::*;
use crate::facts::{Facts, KnownFunding};
use crate::fixture::*;
use crate::{Policy, Velocity, Verdict};

/// Books as a journal keeps them.
struct Day {
    policy: Policy,
    now: u64,
    facts: Facts,
    outflow: Velocity,
    fees: Velocity,
    closing_fees: Velocity,
    decided: u32,
}

impl Day {
    fn new() -> Self {
        let policy = allowing(&wpkh(200));
        let [outflow, fees, closing_fees] = std::array::from_fn(|_| Velocity::new(policy.window()));
        Self { policy, now: 1_700_000_000, facts: Facts::default(), outflow, fees, closing_fees, decided: 0 }
    }

    fn decide(&mut self, case: &Case, facts: Facts) -> Verdict {
        self.now += 20;
        self.decided += 1;
        let facts = Facts {
            now: self.now,
            outflow_in_window: self.outflow.sum(self.now),
            fees_in_window: self.fees.sum(self.now),
            closing_fees_in_window: self.closing_fees.sum(self.now),
            ..facts
        };
        self.policy.decide(case, &facts)
    }

    /// Asks with the standing facts and books what it costs.
    fn allowed(&mut self, case: &Case) {
        let facts = self.facts.clone();
        self.allowed_with(case, facts);
    }

    fn allowed_with(&mut self, case: &Case, facts: Facts) {
        let verdict = self.decide(case, facts);
        assert!(verdict.allowed(), "request {}: {:?}", self.decided, verdict.enforced);
        self.outflow.add(self.now, verdict.charges.outflow);
        self.fees.add(self.now, verdict.charges.fee);
        self.closing_fees.add(self.now, verdict.charges.closing_fee);
        self.facts.unmatched_funding += verdict.charges.unmatched_funding;
        self.facts.unmatched_funding_count += verdict.charges.unmatched_funding_count;
        self.facts.force_closes_in_window += u32::from(verdict.charges.force_close);
    }

    fn refused(&mut self, case: &Case, tag: &str) {
        let verdict = self.decide(case, self.facts.clone());
        assert!(verdict.enforced.iter().any(|violation| violation.tag == tag), "{:?}", verdict.enforced);
    }

    fn start(&mut self) {
        self.allowed(&message(locator(6, 0), MessageKind::NodeAnnouncement));
        self.allowed(&ecdh(locator(6, 0), None));
        self.allowed(&ecdh(locator(8, 0), None));
    }

    fn announce(&mut self, n: u32) {
        self.allowed(&message(locator(6, 0), MessageKind::ChannelUpdate));
        for key in [locator(6, 0), locator(0, n)] {
            let facts = Facts { announced: announcing(1, None, 10_000_000).announced, ..self.facts.clone() };
            self.allowed_with(&message(key, MessageKind::ChannelAnnouncement { names_key: true }), facts);
        }
    }

    /// A channel that we fund: reservation, funding transaction (two inputs, so two requests), first commitments.
    fn open(&mut self, n: u32, capacity: u64) {
        self.allowed(&ecdh(locator(5, n + 1), Some(locator(0, n))));
        self.facts.open_reservations += 1;
        let funding = with_fee(Spend::Onchain, vec![to_funding(capacity), to_us(30_000_000)], 5_500);
        self.allowed(&funding);
        self.allowed_with(&funding, Facts { already_charged: true, ..self.facts.clone() });
        self.facts.channel_known = false;
        self.facts.funded_by_us = sat(capacity);
        self.allowed(&commitment(theirs(0), capacity - 3_660, 0));
        self.matched(capacity);
        self.allowed(&commitment(ours(0), 0, capacity - 3_660));
        self.announce(n);
    }

    /// A channel that the peer funds. We have no balance, so the first commitment looks like one of ours.
    fn opened_by_peer(&mut self, n: u32, capacity: u64) {
        self.allowed(&ecdh(locator(5, n + 1), Some(locator(0, n))));
        self.facts.open_reservations += 1;
        self.facts.channel_known = false;
        self.facts.funded_by_us = Amount::ZERO;
        self.allowed(&commitment(ours(0), 0, capacity - 3_660));
        self.facts.channels_total += sat(capacity);
        self.facts.open_reservations -= 1;
        self.facts.channel_known = true;
        self.allowed(&commitment(theirs(0), 0, capacity - 3_660));
        self.announce(n);
    }

    fn matched(&mut self, capacity: u64) {
        self.facts.unmatched_funding -= sat(capacity);
        self.facts.unmatched_funding_count -= 1;
        self.facts.open_reservations -= 1;
        self.facts.channels_total += sat(capacity);
        self.facts.channel_known = true;
    }

    /// A payment out and one in: commitments with the HTLC and without, the HTLC's signature, onions, an invoice.
    fn payments(&mut self, number: u64) {
        for step in 0..3 {
            self.allowed(&commitment(theirs(number + step), 4_000_000, 5_900_000));
            self.allowed(&spend_case(peers_htlc(40_000), vec![to_stranger(39_000)]));
        }
        self.allowed(&ecdh(locator(6, 0), None));
        self.allowed(&ecdh(locator(6, 0), None));
        self.allowed(&message(locator(6, 0), MessageKind::Invoice { amount_msat: Some(40_000_000) }));
    }

    fn closed_together(&mut self) {
        let outputs = vec![to_us(4_002_000), to_stranger(5_900_000)];
        self.allowed(&with_fee(mutual_close(4_000_000, false), outputs, 1_660));
        self.facts.channels_total -= sat(10_000_000);
    }

    /// Own commitment, bumps of its anchor, HTLC transactions in one batch, then the sweep.
    fn force_closed(&mut self, number: u64) {
        self.allowed(&commitment(ours(number), 0, 9_990_000));
        for bump in 0..3u64 {
            let mut ask = spend(Spend::Sweep(SweepOf::Anchor), vec![to_us(200_000)]);
            // The child pays for the commitment: 400 sat/vB and more. The wallet's signature is asked for first.
            let fee = 60_000 * (bump + 1);
            ask.inputs[1].amount = sat(200_000 + fee - 330);
            ask.claimed = sat(9_990_000);
            let mut by_wallet = ask.clone();
            by_wallet.signed =
                vec![SignedInput { index: 1, ..spend(Spend::Onchain, vec![]).signed.remove(0) }];
            self.replacing(by_wallet, fee - 60_000);
            let again = Facts { already_charged: true, ..self.facts.clone() };
            self.allowed_with(&case(Ask::Spend(ask)), again);
        }
        let delayed = || output(39_000, wsh(90), Destination::OwnChannel);
        let mut ask = spend(our_htlc(), vec![delayed(), delayed(), to_us(80_000)]);
        ask.inputs = vec![input(40, 39_000), input(41, 39_000), input(42, 90_000)];
        ask.claimed = sat(78_000);
        self.allowed(&case(Ask::Spend(ask)));
        for bump in 0..3u64 {
            let fee = 3_000 * (bump + 1);
            let Ask::Spend(ask) =
                with_fee(Spend::Sweep(SweepOf::Delayed), vec![to_us(4_078_000 - fee)], fee).ask
            else {
                unreachable!("a spend case asks for a spend")
            };
            self.replacing(ask, fee - 3_000);
        }
        self.facts.channels_total -= sat(10_000_000);
    }

    /// A fee bump: another transaction on the same outpoints, of which the last one's charge counts.
    fn replacing(&mut self, ask: SpendAsk, replaced: u64) {
        self.allowed_with(
            &case(Ask::Spend(ask)),
            Facts { replaced_closing_fee: sat(replaced), ..self.facts.clone() },
        );
    }
}

/// Channels of a node that closes all of them at once: number, what each pays us beside its HTLCs, HTLCs in each, and what
/// an HTLC holds.
struct Closing {
    channels: u64,
    balance: u64,
    htlcs: u64,
    htlc: u64,
}

impl Closing {
    /// LND's budget: half of what is claimed, whatever the market asks.
    fn fee(rate: u64, vbytes: u64, claimed: u64) -> u64 {
        (rate * vbytes).min(claimed / 2)
    }

    /// All that LND asks for when it closes all channels at `rate` sat/vB, by BOLT 3's weights. It bumps anchors block after
    /// block, and joins up to a hundred HTLCs in one transaction.
    fn close_all(&self, day: &mut Day, rate: u64) {
        let held = self.htlcs * self.htlc;
        for _ in 0..self.channels {
            day.allowed(&commitment(ours(1_000), 0, self.balance + held));
            // The commitment pays a tenth of the rate itself; the child of 230 vB pays the rest for both.
            let (child, both) = (230, 280 + 43 * self.htlcs + 230);
            let most = Self::fee(rate, both, held).min(1_000 * child);
            let mut before = 0;
            for block in 1..=3 {
                let fee = most * block / 3;
                let mut ask = spend(Spend::Sweep(SweepOf::Anchor), vec![to_us(500_000)]);
                ask.inputs[1].amount = sat(500_000 + fee - 330);
                ask.claimed = sat(330 + self.balance + held);
                ask.weight = bitcoin::Weight::from_wu(4 * child);
                day.replacing(ask, before);
                before = fee;
            }
        }
        let mut left = self.channels * self.htlcs;
        while left > 0 {
            let batch = left.min(100);
            left -= batch;
            let claimed = batch * self.htlc;
            let fee = Self::fee(rate, 166 * batch + 110, claimed);
            let delayed = (0..batch).map(|_| output(self.htlc, wsh(90), Destination::OwnChannel));
            let mut ask = spend(our_htlc(), delayed.chain([to_us(9_000)]).collect());
            ask.inputs = vec![input(40, claimed), input(41, 9_000 + fee)];
            (ask.claimed, ask.weight) = (sat(claimed), bitcoin::Weight::from_wu(4 * (166 * batch + 110)));
            day.allowed(&case(Ask::Spend(ask)));
            // And its delayed outputs, later.
            self.collect(day, SweepOf::Delayed, Self::fee(rate, 120 * batch, claimed), claimed, 120 * batch);
        }
        for of in [SweepOf::Delayed, SweepOf::ToRemote] {
            for _ in 0..self.channels / 2 {
                self.collect(day, of, Self::fee(rate, 130, self.balance), self.balance, 130);
            }
        }
    }

    fn collect(&self, day: &mut Day, of: SweepOf, fee: u64, claimed: u64, vbytes: u64) {
        if claimed == 0 {
            return;
        }
        let mut ask = spend(Spend::Sweep(of), vec![to_us(claimed - fee)]);
        ask.inputs[0].amount = sat(claimed);
        (ask.claimed, ask.weight) = (sat(claimed), bitcoin::Weight::from_wu(4 * vbytes));
        day.allowed(&case(Ask::Spend(ask)));
    }
}

/// A spend with this fee.
fn with_fee(kind: Spend, outputs: Vec<OutputFact>, fee: u64) -> Case {
    let paid: u64 = outputs.iter().map(|o| o.amount.to_sat()).sum();
    let mut ask = spend(kind, outputs);
    ask.inputs[0].amount = sat(paid + fee);
    case(Ask::Spend(ask))
}

/// An anchor commitment that pays us `to_remote` and others `rest`; an amount of zero has no output.
fn commitment(kind: Spend, to_remote: u64, rest: u64) -> Case {
    let anchor = || output(330, wsh(70), Destination::OwnChannel);
    let mut outputs = vec![anchor(), anchor()];
    if to_remote > 0 {
        outputs.push(output(to_remote, wsh(71), Destination::OwnChannel));
    }
    if rest > 0 {
        outputs.push(output(rest, wsh(72), Destination::Stranger));
    }
    with_fee(kind, outputs, 3_000)
}

#[test]
fn an_ordinary_day_is_allowed() {
    let mut day = Day::new();
    day.start();
    for n in 0..20 {
        if n % 4 == 3 { day.opened_by_peer(n, 10_000_000) } else { day.open(n, 10_000_000) }
    }
    day.facts.channel_known = true;
    day.facts.funded_by_us = Amount::ZERO;
    for round in 0..300 {
        day.payments(3 * round);
    }
    for _ in 0..10 {
        day.closed_together();
        day.force_closed(1_000);
    }
    // Any amount to the allowlist, little amounts to strangers until the day's allowance is used up.
    let reserve = output(300_000_000, wpkh(200), Destination::Stranger);
    day.allowed(&with_fee(Spend::Onchain, vec![reserve, to_us(9_000)], 4_000));
    for _ in 0..5 {
        day.allowed(&with_fee(Spend::Onchain, vec![to_stranger(1_000_000), to_us(9_000)], 3_500));
    }
    day.refused(&with_fee(Spend::Onchain, vec![to_stranger(1), to_us(9_000)], 200), "outflow-window");
    assert!(day.decided > 2_800);
    // A day later the allowance is back.
    day.now += 86_400 + 900;
    day.allowed(&with_fee(Spend::Onchain, vec![to_stranger(1_000_000), to_us(9_000)], 3_500));
}

/// PSBT funding shows the first commitment before the funding transaction.
#[test]
fn a_channel_funded_by_psbt_is_allowed() {
    let mut day = Day::new();
    day.facts.open_reservations = 1;
    day.allowed(&commitment(theirs(0), 9_996_340, 0));
    day.facts.open_reservations = 0;
    let funding = output(10_000_000, wsh(5), Destination::OwnFunding(locator(0, 1)));
    let seen = KnownFunding { output: 1, capacity: sat(10_000_000), pushed: Amount::ZERO };
    day.facts.known_fundings = vec![seen];
    day.allowed(&with_fee(Spend::Onchain, vec![to_us(700), funding], 4_000));
    assert_eq!(day.facts.unmatched_funding_count, 0);
}

/// With a watchtower each revoked state is backed up as a justice transaction; none of them confirms.
#[test]
fn a_watchtower_client_does_not_use_up_the_fees() {
    let mut day = Day::new();
    day.facts = known();
    for _ in 0..2_000 {
        day.allowed(&with_fee(Spend::Justice, vec![to_us(9_900_000)], 60_000));
    }
    assert_eq!((day.fees.sum(day.now), day.closing_fees.sum(day.now)), (Amount::ZERO, Amount::ZERO));
}

/// Every channel that the profile permits is closed by force within a day, at any rate of the market, while the windows on
/// what leaves are full: all of it is signed. Large channels and small ones, with few HTLCs and many.
#[test]
fn all_channels_come_home_in_a_fee_spike() {
    for rate in [1, 20, 60, 150, 300] {
        for closing in [
            Closing { channels: 30, balance: 16_000_000, htlcs: 2, htlc: 300_000 },
            Closing { channels: 30, balance: 5_000_000, htlcs: 50, htlc: 100_000 },
            Closing { channels: 30, balance: 9_000_000, htlcs: 483, htlc: 2_000 },
            Closing { channels: 100, balance: 4_000_000, htlcs: 10, htlc: 90_000 },
            Closing { channels: 250, balance: 800_000, htlcs: 5, htlc: 240_000 },
            Closing { channels: 1_000, balance: 400_000, htlcs: 1, htlc: 60_000 },
            Closing { channels: 60, balance: 0, htlcs: 1, htlc: 8_000_000 },
        ] {
            let mut day = Day::new();
            day.facts = Facts {
                unauthorized_in_window: Amount::MAX_MONEY,
                unexplained_in_window: Amount::MAX_MONEY,
                ..known()
            };
            day.outflow.add(day.now, Amount::MAX_MONEY);
            day.fees.add(day.now, Amount::MAX_MONEY);
            closing.close_all(&mut day, rate);
        }
    }
}

/// What a compromised LND burns by claims: no more than the share of what it claims by one, and the window by all.
#[test]
fn claims_burn_a_share_and_a_window() {
    let mut day = Day::new();
    let claim = |fee: u64| {
        let mut ask =
            spend(our_htlc(), vec![output(10_000_000, wsh(90), Destination::OwnChannel), to_us(50_000_000)]);
        ask.inputs = vec![input(40, 10_000_000), input(41, 50_000_000 + fee)];
        (ask.claimed, ask.weight) = (sat(10_000_000), bitcoin::Weight::from_wu(400_000));
        case(Ask::Spend(ask))
    };
    day.refused(&claim(5_000_001), "fee-cap");
    for _ in 0..50 {
        day.allowed(&claim(5_000_000));
    }
    // Above what a wallet spend may cost. Below it, the wallet's window is the last.
    day.refused(&claim(200_001), "fee-window");
    for _ in 0..25 {
        day.allowed(&claim(200_000));
    }
    day.refused(&claim(1_000), "fee-window");
}
