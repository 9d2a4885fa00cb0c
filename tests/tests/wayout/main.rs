//! The way out is never closed: whatever the signer knows and whatever its windows hold, an honest lnd closes, claims what is
//! its own, and has it home.

mod addresses;
mod bed;
mod first_payments;
mod hostile;
mod hostile_opening;
mod hostile_probes;
mod hostile_silence;
mod made_anew;
mod mass_close;
mod operators_word;
mod peer;
mod rbf_close;
mod silent_peer;
mod unknown_history;
mod upfront_address;
mod wiped;
mod zero_conf;
