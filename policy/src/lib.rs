//! Decides. Given a [`Policy`], a [`Case`] (what is asked, understood) and [`Facts`] (what the
//! journal knows), answers a [`Verdict`]: every violation, not the first.
//!
//! Pure by construction: no clock, disk, keys or async. The words of the field live here, so that
//! the crates that understand and the crate that decides share one vocabulary.

pub mod case;
pub mod charges;
pub mod checks;
pub mod facts;
pub mod file;
pub mod key;
pub mod key_group;
pub mod kind;
pub mod network;
pub mod node_id;
pub mod opening;
pub mod policy;
pub mod profile;
pub mod rules;
pub mod tier;
pub mod update;
pub mod velocity;
pub mod verdict;
pub mod violation;
pub mod way_out;

mod describe;
mod fee_class;
mod leaving;
mod new_channel;
mod words;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod laws;

pub use case::{
    Ask, Case, Destination, EcdhAsk, Evidence, InputFact, Lock, MessageAsk, MessageKind, Musig2Ask,
    Musig2Step, Operation, OutputFact, SignedInput, Spend, SpendAsk, SweepOf, Tweak,
};
pub use charges::Charges;
pub use checks::Checks;
pub use facts::{Announced, ChainFact, Facts, KnownFunding};
pub use file::{Mode, PolicyError};
pub use key::{ClientName, KeyLocator, KeyPath, NodeName, WalletPath};
pub use key_group::KeyGroup;
pub use kind::Kind;
pub use network::Network;
pub use node_id::{NodeId, NodeIdError};
pub use opening::Opening;
pub use policy::Policy;
pub use profile::Profile;
pub use tier::Tier;
pub use update::{ChannelUpdate, Cover, Frozen, OfferedHtlc, Reopened, UnpaidForward};
pub use velocity::{Tally, Velocity, Window};
pub use verdict::Verdict;
pub use violation::{Tag, Violation};
pub use way_out::{claim, way_out};
