//! The leaf that says what decisions stand on: for each kind of request the rules enforced, observed and out of reach.
//! It is written once at each opening, and every decision names it by its index.

use strongroom_audit as audit;
use strongroom_lightning::vls;
use strongroom_policy::{Kind, Policy, Tag, Tier};

/// What requests alone show. Lists for higher tiers come with what they rest on.
pub(super) const TIER: Tier = Tier::T0;

/// The leaf under `policy`; `followed` says whether a bitcoind of ours is.
pub(super) fn in_force(policy: &Policy, digest: [u8; 32], followed: bool) -> audit::Event {
    audit::Event::ChecksInForce {
        policy: audit::Digest(digest),
        tier: TIER.as_str().to_owned(),
        checks: Kind::ALL.into_iter().map(|kind| of(policy, kind, followed)).collect(),
    }
}

fn of(policy: &Policy, kind: Kind, followed: bool) -> audit::Checks {
    let ours = policy.checks(kind, followed);
    let theirs = vls::checks(kind, policy.vls(), followed);
    let both = |ours: &[Tag], theirs: &[&str]| {
        ours.iter().map(|tag| tag.0).chain(theirs.iter().copied()).map(str::to_owned).collect()
    };
    audit::Checks {
        class: kind.class(),
        enforced: both(&ours.enforced, &theirs.enforced),
        partly: both(&[], &theirs.partly),
        observed: both(&ours.observed, &theirs.observed),
        idle: both(&ours.idle, &theirs.idle),
        by_ours: both(&[], &theirs.by_ours),
        not_enforceable: both(&[], &theirs.not_enforceable),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use strongroom_policy::{Network, Profile};

    use super::*;

    fn leaf(profile: Profile, followed: bool) -> audit::Recorded {
        let policy = Policy::from_toml(&profile.render(Network::Regtest)).expect("a shipped profile");
        let origin: audit::Origin = "strongroom/test".parse().expect("printable ASCII");
        audit::Chain::genesis(&origin).record(1, in_force(&policy, [7; 32], followed))
    }

    #[test]
    fn the_list_has_every_kind_once_and_is_never_cut() {
        for profile in Profile::ALL {
            for followed in [false, true] {
                let recorded = leaf(profile, followed);
                assert!(!recorded.leaf.clipped, "{} bytes", recorded.bytes.len());
                assert!(recorded.bytes.len() < audit::LEAF_BYTES_MAX / 2, "{} bytes", recorded.bytes.len());
                let audit::Event::ChecksInForce { checks, .. } = &recorded.leaf.event else { panic!() };
                let classes: BTreeSet<&str> = checks.iter().map(|checks| checks.class.as_str()).collect();
                assert_eq!(classes.len(), Kind::ALL.len());
            }
        }
    }

    #[test]
    fn what_only_observes_is_listed_so() {
        let of = |profile| match leaf(profile, true).leaf.event {
            audit::Event::ChecksInForce { checks, .. } => checks,
            _ => panic!("another event"),
        };
        for (strict, lax) in of(Profile::Cautious).into_iter().zip(of(Profile::Lab)) {
            assert!(strict.enforced.contains(&"grant".to_owned()), "{}", strict.class);
            assert!(lax.enforced.is_empty() && lax.partly.is_empty(), "{}", lax.class);
            let all = |checks: &audit::Checks| {
                let lists = [&checks.enforced, &checks.partly, &checks.observed];
                lists.into_iter().flatten().cloned().collect::<BTreeSet<String>>()
            };
            assert_eq!(all(&strict), all(&lax), "{}", strict.class);
        }
    }
}
