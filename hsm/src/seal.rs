//! What a sealed secret is bound to, and the bytes it is kept as.

/// Binds a sealed blob to its place: unsealing with any other context fails.
///
/// The additional authenticated data is `"strongroom seal v1\0"`, then purpose and node each
/// behind its length in one byte, then version (4 bytes) and counter (8 bytes), big-endian:
/// no two contexts share an encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SealContext<'a> {
    purpose: &'a str,
    node: &'a str,
    version: u32,
    counter: u64,
}

const AAD_DOMAIN: &[u8] = b"strongroom seal v1\0";

impl<'a> SealContext<'a> {
    /// The longest purpose or node, in characters.
    pub const MAX_NAME: usize = 64;

    /// A context: what the secret is for (`"seed"`), whose it is (`"alice"`), the format of
    /// what is inside, and a counter that rises with every new sealing in the same place.
    ///
    /// # Errors
    /// [`HsmError::Name`](crate::HsmError::Name) unless purpose and node are 1 to 64 printable
    /// ASCII characters without spaces.
    pub fn new(purpose: &'a str, node: &'a str, version: u32, counter: u64) -> Result<Self, crate::HsmError> {
        for (what, value) in [("purpose", purpose), ("node", node)] {
            check_name(what, value, Self::MAX_NAME)?;
        }
        Ok(Self { purpose, node, version, counter })
    }

    pub(crate) fn aad(&self) -> Vec<u8> {
        let mut aad = AAD_DOMAIN.to_vec();
        for name in [self.purpose, self.node] {
            // At most 64 by construction.
            aad.push(name.len() as u8);
            aad.extend_from_slice(name.as_bytes());
        }
        aad.extend_from_slice(&self.version.to_be_bytes());
        aad.extend_from_slice(&self.counter.to_be_bytes());
        aad
    }
}

/// Checks a name that goes into authenticated data or onto the token.
pub(crate) fn check_name(what: &'static str, value: &str, limit: usize) -> Result<(), crate::HsmError> {
    let fits = (1..=limit).contains(&value.len());
    if fits && value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(());
    }
    Err(crate::HsmError::Name { what, value: value.chars().take(2 * limit).collect(), limit })
}

/// AES-256-GCM ciphertext, its tag and its IV, as the token made them.
///
/// The encoding is stable: `"SRSB"`, version `1`, IV length (1 byte), IV, ciphertext length
/// (4 bytes, big-endian), ciphertext with the 16-byte tag at its end; nothing after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlob {
    iv: Vec<u8>,
    ciphertext: Vec<u8>,
}

/// Why bytes are not a [`SealedBlob`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealedBlobError {
    /// Other bytes than a sealed blob's.
    #[error("not a sealed blob: it does not begin with \"SRSB\"")]
    Magic,
    /// A later format.
    #[error("sealed blob version {0} is unknown; known is 1")]
    Version(u8),
    /// The bytes end early.
    #[error("the sealed blob is cut short at {0} bytes")]
    CutShort(usize),
    /// The bytes go on.
    #[error("the sealed blob is followed by {0} bytes that are not part of it")]
    Trailing(usize),
    /// An IV that no token makes.
    #[error("the sealed blob's IV has {0} bytes; 12 to 16 are allowed")]
    Iv(usize),
    /// A ciphertext length out of bounds.
    #[error("the sealed blob holds {0} bytes; 16 to {max} are allowed", max = SealedBlob::MAX_SECRET + SealedBlob::TAG)]
    Length(usize),
}

impl SealedBlob {
    /// The largest secret that is sealed, in bytes.
    pub const MAX_SECRET: usize = 4096;
    pub(crate) const TAG: usize = 16;
    const MAGIC: &[u8; 4] = b"SRSB";
    const VERSION: u8 = 1;

    pub(crate) fn new(iv: Vec<u8>, ciphertext: Vec<u8>) -> Result<Self, SealedBlobError> {
        if !(12..=16).contains(&iv.len()) {
            return Err(SealedBlobError::Iv(iv.len()));
        }
        if !(Self::TAG..=Self::MAX_SECRET + Self::TAG).contains(&ciphertext.len()) {
            return Err(SealedBlobError::Length(ciphertext.len()));
        }
        Ok(Self { iv, ciphertext })
    }

    pub(crate) fn iv(&self) -> &[u8] {
        &self.iv
    }

    pub(crate) fn ciphertext(&self) -> &[u8] {
        &self.ciphertext
    }

    /// The stable encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Self::MAGIC.to_vec();
        // Both lengths were checked by `new`.
        bytes.extend_from_slice(&[Self::VERSION, self.iv.len() as u8]);
        bytes.extend_from_slice(&self.iv);
        bytes.extend_from_slice(&(self.ciphertext.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&self.ciphertext);
        bytes
    }

    /// Reads the stable encoding, strictly.
    ///
    /// # Errors
    /// [`SealedBlobError`] for anything [`SealedBlob::to_bytes`] would not have written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SealedBlobError> {
        let short = || SealedBlobError::CutShort(bytes.len());
        let (magic, rest) = bytes.split_first_chunk().ok_or_else(short)?;
        if magic != Self::MAGIC {
            return Err(SealedBlobError::Magic);
        }
        let (&version, rest) = rest.split_first().ok_or_else(short)?;
        if version != Self::VERSION {
            return Err(SealedBlobError::Version(version));
        }
        let (&iv_len, rest) = rest.split_first().ok_or_else(short)?;
        let (iv, rest) = rest.split_at_checked(usize::from(iv_len)).ok_or_else(short)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let length = u32::from_be_bytes(*length) as usize;
        let (ciphertext, trailing) = rest.split_at_checked(length).ok_or_else(short)?;
        if !trailing.is_empty() {
            return Err(SealedBlobError::Trailing(trailing.len()));
        }
        Self::new(iv.to_vec(), ciphertext.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HsmError;
    use proptest::prelude::*;

    #[test]
    fn refuses_names_that_cannot_be_bound() {
        for name in ["", "a b", "ä", "a\n", &"x".repeat(65)] {
            let refused = SealContext::new("seed", name, 1, 0);
            assert!(matches!(refused, Err(HsmError::Name { what: "node", .. })), "{name:?}");
        }
        assert!(SealContext::new(&"p".repeat(64), "n", 1, 0).is_ok());
    }

    #[test]
    fn refuses_other_bytes() {
        let blob = SealedBlob::new(vec![7; 12], vec![9; 48]).unwrap().to_bytes();
        assert_eq!(SealedBlob::from_bytes(b"SRS"), Err(SealedBlobError::CutShort(3)));
        assert_eq!(SealedBlob::from_bytes(b"xxxx"), Err(SealedBlobError::Magic));
        for end in 4..blob.len() {
            assert_eq!(SealedBlob::from_bytes(&blob[..end]), Err(SealedBlobError::CutShort(end)));
        }
        let mut later = blob.clone();
        later[4] = 2;
        assert_eq!(SealedBlob::from_bytes(&later), Err(SealedBlobError::Version(2)));
        let mut longer = blob.clone();
        longer.push(0);
        assert_eq!(SealedBlob::from_bytes(&longer), Err(SealedBlobError::Trailing(1)));
        let tiny = [b"SRSB".as_slice(), &[1, 0], &[0; 4]].concat();
        assert_eq!(SealedBlob::from_bytes(&tiny), Err(SealedBlobError::Iv(0)));
        let tagless = [b"SRSB".as_slice(), &[1, 12], &[0; 12], &[0, 0, 0, 15], &[0; 15]].concat();
        assert_eq!(SealedBlob::from_bytes(&tagless), Err(SealedBlobError::Length(15)));
    }

    #[test]
    fn the_encoding_is_the_documented_one() {
        let blob = SealedBlob::new(vec![0xaa; 12], vec![0xbb; 16]).unwrap();
        let wanted = [b"SRSB\x01\x0c".as_slice(), &[0xaa; 12], &[0, 0, 0, 16], &[0xbb; 16]].concat();
        assert_eq!(blob.to_bytes(), wanted);
        let context = SealContext::new("seed", "alice", 1, 2).unwrap();
        let aad = b"strongroom seal v1\0\x04seed\x05alice\0\0\0\x01\0\0\0\0\0\0\0\x02";
        assert_eq!(context.aad(), aad);
    }

    proptest! {
        #[test]
        fn roundtrip_bytes(
            iv in prop::collection::vec(any::<u8>(), 12..=16),
            ciphertext in prop::collection::vec(any::<u8>(), 16..200),
        ) {
            let blob = SealedBlob::new(iv, ciphertext).unwrap();
            prop_assert_eq!(SealedBlob::from_bytes(&blob.to_bytes()), Ok(blob));
        }

        #[test]
        fn parse_never_panics_and_is_strict(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let bytes = [b"SRSB\x01".as_slice(), &bytes].concat();
            if let Ok(blob) = SealedBlob::from_bytes(&bytes) {
                prop_assert_eq!(blob.to_bytes(), bytes);
            }
        }

        #[test]
        fn contexts_never_share_an_encoding(
            a in ("[!-~]{1,6}", "[!-~]{1,6}", 0u32..3, 0u64..3),
            b in ("[!-~]{1,6}", "[!-~]{1,6}", 0u32..3, 0u64..3),
        ) {
            let first = SealContext::new(&a.0, &a.1, a.2, a.3).unwrap();
            let second = SealContext::new(&b.0, &b.1, b.2, b.3).unwrap();
            prop_assert_eq!(first == second, first.aad() == second.aad());
        }
    }
}
