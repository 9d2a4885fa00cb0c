//! The commands, one file each.

pub mod chain;
pub mod channel;
pub mod channels;
pub mod init;
pub mod journal;
pub mod macaroon;
pub mod node;
pub mod payments;
pub mod policy;
pub mod seal;
pub mod status;
pub mod unseal;
pub mod version;
