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
        let taproot = matches!(
            input.lock,
            Lock::TaprootKeyBip86 | Lock::TaprootKeyTweaked | Lock::TaprootScript
        );
        let sequence = ask.inputs.get(input.index).map(|spent| spent.sequence);
        let (fits, allowed) = match (&ask.spend, taproot) {
            // Anchor channels set the sequence to 1, older ones to 0 (BOLT 3): the form tells which signature is due.
            (Spend::CounterpartyHtlc { .. }, false) => (
                matches!(
                    (input.sighash, sequence),
                    (SINGLE_ANYONECANPAY, Some(1)) | (ALL, Some(0))
                ),
                "0x83 (SINGLE|ANYONECANPAY) with sequence 1, or 0x01 (ALL) with sequence 0",
            ),
            (Spend::CounterpartyHtlc { .. }, true) => (
                input.sighash == SINGLE_ANYONECANPAY,
                "0x83 (SINGLE|ANYONECANPAY)",
            ),
            (_, true) => (
                matches!(input.sighash, DEFAULT | ALL),
                "0x00 (DEFAULT) or 0x01 (ALL)",
            ),
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
