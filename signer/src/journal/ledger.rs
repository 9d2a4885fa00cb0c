//! The ledger of outpoints: what each was signed for, and what was charged for spending it.
//!
//! BIP 143 signs only the own input's amount, so a wallet that is lied to about one input at a time can be made to
//! burn the rest as fee. Whoever remembers the amount of every input it signed cannot be told two stories: a signature
//! made for a false amount is void, so the last signature that a transaction needs sees every amount as it is.

use bitcoin::Amount;
use strongroom_policy::{Charges, Evidence, Facts};

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
    /// When the oldest of these charges was made, Unix seconds.
    since: u64,
}

impl Pin {
    /// Outflow and fee still in the window of `window` seconds.
    pub(super) fn in_window(&self, now: u64, window: u64) -> (Amount, Amount) {
        if self.since.saturating_add(window) > now {
            (self.outflow, self.fee)
        } else {
            (Amount::ZERO, Amount::ZERO)
        }
    }

    /// Pins an approval's charges. Returns whether anything changed.
    pub(super) fn charge(&mut self, now: u64, window: u64, facts: &Facts, charges: &Charges) -> bool {
        if charges.outflow == Amount::ZERO && charges.fee == Amount::ZERO {
            return false;
        }
        if self.in_window(now, window) == (Amount::ZERO, Amount::ZERO) {
            *self = Self { since: now, ..Self::default() };
        }
        // What is in the window for this outpoint's spends now: what was replaced, and what came on top.
        let sum = |a: Amount, b: Amount| a.checked_add(b).unwrap_or(Amount::MAX_MONEY);
        self.outflow = sum(facts.replaced_outflow, charges.outflow);
        self.fee = sum(facts.replaced_fee, charges.fee);
        true
    }

    /// Three big-endian 64-bit numbers.
    pub(super) fn write(&self) -> Vec<u8> {
        write(&[self.outflow.to_sat(), self.fee.to_sat(), self.since])
    }

    /// Reads what `write` wrote.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let [outflow, fee, since] = read(bytes)?;
        Some(Self { outflow: Amount::from_sat(outflow), fee: Amount::from_sat(fee), since })
    }
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
        assert!(pin.charge(100, 3_600, &Facts::default(), &charges(0, 200)));
        let (_, fee) = pin.in_window(200, 3_600);
        assert_eq!(fee, Amount::from_sat(200));
        let facts = Facts { replaced_fee: fee, ..Facts::default() };
        pin.charge(200, 3_600, &facts, &charges(0, 100));
        assert_eq!(pin.in_window(300, 3_600).1, Amount::from_sat(300));
    }

    #[test]
    fn what_left_the_window_replaces_nothing() {
        let mut pin = Pin::default();
        pin.charge(100, 3_600, &Facts::default(), &charges(500, 0));
        assert_eq!(pin.in_window(100 + 3_600, 3_600), (Amount::ZERO, Amount::ZERO));
    }

    #[test]
    fn roundtrip_and_damage() {
        let entry = Entry::new(Amount::from_sat(7), Evidence::Ledger);
        assert_eq!(Entry::read(&entry.write()), Some(entry));
        assert_eq!(Entry::read(&entry.write()[1..]), None);
        let mut pin = Pin::default();
        pin.charge(5, 10, &Facts::default(), &charges(1, 2));
        assert_eq!(Pin::read(&pin.write()), Some(pin));
        assert_eq!(Pin::read(&[]), None);
    }
}
