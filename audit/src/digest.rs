//! 32-byte SHA256 values, written in JSON and text as 64 lower-case hex digits.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Text that is not 64 lower-case hex digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is not 64 lower-case hex digits")]
pub struct DigestError {
    given: String,
}

fn parse(text: &str) -> Result<[u8; 32], DigestError> {
    let refuse = || DigestError { given: text.chars().take(80).collect() };
    let mut bytes = [0; 32];
    // Upper case is refused too: one value, one spelling.
    if text.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(refuse());
    }
    hex::decode_to_slice(text, &mut bytes).map_err(|_| refuse())?;
    Ok(bytes)
}

struct DigestVisitor;

impl Visitor<'_> for DigestVisitor {
    type Value = [u8; 32];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("64 lower-case hex digits")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<[u8; 32], E> {
        parse(text).map_err(E::custom)
    }
}

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The bytes.
            pub fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;
            fn from_str(text: &str) -> Result<Self, DigestError> {
                parse(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut text = [0; 64];
                hex::encode_to_slice(self.0, &mut text).expect("64 hex digits hold 32 bytes");
                serializer.serialize_str(str::from_utf8(&text).expect("hex digits are ASCII"))
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(DigestVisitor).map(Self)
            }
        }
    };
}

digest!(
    /// SHA256 of something outside the journal: a request, a policy file.
    Digest
);
digest!(
    /// RFC 6962 leaf hash: `SHA256(0x00 ‖ leaf)`.
    LeafHash
);
digest!(
    /// Head of the hash chain after some leaf.
    ChainHash
);
