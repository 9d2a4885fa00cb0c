//! The harness: real peers (bitcoind, lnd, SoftHSM) and the built daemon, each a process with its
//! own directory, ephemeral loopback ports and a log file, killed by process id when dropped.
//!
//! Peers are installed by `tests/peers/install`; a missing one fails by name.

pub mod bitcoind;
pub mod clock;
pub mod companion;
pub mod day;
pub mod fees;
pub mod grpc;
pub mod lnd;
pub mod load;
pub mod network;
pub mod peers;
pub mod process;
pub mod recorder;
pub mod rest;
pub mod signer;
pub mod soak;
pub mod softhsm;
pub mod strongroomd;
pub mod workdir;
