//! One LND node's seed.

mod aezeed;
mod mnemonic;

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use bitcoin::base58;
use strongroom_hsm::{LockedBytes, MemoryError};
use strongroom_policy::Network;
use zeroize::{Zeroize as _, Zeroizing};

use super::derivation::ExtendedKey;
use super::error::KeyringError;
use super::secret::{Secret, scrub_stack};
use aezeed::CipherSeed;

pub use mnemonic::Mnemonic;

/// Where a seed comes from. An imported one was in another machine's memory and stays marked for ever: it has policy,
/// not isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedOrigin {
    /// Made on this appliance.
    Generated,
    /// Was known elsewhere before.
    ImportedHot,
}

impl SeedOrigin {
    /// `generated` or `imported-hot`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generated => "generated",
            Self::ImportedHot => "imported-hot",
        }
    }
}

impl fmt::Display for SeedOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("seed origin {0:?} is neither generated nor imported-hot")]
pub struct UnknownOrigin(String);

impl FromStr for SeedOrigin {
    type Err = UnknownOrigin;

    fn from_str(s: &str) -> Result<Self, UnknownOrigin> {
        [Self::Generated, Self::ImportedHot]
            .into_iter()
            .find(|origin| origin.as_str() == s)
            .ok_or_else(|| UnknownOrigin(s.chars().take(32).collect()))
    }
}

/// Why there is no seed. Never says what was typed.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// Not 24 words.
    #[error("an aezeed has 24 words, and {0} were given")]
    WordCount(usize),
    /// A word that is not in the list.
    #[error("word {position} is not in the English word list of BIP39")]
    UnknownWord {
        /// Counted from 1.
        position: usize,
    },
    /// The words are not an aezeed, or one is wrong.
    #[error("the words' checksum does not fit: a word is wrong or out of place, or they are no aezeed")]
    Checksum,
    /// A version that we do not know.
    #[error("aezeed version {0} is not known; version 0 is")]
    Version(u8),
    /// A derivation version that lnd does not know either.
    #[error("the seed's internal version {0} is not known; 0 and 1 are")]
    InternalVersion(u8),
    /// Wrong passphrase.
    #[error("the passphrase does not fit the words")]
    Passphrase,
    /// An extended private key that cannot be read.
    #[error("not an extended private key: {0}")]
    ExtendedKey(&'static str),
    /// An extended private key of another network.
    #[error("the extended private key is not one of {0}")]
    OtherNetwork(Network),
    /// The seed has no words.
    #[error("a seed imported as an extended private key has no words")]
    NoWords,
    /// The sealed form is of another version or damaged.
    #[error("the sealed seed cannot be read: {0}")]
    Sealed(&'static str),
    /// Locked memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The system gives no random bytes.
    #[error("no random bytes from the system: {0}")]
    Random(getrandom::Error),
    /// The clock.
    #[error("the clock says a time before 2009 or after 2188")]
    Clock,
}

/// An LND node's seed, in locked memory, erased when dropped. No `Debug`, no `Clone`.
///
/// The form in memory is the form that is sealed:
///
/// | bytes | |
/// |---|---|
/// | 1 | version of this form: 1 |
/// | 1 | origin: 0 generated, 1 imported-hot |
/// | 1 | material: 0 aezeed, 1 extended private key |
/// | 1 + 2 + 16 | aezeed: internal version, birthday (days since 2009-01-03, big endian), entropy |
/// | 32 + 32 | extended private key: master private key, chain code |
pub struct Seed(LockedBytes);

const FORM_VERSION: u8 = 1;
const HEADER: usize = 3;
const AEZEED: u8 = 0;
const EXTENDED_KEY: u8 = 1;

/// lnd's `KeyDerivationVersionTaproot`, which it gives new seeds. Version 0 derives the same keys.
const INTERNAL_VERSION: u8 = 1;

/// Time of Bitcoin's first block, from which aezeed counts birthdays (Unix seconds).
const GENESIS: u64 = 1_231_006_505;

impl Seed {
    /// A new seed from the HSM's random bytes XOR the system's: good as long as one of them is. The argument is
    /// erased.
    pub fn generate(hsm_random: &mut [u8; 16], now: SystemTime) -> Result<Self, SeedError> {
        let mut entropy = Zeroizing::new([0u8; 16]);
        entropy.copy_from_slice(hsm_random);
        hsm_random.zeroize();
        let mut own = Zeroizing::new([0u8; 16]);
        getrandom::fill(&mut *own).map_err(SeedError::Random)?;
        entropy.iter_mut().zip(own.iter()).for_each(|(byte, own)| *byte ^= own);
        let seconds = now.duration_since(UNIX_EPOCH).map_err(|_| SeedError::Clock)?.as_secs();
        let days = seconds.checked_sub(GENESIS).ok_or(SeedError::Clock)? / 86_400;
        let birthday = u16::try_from(days).map_err(|_| SeedError::Clock)?;
        Self::of_aezeed(
            SeedOrigin::Generated,
            &CipherSeed { internal_version: INTERNAL_VERSION, birthday, entropy },
        )
    }

    /// lnd's 24 words, in any case and with any white space between; an empty passphrase is lnd's default one.
    pub fn from_aezeed(words: &str, passphrase: &[u8]) -> Result<Self, SeedError> {
        let imported = Mnemonic::parse(words)
            .and_then(|words| CipherSeed::decipher(&words, passphrase))
            .and_then(|cipher_seed| Self::of_aezeed(SeedOrigin::ImportedHot, &cipher_seed));
        scrub_stack();
        imported
    }

    /// A master private key in BIP32's text form (xprv, tprv, sprv), as lnd's `extended_master_key`.
    pub fn from_extended_key(text: &str, network: Network) -> Result<Self, SeedError> {
        let imported = Self::read_extended_key(text.trim(), network);
        scrub_stack();
        imported
    }

    fn read_extended_key(text: &str, network: Network) -> Result<Self, SeedError> {
        let wrong = |why| Err(SeedError::ExtendedKey(why));
        // Longer texts are none, and base58 takes quadratic time.
        if text.len() > 120 {
            return wrong("too long");
        }
        let Ok(bytes) = base58::decode_check(text).map(Zeroizing::new) else {
            return wrong("the base58 text or its checksum is wrong");
        };
        let Some((version, rest)) = bytes.split_first_chunk::<4>().filter(|(_, rest)| rest.len() == 74)
        else {
            return wrong("78 bytes are expected");
        };
        let (place, chain_code, key) = (&rest[..9], &rest[9..41], &rest[41..]);
        let versions = match network {
            Network::Mainnet => 0x0488_ade4_u32,
            Network::Simnet => 0x0420_b900,
            _ => 0x0435_8394,
        };
        match u32::from_be_bytes(*version) {
            found if found == versions => {}
            0x0488_ade4 | 0x0420_b900 | 0x0435_8394 => return Err(SeedError::OtherNetwork(network)),
            _ => return wrong("its prefix is none of xprv, tprv and sprv"),
        }
        if place.iter().any(|byte| *byte != 0) {
            return wrong("it is a derived key; lnd needs the master key (depth 0)");
        }
        if key[0] != 0 || key[1..].try_into().ok().and_then(Secret::from_bytes).is_none() {
            return wrong("its private key is out of range");
        }
        let mut form = LockedBytes::zeroed(HEADER + 64)?;
        form[..HEADER].copy_from_slice(&header(SeedOrigin::ImportedHot, EXTENDED_KEY));
        form[HEADER..HEADER + 32].copy_from_slice(&key[1..]);
        form[HEADER + 32..].copy_from_slice(chain_code);
        Ok(Self(form))
    }

    fn of_aezeed(origin: SeedOrigin, seed: &CipherSeed) -> Result<Self, SeedError> {
        if seed.internal_version > INTERNAL_VERSION {
            return Err(SeedError::InternalVersion(seed.internal_version));
        }
        let mut form = LockedBytes::zeroed(HEADER + CipherSeed::SIZE)?;
        form[..HEADER].copy_from_slice(&header(origin, AEZEED));
        form[HEADER..].copy_from_slice(&*seed.to_bytes());
        Ok(Self(form))
    }

    /// From its sealed form, opened.
    pub fn from_sealed(form: LockedBytes) -> Result<Self, SeedError> {
        let [version, origin, material, rest @ ..] = &*form else {
            return Err(SeedError::Sealed("too short"));
        };
        if *version != FORM_VERSION {
            return Err(SeedError::Sealed("its version is not 1"));
        }
        if *origin > 1 {
            return Err(SeedError::Sealed("its origin is neither 0 nor 1"));
        }
        match (*material, rest.len()) {
            (AEZEED, CipherSeed::SIZE) | (EXTENDED_KEY, 64) => Ok(Self(form)),
            _ => Err(SeedError::Sealed("its material does not fit its length")),
        }
    }

    /// What is to be sealed.
    pub fn sealing_form(&self) -> &LockedBytes {
        &self.0
    }

    /// Where it comes from.
    pub fn origin(&self) -> SeedOrigin {
        if self.0[1] == 0 { SeedOrigin::Generated } else { SeedOrigin::ImportedHot }
    }

    /// When it was made, in Unix seconds to the day; `None` for an imported extended private key.
    pub fn birthday(&self) -> Option<u64> {
        self.cipher_seed().map(|seed| GENESIS + u64::from(seed.birthday) * 86_400)
    }

    /// lnd's 24 words for this seed, under a passphrase (empty: lnd's default one). The words differ each time, by
    /// their salt; all of them restore the seed.
    pub fn words(&self, passphrase: &[u8]) -> Result<Mnemonic, SeedError> {
        let seed = self.cipher_seed().ok_or(SeedError::NoWords)?;
        let mut salt = [0u8; CipherSeed::SALT];
        getrandom::fill(&mut salt).map_err(SeedError::Random)?;
        let words = seed.encipher(passphrase, salt);
        scrub_stack();
        words
    }

    /// The BIP32 master key.
    pub(super) fn master(&self) -> Result<ExtendedKey, KeyringError> {
        if let Some(seed) = self.cipher_seed() {
            return ExtendedKey::from_entropy(&*seed.entropy);
        }
        let damaged = || KeyringError::NoKey("the seed's private key is out of range");
        let (key, code) = self.0[HEADER..].split_at_checked(32).ok_or_else(damaged)?;
        let key = key.try_into().ok().and_then(Secret::from_bytes).ok_or_else(damaged)?;
        let mut chain_code = Zeroizing::new([0; 32]);
        chain_code.copy_from_slice(code.get(..32).ok_or_else(damaged)?);
        Ok(ExtendedKey { key, chain_code })
    }

    fn cipher_seed(&self) -> Option<CipherSeed> {
        let material = self.0[HEADER..].try_into().ok()?;
        (self.0[2] == AEZEED).then(|| CipherSeed::from_bytes(material))
    }
}

fn header(origin: SeedOrigin, material: u8) -> [u8; HEADER] {
    let origin = match origin {
        SeedOrigin::Generated => 0,
        SeedOrigin::ImportedHot => 1,
    };
    [FORM_VERSION, origin, material]
}

#[cfg(test)]
mod tests;
