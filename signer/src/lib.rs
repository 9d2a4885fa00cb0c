//! The daemon `strongroomd`: the line that every request walks, the journal that decides and records,
//! the keyring that signs, and the gRPC doors.

pub mod appliance;
pub mod chain;
pub mod config;
pub mod daemon;
pub mod doors;
pub mod fault;
pub mod journal;
pub mod keyring;
pub mod line;
pub mod metrics;
pub mod refusal;
pub mod rpc;
pub mod share;
pub mod store;
