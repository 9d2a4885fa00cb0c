//! What an operator and Flash's services ask of the books: channels, payments, and leave to make one.

use bitcoin::Amount;
use bitcoin::hex::DisplayHex as _;
use strongroom_audit as audit;
use strongroom_lightning::{Authorization, ChannelView};
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
    Channels(Option<NodeName>, oneshot::Sender<Vec<KnownChannel>>),
    /// The authorisations of one node, or of all.
    Payments(Option<NodeName>, oneshot::Sender<Vec<KnownPayment>>),
    /// Lets a node make a payment; answered when that is durable, with what is in force, or why not.
    Authorize(NodeName, Box<Authorization>, oneshot::Sender<Result<KnownPayment, String>>),
    /// What would be refused.
    Preflight(Box<Question>),
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
                let _ = reply.send(self.known_channels(node.as_ref()));
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
