//! The 24 words.

use bip39::Language;
use zeroize::Zeroizing;

use super::SeedError;

/// How many words an aezeed has.
const WORDS: usize = 24;
/// Bits that a word stands for.
const BITS: usize = 11;
/// Bytes that the words stand for.
pub(super) const BYTES: usize = WORDS * BITS / 8;

/// lnd's 24 words, erased when dropped. No `Debug`, no `Clone`.
pub struct Mnemonic(Zeroizing<[u16; WORDS]>);

impl Mnemonic {
    /// The words, in order.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|index| Language::English.word_list()[usize::from(*index) % 2048])
    }

    /// The words in one line.
    pub fn phrase(&self) -> Zeroizing<String> {
        // Room for 24 of the longest words, so that no shorter copy is left behind by growing.
        let mut phrase = Zeroizing::new(String::with_capacity(WORDS * 9));
        for word in self.words() {
            if !phrase.is_empty() {
                phrase.push(' ');
            }
            phrase.push_str(word);
        }
        phrase
    }

    /// Reads words in any case, numbered ("1. word") or not.
    pub(super) fn parse(text: &str) -> Result<Self, SeedError> {
        let is_number = |token: &str| token.trim_end_matches('.').bytes().all(|byte| byte.is_ascii_digit());
        let words = || text.split_whitespace().filter(|token| !is_number(token));
        let count = words().count();
        if count != WORDS {
            return Err(SeedError::WordCount(count));
        }
        let mut indexes = Zeroizing::new([0; WORDS]);
        for (at, (word, index)) in words().zip(indexes.iter_mut()).enumerate() {
            let word = Zeroizing::new(word.to_ascii_lowercase());
            *index = Language::English.find_word(&word).ok_or(SeedError::UnknownWord { position: at + 1 })?;
        }
        Ok(Self(indexes))
    }

    /// The words' bits, eleven each, most significant first.
    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; BYTES]> {
        let mut bytes = Zeroizing::new([0; BYTES]);
        for bit in 0..WORDS * BITS {
            let set = self.0[bit / BITS] >> (BITS - 1 - bit % BITS) & 1;
            bytes[bit / 8] |= (set as u8) << (7 - bit % 8);
        }
        bytes
    }

    pub(super) fn from_bytes(bytes: &[u8; BYTES]) -> Self {
        let mut indexes = Zeroizing::new([0; WORDS]);
        for bit in 0..WORDS * BITS {
            let set = bytes[bit / 8] >> (7 - bit % 8) & 1;
            indexes[bit / BITS] |= u16::from(set) << (BITS - 1 - bit % BITS);
        }
        Self(indexes)
    }
}
