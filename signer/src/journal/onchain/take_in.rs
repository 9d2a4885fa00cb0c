//! What changes the view: stored and recorded first, then believed.

use bitcoin::{BlockHash, OutPoint};
use strongroom_audit as audit;
use strongroom_policy::NodeName;

use super::put_change;
use crate::chain::{Change, Contradiction, NotTaken, Stand, Update, View};
use crate::journal::keys;
use crate::journal::record::Wake;
use crate::journal::thread::Keeper;
use crate::journal::vls_chain::Step;
use crate::store::Batch;

impl Keeper {
    /// Takes in what the poller learned, and says what to ask for next.
    pub(in crate::journal) fn chain_update(&mut self, update: Update) -> Result<Stand, NotTaken> {
        self.take_in(update)?;
        self.tell_silence();
        Ok(self.onchain.stand())
    }

    fn take_in(&mut self, update: Update) -> Result<(), NotTaken> {
        let now = self.now_ms();
        let Some(view) = &mut self.onchain.view else { return Ok(()) };
        match update {
            Update::Best { height, hash } => {
                (self.onchain.heard, self.onchain.best) = (now, Some((height, hash)));
                self.onchain.silent.clear();
                if view.compare(hash, now) {
                    self.onchain.refused = None;
                    self.tell_followed();
                }
                Ok(())
            }
            Update::Silent(because) => {
                self.onchain.silent = because;
                Ok(())
            }
            Update::Refused(contradiction) => {
                self.tell_refused(contradiction);
                Ok(())
            }
            Update::TooDeep(contradiction) => self.contradicted(&contradiction),
            update => self.take_in_blocks(update),
        }
    }

    /// What changes the view: stored and recorded first, then believed.
    fn take_in_blocks(&mut self, update: Update) -> Result<(), NotTaken> {
        let Some(mut view) = self.onchain.view.clone() else { return Ok(()) };
        let before = view.tip();
        if view.contradiction().is_some() {
            return Ok(());
        }
        let mut events = Vec::new();
        let change = match &update {
            Update::Anchor { first, headers } => view.anchor(*first, headers),
            Update::Connect(block) => view.connect(block),
            Update::Reorganise { fork, blocks, .. } => view.reorganise(*fork, blocks),
            Update::Unspent(outpoint, block) => view.unspent(*outpoint, block),
            Update::NotUnspent(outpoint) => Ok(view.not_unspent(*outpoint)),
            Update::Scanned(block) => Ok(view.scan(block)),
            Update::Best { .. } | Update::Silent(_) | Update::Refused(_) | Update::TooDeep(_) => {
                return Ok(());
            }
        };
        let change = change.map_err(NotTaken::Refused)?;
        match (&update, before, view.tip()) {
            (Update::Anchor { .. }, None, Some(tip)) => {
                events.push(audit::Event::ChainAnchored { height: tip.height, block: tip.hash.to_string() });
            }
            (Update::Reorganise { fork, .. }, Some(from), Some(to)) => {
                events.push(super::tell::reorganised(*fork, &from, &to, &change));
            }
            _ => {}
        }
        for seen in &change.seen {
            events.push(self.seen(seen));
        }
        let accepted = self.onchain.accepted.take_if(|_| matches!(update, Update::Anchor { .. }));
        if let Err(because) = self.keep(view, change, events, accepted.is_some()) {
            self.onchain.accepted = self.onchain.accepted.or(accepted);
            return Err(NotTaken::NotKept(because));
        }
        match &update {
            Update::Connect(block) => self.tell_vls(&Step::Connect(block.clone())),
            Update::Reorganise { undone, blocks, .. } => self.tell_vls(&Step::reorganise(undone, blocks)),
            _ => {}
        }
        match update {
            Update::Reorganise { .. } => {
                self.onchain.reorganisations += 1;
                self.metrics.chain_reorganisations.inc();
                self.onchain.refused = None;
            }
            Update::Anchor { .. } | Update::Connect(_) => self.onchain.refused = None,
            _ => {}
        }
        Ok(())
    }

    /// Stores what changed with its leaves in one batch, and then believes it. `held` if the rest changed too.
    pub(super) fn keep(
        &mut self,
        view: View,
        change: Change,
        events: Vec<audit::Event>,
        held: bool,
    ) -> Result<(), String> {
        let mut batch = Batch::default();
        put_change(&mut batch, &view, &change)?;
        if held {
            batch.put(keys::CHAIN.to_vec(), self.onchain.held(&view)?);
        }
        self.record_all(events, batch).map_err(|refusal| refusal.to_string())?;
        self.onchain.view = Some(view);
        Ok(())
    }

    /// bitcoind left the chain further back than is followed. Durable before the poller hears of it, so that a crash
    /// does not forget it.
    fn contradicted(&mut self, by: &Contradiction) -> Result<(), NotTaken> {
        let Some(mut view) = self.onchain.view.clone() else { return Ok(()) };
        if view.contradiction().is_some() {
            return Ok(());
        }
        view.contradict(by);
        tracing::error!(name = by.name(), because = %by, "bitcoind contradicts the chain followed; strongroom chain accept");
        let event = audit::Event::ChainContradicted { name: by.name().to_owned(), because: by.to_string() };
        self.keep(view, Change::default(), vec![event], true).map_err(NotTaken::NotKept)?;
        self.onchain.told_lost = false;
        self.flush_soon();
        Ok(())
    }

    /// An operator names the block to start from, after a contradiction.
    pub(in crate::journal) fn accept_block(&mut self, block: BlockHash, done: Wake) {
        match self.restart_at(block) {
            Ok(()) => self.waiting.push(done),
            Err(because) => done(Err(because)),
        }
    }

    pub(super) fn restart_at(&mut self, block: BlockHash) -> Result<(), String> {
        let mut view = self.onchain.view.clone().ok_or("no bitcoind is configured")?;
        let contradiction =
            view.contradiction().ok_or("no contradiction stands: there is nothing to accept")?;
        let event =
            audit::Event::ChainAccepted { block: block.to_string(), against: contradiction.to_owned() };
        let change = view.restart();
        let before = self.onchain.accepted.replace(block);
        if let Err(because) = self.keep(view, change, vec![event], true) {
            self.onchain.accepted = before;
            return Err(because);
        }
        self.onchain.best = None;
        tracing::warn!(%block, "an operator accepted another chain; all fundings are looked up anew");
        Ok(())
    }

    /// Watches the funding of `channel`, if it is a channel and not watched yet. Not in the batch of the decision that
    /// taught it: a crash between the two costs only the knowledge that it was new, since a node's channels are all
    /// watched when it is opened.
    pub(in crate::journal) fn watch_channel(&mut self, node: &NodeName, channel: &OutPoint, new: bool) {
        let Some(view) = &mut self.onchain.view else { return };
        if view.watched(channel).is_some() {
            return;
        }
        let Some(signed_for) = self.books.get(node).and_then(|books| books.channels.funding_output(channel))
        else {
            return;
        };
        let change = view.watch(*channel, signed_for, new);
        let mut batch = Batch::default();
        let kept = put_change(&mut batch, view, &change)
            .and_then(|()| self.record_all([], batch).map_err(|refusal| refusal.to_string()));
        if let Err(error) = kept {
            tracing::error!(%channel, error, "a watched funding is not stored; it is watched until the end all the same");
        }
    }

    /// Watches every channel of a node that was opened.
    pub(in crate::journal) fn watch_channels(&mut self, node: &NodeName) {
        let Some(books) = self.books.get(node) else { return };
        let channels: Vec<OutPoint> = books.channels.fundings().collect();
        for channel in channels {
            self.watch_channel(node, &channel, false);
        }
    }
}
