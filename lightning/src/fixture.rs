//! A seed, and requests as lnd makes them, for tests.

use bitcoin::absolute::LockTime;
use bitcoin::bip32::{ChildNumber, DerivationPath, Xpriv, Xpub};
use bitcoin::consensus::serialize;
use bitcoin::hashes::{Hash as _, sha256};
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, NetworkKind, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Witness,
};
use secp256k1::{PublicKey, SECP256K1, SecretKey};
use strongroom_policy::{KeyLocator, KeyPath, WalletPath};

use crate::accounts::{AccountPath, Accounts};
use crate::psbt::{Limits, Malformed, SignRequest};

/// One PSBT field: key and value.
pub type Field = (Vec<u8>, Vec<u8>);

pub struct Seed(Xpriv);

impl Seed {
    pub fn new(number: u8) -> Self {
        Self(Xpriv::new_master(NetworkKind::Test, &[number; 32]).unwrap())
    }

    pub fn accounts(&self) -> Accounts {
        self.accounts_ahead(12)
    }

    pub fn accounts_ahead(&self, ahead: u32) -> Accounts {
        let wallet = [49, 84, 86].map(|purpose| AccountPath { purpose, coin: 0, account: 0 });
        let channels = (0..=9).map(|account| AccountPath { purpose: 1017, coin: 1, account });
        let accounts = wallet.into_iter().chain(channels).map(|path| (path, self.xpub(&path)));
        Accounts::with_lookahead(accounts.collect(), ahead).unwrap()
    }

    pub fn xpub(&self, path: &AccountPath) -> Xpub {
        let hardened = [path.purpose, path.coin, path.account]
            .map(|index| ChildNumber::from_hardened_idx(index).unwrap());
        let account = self.0.derive_priv(SECP256K1, &hardened).unwrap();
        Xpub::from_priv(SECP256K1, &account)
    }

    pub fn secret(&self, path: &KeyPath) -> SecretKey {
        let full: Vec<ChildNumber> = bip32(path).into_iter().map(ChildNumber::from).collect();
        self.0.derive_priv(SECP256K1, &DerivationPath::from(full)).unwrap().private_key
    }

    pub fn key(&self, path: &KeyPath) -> PublicKey {
        self.secret(path).public_key(SECP256K1)
    }

    pub fn bytes(&self, family: u32, index: u32) -> [u8; 33] {
        self.key(&lightning(family, index)).serialize()
    }
}

pub fn lightning(family: u32, index: u32) -> KeyPath {
    KeyPath::Lightning(KeyLocator { family, index })
}

pub fn wallet(purpose: u32, branch: u32, index: u32) -> KeyPath {
    KeyPath::Wallet(WalletPath { purpose, branch, index })
}

pub fn bip32(path: &KeyPath) -> [u32; 5] {
    const H: u32 = 1 << 31;
    match path {
        KeyPath::Wallet(w) => [w.purpose + H, H, H, w.branch, w.index],
        KeyPath::Lightning(l) => [1017 + H, 1 + H, l.family + H, 0, l.index],
    }
}

pub fn sat(amount: u64) -> Amount {
    Amount::from_sat(amount)
}

pub fn outpoint(number: u8) -> OutPoint {
    OutPoint { txid: Txid::hash(&[number]), vout: 0 }
}

/// Somebody's P2WSH, different for every number.
pub fn stranger(number: u32) -> ScriptBuf {
    ScriptBuf::from(number.to_be_bytes().to_vec()).to_p2wsh()
}

pub fn pays(amount: u64, script: &Script) -> TxOut {
    TxOut { value: sat(amount), script_pubkey: script.to_owned() }
}

pub fn transaction(inputs: &[(OutPoint, u32)], outputs: Vec<TxOut>, lock_time: u32) -> Transaction {
    let input = inputs.iter().map(|(previous_output, sequence)| TxIn {
        previous_output: *previous_output,
        script_sig: ScriptBuf::new(),
        sequence: Sequence(*sequence),
        witness: Witness::new(),
    });
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::from_consensus(lock_time),
        input: input.collect(),
        output: outputs,
    }
}

/// Fields of an input to be signed as lnd writes them for segwit version 0.
pub fn signed_input(
    spent: &TxOut,
    path: &KeyPath,
    key: &PublicKey,
    sighash: u32,
    script: Option<&Script>,
    tweak: Option<(u8, [u8; 32])>,
) -> Vec<Field> {
    let mut fields = vec![witness_utxo(spent), (vec![3], sighash.to_le_bytes().to_vec())];
    fields.extend(script.map(|script| (vec![5], script.to_bytes())));
    fields.push(derivation(path, key));
    fields.extend(tweak.map(|(kind, value)| (vec![kind], value.to_vec())));
    fields
}

pub fn witness_utxo(spent: &TxOut) -> Field {
    (vec![1], serialize(spent))
}

pub fn derivation(path: &KeyPath, key: &PublicKey) -> Field {
    let mut name = vec![6];
    name.extend(key.serialize());
    let mut value = vec![0; 4];
    value.extend(bip32(path).iter().flat_map(|step| step.to_le_bytes()));
    (name, value)
}

pub fn tap_derivation(path: &KeyPath, key: &PublicKey, leaves: &[[u8; 32]]) -> Field {
    let mut name = vec![0x16];
    name.extend(key.x_only_public_key().0.serialize());
    let mut value = vec![leaves.len() as u8];
    value.extend(leaves.iter().flatten());
    value.extend(derivation(path, key).1);
    (name, value)
}

/// The bytes of a PSBT, fields in the order given.
pub fn psbt(transaction: &Transaction, inputs: &[Vec<Field>]) -> Vec<u8> {
    let mut bytes = b"psbt\xff".to_vec();
    let mut map = |fields: &[Field]| {
        for part in fields.iter().flat_map(|(key, value)| [key, value]) {
            bytes.extend(serialize(&bitcoin::VarInt::from(part.len())));
            bytes.extend(part);
        }
        bytes.push(0);
    };
    map(&[(vec![0], serialize(transaction))]);
    inputs.iter().for_each(|fields| map(fields));
    transaction.output.iter().for_each(|_| map(&[]));
    bytes
}

pub fn parse(bytes: &[u8], accounts: &Accounts) -> Result<SignRequest, Malformed> {
    SignRequest::parse(bytes, accounts, &Limits::default())
}

/// BOLT 3: basepoint + tweak·G.
pub fn single_tweaked(base: &PublicKey, tweak: [u8; 32]) -> PublicKey {
    let tweak = secp256k1::Scalar::from_be_bytes(tweak).unwrap();
    base.add_exp_tweak(SECP256K1, &tweak).unwrap()
}

/// Any number's hash, as a tweak or a secret.
pub fn scalar(number: u32) -> [u8; 32] {
    sha256::Hash::hash(&number.to_be_bytes()).to_byte_array()
}
