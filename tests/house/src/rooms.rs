//! Words that may be used in some rooms only.

use crate::code::{lines_with, without_tests};
use crate::manifest::members;
use crate::tests_of::Tests;
use crate::tree::Tree;

/// A word, the paths where it is at home, and why.
struct Confined {
    words: &'static [&'static str],
    to: &'static [&'static str],
    why: &'static str,
}

const CONFINED: &[Confined] = &[
    Confined { words: &["cryptoki"], to: &["hsm/"], why: "only hsm speaks PKCS#11" },
    Confined { words: &["memsec"], to: &["hsm/"], why: "only hsm holds locked memory" },
    Confined {
        words: &["SecretKey", "Xpriv", "Keypair", "SigningKey"],
        to: &[
            "signer/src/keyring/",
            "hsm/src/",
            // The peer's revoked secret, which comes with the request: its point is needed, and no secret of ours.
            "lightning/src/psbt/tweak.rs",
            // The secret key 1, which everybody knows: it fills a field that VLS does not rely on.
            "lightning/src/vls/attestation.rs",
        ],
        why: "only the keyring touches secrets",
    },
    Confined { words: &["unsafe"], to: &["hsm/src/"], why: "no unsafe code but where memory is locked" },
    Confined {
        words: &["into_request"],
        to: &["signer/src/keyring/", "signer/src/journal/approved.rs"],
        why: "only the keyring uses an approval up",
    },
];

/// What the deciding room must not do: it is pure.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant",
    "tokio",
    "async",
    "static mut",
];

/// Words outside their rooms, impurities in `policy`, and crates outside the workspace's lints.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    let tests = Tests::of(tree);
    for (path, code) in tree.rust_code() {
        // Tests hold no secrets that are worth anything.
        if tests.has(path) {
            continue;
        }
        let code = without_tests(&code);
        for Confined { words, to, why } in CONFINED {
            if to.iter().any(|home| path.starts_with(home)) {
                continue;
            }
            for word in *words {
                problems.extend(
                    lines_with(&code, word).iter().map(|line| format!("{path}:{line}: {word}: {why}")),
                );
            }
        }
        if path.starts_with("policy/src/") {
            for word in IMPURE {
                let lines = lines_with(&code, word);
                problems.extend(lines.iter().map(|line| format!("{path}:{line}: {word}: policy is pure")));
            }
        }
    }
    match members(tree) {
        Ok(members) => {
            for member in &members {
                for (crate_name, home) in [("cryptoki", "hsm"), ("memsec", "hsm")] {
                    if member.depends_on.contains(crate_name) && member.folder != home {
                        problems
                            .push(format!("{}: depends on {crate_name}, which is {home}'s", member.folder));
                    }
                }
                if !member.workspace_lints && member.folder != "hsm" {
                    problems.push(format!("{}: does not take the workspace's lints", member.folder));
                }
            }
        }
        Err(problem) => problems.push(problem),
    }
    if !tree.text("Cargo.toml").lines().any(|line| line.trim() == "unsafe_code = \"forbid\"") {
        problems.push("Cargo.toml: the workspace's lints do not forbid unsafe code".to_owned());
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Tree {
        Tree::of(&[
            (
                "Cargo.toml",
                "[workspace]\nmembers = [\"hsm\", \"audit\"]\n[workspace.lints.rust]\nunsafe_code = \"forbid\"",
            ),
            ("hsm/Cargo.toml", "[package]\nname = \"strongroom-hsm\"\n[dependencies]\ncryptoki = \"0\""),
            ("hsm/src/session.rs", "use cryptoki::session;\nfn lock() { unsafe { memsec::mlock() } }"),
            ("audit/Cargo.toml", "[package]\nname = \"strongroom-audit\"\n[lints]\nworkspace = true"),
            (
                "audit/src/key.rs",
                "// never a SecretKey\nfn f() { g(\"cryptoki\") }\n#[cfg(test)]\nmod tests { use SecretKey; }",
            ),
            ("audit/src/lib.rs", "pub mod key;\n#[cfg(test)]\nmod fixture;"),
            ("audit/src/fixture.rs", "use secp256k1::SecretKey;"),
            ("audit/src/fixture/more.rs", "use secp256k1::SecretKey;"),
            ("audit/tests/sign.rs", "use secp256k1::SecretKey;"),
            ("signer/src/keyring/sign.rs", "use secp256k1::SecretKey; fn f() { a.into_request() }"),
            ("policy/src/lib.rs", "//! no async\nuse std::fmt;"),
        ])
    }

    #[test]
    fn words_at_home_pass() {
        assert_eq!(check(&good()), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        for (path, text) in [
            ("signer/src/line.rs", "use secp256k1::SecretKey;"),
            ("lightning/src/derive.rs", "fn f(key: &bitcoin::bip32::Xpriv) {}"),
            ("signer/src/doors/init.rs", "use cryptoki::context::Pkcs11;"),
            ("softhsm-setup/src/main.rs", "fn main() { unsafe { f() } }"),
            ("operator/src/prompt.rs", "memsec::mlock(p)"),
            ("signer/src/journal/decide.rs", "approved.into_request()"),
            ("signer/src/keyring.rs", "struct K(Keypair);"),
            ("policy/src/rules/fee.rs", "std::time::SystemTime::now()"),
            ("policy/src/file/read.rs", "std::fs::read_to_string(path)"),
            ("audit/Cargo.toml", "[package]\nname = \"strongroom-audit\""),
            (
                "audit/Cargo.toml",
                "[package]\nname = \"strongroom-audit\"\n[lints]\nworkspace = true\n[dependencies]\ncryptoki = \"0\"",
            ),
            ("Cargo.toml", "[workspace]\nmembers = []\n[workspace.lints.rust]\nunsafe_code = \"warn\""),
        ] {
            assert_eq!(check(&good().with(path, text)).len(), 1, "{path}: {text}");
        }
        assert_eq!(check(&good().with("audit/src/lib.rs", "mod fixture; #[cfg(test)] mod key;")).len(), 2);
    }
}
