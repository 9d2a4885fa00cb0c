//! The policy in force.

use std::collections::BTreeMap;

use bitcoin::Amount;

use crate::fee_class;
use crate::file::sections::Chain;
use crate::file::{Allowed, Mode, Places, PolicyError, PolicyFile, VlsLimits};
use crate::key_group::KeyGroup;
use crate::network::Network;
use crate::rules;
use crate::velocity::Window;
use crate::violation::Tag;

/// A complete, consistent policy. Made from a file only, so there is none without every limit.
#[derive(Clone, Debug)]
pub struct Policy {
    pub(crate) file: PolicyFile,
    pub(crate) allowed: Allowed,
    /// Modes in the order of [`rules::ALL`].
    modes: Vec<Mode>,
}

impl Policy {
    /// Reads a policy file. Refuses unknown and missing keys, values out of range, addresses of other networks, a
    /// `[rules]` table that is not exactly the rules there are, and observing where it must be enforced.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let at = Places::new(text);
        let file: PolicyFile = toml::from_str(text).map_err(|e| at.parse_error(&e))?;
        let network = *file.network.get_ref();
        if file.profile.get_ref().as_str() == crate::Profile::Lab.as_str() && !network.is_local() {
            let problem = format!(
                "given \"lab\" on {network}; allowed: lab observes everything, on regtest and simnet only"
            );
            return Err(at.error(file.profile.span(), problem));
        }
        let modes = modes(&file, &at)?;
        file.vls.check(network, &at)?;
        let allowed = Allowed::read(&file.allowlist, network, &at)?;
        ecdh_keys(&file, &at)?;
        Ok(Self { file, allowed, modes })
    }

    /// The policy as TOML in its canonical form: no comments, one order of keys, the same text for the same policy.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.file).expect("a policy read from TOML holds nothing that TOML cannot write")
    }

    /// The bytes whose hash identifies this policy.
    pub fn digest_input(&self) -> Vec<u8> {
        let mut bytes = b"strongroom policy 1\n".to_vec();
        bytes.extend_from_slice(self.to_toml().as_bytes());
        bytes
    }

    /// The name the policy gives itself.
    pub fn profile(&self) -> &str {
        self.file.profile.get_ref().as_str()
    }

    /// The network served.
    pub fn network(&self) -> Network {
        *self.file.network.get_ref()
    }

    /// The rolling window of all limits.
    pub fn window(&self) -> Window {
        self.file.window
    }

    /// The file's tables.
    pub fn file(&self) -> &PolicyFile {
        &self.file
    }

    /// Limits of the Validating Lightning Signer's rules.
    pub fn vls(&self) -> &VlsLimits {
        &self.file.vls
    }

    /// Destinations that may be paid without limit.
    pub fn allowlist(&self) -> &Allowed {
        &self.allowed
    }

    /// Most that a node may pay to strangers in the window.
    pub fn outflow_limit(&self) -> Amount {
        self.file.outflow.max_in_window_sat.amount()
    }

    /// Most that a node may pay in fees in the window by wallet spends, and by closing channels.
    pub fn fees_limits(&self) -> (Amount, Amount) {
        let fees = &self.file.fees;
        (fees.wallet.max_in_window_sat.amount(), fees.closing.max_in_window_sat.amount())
    }

    /// The fee, as far as we bear it; `None` when outputs exceed inputs.
    pub fn own_fee(&self, ask: &crate::SpendAsk) -> Option<Amount> {
        fee_class::borne_by_us(self, ask)
    }

    /// When the chain is up to date.
    pub fn chain(&self) -> &Chain {
        &self.file.chain
    }

    /// Most that a node's forwards may have at risk.
    pub fn provisional_limit(&self) -> Amount {
        self.file.forwards.max_provisional_total_sat.amount()
    }

    /// Most seconds that the claim of an incoming HTLC may take.
    pub fn claim_seconds(&self) -> u64 {
        self.file.forwards.max_claim_seconds
    }

    /// Most that a node may offer without authorisation in the window.
    pub fn unauthorized_limit(&self) -> Amount {
        self.file.payments.max_unauthorized_in_window_sat.amount()
    }

    /// Most that may leave a node's channels without an HTLC in the window.
    pub fn unexplained_limit(&self) -> Amount {
        self.file.payments.max_unexplained_in_window_sat.amount()
    }

    /// Rules that report only though they could refuse, in the order of [`rules::ALL`].
    pub fn observed_rules(&self) -> Vec<Tag> {
        let observed = self.rules().filter(|(rule, mode)| *mode == Mode::Observe && !rule.is_alarm());
        observed.map(|(rule, _)| rule.tag).collect()
    }

    /// Every rule with its mode.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&'static rules::Rule, Mode)> + '_ {
        rules::ALL.iter().zip(self.modes.iter().copied())
    }
}

/// The modes of all rules; each must be there, and nothing else.
fn modes(file: &PolicyFile, at: &Places) -> Result<Vec<Mode>, PolicyError> {
    let network = *file.network.get_ref();
    let table = file.rules.get_ref();
    let given: BTreeMap<&str, _> = table.iter().map(|(tag, mode)| (tag.get_ref().as_str(), mode)).collect();
    if let Some(unknown) = table.keys().find(|tag| !rules::ALL.iter().any(|rule| rule.tag.0 == tag.get_ref()))
    {
        let tags: Vec<&str> = rules::ALL.iter().map(|rule| rule.tag.0).collect();
        let problem =
            format!("given {:?}; allowed: the rules of this version: {}", unknown.get_ref(), tags.join(", "));
        return Err(at.error(unknown.span(), problem));
    }
    rules::ALL
        .iter()
        .map(|rule| {
            let Some(mode) = given.get(rule.tag.0) else {
                let problem =
                    format!("given no {:?}; allowed: every rule as \"enforce\" or \"observe\"", rule.tag.0);
                return Err(at.error(file.rules.span(), problem));
            };
            if *mode.get_ref() == Mode::Enforce && rule.is_alarm() {
                let problem =
                    "given \"enforce\"; allowed: \"observe\", since this rule tells and never refuses";
                return Err(at.error(mode.span(), problem.to_owned()));
            }
            if *mode.get_ref() == Mode::Observe && rule.protects_money && !network.is_local() {
                let problem = format!(
                    "given \"observe\" on {network}; allowed: \"enforce\", since this rule protects money"
                );
                return Err(at.error(mode.span(), problem));
            }
            Ok(*mode.get_ref())
        })
        .collect()
}

/// Channel keys can never be opened to ECDH by the file: a shared secret with any point is as good as half a key.
fn ecdh_keys(file: &PolicyFile, at: &Places) -> Result<(), PolicyError> {
    const ALLOWED: [KeyGroup; 4] =
        [KeyGroup::Node, KeyGroup::StaticBackup, KeyGroup::TowerSession, KeyGroup::TowerId];
    match file.ecdh.keys.get_ref().iter().find(|key| !ALLOWED.contains(key)) {
        None => Ok(()),
        Some(key) => {
            let problem =
                format!("given {:?}; allowed: node, static-backup, tower-session, tower-id", key.as_str());
            Err(at.error(file.ecdh.keys.span(), problem))
        }
    }
}
