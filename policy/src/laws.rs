//! What holds for the policy as a whole.

use crate::fixture::*;

#[test]
fn the_shipped_profiles_are_policies() {
    let policy = cautious();
    assert!(policy.observed_rules().is_empty());
    println!("{}", policy.to_toml());
    for bad in ["network = \"moon\"", "bogus = 1"] {
        let text = crate::Profile::Cautious
            .render(crate::Network::Regtest)
            .replace("network = \"regtest\"", bad);
        println!("{}", crate::Policy::from_toml(&text).unwrap_err());
    }
}
