//! What a key does in the script it opens.

use strongroom_policy::case::{Lock, Tweak};
use strongroom_policy::{KeyLocator, KeyPath};

use super::Unfit;
use crate::psbt::ToSign;
use crate::script::{ChannelScript, Funding, Htlc};

/// The part our key plays in the output spent.
pub(super) enum Role {
    /// The on-chain wallet's own output.
    Wallet,
    /// One of the two funding keys.
    Funding(Funding),
    /// Our anchor.
    Anchor,
    /// The owner's delayed key: our own `to_local` or second-level output.
    Delayed,
    /// `to_remote` on the peer's commitment.
    ToRemote,
    /// The revocation key.
    Punishing,
    /// The other party's HTLC key: the commitment is the peer's.
    HtlcOnPeerCommitment(Htlc),
    /// The owner's HTLC key: the commitment is ours.
    HtlcOnOwnCommitment(Htlc),
}

/// The role of the key in a signature asked for; each family has its one place in BOLT 3's scripts.
pub(super) fn of(signed: &ToSign) -> Result<Role, Unfit> {
    let misfit = || format!("key {} signs a {:?} output where lnd never puts it", signed.key, signed.lock);
    let tweak = signed.tweak.kind();
    let locator = match signed.key {
        KeyPath::Wallet(_) => {
            let own = matches!(signed.lock, Lock::P2wpkh | Lock::P2shP2wpkh | Lock::TaprootKeyBip86);
            return if own && tweak == Tweak::None { Ok(Role::Wallet) } else { Err(misfit()) };
        }
        KeyPath::Lightning(locator) => locator,
    };
    if matches!(signed.lock, Lock::TaprootScript | Lock::TaprootKeyTweaked | Lock::TaprootKeyBip86) {
        return Err(format!("key {} signs for a taproot channel, which is not understood", signed.key));
    }
    if signed.lock == Lock::P2wpkh && locator.family == KeyLocator::PAYMENT_BASE {
        return Ok(Role::ToRemote);
    }
    if signed.lock != Lock::P2wsh {
        return Err(misfit());
    }
    let key = signed.public_key.serialize();
    match (locator.family, tweak, ChannelScript::parse(&signed.script)) {
        (KeyLocator::MULTISIG, Tweak::None, Some(ChannelScript::Funding(funding))) => {
            Ok(Role::Funding(funding))
        }
        (KeyLocator::MULTISIG, Tweak::None, Some(ChannelScript::Anchor(_))) => Ok(Role::Anchor),
        (KeyLocator::PAYMENT_BASE, Tweak::None, Some(ChannelScript::ToRemote(_))) => Ok(Role::ToRemote),
        (KeyLocator::DELAY_BASE, Tweak::Single, Some(ChannelScript::Delayed(script)))
            if script.delayed == key =>
        {
            Ok(Role::Delayed)
        }
        (
            KeyLocator::REVOCATION_BASE,
            Tweak::Double,
            Some(ChannelScript::Delayed(_) | ChannelScript::Htlc(_)),
        ) => Ok(Role::Punishing),
        (KeyLocator::HTLC_BASE, Tweak::Single, Some(ChannelScript::Htlc(htlc))) => {
            // Both keys ours would be an HTLC with ourselves.
            match (htlc.remote_key == key, htlc.local_key == key) {
                (true, false) => Ok(Role::HtlcOnPeerCommitment(htlc)),
                (false, true) => Ok(Role::HtlcOnOwnCommitment(htlc)),
                _ => Err(misfit()),
            }
        }
        _ => Err(misfit()),
    }
}
