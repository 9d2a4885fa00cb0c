//! One channel as the daemon's books have it.

use serde::Serialize;
use strongroom_proto::strongroom::v1;

use crate::wording::{number, plain, sat, time};

/// A channel.
#[derive(Serialize)]
pub struct ChannelState {
    node: String,
    channel: String,
    tier: String,
    peer: String,
    capacity_sat: u64,
    funded_by_us: bool,
    balance_sat: u64,
    guaranteed_sat: u64,
    exposure_sat: u64,
    provisional_sat: u64,
    claims_overdue_sat: u64,
    their_number: Option<u64>,
    our_number: Option<u64>,
    closing: bool,
    frozen: String,
    last_activity: u64,
    htlcs: Vec<HtlcState>,
}

/// One of its HTLCs.
#[derive(Serialize)]
struct HtlcState {
    offered_by_us: bool,
    amount_sat: u64,
    payment_hash160: String,
    cltv_expiry: u32,
}

impl From<v1::Channel> for ChannelState {
    fn from(channel: v1::Channel) -> Self {
        Self {
            node: channel.node,
            channel: channel.channel,
            tier: channel.tier,
            peer: channel.peer,
            capacity_sat: channel.capacity_sat,
            funded_by_us: channel.funded_by_us,
            balance_sat: channel.balance_sat,
            guaranteed_sat: channel.guaranteed_sat,
            exposure_sat: channel.exposure_sat,
            provisional_sat: channel.provisional_sat,
            claims_overdue_sat: channel.claims_overdue_sat,
            their_number: channel.their_number,
            our_number: channel.our_number,
            closing: channel.closing,
            frozen: channel.frozen,
            last_activity: channel.last_activity,
            htlcs: channel.htlcs.into_iter().map(HtlcState::from).collect(),
        }
    }
}

impl From<v1::Htlc> for HtlcState {
    fn from(htlc: v1::Htlc) -> Self {
        Self {
            offered_by_us: htlc.offered_by_us,
            amount_sat: htlc.amount_sat,
            payment_hash160: htlc.payment_hash160,
            cltv_expiry: htlc.cltv_expiry,
        }
    }
}

impl ChannelState {
    /// Three lines for people.
    pub fn words(&self) -> String {
        let state = match (self.frozen.is_empty(), self.closing) {
            (false, _) => format!("frozen: {}", plain(&self.frozen)),
            (true, true) => "closing".to_owned(),
            (true, false) => "open".to_owned(),
        };
        let overdue = match self.claims_overdue_sat {
            0 => String::new(),
            claims => format!("\n  claims of {} overdue: is lnd at work, and the peer there?", sat(claims)),
        };
        format!(
            "{}  node {}  {}  {}\n  peer {}\n  ours {} of {}, guaranteed {}; commitment {}, {} HTLCs{overdue}",
            plain(&self.channel),
            plain(&self.node),
            plain(&self.tier),
            state,
            if self.peer.is_empty() { "not announced".to_owned() } else { plain(&self.peer) },
            number(self.balance_sat),
            sat(self.capacity_sat),
            sat(self.guaranteed_sat),
            self.their_number.map_or_else(|| "none".to_owned(), number),
            self.htlcs.len(),
        )
    }

    /// All of it.
    pub fn whole(&self) -> String {
        let ours = self.our_number.map_or_else(|| "none signed".to_owned(), number);
        let activity = match self.last_activity {
            0 => "none since the daemon opened the node".to_owned(),
            seconds => time(seconds),
        };
        let mut text = format!(
            "{}\n  named     {}\n  funded    by {}\n  exposure  {} if the peer and a compromised lnd work together\n  \
             forwards  {} for its HTLCs, not proven settled\n  our own   commitment {ours}\n  activity  {activity}",
            self.words(),
            if self.peer.is_empty() {
                "by nobody: no announcement was signed, so the peer is not known"
            } else {
                "by lnd, in the channel's announcement; nothing proves it to a signer"
            },
            if self.funded_by_us { "our wallet" } else { "the peer, as far as we signed" },
            sat(self.exposure_sat),
            sat(self.provisional_sat),
        );
        for htlc in &self.htlcs {
            text += &format!(
                "\n  {} {}, hash160 {}, until block {}",
                if htlc.offered_by_us { "we offer   " } else { "we are paid" },
                sat(htlc.amount_sat),
                plain(&htlc.payment_hash160),
                htlc.cltv_expiry
            );
        }
        text
    }
}
