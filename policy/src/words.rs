//! Amounts in words, for the people who read refusals.

use std::fmt;

use bitcoin::Amount;

/// An amount as `1,500,000 sat`.
pub(crate) struct Sat(pub Amount);

impl fmt::Display for Sat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} sat", Grouped(self.0.to_sat()))
    }
}

/// A number with commas between its thousands.
pub(crate) struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (i, digit) in digits.chars().enumerate() {
            if i > 0 && (digits.len() - i).is_multiple_of(3) {
                f.write_str(",")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

/// A rolling window's length as `24 h` or `90 s`.
pub(crate) struct Span(pub u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            s if s >= 3600 && s.is_multiple_of(3600) => write!(f, "{} h", s / 3600),
            s if s >= 60 && s.is_multiple_of(60) => write!(f, "{} min", s / 60),
            s => write!(f, "{s} s"),
        }
    }
}

/// Sum that stays at the largest amount instead of overflowing, so that an absurd total is over every limit.
pub(crate) fn plus(a: Amount, b: Amount) -> Amount {
    Amount::from_sat(a.to_sat().saturating_add(b.to_sat()))
}

/// The sum of amounts, as [`plus`] adds them.
pub(crate) fn sum(amounts: impl Iterator<Item = Amount>) -> Amount {
    amounts.fold(Amount::ZERO, plus)
}

/// Difference, zero when negative.
pub(crate) fn less(a: Amount, b: Amount) -> Amount {
    Amount::from_sat(a.to_sat().saturating_sub(b.to_sat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped() {
        for (n, words) in [(0, "0 sat"), (999, "999 sat"), (1000, "1,000 sat"), (1_234_567, "1,234,567 sat")]
        {
            assert_eq!(Sat(Amount::from_sat(n)).to_string(), words);
        }
    }

    #[test]
    fn spans_read_as_people_say_them() {
        for (s, words) in [(86_400, "24 h"), (5400, "90 min"), (90, "90 s"), (0, "0 s")] {
            assert_eq!(Span(s).to_string(), words);
        }
    }
}
