//! The last headers of the chain followed: linked, with the work and the times that the network's rules ask for.

use std::collections::VecDeque;

use bitcoin::block::Header;
use bitcoin::consensus::Params;
use bitcoin::{BlockHash, CompactTarget, Network, Target, Work};

use super::block::has_work;
use super::contradiction::Contradiction;

/// Headers remembered.
pub const WINDOW: usize = 100;

/// The deepest reorganisation that is followed without an operator's word: what Lightning implementations and exchanges
/// take for final.
pub const MAX_REORG: u32 = 6;

/// Blocks whose times make the median that the next block's time must exceed.
const MEDIAN_SPAN: usize = 11;

/// Difficulty below which no block of mainnet is believed: it has been higher since 2019. Whoever answers in bitcoind's
/// place cannot make up a chain of easy blocks.
const MAINNET_DIFFICULTY_FLOOR: u128 = 10_000_000_000_000;

/// The end of the chain followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tip {
    /// Its height.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// Its time, Unix seconds, as its miner wrote it.
    pub time: u32,
    /// Median time of it and the ten before (BIP 113).
    pub median_time: u32,
}

/// At most [`WINDOW`] headers that end at the tip; never empty.
#[derive(Clone, Debug)]
pub struct Headers {
    network: Network,
    /// Height of the first.
    first: u32,
    chain: VecDeque<(Header, BlockHash)>,
}

impl Headers {
    /// Starts from `headers`, the first of them at height `first`. `None` if there are none.
    pub fn anchor(network: Network, first: u32, headers: &[Header]) -> Option<Result<Self, Contradiction>> {
        let (oldest, rest) = headers.split_first()?;
        Some((|| {
            let hash = has_work(oldest, first)?;
            let mut this = Self { network, first, chain: VecDeque::new() };
            this.has_allowed_bits(oldest, hash, first)?;
            this.chain.push_back((*oldest, hash));
            rest.iter().try_for_each(|header| this.push(header).map(drop))?;
            Ok(this)
        })())
    }

    /// The tip.
    pub fn tip(&self) -> Tip {
        let at = self.chain.len() - 1;
        let (header, hash) = self.chain[at];
        let after_first = u32::try_from(at).unwrap_or(u32::MAX);
        Tip {
            height: self.first.saturating_add(after_first),
            hash,
            time: header.time,
            median_time: self.median_time(),
        }
    }

    /// The hash at `height`, if remembered.
    pub fn hash_at(&self, height: u32) -> Option<BlockHash> {
        let at = usize::try_from(height.checked_sub(self.first)?).ok()?;
        self.chain.get(at).map(|(_, hash)| *hash)
    }

    /// Headers and hashes from the tip down.
    pub fn from_tip(&self) -> impl Iterator<Item = &(Header, BlockHash)> {
        self.chain.iter().rev()
    }

    /// Heights of the headers remembered.
    pub fn heights(&self) -> std::ops::RangeInclusive<u32> {
        self.first..=self.tip().height
    }

    /// Work of the headers above `height`.
    pub fn work_above(&self, height: u32) -> Work {
        let above = usize::try_from(self.tip().height.saturating_sub(height)).unwrap_or(usize::MAX);
        self.from_tip().take(above).map(|(header, _)| header.work()).fold(no_work(), |sum, work| sum + work)
    }

    /// Takes the next header in. Returns the height of the oldest header, if it was dropped for it.
    pub fn push(&mut self, header: &Header) -> Result<Option<u32>, Contradiction> {
        let tip = self.tip();
        let height = tip.height.saturating_add(1);
        let hash = header.block_hash();
        if header.prev_blockhash != tip.hash {
            return Err(Contradiction::BrokenLink { hash, height, on: header.prev_blockhash, tip: tip.hash });
        }
        has_work(header, height)?;
        self.has_allowed_bits(header, hash, height)?;
        // With fewer than eleven headers remembered the median is of too few, and may be later than the network's.
        if (self.chain.len() >= MEDIAN_SPAN || self.first == 0) && header.time <= tip.median_time {
            return Err(Contradiction::MedianTime {
                hash,
                height,
                time: header.time,
                median: tip.median_time,
            });
        }
        self.chain.push_back((*header, hash));
        if self.chain.len() <= WINDOW {
            return Ok(None);
        }
        self.chain.pop_front();
        let dropped = self.first;
        self.first += 1;
        Ok(Some(dropped))
    }

    /// Takes the tip off again. `None` if it is the last header remembered.
    pub fn pop(&mut self) -> Option<Tip> {
        if self.chain.len() == 1 {
            return None;
        }
        let tip = self.tip();
        self.chain.pop_back();
        Some(tip)
    }

    fn median_time(&self) -> u32 {
        let mut times: Vec<u32> = self.from_tip().take(MEDIAN_SPAN).map(|(header, _)| header.time).collect();
        times.sort_unstable();
        times[times.len() / 2]
    }

    fn has_allowed_bits(&self, header: &Header, hash: BlockHash, height: u32) -> Result<(), Contradiction> {
        let before = self.from_tip().next().map(|(before, _)| before.bits);
        allowed_bits(self.network, height, before, header.bits).map_err(|allowed| Contradiction::Difficulty {
            hash,
            height,
            bits: header.bits.to_consensus(),
            allowed,
        })
    }
}

/// Whether a header at `height` may name `bits` after one with the bits `before`; `Err` says what is allowed.
///
/// The target is the one before, but for retargeting heights and for test networks' easy blocks. The exact target of a
/// retargeting block needs a header that is not remembered, so there it is held to the factor of four only.
fn allowed_bits(
    network: Network,
    height: u32,
    before: Option<CompactTarget>,
    bits: CompactTarget,
) -> Result<(), String> {
    let params = Params::new(network);
    let target = Target::from_compact(bits);
    let hex = |bits: CompactTarget| format!("{:08x}", bits.to_consensus());
    if target > params.max_attainable_target {
        return Err(format!("at most {}", hex(params.max_attainable_target.to_compact_lossy())));
    }
    // A target of zero, which no hash meets, would be divided by.
    if network == Network::Bitcoin
        && target > Target::ZERO
        && target.difficulty(&params) < MAINNET_DIFFICULTY_FLOOR
    {
        return Err(format!("a difficulty of at least {MAINNET_DIFFICULTY_FLOOR}"));
    }
    let Some(before) = before.filter(|before| *before != bits) else { return Ok(()) };
    if params.no_pow_retargeting {
        return Err(format!("{}, always", hex(before)));
    }
    // Twenty minutes without a block allow one at the least difficulty, and the next may go back to the real one.
    if params.allow_min_difficulty_blocks {
        return Ok(());
    }
    if u64::from(height) % params.difficulty_adjustment_interval() != 0 {
        return Err(format!("{}, until the next retarget", hex(before)));
    }
    let before = Target::from_compact(before);
    let least = before.min_transition_threshold().to_compact_lossy();
    let most = before.max_transition_threshold(&params).to_compact_lossy();
    // Targets have 24 bits of precision in a header, so the limits are compared in the same form.
    if target < Target::from_compact(least) || target > Target::from_compact(most) {
        return Err(format!("{} to {}, a quarter to four times the one before", hex(least), hex(most)));
    }
    Ok(())
}

/// No work yet.
pub(super) fn no_work() -> Work {
    Work::from_be_bytes([0; 32])
}

#[cfg(test)]
mod tests {
    use bitcoin::hashes::Hash as _;

    use super::*;
    use crate::chain::fixture::{Miner, mine_header};

    fn regtest(blocks: u32) -> (Headers, Miner) {
        let mut miner = Miner::regtest();
        let headers: Vec<Header> = (0..blocks).map(|_| *miner.mine(vec![]).header()).collect();
        let headers = Headers::anchor(Network::Regtest, 1, &headers).expect("not empty").expect("sound");
        (headers, miner)
    }

    #[test]
    fn a_header_that_breaks_a_rule_is_refused_by_name() {
        let (headers, miner) = regtest(20);
        let good = miner.next_header();
        let refused = |change: &dyn Fn(&mut Header)| {
            let mut header = good;
            change(&mut header);
            headers.clone().push(&mine_header(header)).expect_err("must be refused").name()
        };
        assert_eq!(refused(&|h| h.prev_blockhash = BlockHash::all_zeros()), "broken-link");
        assert_eq!(refused(&|h| h.bits = CompactTarget::from_consensus(0x207f_fffe)), "difficulty");
        let median = headers.tip().median_time;
        assert_eq!(refused(&|h| h.time = median), "median-time");
        let mut lazy = good;
        while lazy.validate_pow(lazy.target()).is_ok() {
            lazy.nonce += 1;
        }
        assert_eq!(headers.clone().push(&lazy).expect_err("no work").name(), "proof-of-work");
        assert!(headers.clone().push(&mine_header(Header { time: median + 1, ..good })).is_ok());
    }

    #[test]
    fn easy_blocks_are_no_mainnet() {
        let genesis = bitcoin::constants::genesis_block(Network::Bitcoin).header;
        let refused = Headers::anchor(Network::Bitcoin, 0, &[genesis]).expect("not empty");
        assert_eq!(refused.expect_err("difficulty 1").name(), "difficulty");
        let regtest = bitcoin::constants::genesis_block(Network::Regtest).header;
        let refused = Headers::anchor(Network::Signet, 0, &[regtest]).expect("not empty");
        assert_eq!(refused.expect_err("easier than signet's easiest").name(), "difficulty");
    }

    #[test]
    fn mainnet_retargets_every_2016_blocks_by_at_most_four() {
        // Difficulty 86.4 T, as in 2024.
        let (before, bits) = (CompactTarget::from_consensus(0x1703_4219), CompactTarget::from_consensus);
        let allowed = |height, bits| allowed_bits(Network::Bitcoin, height, Some(before), bits).is_ok();
        assert!(allowed(840_001, before));
        assert!(!allowed(840_001, bits(0x1703_4218)));
        let retarget = 2_016 * 417;
        assert!(allowed(retarget, bits(0x1703_4218)));
        assert!(allowed(retarget, bits(0x1703_4219 + 0x1_0000)));
        assert!(!allowed(retarget, bits(0x170d_0865)), "more than four times the target");
        assert!(!allowed(retarget, bits(0x1700_d085)), "less than a quarter");
        assert!(!allowed(retarget, bits(0x1d00_ffff)), "difficulty 1");
    }

    #[test]
    fn the_window_slides_and_pops() {
        let (mut headers, mut miner) = regtest(100);
        assert_eq!(headers.tip().height, 100);
        let next = *miner.mine(vec![]).header();
        assert_eq!(headers.push(&next).expect("sound"), Some(1));
        assert_eq!(headers.hash_at(1), None);
        assert_eq!(headers.hash_at(101), Some(next.block_hash()));
        assert_eq!(headers.pop().expect("a tip").hash, next.block_hash());
        assert_eq!(headers.tip().height, 100);
        assert_eq!(headers.work_above(98), headers.work_above(99) + headers.work_above(99));
    }
}
