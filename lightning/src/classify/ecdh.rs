//! Channel reservations, as ECDH shows them.

use secp256k1::PublicKey;
use strongroom_policy::{EcdhAsk, KeyLocator};

use crate::accounts::Accounts;
use crate::channels::{Change, Channels, Learned};

impl Channels {
    /// What an ECDH with our key `key` is, and what it teaches if it is approved: lnd makes a channel's revocation
    /// root by ECDH of `{5/i}` with its own new multisig key, at the reservation of the channel.
    pub fn classify_ecdh(
        &self,
        key: KeyLocator,
        point: &PublicKey,
        accounts: &Accounts,
    ) -> (EcdhAsk, Learned) {
        if key.family != KeyLocator::REVOCATION_ROOT {
            return (EcdhAsk { key, with_own_multisig: None }, Learned::nothing());
        }
        let with_own_multisig = accounts.find_multisig(&point.serialize());
        let changes = match with_own_multisig {
            // Asked again for a channel that exists, it opens no new reservation.
            Some(multisig) if !self.by_multisig.contains_key(&multisig.index) => {
                vec![Change::Reserved { root: key.index, multisig: multisig.index }]
            }
            _ => Vec::new(),
        };
        (EcdhAsk { key, with_own_multisig }, Learned { changes })
    }
}
