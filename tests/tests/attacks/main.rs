//! A compromised lnd: every request is the attacker's, from channels that a real lnd opened and used.
//!
//! The table of attacks is in the groups' files, and in ATTACKS.md for readers; `table::groups` joins them.

mod attacker;
mod bed;
mod bounds;
mod claims;
mod closing;
mod commitments;
mod document;
mod forge;
mod htlcs;
mod made_up;
mod musig2;
mod payments;
mod peers;
mod secrets;
mod surroundings;
mod sweeps;
mod table;
mod wallet;
mod way_out;
