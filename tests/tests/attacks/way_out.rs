//! What was opened so that an honest node can always close, as doors for a thief: own commitments, and closes by agreement.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bitcoin::psbt::Output;
use bitcoin::{Psbt, TxOut};
use strongroom_tests::grpc::OK;
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

use crate::attacker::Attacker;
use crate::closing::own_commitment;
use crate::forge::{Live, invented, pay, stranger, stranger_p2wsh};
use crate::made_up::{Coin, commitment_zero, funding_spent, reserve};
use crate::table::End::{Bounded, Closed};
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "swap-dressed-as-our-own",
        tier: "T0",
        tag: "force-close-window",
        end: Bounded("the channel, which our own commitment 0 puts at stake already; told of"),
        line: "the peer's commitment, with the two balances exchanged, passes for our own on a channel where the peer has our key",
    },
    Attack {
        name: "commitment-0-pays-our-own-key",
        tier: "T0",
        tag: "channel-frozen",
        end: Closed,
        line: "our own commitment 0 pays our payment key for the peer's, so that later ones look like both sides'",
    },
    Attack {
        name: "second-first-commitment",
        tier: "T0",
        tag: "channel-capacity",
        end: Closed,
        line: "a channel above the cap is first shown by an own commitment, which opens nothing, and then by the peer's first",
    },
    Attack {
        name: "first-balance-from-nowhere",
        tier: "T0",
        tag: "unexplained-output",
        end: Bounded("what the commitment before held in no output, charged to `unexplained-outflow`"),
        line: "the peer's first balance is ours, said to come of HTLCs too small for an output",
    },
    Attack {
        name: "close-fee-from-our-balance",
        tier: "T0",
        tag: "mutual-close-balance",
        end: Bounded("the highest feerate of closing on the close's own weight, some 230,000 sat"),
        line: "the fee of a close comes out of our balance while the peer's output is whole",
    },
    Attack {
        name: "legacy-channel",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a channel without option_static_remotekey, on which our balance cannot be told",
    },
    Attack {
        name: "upfront-address",
        tier: "T0",
        tag: "mutual-close-balance",
        end: Closed,
        line: "a close pays our share to an address that was agreed with the peer at the opening, which no request shows",
    },
    Attack {
        name: "mass-close-as-a-cover",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "all channels are closed by force, and coins leave in the crowd",
    },
];

/// Of each channel here.
const CAPACITY: u64 = 5_000_000;

/// A channel of the peer's making on which 4,000,000 sat are ours by now; its own commitment 0 was signed.
fn earned(a: &Attacker, index: u32) -> Result<Live> {
    let mut live = opened(a, index)?;
    let mut draft = live.next()?;
    let to_local = draft.to_local.clone();
    draft.take(&to_local, 4_000_000)?;
    draft.add(pay(live.to_remote.clone(), 4_000_000));
    a.advance(&mut live, &draft)?;
    Ok(live)
}

/// A channel as lnd has it opened by a peer: both sides' commitment 0.
fn opened(a: &Attacker, index: u32) -> Result<Live> {
    reserve(a, index)?;
    let funding = invented(&format!("way out {index}"));
    let zero = commitment_zero(&a.keys, index, funding, CAPACITY, 0)?;
    a.signed("the peer's commitment 0", &zero)?;
    let mut lives = Live::read(&a.keys, std::slice::from_ref(&zero))?;
    let mut live = lives.remove(0);
    let own = with_outputs(&zero, vec![pay(stranger_p2wsh(0xaa), CAPACITY - 1_000)]);
    a.signed("our own commitment 0", &own)?;
    live.own_zero = Some(own);
    Ok(live)
}

fn with_outputs(psbt: &Psbt, outputs: Vec<TxOut>) -> Psbt {
    let mut psbt = psbt.clone();
    psbt.outputs = vec![Output::default(); outputs.len()];
    psbt.unsigned_tx.output = outputs;
    psbt
}

/// What the windows of the node have counted, by its name in `strongroom status`.
pub fn counted(a: &Attacker, key: &str) -> Result<u64> {
    let status = a.status()?;
    status["nodes"][0][key].as_u64().with_context(|| format!("no {key} in {status}"))
}

/// The policy of these groups: alarms at once, and windows of closing that a few requests fill.
pub fn policy() -> PolicyChoice {
    PolicyChoice::cautious()
        .set("channels.max_force_closes_in_window", 0)
        .set("fees.closing.max_in_window_sat", crate::claims::WINDOW)
        .set("fees.wallet.max_in_window_sat", crate::claims::WALLET_WINDOW)
}

#[test]
fn the_way_out_is_no_way_in() -> Result<()> {
    Workdir::new("attacks-way-out")?.run(|dir| {
        let daemon = Strongroomd::start(&dir.join("way-out"), &policy(), None)?;
        let a = Attacker::of(&daemon)?;
        let mut score = Score::new("The way out as a way in", ROWS);
        let closing = run(&mut score, &a, dir).and(score.finish());
        let mut score = Score::new("Claims and addresses", crate::claims::ROWS);
        let claims = crate::claims::run(&mut score, &a).and(score.finish());
        closing.and(claims)
    })
}

fn run(score: &mut Score, a: &Attacker, _: &Path) -> Result<()> {
    openings(score, a)?;
    closes(score, a)?;
    // Last: it ends what is open.
    let live = earned(a, 30)?;
    score.case("swap-dressed-as-our-own", |row| {
        let (ours, to_local) = (live.balance(), live.next()?.to_local);
        let swapped = with_outputs(
            &live.next()?.psbt,
            vec![pay(live.to_remote.clone(), CAPACITY - ours - 2_000), pay(to_local, ours)],
        );
        a.signed("a commitment with the balances exchanged", &swapped)?;
        a.told_of(row)?;
        let lost = ours - (CAPACITY - ours - 2_000);
        ensure!(lost <= live.capacity, "{lost} sat of a channel of {} sat", live.capacity);
        Ok(())
    });
    score.case("mass-close-as-a-cover", |row| {
        for index in 31..36 {
            let live = opened(a, index)?;
            let own = vec![pay(stranger_p2wsh(0xaa), CAPACITY - 3_000)];
            a.signed("an own commitment", &own_commitment(&live, 1, Some(own))?)?;
        }
        let coin = Coin::new(&a.keys, "in the crowd", 4_000_000)?;
        let outputs = vec![pay(stranger(90), 2_000_000), pay(a.keys.wallet_script(1, 3)?, 1_999_000)];
        a.refused(row, "2,000,000", &coin.pays(outputs)?)
    });
    Ok(())
}

fn openings(score: &mut Score, a: &Attacker) -> Result<()> {
    score.case("commitment-0-pays-our-own-key", |row| {
        reserve(a, 10)?;
        let zero = commitment_zero(&a.keys, 10, invented("own key"), CAPACITY, 0)?;
        a.signed("the peer's commitment 0", &zero)?;
        let live = Live::read(&a.keys, std::slice::from_ref(&zero))?.remove(0);
        let own = with_outputs(&zero, vec![pay(live.to_remote.clone(), CAPACITY - 1_000)]);
        a.signed("our own commitment 0", &own)?;
        a.refused(row, "", &live.next()?.psbt)
    });
    score.case("second-first-commitment", |row| {
        let capacity = 17_000_000;
        let funding = funding_spent(&a.keys, 11, invented("above the cap"), capacity)?;
        let mut own = funding.pays(vec![
            pay(stranger_p2wsh(0xab), 8_000_000),
            pay(stranger_p2wsh(0xac), capacity - 8_001_000),
        ])?;
        own.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_consensus(0x2012_3456);
        a.signed("an own commitment of a channel never seen", &own)?;
        let theirs = with_outputs(
            &own,
            vec![pay(stranger_p2wsh(0xad), capacity - 21_000), pay(a.keys.to_remote(11)?.to_p2wsh(), 20_000)],
        );
        a.refused(row, "17,000,000", &theirs)
    });
    score.case("legacy-channel", |row| {
        reserve(a, 12)?;
        let zero = commitment_zero(&a.keys, 12, invented("legacy"), CAPACITY, 0)?;
        let outputs = vec![pay(stranger_p2wsh(0xae), 1_000_000), pay(stranger(91), CAPACITY - 1_001_000)];
        a.refused(row, "option_static_remotekey", &with_outputs(&zero, outputs))
    });
    score.case("first-balance-from-nowhere", |row| {
        reserve(a, 13)?;
        let whole = commitment_zero(&a.keys, 13, invented("nowhere"), CAPACITY, 0)?;
        let ours = a.keys.to_remote(13)?.to_p2wsh();
        let zero = with_outputs(&whole, vec![pay(ours.clone(), CAPACITY - 2_000)]);
        a.signed("the peer's commitment 0, all of it ours", &zero)?;
        let live = Live::read(&a.keys, std::slice::from_ref(&zero))?.remove(0);
        let given = |sat: u64| {
            let mut draft = live.next()?;
            draft.take(&ours, sat)?;
            draft.add(pay(stranger_p2wsh(0xaf), sat));
            Ok::<_, anyhow::Error>(draft.psbt)
        };
        a.refused(row, "", &given(500_000)?)?;
        let before = counted(a, "unexplained_sat")?;
        a.signed("a first balance no larger than the fee before", &given(1_500)?)?;
        let charged = counted(a, "unexplained_sat")? - before;
        ensure!(charged >= 1_500, "1,500 sat left, {charged} are counted");
        Ok(())
    });
    Ok(())
}

fn closes(score: &mut Score, a: &Attacker) -> Result<()> {
    let live = earned(a, 20)?;
    let ours = live.balance();
    let theirs = CAPACITY - ours - 1_000;
    let close = |home: bitcoin::ScriptBuf, fee: u64, more: u64| {
        live.funding_spent()?.pays(vec![pay(home, ours - fee), pay(stranger(92), theirs + more)])
    };
    let home = a.keys.wallet_script(0, 6)?;
    score.case("upfront-address", |row| a.refused(row, "[[allowlist]]", &close(stranger(93), 500, 0)?));
    score.case("close-fee-from-our-balance", |row| {
        // Above the rate, and to the peer instead of a miner.
        a.refused(row, "", &close(home.clone(), 300_000, 0)?)?;
        a.refused(row, "", &close(home.clone(), 100_000, 99_000)?)?;
        let (mut lost, mut psbt) = (0, None);
        for fee in (100_000..300_000).step_by(10_000) {
            let asked = close(home.clone(), fee, 0)?;
            let answer = a.sign(&asked)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                break;
            }
            (lost, psbt) = (fee, Some(asked));
        }
        let signed = psbt.context("no close at a high rate is signed: an honest one must be")?;
        // The witness of a 2-of-2 weighs 224.
        let vbytes = (signed.unsigned_tx.weight().to_wu() + 226).div_ceil(4);
        ensure!(lost <= 1_200 * vbytes, "{lost} sat are burnt by a close of {vbytes} vB");
        ensure!(lost >= 190_000, "an honest close at 1,000 sat/vB is refused: {lost} sat pass");
        Ok(())
    });
    Ok(())
}
