//! The operator's view of channels: `strongroom.v1.Channels`.

use std::sync::Arc;

use bitcoin::hex::DisplayHex as _;
use strongroom_policy::Frozen;
use strongroom_proto::strongroom::v1::channels_server::Channels;
use strongroom_proto::strongroom::v1::{Channel, ChannelsRequest, ChannelsResponse, Htlc};
use tokio::sync::oneshot;
use tonic::{Request, Response, Status};

use crate::appliance::Appliance;
use crate::journal::{Inquiry, KnownChannel};

/// Answers what the books know of channels.
pub struct ChannelsDoor {
    appliance: Arc<Appliance>,
}

impl ChannelsDoor {
    /// The door to `appliance`.
    pub fn new(appliance: Arc<Appliance>) -> Self {
        Self { appliance }
    }
}

#[tonic::async_trait]
impl Channels for ChannelsDoor {
    async fn list(&self, request: Request<ChannelsRequest>) -> Result<Response<ChannelsResponse>, Status> {
        let ChannelsRequest { node, channel } = request.into_inner();
        let node = super::node_or_all(&node)?;
        let only: Option<bitcoin::OutPoint> = match channel.as_str() {
            "" => None,
            text => Some(super::outpoint(text)?),
        };
        let journal = self.appliance.journal()?;
        let books = journal.report().await.map_or_else(Vec::new, |report| report.books);
        let refused = books.into_iter().filter(|books| node.as_ref().is_none_or(|node| *node == books.node));
        let refused = refused.filter(|_| only.is_none()).flat_map(|books| books.refused_claims);
        let refused_claims = refused.map(super::refused_claim).collect();
        let (reply, channels) = oneshot::channel();
        journal.ask(Inquiry::Channels(node, reply))?;
        let known = channels.await.map_err(|_| Status::failed_precondition("the journal is closing"))?;
        let is_wanted = |channel| only.is_none_or(|only| only == channel);
        let channels = known.channels.iter().filter(|known| is_wanted(known.view.channel)).map(channel_of);
        let allowed = known.allowed_closes.iter().filter(|allowed| is_wanted(allowed.channel));
        Ok(Response::new(ChannelsResponse {
            channels: channels.collect(),
            refused_claims,
            close_allowances: allowed.map(super::close_allowance).collect(),
        }))
    }
}

fn channel_of(known: &KnownChannel) -> Channel {
    let view = &known.view;
    Channel {
        node: known.node.to_string(),
        channel: view.channel.to_string(),
        capacity_sat: view.capacity.to_sat(),
        funded_by_us: known.funded_by_us,
        balance_sat: view.balance.to_sat(),
        guaranteed_sat: view.guaranteed.to_sat(),
        htlcs: view
            .htlcs
            .iter()
            .map(|htlc| Htlc {
                offered_by_us: htlc.offered_by_us,
                amount_sat: htlc.amount.to_sat(),
                payment_hash160: htlc.payment_hash160.to_lower_hex_string(),
                cltv_expiry: htlc.cltv_expiry,
            })
            .collect(),
        their_number: view.their_number,
        our_number: view.our_number,
        tier: known.tier.to_string(),
        frozen: match view.frozen {
            None => String::new(),
            Some(Frozen::MutualClose) => "a mutual close was signed".to_owned(),
            Some(Frozen::SharedKey) => "the peer gave our own payment key for its own".to_owned(),
            Some(Frozen::Behind { signed, asked }) => format!(
                "behind: number {signed} was signed here last, and lnd has come to {asked}; it only closes, by force, or by \
                 agreement once its share is said (strongroom channel allow-close)"
            ),
            Some(Frozen::Unseen) => "its opening was not seen; it only closes".to_owned(),
            Some(Frozen::OwnCommitment { number }) => format!("own commitment {number} was signed"),
        },
        closing: view.closing,
        provisional_sat: view.provisional.to_sat(),
        last_activity: known.last_activity,
        exposure_sat: view.exposure().to_sat(),
        claims_overdue_sat: view.claims_overdue.to_sat(),
        peer: view.peer.map_or_else(String::new, String::from),
    }
}
