//! What is collected from closed channels.

use anyhow::{Context, Result};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::opcodes::all as op;
use bitcoin::psbt::PsbtSighashType;
use bitcoin::script::Builder;
use bitcoin::secp256k1::{PublicKey, Scalar, Secp256k1, SecretKey};
use bitcoin::{OutPoint, ScriptBuf};

use crate::bed::{Bed, QUIET, WORK};
use crate::forge::{
    ALL, Keys, Live, SINGLE_ANYONECANPAY, Spent, channel_path, invented, pay, stranger, stranger_p2wsh,
};
use crate::made_up::{Coin, peer_key};
use crate::table::End::Closed;
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "sweep-to-stranger",
        tier: "T0",
        tag: "closing-destination",
        end: Closed,
        line: "our balance on the peer's commitment is swept to a stranger",
    },
    Attack {
        name: "sweep-to-fees",
        tier: "T0",
        tag: "fee-cap",
        end: Closed,
        line: "almost all of a swept balance is fee",
    },
    Attack {
        name: "sweep-with-a-hidden-input",
        tier: "T0",
        tag: "fee-cap",
        end: Closed,
        line: "a wallet coin beside the sweep is said to be worth little; its own signature shows the fee",
    },
    Attack {
        name: "coin-dressed-as-claim",
        tier: "T0",
        tag: "fee-cap",
        end: Closed,
        line: "a wallet coin beside the sweep is said to be a channel's output, so that half of it may be fee",
    },
    Attack {
        name: "sweep-sighash",
        tier: "T0",
        tag: "sighash",
        end: Closed,
        line: "a sweep of our balance, of a delayed output or of a punished peer signed with NONE, SINGLE or ANYONECANPAY",
    },
    Attack {
        name: "delayed-to-stranger",
        tier: "T0",
        tag: "closing-destination",
        end: Closed,
        line: "a delayed output of ours is swept to a stranger",
    },
    Attack {
        name: "htlc-claim-to-stranger",
        tier: "T0",
        tag: "closing-destination",
        end: Closed,
        line: "our claim of an HTLC on the peer's commitment pays a stranger",
    },
    Attack {
        name: "anchor-to-stranger",
        tier: "T0",
        tag: "closing-destination",
        end: Closed,
        line: "an anchor is spent to a stranger",
    },
    Attack {
        name: "anchor-bump-to-fees",
        tier: "T0",
        tag: "fee-cap",
        end: Closed,
        line: "a wallet coin beside an anchor becomes fee",
    },
    Attack {
        name: "channel-dressed-as-anchor",
        tier: "T0",
        tag: "spend-key",
        end: Closed,
        line: "the multisig key signs an \"anchor\" of five million satoshis",
    },
    Attack {
        name: "justice-to-stranger",
        tier: "T0",
        tag: "closing-destination",
        end: Closed,
        line: "a punished peer's balance pays a stranger",
    },
    Attack {
        name: "justice-to-fees",
        tier: "T0",
        tag: "fee-cap",
        end: Closed,
        line: "a punished peer's balance becomes fee",
    },
    Attack {
        name: "sweep-key-without-tweak",
        tier: "T0",
        tag: "unknown-spend",
        end: Closed,
        line: "the bare delay basepoint signs a delayed output",
    },
];

/// Our balance on the peer's latest commitment.
pub fn to_remote(keys: &Keys, live: &Live) -> Result<Spent> {
    let outputs = &live.latest().unsigned_tx.output;
    let vout = outputs.iter().position(|o| o.script_pubkey == live.to_remote).context("no to_remote")?;
    Ok(Spent {
        outpoint: OutPoint::new(live.txid(), u32::try_from(vout)?),
        utxo: outputs[vout].clone(),
        script: Some(keys.to_remote(live.index)?),
        sequence: 1,
        sighash: ALL,
        key: keys.channel(3, live.index)?,
        path: channel_path(3, live.index)?,
        tweak: None,
    })
}

/// `to_local` and second-level outputs (BOLT 3).
fn delayed_script(revocation: &PublicKey, delayed: &PublicKey) -> ScriptBuf {
    Builder::new()
        .push_opcode(op::OP_IF)
        .push_slice(revocation.serialize())
        .push_opcode(op::OP_ELSE)
        .push_int(144)
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_DROP)
        .push_slice(delayed.serialize())
        .push_opcode(op::OP_ENDIF)
        .push_opcode(op::OP_CHECKSIG)
        .into_script()
}

pub fn delayed(keys: &Keys, index: u32, tweak: [u8; 32]) -> Result<Spent> {
    let script = delayed_script(&peer_key()?, &keys.tweaked(4, index, tweak)?);
    Ok(Spent {
        outpoint: invented("second level"),
        utxo: pay(script.to_p2wsh(), 3_000_000),
        script: Some(script),
        sequence: 144,
        sighash: ALL,
        key: keys.channel(4, index)?,
        path: channel_path(4, index)?,
        tweak: Some((0x51, tweak)),
    })
}

/// The peer's revoked `to_local`, opened with {1/index} and the secret that the peer revealed.
fn justice(keys: &Keys, index: u32, label: &str) -> Result<Spent> {
    let secret = [0x42; 32];
    let secp = Secp256k1::new();
    let point = SecretKey::from_slice(&secret)?.public_key(&secp);
    let base = keys.channel(1, index)?;
    let weigh = |a: &PublicKey, b: &PublicKey| {
        let mut engine = sha256::Hash::engine();
        engine.input(&a.serialize());
        engine.input(&b.serialize());
        let factor = Scalar::from_be_bytes(sha256::Hash::from_engine(engine).to_byte_array())?;
        Ok::<_, anyhow::Error>(a.mul_tweak(&secp, &factor)?)
    };
    let script = delayed_script(&weigh(&base, &point)?.combine(&weigh(&point, &base)?)?, &peer_key()?);
    Ok(Spent {
        outpoint: invented(label),
        utxo: pay(script.to_p2wsh(), 3_000_000),
        script: Some(script),
        sequence: 0xffff_ffff,
        sighash: ALL,
        key: base,
        path: channel_path(1, index)?,
        tweak: Some((0xd0, secret)),
    })
}

/// An anchor of {0/index} holding `sat`, at `outpoint`.
fn anchor(keys: &Keys, index: u32, outpoint: OutPoint, sat: u64) -> Result<Spent> {
    let key = keys.channel(0, index)?;
    let script = Builder::new()
        .push_slice(key.serialize())
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_IFDUP)
        .push_opcode(op::OP_NOTIF)
        .push_int(16)
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_ENDIF)
        .into_script();
    Ok(Spent {
        outpoint,
        utxo: pay(script.to_p2wsh(), sat),
        script: Some(script),
        sequence: 0xffff_fffd,
        sighash: ALL,
        key,
        path: channel_path(0, index)?,
        tweak: None,
    })
}

/// Ours on the peer's latest commitment.
fn our_anchor(keys: &Keys, live: &Live) -> Result<Spent> {
    let script = anchor(keys, live.index, invented(""), 330)?.utxo;
    let vout = live.latest().unsigned_tx.output.iter().position(|output| *output == script);
    let vout = u32::try_from(vout.context("no anchor of ours")?)?;
    anchor(keys, live.index, OutPoint::new(live.txid(), vout), 330)
}

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    let work = bed.lives[WORK].clone();
    let (a, live) = bed.with(QUIET);
    let home = a.keys.wallet_script(0, 8)?;
    let index = live.index;
    score.case("sweep-to-stranger", |row| {
        let spent = to_remote(&a.keys, live)?;
        a.refused(row, "", &spent.pays(vec![pay(stranger(30), live.balance() - 500)])?)
    });
    score.case("sweep-to-fees", |row| {
        let spent = to_remote(&a.keys, live)?;
        a.refused(row, "", &spent.pays(vec![pay(home.clone(), 20_000)])?)
    });
    score.case("sweep-with-a-hidden-input", |row| {
        let spent = to_remote(&a.keys, live)?;
        let coin = Coin::new(&a.keys, "hidden", 3_000_000)?;
        let outputs = vec![pay(home.clone(), live.balance() - 3_000)];
        let sweep = spent
            .pays_beside((coin.spent.outpoint, pay(coin.spent.utxo.script_pubkey.clone(), 1_000)), outputs)?;
        a.signed("the sweep's own input", &sweep)?;
        let mut psbt = sweep.clone();
        psbt.inputs[0] =
            bitcoin::psbt::Input { witness_utxo: Some(spent.utxo.clone()), ..Default::default() };
        coin.spent.fill(&mut psbt, 1);
        psbt.inputs[1].non_witness_utxo = Some(coin.from.clone());
        a.refused(row, "", &psbt)
    });
    score.case("coin-dressed-as-claim", |row| {
        let spent = to_remote(&a.keys, live)?;
        let coin = (invented("dressed"), pay(stranger_p2wsh(36), 9_000_000));
        let left = live.balance() + 9_000_000 - (live.balance() + 9_000_000) / 2;
        a.refused(row, "", &spent.pays_beside(coin, vec![pay(home.clone(), left)])?)
    });
    score.case("sweep-sighash", |row| {
        for sighash in [0x02, 0x03, 0x81, 0x82, SINGLE_ANYONECANPAY] {
            for mut spent in [
                to_remote(&a.keys, live)?,
                delayed(&a.keys, index, [9; 32])?,
                justice(&a.keys, index, "breach")?,
            ] {
                spent.sighash = sighash;
                let sat = spent.utxo.value.to_sat() - 500;
                a.refused(row, &format!("{sighash:#04x}"), &spent.pays(vec![pay(home.clone(), sat)])?)?;
            }
        }
        Ok(())
    });
    score.case("delayed-to-stranger", |row| {
        a.refused(row, "", &delayed(&a.keys, index, [9; 32])?.pays(vec![pay(stranger(31), 2_990_000)])?)
    });
    score.case("htlc-claim-to-stranger", |row| {
        for htlc in &work.htlcs {
            let mut claim = htlc.clone();
            claim.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(ALL));
            claim.unsigned_tx.output[0].script_pubkey = stranger(32);
            a.refused(row, "", &claim)?;
        }
        Ok(())
    });
    score.case("anchor-to-stranger", |row| {
        a.refused(row, "", &our_anchor(&a.keys, live)?.pays(vec![pay(stranger(33), 310)])?)
    });
    score.case("anchor-bump-to-fees", |row| {
        let (bumped, coin) = (our_anchor(&a.keys, live)?, Coin::new(&a.keys, "bump", 4_000_000)?);
        let beside = (bumped.outpoint, bumped.utxo);
        let mut psbt = coin.spent.pays_beside(beside, vec![pay(home.clone(), 1_000_000)])?;
        psbt.inputs[0].non_witness_utxo = Some(coin.from.clone());
        a.refused(row, "", &psbt)
    });
    score.case("channel-dressed-as-anchor", |row| {
        let spent = anchor(&a.keys, index, invented("anchor"), 5_000_000)?;
        a.refused(row, "", &spent.pays(vec![pay(home.clone(), 4_999_000)])?)
    });
    score.case("justice-to-stranger", |row| {
        a.refused(row, "", &justice(&a.keys, index, "breach")?.pays(vec![pay(stranger(34), 2_990_000)])?)
    });
    score.case("justice-to-fees", |row| {
        a.refused(row, "", &justice(&a.keys, index, "breach 2")?.pays(vec![pay(home.clone(), 1_000)])?)
    });
    score.case("sweep-key-without-tweak", |row| {
        let mut spent = delayed(&a.keys, index, [9; 32])?;
        let script = delayed_script(&peer_key()?, &a.keys.channel(4, index)?);
        spent.utxo.script_pubkey = script.to_p2wsh();
        spent.script = Some(script);
        spent.tweak = None;
        a.refused(row, "", &spent.pays(vec![pay(home.clone(), 2_990_000)])?)
    });
    Ok(())
}
