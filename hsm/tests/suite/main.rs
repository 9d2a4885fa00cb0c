//! The hsm suite: real tokens of the module that `STRONGROOM_TEST_MODULE` names.
//!
//! `softhsm` (the default) or `kryoptic` (built by tests/peers/kryoptic). Modules read their
//! configuration once per process, so every test runs in a process of its own, on a token of
//! its own. What a module cannot do is asserted to be absent, never skipped: see `bed::Expected`.

mod bed;
mod capabilities;
mod concurrency;
mod gone;
mod keys;
mod memory;
mod pin;
mod sealing;
mod sweep;
