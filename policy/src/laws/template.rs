//! The shipped profiles, and the canonical form.

use crate::file::{Mode, PolicyFile, VlsLimits};
use crate::fixture::*;
use crate::{Network, Policy, Profile, rules};

#[test]
fn lab_is_refused_where_coins_are_worth_something() {
    for network in Network::ALL {
        match Policy::from_toml(&Profile::Lab.render(network)) {
            Ok(policy) => {
                assert!(network.is_local(), "{network}");
                let could_refuse = rules::ALL.iter().filter(|rule| !rule.is_alarm());
                assert_eq!(policy.observed_rules().len(), could_refuse.count());
            }
            Err(error) => {
                assert!(!network.is_local(), "{network}: {error}");
                assert_eq!(error.key, "profile");
                assert!(error.problem.contains("regtest and simnet only"), "{error}");
            }
        }
    }
    // Under another name it is refused for the first rule that protects money.
    let renamed =
        Profile::Lab.render(Network::Mainnet).replace("profile = \"lab\"", "profile = \"harmless\"");
    assert_eq!(Policy::from_toml(&renamed).expect_err("observes").key, "rules.grant");
    // And its name is refused even if it enforces everything.
    let enforcing = Profile::Cautious.render(Network::Mainnet).replace("\"cautious\"", "\"lab\"");
    assert_eq!(Policy::from_toml(&enforcing).expect_err("lab").key, "profile");
}

#[test]
fn cautious_is_a_policy_on_every_network_and_enforces_everything() {
    for network in Network::ALL {
        let text = Profile::Cautious.render(network);
        assert!(!text.contains("{{"), "a placeholder is left");
        let policy = Policy::from_toml(&text).expect("the shipped profile is a policy");
        assert_eq!((policy.network(), policy.profile()), (network, "cautious"));
        assert!(policy.observed_rules().is_empty());
        assert!(policy.rules().all(|(rule, mode)| (mode == Mode::Observe) == rule.is_alarm()));
    }
}

#[test]
fn lab_differs_from_cautious_only_in_what_it_observes_and_grants() {
    let read = |profile: Profile| -> PolicyFile {
        toml::from_str(&profile.render(Network::Regtest)).expect("the shipped profile is a policy")
    };
    let (cautious, lab) = (read(Profile::Cautious), read(Profile::Lab));
    let alike = PolicyFile {
        profile: cautious.profile.clone(),
        rules: cautious.rules.clone(),
        grants: cautious.grants.clone(),
        vls: VlsLimits { mode: cautious.vls.mode.clone(), ..lab.vls },
        ..lab
    };
    assert_eq!(alike, cautious);
}

#[test]
fn the_canonical_form_reads_back_as_itself() {
    let entry = "\n[[allowlist]]\nlabel = \"cold \\\"reserve\\\"\"\nscript = \"0014751e76e8199196d454941c45d1b3a323f1433bd6\"\n";
    let policy = Policy::from_toml(&(Profile::Cautious.render(Network::Regtest) + entry)).expect("a policy");
    let canonical = policy.to_toml();
    let again = Policy::from_toml(&canonical).expect("the canonical form is a policy");
    assert_eq!(again.to_toml(), canonical);
    assert_eq!(again.file(), policy.file());
    assert_eq!(again.digest_input(), policy.digest_input());
}

#[test]
fn comments_do_not_change_the_digest_and_limits_do() {
    let commented = Profile::Cautious.render(Network::Regtest).replace("[window]", "# more words\n[window]");
    let same = Policy::from_toml(&commented).expect("a policy");
    assert_eq!(same.digest_input(), cautious().digest_input());
    let other = edited("outflow", "max_in_window_sat", 5_000_001);
    assert_ne!(other.digest_input(), cautious().digest_input());
}

#[test]
fn names_are_read_back_and_others_refused() {
    for profile in Profile::ALL {
        assert_eq!(profile.as_str().parse(), Ok(profile));
    }
    assert!("Lab".parse::<Profile>().is_err());
}

#[test]
fn tags_are_names_and_no_two_are_alike() {
    let mut tags: Vec<&str> = rules::ALL.iter().map(|rule| rule.tag.0).collect();
    tags.sort_unstable();
    tags.dedup();
    assert_eq!(tags.len(), rules::ALL.len());
    for tag in tags {
        assert!(tag.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{tag}");
    }
}

/// POLICY.md quotes the limits of `cautious`.
#[test]
fn the_handbook_quotes_the_shipped_limits() {
    let handbook = include_str!("../../../POLICY.md");
    let text = cautious().to_toml();
    let limits = text.lines().filter(|line| line.starts_with("max_"));
    let numbers: Vec<u64> = limits.filter_map(|line| line.split_once(" = ")?.1.parse().ok()).collect();
    assert!(numbers.len() > 10);
    for number in numbers {
        let quoted = crate::words::Grouped(number).to_string();
        assert!(handbook.contains(&quoted), "POLICY.md does not say {quoted}");
    }
}
