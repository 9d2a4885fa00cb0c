//! A channel's life as lnd shows it, and what a lying lnd would ask. Deny cases first.

mod behind;
pub(crate) mod channel;
mod claims;
mod closing;
mod commitments;
mod funding;
pub(crate) mod htlcs;
mod way_out;
