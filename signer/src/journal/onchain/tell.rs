//! What of the chain becomes a leaf, a line of the log, or an alert.

use bitcoin::{OutPoint, Txid};
use strongroom_audit as audit;

use crate::chain::{self, Change, Contradiction, Due, Seen, Tip, View};
use crate::journal::keys;
use crate::journal::thread::Keeper;
use crate::store::Batch;

/// The same refusal has a leaf of its own once in so many milliseconds: a bitcoind that answers well and badly by turns
/// must not flood the journal.
const REFUSED_AGAIN_MS: u64 = 600_000;

impl Keeper {
    /// Tells of HTLCs (channel, CLTV expiry) that run out within `blocks` of the tip although `acted` knows of nothing
    /// signed since: a leaf, a metric and a line of the log, once each.
    pub(in crate::journal) fn tell_deadlines(
        &mut self,
        blocks: u32,
        deadlines: impl IntoIterator<Item = (OutPoint, u32)>,
        acted: impl Fn(&OutPoint, u32) -> bool,
    ) {
        let Some(view) = &self.onchain.view else { return };
        let Some(tip) = view.tip() else { return };
        let due = chain::due(view, blocks, deadlines, acted);
        for Due { channel, expiry, left } in due {
            if self.onchain.told_due.contains(&(channel, expiry)) {
                continue;
            }
            tracing::error!(%channel, expiry, left, "an HTLC runs out, and nothing was signed for it");
            self.metrics.deadlines_near.inc();
            let event =
                audit::Event::DeadlineNear { channel: channel.to_string(), expiry, height: tip.height };
            match self.record_all([event], Batch::default()) {
                Ok(_) => drop(self.onchain.told_due.insert((channel, expiry))),
                Err(e) => tracing::error!(error = %e, "a deadline is not in the journal"),
            }
        }
    }

    /// The same for every HTLC on the peers' latest commitments.
    pub(in crate::journal) fn tell_htlc_deadlines(&mut self) {
        let deadlines: Vec<(OutPoint, u32)> =
            self.books.values().flat_map(|books| books.channels.deadlines()).collect();
        let blocks = self.policy.chain().deadline_blocks;
        // A channel for which a close was signed is not among them: something was done.
        self.tell_deadlines(blocks, deadlines, |_, _| false);
    }

    /// Leaves a leaf when bitcoind has been silent for too long.
    pub(in crate::journal) fn tell_silence(&mut self) {
        let (state, because) = self.onchain.state(self.now_ms());
        if state != "stale" || self.onchain.told_lost {
            return;
        }
        tracing::error!(because, "bitcoind is silent: the chain is not followed");
        let height = self.onchain.view().and_then(View::tip).map(|tip| tip.height);
        self.tell(audit::Event::ChainStale { height, because });
        self.onchain.told_lost = true;
    }

    pub(super) fn tell_refused(&mut self, contradiction: Contradiction) {
        let (name, now) = (contradiction.name(), self.now_ms());
        let due = self.onchain.refused_leaves.get(name).is_none_or(|at| at + REFUSED_AGAIN_MS <= now);
        // bitcoind was heard; what it says is another matter.
        self.onchain.heard = now;
        let because = contradiction.to_string();
        self.onchain.refused = Some(contradiction);
        if due {
            tracing::error!(name, because, "bitcoind's answer is refused");
            self.onchain.refused_leaves.insert(name, now);
            self.onchain.told_lost = true;
            self.tell(audit::Event::ChainRefused { name: name.to_owned(), because });
        }
    }

    pub(super) fn tell_followed(&mut self) {
        let Some(tip) = self.onchain.view().and_then(View::tip) else { return };
        if std::mem::take(&mut self.onchain.told_lost) {
            tracing::info!(height = tip.height, "the chain is followed again");
            self.tell(audit::Event::ChainFollowed { height: tip.height, block: tip.hash.to_string() });
        }
    }

    fn tell(&mut self, event: audit::Event) {
        match self.record_all([event], Batch::default()) {
            Ok(_) => self.flush_soon(),
            Err(e) => tracing::error!(error = %e, "what happened to the chain is not in the journal"),
        }
    }

    /// An alert is worth a flush of its own.
    pub(super) fn flush_soon(&mut self) {
        self.waiting.push(Box::new(|_| ()));
    }

    pub(super) fn seen(&self, seen: &Seen) -> audit::Event {
        match seen {
            Seen::Confirmed { outpoint, height, differs, txout } => {
                if *differs {
                    tracing::error!(channel = %outpoint, "a funding output is not the one that was signed for");
                }
                audit::Event::FundingConfirmed {
                    channel: outpoint.to_string(),
                    height: *height,
                    sat: txout.value.to_sat(),
                    as_signed: !differs,
                }
            }
            Seen::Spent { outpoint, by, height } => {
                let with = self.closed_with(outpoint, by);
                tracing::info!(channel = %outpoint, %by, height, with, "a channel is closed on chain");
                audit::Event::ChannelClosed {
                    channel: outpoint.to_string(),
                    txid: by.to_string(),
                    height: *height,
                    with: with.to_owned(),
                }
            }
        }
    }

    /// What the transaction is that closes a channel, as far as we signed it.
    fn closed_with(&self, channel: &OutPoint, by: &Txid) -> &'static str {
        let Some((node, books)) = self.books.iter().find(|(_, b)| b.channels.is_known(channel)) else {
            return "unknown: its node is not open";
        };
        let kind = self.store.get(&keys::charged(node, by)).ok().flatten();
        let latest = books.channels.is_latest_commitment(channel, by);
        match (kind.as_deref(), self.store.get(&keys::transaction(node, by)).ok().flatten()) {
            (Some(b"mutual-close"), _) => "mutual-close",
            (Some(b"holder-commitment"), _) => "holder-commitment",
            (_, Some(_)) if latest => "counterparty-commitment",
            (_, Some(_)) => "counterparty-commitment, not the latest",
            (_, None) => "not signed here",
        }
    }
}

/// The leaf of a reorganisation.
pub(super) fn reorganised(fork: u32, from: &Tip, to: &Tip, change: &Change) -> audit::Event {
    let depth = from.height.saturating_sub(fork);
    tracing::warn!(depth, fork, from = %from.hash, to = %to.hash, "the chain was reorganised");
    audit::Event::ChainReorganised {
        depth,
        fork,
        from: from.hash.to_string(),
        to: to.hash.to_string(),
        unconfirmed: change.unconfirmed.iter().map(ToString::to_string).collect(),
    }
}
