//! Weight of a transaction before it is signed, for fee rates.

use bitcoin::{Script, Weight};
use strongroom_policy::case::Lock;

use crate::psbt::{SignRequest, ToSign};
use crate::script::{ChannelScript, HtlcKind};

// Witness sizes in weight units, counts and lengths included; signatures as lnd's `input/size.go` counts them.
const SIGNATURE: usize = 1 + 73;
const KEY: usize = 1 + 33;
const SCHNORR: usize = 1 + 64;
const PREIMAGE: usize = 1 + 32;
const COUNT: usize = 1;

/// Weight with estimated witnesses. Of an input that is not to be signed now the script is not shown: a P2WSH output counts
/// as an HTLC, the heaviest of a channel's, since lnd joins a hundred of them and asks for one signature at a time; of the
/// rest the smallest witness that can open them is taken: too small a weight only makes a fee rate look higher.
pub fn estimate(request: &SignRequest) -> Weight {
    let transaction = request.transaction();
    let mut signed = request.to_sign().iter().peekable();
    let witnesses: usize = request
        .spent()
        .iter()
        .enumerate()
        .map(|(index, spent)| match signed.next_if(|to_sign| to_sign.index == index) {
            Some(to_sign) => witness(to_sign),
            None => unseen_witness(&spent.output.script_pubkey),
        })
        .sum();
    // Nested inputs carry a script_sig, which the unsigned transaction lacks.
    let script_sigs = request.spent().iter().filter(|s| s.output.script_pubkey.is_p2sh()).count() * 23;
    // The unsigned transaction has neither marker nor flag.
    let base = (transaction.base_size() + script_sigs) * 4;
    Weight::from_wu_usize(base + 2 + witnesses)
}

/// Witness of the wallet's smallest input that needs a key and a signature.
pub(crate) const WALLET_WITNESS: usize = COUNT + SIGNATURE + KEY;
/// Witness of a 2-of-2, whose script has 71 bytes (BOLT 3).
pub(crate) const FUNDING_WITNESS: usize = COUNT + 1 + 2 * SIGNATURE + 1 + 71;

/// Witness of a second-level HTLC transaction with a preimage, whose script has 142 bytes (BOLT 3, anchors).
const HTLC_WITNESS: usize = COUNT + 1 + 2 * SIGNATURE + PREIMAGE + 1 + 142;

/// Weight of a commitment with anchors and so many outputs beside them, P2WSH each.
pub(crate) fn commitment(outputs: usize) -> Weight {
    // The outputs' count takes three bytes at most, as BOLT 3 reckons.
    let base = 4 + 1 + (36 + 1 + 4) + 3 + 43 * (2 + outputs) + 4;
    Weight::from_wu_usize(base * 4 + 2 + FUNDING_WITNESS)
}

/// Weight, in whole virtual bytes, of a transaction not made yet: one input, and outputs to these scripts.
pub(crate) fn foreseen<'a>(scripts: impl Iterator<Item = &'a Script>, witness: usize) -> Weight {
    let outputs: usize = scripts.map(|script| 8 + length(script.len()) + script.len()).sum();
    // Version, counts, outpoint with its empty script_sig and sequence, lock time.
    let base = 4 + 1 + (36 + 1 + 4) + 1 + outputs + 4;
    Weight::from_wu_usize((base * 4 + 2 + witness).div_ceil(4) * 4)
}

fn witness(to_sign: &ToSign) -> usize {
    let script = to_sign.script.len();
    let with_script = |items: usize| COUNT + items + length(script) + script;
    match to_sign.lock {
        Lock::P2wpkh | Lock::P2shP2wpkh => COUNT + SIGNATURE + KEY,
        Lock::TaprootKeyBip86 | Lock::TaprootKeyTweaked => {
            COUNT + SCHNORR + usize::from(to_sign.sighash != 0)
        }
        Lock::TaprootScript => with_script(SCHNORR + 1 + 33),
        Lock::P2wsh => match ChannelScript::parse(&to_sign.script) {
            Some(ChannelScript::Funding(_)) => with_script(1 + 2 * SIGNATURE),
            Some(ChannelScript::Delayed(_)) => with_script(SIGNATURE + 1),
            Some(ChannelScript::Htlc(htlc)) => {
                // Through the 2-of-2 branch: an empty element, two signatures, and preimage or nothing.
                let preimage = match htlc.kind {
                    HtlcKind::Received { .. } => PREIMAGE,
                    HtlcKind::Offered => 1,
                };
                let own = to_sign.public_key.serialize();
                if own == htlc.local_key || to_sign.sighash & 0x80 != 0 {
                    with_script(1 + 2 * SIGNATURE + preimage)
                } else {
                    with_script(SIGNATURE + 1)
                }
            }
            Some(ChannelScript::ToRemote(_) | ChannelScript::Anchor(_)) | None => with_script(SIGNATURE),
        },
    }
}

fn unseen_witness(script_pubkey: &Script) -> usize {
    if script_pubkey.is_p2wsh() {
        HTLC_WITNESS
    } else if script_pubkey.is_p2tr() {
        COUNT + SCHNORR
    } else {
        COUNT + SIGNATURE + KEY
    }
}

fn length(bytes: usize) -> usize {
    if bytes < 0xfd { 1 } else { 3 }
}
