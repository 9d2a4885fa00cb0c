//! Reading big-endian fields.

/// The rest of a message still to be read.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Option<usize> {
        self.array().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
    }

    /// A BigSize (BOLT 1), in its shortest form.
    fn big_size(&mut self) -> Option<u64> {
        let (value, least) = match self.u8()? {
            0xfd => (u64::from(u16::from_be_bytes(self.array()?)), 0xfd),
            0xfe => (u64::from(u32::from_be_bytes(self.array()?)), 0x1_0000),
            0xff => (u64::from_be_bytes(self.array()?), 0x1_0000_0000),
            small => (u64::from(small), 0),
        };
        (value >= least).then_some(value)
    }

    /// Nothing, or a TLV stream to the last byte (BOLT 1).
    pub(super) fn is_tlv_stream(mut self) -> bool {
        let mut last = None;
        while !self.0.is_empty() {
            let record = || -> Option<u64> {
                let kind = self.big_size()?;
                let length = usize::try_from(self.big_size()?).ok()?;
                self.take(length)?;
                Some(kind)
            }();
            match record {
                Some(kind) if last.is_none_or(|last| last < kind) => last = Some(kind),
                _ => return false,
            }
        }
        true
    }
}
