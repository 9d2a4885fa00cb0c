//! The proof of approval: made in one place, used once, and neither forged nor copied.

use crate::code::{code_of, lines_with};
use crate::tree::Tree;

const HOME: &str = "signer/src/journal/approved.rs";
const MAKERS: &str = "signer/src/journal/";

/// What a `compile_fail` twin must show, and the compiler errors that show it.
const TWINS: &[(&str, &[&str])] = &[
    ("cannot be forged", &["E0451", "E0624", "E0603", "E0423"]),
    ("cannot be cloned", &["E0599"]),
    ("cannot be used twice", &["E0382"]),
];

/// Approvals made outside the journal, ways to copy one, and missing twins.
pub fn check(tree: &Tree) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, code) in tree.rust_code() {
        if !path.starts_with(MAKERS) {
            let made = made_at(&code);
            problems
                .extend(made.iter().map(|line| format!("{path}:{line}: Approved is made in {MAKERS} only")));
        }
        for copied in
            ["Clone for Approved", "Copy for Approved", "Default for Approved", "Deserialize for Approved"]
        {
            let lines = lines_with(&squeezed(&code), copied);
            problems.extend(lines.iter().map(|_| format!("{path}: {copied}: an approval is one")));
        }
    }
    let text = tree.text(HOME);
    let code = code_of(text);
    let Some((before, after)) = code.split_once("pub struct Approved") else {
        problems.push(format!("{HOME}: no struct Approved"));
        return problems;
    };
    let attributes = before.rsplit(['}', ';']).next().unwrap_or_default();
    if attributes.contains("derive") {
        problems
            .push(format!("{HOME}: Approved derives something: an approval is neither copied nor printed"));
    }
    let fields = after.split('}').next().unwrap_or_default();
    if fields.contains("pub") {
        problems.push(format!("{HOME}: Approved has a field that others can write"));
    }
    if !code.contains("pub(super) fn new") {
        problems.push(format!("{HOME}: Approved::new is not pub(super)"));
    }
    for item in
        code.split("fn ").skip(1).zip(code.split("fn ")).filter(|(item, _)| item.starts_with("for_test"))
    {
        if !item.1.trim_end().ends_with("pub(crate)") || !item.1.contains("#[cfg(test)]") {
            problems.push(format!("{HOME}: for_test exists outside tests"));
        }
    }
    let twins: Vec<&str> =
        text.lines().filter_map(|line| line.split_once("```compile_fail")).map(|(_, code)| code).collect();
    for (shows, errors) in TWINS {
        if !twins.iter().any(|twin| errors.iter().any(|error| twin.contains(error))) {
            problems.push(format!("{HOME}: no doc test ```compile_fail,{} that shows it {shows}", errors[0]));
        }
    }
    problems
}

/// Lines that call `Approved::new` or `for_test`, with or without type arguments, or write the struct out.
fn made_at(code: &str) -> Vec<usize> {
    let mut made = Vec::new();
    for (at, name) in code.match_indices("Approved") {
        if code[..at].chars().next_back().is_some_and(crate::code::is_word) {
            continue;
        }
        let mut after = code[at + name.len()..].trim_start();
        if let Some(generic) = after.strip_prefix("::<").or_else(|| after.strip_prefix('<')) {
            after = generic.split_once('>').map_or("", |(_, after)| after).trim_start();
        }
        let after: String = after.chars().take(64).filter(|c| !c.is_whitespace()).collect();
        if after.starts_with("::new(") || after.starts_with("{request") || after.starts_with("::new)") {
            made.push(code[..at].matches('\n').count() + 1);
        }
    }
    made
}

/// Words with one space between, generics of the `impl` dropped: `impl<T> Clone for Approved<T>` holds `Clone for Approved`.
fn squeezed(code: &str) -> String {
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "/// ```compile_fail,E0624\n/// ```\n/// ```compile_fail,E0599\n/// ```\n/// ```compile_fail,E0382\n/// ```\n\
        #[must_use]\npub struct Approved<T> {\n    request: T,\n    leaf: u64,\n}\nimpl<T> Approved<T> {\n    \
        pub(super) fn new(request: T, leaf: u64) -> Self {\n        Self { request, leaf }\n    }\n    \
        #[cfg(test)]\n    pub(crate) fn for_test(request: T) -> Self {\n        Self { request, leaf: 0 }\n    }\n}\n";

    fn good() -> Tree {
        Tree::of(&[
            (HOME, GOOD),
            ("signer/src/journal/mod.rs", "let a = Approved::new(request, 1);"),
            ("signer/src/keyring/mod.rs", "fn sign<T>(approved: Approved<T>) {} // not Approved::new(…)"),
        ])
    }

    #[test]
    fn the_real_shape_passes() {
        assert_eq!(check(&good()), Vec::<String>::new());
    }

    #[test]
    fn mutants_are_caught() {
        for (path, text) in [
            ("signer/src/line.rs", "Approved::new(request, 0)"),
            ("signer/src/rpc/sign.rs", "let a: Approved<_> = Approved::<Request>::new(request, 0);"),
            ("signer/src/keyring/mod.rs", "Approved { request, leaf: 0 }"),
            ("signer/src/keyring/mod.rs", "requests.map(Approved\n    ::new)"),
            ("signer/src/keyring/mod.rs", "impl<T: Clone>\nClone for Approved<T> {}"),
        ] {
            assert_eq!(check(&good().with(path, text)).len(), 1, "{text}");
        }
        for (part, instead) in [
            ("#[must_use]", "#[derive(Clone)]"),
            ("    leaf: u64,", "    pub leaf: u64,"),
            ("pub(super) fn new", "pub(crate) fn new"),
            ("    #[cfg(test)]\n", ""),
            ("compile_fail,E0624", "no_run"),
            ("compile_fail,E0599", "compile_fail"),
            ("compile_fail,E0382", "ignore"),
        ] {
            assert!(GOOD.contains(part));
            assert_eq!(
                check(&good().with(HOME, &GOOD.replace(part, instead))).len(),
                1,
                "{part} -> {instead}"
            );
        }
    }
}
