//! `sighash`: a signature covers the whole transaction, except where the protocol says otherwise.
//!
//! Without it a signature with NONE, SINGLE or ANYONECANPAY is a blank cheque: whoever holds it replaces the outputs or
//! joins the input to another transaction. Only the peer's HTLC transactions on anchor channels need SINGLE|ANYONECANPAY
//! (BOLT 3); on older channels they need ALL. Taproot may say DEFAULT.

use super::Rule;
use crate::case::{Ask, Case, Lock, Spend};
use crate::describe;
use crate::facts::Facts;
use crate::policy::Policy;
use crate::violation::{Tag, Violation};

/// The rule's name.
pub const TAG: Tag = Tag("sighash");

pub(super) const RULE: Rule = Rule {
    tag: TAG,
    summary: "signatures commit to all outputs; SINGLE|ANYONECANPAY for the peer's anchor HTLC transactions only",
    protects_money: true,
    check,
};

const DEFAULT: u32 = 0x00;
const ALL: u32 = 0x01;
const SINGLE_ANYONECANPAY: u32 = 0x83;

fn check(_: &Policy, case: &Case, _: &Facts, found: &mut Vec<Violation>) {
    let Ask::Spend(ask) = &case.ask else { return };
    for input in &ask.signed {
        let taproot =
            matches!(input.lock, Lock::TaprootKeyBip86 | Lock::TaprootKeyTweaked | Lock::TaprootScript);
        let sequence = ask.inputs.get(input.index).map(|spent| spent.sequence);
        let (fits, allowed) = match (&ask.spend, taproot) {
            // Anchor channels set the sequence to 1, older ones to 0 (BOLT 3): the form tells which signature is due.
            (Spend::CounterpartyHtlc { .. }, false) => (
                matches!((input.sighash, sequence), (SINGLE_ANYONECANPAY, Some(1)) | (ALL, Some(0))),
                "0x83 (SINGLE|ANYONECANPAY) with sequence 1, or 0x01 (ALL) with sequence 0",
            ),
            (Spend::CounterpartyHtlc { .. }, true) => {
                (input.sighash == SINGLE_ANYONECANPAY, "0x83 (SINGLE|ANYONECANPAY)")
            }
            (_, true) => (matches!(input.sighash, DEFAULT | ALL), "0x00 (DEFAULT) or 0x01 (ALL)"),
            (_, false) => (input.sighash == ALL, "0x01 (ALL)"),
        };
        if !fits {
            let sequence = sequence.map_or("no".to_owned(), |s| format!("{s:#x}"));
            let kind = describe::kind(&ask.spend);
            let value = format!(
                "input {}: sighash {:#04x}, sequence {sequence}, for {kind}",
                input.index, input.sighash
            );
            found.push(Violation::new(TAG, value, allowed));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;

    fn signed(kind: Spend, lock: Lock, sighash: u32, sequence: u32) -> Case {
        let mut ask = spend(kind, vec![to_us(1)]);
        ask.signed[0].lock = lock;
        ask.signed[0].sighash = sighash;
        ask.inputs[0].sequence = sequence;
        case(Ask::Spend(ask))
    }

    #[test]
    fn blank_cheques_are_refused() {
        for kind in [Spend::Onchain, theirs(1), ours(0), our_htlc(), mutual_close(1, false), Spend::Justice] {
            for sighash in [0x00, 0x02, 0x03, 0x41, 0x81, 0x82, 0x83, 0x1_0001, u32::MAX] {
                assert!(violated(TAG, &cautious(), &signed(kind.clone(), Lock::P2wsh, sighash, 1), &known()));
            }
            for sighash in [0x02, 0x03, 0x81, 0x83] {
                assert!(violated(
                    TAG,
                    &cautious(),
                    &signed(kind.clone(), Lock::TaprootKeyBip86, sighash, 1),
                    &known()
                ));
            }
        }
    }

    #[test]
    fn the_peers_htlc_has_one_form_for_anchors_and_one_before_them() {
        for (sighash, sequence) in
            [(0x83, 0), (0x83, 2), (0x83, 0xffff_ffff), (0x01, 1), (0x81, 1), (0x03, 1)]
        {
            assert!(violated(
                TAG,
                &cautious(),
                &signed(peers_htlc(5), Lock::P2wsh, sighash, sequence),
                &known()
            ));
        }
        for (sighash, sequence) in [(0x83, 1), (0x01, 0)] {
            assert!(!violated(
                TAG,
                &cautious(),
                &signed(peers_htlc(5), Lock::P2wsh, sighash, sequence),
                &known()
            ));
        }
        assert!(violated(TAG, &cautious(), &signed(peers_htlc(5), Lock::TaprootScript, 0, 1), &known()));
        assert!(!violated(TAG, &cautious(), &signed(peers_htlc(5), Lock::TaprootScript, 0x83, 1), &known()));
    }

    #[test]
    fn all_passes_and_taproot_default_too() {
        assert!(!violated(TAG, &cautious(), &signed(Spend::Onchain, Lock::P2wpkh, 1, 0), &known()));
        for sighash in [0, 1] {
            assert!(!violated(
                TAG,
                &cautious(),
                &signed(Spend::Onchain, Lock::TaprootKeyBip86, sighash, 0),
                &known()
            ));
        }
    }
}
