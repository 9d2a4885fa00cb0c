//! What has no chain behind it: coins, and channels on outpoints of the attacker's choice.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use bitcoin::secp256k1::PublicKey;
use bitcoin::{OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxOut};
use prost::Message;
use strongroom_proto::signrpc::{KeyLocator, SharedKeyRequest};
use strongroom_tests::grpc::{Answer, OK};

use crate::attacker::Attacker;
use crate::forge::{
    ALL, Keys, Live, Spent, channel_path, invented, pay, stranger_p2wsh, transaction, wallet_path,
};

pub const DERIVE_SHARED_KEY: &str = "/signrpc.Signer/DeriveSharedKey";

/// A coin of our wallet, proven by a transaction that nobody published.
pub struct Coin {
    pub from: Transaction,
    pub spent: Spent,
}

impl Coin {
    /// `sat` on the wallet's address 0/0, made apart from others by `label`.
    pub fn new(keys: &Keys, label: &str, sat: u64) -> Result<Self> {
        let utxo = pay(keys.wallet_script(0, 0)?, sat);
        let from = transaction(&[(invented(label), Sequence::MAX)], vec![utxo.clone()]);
        let spent = Spent {
            outpoint: OutPoint::new(from.compute_txid(), 0),
            utxo,
            script: None,
            sequence: 0xffff_fffd,
            sighash: ALL,
            key: keys.wallet(0, 0)?,
            path: wallet_path(0, 0)?,
            tweak: None,
        };
        Ok(Self { from, spent })
    }

    /// A request for its signature, the coin proven.
    pub fn pays(&self, outputs: Vec<TxOut>) -> Result<Psbt> {
        let mut psbt = self.spent.pays(outputs)?;
        psbt.inputs[0].non_witness_utxo = Some(self.from.clone());
        Ok(psbt)
    }
}

/// A request for the signature on coin `at`; of the others only amounts are claimed, as `claims` says.
pub fn both(coins: [&Coin; 2], at: usize, claims: u64, outputs: Vec<TxOut>) -> Result<Psbt> {
    let spends = coins.map(|coin| (coin.spent.outpoint, Sequence(coin.spent.sequence)));
    let mut psbt = Psbt::from_unsigned_tx(transaction(&spends, outputs))?;
    coins[at].spent.fill(&mut psbt, at);
    psbt.inputs[at].non_witness_utxo = Some(coins[at].from.clone());
    let other = &coins[1 - at].spent.utxo;
    psbt.inputs[1 - at].witness_utxo = Some(pay(other.script_pubkey.clone(), claims));
    Ok(psbt)
}

/// A public key of the peer's.
pub fn peer_key() -> Result<PublicKey> {
    Ok("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse()?)
}

/// The 2-of-2 of {0/index} and the peer's key.
pub fn funding_script(keys: &Keys, index: u32) -> Result<ScriptBuf> {
    let mut pair = [keys.channel(0, index)?.serialize(), peer_key()?.serialize()];
    pair.sort_unstable();
    Ok(bitcoin::script::Builder::new()
        .push_int(2)
        .push_slice(pair[0])
        .push_slice(pair[1])
        .push_int(2)
        .push_opcode(bitcoin::opcodes::all::OP_CHECKMULTISIG)
        .into_script())
}

/// The spend of a funding output at `outpoint` by {0/index}.
pub fn funding_spent(keys: &Keys, index: u32, outpoint: OutPoint, capacity: u64) -> Result<Spent> {
    let script = funding_script(keys, index)?;
    Ok(Spent {
        outpoint,
        utxo: pay(script.to_p2wsh(), capacity),
        script: Some(script),
        sequence: 0x80ab_cdef,
        sighash: ALL,
        key: keys.channel(0, index)?,
        path: channel_path(0, index)?,
        tweak: None,
    })
}

/// The peer's commitment 0 of such a channel: `ours` to us, the rest but a fee to the peer.
pub fn commitment_zero(
    keys: &Keys,
    index: u32,
    outpoint: OutPoint,
    capacity: u64,
    ours: u64,
) -> Result<Psbt> {
    let mut outputs = vec![pay(stranger_p2wsh(0xee), capacity - ours - 1_000)];
    if ours > 0 {
        outputs.push(pay(keys.to_remote(index)?.to_p2wsh(), ours));
    }
    let mut psbt = funding_spent(keys, index, outpoint, capacity)?.pays(outputs)?;
    psbt.unsigned_tx.lock_time = bitcoin::absolute::LockTime::from_consensus(0x2012_3456);
    Ok(psbt)
}

/// lnd's request at a reservation: ECDH of {5/root} with `point`.
pub fn root_request(root: u32, point: &PublicKey) -> Result<SharedKeyRequest> {
    Ok(SharedKeyRequest {
        ephemeral_pubkey: point.serialize().to_vec(),
        key_loc: Some(KeyLocator { key_family: 5, key_index: i32::try_from(root)? }),
        key_desc: None,
    })
}

/// Makes a reservation for the channel with our key {0/index}.
pub fn reserve(attacker: &Attacker, index: u32) -> Result<()> {
    let request = root_request(index, &attacker.keys.channel(0, index)?)?;
    let answer: Answer = attacker.ask(DERIVE_SHARED_KEY, &request.encode_to_vec())?;
    ensure!(answer.code == OK, "reservation: {}", answer.message);
    Ok(())
}

/// A channel on an outpoint that no chain has, opened as the peer's.
pub fn fictional(attacker: &Attacker, index: u32, capacity: u64) -> Result<Live> {
    reserve(attacker, index)?;
    let zero = commitment_zero(&attacker.keys, index, invented(&format!("fiction {index}")), capacity, 0)?;
    attacker.signed("commitment 0 of a channel that does not exist", &zero)?;
    let mut lives = Live::read(&attacker.keys, &[zero])?;
    let mut live = lives.remove(0);
    // To have a balance of ours to go on from, as after a payment received.
    let mut draft = live.next()?;
    let to_local = draft.to_local.clone();
    draft.take(&to_local, 20_000)?;
    draft.add(pay(live.to_remote.clone(), 20_000));
    attacker.advance(&mut live, &draft)?;
    Ok(live)
}

/// Two inputs of which both are to be signed.
pub fn sign_both(mut psbt: Psbt, other: &Spent, at: usize) -> Psbt {
    let derivation: BTreeMap<_, _> = [(other.key, (Default::default(), other.path.clone()))].into();
    other.fill(&mut psbt, at);
    psbt.inputs[at].bip32_derivation = derivation;
    psbt
}
