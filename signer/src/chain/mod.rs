//! The signer's own view of the chain, from its own bitcoind: which funding outputs are confirmed, how deep, and what
//! spends them.
//!
//! [`View`] is pure: headers, watched outpoints, no clock and no network. The [`Poller`] asks bitcoind on a thread of
//! its own and hands what it finds to the journal, which owns the view. Proof of work, links and merkle roots are
//! checked here; that bitcoind's chain is the valid one among those with as much work is bitcoind's own word.

mod bitcoind;
mod block;
mod contradiction;
mod deadlines;
#[cfg(test)]
pub(crate) mod fixture;
mod following;
mod headers;
mod poller;
mod update;
mod view;
mod watch;

pub use block::CheckedBlock;
pub use contradiction::Contradiction;
pub use deadlines::{Due, due};
pub use following::{Door, Following, Source};
pub use headers::{Headers, MAX_REORG, Tip, WINDOW};
pub use poller::Poller;
pub use update::{NotHanded, NotTaken, Stand, Undone, Update};
pub use view::{Change, Limits, NotCurrent, Seen, View};
pub use watch::{Funding, Watch};
