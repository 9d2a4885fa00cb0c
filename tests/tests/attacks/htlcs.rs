//! The peer's HTLC transactions: signatures with SINGLE|ANYONECANPAY, which anybody may add outputs to.

use anyhow::{Context, Result};
use bitcoin::Amount;
use bitcoin::psbt::PsbtSighashType;

use crate::bed::{Bed, QUIET, WORK};
use crate::forge::{Draft, NewHtlc, hash160, htlc, invented, pay, stranger, stranger_p2wsh};
use crate::table::End::Closed;
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "htlc-then-another-commitment",
        tier: "T0",
        tag: "unexplained-output",
        end: Closed,
        line: "HTLC transactions of one commitment are asked for, and another commitment under the same number is to be signed with them",
    },
    Attack {
        name: "htlc-that-the-commitment-lacks",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "an HTLC transaction on an output that turns out to be the peer's balance",
    },
    Attack {
        name: "htlc-answer-after-restart",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "the same, with a restart of the daemon between the two requests",
    },
    Attack {
        name: "htlc-answer-after-a-flood",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "the same, with HTLC transactions of 4,200 other commitments and a restart between the two, so that the first is kept no longer",
    },
    Attack {
        name: "htlc-with-another-amount",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "an HTLC transaction for less than the commitment's output holds",
    },
    Attack {
        name: "htlc-after-release",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "SINGLE|ANYONECANPAY on an output of a commitment that is signed already",
    },
    Attack {
        name: "htlc-answered-twice",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "the same HTLC output once more, to another script",
    },
    Attack {
        name: "htlc-on-an-old-commitment",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "SINGLE|ANYONECANPAY on a commitment that was replaced",
    },
    Attack {
        name: "htlc-after-same-number",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "after a second commitment of the same number, another answer for the first one's HTLC",
    },
    Attack {
        name: "htlcs-to-two-scripts",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "two HTLC transactions of one commitment pay two scripts",
    },
    Attack {
        name: "htlc-to-an-address",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "the peer's HTLC transaction pays a plain address instead of a delayed output",
    },
    Attack {
        name: "htlc-shape",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "an HTLC transaction of two outputs",
    },
    Attack {
        name: "htlc-timeout-at-once",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "the peer's timeout transaction without its locktime",
    },
    Attack {
        name: "htlc-sighash",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "the peer's HTLC transaction signed with NONE, SINGLE or ALL|ANYONECANPAY",
    },
    Attack {
        name: "htlc-key-of-another-channel",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "an HTLC of one channel's commitment signed with another's HTLC key",
    },
];

/// A commitment that gives `sat` away, and an HTLC request on its output that is the peer's balance.
fn lacking(bed: &mut Bed, sat: u64) -> Result<(Draft, bitcoin::Psbt)> {
    let (a, live) = bed.with(QUIET);
    let template = live.offered.clone().context("no template")?;
    let mut draft = live.next()?;
    draft.give(sat)?;
    let new = NewHtlc { hash160: hash160(&[62; 32]), sat: 30_000, cltv: 400 };
    let (_, mut request) = htlc(&a.keys, &template, live.index, new, &draft.to_local)?;
    let outputs = &draft.psbt.unsigned_tx.output;
    let vout = outputs.iter().position(|o| o.script_pubkey == draft.to_local).context("no to_local")?;
    request.unsigned_tx.input[0].previous_output = bitcoin::OutPoint::new(draft.txid(), u32::try_from(vout)?);
    Ok((draft, request))
}

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    let new = |n: u8| NewHtlc { hash160: hash160(&[n; 32]), sat: 30_000, cltv: 400 };
    score.case("htlc-then-another-commitment", |row| {
        let (a, live) = bed.with(QUIET);
        let template = live.offered.clone().context("no template")?;
        let mut shown = live.next()?;
        shown.htlc(&a.keys, &template, new(60))?;
        for request in shown.htlc_requests()? {
            a.signed("an HTLC transaction", &request)?;
        }
        let mut asked = live.next()?;
        asked.htlc(&a.keys, &template, new(61))?;
        a.refused(row, "", &asked.psbt)
    });
    score.case("htlc-that-the-commitment-lacks", |row| {
        let (draft, request) = lacking(bed, 2_000)?;
        bed.attacker.signed("a made-up HTLC transaction", &request)?;
        bed.attacker.refused(row, "no such output", &draft.psbt)
    });
    score.case("htlc-answer-after-restart", |row| {
        let (draft, request) = lacking(bed, 3_000)?;
        bed.attacker.signed("a made-up HTLC transaction", &request)?;
        bed.restart(None)?;
        bed.attacker.refused(row, "no such output", &draft.psbt)
    });
    score.case("htlc-answer-after-a-flood", |row| {
        let (draft, request) = lacking(bed, 4_000)?;
        bed.attacker.signed("a made-up HTLC transaction", &request)?;
        bed.attacker.flood(4_200, |n| {
            let mut other = request.clone();
            other.unsigned_tx.input[0].previous_output = invented(&format!("commitment {n}"));
            other
        })?;
        bed.restart(None)?;
        bed.attacker.refused(row, "never signed", &draft.psbt)?;
        let mut another = request.clone();
        another.unsigned_tx.output[0].value -= Amount::ONE_SAT;
        bed.attacker.refused(row, "no longer kept", &another)
    });
    score.case("htlc-with-another-amount", |row| {
        let (a, live) = bed.with(QUIET);
        let template = live.offered.clone().context("no template")?;
        let mut draft = live.next()?;
        draft.htlc(&a.keys, &template, new(63))?;
        let mut request = draft.htlc_requests()?.pop().context("no HTLC")?;
        let less = Amount::from_sat(20_000);
        request.inputs[0].witness_utxo.as_mut().context("no witness_utxo")?.value = less;
        request.unsigned_tx.output[0].value = less;
        a.signed("an HTLC transaction of another amount", &request)?;
        a.refused(row, "no such output", &draft.psbt)
    });
    score.case("htlc-after-release", |row| {
        let (a, live) = bed.with(QUIET);
        let template = live.offered.clone().context("no template")?;
        let to_local = live.next()?.to_local;
        let (_, mut request) = htlc(&a.keys, &template, live.index, new(64), &to_local)?;
        request.unsigned_tx.input[0].previous_output.txid = live.txid();
        for vout in 0..4 {
            request.unsigned_tx.input[0].previous_output.vout = vout;
            a.refused(row, "", &request)?;
        }
        Ok(())
    });
    score.case("htlc-answered-twice", |row| {
        let (a, live) = bed.with(WORK);
        for htlc in &live.htlcs {
            let mut request = htlc.clone();
            request.unsigned_tx.output[0].script_pubkey = stranger_p2wsh(5);
            a.refused(row, "was signed before", &request)?;
        }
        Ok(())
    });
    score.case("htlc-on-an-old-commitment", |row| {
        let (a, live) = bed.with(WORK);
        let mut request = live.htlcs[0].clone();
        a.still_signs(live)?;
        request.unsigned_tx.output[0].script_pubkey = stranger_p2wsh(6);
        a.refused(row, "", &request)
    });
    score.case("htlc-after-same-number", |row| {
        let (a, live) = bed.with(WORK);
        let first = live.clone();
        let mut same = live.at(live.number)?;
        same.give(10)?;
        a.advance(live, &same)?;
        for htlc in &first.htlcs {
            let mut request = htlc.clone();
            request.unsigned_tx.output[0].script_pubkey = stranger_p2wsh(7);
            a.refused(row, "", &request)?;
        }
        Ok(())
    });
    score.case("htlcs-to-two-scripts", |row| {
        let (a, live) = bed.with(QUIET);
        let template = live.offered.clone().context("no template")?;
        let mut draft = live.next()?;
        draft.htlc(&a.keys, &template, new(65))?;
        draft.htlc(&a.keys, &template, new(66))?;
        let mut requests = draft.htlc_requests()?;
        a.signed("the first HTLC transaction", &requests[0])?;
        requests[1].unsigned_tx.output[0].script_pubkey = stranger_p2wsh(8);
        a.refused(row, "another output script", &requests[1])
    });
    let mut spoiled = |name, says, spoil: &dyn Fn(&mut bitcoin::Psbt)| {
        score.case(name, |row| {
            let (a, live) = bed.with(QUIET);
            let template = live.incoming.clone().context("no template")?;
            let mut draft = live.next()?;
            draft.htlc(&a.keys, &template, new(67))?;
            let mut request = draft.htlc_requests()?.pop().context("no HTLC")?;
            spoil(&mut request);
            a.refused(row, says, &request)
        });
    };
    spoiled("htlc-to-an-address", "delayed output", &|request| {
        request.unsigned_tx.output[0].script_pubkey = stranger(10);
    });
    spoiled("htlc-shape", "one output", &|request| {
        request.unsigned_tx.output[0].value = Amount::from_sat(10_000);
        request.unsigned_tx.output.push(pay(stranger(11), 20_000));
        request.outputs.push(bitcoin::psbt::Output::default());
    });
    spoiled("htlc-timeout-at-once", "locktime", &|request| {
        request.unsigned_tx.lock_time = bitcoin::absolute::LockTime::ZERO;
    });
    score.case("htlc-sighash", |row| {
        let (a, live) = bed.with(QUIET);
        let template = live.incoming.clone().context("no template")?;
        for sighash in [0x02, 0x03, 0x81, 0x82] {
            let mut draft = live.next()?;
            draft.htlc(&a.keys, &template, new(68))?;
            let mut request = draft.htlc_requests()?.pop().context("no HTLC")?;
            request.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(sighash));
            a.refused(row, "sighash", &request)?;
        }
        Ok(())
    });
    score.case("htlc-key-of-another-channel", |row| {
        let other = bed.lives[WORK].index;
        let (a, live) = bed.with(QUIET);
        let template = live.offered.clone().context("no template")?;
        let mut draft = live.next()?;
        draft.index = other;
        draft.htlc(&a.keys, &template, new(69))?;
        for request in draft.htlc_requests()? {
            a.signed("an HTLC transaction under another channel's key", &request)?;
        }
        a.refused(row, "not its channel's", &draft.psbt)
    });
    Ok(())
}
