//! Decides and records. One thread owns all state.

mod approved;

pub use approved::Approved;
