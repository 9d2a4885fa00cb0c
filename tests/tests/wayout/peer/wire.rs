//! Between the peer's node and the wire: takes from a channel's messages what a scenario does not want sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bitcoin::constants::ChainHash;
use bitcoin::secp256k1::PublicKey;
use lightning::ln::msgs::{
    AcceptChannel, AnnouncementSignatures, BaseMessageHandler, ChannelMessageHandler, ChannelReady,
    ChannelReestablish, ChannelUpdate, ClosingSigned, CommitmentSigned, ErrorMessage, FundingCreated,
    FundingSigned, Init, MessageSendEvent, OpenChannel, RevokeAndACK, Shutdown, UpdateAddHTLC,
    UpdateFailHTLC, UpdateFailMalformedHTLC, UpdateFee, UpdateFulfillHTLC,
};
use lightning::ln::types::ChannelId;
use lightning::types::features::{InitFeatures, NodeFeatures};

use super::Manager;
use super::keys::Keys;

/// Where in the updates of a channel the peer falls silent, for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silent {
    /// Nothing is answered any more.
    AtOnce,
    /// The next update goes out without the commitment that signs it.
    BeforeCommitment,
    /// The next update and its commitment are the last.
    AfterCommitment,
    /// The next revocation is not given.
    BeforeRevocation,
    /// The next revocation is given, and nothing after it.
    AfterRevocation,
}

/// What is to come of a channel.
#[derive(Clone, Copy)]
enum State {
    Until(Silent),
    Gone,
}

/// Hands messages on between the node and the wire.
pub struct Wire {
    pub manager: Arc<Manager>,
    pub keys: Arc<Keys>,
    /// Whether the next channel that alice opens is answered with her own payment basepoint.
    pub echo: Mutex<bool>,
    states: Mutex<BTreeMap<[u8; 32], State>>,
}

impl Wire {
    pub fn new(manager: Arc<Manager>, keys: Arc<Keys>) -> Self {
        Self { manager, keys, echo: Mutex::new(false), states: Mutex::default() }
    }

    /// From that step on the channel says and hears nothing.
    pub fn fall_silent(&self, channel: ChannelId, step: Silent) {
        let state = if step == Silent::AtOnce { State::Gone } else { State::Until(step) };
        self.states.lock().expect("no holder panics").insert(channel.0, state);
    }

    /// Whether the channel has fallen silent.
    pub fn is_silent(&self, channel: ChannelId) -> bool {
        matches!(self.states.lock().expect("no holder panics").get(&channel.0), Some(State::Gone))
    }

    /// What of a message goes out.
    fn let_out(&self, event: MessageSendEvent) -> Option<MessageSendEvent> {
        let channel = channel_of(&event);
        let mut states = self.states.lock().expect("no holder panics");
        let Some(state) = channel.and_then(|channel| states.get_mut(&channel.0)) else {
            return Some(event);
        };
        let State::Until(step) = *state else { return None };
        match event {
            MessageSendEvent::UpdateHTLCs { node_id, channel_id, mut updates }
                if matches!(step, Silent::BeforeCommitment | Silent::AfterCommitment) =>
            {
                *state = State::Gone;
                if step == Silent::BeforeCommitment {
                    updates.commitment_signed.clear();
                }
                Some(MessageSendEvent::UpdateHTLCs { node_id, channel_id, updates })
            }
            MessageSendEvent::SendRevokeAndACK { .. } if step == Silent::BeforeRevocation => {
                *state = State::Gone;
                None
            }
            MessageSendEvent::SendRevokeAndACK { .. } if step == Silent::AfterRevocation => {
                *state = State::Gone;
                Some(event)
            }
            other => Some(other),
        }
    }
}

/// The channel that a message to be sent is about, of those that a scenario takes from the wire.
fn channel_of(event: &MessageSendEvent) -> Option<ChannelId> {
    use lightning::ln::msgs::ErrorAction;
    match event {
        MessageSendEvent::UpdateHTLCs { channel_id, .. } => Some(*channel_id),
        MessageSendEvent::SendRevokeAndACK { msg, .. } => Some(msg.channel_id),
        MessageSendEvent::SendChannelReady { msg, .. } => Some(msg.channel_id),
        MessageSendEvent::SendChannelReestablish { msg, .. } => Some(msg.channel_id),
        MessageSendEvent::SendShutdown { msg, .. } => Some(msg.channel_id),
        MessageSendEvent::SendClosingSigned { msg, .. } => Some(msg.channel_id),
        MessageSendEvent::HandleError { action: ErrorAction::SendErrorMessage { msg }, .. }
        | MessageSendEvent::HandleError { action: ErrorAction::DisconnectPeer { msg: Some(msg) }, .. } => {
            Some(msg.channel_id)
        }
        _ => None,
    }
}

impl BaseMessageHandler for Wire {
    fn get_and_clear_pending_msg_events(&self) -> Vec<MessageSendEvent> {
        let events = self.manager.get_and_clear_pending_msg_events();
        events.into_iter().filter_map(|event| self.let_out(event)).collect()
    }

    fn peer_disconnected(&self, from: PublicKey) {
        self.manager.peer_disconnected(from);
    }

    fn provided_node_features(&self) -> NodeFeatures {
        self.manager.provided_node_features()
    }

    fn provided_init_features(&self, from: PublicKey) -> InitFeatures {
        self.manager.provided_init_features(from)
    }

    fn peer_connected(&self, from: PublicKey, message: &Init, inbound: bool) -> Result<(), ()> {
        self.manager.peer_connected(from, message, inbound)
    }
}

/// What is heard of a channel: nothing, once it is silent.
macro_rules! hear {
    ($($name:ident($message:ty);)*) => {
        $(fn $name(&self, from: PublicKey, message: &$message) {
            if !self.is_silent(message.channel_id) {
                self.manager.$name(from, message);
            }
        })*
    };
}

/// What is handed on as it is.
macro_rules! hand_on {
    ($($name:ident($message:ty);)*) => {
        $(fn $name(&self, from: PublicKey, message: &$message) {
            self.manager.$name(from, message);
        })*
    };
}

/// What this peer never speaks.
macro_rules! ignore {
    ($($name:ident($message:ident);)*) => {
        $(fn $name(&self, _: PublicKey, _: &lightning::ln::msgs::$message) {})*
    };
}

impl ChannelMessageHandler for Wire {
    fn handle_open_channel(&self, from: PublicKey, message: &OpenChannel) {
        if std::mem::take(&mut *self.echo.lock().expect("no holder panics")) {
            let hers = message.common_fields.payment_basepoint;
            *self.keys.payment_basepoint.lock().expect("no holder panics") = Some(hers);
        }
        self.manager.handle_open_channel(from, message);
    }

    hand_on! {
        handle_accept_channel(AcceptChannel);
        handle_funding_created(FundingCreated);
        handle_channel_update(ChannelUpdate);
    }

    hear! {
        handle_funding_signed(FundingSigned);
        handle_channel_ready(ChannelReady);
        handle_shutdown(Shutdown);
        handle_closing_signed(ClosingSigned);
        handle_update_add_htlc(UpdateAddHTLC);
        handle_update_fail_htlc(UpdateFailHTLC);
        handle_update_fail_malformed_htlc(UpdateFailMalformedHTLC);
        handle_commitment_signed(CommitmentSigned);
        handle_revoke_and_ack(RevokeAndACK);
        handle_update_fee(UpdateFee);
        handle_announcement_signatures(AnnouncementSignatures);
        handle_channel_reestablish(ChannelReestablish);
        handle_error(ErrorMessage);
    }

    fn handle_update_fulfill_htlc(&self, from: PublicKey, message: UpdateFulfillHTLC) {
        if !self.is_silent(message.channel_id) {
            self.manager.handle_update_fulfill_htlc(from, message);
        }
    }

    fn handle_commitment_signed_batch(
        &self,
        from: PublicKey,
        channel: ChannelId,
        batch: Vec<CommitmentSigned>,
    ) {
        if !self.is_silent(channel) {
            self.manager.handle_commitment_signed_batch(from, channel, batch);
        }
    }

    fn handle_peer_storage(&self, _: PublicKey, _: lightning::ln::msgs::PeerStorage) {}
    fn handle_peer_storage_retrieval(&self, _: PublicKey, _: lightning::ln::msgs::PeerStorageRetrieval) {}

    ignore! {
        handle_open_channel_v2(OpenChannelV2);
        handle_accept_channel_v2(AcceptChannelV2);
        handle_stfu(Stfu);
        handle_splice_init(SpliceInit);
        handle_splice_ack(SpliceAck);
        handle_splice_locked(SpliceLocked);
        handle_tx_add_input(TxAddInput);
        handle_tx_add_output(TxAddOutput);
        handle_tx_remove_input(TxRemoveInput);
        handle_tx_remove_output(TxRemoveOutput);
        handle_tx_complete(TxComplete);
        handle_tx_signatures(TxSignatures);
        handle_tx_init_rbf(TxInitRbf);
        handle_tx_ack_rbf(TxAckRbf);
        handle_tx_abort(TxAbort);
    }

    fn get_chain_hashes(&self) -> Option<Vec<ChainHash>> {
        self.manager.get_chain_hashes()
    }

    fn message_received(&self) {}
}
