//! The key-value maps of a PSBT, read where they lie.
//!
//! Not rust-bitcoin's parser: the answer must keep every byte that came, known or not, and know where each field
//! lies to put a signature before it; and LND's control blocks are fake.

use super::malformed::Malformed;

/// Reads forward through the bytes.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One field of a map.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    /// Where its bytes begin.
    pub(super) start: usize,
    /// Key type; types that need more than a byte are none that we know.
    pub(super) kind: Option<u8>,
    pub(super) key: &'a [u8],
    pub(super) value: &'a [u8],
}

const SHORT: Malformed = Malformed::NotPsbt("it ends early");

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(count).ok_or(SHORT)?;
        let taken = self.bytes.get(self.at..end).ok_or(SHORT)?;
        self.at = end;
        Ok(taken)
    }

    /// A compact size, in its shortest form as btcd demands.
    pub(super) fn compact_size(&mut self) -> Result<usize, Malformed> {
        let (value, least) = match self.take(1)?[0] {
            0xfd => (little_endian(self.take(2)?), 0xfd),
            0xfe => (little_endian(self.take(4)?), 0x1_0000),
            0xff => (little_endian(self.take(8)?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        if value < least {
            return Err(Malformed::NotPsbt("a length is not in its shortest form"));
        }
        usize::try_from(value).map_err(|_| SHORT)
    }

    fn sized(&mut self) -> Result<&'a [u8], Malformed> {
        let size = self.compact_size()?;
        self.take(size)
    }

    /// The next field; `None` at the separator that ends a map.
    pub(super) fn pair(&mut self) -> Result<Option<Pair<'a>>, Malformed> {
        let start = self.at;
        let full_key = self.sized()?;
        if full_key.is_empty() {
            return Ok(None);
        }
        let mut key = Reader::new(full_key);
        let kind = u8::try_from(key.compact_size()?).ok().filter(|kind| *kind < 0xfd);
        let key = &full_key[key.at..];
        Ok(Some(Pair { start, kind, key, value: self.sized()? }))
    }
}

fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, &byte| n << 8 | u64::from(byte))
}
