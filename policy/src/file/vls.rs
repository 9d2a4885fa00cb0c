//! `[vls]`: the limits given to the Validating Lightning Signer's rules.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::sections::Mode;
use super::{Places, PolicyError, Sats};
use crate::network::Network;
use crate::violation::Violation;

/// `[vls]`. VLS has defaults of its own for all of this; none of them is ever used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VlsLimits {
    /// Whether its violations refuse. `observe` on local networks only.
    pub mode: Spanned<Mode>,
    /// Tags of VLS that are reported and refuse nothing, whatever the mode; of [`MAY_BE_REPORTED`] off local networks.
    pub report_only: Vec<Spanned<String>>,
    /// What it means that our own view of the chain is missing.
    pub chain: ChainView,
    /// Largest new channel.
    pub max_channel_sat: Sats,
    /// Most that the peer may own on the first commitment of a channel that we fund.
    pub max_push_sat: Sats,
    /// Most HTLCs on one commitment, both directions together (BOLT 2: 483 each).
    pub max_htlcs: u16,
    /// Most value of the HTLCs on one commitment, both directions together.
    pub max_htlc_value_sat: Sats,
    /// An HTLC may not be introduced closer to its expiry than this.
    pub min_htlc_expiry_blocks: Spanned<u16>,
    /// An HTLC may not be introduced further from its expiry than this.
    pub max_htlc_expiry_blocks: u16,
    /// Lowest feerate of a commitment by its outputs: anchors and HTLCs too small for an output count as fee.
    pub min_commitment_sat_per_kw: Spanned<u32>,
    /// Highest of the same.
    pub max_commitment_sat_per_kw: u32,
    /// Lowest feerate of the peer's HTLC transactions, on channels without anchors.
    pub min_htlc_sat_per_kw: Spanned<u32>,
    /// Highest of the same.
    pub max_htlc_sat_per_kw: u32,
    /// Lowest feerate of a mutual close.
    pub min_close_sat_per_kw: Spanned<u32>,
    /// Highest of the same.
    pub max_close_sat_per_kw: u32,
    /// How far a mutual close may be from the latest commitment, on the side that does not pay its fee.
    pub max_close_difference_sat: Sats,
    /// Lowest feerate of a sweep of one input, by VLS's estimate of its weight, which is up to a tenth too high.
    pub min_sweep_sat_per_kw: Spanned<u32>,
    /// Highest of the same.
    pub max_sweep_sat_per_kw: u32,
    /// Highest feerate of a spend of the on-chain wallet, all that is neither ours nor permitted counted as fee.
    pub max_onchain_sat_per_kw: u32,
}

/// What it means that the height of the chain, or the state of a funding output, is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChainView {
    /// What needs it is refused.
    Required,
    /// What needs it is checked when it is known.
    WhenKnown,
}

/// Tags that may be reported only on any network: they refuse nothing that another request could not do.
pub const MAY_BE_REPORTED: [&str; 1] = ["policy-commitment-retry-same"];

impl VlsLimits {
    /// Violations that refuse, and those that are only written down.
    pub fn split(&self, found: Vec<Violation>) -> (Vec<Violation>, Vec<Violation>) {
        let refuses = *self.mode.get_ref() == Mode::Enforce;
        found.into_iter().partition(|violation| {
            refuses && !self.report_only.iter().any(|tag| *tag.get_ref() == violation.tag)
        })
    }

    /// What no single key can tell.
    pub(crate) fn check(&self, network: Network, at: &Places) -> Result<(), PolicyError> {
        if *self.mode.get_ref() == Mode::Observe && !network.is_local() {
            let problem = format!(
                "given \"observe\" on {network}; allowed: \"enforce\", since these rules protect money"
            );
            return Err(at.error(self.mode.span(), problem));
        }
        for tag in &self.report_only {
            let name = tag.get_ref().as_str();
            if !(MAY_BE_REPORTED.contains(&name) || network.is_local() && name.starts_with("policy-")) {
                let problem = format!("given {name:?} on {network}; allowed: {}", MAY_BE_REPORTED.join(", "));
                return Err(at.error(tag.span(), problem));
            }
        }
        let blocks = self.min_htlc_expiry_blocks.clone();
        let blocks = (blocks.span(), u32::from(blocks.into_inner()), u32::from(self.max_htlc_expiry_blocks));
        let feerates = [
            (&self.min_commitment_sat_per_kw, self.max_commitment_sat_per_kw),
            (&self.min_htlc_sat_per_kw, self.max_htlc_sat_per_kw),
            (&self.min_close_sat_per_kw, self.max_close_sat_per_kw),
            (&self.min_sweep_sat_per_kw, self.max_sweep_sat_per_kw),
        ];
        let feerates = feerates.into_iter().map(|(least, most)| (least.span(), *least.get_ref(), most));
        match std::iter::once(blocks).chain(feerates).find(|(_, least, most)| least > most) {
            None => Ok(()),
            Some((span, least, most)) => {
                Err(at.error(span, format!("given {least}; allowed: at most the maximum beside it, {most}")))
            }
        }
    }
}
