//! The ledger of outpoints: what each was signed for, and what was charged for spending it.
//!
//! BIP 143 signs only the own input's amount, so a wallet that is lied to about one input at a time can be made to
//! burn the rest as fee. Whoever remembers the amount of every input it signed cannot be told two stories: a signature
//! made for a false amount is void, so the last signature that a transaction needs sees every amount as it is.

use bitcoin::Amount;
use strongroom_policy::{Charges, Evidence};

/// What an outpoint is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The amount it was signed for, or proven to have.
    pub(super) amount: Amount,
    /// The amount is proven, not only signed for.
    proven: bool,
}

impl Entry {
    /// An outpoint met for the first time.
    pub(super) fn new(amount: Amount, evidence: Evidence) -> Self {
        Self { amount, proven: is_proof(evidence) }
    }

    /// Whether `amount` contradicts what is known. A proof contradicts nothing: what was signed before without one
    /// was signed in vain if it was false.
    pub(super) fn contradicts(&self, amount: Amount, evidence: Evidence) -> bool {
        self.amount != amount && (self.proven || !is_proof(evidence))
    }

    /// Whether the amount is proven.
    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Takes a proof in. Returns whether anything changed.
    pub(super) fn prove(&mut self, amount: Amount, evidence: Evidence) -> bool {
        let news = is_proof(evidence) && !self.proven;
        if news {
            (self.amount, self.proven) = (amount, true);
        }
        news
    }

    /// Two big-endian 64-bit numbers.
    pub(super) fn write(&self) -> Vec<u8> {
        write(&[self.amount.to_sat(), u64::from(self.proven)])
    }

    /// Reads what `write` wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [amount, proven] = read(bytes)?;
        Some(Self { amount: Amount::from_sat(amount), proven: proven != 0 })
    }
}

/// What a node was charged for the transactions that spend an outpoint; only one of them can ever confirm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pin {
    outflow: Amount,
    fee: Amount,
    closing_fee: Amount,
    /// When the oldest of these charges was made, Unix seconds.
    since: u64,
}

impl Pin {
    /// Outflow, fee and fee of closing still in the window of `window` seconds.
    pub(super) fn in_window(&self, now: u64, window: u64) -> [Amount; 3] {
        if self.since.saturating_add(window) > now {
            [self.outflow, self.fee, self.closing_fee]
        } else {
            [Amount::ZERO; 3]
        }
    }

    /// Pins an approval's charges. Returns whether anything changed.
    ///
    /// Whatever transactions come to confirm, no two of them spend the same outpoint, and each was approved with as much
    /// pinned to all of its inputs together as it costs: so what was charged covers them.
    pub(super) fn charge(&mut self, now: u64, window: u64, charges: &Charges) -> bool {
        let Charges { outflow, fee, closing_fee, .. } = *charges;
        if [outflow, fee, closing_fee] == [Amount::ZERO; 3] {
            return false;
        }
        if self.in_window(now, window) == [Amount::ZERO; 3] {
            *self = Self { since: now, ..Self::default() };
        }
        self.outflow = sum(self.outflow, outflow);
        self.fee = sum(self.fee, fee);
        self.closing_fee = sum(self.closing_fee, closing_fee);
        true
    }

    /// Four big-endian 64-bit numbers.
    pub(super) fn write(&self) -> Vec<u8> {
        write(&[self.outflow.to_sat(), self.fee.to_sat(), self.closing_fee.to_sat(), self.since])
    }

    /// Reads what `write` wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [outflow, fee, closing_fee, since] = read(bytes)?;
        let [outflow, fee, closing_fee] = [outflow, fee, closing_fee].map(Amount::from_sat);
        Some(Self { outflow, fee, closing_fee, since })
    }
}

/// The sum, at most all bitcoin there will be.
pub(super) fn sum(a: Amount, b: Amount) -> Amount {
    a.checked_add(b).unwrap_or(Amount::MAX_MONEY)
}

/// Proof that holds beside any other claim: `Committed` holds only for the signature that commits.
fn is_proof(evidence: Evidence) -> bool {
    matches!(evidence, Evidence::PreviousTransaction | Evidence::Ledger | Evidence::Chain)
}

fn write(numbers: &[u64]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_be_bytes()).collect()
}

fn read<const N: usize>(bytes: &[u8]) -> Option<[u64; N]> {
    if bytes.len() != 8 * N {
        return None;
    }
    let mut numbers = [0; N];
    for (number, chunk) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
        *number = u64::from_be_bytes(chunk.try_into().ok()?);
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charges(outflow: u64, fee: u64) -> Charges {
        Charges { outflow: Amount::from_sat(outflow), fee: Amount::from_sat(fee), ..Charges::default() }
    }

    #[test]
    fn another_claim_contradicts_and_a_proof_prevails() {
        let (ten, six) = (Amount::from_sat(10), Amount::from_sat(6));
        let mut signed = Entry::new(ten, Evidence::Committed);
        assert!(signed.contradicts(six, Evidence::Claimed));
        assert!(signed.contradicts(six, Evidence::Committed));
        assert!(!signed.contradicts(ten, Evidence::Claimed));
        assert!(!signed.contradicts(six, Evidence::PreviousTransaction));
        assert!(signed.prove(six, Evidence::PreviousTransaction));
        assert!(signed.contradicts(ten, Evidence::Claimed));
        // Two proofs of one outpoint cannot differ; if they do, something is badly wrong.
        assert!(signed.contradicts(ten, Evidence::Ledger));
        assert!(!signed.prove(ten, Evidence::Ledger));
    }

    #[test]
    fn a_fee_bump_is_charged_for_the_difference_only() {
        let mut pin = Pin::default();
        assert!(pin.charge(100, 3_600, &charges(0, 200)));
        assert_eq!(pin.in_window(200, 3_600)[1], Amount::from_sat(200));
        pin.charge(200, 3_600, &charges(0, 100));
        assert_eq!(pin.in_window(300, 3_600)[1], Amount::from_sat(300));
    }

    /// lnd joins claims anew as it bumps them. Whatever transactions that conflict with none come to confirm in the end, the
    /// window has counted no less; and where a batch only takes the place of others, no more.
    #[test]
    fn what_confirms_was_counted_however_claims_are_joined() {
        let mut chance = 7u32;
        let mut draw = |below: u32| {
            chance = chance.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (chance >> 16) % below
        };
        for _ in 0..500 {
            let mut pins = [Pin::default(); 4];
            let (mut counted, mut signed) = (0u64, Vec::new());
            for _ in 0..8 {
                let (inputs, fee) = (1 + draw(15), u64::from(draw(1_000)));
                let spends = |at: &usize| inputs & (1 << at) != 0;
                let of = |pin: &Pin| pin.in_window(200, 3_600)[1].to_sat();
                let replaced: u64 = (0..4).filter(spends).map(|at| of(&pins[at])).sum();
                let charge = fee.saturating_sub(replaced);
                let first = (0..4).find(spends).expect("an input");
                pins[first].charge(100, 3_600, &charges(0, charge));
                counted += charge;
                signed.push((inputs, fee));
            }
            let dearest = (0u32..1 << signed.len()).filter_map(|chosen| {
                let mut spent = 0;
                let confirmed = signed.iter().enumerate().filter(|(at, _)| chosen & (1 << at) != 0);
                confirmed.map(|(_, tx)| tx).try_fold(0u64, |sum, (inputs, fee)| {
                    let apart = spent & inputs == 0;
                    spent |= inputs;
                    apart.then_some(sum + fee)
                })
            });
            assert!(dearest.max() <= Some(counted), "{signed:?}: counted {counted}");
        }
        let (mut one, mut other) = (Pin::default(), Pin::default());
        one.charge(100, 3_600, &charges(0, 300));
        other.charge(100, 3_600, &charges(0, 200));
        let replaced = sum(one.in_window(200, 3_600)[1], other.in_window(200, 3_600)[1]);
        assert_eq!(replaced, Amount::from_sat(500), "a batch of both adds only what it pays above that");
    }

    #[test]
    fn what_left_the_window_replaces_nothing() {
        let mut pin = Pin::default();
        pin.charge(100, 3_600, &charges(500, 0));
        assert_eq!(pin.in_window(100 + 3_600, 3_600), [Amount::ZERO; 3]);
    }

    #[test]
    fn roundtrip_and_damage() {
        let entry = Entry::new(Amount::from_sat(7), Evidence::Ledger);
        assert_eq!(Entry::read(&entry.write()), Some(entry));
        assert_eq!(Entry::read(&entry.write()[1..]), None);
        let mut pin = Pin::default();
        pin.charge(5, 10, &Charges { closing_fee: Amount::from_sat(3), ..charges(1, 2) });
        assert_eq!(Pin::read(&pin.write()), Some(pin));
        assert_eq!(Pin::read(&[]), None);
    }
}
