//! Checks leaves against each other and against a head.

use crate::chain::{Chain, Origin};
use crate::digest::{ChainHash, Digest};
use crate::event::Event;
use crate::leaf::{Leaf, LeafError};

/// The first thing wrong with a run of leaves.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// A line that is no leaf.
    #[error("leaf {index} cannot be read: {error}")]
    Unreadable {
        /// Index it should have.
        index: u64,
        /// What is wrong with it.
        error: LeafError,
    },
    /// A later leaf stands where this one should.
    #[error("leaf {index} is missing: leaf {found} stands in its place (dropped, or out of order)")]
    Gap {
        /// The missing leaf.
        index: u64,
        /// What was found instead.
        found: u64,
    },
    /// An earlier leaf again.
    #[error("leaf {found} stands where leaf {index} should (repeated, or out of order)")]
    OutOfOrder {
        /// The leaf expected.
        index: u64,
        /// What was found instead.
        found: u64,
    },
    /// The next leaf rests on another content of this one. For the first leaf of a run: on another history.
    #[error(
        "leaf {index} was altered, or the link to it was: the leaf after it rests on {linked}, not on {computed}"
    )]
    Altered {
        /// The altered leaf.
        index: u64,
        /// Head that the next leaf names.
        linked: ChainHash,
        /// Head over the leaves as they are.
        computed: ChainHash,
    },
    /// The first leaf does not continue the history it should.
    #[error("leaf {index} does not continue this journal: it rests on {linked}, not on {expected}")]
    ForeignStart {
        /// First leaf of the run.
        index: u64,
        /// Head that it names.
        linked: ChainHash,
        /// Head it should name.
        expected: ChainHash,
    },
    /// What a decision says it stands on is not the list of checks that was in force.
    #[error(
        "leaf {index} says that leaf {named} lists the checks it stands on; {}",
        in_force(*listed)
    )]
    Checks {
        /// The leaf.
        index: u64,
        /// The leaf that it names.
        named: u64,
        /// Where the list in force stands, if there is one for its policy.
        listed: Option<u64>,
    },
    /// Fewer or more leaves than the head counts.
    #[error("{found} leaves; the head counts {expected}{}", cut(*found, *expected))]
    WrongSize {
        /// Size by the head.
        expected: u64,
        /// Size by the leaves.
        found: u64,
    },
    /// All leaves fit each other and their number is right, but the head is another.
    #[error("{}the head is {expected}, the leaves give {computed}", last(*size))]
    WrongHead {
        /// Number of leaves.
        size: u64,
        /// Head to be reached.
        expected: ChainHash,
        /// Head that the leaves give.
        computed: ChainHash,
    },
}

fn cut(found: u64, expected: u64) -> &'static str {
    if found < expected { ": the end was cut off" } else { "" }
}

fn in_force(listed: Option<u64>) -> String {
    match listed {
        Some(index) => format!("the list in force is leaf {index}"),
        None => "no list of its policy was in force".to_owned(),
    }
}

fn last(size: u64) -> String {
    match size.checked_sub(1) {
        Some(index) => {
            format!("leaf {index}, the last, was altered or the head is of another journal: ")
        }
        None => "the head is of another journal: ".to_owned(),
    }
}

/// A run of leaves that fits together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Index of the first leaf checked.
    pub from: u64,
    /// Chain after the last.
    pub chain: Chain,
}

/// Verifies leaves one by one, in constant memory.
#[derive(Clone, Debug)]
pub struct Verifier {
    from: u64,
    chain: Chain,
    /// The latest list of checks: its index and its policy.
    checks: Option<(u64, Digest)>,
}

impl Verifier {
    /// A verifier of leaves that follow `start`: [`Chain::genesis`], or a head you trust.
    pub fn new(start: Chain) -> Self {
        Self { from: start.size, chain: start, checks: None }
    }

    /// Chain after the leaves pushed so far.
    pub fn chain(&self) -> Chain {
        self.chain
    }

    /// Checks the next leaf's form, index and link, and that the list of checks it names is the one in force, and
    /// appends it. A list from before the run cannot be looked at.
    ///
    /// # Errors
    /// [`ChainError`] naming the first bad leaf. After an error the verifier must not be used on.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Leaf, ChainError> {
        let index = self.chain.size;
        let leaf = Leaf::parse(bytes).map_err(|error| ChainError::Unreadable { index, error })?;
        if leaf.index > index {
            return Err(ChainError::Gap { index, found: leaf.index });
        }
        if leaf.index < index {
            return Err(ChainError::OutOfOrder { index, found: leaf.index });
        }
        if leaf.prev != self.chain.head {
            let (linked, computed) = (leaf.prev, self.chain.head);
            return Err(if index == self.from {
                ChainError::ForeignStart { index, linked, expected: computed }
            } else {
                ChainError::Altered { index: index - 1, linked, computed }
            });
        }
        self.follow_checks(&leaf)?;
        self.chain.append(bytes);
        Ok(leaf)
    }

    fn follow_checks(&mut self, leaf: &Leaf) -> Result<(), ChainError> {
        let (policy, named) = match &leaf.event {
            Event::ChecksInForce { policy, .. } => {
                self.checks = Some((leaf.index, *policy));
                return Ok(());
            }
            Event::Decision(decision) => (decision.policy, decision.checks),
            Event::Gossip(gossip) => (gossip.policy, gossip.checks),
            _ => return Ok(()),
        };
        let listed = self.checks.filter(|(_, of)| *of == policy).map(|(index, _)| index);
        match named {
            Some(named) if listed != Some(named) && (named >= self.from || self.checks.is_some()) => {
                Err(ChainError::Checks { index: leaf.index, named, listed })
            }
            _ => Ok(()),
        }
    }

    /// Checks that exactly `expected` was reached.
    ///
    /// # Errors
    /// [`ChainError::WrongSize`], [`ChainError::WrongHead`].
    pub fn finish(self, expected: Chain) -> Result<Verified, ChainError> {
        let Chain { size, head } = self.chain;
        if size != expected.size {
            return Err(ChainError::WrongSize { expected: expected.size, found: size });
        }
        if head != expected.head {
            return Err(ChainError::WrongHead { size, expected: expected.head, computed: head });
        }
        Ok(Verified { from: self.from, chain: self.chain })
    }
}

/// Verifies all leaves of a journal, from the first, against the head it should have.
///
/// # Errors
/// [`ChainError`] naming the first bad leaf and what is wrong with it.
pub fn verify<B: AsRef<[u8]>>(
    origin: &Origin,
    leaves: impl IntoIterator<Item = B>,
    expected: Chain,
) -> Result<Verified, ChainError> {
    let mut verifier = Verifier::new(Chain::genesis(origin));
    for leaf in leaves {
        verifier.push(leaf.as_ref())?;
    }
    verifier.finish(expected)
}
