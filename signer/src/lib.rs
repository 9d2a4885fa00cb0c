//! The daemon `strongroomd`: the line that every request walks, the journal that decides and records,
//! the keyring that signs, and the gRPC doors.

pub mod journal;
pub mod keyring;
