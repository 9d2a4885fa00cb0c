//! What an operator writes: a policy, the daemon's configuration, the URI of a token. Each is complete or refused, and
//! a policy's one spelling means what the file meant.

#![no_main]

use strongroom_hsm::TokenUri;
use strongroom_policy::{Network, Policy, Profile};
use strongroom_signer::config::Config;

const README: &str = include_str!("../../README.md");
const URIS: [&str; 2] = [
    "pkcs11:token=strongroom?module-path=/usr/lib/softhsm/libsofthsm2.so",
    "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=c2af09;token=a%3bb%26;slot-id=7?module-path=/m.so",
];

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let policies = [Network::Mainnet, Network::Regtest].into_iter().flat_map(|network| {
        Profile::ALL.map(|profile| {
            let comments = profile.render(network);
            // Comments take room that changes of values need.
            comments.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
        })
    });
    let configuration = README.split("```toml").nth(1).and_then(|text| text.split("```").next());
    let configuration = configuration.expect("README.md shows a configuration");
    let configuration = configuration.lines().map(|line| line.strip_prefix("   ").unwrap_or(line));
    let configuration = configuration.collect::<Vec<_>>().join("\n");
    policies.chain([configuration]).chain(URIS.map(str::to_owned)).map(String::into_bytes)
}

fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match Policy::from_toml(text) {
        Ok(policy) => {
            let canonical = policy.to_toml();
            let again = Policy::from_toml(&canonical).expect("the canonical form is a policy");
            assert_eq!(again.to_toml(), canonical);
            assert_eq!(again.digest_input(), policy.digest_input());
        }
        Err(refused) => {
            assert!((1..=text.lines().count() + 1).contains(&refused.line), "line {}", refused.line)
        }
    }
    if let Err(refused) = Config::parse("strongroom.toml", text) {
        let _ = refused.to_string();
    }
    if let Ok(uri) = text.parse::<TokenUri>() {
        assert_eq!(uri.to_string().parse(), Ok(uri));
    }
}

strongroom_fuzz::target!(seeds, run);
