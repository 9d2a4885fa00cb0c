//! Mutual closes and our own commitments.

use anyhow::{Context, Result, ensure};
use bitcoin::absolute::LockTime;
use bitcoin::psbt::PsbtSighashType;
use bitcoin::{OutPoint, Psbt, Sequence};
use strongroom_tests::grpc::OK;

use crate::bed::{Bed, CLOSE, FORCE, QUIET, WORK};
use crate::forge::{
    Keys, Live, NewHtlc, SINGLE_ANYONECANPAY, hash160, htlc, invented, pay, stranger, stranger_p2wsh,
};
use crate::table::End::{Bounded, Closed};
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "close-to-stranger",
        tier: "T0",
        tag: "mutual-close-balance",
        end: Closed,
        line: "a mutual close pays our balance to a stranger",
    },
    Attack {
        name: "close-below-balance",
        tier: "T0",
        tag: "mutual-close-balance",
        end: Closed,
        line: "a mutual close pays us 200,000 sat less than the latest commitment",
    },
    Attack {
        name: "close-to-two-strangers",
        tier: "T0",
        tag: "mutual-close-balance",
        end: Closed,
        line: "two outputs of a mutual close are neither ours nor one peer's",
    },
    Attack {
        name: "close-to-a-2-of-2",
        tier: "T0",
        tag: "mutual-close-balance",
        end: Closed,
        line: "our share goes to a 2-of-2 that holds a key of ours, where the peer can hold it to ransom",
    },
    Attack {
        name: "close-with-htlcs",
        tier: "T0",
        tag: "mutual-close-htlcs",
        end: Closed,
        line: "a mutual close while HTLCs are pending leaves what they hold to the peer",
    },
    Attack {
        name: "close-sighash",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a mutual close signed with NONE, SINGLE or ANYONECANPAY",
    },
    Attack {
        name: "close-of-three-outputs",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a spend of a channel with more outputs than a close has",
    },
    Attack {
        name: "close-beside-another-input",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a close with a second input, so that the channel's money seems to be somebody else's",
    },
    Attack {
        name: "close-of-an-unknown-channel",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a close of a 2-of-2 that no commitment was seen of has no balance to be held to",
    },
    Attack {
        name: "fee-then-close",
        tier: "T0",
        tag: "policy-mutual-value-matches-commitment",
        end: Closed,
        line: "our balance becomes the commitment's fee, and a mutual close gives the fee to the peer",
    },
    Attack {
        name: "close-then-update",
        tier: "T0",
        tag: "channel-frozen",
        end: Closed,
        line: "an honest close is signed, and the channel is to go on",
    },
    Attack {
        name: "another-own-commitment-0",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a second commitment of ours under number 0",
    },
    Attack {
        name: "own-commitment-sighash",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "our own commitment signed with SINGLE|ANYONECANPAY",
    },
    Attack {
        name: "own-commitment-then-update",
        tier: "T0",
        tag: "channel-frozen",
        end: Closed,
        line: "our own old commitment is signed, and the channel is to go on earning",
    },
    Attack {
        name: "second-level-to-stranger",
        tier: "T0",
        tag: "closing-destination",
        end: Closed,
        line: "our HTLC transaction pays a stranger beside the delayed output",
    },
    Attack {
        name: "to-local-beside-second-level",
        tier: "T0",
        tag: "closing-destination",
        end: Closed,
        line: "our own balance goes to a stranger's script in a batch with an HTLC transaction, as if it were an HTLC",
    },
    Attack {
        name: "second-level-with-the-peer",
        tier: "T0",
        tag: "closing-destination",
        end: Bounded(
            "the HTLC, and by the peer's own signature on that very output: a colluding peer takes it with lnd's secrets as well",
        ),
        line: "our HTLC transaction pays another script than our commitment's delayed one, which the peer has signed",
    },
    Attack {
        name: "second-level-to-fees",
        tier: "T0",
        tag: "fee-cap",
        end: Closed,
        line: "our HTLC transaction pays almost all of the HTLC as fee",
    },
    Attack {
        name: "second-level-sighash",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "our HTLC transaction signed with NONE, SINGLE or ANYONECANPAY",
    },
    Attack {
        name: "second-level-of-no-commitment",
        tier: "T0",
        tag: "closing-destination",
        end: Bounded("the HTLC, which opens with the peer's own signature on that very output only"),
        line: "our HTLC transaction on a commitment that was never signed here, as after a store was lost",
    },
];

/// Where an honest close of ours pays: the wallet's address 0/7.
fn home(keys: &Keys) -> Result<bitcoin::ScriptBuf> {
    keys.wallet_script(0, 7)
}

/// Our own commitment `number`, an HTLC of ours on it if `htlc` says so.
pub fn own_commitment(live: &Live, number: u64, outputs: Option<Vec<bitcoin::TxOut>>) -> Result<Psbt> {
    let mut psbt = live.own_zero.clone().context("no own commitment 0")?;
    let numbered = live.at(number)?.psbt.unsigned_tx;
    psbt.unsigned_tx.lock_time = numbered.lock_time;
    psbt.unsigned_tx.input[0].sequence = numbered.input[0].sequence;
    if let Some(outputs) = outputs {
        psbt.outputs = vec![bitcoin::psbt::Output::default(); outputs.len()];
        psbt.unsigned_tx.output = outputs;
    }
    Ok(psbt)
}

/// An HTLC request whose script has our key and the peer's change places: the HTLC is on our own commitment.
fn on_own_commitment(live: &Live, keys: &Keys, sat: u64) -> Result<Psbt> {
    let template = live.incoming.clone().context("no template")?;
    let new = NewHtlc { hash160: hash160(&[90; 32]), sat, cltv: 400 };
    let (_, mut request) = htlc(keys, &template, live.index, new, &stranger_p2wsh(40))?;
    let mut script = request.inputs[0].witness_script.clone().context("no script")?.into_bytes();
    let at: Vec<usize> =
        (1..script.len() - 33).filter(|at| script[at - 1] == 33 && matches!(script[*at], 2 | 3)).collect();
    let [remote, local] = at[..] else { anyhow::bail!("{} keys in an HTLC script", at.len()) };
    let (a, b) = (script[remote..remote + 33].to_vec(), script[local..local + 33].to_vec());
    script[remote..remote + 33].copy_from_slice(&b);
    script[local..local + 33].copy_from_slice(&a);
    let script = bitcoin::ScriptBuf::from_bytes(script);
    request.inputs[0].witness_utxo = Some(pay(script.to_p2wsh(), sat));
    request.inputs[0].witness_script = Some(script);
    request.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(crate::forge::ALL));
    request.unsigned_tx.lock_time = LockTime::from_consensus(400);
    request.unsigned_tx.input[0].sequence = Sequence(1);
    Ok(request)
}

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    closes(score, bed)?;
    score.case("another-own-commitment-0", |row| {
        let (a, live) = bed.with(FORCE);
        let outputs = vec![pay(stranger_p2wsh(41), live.capacity - 1_000)];
        a.refused(row, "another commitment 0", &own_commitment(live, 0, Some(outputs))?)
    });
    score.case("own-commitment-sighash", |row| {
        let (a, live) = bed.with(FORCE);
        let mut psbt = own_commitment(live, 3, None)?;
        psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(SINGLE_ANYONECANPAY));
        a.refused(row, "0x83", &psbt)
    });
    let (a, live) = bed.with(FORCE);
    let mut second_level = on_own_commitment(live, &a.keys, 1_500_000)?;
    // Our own balance beside it.
    let mut to_local = crate::sweeps::delayed(&a.keys, live.index, [9; 32])?;
    to_local.utxo.value = bitcoin::Amount::from_sat(live.capacity - 1_500_000 - 200_000);
    let htlc_output = second_level.inputs[0].witness_utxo.clone().context("no witness_utxo")?;
    score.case("second-level-of-no-commitment", |row| {
        second_level.unsigned_tx.input[0].previous_output = invented("own commitment");
        let mut beside = second_level.clone();
        beside.unsigned_tx.output[0].value = bitcoin::Amount::from_sat(1_400_000);
        beside.unsigned_tx.output.push(pay(stranger(47), 90_000));
        beside.outputs.push(bitcoin::psbt::Output::default());
        let answer = a.sign(&beside)?;
        ensure!(answer.code != OK, "it pays a stranger beside: {row:?}");
        a.signed("an HTLC transaction of a commitment not known", &second_level).map(|_| ())
    });
    score.case("own-commitment-then-update", |row| {
        let outputs = vec![htlc_output.clone(), to_local.utxo.clone(), pay(stranger_p2wsh(43), 150_000)];
        let own = own_commitment(live, 3, Some(outputs))?;
        a.signed("our own commitment 3", &own)?;
        let txid = own.unsigned_tx.compute_txid();
        second_level.unsigned_tx.input[0].previous_output = OutPoint { txid, vout: 0 };
        to_local.outpoint = OutPoint { txid, vout: 1 };
        a.refused_commitment(row, "", &live.next()?)
    });
    score.case("second-level-to-stranger", |row| {
        let mut beside = second_level.clone();
        beside.unsigned_tx.output[0].value = bitcoin::Amount::from_sat(1_400_000);
        beside.unsigned_tx.output.push(pay(stranger(46), 90_000));
        beside.outputs.push(bitcoin::psbt::Output::default());
        a.refused(row, "90,000", &beside)
    });
    score.case("to-local-beside-second-level", |row| {
        let sat = to_local.utxo.value.to_sat();
        let htlc = (second_level.unsigned_tx.input[0].previous_output, htlc_output.clone());
        let outputs = vec![pay(stranger_p2wsh(44), sat), pay(stranger_p2wsh(40), 1_400_000)];
        a.refused(row, "", &to_local.pays_beside(htlc, outputs)?)
    });
    score.case("second-level-to-fees", |row| {
        let mut burnt = second_level.clone();
        burnt.unsigned_tx.output[0].value = bitcoin::Amount::from_sat(100_000);
        a.refused(row, "", &burnt)
    });
    // The output is not the delayed one, and nothing shows it: what the peer signs it for is between the two.
    score.case("second-level-with-the-peer", |_| {
        let mut elsewhere = second_level.clone();
        elsewhere.unsigned_tx.output[0] = pay(stranger_p2wsh(45), 1_500_000);
        a.signed("an HTLC transaction to a script of the peer's", &elsewhere).map(|_| ())
    });
    score.case("second-level-sighash", |row| {
        for sighash in [0x02, 0x03, 0x81, 0x82, SINGLE_ANYONECANPAY] {
            let mut psbt = second_level.clone();
            psbt.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(sighash));
            a.refused(row, "signed with ALL", &psbt)?;
        }
        Ok(())
    });
    Ok(())
}

fn closes(score: &mut Score, bed: &mut Bed) -> Result<()> {
    score.case("close-to-stranger", |row| {
        let (a, live) = bed.with(CLOSE);
        a.refused(
            row,
            "0 sat to us",
            &live.funding_spent()?.pays(vec![pay(stranger(20), live.balance() - 500)])?,
        )
    });
    score.case("close-below-balance", |row| {
        let (a, live) = bed.with(CLOSE);
        let outputs = vec![pay(home(&a.keys)?, live.balance() - 200_000), pay(stranger(21), 250_000)];
        a.refused(row, "200,000", &live.funding_spent()?.pays(outputs)?)
    });
    score.case("close-to-two-strangers", |row| {
        let (a, live) = bed.with(CLOSE);
        let outputs = vec![pay(stranger(22), live.balance() - 500), pay(stranger(23), 90_000)];
        a.refused(row, "2 outputs", &live.funding_spent()?.pays(outputs)?)
    });
    score.case("close-to-a-2-of-2", |row| {
        let hostage = bed.lives[QUIET].funding_spent()?.utxo.script_pubkey;
        let (a, live) = bed.with(CLOSE);
        a.refused(row, "", &live.funding_spent()?.pays(vec![pay(hostage, live.balance() - 500)])?)
    });
    score.case("close-with-htlcs", |row| {
        let (a, live) = bed.with(WORK);
        a.refused(row, "", &live.funding_spent()?.pays(vec![pay(home(&a.keys)?, live.balance() - 500)])?)
    });
    score.case("close-sighash", |row| {
        let (a, live) = bed.with(CLOSE);
        for sighash in [0x02, 0x03, 0x81, 0x82, SINGLE_ANYONECANPAY] {
            let mut spent = live.funding_spent()?;
            spent.sighash = sighash;
            a.refused(row, "SIGHASH_ALL", &spent.pays(vec![pay(home(&a.keys)?, live.balance() - 500)])?)?;
        }
        Ok(())
    });
    score.case("close-of-three-outputs", |row| {
        let (a, live) = bed.with(CLOSE);
        let ours = pay(home(&a.keys)?, live.balance() - 500);
        let outputs = vec![ours, pay(stranger(24), 40_000), pay(stranger(25), 40_000)];
        a.refused(row, "", &live.funding_spent()?.pays(outputs)?)
    });
    score.case("close-beside-another-input", |row| {
        let (a, live) = bed.with(CLOSE);
        let outputs = vec![pay(home(&a.keys)?, live.balance() - 500)];
        let other = (invented("beside a close"), pay(stranger(26), 10_000));
        a.refused(row, "beside other inputs", &live.funding_spent()?.pays_beside(other, outputs)?)
    });
    score.case("close-of-an-unknown-channel", |row| {
        let (a, live) = bed.with(CLOSE);
        let mut spent = live.funding_spent()?;
        spent.outpoint = invented("another funding");
        a.refused(row, "no commitment was seen", &spent.pays(vec![pay(stranger(27), 4_000_000)])?)
    });
    score.case("fee-then-close", |row| {
        let (a, live) = bed.with(CLOSE);
        let mut burnt = live.next()?;
        burnt.take(&live.to_remote, 900_000)?;
        a.advance(live, &burnt)?;
        let ours = live.balance() - 500;
        let outputs = vec![pay(home(&a.keys)?, ours), pay(stranger(29), live.capacity - ours - 500)];
        a.refused(row, "", &live.funding_spent()?.pays(outputs)?)
    });
    score.case("close-then-update", |row| {
        let (a, live) = bed.with(CLOSE);
        let mut latest = live.next()?;
        let to_local = latest.to_local.clone();
        let theirs = latest.output(&to_local)?.value.to_sat();
        let close = live
            .funding_spent()?
            .pays(vec![pay(home(&a.keys)?, live.capacity - theirs - 1_000), pay(stranger(28), theirs)])?;
        let answer = a.sign(&close)?;
        ensure!(answer.code == OK, "an honest close is refused: {}", answer.message);
        a.refused_commitment(row, "", &live.next()?)
    });
    Ok(())
}
