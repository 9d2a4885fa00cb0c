//! What an operator and Flash's services ask of the books: channels, payments, and leave to make one.

use bitcoin::hex::DisplayHex as _;
use bitcoin::{Amount, OutPoint};
use strongroom_audit as audit;
use strongroom_lightning::{Authorization, ChannelView, CloseAllowance};
use strongroom_policy::{NodeName, Tier};
use tokio::sync::oneshot;

use super::checks;
use super::effects::put_learned;
use super::preflight::Question;
use super::thread::Keeper;
use crate::refusal::Refusal;
use crate::store::Batch;

/// A question to the books.
pub enum Inquiry {
    /// The channels of one node, or of all.
    Channels(Option<NodeName>, oneshot::Sender<KnownChannels>),
    /// The authorisations of one node, or of all.
    Payments(Option<NodeName>, oneshot::Sender<Vec<KnownPayment>>),
    /// Lets a node make a payment; answered when that is durable, with what is in force, or why not.
    Authorize(NodeName, Box<Authorization>, oneshot::Sender<Result<KnownPayment, String>>),
    /// Says what a close of a channel must pay; answered when that is durable, with what is in force, or why not.
    AllowClose(NodeName, OutPoint, CloseAllowance, oneshot::Sender<Result<AllowedClose, String>>),
    /// What would be refused.
    Preflight(Box<Question>),
}

/// Channels, and what operators said of closes.
#[derive(Clone, Debug)]
pub struct KnownChannels {
    /// Those that were seen.
    pub channels: Vec<KnownChannel>,
    /// What closes must pay, also those of channels that no request has shown.
    pub allowed_closes: Vec<AllowedClose>,
}

/// What an operator said that a close of a channel must pay.
#[derive(Clone, Debug)]
pub struct AllowedClose {
    /// The node.
    pub node: NodeName,
    /// The channel.
    pub channel: OutPoint,
    /// What was said.
    pub allowance: CloseAllowance,
    /// What the books have of ours in it, if anything is known.
    pub balance: Option<Amount>,
}

/// A channel in the books of a node.
#[derive(Clone, Debug)]
pub struct KnownChannel {
    /// The node.
    pub node: NodeName,
    /// The channel.
    pub view: ChannelView,
    /// What its checks rest on.
    pub tier: Tier,
    /// Our own wallet paid its funding output.
    pub funded_by_us: bool,
    /// Unix seconds of the last approval since the daemon opened the node, 0 for none.
    pub last_activity: u64,
}

/// An authorisation in the books of a node.
#[derive(Clone, Debug)]
pub struct KnownPayment {
    /// The node.
    pub node: NodeName,
    /// What was authorised.
    pub authorization: Authorization,
    /// HTLCs of its hash on the latest commitments.
    pub in_flight: Amount,
}

impl Keeper {
    /// Answers a question. Whoever asked may have gone.
    pub(super) fn answer(&mut self, inquiry: Inquiry) {
        match inquiry {
            Inquiry::Channels(node, reply) => {
                let channels = self.known_channels(node.as_ref());
                let allowed_closes = self.allowed_closes(node.as_ref());
                let _ = reply.send(KnownChannels { channels, allowed_closes });
            }
            Inquiry::Payments(node, reply) => {
                let _ = reply.send(self.known_payments(node.as_ref()));
            }
            Inquiry::Authorize(node, wanted, reply) => match self.authorize(&node, *wanted) {
                Err(why) => {
                    let _ = reply.send(Err(why));
                }
                Ok(payment) => self.waiting.push(Box::new(move |outcome| {
                    let _ = reply.send(outcome.map(|()| payment));
                })),
            },
            Inquiry::AllowClose(node, channel, wanted, reply) => {
                match self.allow_close(&node, channel, wanted) {
                    Err(why) => {
                        let _ = reply.send(Err(why));
                    }
                    Ok(allowed) => self.waiting.push(Box::new(move |outcome| {
                        let _ = reply.send(outcome.map(|()| allowed));
                    })),
                }
            }
            Inquiry::Preflight(question) => {
                let Question { node, client, intent, turn: _turn, reply } = *question;
                let forecast = self.preflight(&node, &client, &intent);
                let told = match &forecast {
                    Ok(forecast) if forecast.violations.is_empty() => "allowed",
                    Ok(_) => "turned-down",
                    Err(_) => "refused",
                };
                self.metrics.preflights.with_label_values(&[node.as_str(), told]).inc();
                let _ = reply.send(forecast);
            }
        }
    }

    fn known_channels(&self, only: Option<&NodeName>) -> Vec<KnownChannel> {
        let (now, window) = (self.now(), self.policy.window().seconds());
        let seconds = self.policy.claim_seconds();
        let nodes = self.books.iter().filter(|(node, _)| only.is_none_or(|only| only == *node));
        let mut known: Vec<KnownChannel> = nodes
            .flat_map(|(node, books)| {
                books.channels.views(now, window, seconds).into_iter().map(move |view| KnownChannel {
                    node: node.clone(),
                    tier: checks::TIER,
                    funded_by_us: books.allowances.funded_by_us(&view.channel) > Amount::ZERO,
                    last_activity: books.active.get(&view.channel).copied().unwrap_or(0),
                    view,
                })
            })
            .collect();
        known.sort_by(|a, b| a.node.as_str().cmp(b.node.as_str()));
        known
    }

    pub(super) fn allowed_closes(&self, only: Option<&NodeName>) -> Vec<AllowedClose> {
        let now = self.now();
        let nodes = self.books.iter().filter(|(node, _)| only.is_none_or(|only| only == *node));
        let mut allowed: Vec<AllowedClose> = nodes
            .flat_map(|(node, books)| {
                books.channels.close_allowances(now).map(|(channel, allowance)| AllowedClose {
                    node: node.clone(),
                    balance: books.channels.balance(&channel),
                    channel,
                    allowance,
                })
            })
            .collect();
        allowed.sort_by(|a, b| (a.node.as_str(), a.channel).cmp(&(b.node.as_str(), b.channel)));
        allowed
    }

    pub(super) fn allow_close(
        &mut self,
        node: &NodeName,
        channel: OutPoint,
        wanted: CloseAllowance,
    ) -> Result<AllowedClose, String> {
        let now = self.now();
        let books = self.books.get(node).ok_or_else(|| format!("node {node} is not open"))?;
        let learned = books.channels.allow_close(channel, wanted, now).map_err(|e| e.to_string())?;
        let balance = books.channels.balance(&channel);
        let mut batch = Batch::default();
        put_learned(&mut batch, node, &learned);
        let event = audit::Event::CloseAllowed {
            node: node.to_string(),
            channel: channel.to_string(),
            at_least_sat: wanted.at_least.to_sat(),
            expires: wanted.expires,
        };
        self.record(event, batch).map_err(|refusal: Refusal| refusal.to_string())?;
        if let Some(books) = self.books.get_mut(node) {
            books.channels.learn(learned);
        }
        let allowance = CloseAllowance { created: now, ..wanted };
        Ok(AllowedClose { node: node.clone(), channel, allowance, balance })
    }

    fn known_payments(&self, only: Option<&NodeName>) -> Vec<KnownPayment> {
        let nodes = self.books.iter().filter(|(node, _)| only.is_none_or(|only| only == *node));
        let mut known: Vec<KnownPayment> = nodes
            .flat_map(|(node, books)| {
                books.channels.authorizations().map(move |authorization| KnownPayment {
                    node: node.clone(),
                    in_flight: books.channels.in_flight(&authorization.hash160()),
                    authorization: authorization.clone(),
                })
            })
            .collect();
        known.sort_by(|a, b| {
            (a.node.as_str(), a.authorization.created).cmp(&(b.node.as_str(), b.authorization.created))
        });
        known
    }

    fn authorize(&mut self, node: &NodeName, wanted: Authorization) -> Result<KnownPayment, String> {
        let now = self.now();
        let books = self.books.get(node).ok_or_else(|| format!("node {node} is not open"))?;
        let learned = books.channels.authorize(wanted.clone(), now).map_err(|e| e.to_string())?;
        let authorization = Authorization { created: now, offered: Amount::ZERO, ..wanted };
        let in_flight = books.channels.in_flight(&authorization.hash160());
        let mut batch = Batch::default();
        put_learned(&mut batch, node, &learned);
        let event = audit::Event::PaymentAuthorized {
            node: node.to_string(),
            payment_hash: authorization.payment_hash.to_lower_hex_string(),
            sat: authorization.amount.to_sat(),
            max_attempts: authorization.max_attempts,
            expires: authorization.expires,
            label: authorization.label.clone(),
        };
        self.record(event, batch).map_err(|refusal: Refusal| refusal.to_string())?;
        if let Some(books) = self.books.get_mut(node) {
            books.channels.learn(learned);
        }
        Ok(KnownPayment { node: node.clone(), authorization, in_flight })
    }
}
