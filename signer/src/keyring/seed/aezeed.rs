//! lnd's cipher seed, version 0: version(1) ‖ AEZ(19 bytes, expanded by 4) ‖ salt(5) ‖ CRC-32C(4) (`aezeed/README.md`).

use crc::{CRC_32_ISCSI, Crc};
use zears::Aez;
use zeroize::Zeroizing;

use super::SeedError;
use super::mnemonic::{BYTES, Mnemonic};

/// External version, which fixes scrypt's and AEZ's parameters.
const VERSION: u8 = 0;
/// Bytes by which AEZ expands, its integrity check.
const EXPANSION: usize = 4;
/// Where the salt begins.
const SALT_AT: usize = 1 + CipherSeed::SIZE + EXPANSION;
/// Where the checksum begins.
const CHECKSUM_AT: usize = SALT_AT + CipherSeed::SALT;

static CHECKSUM: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// What the words hold.
pub(super) struct CipherSeed {
    pub(super) internal_version: u8,
    /// Days since Bitcoin's first block.
    pub(super) birthday: u16,
    pub(super) entropy: Zeroizing<[u8; 16]>,
}

impl CipherSeed {
    /// Bytes of the plain form.
    pub(super) const SIZE: usize = 19;
    /// Bytes of the salt.
    pub(super) const SALT: usize = 5;

    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; Self::SIZE]> {
        let mut bytes = Zeroizing::new([0; Self::SIZE]);
        bytes[0] = self.internal_version;
        bytes[1..3].copy_from_slice(&self.birthday.to_be_bytes());
        bytes[3..].copy_from_slice(&*self.entropy);
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; Self::SIZE]) -> Self {
        let mut entropy = Zeroizing::new([0; 16]);
        entropy.copy_from_slice(&bytes[3..]);
        Self { internal_version: bytes[0], birthday: u16::from_be_bytes([bytes[1], bytes[2]]), entropy }
    }

    pub(super) fn decipher(words: &Mnemonic, passphrase: &[u8]) -> Result<Self, SeedError> {
        let bytes = words.to_bytes();
        // lnd looks at the version first; a wrong word is likelier than a version that does not exist.
        if CHECKSUM.checksum(&bytes[..CHECKSUM_AT]).to_be_bytes() != bytes[CHECKSUM_AT..] {
            return Err(SeedError::Checksum);
        }
        if bytes[0] != VERSION {
            return Err(SeedError::Version(bytes[0]));
        }
        let mut salt = [0; Self::SALT];
        salt.copy_from_slice(&bytes[SALT_AT..CHECKSUM_AT]);
        let mut sealed = Zeroizing::new([0; Self::SIZE + EXPANSION]);
        sealed.copy_from_slice(&bytes[1..SALT_AT]);
        let plain = cipher(passphrase, &salt)
            .decrypt_inplace(&[], &[&associated(&salt)], EXPANSION as u32, &mut *sealed)
            .and_then(|plain| plain.try_into().ok())
            .ok_or(SeedError::Passphrase)?;
        Ok(Self::from_bytes(plain))
    }

    pub(super) fn encipher(&self, passphrase: &[u8], salt: [u8; Self::SALT]) -> Result<Mnemonic, SeedError> {
        let mut bytes = Zeroizing::new([0u8; BYTES]);
        bytes[0] = VERSION;
        bytes[1..1 + Self::SIZE].copy_from_slice(&*self.to_bytes());
        cipher(passphrase, &salt).encrypt_inplace(
            &[],
            &[&associated(&salt)],
            EXPANSION as u32,
            &mut bytes[1..SALT_AT],
        );
        bytes[SALT_AT..CHECKSUM_AT].copy_from_slice(&salt);
        let checksum = CHECKSUM.checksum(&bytes[..CHECKSUM_AT]).to_be_bytes();
        bytes[CHECKSUM_AT..].copy_from_slice(&checksum);
        Ok(Mnemonic::from_bytes(&bytes))
    }
}

/// AEZ keyed by scrypt (N = 2^15, r = 8, p = 1) of the passphrase.
fn cipher(passphrase: &[u8], salt: &[u8; CipherSeed::SALT]) -> Aez {
    let passphrase = if passphrase.is_empty() { b"aezeed" } else { passphrase };
    let mut key = Zeroizing::new([0u8; 32]);
    let parameters =
        scrypt::Params::new(15, 8, 1, key.len()).expect("the parameters are within scrypt's bounds");
    scrypt::scrypt(passphrase, salt, &parameters, &mut *key).expect("scrypt gives keys of 32 bytes");
    Aez::new(&*key)
}

fn associated(salt: &[u8; CipherSeed::SALT]) -> [u8; 1 + CipherSeed::SALT] {
    let mut data = [VERSION; 1 + CipherSeed::SALT];
    data[1..].copy_from_slice(salt);
    data
}
