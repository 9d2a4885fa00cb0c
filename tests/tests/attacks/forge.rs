//! A channel as recorded requests show it, and the requests that a compromised lnd makes of it.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use bitcoin::bip32::{ChildNumber, DerivationPath, Fingerprint};
use bitcoin::hashes::{Hash, ripemd160, sha256};
use bitcoin::psbt::PsbtSighashType;
use bitcoin::psbt::raw::Key;
use bitcoin::script::Builder;
use bitcoin::secp256k1::{PublicKey, Scalar, Secp256k1, VerifyOnly};
use bitcoin::{
    Amount, OutPoint, Psbt, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, WPubkeyHash, Witness,
    absolute::LockTime, transaction::Version,
};
use serde_json::Value;
use strongroom_tests::load;

/// SIGHASH_ALL.
pub const ALL: u32 = 0x01;
/// SIGHASH_SINGLE | ANYONECANPAY.
pub const SINGLE_ANYONECANPAY: u32 = 0x83;

/// Alice's public keys.
pub struct Keys {
    accounts: Value,
    secp: Secp256k1<VerifyOnly>,
}

impl Keys {
    pub fn new(accounts: Value) -> Self {
        Self { accounts, secp: Secp256k1::verification_only() }
    }

    /// As exported.
    pub fn accounts(&self) -> &Value {
        &self.accounts
    }

    /// {family/index}.
    pub fn channel(&self, family: u32, index: u32) -> Result<PublicKey> {
        load::key(&self.secp, &self.accounts, family, index)
    }

    /// {family/index} plus tweak·G.
    pub fn tweaked(&self, family: u32, index: u32, tweak: [u8; 32]) -> Result<PublicKey> {
        Ok(self.channel(family, index)?.add_exp_tweak(&self.secp, &Scalar::from_be_bytes(tweak)?)?)
    }

    /// m/84'/0'/0'/branch/index.
    pub fn wallet(&self, branch: u32, index: u32) -> Result<PublicKey> {
        let path = [ChildNumber::from_normal_idx(branch)?, ChildNumber::from_normal_idx(index)?];
        let account = load::xpub(&self.accounts, "m/84'/0'/0'")?;
        Ok(account.derive_pub(&self.secp, &path)?.public_key)
    }

    /// The P2WPKH output script of a wallet key.
    pub fn wallet_script(&self, branch: u32, index: u32) -> Result<ScriptBuf> {
        Ok(p2wpkh(&self.wallet(branch, index)?))
    }

    /// `to_remote` of an anchor channel with payment basepoint {3/index}: witness script.
    pub fn to_remote(&self, index: u32) -> Result<ScriptBuf> {
        Ok(Builder::new()
            .push_slice(self.channel(3, index)?.serialize())
            .push_opcode(bitcoin::opcodes::all::OP_CHECKSIGVERIFY)
            .push_int(1)
            .push_opcode(bitcoin::opcodes::all::OP_CSV)
            .into_script())
    }
}

/// m/1017'/1'/family'/0/index.
pub fn channel_path(family: u32, index: u32) -> Result<DerivationPath> {
    let hard = |n| ChildNumber::from_hardened_idx(n);
    let soft = |n| ChildNumber::from_normal_idx(n);
    Ok(vec![hard(1017)?, hard(1)?, hard(family)?, soft(0)?, soft(index)?].into())
}

/// m/84'/0'/0'/branch/index.
pub fn wallet_path(branch: u32, index: u32) -> Result<DerivationPath> {
    let hard = |n| ChildNumber::from_hardened_idx(n);
    let soft = |n| ChildNumber::from_normal_idx(n);
    Ok(vec![hard(84)?, hard(0)?, hard(0)?, soft(branch)?, soft(index)?].into())
}

pub fn p2wpkh(key: &PublicKey) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::hash(&key.serialize()))
}

/// A P2WPKH script of nobody we know.
pub fn stranger(n: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([n; 20]))
}

/// A P2WSH script of nobody we know.
pub fn stranger_p2wsh(n: u8) -> ScriptBuf {
    ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::from_byte_array([n; 32]))
}

pub fn pay(script_pubkey: ScriptBuf, sat: u64) -> TxOut {
    TxOut { value: Amount::from_sat(sat), script_pubkey }
}

/// An outpoint that no chain has.
pub fn invented(label: &str) -> OutPoint {
    OutPoint::new(Txid::from_byte_array(sha256::Hash::hash(label.as_bytes()).to_byte_array()), 0)
}

/// HASH160-style form of a payment hash, as commitments show it.
pub fn hash160(payment_hash: &[u8; 32]) -> [u8; 20] {
    ripemd160::Hash::hash(payment_hash).to_byte_array()
}

pub fn transaction(spends: &[(OutPoint, Sequence)], output: Vec<TxOut>) -> Transaction {
    let input = |(previous_output, sequence): &(OutPoint, Sequence)| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: *sequence,
        witness: Witness::new(),
    };
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: spends.iter().map(input).collect(),
        output,
    }
}

/// What input 0 spends, and how it is to be signed.
pub struct Spent {
    pub outpoint: OutPoint,
    pub utxo: TxOut,
    /// Witness script; none for P2WPKH.
    pub script: Option<ScriptBuf>,
    pub sequence: u32,
    pub sighash: u32,
    pub key: PublicKey,
    pub path: DerivationPath,
    /// 0x51 with a tweak, 0xd0 with a revocation secret.
    pub tweak: Option<(u8, [u8; 32])>,
}

impl Spent {
    /// A request for this one signature.
    pub fn pays(&self, outputs: Vec<TxOut>) -> Result<Psbt> {
        let tx = transaction(&[(self.outpoint, Sequence(self.sequence))], outputs);
        let mut psbt = Psbt::from_unsigned_tx(tx)?;
        self.fill(&mut psbt, 0);
        Ok(psbt)
    }

    /// The same, with a second input of which only an amount is claimed.
    pub fn pays_beside(&self, other: (OutPoint, TxOut), outputs: Vec<TxOut>) -> Result<Psbt> {
        let tx = transaction(&[(self.outpoint, Sequence(self.sequence)), (other.0, Sequence::MAX)], outputs);
        let mut psbt = Psbt::from_unsigned_tx(tx)?;
        self.fill(&mut psbt, 0);
        psbt.inputs[1].witness_utxo = Some(other.1);
        Ok(psbt)
    }

    pub fn fill(&self, psbt: &mut Psbt, index: usize) {
        let input = &mut psbt.inputs[index];
        // As lnd does: the program as witness script of P2WPKH too.
        input.witness_script = Some(self.script.clone().unwrap_or_else(|| self.utxo.script_pubkey.clone()));
        input.witness_utxo = Some(self.utxo.clone());
        input.sighash_type = Some(PsbtSighashType::from_u32(self.sighash));
        input.bip32_derivation = BTreeMap::from([(self.key, (Fingerprint::default(), self.path.clone()))]);
        if let Some((kind, bytes)) = self.tweak {
            input.unknown.insert(Key { type_value: kind, key: Vec::new() }, bytes.to_vec());
        }
    }
}

/// Family and index of the key that input 0 asks for.
pub fn signs(psbt: &Psbt) -> Option<(u32, u32)> {
    let (_, path) = psbt.inputs.first()?.bip32_derivation.values().next()?;
    let steps: Vec<u32> = path.into_iter().map(|step| u32::from(*step) & 0x7fff_ffff).collect();
    match steps[..] {
        [1017, _, family, 0, index] => Some((family, index)),
        _ => None,
    }
}

/// One channel.
#[derive(Clone)]
pub struct Live {
    pub index: u32,
    pub funding: OutPoint,
    pub capacity: u64,
    zero_raw: u64,
    /// Of the peer's latest commitment.
    pub number: u64,
    /// All requests for the peer's commitments, oldest first; the last is the latest.
    pub theirs: Vec<Psbt>,
    /// Our own commitment 0.
    pub own_zero: Option<Psbt>,
    /// HTLC requests on the latest commitment.
    pub htlcs: Vec<Psbt>,
    /// An HTLC request of either direction to make others from.
    pub offered: Option<Psbt>,
    pub incoming: Option<Psbt>,
    pub to_remote: ScriptBuf,
}

fn raw(psbt: &Psbt) -> u64 {
    let tx = &psbt.unsigned_tx;
    u64::from(tx.input[0].sequence.0 & 0xff_ffff) << 24
        | u64::from(tx.lock_time.to_consensus_u32() & 0xff_ffff)
}

fn commitment_shaped(psbt: &Psbt) -> bool {
    let tx = &psbt.unsigned_tx;
    tx.input.len() == 1
        && tx.input[0].sequence.0 >> 24 == 0x80
        && tx.lock_time.to_consensus_u32() >> 24 == 0x20
}

impl Live {
    /// Every channel that `requests` show, in the order of their opening.
    pub fn read(keys: &Keys, requests: &[Psbt]) -> Result<Vec<Self>> {
        let mut lives: Vec<Self> = Vec::new();
        for psbt in requests {
            let Some((family, index)) = signs(psbt) else { continue };
            if family == 0 && commitment_shaped(psbt) {
                let funding = psbt.unsigned_tx.input[0].previous_output;
                let Some(live) = lives.iter_mut().find(|live| live.funding == funding) else {
                    let capacity = psbt.inputs[0].witness_utxo.as_ref().context("no witness_utxo")?.value;
                    lives.push(Self {
                        index,
                        funding,
                        capacity: capacity.to_sat(),
                        zero_raw: raw(psbt),
                        number: 0,
                        theirs: vec![psbt.clone()],
                        own_zero: None,
                        htlcs: Vec::new(),
                        offered: None,
                        incoming: None,
                        to_remote: keys.to_remote(index)?.to_p2wsh(),
                    });
                    continue;
                };
                let number = raw(psbt) ^ live.zero_raw;
                if number == 0 {
                    live.own_zero = Some(psbt.clone());
                } else {
                    live.number = number;
                    live.theirs.push(psbt.clone());
                }
            }
        }
        for psbt in requests.iter().filter(|psbt| {
            psbt.inputs[0].sighash_type == Some(PsbtSighashType::from_u32(SINGLE_ANYONECANPAY))
        }) {
            let Some((2, index)) = signs(psbt) else { continue };
            let Some(live) = lives.iter_mut().find(|live| live.index == index) else { continue };
            if psbt.unsigned_tx.lock_time == LockTime::ZERO {
                live.offered = Some(psbt.clone());
            } else {
                live.incoming = Some(psbt.clone());
            }
            if psbt.unsigned_tx.input[0].previous_output.txid == live.txid() {
                live.htlcs.push(psbt.clone());
            }
        }
        Ok(lives)
    }

    pub fn latest(&self) -> &Psbt {
        &self.theirs[self.theirs.len() - 1]
    }

    /// Id of the peer's latest commitment.
    pub fn txid(&self) -> Txid {
        self.latest().unsigned_tx.compute_txid()
    }

    /// What the latest commitment pays us.
    pub fn balance(&self) -> u64 {
        let ours = self.latest().unsigned_tx.output.iter().filter(|o| o.script_pubkey == self.to_remote);
        ours.map(|output| output.value.to_sat()).sum()
    }

    /// The peer's next commitment, as it stands now.
    pub fn next(&self) -> Result<Draft> {
        self.at(self.number + 1)
    }

    /// The latest state under another number.
    pub fn at(&self, number: u64) -> Result<Draft> {
        let mut psbt = self.latest().clone();
        let raw = number ^ self.zero_raw;
        let low = |bits: u64| u32::try_from(bits & 0xff_ffff);
        psbt.unsigned_tx.lock_time = LockTime::from_consensus(0x2000_0000 | low(raw)?);
        psbt.unsigned_tx.input[0].sequence = Sequence(0x8000_0000 | low(raw >> 24)?);
        let to_local = match self.htlcs.first() {
            Some(htlc) => htlc.unsigned_tx.output[0].script_pubkey.clone(),
            None => psbt
                .unsigned_tx
                .output
                .iter()
                .find(|o| o.value.to_sat() != 330 && o.script_pubkey != self.to_remote)
                .map_or_else(|| stranger_p2wsh(77), |output| output.script_pubkey.clone()),
        };
        Ok(Draft {
            psbt,
            htlcs: self.htlcs.clone(),
            to_local,
            to_remote: self.to_remote.clone(),
            number,
            index: self.index,
        })
    }

    /// The draft was signed.
    pub fn accept(&mut self, draft: &Draft) -> Result<()> {
        self.number = draft.number;
        self.htlcs = draft.htlc_requests()?;
        self.theirs.push(draft.psbt.clone());
        Ok(())
    }

    /// A spend of the funding output.
    pub fn funding_spent(&self) -> Result<Spent> {
        let input = &self.theirs[0].inputs[0];
        let (key, (_, path)) = input.bip32_derivation.iter().next().context("no derivation")?;
        Ok(Spent {
            outpoint: self.funding,
            utxo: input.witness_utxo.clone().context("no witness_utxo")?,
            script: input.witness_script.clone(),
            sequence: 0xffff_ffff,
            sighash: ALL,
            key: *key,
            path: path.clone(),
            tweak: None,
        })
    }
}

/// A commitment of the peer's in the making.
#[derive(Clone)]
pub struct Draft {
    pub psbt: Psbt,
    pub htlcs: Vec<Psbt>,
    pub to_local: ScriptBuf,
    pub to_remote: ScriptBuf,
    pub number: u64,
    pub index: u32,
}

/// An HTLC to add.
#[derive(Clone, Copy)]
pub struct NewHtlc {
    pub hash160: [u8; 20],
    pub sat: u64,
    pub cltv: u32,
}

impl Draft {
    pub fn output(&mut self, script: &ScriptBuf) -> Result<&mut TxOut> {
        let mut outputs = self.psbt.unsigned_tx.output.iter_mut();
        outputs
            .find(|output| output.script_pubkey == *script)
            .with_context(|| format!("no output to {script}"))
    }

    /// Moves `sat` from our balance to the peer's.
    pub fn give(&mut self, sat: u64) -> Result<()> {
        let (ours, theirs) = (self.to_remote.clone(), self.to_local.clone());
        self.take(&ours, sat)?;
        self.output(&theirs)?.value += Amount::from_sat(sat);
        Ok(())
    }

    /// Takes `sat` from an output, to leave them to the fee or to another.
    pub fn take(&mut self, script: &ScriptBuf, sat: u64) -> Result<()> {
        let output = self.output(script)?;
        output.value = output.value.checked_sub(Amount::from_sat(sat)).context("not that much there")?;
        Ok(())
    }

    pub fn add(&mut self, output: TxOut) {
        self.psbt.unsigned_tx.output.push(output);
        self.psbt.outputs.push(bitcoin::psbt::Output::default());
    }

    pub fn remove(&mut self, script: &ScriptBuf) {
        self.psbt.unsigned_tx.output.retain(|output| output.script_pubkey != *script);
        self.psbt.outputs.truncate(self.psbt.unsigned_tx.output.len());
    }

    /// Adds an HTLC made after `template`: from our balance where the template's was offered by us, else from the peer's.
    pub fn htlc(&mut self, keys: &Keys, template: &Psbt, new: NewHtlc) -> Result<()> {
        let (output, request) = htlc(keys, template, self.index, new, &self.to_local)?;
        let by_us = template.unsigned_tx.lock_time == LockTime::ZERO;
        let from = if by_us { self.to_remote.clone() } else { self.to_local.clone() };
        self.take(&from, new.sat)?;
        self.add(output);
        self.htlcs.push(request);
        Ok(())
    }

    /// Lets HTLC `at` go, its amount to the peer or to us.
    pub fn settle(&mut self, at: usize, to_peer: bool) -> Result<()> {
        let request = self.htlcs.remove(at);
        let output = request.inputs[0].witness_utxo.clone().context("no witness_utxo")?;
        self.remove(&output.script_pubkey);
        let to = if to_peer { self.to_local.clone() } else { self.to_remote.clone() };
        self.output(&to)?.value += output.value;
        Ok(())
    }

    /// The HTLC requests, on this commitment.
    pub fn htlc_requests(&self) -> Result<Vec<Psbt>> {
        let tx = &self.psbt.unsigned_tx;
        let txid = tx.compute_txid();
        let on = |request: &Psbt| {
            let mut request = request.clone();
            let utxo = request.inputs[0].witness_utxo.as_ref().context("no witness_utxo")?;
            let vout = tx.output.iter().position(|o| o == utxo).context("the HTLC has no output")?;
            request.unsigned_tx.input[0].previous_output = OutPoint::new(txid, u32::try_from(vout)?);
            Ok(request)
        };
        self.htlcs.iter().map(on).collect()
    }

    pub fn txid(&self) -> Txid {
        self.psbt.unsigned_tx.compute_txid()
    }
}

/// The output and the second-level request of an HTLC made after `template`, for the channel with key index `index`.
pub fn htlc(
    keys: &Keys,
    template: &Psbt,
    index: u32,
    new: NewHtlc,
    to_local: &ScriptBuf,
) -> Result<(TxOut, Psbt)> {
    let mut request = template.clone();
    let input = &mut request.inputs[0];
    let (_, from) = signs(template).context("no key")?;
    let tweak = input.unknown.values().next().context("no tweak")?.as_slice().try_into()?;
    let mut script = input.witness_script.clone().context("no script")?.into_bytes();
    let ours = keys.tweaked(2, from, tweak)?.serialize();
    let at = script.windows(33).position(|w| w == ours).context("our key is not in the script")?;
    script[at..at + 33].copy_from_slice(&keys.tweaked(2, index, tweak)?.serialize());
    // HASH160 <20 bytes> EQUALVERIFY: the payment hash; the revocation hash is followed by EQUAL.
    let hash = script
        .windows(23)
        .position(|w| w[..2] == [0xa9, 0x14] && w[22] == 0x88)
        .context("no payment hash in the script")?;
    script[hash + 2..hash + 22].copy_from_slice(&new.hash160);
    if template.unsigned_tx.lock_time == LockTime::ZERO {
        // <height> CLTV DROP CHECKSIG, the height a push of two bytes, as every height of a young regtest chain is.
        let ends = |w: &[u8]| w[0] == 2 && w[3..] == [0xb1, 0x75, 0xac];
        let push = script.windows(6).rposition(ends).context("no timeout in the script")?;
        let height = u16::try_from(new.cltv)?;
        ensure!((0x80..0x8000).contains(&height), "height {height} needs another push");
        script[push + 1..push + 3].copy_from_slice(&height.to_le_bytes());
    } else {
        request.unsigned_tx.lock_time = LockTime::from_consensus(new.cltv);
    }
    let script = ScriptBuf::from_bytes(script);
    let output = pay(script.to_p2wsh(), new.sat);
    input.witness_script = Some(script);
    input.witness_utxo = Some(output.clone());
    input.bip32_derivation =
        BTreeMap::from([(keys.channel(2, index)?, (Fingerprint::default(), channel_path(2, index)?))]);
    request.unsigned_tx.output = vec![pay(to_local.clone(), new.sat)];
    Ok((output, request))
}
