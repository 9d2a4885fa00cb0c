//! Macaroons: minted for one node and client, checked on every call.
//!
//! Binary format version 2 (libmacaroons), the one lnd reads and sends; HMAC-SHA256 chain of Birgisson et al. 2014.
//! Written here rather than taken from the `macaroon` crate, whose newest release needs the archived `sodiumoxide`
//! (RUSTSEC-2021-0137) to parse what strangers send.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

/// What a caveat may say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caveat {
    /// `time-before <RFC 3339>`: good until then (Unix seconds).
    TimeBefore(i64),
    /// `ipaddr <address>`: good from this peer address only.
    IpAddr(std::net::IpAddr),
}

/// Why a macaroon does not let its bearer in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacaroonError {
    /// No `macaroon` metadata, or not hex.
    #[error("no macaroon: the `macaroon` metadata must carry one, as hex")]
    Absent,
    /// Not a version 2 macaroon, or longer than 4,096 bytes.
    #[error("not a macaroon in binary format version 2")]
    Malformed,
    /// Not minted here, or revoked.
    #[error("macaroon not known here, or revoked")]
    Unknown,
    /// The signature does not match its caveats.
    #[error("macaroon signature does not match")]
    Forged,
    /// A time-before caveat has passed.
    #[error("macaroon expired at {0} (unix seconds)")]
    Expired(i64),
    /// An ipaddr caveat names another address.
    #[error("macaroon is good for {0} only")]
    WrongAddress(std::net::IpAddr),
    /// A caveat that is not understood, so it cannot be met.
    #[error("macaroon caveat not understood: {0:?}")]
    UnknownCaveat(String),
}

/// Longest macaroon looked at.
const MAX_BYTES: usize = 4096;
/// Field types of format version 2.
const EOS: u8 = 0;
const LOCATION: u8 = 1;
const IDENTIFIER: u8 = 2;
const VERIFICATION: u8 = 4;
const SIGNATURE: u8 = 6;
const HASH_PREFIX: &[u8] = b"macaroons-key-generator";

/// A macaroon as sent: nothing in it is proven until [`Macaroon::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Macaroon {
    identifier: Vec<u8>,
    caveats: Vec<Vec<u8>>,
    signature: [u8; 32],
}

fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn chain(root: &[u8; 32], identifier: &[u8], caveats: &[Vec<u8>]) -> [u8; 32] {
    let key = Zeroizing::new(hmac(HASH_PREFIX, root));
    caveats.iter().fold(hmac(&*key, identifier), |signature, caveat| hmac(&signature, caveat))
}

impl Macaroon {
    /// Mints a macaroon under `root` for `identifier`, with first-party caveats.
    pub fn mint(root: &[u8; 32], identifier: &[u8], caveats: Vec<String>) -> Self {
        let caveats: Vec<Vec<u8>> = caveats.into_iter().map(String::into_bytes).collect();
        let signature = chain(root, identifier, &caveats);
        Self { identifier: identifier.to_vec(), caveats, signature }
    }

    /// The identifier, by which the root key is looked up.
    pub fn identifier(&self) -> &[u8] {
        &self.identifier
    }

    /// Reads the hex form of lnd's gRPC metadata.
    pub fn from_hex(text: &str) -> Result<Self, MacaroonError> {
        if text.is_empty() {
            return Err(MacaroonError::Absent);
        }
        if text.len() > 2 * MAX_BYTES {
            return Err(MacaroonError::Malformed);
        }
        Self::from_bytes(&hex::decode(text).map_err(|_| MacaroonError::Absent)?)
    }

    /// Reads binary format version 2. Third-party caveats are refused: no discharge can be sent along.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MacaroonError> {
        if bytes.len() > MAX_BYTES {
            return Err(MacaroonError::Malformed);
        }
        let Some((2, mut rest)) = bytes.split_first().map(|(v, r)| (*v, r)) else {
            return Err(MacaroonError::Malformed);
        };
        let mut header = section(&mut rest)?;
        header.retain(|(kind, _)| *kind != LOCATION);
        let [(IDENTIFIER, identifier)] = header.as_slice() else {
            return Err(MacaroonError::Malformed);
        };
        let identifier = identifier.to_vec();
        let mut caveats = Vec::new();
        loop {
            let fields = section(&mut rest)?;
            match fields.as_slice() {
                [] => break,
                [(IDENTIFIER, caveat)] => caveats.push(caveat.to_vec()),
                [.., (VERIFICATION, _)] => {
                    return Err(MacaroonError::UnknownCaveat("third-party caveat".to_owned()));
                }
                _ => return Err(MacaroonError::Malformed),
            }
        }
        let signature = match field(&mut rest)? {
            Some((SIGNATURE, value)) if rest.is_empty() => {
                value.try_into().map_err(|_| MacaroonError::Malformed)?
            }
            _ => return Err(MacaroonError::Malformed),
        };
        Ok(Self { identifier, caveats, signature })
    }

    /// Binary format version 2, as lnd stores it in a file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![2];
        put(&mut out, LOCATION, b"strongroom");
        put(&mut out, IDENTIFIER, &self.identifier);
        out.push(EOS);
        for caveat in &self.caveats {
            put(&mut out, IDENTIFIER, caveat);
            out.push(EOS);
        }
        out.push(EOS);
        put(&mut out, SIGNATURE, &self.signature);
        out
    }

    /// Checks signature and every caveat; `now` in Unix seconds, `peer` the connection's address.
    pub fn verify(
        &self,
        root: &[u8; 32],
        now: i64,
        peer: Option<std::net::IpAddr>,
    ) -> Result<(), MacaroonError> {
        if !same(&chain(root, &self.identifier, &self.caveats), &self.signature) {
            return Err(MacaroonError::Forged);
        }
        for caveat in &self.caveats {
            match parse_caveat(caveat)? {
                Caveat::TimeBefore(limit) if now >= limit => return Err(MacaroonError::Expired(limit)),
                Caveat::IpAddr(only) if peer.map(|p| p.to_canonical()) != Some(only.to_canonical()) => {
                    return Err(MacaroonError::WrongAddress(only));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// Compares without telling by time where the first difference is.
fn same(a: &[u8; 32], b: &[u8; 32]) -> bool {
    a.iter().zip(b).fold(0u8, |differ, (x, y)| differ | (x ^ y)) == 0
}

/// Reads a first-party caveat; what is not understood is refused.
fn parse_caveat(caveat: &[u8]) -> Result<Caveat, MacaroonError> {
    let unknown = || MacaroonError::UnknownCaveat(String::from_utf8_lossy(caveat).chars().take(80).collect());
    let text = std::str::from_utf8(caveat).map_err(|_| unknown())?;
    match text.split_once(' ') {
        Some(("time-before", when)) => {
            time::OffsetDateTime::parse(when, &time::format_description::well_known::Rfc3339)
                .map(|t| Caveat::TimeBefore(t.unix_timestamp()))
                .map_err(|_| unknown())
        }
        Some(("ipaddr", address)) => address.parse().map(Caveat::IpAddr).map_err(|_| unknown()),
        _ => Err(unknown()),
    }
}

fn varint(rest: &mut &[u8]) -> Result<usize, MacaroonError> {
    let mut value = 0usize;
    for shift in [0, 7, 14] {
        let (byte, tail) = rest.split_first().ok_or(MacaroonError::Malformed)?;
        *rest = tail;
        value |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(MacaroonError::Malformed)
}

/// One field, or `None` at the end of a section.
fn field<'a>(rest: &mut &'a [u8]) -> Result<Option<(u8, &'a [u8])>, MacaroonError> {
    let (kind, tail) = rest.split_first().ok_or(MacaroonError::Malformed)?;
    *rest = tail;
    if *kind == EOS {
        return Ok(None);
    }
    let length = varint(rest)?;
    let (value, tail) = rest.split_at_checked(length).ok_or(MacaroonError::Malformed)?;
    *rest = tail;
    Ok(Some((*kind, value)))
}

fn section<'a>(rest: &mut &'a [u8]) -> Result<Vec<(u8, &'a [u8])>, MacaroonError> {
    let mut fields = Vec::new();
    while let Some(found) = field(rest)? {
        fields.push(found);
    }
    Ok(fields)
}

fn put(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    let mut length = value.len();
    while length >= 0x80 {
        out.push(0x80 | (length & 0x7f) as u8);
        length >>= 7;
    }
    out.push(length as u8);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOT: [u8; 32] = [7; 32];

    fn minted(caveats: &[&str]) -> Macaroon {
        Macaroon::mint(&ROOT, b"id", caveats.iter().map(|c| (*c).to_owned()).collect())
    }

    #[test]
    fn another_root_key_is_forged() {
        assert_eq!(minted(&[]).verify(&[8; 32], 0, None), Err(MacaroonError::Forged));
    }

    #[test]
    fn none_at_all_is_told_from_a_bad_one() {
        assert_eq!(Macaroon::from_hex(""), Err(MacaroonError::Absent));
        assert_eq!(Macaroon::from_hex("zz"), Err(MacaroonError::Absent));
        assert_eq!(Macaroon::from_hex("00"), Err(MacaroonError::Malformed));
    }

    #[test]
    fn a_caveat_taken_off_is_forged() {
        let mut macaroon = minted(&["time-before 1970-01-01T00:01:00Z"]);
        macaroon.caveats.clear();
        assert_eq!(macaroon.verify(&ROOT, 0, None), Err(MacaroonError::Forged));
    }

    #[test]
    fn expiry_address_and_unknown_caveats_are_held() {
        let timed = minted(&["time-before 1970-01-01T00:01:00Z"]);
        assert_eq!(timed.verify(&ROOT, 60, None), Err(MacaroonError::Expired(60)));
        assert_eq!(timed.verify(&ROOT, 59, None), Ok(()));
        let bound = minted(&["ipaddr 10.0.0.1"]);
        let only: std::net::IpAddr = "10.0.0.1".parse().expect("an address");
        assert_eq!(bound.verify(&ROOT, 0, None), Err(MacaroonError::WrongAddress(only)));
        assert_eq!(bound.verify(&ROOT, 0, "::ffff:10.0.0.1".parse().ok()), Ok(()));
        assert!(matches!(
            minted(&["colour blue"]).verify(&ROOT, 0, None),
            Err(MacaroonError::UnknownCaveat(_))
        ));
    }

    /// The first-party example of libmacaroons' README ("this is our super secret key…", "we used our secret key",
    /// "test = caveat"): the signature it prints.
    #[test]
    fn libmacaroons_readme_signature() {
        let mut key = [0u8; 32];
        let text = b"this is our super secret key; only we should know it";
        key.copy_from_slice(&hmac(HASH_PREFIX, text));
        let first = hmac(&key, b"we used our secret key");
        assert_eq!(hex::encode(first), "e3d9e02908526c4c0039ae15114115d97fdd68bf2ba379b342aaf0f617d0552f");
    }

    #[test]
    fn every_cut_is_malformed() {
        let bytes = minted(&["ipaddr 10.0.0.1"]).to_bytes();
        for end in 0..bytes.len() {
            assert!(Macaroon::from_bytes(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    proptest! {
        #[test]
        fn roundtrip(id in prop::collection::vec(any::<u8>(), 0..200), caveats in prop::collection::vec("[ -~]{0,200}", 0..4)) {
            let macaroon = Macaroon::mint(&ROOT, &id, caveats);
            prop_assert_eq!(Macaroon::from_bytes(&macaroon.to_bytes()), Ok(macaroon));
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Macaroon::from_bytes(&bytes);
        }
    }
}
