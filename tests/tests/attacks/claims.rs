//! Claims of what nobody has seen, and the search for addresses of ours, as doors for a thief.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bitcoin::psbt::{Input, Output};
use bitcoin::{Psbt, TxOut};
use strongroom_tests::clock::LND_WAITS;
use strongroom_tests::grpc::OK;

use crate::attacker::Attacker;
use crate::forge::{Spent, invented, pay, stranger, transaction};
use crate::made_up::{Coin, fictional};
use crate::sweeps::{delayed, to_remote};
use crate::table::End::{Bounded, Closed};
use crate::table::{Attack, Score};
use crate::way_out::counted;

/// Fees of closing in the bed's window, and of the wallet's.
pub const WINDOW: u64 = 10_000_000;
pub const WALLET_WINDOW: u64 = 1_000_000;

pub const ROWS: &[Attack] = &[
    Attack {
        name: "claims-burnt-to-the-window",
        tier: "T0",
        tag: "fee-window",
        end: Bounded(
            "`fees.closing.max_in_window_sat`, and half of what is claimed; the wallet's window stays its own",
        ),
        line: "one claim after another pays half of itself as fee, then small ones what a wallet spend may",
    },
    Attack {
        name: "invented-claims",
        tier: "T0",
        tag: "closing-destination, fee-cap",
        end: Bounded(
            "half of what is claimed as fee: a coin beside a claim that nobody has seen comes home, but for that",
        ),
        line: "an output of a channel never seen here is claimed beside a coin of the wallet, which goes to a stranger and to fees",
    },
    Attack {
        name: "claim-pays-stranger-beside-honest-ones",
        tier: "T0",
        tag: "closing-destination",
        end: Closed,
        line: "one claim of a batch pays a stranger, the others pay us",
    },
    Attack {
        name: "unpaid-addresses",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "addresses of ours that nobody paid move the horizon, so that a stranger's among them seems ours",
    },
    Attack {
        name: "strangers-scripts",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Bounded(
            "20,000 keys of each branch, derived once ever: the first search takes seconds, and no other",
        ),
        line: "spends to many strangers have the daemon search for keys that it does not have",
    },
    Attack {
        name: "lookahead-walk",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Bounded(
            "half of the deadline for each step, one of each client at a time, and 400,000 keys of a branch",
        ),
        line: "each spend pays an address at the end of what is searched, so that the next search begins there",
    },
];

/// So many outputs of ours that a fee is within its rate.
fn many(keys: &crate::forge::Keys, sum: u64) -> Result<Vec<TxOut>> {
    let home = keys.wallet_script(1, 4)?;
    let mut outputs = vec![pay(home.clone(), 1_000); 59];
    outputs.push(pay(home, sum - 59_000));
    Ok(outputs)
}

/// A request for the signature on `claims[at]`, all of them in one transaction.
fn batch(claims: &[Spent], at: usize, outputs: Vec<TxOut>) -> Result<Psbt> {
    let spends: Vec<_> = claims.iter().map(|c| (c.outpoint, bitcoin::Sequence(c.sequence))).collect();
    let mut psbt = Psbt::from_unsigned_tx(transaction(&spends, outputs))?;
    for (input, claim) in psbt.inputs.iter_mut().zip(claims) {
        *input = Input { witness_utxo: Some(claim.utxo.clone()), ..Input::default() };
    }
    claims[at].fill(&mut psbt, at);
    psbt.outputs = vec![Output::default(); psbt.unsigned_tx.output.len()];
    Ok(psbt)
}

pub fn run(score: &mut Score, a: &Attacker) -> Result<()> {
    score.case("invented-claims", |row| {
        let (claim, coin) =
            (invented_output(a, "never seen")?, Coin::new(&a.keys, "beside a claim", 4_000_000)?);
        let beside = (coin.spent.outpoint, coin.spent.utxo.clone());
        let burnt = vec![pay(a.keys.wallet_script(1, 4)?, 3_000_000), pay(stranger(95), 1_000_000)];
        a.refused(row, "1,000,000", &claim.pays_beside(beside.clone(), burnt)?)?;
        // Within the share it is signed, and of 7,000,000 sat more than the coin comes home.
        let home = many(&a.keys, 7_000_000 - 1_500_000)?;
        a.signed("a claim of what was never seen", &claim.pays_beside(beside, home)?)?;
        Ok(())
    });
    score.case("claim-pays-stranger-beside-honest-ones", |row| {
        let live = fictional(a, 41, 5_000_000)?;
        let claims =
            [to_remote(&a.keys, &live)?, invented_output(a, "honest 1")?, invented_output(a, "honest 2")?];
        let home = a.keys.wallet_script(1, 4)?;
        let outputs = vec![pay(home.clone(), 19_000), pay(home, 2_999_000), pay(stranger(96), 2_999_000)];
        for at in 0..claims.len() {
            a.refused(row, "2,999,000", &batch(&claims, at, outputs.clone())?)?;
        }
        Ok(())
    });
    addresses(score, a)?;
    score.case("claims-burnt-to-the-window", |row| burn(a, row));
    Ok(())
}

/// A delayed output of 3,000,000 sat on an outpoint of the attacker's choice.
fn invented_output(a: &Attacker, label: &str) -> Result<Spent> {
    Ok(Spent { outpoint: invented(label), ..delayed(&a.keys, 40, [9; 32])? })
}

/// Claims at the share until they are refused, then as small as the wallet's window takes them, until they are too.
fn burn(a: &Attacker, row: &Attack) -> Result<()> {
    let mut burnt = counted(a, "closing_fees_sat")?;
    let mut refusals = 0;
    let mut fees = vec![1_400_000; 10];
    fees.extend([190_000; 8]);
    for (n, fee) in fees.into_iter().enumerate() {
        let claim = invented_output(a, &format!("burnt {n}"))?;
        let answer = a.sign(&claim.pays(many(&a.keys, 3_000_000 - fee)?)?)?;
        if answer.code == OK {
            burnt += fee;
        } else {
            row.is_refused(&answer, "")?;
            refusals += 1;
        }
    }
    ensure!(refusals >= 2, "{burnt} sat are burnt, {refusals} claims are refused");
    let shown = (counted(a, "closing_fees_sat")?, counted(a, "fees_sat")?);
    ensure!(shown.0 <= WINDOW && shown.1 <= WALLET_WINDOW, "{shown:?} are counted");
    ensure!((WINDOW / 2..=WINDOW + WALLET_WINDOW).contains(&burnt), "{burnt} sat are burnt");
    ensure!(shown.0 + shown.1 >= burnt, "{burnt} sat are burnt, {shown:?} are counted");
    Ok(())
}

/// The search for outputs of ours.
fn addresses(score: &mut Score, a: &Attacker) -> Result<()> {
    let change = |index| a.keys.wallet_script(1, index);
    // The first search derives 20,000 keys of each branch, within half of the deadline of each request.
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(60) {
        let asked = Instant::now();
        let coin = Coin::new(&a.keys, "first search", 4_000_000)?;
        a.sign(&coin.pays(vec![pay(stranger(97), 3_999_000)])?)?;
        if asked.elapsed() < Duration::from_millis(300) {
            break;
        }
    }
    score.case("strangers-scripts", |row| {
        for n in 100..120 {
            let coin = Coin::new(&a.keys, &format!("search {n}"), 4_000_000)?;
            let began = Instant::now();
            let answer = a.sign(&coin.pays((0..20).map(|at| pay(stranger(n + at), 199_000)).collect())?)?;
            row.is_refused(&answer, "")?;
            ensure!(began.elapsed() < LND_WAITS, "a search of {:?}", began.elapsed());
        }
        Ok(())
    });
    score.case("unpaid-addresses", |row| {
        let coin = Coin::new(&a.keys, "far", 4_000_000)?;
        a.signed("a spend to a far address of ours", &coin.pays(vec![pay(change(15_000)?, 3_999_000)])?)?;
        let coin = Coin::new(&a.keys, "among them", 4_000_000)?;
        let outputs = vec![pay(change(15_001)?, 1_000_000), pay(stranger(98), 2_999_000)];
        a.refused(row, "2,999,000", &coin.pays(outputs)?)
    });
    score.case("lookahead-walk", |row| {
        for step in 1..=3 {
            let coin = Coin::new(&a.keys, &format!("step {step}"), 4_000_000)?;
            let began = Instant::now();
            a.sign(&coin.pays(vec![pay(change(15_000 + step * 19_000)?, 3_999_000)])?)?;
            ensure!(began.elapsed() < LND_WAITS, "step {step} took {:?}", began.elapsed());
        }
        let coin = Coin::new(&a.keys, "after the walk", 4_000_000)?;
        a.refused(row, "", &coin.pays(vec![pay(stranger(99), 3_999_000)])?)
    });
    Ok(())
}
