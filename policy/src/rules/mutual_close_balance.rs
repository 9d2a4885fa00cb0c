//! `mutual-close-balance`: a mutual close pays us what is ours, but for its own fee.
//!
//! Without it a compromised LND agrees with its peer on a close that gives our balance to the peer: one signature, and
//! the channel is gone. What is ours is our output on the peer's latest commitment, or, where that is not known or not to
//! be believed, what an operator says (`strongroom channel allow-close`): no less than that to the satoshi. Of the peer's
//! commitment we may get less by the fee of this very transaction, at most what closing's highest feerate makes of its weight, or
//! by a small amount that may go to the peer.

use bitcoin::Amount;

use super::Rule;
use crate::case::{Ask, Case, Destination, Spend};
use crate::describe;
use crate::facts::Facts;
use crate::fee_class;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};
use crate::words::{Sat, less, sum};

/// LND has written the close down, and says it again at each connection: all channels with the peer stay down until then.
const WAY_ON: &str =
    "to go on, add the address that is ours under [[allowlist]] of the policy, or close by force";

/// The fee is in what the operator said already.
const WORDS_WAY_ON: &str = "as strongroom channel allow-close said, which can say less";

/// The rule's name.
pub const TAG: Tag = Tag("mutual-close-balance");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "a mutual close pays us at least our latest balance less its fee",
    protects_money: true,
    check,
};

fn check(policy: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    let Spend::MutualClose { our_balance, by_word, .. } = ask.spend else {
        return;
    };
    // The peer has one output. A second one that is not ours is where an honest peer was told to let our share go.
    let strangers = ask.outputs.iter().filter(|output| {
        !matches!(output.to, Destination::OwnWallet(_))
            && policy.allowed.label(&output.script_pubkey).is_none()
    });
    let strangers = strangers.count();
    let payees = describe::payees(policy, ask);
    if strangers > 1 {
        let value = format!("{strangers} outputs neither our wallet's nor on the allowlist, {payees}");
        found.push(Violation::new(TAG, value, format!("one, the peer's; {WAY_ON}")));
    }
    let to_us = ask.outputs.iter().filter(|output| fee_class::is_to_us(policy, output));
    let paid = sum(to_us.map(|output| output.amount));
    // Every feerate that closing permits is one that an honest LND may close at.
    let rate = policy.file.fees.closing.max_rate_sat_per_vb.sat_per_vb();
    let dearest = Amount::from_sat(rate.saturating_mul(fee_class::vbytes(ask)));
    let fee = fee_class::borne_by_us(policy, ask).unwrap_or(Amount::ZERO).min(dearest);
    let most = match by_word {
        true => Amount::ZERO,
        false => policy.file.closing.max_mutual_close_loss_sat.amount().max(fee),
    };
    let lost = less(our_balance, paid);
    if lost > most {
        let elsewhere = if strangers == 0 { String::new() } else { format!("; it pays {payees}") };
        let value = format!("{} to us of our {}, {} less{elsewhere}", Sat(paid), Sat(our_balance), Sat(lost));
        let limit = if by_word {
            format!("at least {} to our wallet or the allowlist, {WORDS_WAY_ON}; {WAY_ON}", Sat(our_balance))
        } else {
            format!("at most {} less, its fee, to our wallet or the allowlist; {WAY_ON}", Sat(most))
        };
        found.push(Violation::new(TAG, value, limit));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    #[test]
    fn a_close_that_pays_us_less_is_refused() {
        for outputs in [
            vec![],
            vec![to_stranger(5_000_000)],
            vec![to_us(949_999), to_stranger(1)],
            // Scripts that are no place for coins of ours.
            vec![output(1_000_000, wsh(5), Destination::OwnChannel)],
            vec![output(1_000_000, wsh(5), Destination::OwnFunding(locator(0, 1)))],
            vec![output(1_000_000, bitcoin::ScriptBuf::new_op_return([0; 4]), Destination::Unspendable)],
        ] {
            assert!(violated(
                TAG,
                &cautious(),
                &spend_case(mutual_close(1_000_000, false), outputs),
                &known()
            ));
        }
    }

    #[test]
    fn a_refusal_names_the_address_and_the_way_on() {
        let outside = output(990_000, wpkh(7), Destination::Stranger);
        let address = describe::payee(&cautious(), &outside);
        assert!(address.contains("1q"), "no address in bech32: {address}");
        let case = spend_case(mutual_close(1_000_000, false), vec![outside, to_stranger(9)]);
        let mut found = Vec::new();
        check(&cautious(), &case, &known(), &mut found);
        assert_eq!(found.len(), 2);
        for violation in found {
            let told = violation.to_string();
            assert!(
                told.contains(&address) && told.contains("[[allowlist]]") && told.contains("by force"),
                "{told}"
            );
        }
    }

    #[test]
    fn two_strangers_are_one_too_many_however_little_is_ours() {
        let outputs = vec![to_stranger(1_000_000), to_stranger(2_000_000)];
        assert!(violated(TAG, &cautious(), &spend_case(mutual_close(1, false), outputs), &known()));
        let outputs = vec![to_stranger(2_000_000)];
        assert!(!violated(TAG, &cautious(), &spend_case(mutual_close(1, false), outputs), &known()));
    }

    /// A close of 190 vB; the peer's balance is 2,000,000 sat.
    fn at_a_fee(ours: u64, theirs: u64, fee: u64) -> Case {
        let kind = Spend::MutualClose {
            channel: outpoint(60),
            our_balance: sat(1_000_000),
            peers_balance: sat(2_000_000),
            htlcs_pending: false,
            by_word: false,
        };
        let mut ask = spend(kind, vec![to_us(ours), to_stranger(theirs)]);
        ask.inputs[0].amount = sat(ours + theirs + fee);
        ask.weight = bitcoin::Weight::from_wu(4 * 190);
        case(Ask::Spend(ask))
    }

    #[test]
    fn a_close_passes_at_every_feerate_that_closing_permits() {
        for rate in [1, 300, 800, 1_200] {
            let fee = rate * 190;
            assert!(
                !violated(TAG, &cautious(), &at_a_fee(1_000_000 - fee, 2_000_000, fee), &known()),
                "{rate}"
            );
        }
        let fee = 1_201 * 190;
        assert!(violated(TAG, &cautious(), &at_a_fee(1_000_000 - fee, 2_000_000, fee), &known()));
    }

    #[test]
    fn what_is_no_fee_goes_to_nobody() {
        // The peer's output grows by what ours lacks, or the peer pays the fee and we lose as much. Each may pay its part.
        assert!(!violated(TAG, &cautious(), &at_a_fee(940_000, 1_940_000, 120_000), &known()));
        assert!(violated(TAG, &cautious(), &at_a_fee(940_000, 2_050_000, 10_000), &known()));
        assert!(violated(TAG, &cautious(), &at_a_fee(900_000, 1_900_000, 100_000), &known()));
    }

    /// The operator's word is held to the satoshi, and to our own addresses.
    #[test]
    fn less_than_an_operator_said_is_refused() {
        let asked = |outputs| spend_case(close_by_word(900_000), outputs);
        for outputs in [
            vec![],
            vec![to_us(899_999), to_stranger(1)],
            vec![to_stranger(900_000)],
            vec![to_us(900_000), to_stranger(5), to_stranger(6)],
        ] {
            assert!(violated(TAG, &cautious(), &asked(outputs), &Facts::default()));
        }
        let mut found = Vec::new();
        check(&cautious(), &asked(vec![to_us(899_999)]), &Facts::default(), &mut found);
        let told = found[0].to_string();
        assert!(told.contains("at least 900,000 sat") && told.contains("channel allow-close"), "{told}");
        let enough = asked(vec![to_us(900_000), to_stranger(90_000)]);
        assert!(!violated(TAG, &cautious(), &enough, &Facts::default()));
    }

    #[test]
    fn our_balance_less_the_fee_passes() {
        let close = |outputs| spend_case(mutual_close(1_000_000, false), outputs);
        assert!(!violated(TAG, &cautious(), &close(vec![to_stranger(9), to_us(950_000)]), &known()));
        // A delivery address of our choice must be on the allowlist.
        assert!(violated(TAG, &cautious(), &close(vec![to_stranger(1_000_000)]), &known()));
        assert!(!violated(TAG, &allowing(&wpkh(9)), &close(vec![to_stranger(1_000_000)]), &known()));
        // Nothing of ours, nothing to be paid.
        assert!(!violated(
            TAG,
            &cautious(),
            &spend_case(mutual_close(0, false), vec![to_stranger(9)]),
            &known()
        ));
    }
}
