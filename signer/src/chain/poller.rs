//! Asks bitcoind, round by round, on a thread of its own: a bitcoind that is slow or dead keeps nobody waiting but this
//! thread. It knows nothing itself: where the chain followed stands it asks the journal, which owns the view.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::constants::genesis_block;
use bitcoin::{BlockHash, Network, OutPoint};

use super::bitcoind::{Bitcoind, CallError, Info};
use super::block::{CheckedBlock, has_work};
use super::contradiction::Contradiction;
use super::following::Following;
use super::headers::{MAX_REORG, Tip, WINDOW, no_work};
use super::update::{NotHanded, NotTaken, Stand, Undone, Update};
use crate::journal::Journal;

/// Blocks taken in, or looked through, before bitcoind is asked again where it stands.
const BLOCKS_A_ROUND: u32 = 50;
/// Tries to hand something to a journal whose queue is full, and the pause between them.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(50);

/// The running poller: ends when dropped, or when its journal does.
pub struct Poller {
    _alive: Sender<()>,
}

/// Why a round ended early.
enum Trouble {
    /// The journal is closed.
    Closed,
    /// bitcoind does not answer, or not in a way that can be used now.
    Silent(String),
    /// It answers that it does not have this, as a pruned one does.
    Absent(String),
    /// Its answer fails a check.
    Refused(Contradiction),
}

impl From<CallError> for Trouble {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused { .. } => Self::Absent(error.to_string()),
            error => Self::Silent(error.to_string()),
        }
    }
}

impl From<Contradiction> for Trouble {
    fn from(contradiction: Contradiction) -> Self {
        Self::Refused(contradiction)
    }
}

impl Poller {
    /// Follows for `journal` from now on.
    pub fn start(following: &Following, journal: Journal) -> std::io::Result<Self> {
        let (alive, ended) = channel();
        let mut rounds = Rounds {
            bitcoind: Bitcoind::new(&following.door, following.source.clone()),
            network: following.network,
            journal,
        };
        let poll = following.poll;
        std::thread::Builder::new().name("chain".into()).spawn(move || rounds.run(poll, &ended))?;
        Ok(Self { _alive: alive })
    }
}

struct Rounds {
    bitcoind: Bitcoind,
    network: Network,
    journal: Journal,
}

impl Rounds {
    fn run(&mut self, poll: Duration, ended: &Receiver<()>) {
        loop {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.round()));
            let pause = match outcome.unwrap_or_else(|_| Err(Trouble::Silent("a round panicked".to_owned())))
            {
                Ok(true) => Duration::ZERO,
                Ok(false) => poll,
                Err(Trouble::Closed) => return,
                Err(trouble) => {
                    let update = match trouble {
                        Trouble::Refused(contradiction) => Update::Refused(contradiction),
                        Trouble::Silent(because) | Trouble::Absent(because) => Update::Silent(because),
                        Trouble::Closed => return,
                    };
                    if matches!(self.hand(update), Err(Trouble::Closed)) {
                        return;
                    }
                    poll
                }
            };
            if !matches!(ended.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    /// One round. Returns whether there is more to do at once.
    fn round(&mut self) -> Result<bool, Trouble> {
        self.bitcoind.sign_in()?;
        let info = self.bitcoind.info()?;
        self.check_network(&info)?;
        let stand = self.hand(Update::Best { height: info.blocks, hash: info.best })?;
        if stand.contradicted {
            return Ok(false);
        }
        match stand.tip {
            None => self.anchor(&info, &stand),
            Some(tip) if tip.hash == info.best => self.look_up(&info, &stand),
            Some(tip) => self.follow(&info, &stand, tip),
        }
    }

    /// Hands an update in and waits for the journal's answer. A full queue is no reason to give up at once.
    fn hand(&self, update: Update) -> Result<Stand, Trouble> {
        let mut update = update;
        for _ in 0..TRIES {
            match self.journal.chain(update) {
                Ok(Ok(stand)) => return Ok(stand),
                Ok(Err(NotTaken::Refused(contradiction))) => return Err(Trouble::Refused(contradiction)),
                Ok(Err(NotTaken::NotKept(because))) => return Err(Trouble::Silent(because)),
                Err(NotHanded::Closed) => return Err(Trouble::Closed),
                Err(NotHanded::Busy(back)) => update = *back,
            }
            std::thread::sleep(PAUSE);
        }
        Err(Trouble::Silent("the journal's queue is full".to_owned()))
    }

    /// Hands a block in, and keeps it until it was taken: its thousands of allocations are given back on this thread,
    /// not on the journal's.
    fn hand_block(
        &self,
        block: Arc<CheckedBlock>,
        update: impl FnOnce(Arc<CheckedBlock>) -> Update,
    ) -> Result<Stand, Trouble> {
        let kept = block.clone();
        let stand = self.hand(update(block));
        drop(kept);
        stand
    }

    fn check_network(&self, info: &Info) -> Result<(), Trouble> {
        let wrong = |found: String, wanted: String| Err(Contradiction::WrongNetwork { found, wanted }.into());
        if info.chain != self.network.to_core_arg() {
            return wrong(info.chain.chars().take(20).collect(), self.network.to_core_arg().to_owned());
        }
        let (found, genesis) = (self.bitcoind.hash_at(0)?, genesis_block(self.network).block_hash());
        if found != genesis {
            return wrong(format!("block 0 {found}"), format!("block 0 {genesis}"));
        }
        Ok(())
    }

    fn checked(&self, height: u32, hash: BlockHash) -> Result<Arc<CheckedBlock>, Trouble> {
        let block = self.bitcoind.block(hash)?;
        Ok(Arc::new(CheckedBlock::check(height, hash, block)?))
    }

    fn header(&self, height: u32, hash: BlockHash) -> Result<Header, Trouble> {
        let header = self.bitcoind.header(hash)?;
        let found = header.block_hash();
        if found != hash {
            return Err(Contradiction::WrongHash { asked: hash, found, height }.into());
        }
        has_work(&header, height)?;
        Ok(header)
    }

    /// Starts from bitcoind's best block, or from the one that an operator named.
    fn anchor(&mut self, info: &Info, stand: &Stand) -> Result<bool, Trouble> {
        // A chain still being fetched ends long ago; regtest's looks so whenever nobody has mined for a day.
        if info.downloading && self.network != Network::Regtest {
            return Err(Trouble::Silent(format!("bitcoind is still fetching the chain, at {}", info.blocks)));
        }
        let tip = match stand.accepted {
            None => info.blocks,
            Some(hash) => match self.bitcoind.height_of(hash)? {
                (height, true) => height,
                (_, false) => {
                    return Err(Trouble::Silent(format!(
                        "the accepted block {hash} is not on bitcoind's best chain"
                    )));
                }
            },
        };
        let first = tip.saturating_add(1).saturating_sub(u32::try_from(WINDOW).unwrap_or(u32::MAX));
        let headers = (first..=tip)
            .map(|height| self.header(height, self.bitcoind.hash_at(height)?))
            .collect::<Result<Vec<_>, _>>()?;
        if stand.accepted.is_some_and(|hash| headers.last().is_none_or(|h| h.block_hash() != hash)) {
            return Ok(true);
        }
        self.hand(Update::Anchor { first, headers })?;
        Ok(true)
    }

    /// Takes in what is new on bitcoind's chain.
    fn follow(&mut self, info: &Info, stand: &Stand, tip: Tip) -> Result<bool, Trouble> {
        let Some(fork) = self.fork(info, stand, tip)? else {
            return Ok(false);
        };
        if fork < tip.height {
            return self.reorganise(info, stand, tip, fork);
        }
        let until = info.blocks.min(tip.height.saturating_add(BLOCKS_A_ROUND));
        let mut on = tip.hash;
        for height in fork.saturating_add(1)..=until {
            let block = self.checked(height, self.bitcoind.hash_at(height)?)?;
            // The chain has moved between two questions: the next round sees how.
            if block.header().prev_blockhash != on {
                return Ok(true);
            }
            on = block.hash();
            self.hand_block(block, Update::Connect)?;
        }
        Ok(true)
    }

    /// Height of the last block in common, or `None` if bitcoind's chain is only shorter than ours.
    fn fork(&self, info: &Info, stand: &Stand, tip: Tip) -> Result<Option<u32>, Trouble> {
        for (height, (_, hash)) in (0..=tip.height).rev().zip(&stand.recent) {
            // It has not got that far, or not again: no contradiction, and no agreement either.
            if height > info.blocks {
                continue;
            }
            if self.bitcoind.hash_at(height)? != *hash {
                continue;
            }
            if height == info.blocks && height < tip.height {
                return Ok(None);
            }
            let depth = tip.height - height;
            if depth > MAX_REORG {
                return self.too_deep(Some(depth), tip);
            }
            return Ok(Some(height));
        }
        let oldest = tip.height.saturating_sub(u32::try_from(stand.recent.len()).unwrap_or(u32::MAX));
        if info.blocks <= oldest {
            return Ok(None);
        }
        self.too_deep(None, tip)
    }

    fn too_deep(&self, depth: Option<u32>, tip: Tip) -> Result<Option<u32>, Trouble> {
        self.hand(Update::TooDeep(Contradiction::DeepReorganisation { depth, tip: tip.height }))?;
        Ok(None)
    }

    /// Follows the branch from `fork`, once it has more work than what it replaces.
    fn reorganise(&mut self, info: &Info, stand: &Stand, tip: Tip, fork: u32) -> Result<bool, Trouble> {
        let depth = usize::try_from(tip.height - fork).unwrap_or(usize::MAX);
        let ours = stand.recent.iter().take(depth);
        let needed = ours.clone().fold(no_work(), |sum, (header, _)| sum + header.work());
        let (mut blocks, mut work) = (Vec::new(), no_work());
        for height in fork.saturating_add(1)..=info.blocks {
            let block = self.checked(height, self.bitcoind.hash_at(height)?)?;
            work = work + block.header().work();
            blocks.push(block);
            if work > needed {
                break;
            }
        }
        if work <= needed {
            // bitcoind itself moves to more work only; it was told to leave our branch, or it has forgotten it.
            return Ok(false);
        }
        let undone = (0..=tip.height)
            .rev()
            .zip(ours)
            .map(|(height, (_, hash))| Undone {
                height,
                hash: *hash,
                block: self.checked(height, *hash).ok(),
            })
            .collect();
        match self.hand(Update::Reorganise { fork, undone, blocks }) {
            // The chain has moved between two questions: the next round sees how.
            Err(Trouble::Refused(Contradiction::BrokenLink { .. })) => Ok(true),
            outcome => outcome.map(|_| true),
        }
    }

    /// With nothing new to take in, looks up what the watches want to know of the past.
    fn look_up(&mut self, info: &Info, stand: &Stand) -> Result<bool, Trouble> {
        let mut absent = None;
        for outpoint in &stand.asks {
            match self.ask(info, *outpoint) {
                // One that is not to be had must not keep the others.
                Err(Trouble::Absent(because)) => absent = Some(because),
                outcome => outcome?,
            }
        }
        let found = absent.map_or(Ok(false), |because| Err(Trouble::Absent(because)));
        let Some(first) = stand.scan else { return found };
        let mut next = stand.scan;
        for height in first..=info.blocks.min(first.saturating_add(BLOCKS_A_ROUND)) {
            if next != Some(height) {
                break;
            }
            let block = self.checked(height, self.bitcoind.hash_at(height)?)?;
            next = self.hand_block(block, Update::Scanned)?.scan;
        }
        if next == stand.scan { found } else { Ok(true) }
    }

    fn ask(&self, info: &Info, outpoint: OutPoint) -> Result<(), Trouble> {
        let Some(unspent) = self.bitcoind.unspent(outpoint)? else {
            self.hand(Update::NotUnspent(outpoint))?;
            return Ok(());
        };
        // The depth is of the best block at that moment: if that is another by now, it is asked again.
        if unspent.bestblock != info.best || unspent.confirmations == 0 {
            return Ok(());
        }
        let height = info.blocks.saturating_sub(unspent.confirmations - 1);
        let block = self.checked(height, self.bitcoind.hash_at(height)?)?;
        self.hand_block(block, |block| Update::Unspent(outpoint, block))?;
        Ok(())
    }
}
