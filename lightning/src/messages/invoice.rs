//! BOLT 11 invoices, as lnd signs them: human-readable part, then the data in bytes, without signature
//! (`zpay32/encode.go`).

/// lnd's human-readable parts: mainnet, testnet, signet, regtest, simnet. The longer of two that begin alike first.
const PREFIXES: [&[u8]; 5] = [b"lnbcrt", b"lnbc", b"lntbs", b"lntb", b"lnsb"];

/// Words (5 bits) of the timestamp, and of a payment hash.
const TIMESTAMP: usize = 7;
const HASH: usize = 52;
/// Tagged field with the payment hash, `p` in bech32.
const PAYMENT_HASH: u8 = 1;

/// `Some` if `message` is an invoice to the last bit: its amount in millisatoshi, or `None` for any amount.
///
/// An invoice must have a payment hash, so it is longer than the 32 bytes of a sighash preimage's hash.
pub(super) fn amount(message: &[u8]) -> Option<Option<u64>> {
    let rest = PREFIXES.iter().find_map(|prefix| message.strip_prefix(*prefix))?;
    // The first data byte holds the highest bits of a 35-bit time, so it is below 32 for the next century, and
    // every character of the amount above.
    let end = rest.iter().position(|byte| *byte < 0x20)?;
    let (text, data) = rest.split_at(end);
    let amount = if text.is_empty() { None } else { Some(millisatoshi(text)?) };
    is_data(data).then_some(amount)
}

fn millisatoshi(text: &[u8]) -> Option<u64> {
    const BITCOIN: u64 = 100_000_000_000;
    let (digits, unit) = match text.split_last()? {
        (b'm', digits) => (digits, BITCOIN / 1_000),
        (b'u', digits) => (digits, BITCOIN / 1_000_000),
        (b'n', digits) => (digits, BITCOIN / 1_000_000_000),
        // A tenth of a millisatoshi.
        (b'p', digits) => (digits, 0),
        _ => (text, BITCOIN),
    };
    if digits.first().is_none_or(|first| *first == b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    if unit == 0 {
        return number.is_multiple_of(10).then_some(number / 10);
    }
    number.checked_mul(unit)
}

/// Timestamp and tagged fields to the end, one of them the payment hash.
fn is_data(data: &[u8]) -> bool {
    let words = data.len() * 8 / 5;
    let word = |at: usize| {
        let (byte, shift) = (at * 5 / 8, at * 5 % 8);
        let pair = u16::from(data[byte]) << 8 | u16::from(data.get(byte + 1).copied().unwrap_or(0));
        (pair >> (11 - shift) & 31) as u8
    };
    let mut at = TIMESTAMP;
    let mut has_hash = false;
    while at + 3 <= words {
        let length = usize::from(word(at + 1)) * 32 + usize::from(word(at + 2));
        has_hash |= word(at) == PAYMENT_HASH && length == HASH;
        at += 3 + length;
    }
    if at > words || !has_hash {
        return false;
    }
    // What is left of the last byte is padding: less than a byte, all zero.
    let padding = data.len() * 8 - at * 5;
    padding < 8 && data.last().is_some_and(|last| last.trailing_zeros() as usize >= padding)
}
