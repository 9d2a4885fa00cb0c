//! What the peer's node stands on: a log, a feerate, a broadcaster that keeps silent, a store that keeps nothing.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;

use anyhow::Result;
use bitcoin::Transaction;
use bitcoin::secp256k1::{PublicKey, Secp256k1, Signing, Verification};
use lightning::blinded_path::message::{BlindedMessagePath, MessageContext, MessageForwardNode};
use lightning::blinded_path::payment::{BlindedPaymentPath, ReceiveTlvs};
use lightning::chain::ChannelMonitorUpdateStatus;
use lightning::chain::chaininterface::{BroadcasterInterface, ConfirmationTarget, FeeEstimator};
use lightning::chain::chainmonitor::Persist;
use lightning::chain::channelmonitor::{ChannelMonitor, ChannelMonitorUpdate};
use lightning::ln::channel_state::ChannelDetails;
use lightning::onion_message::messenger::{Destination, MessageRouter, OnionMessagePath};
use lightning::routing::router::{InFlightHtlcs, Route, RouteParameters, Router};
use lightning::sign::ReceiveAuthKey;
use lightning::util::logger::{Logger, Record};
use lightning::util::persist::MonitorName;

use super::keys::ChannelKeys;

/// Writes what the node says into a file.
pub struct Log(Mutex<File>);

impl Log {
    pub fn at(path: &Path) -> Result<Self> {
        Ok(Self(Mutex::new(File::create(path)?)))
    }
}

impl Logger for Log {
    fn log(&self, record: Record) {
        if let Ok(mut file) = self.0.lock() {
            // A log that cannot be written ends no scenario.
            let _ = writeln!(file, "{} {} {}", record.level, record.module_path, record.args);
        }
    }
}

/// Takes any feerate, and asks for the least where it funds.
pub struct Fees;

impl FeeEstimator for Fees {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        match target {
            ConfirmationTarget::NonAnchorChannelFee => 1_250,
            ConfirmationTarget::MaximumFeeEstimate | ConfirmationTarget::UrgentOnChainSweep => 100_000,
            _ => 253,
        }
    }
}

/// The funding of its channels it publishes by itself; apart from that it leaves the chain to alice.
pub struct Nowhere;

impl BroadcasterInterface for Nowhere {
    fn broadcast_transactions(&self, _: &[&Transaction]) {}
}

impl Persist<ChannelKeys> for Nowhere {
    fn persist_new_channel(
        &self,
        _: MonitorName,
        _: &ChannelMonitor<ChannelKeys>,
    ) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::Completed
    }

    fn update_persisted_channel(
        &self,
        _: MonitorName,
        _: Option<&ChannelMonitorUpdate>,
        _: &ChannelMonitor<ChannelKeys>,
    ) -> ChannelMonitorUpdateStatus {
        ChannelMonitorUpdateStatus::Completed
    }

    fn archive_persisted_channel(&self, _: MonitorName) {}
}

/// Scenarios name their routes.
impl Router for Nowhere {
    fn find_route(
        &self,
        _: &PublicKey,
        _: &RouteParameters,
        _: Option<&[&ChannelDetails]>,
        _: InFlightHtlcs,
    ) -> Result<Route, &'static str> {
        Err("scenarios name their routes")
    }

    fn create_blinded_payment_paths<T: Signing + Verification>(
        &self,
        _: PublicKey,
        _: Vec<ChannelDetails>,
        _: ReceiveTlvs,
        _: Option<u64>,
        _: &Secp256k1<T>,
    ) -> Result<Vec<BlindedPaymentPath>, ()> {
        Err(())
    }
}

impl MessageRouter for Nowhere {
    fn find_path(&self, _: PublicKey, _: Vec<PublicKey>, _: Destination) -> Result<OnionMessagePath, ()> {
        Err(())
    }

    fn create_blinded_paths<T: Signing + Verification>(
        &self,
        _: PublicKey,
        _: ReceiveAuthKey,
        _: MessageContext,
        _: Vec<MessageForwardNode>,
        _: &Secp256k1<T>,
    ) -> Result<Vec<BlindedMessagePath>, ()> {
        Err(())
    }
}
