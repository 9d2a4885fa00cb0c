//! Commitment and HTLC transactions of invented but well-formed anchor channels (BOLT 3), as lnd
//! asks its signer to sign them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint, Xpub};
use bitcoin::hashes::{Hash, hash160, ripemd160, sha256};
use bitcoin::opcodes::all as op;
use bitcoin::psbt::raw::Key;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::secp256k1::{Message, PublicKey, Scalar, Secp256k1, SecretKey, VerifyOnly};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::{
    Address, Amount, Network, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid,
    WPubkeyHash, WScriptHash, Witness, absolute::LockTime, ecdsa, transaction::Version,
};
use serde_json::Value;

/// SIGHASH_SINGLE | ANYONECANPAY: what lnd asks for on a peer's HTLC transaction.
const SINGLE_ANYONECANPAY: u32 = 0x83;
const ALL: u32 = 0x01;
const CAPACITY: u64 = 10_000_000;
const HTLC: u64 = 10_000;
const ANCHOR: u64 = 330;
const FEE: u64 = 2_500;
/// At the same feerate: an HTLC's output has 172 weight units (BOLT 3).
const FEE_PER_HTLC: u64 = 430;

/// The public keys of one channel between the node under test and an invented peer.
pub struct BenchChannel {
    index: u32,
    funding: OutPoint,
    funding_script: ScriptBuf,
    /// Our {0/i}.
    pub multisig: PublicKey,
    htlc_base: PublicKey,
    to_remote: ScriptBuf,
    anchors: [ScriptBuf; 2],
    obfuscator: u64,
    peer: SecretKey,
    peer_points: Vec<PublicKey>,
    secp: Secp256k1<VerifyOnly>,
}

/// A counterparty commitment and its HTLCs' transactions: PSBTs to sign.
pub struct Update {
    /// SignPsbt of the commitment, under {0/i}.
    pub commitment: Vec<u8>,
    /// SignPsbt of each HTLC's success transaction, under the tweaked {2/i}.
    pub htlcs: Vec<Vec<u8>>,
}

impl BenchChannel {
    /// The channel with key index `index` of the node whose accounts are `accounts`.
    pub fn new(accounts: &Value, index: u32) -> Result<Self> {
        let secp = Secp256k1::verification_only();
        let multisig = key(&secp, accounts, 0, index)?;
        let htlc_base = key(&secp, accounts, 2, index)?;
        let payment_base = key(&secp, accounts, 3, index)?;
        let signing = Secp256k1::signing_only();
        let secret = |label: &str, n: u32| {
            let seed = sha256::Hash::hash(format!("{label} {index} {n}").as_bytes());
            SecretKey::from_slice(&seed.to_byte_array())
                .context("a hash is a valid secret key but for a chance of 2^-128")
        };
        let point = |label: &str, n: u32| {
            Ok::<_, anyhow::Error>(PublicKey::from_secret_key(&signing, &secret(label, n)?))
        };
        let peer_secret = secret("peer funding", 0)?;
        let peer = PublicKey::from_secret_key(&signing, &peer_secret);
        let mut ordered = [multisig, peer];
        ordered.sort_by_key(PublicKey::serialize);
        let funding_script = Builder::new()
            .push_int(2)
            .push_slice(ordered[0].serialize())
            .push_slice(ordered[1].serialize())
            .push_int(2)
            .push_opcode(op::OP_CHECKMULTISIG)
            .into_script();
        let to_remote = Builder::new()
            .push_slice(payment_base.serialize())
            .push_opcode(op::OP_CHECKSIGVERIFY)
            .push_int(1)
            .push_opcode(op::OP_CSV)
            .into_script();
        let hash = sha256::Hash::hash(format!("funding {index}").as_bytes());
        Ok(Self {
            index,
            funding: OutPoint { txid: Txid::from_byte_array(hash.to_byte_array()), vout: 0 },
            anchors: [anchor(&multisig), anchor(&peer)],
            funding_script,
            multisig,
            htlc_base,
            to_remote: to_remote.to_p2wsh(),
            obfuscator: 0x0000_5a5a_0000_0000 | (u64::from(index) * 0x9e37),
            peer: peer_secret,
            peer_points: (0..64).map(|n| point("peer point", n)).collect::<Result<_>>()?,
            secp,
        })
    }

    /// The same channel on a funding output that is on a chain.
    pub fn on(mut self, funding: OutPoint) -> Self {
        self.funding = funding;
        self
    }

    /// The funding outpoint.
    pub fn funding(&self) -> OutPoint {
        self.funding
    }

    /// What the channel is funded with, and where to.
    pub fn funding_address(&self) -> Result<(String, u64)> {
        let address = Address::p2wsh(&self.funding_script, Network::Regtest);
        Ok((address.to_string(), CAPACITY))
    }

    /// The commitment in a SignPsbt answer, with the peer's signature beside ours: ready for the chain.
    pub fn completed(&self, answer: &[u8]) -> Result<Transaction> {
        let start = answer.windows(5).position(|w| w == b"psbt\xff").context("an answer without a PSBT")?;
        // What follows the PSBT in the answer is no part of it.
        let psbt = Psbt::deserialize_from_reader(&mut &answer[start..])?;
        let input = psbt.inputs.first().context("a PSBT without inputs")?;
        let ours = input.partial_sigs.values().next().context("no signature of ours")?.serialize().to_vec();
        let mut spend = psbt.unsigned_tx.clone();
        let hash = SighashCache::new(&spend).p2wsh_signature_hash(
            0,
            &self.funding_script,
            Amount::from_sat(CAPACITY),
            EcdsaSighashType::All,
        )?;
        let signing = Secp256k1::signing_only();
        let theirs = ecdsa::Signature::sighash_all(
            signing.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &self.peer),
        );
        let peer = PublicKey::from_secret_key(&signing, &self.peer);
        let mut signed = [(self.multisig.serialize(), ours), (peer.serialize(), theirs.serialize().to_vec())];
        signed.sort();
        let [(_, first), (_, second)] = signed;
        spend.input[0].witness =
            Witness::from_slice(&[Vec::new(), first, second, self.funding_script.to_bytes()]);
        Ok(spend)
    }

    /// Commitment `number` without HTLCs; number 0 is the channel's first.
    pub fn plain_commitment(&self, number: u64) -> Result<Vec<u8>> {
        self.commitment_psbt(self.commitment(number, &[])).map(|p| p.serialize())
    }

    /// Commitment `number` with `count` HTLCs offered by us.
    pub fn update(&self, number: u64, count: u64) -> Result<Update> {
        let tweak = sha256::Hash::hash(&[&self.index.to_le_bytes()[..], &number.to_le_bytes()].concat());
        let tweak = tweak.to_byte_array();
        let ours = self.htlc_base.add_exp_tweak(&self.secp, &Scalar::from_be_bytes(tweak)?)?;
        let scripts: Vec<ScriptBuf> = (0..count).map(|nth| self.received_htlc(number, nth, &ours)).collect();
        let outputs: Vec<TxOut> = scripts
            .iter()
            .map(|script| TxOut { value: Amount::from_sat(HTLC), script_pubkey: script.to_p2wsh() })
            .collect();
        let commitment = self.commitment(number, &outputs);
        let txid = commitment.compute_txid();
        let mut htlcs = Vec::with_capacity(scripts.len());
        for (script, output) in scripts.into_iter().zip(outputs) {
            let vout = commitment.output.iter().position(|o| *o == output);
            let vout = u32::try_from(vout.context("the HTLC's output was just added")?)?;
            let spend = Transaction {
                version: Version::TWO,
                lock_time: LockTime::ZERO,
                input: vec![TxIn {
                    previous_output: OutPoint::new(txid, vout),
                    script_sig: ScriptBuf::new(),
                    sequence: Sequence(1),
                    witness: Witness::new(),
                }],
                output: vec![TxOut {
                    value: Amount::from_sat(HTLC),
                    script_pubkey: self.peer_to_local(number).to_p2wsh(),
                }],
            };
            let mut htlc = psbt(spend, output, script, SINGLE_ANYONECANPAY, self.htlc_base, self.path(2)?)?;
            let unknown = Key { type_value: 0x51, key: Vec::new() };
            htlc.inputs[0].unknown.insert(unknown, tweak.to_vec());
            htlcs.push(htlc.serialize());
        }
        Ok(Update { commitment: self.commitment_psbt(commitment)?.serialize(), htlcs })
    }

    fn commitment(&self, number: u64, htlcs: &[TxOut]) -> Transaction {
        let obscured = number ^ self.obfuscator;
        let in_htlcs: u64 = htlcs.iter().map(|o| o.value.to_sat()).sum();
        let fee = FEE + FEE_PER_HTLC * htlcs.len() as u64;
        let half = (CAPACITY - 2 * ANCHOR - fee - in_htlcs) / 2;
        let mut output = vec![
            TxOut { value: Amount::from_sat(half), script_pubkey: self.to_remote.clone() },
            TxOut { value: Amount::from_sat(half), script_pubkey: self.peer_to_local(number).to_p2wsh() },
        ];
        output.extend(
            self.anchors
                .iter()
                .map(|script| TxOut { value: Amount::from_sat(ANCHOR), script_pubkey: script.clone() }),
        );
        output.extend_from_slice(htlcs);
        output.sort_by(|a, b| (a.value, &a.script_pubkey).cmp(&(b.value, &b.script_pubkey)));
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::from_consensus(0x2000_0000 | (obscured & 0xff_ffff) as u32),
            input: vec![TxIn {
                previous_output: self.funding,
                script_sig: ScriptBuf::new(),
                sequence: Sequence(0x8000_0000 | ((obscured >> 24) & 0xff_ffff) as u32),
                witness: Witness::new(),
            }],
            output,
        }
    }

    fn commitment_psbt(&self, commitment: Transaction) -> Result<Psbt> {
        let funding =
            TxOut { value: Amount::from_sat(CAPACITY), script_pubkey: self.funding_script.to_p2wsh() };
        let script = self.funding_script.clone();
        psbt(commitment, funding, script, ALL, self.multisig, self.path(0)?)
    }

    fn path(&self, family: u32) -> Result<DerivationPath> {
        Ok(vec![
            ChildNumber::from_hardened_idx(1017)?,
            ChildNumber::from_hardened_idx(1)?,
            ChildNumber::from_hardened_idx(family)?,
            ChildNumber::from_normal_idx(0)?,
            ChildNumber::from_normal_idx(self.index)?,
        ]
        .into())
    }

    /// One of the invented peer's per-commitment keys.
    fn peer_point(&self, number: u64, which: u64) -> &PublicKey {
        let n = number.wrapping_mul(31).wrapping_add(which * 17) % self.peer_points.len() as u64;
        &self.peer_points[n as usize]
    }

    fn peer_to_local(&self, number: u64) -> ScriptBuf {
        Builder::new()
            .push_opcode(op::OP_IF)
            .push_slice(self.peer_point(number, 0).serialize())
            .push_opcode(op::OP_ELSE)
            .push_int(144)
            .push_opcode(op::OP_CSV)
            .push_opcode(op::OP_DROP)
            .push_slice(self.peer_point(number / 64, 1).serialize())
            .push_opcode(op::OP_ENDIF)
            .push_opcode(op::OP_CHECKSIG)
            .into_script()
    }

    fn received_htlc(&self, number: u64, nth: u64, ours: &PublicKey) -> ScriptBuf {
        let revocation = hash160::Hash::hash(&self.peer_point(number, 0).serialize());
        let preimage = sha256::Hash::hash(&[number.to_le_bytes(), nth.to_le_bytes()].concat());
        let payment = ripemd160::Hash::hash(&preimage.to_byte_array());
        Builder::new()
            .push_opcode(op::OP_DUP)
            .push_opcode(op::OP_HASH160)
            .push_slice(revocation.to_byte_array())
            .push_opcode(op::OP_EQUAL)
            .push_opcode(op::OP_IF)
            .push_opcode(op::OP_CHECKSIG)
            .push_opcode(op::OP_ELSE)
            .push_slice(ours.serialize())
            .push_opcode(op::OP_SWAP)
            .push_opcode(op::OP_SIZE)
            .push_int(32)
            .push_opcode(op::OP_EQUAL)
            .push_opcode(op::OP_IF)
            .push_opcode(op::OP_HASH160)
            .push_slice(payment.to_byte_array())
            .push_opcode(op::OP_EQUALVERIFY)
            .push_int(2)
            .push_opcode(op::OP_SWAP)
            .push_slice(self.peer_point(number, 2).serialize())
            .push_int(2)
            .push_opcode(op::OP_CHECKMULTISIG)
            .push_opcode(op::OP_ELSE)
            .push_opcode(op::OP_DROP)
            .push_int(800)
            .push_opcode(op::OP_CLTV)
            .push_opcode(op::OP_DROP)
            .push_opcode(op::OP_CHECKSIG)
            .push_opcode(op::OP_ENDIF)
            .push_int(1)
            .push_opcode(op::OP_CSV)
            .push_opcode(op::OP_DROP)
            .push_opcode(op::OP_ENDIF)
            .into_script()
    }
}

/// SignPsbt of a wallet coin (84', proven by its invented previous transaction): `sat` to a stranger,
/// the rest back to our change address.
pub fn wallet_spend(accounts: &Value, number: u32, sat: u64) -> Result<Vec<u8>> {
    let secp = Secp256k1::verification_only();
    let account = xpub(accounts, "m/84'/0'/0'")?;
    let key = |branch: u32| -> Result<PublicKey> {
        let path = [ChildNumber::from_normal_idx(branch)?, ChildNumber::from_normal_idx(0)?];
        Ok(account.derive_pub(&secp, &path)?.public_key)
    };
    let p2wpkh = |key: &PublicKey| ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&key.serialize()));
    let ours = key(0)?;
    let coin = TxOut { value: Amount::from_sat(100_000), script_pubkey: p2wpkh(&ours) };
    let previous = transaction(OutPoint::new(Txid::from_byte_array([7; 32]), number), vec![coin.clone()]);
    let out = vec![
        TxOut {
            value: Amount::from_sat(sat),
            // No kind that lnd's wallet has, so that no daemon just started searches its far addresses for it.
            script_pubkey: ScriptBuf::new_p2wsh(&WScriptHash::from_byte_array([5; 32])),
        },
        TxOut { value: Amount::from_sat(100_000 - sat - 300), script_pubkey: p2wpkh(&key(1)?) },
    ];
    let spend = transaction(OutPoint::new(previous.compute_txid(), 0), out);
    let path: DerivationPath = vec![
        ChildNumber::from_hardened_idx(84)?,
        ChildNumber::from_hardened_idx(0)?,
        ChildNumber::from_hardened_idx(0)?,
        ChildNumber::from_normal_idx(0)?,
        ChildNumber::from_normal_idx(0)?,
    ]
    .into();
    let mut psbt = Psbt::from_unsigned_tx(spend)?;
    let input = &mut psbt.inputs[0];
    // As lnd does: the program as witness script too.
    input.witness_script = Some(coin.script_pubkey.clone());
    input.witness_utxo = Some(coin);
    input.non_witness_utxo = Some(previous);
    input.sighash_type = Some(bitcoin::psbt::PsbtSighashType::from_u32(ALL));
    input.bip32_derivation = BTreeMap::from([(ours, (Fingerprint::default(), path))]);
    Ok(psbt.serialize())
}

fn transaction(spends: OutPoint, output: Vec<TxOut>) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: spends,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        }],
        output,
    }
}

fn psbt(
    tx: Transaction,
    utxo: TxOut,
    script: ScriptBuf,
    sighash: u32,
    key: PublicKey,
    path: DerivationPath,
) -> Result<Psbt> {
    let mut psbt = Psbt::from_unsigned_tx(tx)?;
    let input = &mut psbt.inputs[0];
    input.witness_utxo = Some(utxo);
    input.witness_script = Some(script);
    input.sighash_type = Some(bitcoin::psbt::PsbtSighashType::from_u32(sighash));
    // lnd leaves the fingerprint of channel keys zero.
    input.bip32_derivation = BTreeMap::from([(key, (Fingerprint::default(), path))]);
    Ok(psbt)
}

fn anchor(funding: &PublicKey) -> ScriptBuf {
    Builder::new()
        .push_slice(PushBytesBuf::from(funding.serialize()))
        .push_opcode(op::OP_CHECKSIG)
        .push_opcode(op::OP_IFDUP)
        .push_opcode(op::OP_NOTIF)
        .push_int(16)
        .push_opcode(op::OP_CSV)
        .push_opcode(op::OP_ENDIF)
        .into_script()
        .to_p2wsh()
}

/// Our public key {family/index}, from the exported accounts.
pub fn key(secp: &Secp256k1<VerifyOnly>, accounts: &Value, family: u32, index: u32) -> Result<PublicKey> {
    let path = [ChildNumber::from_normal_idx(0)?, ChildNumber::from_normal_idx(index)?];
    let account = xpub(accounts, &format!("m/1017'/1'/{family}'"))?;
    Ok(account.derive_pub(secp, &path)?.public_key)
}

/// The exported extended key at `path`; lnd writes SLIP-132 prefixes, which say no more than the path.
pub fn xpub(accounts: &Value, path: &str) -> Result<Xpub> {
    let account = accounts["accounts"]
        .as_array()
        .and_then(|all| all.iter().find(|a| a["derivation_path"] == path))
        .with_context(|| format!("accounts: no {path}"))?;
    let text = account["extended_public_key"].as_str().context("account without extended_public_key")?;
    let mut bytes = bitcoin::base58::decode_check(text)?;
    // tpub
    bytes.splice(..4, [0x04, 0x35, 0x87, 0xcf]);
    Ok(Xpub::decode(&bytes)?)
}
