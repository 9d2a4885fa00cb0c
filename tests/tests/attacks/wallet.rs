//! The on-chain wallet, and what pretends to fund a channel.

use anyhow::{Result, ensure};
use bitcoin::absolute::LockTime;
use bitcoin::{OutPoint, ScriptBuf, TxOut};
use strongroom_tests::grpc::OK;

use crate::bed::{Bed, QUIET};
use crate::forge::{SINGLE_ANYONECANPAY, Spent, invented, pay, stranger, stranger_p2wsh};
use crate::made_up::{Coin, both, commitment_zero, funding_script, funding_spent, reserve, sign_both};
use crate::table::End::{Bounded, Closed};
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "coins-to-stranger",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "two million satoshis of the wallet go to a stranger",
    },
    Attack {
        name: "change-to-stranger",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "a small payment whose change is a stranger's",
    },
    Attack {
        name: "coins-burnt",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "coins are put into OP_RETURN",
    },
    Attack {
        name: "coins-to-fees",
        tier: "T0",
        tag: "fee-cap",
        end: Closed,
        line: "a wallet spend that is almost all fee",
    },
    Attack {
        name: "small-withdrawals",
        tier: "T0",
        tag: "outflow-window",
        end: Bounded("`outflow-window`"),
        line: "withdrawals just within the limit, one after another",
    },
    Attack {
        name: "fees-bit-by-bit",
        tier: "T0",
        tag: "fee-window",
        end: Bounded("`fee-window`"),
        line: "coins go round in our own wallet, a fee within the limit each time",
    },
    Attack {
        name: "wallet-sighash",
        tier: "T0",
        tag: "sighash",
        end: Closed,
        line: "a wallet coin signed with NONE, SINGLE or ANYONECANPAY, to be spent anywhere",
    },
    Attack {
        name: "wallet-coin-with-a-tweak",
        tier: "T0",
        tag: "malformed",
        end: Closed,
        line: "a wallet key under a tweak of the client's",
    },
    Attack {
        name: "two-requests-hide-a-fee",
        tier: "T0",
        tag: "amount-conflict",
        end: Closed,
        line: "two signatures for one transaction, each lying about the other's input (BIP 143)",
    },
    Attack {
        name: "amount-that-is-not-the-coin's",
        tier: "T0",
        tag: "malformed",
        end: Closed,
        line: "an amount that the previous transaction contradicts",
    },
    Attack {
        name: "script-that-is-not-the-coin's",
        tier: "T0",
        tag: "malformed",
        end: Closed,
        line: "a witness script that does not hash to the output spent",
    },
    Attack {
        name: "key-that-is-not-the-path's",
        tier: "T0",
        tag: "malformed",
        end: Closed,
        line: "a key path that is not the key's",
    },
    Attack {
        name: "payment-dressed-as-funding",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "a payment to a script hash while no channel is being opened",
    },
    Attack {
        name: "funding-above-the-cap",
        tier: "T0",
        tag: "channel-capacity",
        end: Closed,
        line: "a funding output of 17 million satoshis",
    },
    Attack {
        name: "strangers-2-of-2",
        tier: "T0",
        tag: "unmatched-funding",
        end: Bounded("`unmatched-funding`"),
        line: "reservations are made, and the fundings pay 2-of-2 outputs of a stranger",
    },
    Attack {
        name: "two-fundings-one-reservation",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "one reservation, two outputs that may fund a channel",
    },
    Attack {
        name: "push-at-open",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "a channel we fund begins with all of it on the peer's side",
    },
    Attack {
        name: "commitment-prepays-a-payment",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "a transaction is first signed as the commitment of a made-up channel, then asked for as a payment of the same id",
    },
    Attack {
        name: "nested-coin-lies-about-the-id",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Closed,
        line: "an input falsely called P2SH gives the funding another id, so that the channel seems the peer's to fund and the push free",
    },
    Attack {
        name: "channel-key-beside-a-coin",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "a wallet spend that asks for a channel's signature in passing",
    },
    Attack {
        name: "key-of-another-family",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "each channel key family asked to sign a plain P2WPKH output",
    },
];

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    let (a, live) = bed.with(QUIET);
    let home = a.keys.wallet_script(1, 0)?;
    let coin = |label: &str, sat| Coin::new(&a.keys, label, sat);
    let mut refused = |name: &str, says: &str, outputs: Vec<TxOut>| {
        score.case(name, |row| a.refused(row, says, &coin(name, 4_000_000)?.pays(outputs)?));
    };
    let own = |sat| pay(home.clone(), sat);
    refused("coins-to-stranger", "2,000,000", vec![pay(stranger(50), 2_000_000), own(1_999_000)]);
    refused("change-to-stranger", "", vec![pay(stranger(51), 10_000), pay(stranger(52), 3_989_000)]);
    let burn = ScriptBuf::new_op_return([7u8; 4]);
    refused("coins-burnt", "", vec![pay(burn, 3_000_000), own(999_000)]);
    refused("coins-to-fees", "", vec![own(1_000_000)]);
    refused("payment-dressed-as-funding", "", vec![pay(stranger_p2wsh(53), 3_000_000), own(999_000)]);

    score.case("wallet-sighash", |row| {
        for sighash in [0x02, 0x03, 0x81, 0x82, SINGLE_ANYONECANPAY] {
            let mut coin = coin("sighash", 1_000_000)?;
            coin.spent.sighash = sighash;
            a.refused(row, &format!("{sighash:#04x}"), &coin.pays(vec![own(999_000)])?)?;
        }
        Ok(())
    });
    score.case("wallet-coin-with-a-tweak", |row| {
        let mut coin = coin("tweak", 1_000_000)?;
        coin.spent.tweak = Some((0x51, [5; 32]));
        a.refused(row, "", &coin.pays(vec![own(999_000)])?)
    });
    score.case("two-requests-hide-a-fee", |row| {
        let coins = [coin("first of two", 2_000_000)?, coin("second of two", 2_000_000)?];
        let pair = [&coins[0], &coins[1]];
        let outputs = vec![own(2_000_000)];
        a.signed("the first of two requests", &both(pair, 0, 1_000, outputs.clone())?)?;
        a.refused(row, "", &both(pair, 1, 1_000, outputs)?)
    });
    score.case("amount-that-is-not-the-coin's", |row| {
        let mut psbt = coin("amount", 1_000_000)?.pays(vec![own(900_000)])?;
        if let Some(utxo) = &mut psbt.inputs[0].witness_utxo {
            utxo.value = bitcoin::Amount::from_sat(900_500);
        }
        a.refused(row, "differ", &psbt)
    });
    score.case("script-that-is-not-the-coin's", |row| {
        let mut spent = live.funding_spent()?;
        spent.script = Some(funding_script(&a.keys, live.index)?);
        a.refused(row, "hash", &spent.pays(vec![own(4_000_000)])?)
    });
    score.case("key-that-is-not-the-path's", |row| {
        let mut coin = coin("path", 1_000_000)?;
        coin.spent.path = crate::forge::wallet_path(0, 1)?;
        a.refused(row, "is not this node's", &coin.pays(vec![own(999_000)])?)
    });
    score.case("key-of-another-family", |row| {
        for family in 0..10 {
            // to_remote of channels older than anchors is P2WPKH of {3/i}; judged as a sweep, it pays us.
            if family == 3 {
                continue;
            }
            let key = a.keys.channel(family, live.index)?;
            let spent = Spent {
                outpoint: invented(&format!("family {family}")),
                utxo: pay(crate::forge::p2wpkh(&key), 1_000_000),
                script: None,
                key,
                path: crate::forge::channel_path(family, live.index)?,
                ..coin("family", 1_000_000)?.spent
            };
            a.refused(row, "", &spent.pays(vec![own(999_000)])?)?;
        }
        Ok(())
    });
    score.case("channel-key-beside-a-coin", |row| {
        let coin = coin("beside", 1_000_000)?;
        let channel = live.funding_spent()?;
        let psbt = coin.spent.pays_beside((channel.outpoint, channel.utxo.clone()), vec![own(5_900_000)])?;
        a.refused(row, "", &sign_both(psbt, &channel, 1))
    });
    score.case("commitment-prepays-a-payment", |row| {
        let mut coin = coin("prepaid", 3_000_000)?;
        let outputs = vec![pay(stranger(54), 2_990_000)];
        coin.spent.sequence = 0x8012_3456;
        let mut payment = coin.pays(outputs.clone())?;
        payment.unsigned_tx.lock_time = LockTime::from_consensus(0x2012_3456);
        let mut commitment = funding_spent(&a.keys, 70, coin.spent.outpoint, 3_000_000)?;
        commitment.sequence = 0x8012_3456;
        let mut prepaid = commitment.pays(outputs)?;
        prepaid.unsigned_tx.lock_time = payment.unsigned_tx.lock_time;
        ensure!(prepaid.unsigned_tx.compute_txid() == payment.unsigned_tx.compute_txid(), "two ids");
        a.signed("a made-up commitment", &prepaid)?;
        a.refused(row, "", &payment)
    });
    score.case("two-fundings-one-reservation", |row| {
        reserve(a, 71)?;
        let outputs = vec![pay(stranger_p2wsh(55), 2_000_000), pay(stranger_p2wsh(56), 1_900_000)];
        a.refused(row, "", &coin("two fundings", 4_000_000)?.pays(outputs)?)
    });
    score.case("funding-above-the-cap", |row| {
        let outputs = vec![pay(stranger_p2wsh(57), 17_000_000)];
        a.refused(row, "", &coin("too large", 17_001_000)?.pays(outputs)?)
    });
    score.case("push-at-open", |row| {
        let coin = coin("push", 4_000_000)?;
        let script = funding_script(&a.keys, 71)?.to_p2wsh();
        let funding = coin.pays(vec![pay(script, 3_999_000)])?;
        a.signed("a channel's funding", &funding)?;
        let outpoint = OutPoint::new(funding.unsigned_tx.compute_txid(), 0);
        a.refused(row, "", &commitment_zero(&a.keys, 71, outpoint, 3_999_000, 0)?)?;
        // Honest, so that the reservation is used up.
        a.signed("its commitment 0", &commitment_zero(&a.keys, 71, outpoint, 3_999_000, 3_990_000)?).map(drop)
    });
    score.case("nested-coin-lies-about-the-id", |row| {
        reserve(a, 72)?;
        let coin = coin("beside a nested one", 4_000_000)?;
        let nested = pay(ScriptBuf::new_p2sh(&home.script_hash()), 20_000);
        let script = funding_script(&a.keys, 72)?.to_p2wsh();
        let mut funding =
            coin.spent.pays_beside((invented("nested"), nested), vec![pay(script, 4_000_000)])?;
        funding.inputs[0].non_witness_utxo = Some(coin.from.clone());
        funding.inputs[1].redeem_script = Some(home.clone());
        a.signed("a funding beside a nested coin", &funding)?;
        // The second input has no script_sig after all: this is the id that confirms.
        let outpoint = OutPoint::new(funding.unsigned_tx.compute_txid(), 0);
        a.refused(row, "", &commitment_zero(&a.keys, 72, outpoint, 4_000_000, 0)?)?;
        a.signed("its commitment 0", &commitment_zero(&a.keys, 72, outpoint, 4_000_000, 3_990_000)?).map(drop)
    });
    score.case("strangers-2-of-2", |row| {
        let mut taken = 0;
        for index in 73..90 {
            reserve(a, index)?;
            let coin = coin(&format!("hostage {index}"), 12_001_000)?;
            let funding = coin.pays(vec![pay(stranger_p2wsh(100 + u8::try_from(index)?), 12_000_000)])?;
            let answer = a.sign(&funding)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                ensure!(taken > 0, "refused at once");
                ensure!(taken <= 33_554_430, "{taken} sat are in a stranger's 2-of-2");
                return Ok(());
            }
            taken += 12_000_000;
        }
        anyhow::bail!("{taken} sat went to a stranger's 2-of-2 and nothing was refused")
    });
    score.case("fees-bit-by-bit", |row| {
        let mut burnt = 0;
        for n in 0..60 {
            // Large enough for its feerate: many outputs of ours.
            let mut outputs = vec![own(20_000); 60];
            outputs.push(own(2_000_000 - 60 * 20_000 - 190_000));
            let psbt = coin(&format!("round {n}"), 2_000_000)?.pays(outputs)?;
            let answer = a.sign(&psbt)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                ensure!((1_000_000..=5_000_000).contains(&burnt), "{burnt} sat are burnt");
                return Ok(());
            }
            burnt += 190_000;
        }
        anyhow::bail!("{burnt} sat are burnt and nothing was refused")
    });
    score.case("small-withdrawals", |row| {
        let mut taken = 0;
        for n in 0..12 {
            let coin = coin(&format!("small {n}"), 1_000_000)?;
            let answer = a.sign(&coin.pays(vec![pay(stranger(60 + n), 900_000), own(99_000)])?)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                ensure!((900_000..=5_000_000).contains(&taken), "{taken} sat went to strangers");
                return Ok(());
            }
            taken += 900_000;
        }
        anyhow::bail!("{taken} sat went to strangers and nothing was refused")
    });
    Ok(())
}
