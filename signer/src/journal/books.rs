//! What one node has spent and opened, as far as its requests told.

use std::collections::HashMap;
use std::sync::Arc;

use bitcoin::{Amount, OutPoint};
use serde::{Deserialize, Serialize};
use strongroom_lightning::{Accounts, Channels, Mark, Vls};
use strongroom_policy::{Charges, KeyLocator, NodeId, NodeName, Policy, Tier, Velocity, Window};

use super::checks;
use super::flows::Flows;
use super::refused::{RefusedClaim, RefusedClaims};

/// The allowances of one node; stored whole whenever they change.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Allowances {
    /// Paid to strangers.
    outflow: Velocity,
    /// Fees of wallet spends, and of what claims less than it costs.
    fees: Velocity,
    /// Fees of closing channels.
    closing_fees: Velocity,
    /// Outputs of ours that fund a channel, or may: amount, and whether a commitment has matched it.
    fundings: HashMap<OutPoint, Funding>,
    /// Which multisig key {0/j} each revocation root {5/i} answered for: j by i.
    roots: HashMap<u32, u32>,
    /// Channels whose close was signed, and when last (Unix seconds).
    closes: HashMap<OutPoint, u64>,
    /// Channels force-closed.
    force_closes: Vec<ForceClose>,
}

/// A channel whose own commitment above number 0 was signed.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct ForceClose {
    channel: OutPoint,
    /// When last, Unix seconds.
    at: u64,
    /// Our balance in it then.
    balance: Amount,
}

/// An output that we signed and that may fund a channel.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Funding {
    /// What it pays.
    pub(super) amount: Amount,
    /// A commitment spending it was approved.
    pub(super) matched: bool,
    /// When it was signed, Unix seconds.
    pub(super) at: u64,
}

impl Allowances {
    /// Nothing spent yet.
    pub(super) fn new(window: Window) -> Self {
        Self {
            outflow: Velocity::new(window),
            fees: Velocity::new(window),
            closing_fees: Velocity::new(window),
            fundings: HashMap::new(),
            roots: HashMap::new(),
            closes: HashMap::new(),
            force_closes: Vec::new(),
        }
    }

    /// Adapts to a policy whose window differs; nothing is forgotten that the new window still covers.
    pub(super) fn rewindow(&mut self, now: u64, window: Window) {
        self.outflow.rewindow(now, window);
        self.fees.rewindow(now, window);
        self.closing_fees.rewindow(now, window);
    }

    /// Sums in the window: outflow, fees and fees of closing.
    pub(super) fn in_window(&self, now: u64) -> [Amount; 3] {
        [self.outflow.sum(now), self.fees.sum(now), self.closing_fees.sum(now)]
    }

    /// Sum and number of fundings signed within `window` seconds that no commitment has matched. An open that
    /// failed leaves its funding unmatched for ever, so like every allowance this one comes back with time.
    pub(super) fn unmatched(&self, now: u64, window: u64) -> (Amount, u32) {
        let open = self.fundings.values().filter(|f| !f.matched && f.at.saturating_add(window) > now);
        open.fold((Amount::ZERO, 0), |(sum, count), f| {
            (sum.checked_add(f.amount).unwrap_or(Amount::MAX_MONEY), count + 1)
        })
    }

    /// What we paid into a funding output, as far as we signed it.
    pub(super) fn funded_by_us(&self, outpoint: &OutPoint) -> Amount {
        self.fundings.get(outpoint).map_or(Amount::ZERO, |f| f.amount)
    }

    /// Remembers that a close of this channel was signed.
    pub(super) fn close(&mut self, channel: OutPoint, now: u64) {
        self.closes.insert(channel, now);
    }

    /// Channels whose close was signed within `window` seconds. A close that was signed need not be published, so until
    /// then they still count.
    pub(super) fn closed_lately(&self, now: u64, window: u64) -> impl Iterator<Item = &OutPoint> {
        self.closes.iter().filter(move |(_, at)| at.saturating_add(window) > now).map(|(channel, _)| channel)
    }

    /// Other channels force closed within `window` seconds: their number, and our balance in them.
    pub(super) fn force_closes(&self, but: Option<&OutPoint>, now: u64, window: u64) -> (u32, Amount) {
        let recent =
            |close: &&ForceClose| close.at.saturating_add(window) > now && Some(&close.channel) != but;
        self.force_closes.iter().filter(recent).fold((0, Amount::ZERO), |(count, sum), close| {
            (count + 1, sum.checked_add(close.balance).unwrap_or(Amount::MAX_MONEY))
        })
    }

    /// Books the funding under the id that the transaction would have if unproven P2SH inputs were none; it is counted
    /// under the other one.
    pub(super) fn alias(&mut self, outpoint: OutPoint, amount: Amount, now: u64) {
        self.fundings.entry(outpoint).or_insert(Funding { amount, matched: true, at: now });
    }

    /// The multisig key that the root {5/i} answered for.
    pub(super) fn root_answered_for(&self, root: u32) -> Option<KeyLocator> {
        self.roots.get(&root).map(|index| KeyLocator { family: KeyLocator::MULTISIG, index: *index })
    }

    /// The root that answered for the multisig key {0/j}.
    pub(super) fn multisig_answered_by(&self, multisig: u32) -> Option<KeyLocator> {
        let found = self.roots.iter().find(|(_, j)| **j == multisig);
        found.map(|(index, _)| KeyLocator { family: KeyLocator::REVOCATION_ROOT, index: *index })
    }

    /// Remembers a reservation. Returns whether it is new.
    pub(super) fn answer_root(&mut self, root: u32, multisig: u32) -> bool {
        self.roots.insert(root, multisig) != Some(multisig)
    }

    /// Whether `charge` would change anything; most requests are free, and copying the books for them is not.
    pub(super) fn is_touched(&self, charges: &Charges, channel: Option<&OutPoint>) -> bool {
        let matches = channel.and_then(|o| self.fundings.get(o)).is_some_and(|f| !f.matched);
        let Charges { outflow, fee, closing_fee, ref fundings, force_close, .. } = *charges;
        [outflow, fee, closing_fee] != [Amount::ZERO; 3] || !fundings.is_empty() || force_close || matches
    }

    /// Books what an approval costs. Returns whether anything changed.
    pub(super) fn charge(
        &mut self,
        now: u64,
        charges: &Charges,
        fundings: impl Iterator<Item = (OutPoint, Amount)>,
        matched: Option<&OutPoint>,
        closed: Option<(OutPoint, Amount)>,
    ) -> bool {
        let mut changed = false;
        if charges.outflow > Amount::ZERO {
            self.outflow.add(now, charges.outflow);
            changed = true;
        }
        if charges.fee > Amount::ZERO {
            self.fees.add(now, charges.fee);
            changed = true;
        }
        if charges.closing_fee > Amount::ZERO {
            self.closing_fees.add(now, charges.closing_fee);
            changed = true;
        }
        for (outpoint, amount) in fundings {
            self.fundings.entry(outpoint).or_insert(Funding { amount, matched: false, at: now });
            changed = true;
        }
        if let Some(funding) = matched.and_then(|o| self.fundings.get_mut(o))
            && !funding.matched
        {
            funding.matched = true;
            changed = true;
        }
        if let Some((channel, balance)) = closed.filter(|_| charges.force_close) {
            self.force_closes.retain(|close| close.channel != channel);
            self.force_closes.push(ForceClose { channel, at: now, balance });
            changed = true;
        }
        changed
    }
}

/// One open node.
pub(super) struct Books {
    pub(super) accounts: Arc<Accounts>,
    pub(super) channels: Channels,
    pub(super) vls: Vls,
    pub(super) allowances: Allowances,
    pub(super) flows: Flows,
    /// How far each branch of keys was used when that was last stored.
    pub(super) marks: Vec<Mark>,
    pub(super) approved: u64,
    pub(super) refused: u64,
    pub(super) last_request: u64,
    /// Claims that were refused and not signed since.
    pub(super) refused_claims: RefusedClaims,
    /// When each channel was last approved anything, Unix seconds.
    pub(super) active: HashMap<OutPoint, u64>,
}

/// What `strongroom status` shows of a node's books.
#[derive(Clone, Debug)]
pub struct BooksReport {
    /// The node.
    pub node: NodeName,
    /// Requests approved since the daemon opened it.
    pub approved: u64,
    /// Requests refused since the daemon opened it.
    pub refused: u64,
    /// Channels known.
    pub channels: u32,
    /// Of them, those with which lnd went on without this signer, as long as they are open.
    pub behind: u32,
    /// What the checks on them rest on.
    pub tier: Tier,
    /// Their capacity.
    pub channels_total: Amount,
    /// Paid to strangers in the window, and the limit.
    pub outflow: Amount,
    /// The limit of `outflow`.
    pub outflow_limit: Amount,
    /// Fees in the window.
    pub fees: (Amount, Amount),
    /// Fees of closing channels in the window, and the limit.
    pub closing_fees: (Amount, Amount),
    /// Unix seconds of the last request, 0 for none.
    pub last_request: u64,
    /// Capacity of channels whose peer no announcement named.
    pub unnamed: Amount,
    /// What is ours in open channels, by peer; `None` stands for those whose peer is not known.
    pub by_peer: HashMap<Option<NodeId>, Amount>,
    /// All that is ours in channels.
    pub exposure: Amount,
    /// Of that, what every commitment ever signed would pay.
    pub guaranteed: Amount,
    /// Forwards at risk, and the limit.
    pub provisional: (Amount, Amount),
    /// Offered without authorisation in the window, and the limit.
    pub unauthorized: (Amount, Amount),
    /// Gone without an HTLC in the window, and the limit.
    pub unexplained: (Amount, Amount),
    /// Claims that were refused and not signed since, the largest that are certain first.
    pub refused_claims: Vec<RefusedClaim>,
}

/// Peers told of by name, for each node: whoever can have channels announced must not fill a metrics server.
const PEERS: usize = 50;

impl BooksReport {
    /// What is ours with each of the peers most is with, `other`s and those `not announced`; most first.
    pub fn largest_peers(&self) -> Vec<(String, Amount)> {
        let mut named: Vec<(NodeId, Amount)> =
            self.by_peer.iter().filter_map(|(peer, amount)| Some(((*peer)?, *amount))).collect();
        named.sort_unstable_by_key(|(peer, amount)| (std::cmp::Reverse(*amount), *peer));
        let rest = named.split_off(named.len().min(PEERS));
        let sum = |a: Amount, (_, b): (NodeId, Amount)| a.checked_add(b).unwrap_or(Amount::MAX_MONEY);
        let mut told: Vec<(String, Amount)> =
            named.into_iter().map(|(peer, amount)| (peer.to_string(), amount)).collect();
        if !rest.is_empty() {
            told.push(("other".to_owned(), rest.into_iter().fold(Amount::ZERO, sum)));
        }
        told.extend(self.by_peer.get(&None).map(|amount| ("not announced".to_owned(), *amount)));
        told
    }
}

impl Books {
    /// Capacity of all channels that are open, or whose close was signed within `window` seconds.
    pub(super) fn channels_total(&self, now: u64, window: u64) -> Amount {
        let closing = self.allowances.closed_lately(now, window);
        closing
            .filter_map(|channel| self.channels.closing_capacity(channel))
            .fold(self.channels.open_capacity(), |sum, capacity| {
                sum.checked_add(capacity).unwrap_or(Amount::MAX_MONEY)
            })
    }

    pub(super) fn report(&self, node: &NodeName, policy: &Policy, now: u64) -> BooksReport {
        let [outflow, fees, closing_fees] = self.allowances.in_window(now);
        let (fees_limit, closing_fees_limit) = policy.fees_limits();
        let (unexplained, unauthorized) = self.flows.in_window(now);
        let (exposure, guaranteed) = self.channels.exposure();
        let provisional = self.channels.provisional(now, policy.window().seconds());
        BooksReport {
            node: node.clone(),
            approved: self.approved,
            refused: self.refused,
            channels: u32::try_from(self.channels.open_count()).unwrap_or(u32::MAX),
            behind: u32::try_from(self.channels.behind_count()).unwrap_or(u32::MAX),
            tier: checks::TIER,
            channels_total: self.channels.open_capacity(),
            outflow,
            outflow_limit: policy.outflow_limit(),
            fees: (fees, fees_limit),
            closing_fees: (closing_fees, closing_fees_limit),
            last_request: self.last_request,
            unnamed: self
                .channels
                .capacity_with(None, self.allowances.closed_lately(now, policy.window().seconds())),
            by_peer: self.channels.exposure_by_peer(),
            exposure,
            guaranteed,
            provisional: (provisional, policy.provisional_limit()),
            unauthorized: (unauthorized, policy.unauthorized_limit()),
            unexplained: (unexplained, policy.unexplained_limit()),
            refused_claims: self.refused_claims.list(),
        }
    }
}
