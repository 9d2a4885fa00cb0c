//! A SignPsbt request: from bytes to what is to be signed, and back to the answer.

mod digest;
mod fields;
mod input;
mod lock;
mod malformed;
mod nested;
mod raw;
mod request;
mod splice;
mod to_sign;
mod tweak;

pub use malformed::Malformed;
pub use request::{Limits, PreviousOutput, SignRequest};
pub use splice::{AnswerError, SpendSignature};
pub use to_sign::{TapSpend, ToSign, TweakData};

#[cfg(test)]
pub(crate) mod tests;
