//! Reading a script against a template.

/// The rest of a script still to be matched.
pub(super) struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    pub(super) fn new(script: &'a [u8]) -> Self {
        Self(script)
    }

    /// Exactly these bytes.
    pub(super) fn literal(&mut self, bytes: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }

    /// A push of exactly `N` bytes, `N` ≤ 75.
    pub(super) fn push<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.literal(&[N as u8])?;
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// A minimally pushed number of at most 32 bits, as OP_CSV and OP_CLTV take.
    pub(super) fn number(&mut self) -> Option<u32> {
        let (&op, rest) = self.0.split_first()?;
        match op {
            0x00 => {
                self.0 = rest;
                Some(0)
            }
            0x51..=0x60 => {
                self.0 = rest;
                Some(u32::from(op - 0x50))
            }
            1..=5 => {
                let (number, rest) = rest.split_at_checked(usize::from(op))?;
                let (&last, low) = number.split_last()?;
                // Negative, or a byte more than needed.
                if last & 0x80 != 0 || (last == 0 && low.last().is_none_or(|b| b & 0x80 == 0)) {
                    return None;
                }
                let value = number.iter().rev().fold(0u64, |n, &byte| n << 8 | u64::from(byte));
                // One to sixteen have opcodes of their own.
                if value <= 16 {
                    return None;
                }
                self.0 = rest;
                u32::try_from(value).ok()
            }
            _ => None,
        }
    }

    /// Nothing left.
    pub(super) fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
