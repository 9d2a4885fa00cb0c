//! Rolling windows: how much, or how often, in the last so many seconds.
//!
//! A window is cut into buckets, and what falls into a bucket is added up. The sum may count a little more
//! than the exact window holds (up to one bucket's width longer), never less.

use std::collections::VecDeque;

use bitcoin::Amount;
use serde::{Deserialize, Serialize};

/// A window's length and grain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Lengths", into = "Lengths")]
pub struct Window {
    seconds: u64,
    buckets: u64,
}

/// [`Window`] before it is checked.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Lengths {
    seconds: u64,
    buckets: u64,
}

/// A window that cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Too short to limit anything, or longer than a year.
    #[error("given seconds = {0}; allowed: 60 to 31,536,000")]
    Seconds(u64),
    /// No buckets, or too many.
    #[error("given buckets = {0}; allowed: 1 to 1,000 and not more than seconds")]
    Buckets(u64),
}

impl Window {
    /// A window of `seconds`, kept in `buckets` parts.
    pub fn new(seconds: u64, buckets: u64) -> Result<Self, WindowError> {
        if !(60..=31_536_000).contains(&seconds) {
            return Err(WindowError::Seconds(seconds));
        }
        if !(1..=1_000).contains(&buckets) || buckets > seconds {
            return Err(WindowError::Buckets(buckets));
        }
        Ok(Self { seconds, buckets })
    }

    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        self.seconds
    }

    /// Seconds per bucket, rounded up; at least 1.
    fn width(self) -> u64 {
        self.seconds.div_ceil(self.buckets).max(1)
    }
}

impl TryFrom<Lengths> for Window {
    type Error = WindowError;
    fn try_from(l: Lengths) -> Result<Self, WindowError> {
        Window::new(l.seconds, l.buckets)
    }
}

impl From<Window> for Lengths {
    fn from(w: Window) -> Self {
        Lengths { seconds: w.seconds, buckets: w.buckets }
    }
}

/// Amounts within a rolling window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Velocity(Tally);

impl Velocity {
    /// Nothing yet.
    pub fn new(window: Window) -> Self {
        Self(Tally::new(window))
    }

    /// Books `amount` at `now` (Unix seconds).
    pub fn add(&mut self, now: u64, amount: Amount) {
        self.0.add(now, amount.to_sat());
    }

    /// At least what was booked in the window that ends at `now`.
    pub fn sum(&self, now: u64) -> Amount {
        Amount::from_sat(self.0.sum(now))
    }

    /// The same bookings under another window, for a changed policy; see [`Tally::rewindow`].
    pub fn rewindow(&mut self, now: u64, window: Window) {
        self.0.rewindow(now, window);
    }

    /// The window kept.
    pub fn window(&self) -> Window {
        self.0.window
    }
}

/// Counts within a rolling window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    window: Window,
    /// The latest time ever told: time does not run back here.
    latest: u64,
    /// (bucket number, sum), oldest first, none empty of meaning.
    buckets: VecDeque<(u64, u64)>,
}

impl Tally {
    /// Nothing yet.
    pub fn new(window: Window) -> Self {
        Self { window, latest: 0, buckets: VecDeque::new() }
    }

    /// Books `count` at `now` (Unix seconds). A clock that went back books at the latest time it ever told.
    pub fn add(&mut self, now: u64, count: u64) {
        self.latest = self.latest.max(now);
        let oldest = self.oldest(self.latest);
        while self.buckets.front().is_some_and(|&(number, _)| number < oldest) {
            self.buckets.pop_front();
        }
        if count == 0 {
            return;
        }
        let number = self.latest / self.window.width();
        match self.buckets.back_mut() {
            Some((last, sum)) if *last >= number => *sum = sum.saturating_add(count),
            _ => self.buckets.push_back((number, count)),
        }
    }

    /// At least what was booked in the window that ends at `now`, inclusive of both ends.
    pub fn sum(&self, now: u64) -> u64 {
        let oldest = self.oldest(self.latest.max(now));
        self.buckets
            .iter()
            .rev()
            .take_while(|&&(number, _)| number >= oldest)
            .fold(0, |total, &(_, sum)| total.saturating_add(sum))
    }

    /// Continues under another window. All that is still remembered is booked anew at `now`, so that the
    /// change forgets nothing; what an old, shorter window had dropped already stays forgotten.
    pub fn rewindow(&mut self, now: u64, window: Window) {
        if window == self.window {
            return;
        }
        let remembered = self.sum(now);
        let latest = self.latest.max(now);
        *self = Self { window, latest, buckets: VecDeque::new() };
        self.add(latest, remembered);
    }

    /// Number of the oldest bucket that may still hold something of the window that ends at `now`.
    fn oldest(&self, now: u64) -> u64 {
        now.saturating_sub(self.window.seconds) / self.window.width()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hour() -> Window {
        Window::new(3600, 12).expect("an hour in 12 parts is a window")
    }

    #[test]
    fn windows_that_limit_nothing_are_refused() {
        assert_eq!(Window::new(0, 1), Err(WindowError::Seconds(0)));
        assert_eq!(Window::new(59, 1), Err(WindowError::Seconds(59)));
        assert_eq!(Window::new(3600, 0), Err(WindowError::Buckets(0)));
        assert_eq!(Window::new(60, 61), Err(WindowError::Buckets(61)));
        assert_eq!(Window::new(u64::MAX, 1), Err(WindowError::Seconds(u64::MAX)));
    }

    #[test]
    fn a_clock_set_back_frees_nothing() {
        let mut v = Velocity::new(hour());
        v.add(1_000_000, Amount::from_sat(7));
        v.add(10, Amount::from_sat(5));
        assert_eq!(v.sum(10), Amount::from_sat(12));
        assert_eq!(v.sum(1_000_000 + 3600), Amount::from_sat(12));
        assert_eq!(v.sum(1_000_000 + 3600 + 300), Amount::ZERO);
        // Nor does one that told the later time without anything to book.
        let mut t = Tally::new(hour());
        t.add(1_000_000, 0);
        t.add(10, 5);
        assert_eq!(t.sum(1_000_000 + 3600), 5);
    }

    #[test]
    fn sums_stay_at_the_top_instead_of_wrapping() {
        let mut t = Tally::new(hour());
        t.add(5, u64::MAX);
        t.add(5, 1);
        t.add(900, 1);
        assert_eq!(t.sum(900), u64::MAX);
    }

    proptest! {
        /// Against an exact model: never less than the window holds, never more than one bucket's width longer.
        #[test]
        fn never_counts_less_than_the_exact_window(
            seconds in 60u64..5000,
            parts in 1u64..60,
            events in prop::collection::vec((0u64..20_000, 0u64..1000), 0..60),
            ask in 0u64..30_000,
        ) {
            let window = Window::new(seconds, parts).expect("in range");
            let mut tally = Tally::new(window);
            let mut exact = Vec::new();
            let mut clock = 0;
            for (at, count) in events {
                clock = clock.max(at);
                tally.add(at, count);
                exact.push((clock, count));
            }
            let now = clock.max(ask);
            let within = |span: u64| exact.iter().filter(|(at, _)| now - at <= span).map(|(_, n)| n).sum::<u64>();
            let width = seconds.div_ceil(parts);
            prop_assert!(tally.sum(ask) >= within(seconds));
            prop_assert!(tally.sum(ask) <= within(seconds + width));
        }

        /// A changed window keeps what was remembered, for its whole new length.
        #[test]
        fn a_new_window_forgets_nothing(
            events in prop::collection::vec((0u64..9_000, 0u64..1000), 0..30),
            seconds in 60u64..5000,
        ) {
            let mut tally = Tally::new(hour());
            for (at, count) in events {
                tally.add(at, count);
            }
            let before = tally.sum(9_000);
            tally.rewindow(9_000, Window::new(seconds, 4).expect("in range"));
            let kept = if seconds == 3600 { before } else { tally.sum(9_000 + seconds) };
            prop_assert_eq!(kept, before);
        }
    }
}
