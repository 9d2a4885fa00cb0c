//! Numbers, times and foreign text as people read them.

use std::time::{Duration, UNIX_EPOCH};

/// `1,289`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1,289 sat`.
pub fn sat(n: u64) -> String {
    format!("{} sat", number(n))
}

/// `2026-01-01T00:00:00Z`, of unix seconds.
pub fn time(seconds: u64) -> String {
    time_ms(seconds.saturating_mul(1000))
}

/// `2026-01-01T00:00:00Z`, of unix milliseconds.
pub fn time_ms(ms: u64) -> String {
    // 9999-12-31, beyond which the format has no room.
    const LAST: u64 = 253_402_300_799_000;
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(ms.min(LAST))).to_string()
}

/// Text from elsewhere without control characters: it must not move the cursor or forge a line.
pub fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// JSON without control characters, the same value: JSON escapes most of them itself, but not all.
pub fn json_line(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() {
            out += &format!("\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// `a, b and c`, or `none`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => "none".to_owned(),
        [one] => plain(one),
        [most @ .., last] => format!("{} and {}", plain(&most.join(", ")), plain(last)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable() {
        assert_eq!([0, 999, 1000, 1_234_567].map(number), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(time(1_767_225_600), "2026-01-01T00:00:00Z");
        assert_eq!(time_ms(u64::MAX), "9999-12-31T23:59:59Z");
        assert_eq!(plain("a\x1b[2J\nb"), "a\\u{1b}[2J\\nb");
        assert_eq!(json_line("{\"a\":\"\u{7f}\u{9b}é\"}"), "{\"a\":\"\\u007f\\u009bé\"}");
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
    }
}
