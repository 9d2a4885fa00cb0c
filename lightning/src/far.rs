//! Outputs that may be our wallet's beyond the lookahead.
//!
//! LND moves on by one for each address that it gives out, paid or not, and its PSBTs do not say whose an output is. So before
//! a transaction that brings money home, or moves it, is judged, its outputs are searched for further on.

use bitcoin::Script;

use crate::accounts::Accounts;
use crate::classify::has_commitment_shape;
use crate::psbt::SignRequest;

impl SignRequest {
    /// Whether [`search`](Self::search) may find an output of this request to be ours. Not of a commitment: there what is ours
    /// is a channel's, and the peer's own address is in each.
    pub fn may_be_far(&self, accounts: &Accounts) -> bool {
        !has_commitment_shape(self.transaction()) && accounts.may_be_far(self.scripts())
    }

    /// Searches for its outputs while `goes_on` says so.
    pub fn search(&self, accounts: &Accounts, goes_on: impl Fn() -> bool) {
        accounts.search(self.scripts(), goes_on);
    }

    fn scripts(&self) -> impl Iterator<Item = &Script> {
        self.transaction().output.iter().map(|output| &*output.script_pubkey)
    }
}
