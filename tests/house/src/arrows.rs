//! Which room may know which.

use std::collections::{BTreeMap, BTreeSet};

use crate::manifest::{Member, members};
use crate::tree::Tree;

/// Every crate and the crates it may depend on, through tests and build scripts too.
pub const ALLOWED: &[(&str, &[&str])] = &[
    ("strongroom-proto", &[]),
    ("strongroom-policy", &[]),
    ("strongroom-hsm", &[]),
    ("strongroom-audit", &[]),
    ("strongroom-lightning", &["strongroom-policy"]),
    (
        "strongroom-signer",
        &[
            "strongroom-lightning",
            "strongroom-policy",
            "strongroom-hsm",
            "strongroom-audit",
            "strongroom-proto",
        ],
    ),
    ("strongroom-operator", &["strongroom-proto", "strongroom-audit", "strongroom-policy"]),
    ("strongroom-companion", &["strongroom-proto"]),
    ("softhsm-setup", &["strongroom-hsm"]),
    (
        "strongroom-tests",
        &[
            "strongroom-proto",
            "strongroom-policy",
            "strongroom-lightning",
            "strongroom-hsm",
            "strongroom-audit",
            "strongroom-signer",
            "strongroom-operator",
        ],
    ),
    ("strongroom-house", &["strongroom-policy"]),
];

/// Arrows that are not allowed, crates that the table does not know, and rings.
pub fn check(tree: &Tree) -> Vec<String> {
    let members = match members(tree) {
        Ok(members) => members,
        Err(problem) => return vec![problem],
    };
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let names: BTreeSet<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut problems = Vec::new();
    for Member { name, depends_on, folder, .. } in &members {
        let Some(allowed) = allowed.get(name.as_str()) else {
            problems.push(format!("{folder}: crate {name} has no place in the table of arrows"));
            continue;
        };
        for dependency in
            depends_on.iter().filter(|d| names.contains(d.as_str()) || d.starts_with("strongroom"))
        {
            if !allowed.contains(&dependency.as_str()) {
                problems.push(format!("{folder}: {name} may not depend on {dependency}"));
            }
        }
    }
    problems.extend(ring(&members));
    problems
}

/// A ring of dependencies. Cargo refuses most, but not one through dev-dependencies.
fn ring(members: &[Member]) -> Option<String> {
    let mut left: Vec<&Member> = members.iter().collect();
    loop {
        let names: BTreeSet<&str> = left.iter().map(|member| member.name.as_str()).collect();
        let before = left.len();
        left.retain(|member| member.depends_on.iter().any(|d| names.contains(d.as_str())));
        if left.is_empty() {
            return None;
        }
        if left.len() == before {
            let ring: Vec<&str> = left.iter().map(|member| member.name.as_str()).collect();
            return Some(format!("these depend on each other in a ring: {}", ring.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Tree {
        Tree::of(&[
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"policy\", \"hsm\", \"lightning\"]\n[workspace.dependencies]\n\
                 strongroom-policy = { path = \"policy\" }\nserde = \"1\"\nvault = { path = \"hsm\", package = \"strongroom-hsm\" }",
            ),
            (
                "policy/Cargo.toml",
                "[package]\nname = \"strongroom-policy\"\n[dependencies]\nserde.workspace = true",
            ),
            ("hsm/Cargo.toml", "[package]\nname = \"strongroom-hsm\""),
            (
                "lightning/Cargo.toml",
                "[package]\nname = \"strongroom-lightning\"\n[dependencies]\nstrongroom-policy.workspace = true",
            ),
        ])
    }

    #[test]
    fn allowed_arrows_pass() {
        assert_eq!(check(&good()), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        let hsm = "[package]\nname = \"strongroom-hsm\"\n";
        for (arrow, why) in [
            ("[dependencies]\nstrongroom-policy.workspace = true", "plain"),
            ("[dependencies]\nstrongroom-policy = { path = \"../policy\" }", "by path"),
            ("[dependencies]\nrules = { path = \"../policy\", package = \"strongroom-policy\" }", "renamed"),
            ("[dev-dependencies]\nstrongroom-policy.workspace = true", "through tests"),
            ("[build-dependencies]\nstrongroom-policy.workspace = true", "through the build"),
            ("[target.'cfg(unix)'.dependencies]\nstrongroom-policy.workspace = true", "for a target"),
        ] {
            let mutant = good().with("hsm/Cargo.toml", &format!("{hsm}{arrow}"));
            assert_eq!(check(&mutant), ["hsm: strongroom-hsm may not depend on strongroom-policy"], "{why}");
        }
        let renamed = "[package]\nname = \"strongroom-policy\"\n[dependencies]\nvault.workspace = true";
        let mutant = good().with("policy/Cargo.toml", renamed);
        assert_eq!(check(&mutant), ["policy: strongroom-policy may not depend on strongroom-hsm"]);
        let ring = "[package]\nname = \"strongroom-policy\"\n[dev-dependencies]\nstrongroom-lightning = { path = \"../lightning\" }";
        assert!(
            check(&good().with("policy/Cargo.toml", ring)).iter().any(|problem| problem.contains("ring"))
        );
        let stranger = good().with("hsm/Cargo.toml", "[package]\nname = \"strongroom-utils\"");
        assert!(check(&stranger)[0].contains("no place"), "{:?}", check(&stranger));
    }
}
