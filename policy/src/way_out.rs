//! What brings money home from channels, and what to do when it is refused: LND does not ask again by itself.

use crate::kind::Kind;
use crate::violation::Violation;

impl Kind {
    /// Kinds of request that bring money home from a channel, and what spends a channel's outputs as nothing we know.
    pub const CLOSING: [Kind; 9] = [
        Kind::HolderCommitment,
        Kind::HolderHtlc,
        Kind::MutualClose,
        Kind::SweepDelayed,
        Kind::SweepToRemote,
        Kind::SweepCounterpartyHtlc,
        Kind::SweepAnchor,
        Kind::Justice,
        Kind::UnknownSpend,
    ];

    /// Such a request in an operator's words.
    fn claim(self) -> &'static str {
        match self {
            Kind::HolderCommitment => "a close by force",
            Kind::HolderHtlc => "a claim of an HTLC on our own commitment",
            Kind::MutualClose => "a close by agreement",
            Kind::SweepDelayed => "a sweep of our delayed output",
            Kind::SweepToRemote => "a sweep of our output on the peer's commitment",
            Kind::SweepCounterpartyHtlc => "a claim of an HTLC on the peer's commitment",
            Kind::SweepAnchor => "a fee bump by an anchor",
            Kind::Justice => "the punishment of a revoked commitment",
            _ => "a spend of a channel's output",
        }
    }
}

/// Such a request in an operator's words, by the kind's own word.
pub fn claim(kind: &str) -> &'static str {
    Kind::CLOSING.into_iter().find(|known| known.as_str() == kind).unwrap_or(Kind::UnknownSpend).claim()
}

/// What to do about a refused request of a closing kind: what to change, and how LND comes to ask again.
pub fn way_out(kind: Kind, violations: &[Violation]) -> String {
    let mut steps: Vec<String> = Vec::new();
    for violation in violations {
        let step = step(kind, &violation.tag);
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps.push(again(kind).to_owned());
    steps.join("; ")
}

/// What lifts one violation.
fn step(kind: Kind, tag: &str) -> String {
    let raise = |key: &str| format!("raise {key}");
    match tag {
        "fee-cap" => raise("fees.closing.max_share_per_mille"),
        "fee-rate" => raise("fees.closing.max_rate_sat_per_vb"),
        "fee-window" => raise("fees.closing.max_in_window_sat"),
        "outflow-per-transaction" => raise("outflow.max_per_transaction_sat"),
        "outflow-window" => raise("outflow.max_in_window_sat"),
        "mutual-close-balance" => {
            "allow the address under [[allowlist]], raise closing.max_mutual_close_loss_sat, or close by force"
                .to_owned()
        }
        "mutual-close-htlcs" => {
            "wait until its HTLCs are gone, say what is ours (strongroom channel allow-close), or close by force".to_owned()
        }
        "closing-destination" => {
            "allow the address under [[allowlist]]; if it is lnd's own, strongroom node lookahead reaches it"
                .to_owned()
        }
        "grant" => "grant it under [[grants]]".to_owned(),
        vls if vls.starts_with("policy-") => format!("raise the limit under [vls] that {vls} names"),
        other if kind == Kind::MutualClose => format!("no key allows it ({other}): close by force"),
        other => format!("no key allows it: POLICY.md says of {other} why"),
    }
}

/// How LND comes to ask for it again.
fn again(kind: Kind) -> &'static str {
    match kind {
        Kind::MutualClose => {
            "lnd asks again at each connection with the peer, and all channels with it stay down until then"
        }
        Kind::SweepAnchor => "then start lnd again, which asks once more by itself at most",
        _ => "then start lnd again, which will not ask again by itself",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::*;
    use crate::violation::Tag;

    fn broken(tags: &[&'static str]) -> Vec<Violation> {
        tags.iter().map(|tag| Violation::new(Tag(tag), "value", "limit")).collect()
    }

    /// Each key that is named to be raised is one of the policy's: words that name none would send people astray.
    #[test]
    fn keys_named_are_keys_of_the_policy() {
        let policy: toml::Table = cautious().to_toml().parse().expect("TOML");
        for rule in crate::rules::ALL {
            for kind in Kind::CLOSING {
                let told = way_out(kind, &broken(&[rule.tag.0]));
                for key in
                    told.split([' ', ',', ';']).filter(|word| word.contains("_sat") || word.contains("max_"))
                {
                    let mut parts = key.split('.');
                    let first = parts.next().expect("a word").to_owned();
                    let found = parts.try_fold(policy.get(&first), |at, part| Some(at?.get(part)));
                    assert!(found.flatten().is_some(), "{told}: no key {key}");
                }
            }
        }
    }

    #[test]
    fn each_step_is_told_once_and_lnd_is_told_of_last() {
        let told = way_out(Kind::SweepDelayed, &broken(&["fee-cap", "fee-rate", "fee-cap"]));
        assert_eq!(
            told,
            "raise fees.closing.max_share_per_mille; raise fees.closing.max_rate_sat_per_vb; then start lnd \
             again, which will not ask again by itself"
        );
        assert!(way_out(Kind::MutualClose, &broken(&["sighash"])).contains("close by force"));
        assert_eq!(claim("holder-htlc"), "a claim of an HTLC on our own commitment");
        assert_eq!(claim("nothing"), "a spend of a channel's output");
    }
}
