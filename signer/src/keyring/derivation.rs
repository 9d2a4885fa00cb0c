//! LND's key derivation: BIP32 as btcwallet does it.
//!
//! btcutil keeps private keys without leading zero bytes, and its old derivation, which btcwallet must keep for ever,
//! writes such a short key left-aligned into the data of a hardened child. One key in 256 is short, and below it all
//! differs from BIP32. What is short is decided by whether the key came from memory or from btcwallet's database,
//! whose text form is always whole:
//!
//! | child | parent from | parent's form |
//! |---|---|---|
//! | purpose' | the master key, always whole | whole |
//! | coin' | memory | stripped |
//! | account 0' | memory: made together with the coin's key | stripped |
//! | account 1' and on | the database: made when lnd starts | whole |
//!
//! (btcwallet `waddrmgr`: `deriveCoinTypeKey`, `createManagerKeyScope`, `newAccount`.) Unhardened children hash the
//! public key and are BIP32 in any case.

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha512};
use secp256k1::{All, PublicKey, Scalar, Secp256k1};
use strongroom_lightning::AccountPath;
use zeroize::{Zeroize as _, Zeroizing};

use super::error::KeyringError;
use super::secret::Secret;

/// First index of hardened children.
const HARDENED: u32 = 1 << 31;

/// Key families that lnd makes accounts for, 0 to this one.
pub(super) const LAST_FAMILY: u32 = 255;

/// Purposes of lnd's on-chain wallet, in the order in which it lists them.
pub(super) const WALLET_PURPOSES: [u32; 3] = [49, 84, 86];

/// A private key with its chain code.
pub(super) struct ExtendedKey {
    pub(super) key: Secret,
    pub(super) chain_code: Zeroizing<[u8; 32]>,
}

/// How a parent's private key is written when a hardened child is derived.
#[derive(Clone, Copy)]
enum Form {
    /// 32 bytes: BIP32.
    Whole,
    /// Without leading zero bytes, the rest of the 32 bytes zero.
    Stripped,
}

/// An account of lnd's with what its extended public key is made of.
pub(super) struct Account {
    pub(super) path: AccountPath,
    pub(super) key: ExtendedKey,
    pub(super) parent: PublicKey,
}

impl ExtendedKey {
    /// The master key of BIP32 entropy.
    pub(super) fn from_entropy(entropy: &[u8]) -> Result<Self, KeyringError> {
        let mut engine = HmacEngine::<sha512::Hash>::new(b"Bitcoin seed");
        engine.input(entropy);
        let (left, chain_code) = halves(engine);
        let key = Secret::from_bytes(&left).ok_or(KeyringError::NoKey("the entropy gives no master key"))?;
        Ok(Self { key, chain_code })
    }

    fn hardened(&self, index: u32, form: Form) -> Result<Self, KeyringError> {
        let key = Zeroizing::new(self.key.secret_bytes());
        let zeros = match form {
            Form::Whole => 0,
            Form::Stripped => key.iter().take_while(|byte| **byte == 0).count(),
        };
        let mut data = Zeroizing::new([0u8; 33]);
        data[1..33 - zeros].copy_from_slice(&key[zeros..]);
        child(&self.key, &self.chain_code, &data, index | HARDENED)
    }

    /// The unhardened child `index`; `point` is this key's public key.
    pub(super) fn normal(&self, point: &PublicKey, index: u32) -> Result<Self, KeyringError> {
        child(&self.key, &self.chain_code, &point.serialize(), index)
    }

    /// Every account of an lnd whose channel keys have this coin type, as lnd's wallet lists them.
    pub(super) fn for_each_account(
        &self,
        secp: &Secp256k1<All>,
        coin_type: u32,
        mut each: impl FnMut(Account) -> Result<(), KeyringError>,
    ) -> Result<(), KeyringError> {
        let wallet = WALLET_PURPOSES.map(|purpose| (purpose, 0, 0));
        for (purpose, coin, last) in
            wallet.into_iter().chain([(AccountPath::LIGHTNING, coin_type, LAST_FAMILY)])
        {
            let coin_key = self.hardened(purpose, Form::Whole)?.hardened(coin, Form::Stripped)?;
            let parent = coin_key.key.public_key(secp);
            for account in 0..=last {
                let form = if account == 0 { Form::Stripped } else { Form::Whole };
                let key = coin_key.hardened(account, form)?;
                each(Account { path: AccountPath { purpose, coin, account }, key, parent })?;
            }
        }
        Ok(())
    }
}

/// BIP32's child of a private key; `data` is the parent as the hash takes it.
fn child(
    parent: &Secret,
    chain_code: &[u8; 32],
    data: &[u8; 33],
    index: u32,
) -> Result<ExtendedKey, KeyringError> {
    let (key, chain_code) = child_parts(parent, chain_code, data, index)?;
    Ok(ExtendedKey { key, chain_code })
}

/// The same in two parts.
pub(super) fn child_parts(
    parent: &Secret,
    chain_code: &[u8; 32],
    data: &[u8; 33],
    index: u32,
) -> Result<(Secret, Zeroizing<[u8; 32]>), KeyringError> {
    let mut engine = HmacEngine::<sha512::Hash>::new(chain_code);
    engine.input(data);
    engine.input(&index.to_be_bytes());
    let (left, chain_code) = halves(engine);
    let no_key = KeyringError::NoKey("a child key is out of range");
    let Ok(mut tweak) = Scalar::from_be_bytes(*left) else { return Err(no_key) };
    let key = parent.add_tweak(&tweak).map(Secret::new).map_err(|_| no_key);
    tweak.non_secure_erase();
    Ok((key?, chain_code))
}

fn halves(engine: HmacEngine<sha512::Hash>) -> (Zeroizing<[u8; 32]>, Zeroizing<[u8; 32]>) {
    let mut hash = Hmac::from_engine(engine).to_byte_array();
    let (mut left, mut right) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    left.copy_from_slice(&hash[..32]);
    right.copy_from_slice(&hash[32..]);
    hash.zeroize();
    (left, right)
}
