//! The answer to a case.

use crate::case::Case;
use crate::charges::{self, Charges};
use crate::facts::Facts;
use crate::file::Mode;
use crate::policy::Policy;
use crate::rules::Rule;
use crate::violation::Violation;

/// What the rules say of a case. Made by [`Policy::decide`] alone: it has no empty value that would mean yes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a verdict that nobody reads refuses nothing"]
#[non_exhaustive]
pub struct Verdict {
    /// Violations of enforced rules: any of them refuses.
    pub enforced: Vec<Violation>,
    /// Violations of observed rules: written down only.
    pub observed: Vec<Violation>,
    /// What an approval costs; to be applied by the journal together with the approval, never after a refusal.
    pub charges: Charges,
}

impl Verdict {
    /// Whether no enforced rule is violated.
    pub fn allowed(&self) -> bool {
        self.enforced.is_empty()
    }

    /// The verdict with what VLS found: what refuses, and what is only written down.
    pub fn and(mut self, (enforced, observed): (Vec<Violation>, Vec<Violation>)) -> Self {
        self.enforced.extend(enforced);
        self.observed.extend(observed);
        self
    }
}

impl Policy {
    /// Asks every rule, and answers all violations, not the first.
    pub fn decide(&self, case: &Case, facts: &Facts) -> Verdict {
        self.decide_by(self.rules(), case, facts)
    }

    /// The same with the rules in a given order.
    pub(crate) fn decide_by(
        &self,
        rules: impl Iterator<Item = (&'static Rule, Mode)>,
        case: &Case,
        facts: &Facts,
    ) -> Verdict {
        let mut enforced = Vec::new();
        let mut observed = Vec::new();
        for (rule, mode) in rules {
            let found = match mode {
                Mode::Enforce => &mut enforced,
                Mode::Observe => &mut observed,
            };
            (rule.check)(self, case, facts, found);
        }
        Verdict { enforced, observed, charges: charges::of(self, case, facts) }
    }
}
