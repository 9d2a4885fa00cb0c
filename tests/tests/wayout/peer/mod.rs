//! A hostile peer on the wire: a real node (LDK) with keys and a mind of its own, whose messages a scenario takes away.
//!
//! It speaks the protocol as any peer does, with its own keys, its own chain view and its own checks, so that alice's lnd takes
//! it for one. What is hostile is asked for by name: [`Peer::echo`], [`Peer::fall_silent`], [`Peer::on_payment`].

mod keys;
mod surroundings;
mod wire;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use bitcoin::hashes::Hash;
use bitcoin::secp256k1::PublicKey;
use bitcoin::{Amount, Block, BlockHash, Network};
use lightning::chain::chainmonitor::ChainMonitor;
use lightning::chain::{BestBlock, Filter, Listen};
use lightning::events::{Event, EventsProvider};
use lightning::ln::channelmanager::{
    Bolt11InvoiceParameters, ChainParameters, ChannelManager, PaymentId, RecipientOnionFields,
};
use lightning::ln::peer_handler::{IgnoringMessageHandler, MessageHandler, PeerManager};
use lightning::ln::types::ChannelId;
use lightning::routing::router::{Path as Hops, Route, RouteHop};
use lightning::sign::{EntropySource, KeysManager, NodeSigner, Recipient};
use lightning::types::features::{ChannelFeatures, NodeFeatures};
use lightning::types::payment::{PaymentHash, PaymentPreimage, PaymentSecret};
use lightning::util::config::{MaxDustHTLCExposure, UserConfig};
use lightning_net_tokio::SocketDescriptor;
use serde_json::json;
use strongroom_tests::bitcoind::Bitcoind;
use strongroom_tests::clock::{until, until_true};
use strongroom_tests::lnd::{ChannelPoint, CommitmentType, Lnd};

use keys::{ChannelKeys, Keys};
use surroundings::{Fees, Log, Nowhere};
use wire::Wire;

pub use wire::Silent;

type Monitor = ChainMonitor<
    ChannelKeys,
    Arc<dyn Filter + Send + Sync>,
    Arc<Nowhere>,
    Arc<Fees>,
    Arc<Log>,
    Arc<Nowhere>,
    Arc<KeysManager>,
>;
type Manager = ChannelManager<
    Arc<Monitor>,
    Arc<Nowhere>,
    Arc<KeysManager>,
    Arc<KeysManager>,
    Arc<Keys>,
    Arc<Fees>,
    Arc<Nowhere>,
    Arc<Nowhere>,
    Arc<Log>,
>;
type Connections = PeerManager<
    SocketDescriptor,
    Arc<Wire>,
    IgnoringMessageHandler,
    IgnoringMessageHandler,
    Arc<Log>,
    IgnoringMessageHandler,
    Arc<KeysManager>,
    IgnoringMessageHandler,
>;

/// What the peer does with a payment that has reached it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnPayment {
    /// Nothing, until the scenario says so.
    Keep,
    /// Fails it back.
    Fail,
}

/// A running hostile peer. Ends when dropped.
pub struct Peer {
    inner: Arc<Inner>,
    runtime: tokio::runtime::Runtime,
    pump: Option<JoinHandle<()>>,
}

/// What the peer's own thread turns over.
struct Inner {
    wire: Arc<Wire>,
    monitor: Arc<Monitor>,
    connections: Arc<Connections>,
    entropy: Arc<KeysManager>,
    on_payment: Mutex<OnPayment>,
    /// Preimages of what it keeps.
    kept: Mutex<Vec<PaymentPreimage>>,
    /// Fundings asked for: temporary id, script, amount.
    fundings: Mutex<Vec<(ChannelId, bitcoin::ScriptBuf, u64)>>,
    best: Mutex<(u64, BlockHash)>,
    ended: AtomicBool,
}

impl Peer {
    /// Starts one that follows `bitcoind`'s chain; it logs into `dir`.
    pub fn start(dir: &Path, bitcoind: &Bitcoind) -> Result<Self> {
        let log = Arc::new(Log::at(&dir.join("peer.log"))?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let entropy = Arc::new(KeysManager::new(&rand::random(), now.as_secs(), now.subsec_nanos(), false));
        let keys = Arc::new(Keys::of(entropy.clone()));
        let (nowhere, fees) = (Arc::new(Nowhere), Arc::new(Fees));
        let monitor: Arc<Monitor> = Arc::new(ChainMonitor::new(
            None,
            nowhere.clone(),
            log.clone(),
            fees.clone(),
            nowhere.clone(),
            entropy.clone(),
            entropy.get_peer_storage_key(),
        ));
        let height = bitcoind.height()?;
        let hash: BlockHash = bitcoind.best()?.parse()?;
        let best_block = BestBlock::new(hash, u32::try_from(height)?);
        let manager = Arc::new(ChannelManager::new(
            fees,
            monitor.clone(),
            nowhere.clone(),
            nowhere.clone(),
            nowhere,
            log.clone(),
            entropy.clone(),
            entropy.clone(),
            keys.clone(),
            config(CommitmentType::Anchors),
            ChainParameters { network: Network::Regtest, best_block },
            u32::try_from(now.as_secs())?,
        ));
        let wire = Arc::new(Wire::new(manager, keys));
        let handlers = MessageHandler {
            chan_handler: wire.clone(),
            route_handler: IgnoringMessageHandler {},
            onion_message_handler: IgnoringMessageHandler {},
            custom_message_handler: IgnoringMessageHandler {},
            send_only_message_handler: IgnoringMessageHandler {},
        };
        let connections = Arc::new(PeerManager::new(
            handlers,
            u32::try_from(now.as_secs())?,
            &rand::random(),
            log,
            entropy.clone(),
        ));
        let inner = Arc::new(Inner {
            wire,
            monitor,
            connections,
            entropy,
            on_payment: Mutex::new(OnPayment::Keep),
            kept: Mutex::default(),
            fundings: Mutex::default(),
            best: Mutex::new((height, hash)),
            ended: AtomicBool::new(false),
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let turned = inner.clone();
        let pump = std::thread::spawn(move || {
            while !turned.ended.load(Ordering::Relaxed) {
                turned.turn();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Ok(Self { inner, runtime, pump: Some(pump) })
    }

    /// Its node id, hex.
    pub fn id(&self) -> Result<String> {
        let id = self.inner.entropy.get_node_id(Recipient::Node).map_err(|()| anyhow!("no node id"))?;
        Ok(id.to_string())
    }

    /// Connects to `node`.
    pub fn connect(&self, node: &Lnd) -> Result<()> {
        let id: PublicKey = node.pubkey().parse()?;
        let connections = self.inner.connections.clone();
        let address = node.p2p_address().parse()?;
        let connection =
            self.runtime.block_on(lightning_net_tokio::connect_outbound(connections, id, address));
        self.runtime.spawn(connection.context("no connection to alice")?);
        until_true(30, "the hostile peer connected", || {
            Ok(self.inner.connections.peer_by_node_id(&id).is_some())
        })
    }

    /// The next channel that alice opens is answered with her own payment basepoint.
    pub fn echo(&self) {
        *self.inner.wire.echo.lock().expect("no holder panics") = true;
    }

    /// What it does with payments from now on.
    pub fn on_payment(&self, what: OnPayment) {
        *self.inner.on_payment.lock().expect("no holder panics") = what;
    }

    /// Takes what it keeps, and gives the preimages.
    pub fn take_kept(&self) {
        for preimage in self.inner.kept.lock().expect("no holder panics").drain(..) {
            self.inner.wire.manager.claim_funds(preimage);
        }
    }

    /// Fails what it keeps.
    pub fn fail_kept(&self) {
        for preimage in self.inner.kept.lock().expect("no holder panics").drain(..) {
            self.inner.wire.manager.fail_htlc_backwards(&preimage.into());
        }
    }

    /// How many payments it keeps.
    pub fn kept(&self) -> usize {
        self.inner.kept.lock().expect("no holder panics").len()
    }

    /// From that step on `channel` says and hears nothing.
    pub fn fall_silent(&self, channel: &ChannelPoint, step: Silent) -> Result<()> {
        self.inner.wire.fall_silent(self.channel(channel)?, step);
        Ok(())
    }

    /// Waits until `channel` has fallen silent.
    pub fn is_silent(&self, channel: &ChannelPoint) -> Result<()> {
        let id = self.channel(channel)?;
        until_true(30, "the peer silent", || Ok(self.inner.wire.is_silent(id)))
    }

    /// Its id of a channel: BOLT 2's, of the funding output.
    fn channel(&self, point: &ChannelPoint) -> Result<ChannelId> {
        let txid: bitcoin::Txid = point.txid.parse()?;
        let index = u16::try_from(point.vout)?;
        Ok(ChannelId::v1_from_funding_txid(txid.as_byte_array(), index))
    }

    /// Opens a channel of `sat` to `node`, all of it its own; the funding transaction is published, not yet mined.
    pub fn open(
        &self,
        node: &Lnd,
        bitcoind: &Bitcoind,
        sat: u64,
        format: CommitmentType,
    ) -> Result<ChannelPoint> {
        let id: PublicKey = node.pubkey().parse()?;
        let manager = &self.inner.wire.manager;
        let opened = manager.create_channel(id, sat, 0, 0, None, Some(config(format)));
        let temporary = opened.map_err(|error| anyhow!("open a channel: {error:?}"))?;
        let (script, amount) = until(30, "alice accepts the peer's channel", || {
            let fundings = self.inner.fundings.lock().expect("no holder panics");
            let found = fundings.iter().find(|(of, ..)| *of == temporary);
            Ok(found.map(|(_, script, amount)| (script.clone(), *amount)))
        })?;
        let address = bitcoin::Address::from_script(&script, Network::Regtest)?;
        let outputs = json!([{ address.to_string(): Amount::from_sat(amount).to_btc() }]);
        let raw = bitcoind.rpc("createrawtransaction", json!([[], outputs]))?;
        let funded = bitcoind.rpc("fundrawtransaction", json!([raw]))?;
        let signed = bitcoind.rpc("signrawtransactionwithwallet", json!([funded["hex"]]))?;
        let transaction: bitcoin::Transaction = bitcoin::consensus::encode::deserialize_hex(
            signed["hex"].as_str().context("no signed transaction")?,
        )?;
        let vout = transaction.output.iter().position(|output| output.script_pubkey == script);
        let vout = u32::try_from(vout.context("the transaction does not fund the channel")?)?;
        manager
            .funding_transaction_generated(temporary, id, transaction.clone())
            .map_err(|error| anyhow!("fund a channel: {error:?}"))?;
        let point = ChannelPoint { txid: transaction.compute_txid().to_string(), vout };
        let of = self.channel(&point)?;
        until_true(30, "alice signed the peer's first commitment", || {
            Ok(self.inner.monitor.list_monitors().contains(&of))
        })?;
        bitcoind.publish(&transaction)?;
        Ok(point)
    }

    /// An invoice of its own, over `sat`.
    pub fn invoice(&self, sat: u64) -> Result<String> {
        let params = Bolt11InvoiceParameters { amount_msats: Some(sat * 1_000), ..Default::default() };
        let made = self.inner.wire.manager.create_bolt11_invoice(params);
        Ok(made.map_err(|error| anyhow!("make an invoice: {error:?}"))?.to_string())
    }

    /// Sends `sat` to alice over `channel`, or by her on to the hops after, each by node and short id. Does not wait for the end.
    pub fn send(&self, sat: u64, hash: [u8; 32], secret: [u8; 32], hops: &[(&str, u64)]) -> Result<()> {
        let last = hops.len().saturating_sub(1);
        let hop = |(n, (node, short_id)): (usize, &(&str, u64))| {
            Ok(RouteHop {
                pubkey: node.parse()?,
                node_features: NodeFeatures::empty(),
                short_channel_id: *short_id,
                channel_features: ChannelFeatures::empty(),
                // What the hop keeps: all of it at the end, ample for lnd's own fee before.
                fee_msat: if n == last { sat * 1_000 } else { 2_000 + sat },
                cltv_expiry_delta: 100,
                maybe_announced_channel: false,
            })
        };
        let hops = hops.iter().enumerate().map(hop).collect::<Result<Vec<_>>>()?;
        let route = Route { paths: vec![Hops { hops, blinded_tail: None }], route_params: None };
        let onion = RecipientOnionFields::secret_only(PaymentSecret(secret));
        let sent = self.inner.wire.manager.send_payment_with_route(
            route,
            PaymentHash(hash),
            onion,
            PaymentId(self.inner.entropy.get_secure_random_bytes()),
        );
        sent.map_err(|error| anyhow!("send {sat} sat: {error:?}"))
    }

    /// The short id of a channel, as this peer names it.
    pub fn short_id(&self, point: &ChannelPoint) -> Result<u64> {
        let id = self.channel(point)?;
        until(30, "the peer's channel usable", || {
            let channels = self.inner.wire.manager.list_usable_channels();
            Ok(channels.iter().find(|channel| channel.channel_id == id).and_then(|c| c.short_channel_id))
        })
    }

    /// HTLCs that it still has in either direction.
    pub fn pending_htlcs(&self) -> usize {
        let channels = self.inner.wire.manager.list_channels();
        channels.iter().map(|c| c.pending_inbound_htlcs.len() + c.pending_outbound_htlcs.len()).sum()
    }

    /// Sees the blocks that `bitcoind` has.
    pub fn follow(&self, bitcoind: &Bitcoind) -> Result<()> {
        let mut best = self.inner.best.lock().expect("no holder panics");
        while best.0 < bitcoind.height()? {
            let height = best.0 + 1;
            let hash = bitcoind.rpc("getblockhash", json!([height]))?;
            let text = bitcoind.rpc("getblock", json!([hash, 0]))?;
            let block: Block =
                bitcoin::consensus::encode::deserialize_hex(text.as_str().context("no block")?)?;
            ensure!(block.header.prev_blockhash == best.1, "the chain branched under the peer");
            let at = u32::try_from(height)?;
            (*self.inner.wire.manager).block_connected(&block, at);
            (*self.inner.monitor).block_connected(&block, at);
            *best = (height, block.block_hash());
        }
        Ok(())
    }
}

impl Inner {
    /// Everything that waits.
    fn turn(&self) {
        self.wire.manager.process_pending_htlc_forwards();
        let handler = |event: Event| {
            self.handle(event);
            Ok(())
        };
        self.wire.manager.process_pending_events(&handler);
        self.monitor.process_pending_events(&|_: Event| Ok(()));
        self.connections.process_events();
    }

    fn handle(&self, event: Event) {
        let manager = &self.wire.manager;
        match event {
            Event::OpenChannelRequest { temporary_channel_id, counterparty_node_id, .. } => {
                // Alice hears of what it does not take, and the scenario from her.
                let _ = manager.accept_inbound_channel(&temporary_channel_id, &counterparty_node_id, 0, None);
            }
            Event::FundingGenerationReady {
                temporary_channel_id,
                output_script,
                channel_value_satoshis,
                ..
            } => self.fundings.lock().expect("no holder panics").push((
                temporary_channel_id,
                output_script,
                channel_value_satoshis,
            )),
            Event::PaymentClaimable { payment_hash, purpose, .. } => {
                match *self.on_payment.lock().expect("no holder panics") {
                    OnPayment::Keep => {
                        self.kept.lock().expect("no holder panics").extend(purpose.preimage());
                    }
                    OnPayment::Fail => manager.fail_htlc_backwards(&payment_hash),
                }
            }
            _ => {}
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.inner.ended.store(true, Ordering::Relaxed);
        if let Some(pump) = self.pump.take() {
            let _ = pump.join();
        }
        self.inner.connections.disconnect_all_peers();
    }
}

/// As open to what alice wants as a node can be.
fn config(format: CommitmentType) -> UserConfig {
    let mut config = UserConfig { manually_accept_inbound_channels: true, ..UserConfig::default() };
    let handshake = &mut config.channel_handshake_config;
    handshake.minimum_depth = 1;
    handshake.negotiate_anchors_zero_fee_htlc_tx = format == CommitmentType::Anchors;
    handshake.max_inbound_htlc_value_in_flight_percent_of_channel = 100;
    // Ample for probes; by default a small share of the feerate.
    config.channel_config.max_dust_htlc_exposure = MaxDustHTLCExposure::FixedLimitMsat(100_000_000);
    config.channel_handshake_limits.force_announced_channel_preference = false;
    config
}
