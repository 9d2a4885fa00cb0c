//! Commitments of the peer's that take what is ours.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use strongroom_tests::clock::LND_WAITS;
use strongroom_tests::grpc::OK;

use crate::attacker::{SIGN_PSBT, sign_request};
use crate::bed::{Bed, PEER, QUIET, SPARE, WORK};
use crate::forge::{Live, NewHtlc, SINGLE_ANYONECANPAY, hash160, pay, stranger, stranger_p2wsh};
use crate::table::End::{Bounded, Closed};
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "balance-to-peer",
        tier: "T0",
        tag: "unexplained-outflow",
        end: Closed,
        line: "1.5 million satoshis of our balance are the peer's on its next commitment, and no HTLC says why",
    },
    Attack {
        name: "balance-to-stranger",
        tier: "T0",
        tag: "unexplained-output",
        end: Closed,
        line: "a new output of the peer's commitment pays a stranger what was ours",
    },
    Attack {
        name: "same-number-other-contents",
        tier: "T0",
        tag: "unexplained-outflow",
        end: Closed,
        line: "the commitment signed last is asked for again under its number, with our balance the peer's",
    },
    Attack {
        name: "number-rolled-back",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "an earlier number with contents never signed",
    },
    Attack {
        name: "second-to-local",
        tier: "T0",
        tag: "unexplained-output",
        end: Closed,
        line: "an output that pretends to be the peer's to_local beside the one that is",
    },
    Attack {
        name: "anchor-of-a-stranger",
        tier: "T0",
        tag: "unexplained-output",
        end: Closed,
        line: "our anchor's 330 sat pay another script",
    },
    Attack {
        name: "dust-flood",
        tier: "T0",
        tag: "unexplained-outflow, commitment-fee",
        end: Closed,
        line: "our balance is spread over HTLCs too small for an output, on a channel that the peer funded",
    },
    Attack {
        name: "fee-burn",
        tier: "T0",
        tag: "commitment-fee",
        end: Closed,
        line: "our balance becomes the commitment's fee",
    },
    Attack {
        name: "fee-then-gift",
        tier: "T0",
        tag: "unexplained-outflow",
        end: Bounded("`commitment-fee` per step, `unexplained-outflow` per window"),
        line: "what became fee on one commitment becomes the peer's balance on the next, again and again",
    },
    Attack {
        name: "htlcs-never-asked",
        tier: "T0",
        tag: "unexplained-output",
        end: Closed,
        line: "a commitment with HTLC outputs whose transactions are never asked for: refused within 3 s, and nobody else waits",
    },
    Attack {
        name: "htlc-too-large",
        tier: "T0",
        tag: "payment-amount",
        end: Closed,
        line: "an HTLC of our own above what may be paid without authorisation",
    },
    Attack {
        name: "channels-emptied-by-payments",
        tier: "T0",
        tag: "payment-window",
        end: Bounded("`payment-window`"),
        line: "one HTLC after another, each within the limit, each failed and tried again",
    },
    Attack {
        name: "payment-dressed-as-incoming",
        tier: "T0",
        tag: "unexplained-outflow",
        end: Closed,
        line: "our balance goes into an HTLC of the form that the peer pays",
    },
    Attack {
        name: "commitment-sighash",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "the peer's commitment signed with NONE, SINGLE or ANYONECANPAY",
    },
    Attack {
        name: "commitment-other-amount",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a commitment that says the channel holds twice as much",
    },
    Attack {
        name: "commitment-second-input",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a commitment with an input beside the funding output",
    },
    Attack {
        name: "peer-without-reserve",
        tier: "T0",
        tag: "peer-reserve",
        end: Closed,
        line: "the peer's commitment leaves it no balance, or less than its reserve, so that it has nothing to lose by an old state",
    },
    Attack {
        name: "to-remote-of-another-channel",
        tier: "T0",
        tag: "unexplained-output",
        end: Closed,
        line: "the balance pays the payment key of another channel of ours",
    },
];

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    score.case("balance-to-peer", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.next()?;
        draft.give(1_500_000)?;
        a.refused_commitment(row, "1,500,000", &draft)
    });
    score.case("balance-to-stranger", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.next()?;
        draft.take(&live.to_remote, 1_000_000)?;
        draft.add(pay(stranger(1), 1_000_000));
        a.refused_commitment(row, "1 output", &draft)
    });
    score.case("same-number-other-contents", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.at(live.number)?;
        draft.give(1_500_000)?;
        a.refused_commitment(row, "", &draft)
    });
    score.case("number-rolled-back", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.at(live.number - 1)?;
        draft.give(1_000)?;
        a.refused_commitment(row, "does not follow", &draft)
    });
    score.case("second-to-local", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.next()?;
        draft.take(&live.to_remote, 400_000)?;
        draft.add(pay(stranger_p2wsh(2), 400_000));
        a.refused_commitment(row, "", &draft)
    });
    score.case("anchor-of-a-stranger", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.next()?;
        let anchor = draft.psbt.unsigned_tx.output.iter_mut().find(|o| o.value.to_sat() == 330);
        anchor.context("no anchor")?.script_pubkey = stranger_p2wsh(3);
        a.refused_commitment(row, "", &draft)
    });
    score.case("dust-flood", |row| {
        let (a, live) = bed.with(PEER);
        let mut draft = live.next()?;
        draft.take(&live.to_remote, 1_200_000)?;
        a.refused_commitment(row, "", &draft)
    });
    score.case("fee-burn", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.next()?;
        draft.take(&live.to_remote, 1_200_000)?;
        a.refused_commitment(row, "", &draft)
    });
    score.case("htlcs-never-asked", |row| htlcs_never_asked(row, bed));
    score.case("htlc-too-large", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.next()?;
        let template = live.offered.clone().context("no template")?;
        draft.htlc(&a.keys, &template, NewHtlc { hash160: hash160(&[1; 32]), sat: 1_100_000, cltv: 400 })?;
        a.refused_commitment(row, "1,100,000", &draft)
    });
    score.case("payment-dressed-as-incoming", |row| {
        let (a, live) = bed.with(QUIET);
        let template = live.incoming.clone().context("no template")?;
        let mut draft = live.next()?;
        // The HTLC is taken from the peer's balance, which ours then makes good.
        draft.give(1_500_000)?;
        draft.htlc(&a.keys, &template, NewHtlc { hash160: hash160(&[2; 32]), sat: 1_500_000, cltv: 400 })?;
        a.refused_commitment(row, "", &draft)
    });
    score.case("commitment-sighash", |row| {
        let (a, live) = bed.with(QUIET);
        for sighash in [0x02, 0x03, 0x81, 0x82, SINGLE_ANYONECANPAY] {
            let mut draft = live.next()?;
            draft.psbt.inputs[0].sighash_type = Some(bitcoin::psbt::PsbtSighashType::from_u32(sighash));
            a.refused_commitment(row, &format!("{sighash:#04x}"), &draft)?;
        }
        Ok(())
    });
    score.case("commitment-other-amount", |row| {
        let (a, live) = bed.with(QUIET);
        let mut draft = live.next()?;
        let utxo = draft.psbt.inputs[0].witness_utxo.as_mut().context("no witness_utxo")?;
        utxo.value *= 2;
        a.refused_commitment(row, "", &draft)
    });
    score.case("commitment-second-input", |row| {
        let (a, live) = bed.with(QUIET);
        let mut spent = live.funding_spent()?;
        let next = live.next()?;
        spent.sequence = next.psbt.unsigned_tx.input[0].sequence.0;
        let outputs = next.psbt.unsigned_tx.output.clone();
        let other = (crate::forge::invented("beside a commitment"), pay(stranger(9), 50_000));
        let mut psbt = spent.pays_beside(other, outputs)?;
        psbt.unsigned_tx.lock_time = next.psbt.unsigned_tx.lock_time;
        a.refused(row, "", &psbt)
    });
    score.case("peer-without-reserve", |row| {
        let (a, live) = bed.with(QUIET);
        // A sat below the reserve of five million.
        for left in [0, 49_999] {
            let mut draft = live.next()?;
            let (ours, theirs) = (live.to_remote.clone(), draft.to_local.clone());
            let taken = draft.output(&theirs)?.value - bitcoin::Amount::from_sat(left);
            draft.take(&theirs, taken.to_sat())?;
            draft.output(&ours)?.value += taken;
            if left == 0 {
                draft.remove(&theirs);
            }
            a.refused_commitment(row, "50,000", &draft)?;
        }
        Ok(())
    });
    score.case("to-remote-of-another-channel", |row| {
        let other = bed.lives[SPARE].to_remote.clone();
        let (a, live) = bed.with(QUIET);
        let mut draft = live.next()?;
        draft.take(&live.to_remote, 500_000)?;
        draft.add(pay(other, 500_000));
        a.refused_commitment(row, "", &draft)
    });
    score.case("channels-emptied-by-payments", |row| {
        let (a, live) = bed.with(SPARE);
        emptied_by_payments(row, a, live)
    });
    score.case("fee-then-gift", |row| {
        let (a, live) = bed.with(SPARE);
        let start = live.balance();
        loop {
            let mut burnt = live.next()?;
            burnt.take(&live.to_remote, 600_000)?;
            a.advance(live, &burnt)?;
            let mut given = live.next()?;
            let to = given.to_local.clone();
            given.output(&to)?.value += bitcoin::Amount::from_sat(600_000);
            let answer = a.commit(&given)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                break;
            }
            live.accept(&given)?;
        }
        let lost = start - live.balance();
        // One window of gifts, and one fee that nobody has.
        ensure!(lost <= 1_000_000 + 600_000, "{lost} sat are gone");
        ensure!(lost >= 600_000, "only {lost} sat: the attack did not even begin");
        Ok(())
    });
    Ok(())
}

fn htlcs_never_asked(row: &Attack, bed: &mut Bed) -> Result<()> {
    let mut work = bed.lives[WORK].clone();
    let a = &bed.attacker;
    let live = &bed.lives[QUIET];
    let mut draft = live.next()?;
    let template = live.offered.clone().context("no template")?;
    for n in 0..3 {
        draft.htlc(&a.keys, &template, NewHtlc { hash160: hash160(&[n + 10; 32]), sat: 5_000, cltv: 400 })?;
    }
    let began = Instant::now();
    let client = a.client();
    let request = sign_request(&draft.psbt);
    let waiting = a.runtime().spawn(async move { client.call(SIGN_PSBT, &request).await });
    let mut slowest = Duration::ZERO;
    while began.elapsed() < Duration::from_millis(1_500) {
        let asked = Instant::now();
        a.still_signs(&mut work)?;
        slowest = slowest.max(asked.elapsed());
    }
    let answer = a.runtime().block_on(waiting)??;
    ensure!(began.elapsed() < LND_WAITS, "refused after {:?}", began.elapsed());
    row.is_refused(&answer, "")?;
    // Three requests each; a commitment withheld in their way would have cost them 2.5 s.
    ensure!(slowest < Duration::from_millis(2_400), "another channel waited {slowest:?}");
    bed.lives[WORK] = work;
    Ok(())
}

/// Offers one HTLC of 900,000 sat after the other, each back with us on the next commitment, until refused.
fn emptied_by_payments(row: &Attack, a: &crate::attacker::Attacker, live: &mut Live) -> Result<()> {
    let template = live.offered.clone().context("no template")?;
    let mut offered = 0;
    for n in 0..20 {
        let mut draft = live.next()?;
        draft.htlc(
            &a.keys,
            &template,
            NewHtlc { hash160: hash160(&[n + 30; 32]), sat: 900_000, cltv: 400 },
        )?;
        let answer = a.commit(&draft)?;
        if answer.code != OK {
            row.is_refused(&answer, "")?;
            ensure!(offered > 5_000_000, "refused after {offered} sat already");
            ensure!(offered <= 10_000_000, "{offered} sat were offered");
            return Ok(());
        }
        live.accept(&draft)?;
        offered += 900_000;
        let mut back = live.next()?;
        back.settle(0, false)?;
        a.advance(live, &back)?;
    }
    anyhow::bail!("{offered} sat were offered and nothing was refused")
}
