//! Inputs of several parts.

/// Parts of an input, each behind its kind (a byte) and its length (two bytes, little endian). What is cut short ends the
/// list.
pub struct Pieces<'a>(&'a [u8]);

impl<'a> Pieces<'a> {
    /// Of an input.
    pub fn of(input: &'a [u8]) -> Self {
        Self(input)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let ([kind, low, high], rest) = self.0.split_first_chunk()?;
        let length = usize::from(u16::from_le_bytes([*low, *high]));
        let (piece, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*kind, piece))
    }
}

/// The input that has these parts; those above 64 KiB are left out.
pub fn join<'a>(pieces: impl IntoIterator<Item = (u8, &'a [u8])>) -> Vec<u8> {
    let mut input = Vec::new();
    for (kind, piece) in pieces {
        let Ok(length) = u16::try_from(piece.len()) else { continue };
        input.push(kind);
        input.extend(length.to_le_bytes());
        input.extend(piece);
    }
    input
}
