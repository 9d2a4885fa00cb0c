//! The request as a whole.

use std::collections::HashSet;

use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use bitcoin::sighash::SighashCache;
use bitcoin::{Amount, Transaction, TxOut, Txid};
use zeroize::Zeroizing;

use super::fields::Fields;
use super::input::{Wanted, previous_output, wanted};
use super::malformed::Malformed;
use super::nested;
use super::raw::Reader;
use super::splice::Slot;
use super::to_sign::ToSign;
use crate::accounts::Accounts;

/// Largest request taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the PSBT.
    pub bytes: usize,
    /// Inputs of the transaction.
    pub inputs: usize,
    /// Outputs of the transaction.
    pub outputs: usize,
}

impl Default for Limits {
    /// 4 MiB (lnd's own gRPC limit), 1,000 inputs, and outputs for the largest commitment (966 HTLCs) and more.
    fn default() -> Self {
        Self { bytes: 4 << 20, inputs: 1_000, outputs: 2_000 }
    }
}

/// The output an input spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousOutput {
    /// The output, as the request has it.
    pub output: TxOut,
    /// Its whole transaction came along and hashes to the outpoint.
    pub with_transaction: bool,
}

/// A SignPsbt request, understood: at least one signature to make, and every key in it proven to be ours.
///
/// No `Debug` and no `Clone`: its bytes may hold a per-commitment secret.
pub struct SignRequest {
    pub(super) original: Zeroizing<Vec<u8>>,
    transaction: Transaction,
    txid: Txid,
    certain_id: bool,
    spent: Vec<PreviousOutput>,
    pub(super) to_sign: Vec<ToSign>,
    /// Where the signature of the `to_sign` at the same position goes.
    pub(super) slots: Vec<Slot>,
}

impl SignRequest {
    /// Parses a PSBT as lnd's signer would, and proves that what it asks for is consistent.
    pub fn parse(bytes: &[u8], accounts: &Accounts, limits: &Limits) -> Result<Self, Malformed> {
        if bytes.len() > limits.bytes {
            return Err(Malformed::TooManyBytes { found: bytes.len(), limit: limits.bytes });
        }
        let mut reader = Reader::new(bytes);
        let transaction = unsigned_transaction(&mut reader, limits)?;
        while reader.pair()?.is_some() {}

        let mut maps = Vec::with_capacity(transaction.input.len());
        let mut spent = Vec::with_capacity(transaction.input.len());
        for (index, input) in transaction.input.iter().enumerate() {
            let fields = Fields::read(&mut reader, index)?;
            let at = |problem| Malformed::Input { index, problem };
            spent.push(previous_output(&fields, input.previous_output).map_err(at)?);
            maps.push(fields);
        }
        for _ in &transaction.output {
            while reader.pair()?.is_some() {}
        }
        if !reader.is_at_end() {
            return Err(Malformed::NotPsbt("bytes follow its end"));
        }
        check_sum(spent.iter().map(|previous| previous.output.value))?;

        let prevouts: Vec<TxOut> = spent.iter().map(|previous| previous.output.clone()).collect();
        let mut cache = SighashCache::new(&transaction);
        let (mut to_sign, mut slots, mut passed_over) = (Vec::new(), Vec::new(), None);
        for (index, fields) in maps.iter().enumerate() {
            let at = |problem| Malformed::Input { index, problem };
            match wanted(fields, index, &prevouts, &mut cache, accounts).map_err(at)? {
                Wanted::Signature(signature) => {
                    slots.push(Slot::find(fields, &signature));
                    to_sign.push(*signature);
                }
                Wanted::Nothing(reason) => {
                    passed_over.get_or_insert(reason);
                }
            }
        }
        if to_sign.is_empty() {
            let reason = passed_over.unwrap_or_default();
            return Err(Malformed::NothingToSign { reason });
        }
        let signed_here: Vec<usize> = to_sign.iter().map(|one| one.index).collect();
        let (txid, certain_id) = nested::txid(&transaction, &maps, &spent, &signed_here, accounts)?;
        let original = Zeroizing::new(bytes.to_vec());
        Ok(Self { original, txid, certain_id, transaction, spent, to_sign, slots })
    }

    /// The unsigned transaction.
    pub fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Whether [`SignRequest::txid`] is the id the transaction will confirm under, whatever the client claims of
    /// inputs that it did not prove.
    pub fn has_certain_id(&self) -> bool {
        self.certain_id
    }

    /// Its id once signed. It differs from the unsigned transaction's if nested P2WPKH inputs are spent: their
    /// script_sig is part of it.
    pub fn txid(&self) -> Txid {
        self.txid
    }

    /// The outputs spent, by input.
    pub fn spent(&self) -> &[PreviousOutput] {
        &self.spent
    }

    /// The signatures asked for, by ascending input; at least one.
    pub fn to_sign(&self) -> &[ToSign] {
        &self.to_sign
    }

    /// Indexes of the inputs to sign, ascending: `signed_inputs` of lnd's answer.
    pub fn signed_inputs(&self) -> Vec<u32> {
        self.to_sign.iter().map(|s| u32::try_from(s.index).unwrap_or(u32::MAX)).collect()
    }

    /// Digest of the request for idempotency: the same bytes, the same digest. The caller adds node and client.
    pub fn digest(&self) -> [u8; 32] {
        let mut engine = sha256::Hash::engine();
        engine.input(b"strongroom/sign-psbt/1");
        engine.input(&self.original);
        sha256::Hash::from_engine(engine).to_byte_array()
    }
}

/// Magic, and the unsigned transaction as the first global field, where lnd demands it.
fn unsigned_transaction(reader: &mut Reader<'_>, limits: &Limits) -> Result<Transaction, Malformed> {
    if reader.take(5)? != b"psbt\xff" {
        return Err(Malformed::NotPsbt("it does not begin with the magic bytes"));
    }
    let first = reader.pair()?.ok_or(Malformed::NotPsbt("it has no unsigned transaction"))?;
    if first.kind != Some(0) || !first.key.is_empty() {
        return Err(Malformed::NotPsbt("its first field is not the unsigned transaction"));
    }
    // A count of zero inputs is the segwit marker; a PSBT's transaction has no witnesses (BIP 174).
    if first.value.get(4) == Some(&0) {
        return Err(Malformed::Transaction("it has no inputs or is in witness form"));
    }
    let transaction: Transaction =
        deserialize(first.value).map_err(|_| Malformed::Transaction("it does not decode"))?;
    let (inputs, outputs) = (transaction.input.len(), transaction.output.len());
    if inputs > limits.inputs {
        return Err(Malformed::TooManyInputs { found: inputs, limit: limits.inputs });
    }
    if outputs > limits.outputs {
        return Err(Malformed::TooManyOutputs { found: outputs, limit: limits.outputs });
    }
    if outputs == 0 {
        return Err(Malformed::Transaction("it has no outputs"));
    }
    if transaction.input.iter().any(|input| !input.script_sig.is_empty()) {
        return Err(Malformed::Transaction("it is signed already: an input has a script"));
    }
    let mut seen = HashSet::with_capacity(inputs);
    for input in &transaction.input {
        if !seen.insert(input.previous_output) {
            return Err(Malformed::DuplicateInput(input.previous_output));
        }
    }
    check_sum(transaction.output.iter().map(|output| output.value))?;
    Ok(transaction)
}

fn check_sum(amounts: impl Iterator<Item = Amount>) -> Result<(), Malformed> {
    let mut sum = Amount::ZERO;
    for amount in amounts {
        sum = sum.checked_add(amount).ok_or(Malformed::Amount(amount))?;
        if sum > Amount::MAX_MONEY {
            return Err(Malformed::Amount(sum));
        }
    }
    Ok(())
}
