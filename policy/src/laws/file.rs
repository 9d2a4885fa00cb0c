//! Files that are refused, and what the refusal says.

use crate::fixture::*;
use crate::{Network, Policy, PolicyError, Profile};

fn text() -> String {
    Profile::Cautious.render(Network::Regtest)
}

fn refused(text: &str) -> PolicyError {
    Policy::from_toml(text).expect_err("this file must be refused")
}

/// The line of the first occurrence of `what`, from 1.
fn line_of(text: &str, what: &str) -> usize {
    1 + text.lines().position(|line| line.contains(what)).expect("the text has it")
}

#[test]
fn a_bad_value_is_named_with_its_line_and_key() {
    // (table, key, value, key as named, in the problem)
    let table = [
        ("outflow", "max_in_window_sat", "-5", "outflow.max_in_window_sat", "-5"),
        (
            "outflow",
            "max_in_window_sat",
            "2_100_000_000_000_001",
            "outflow.max_in_window_sat",
            "2100000000000000 sat",
        ),
        ("outflow", "max_in_window_sat", "\"lots\"", "outflow.max_in_window_sat", "string \"lots\""),
        ("outflow", "max_in_window_sat", "1.5", "outflow.max_in_window_sat", "1.5"),
        ("fees.wallet", "max_rate_sat_per_vb", "0", "fees.wallet.max_rate_sat_per_vb", "1 to 1000000"),
        (
            "channels",
            "max_unmatched_funding_count",
            "4294967296",
            "channels.max_unmatched_funding_count",
            "4294967296",
        ),
        ("fees.closing", "max_share_per_mille", "1001", "fees.closing.max_share_per_mille", "0 to 1000"),
        ("rules", "force-close-window", "\"enforce\"", "rules.force-close-window", "tells and never refuses"),
        ("messages", "kinds", "[\"unknown\"]", "messages.kinds", "`tagged`"),
        ("messages", "kinds", "[\n  \"invoice\",\n  \"bolt99\",\n]", "messages.kinds", "bolt99"),
        (
            "ecdh",
            "keys",
            "[\"node\", \"multisig\"]",
            "ecdh.keys",
            "node, static-backup, tower-session, tower-id",
        ),
        ("ecdh", "keys", "[\"revocation-root\"]", "ecdh.keys", "static-backup"),
        ("channels", "require_tier", "\"T3\"", "channels.require_tier", "`T1`"),
        ("peers", "mode", "\"some\"", "peers.mode", "`any` or `listed`"),
        ("peers", "listed", "[\"02aa\"]", "peers.listed", "66 hex digits"),
        ("musig2", "enabled", "\"no\"", "musig2.enabled", "boolean"),
        ("window", "seconds", "1", "window", "60 to 31,536,000"),
        ("vls", "mode", "\"warn\"", "vls.mode", "`enforce` or `observe`"),
        ("vls", "chain", "true", "vls.chain", "string"),
        ("vls", "max_htlcs", "65536", "vls.max_htlcs", "65536"),
        ("vls", "min_htlc_expiry_blocks", "2161", "vls.min_htlc_expiry_blocks", "at most"),
        ("vls", "min_commitment_sat_per_kw", "900001", "vls.min_commitment_sat_per_kw", "900000"),
        ("vls", "min_sweep_sat_per_kw", "300001", "vls.min_sweep_sat_per_kw", "300000"),
        ("vls", "report_only", "[\"fee-cap\"]", "vls.report_only", "policy-commitment-retry-same"),
        ("rules", "sighash", "\"warn\"", "rules.sighash", "`enforce` or `observe`"),
        ("grants", "client", "\"*\"", "grants.client", "a-z, 0-9"),
        ("grants", "node", "\"\"", "grants.node", "nor \"*\""),
        ("grants", "operations", "[\"sign-everything\"]", "grants.operations", "`sign-psbt`"),
        ("grants", "keys", "[\"family-6\"]", "grants.keys", "`revocation-root`"),
    ];
    for (table, key, value, named, says) in table {
        let edited = edited_text(text(), table, key, value);
        let error = refused(&edited);
        assert_eq!(error.key, named, "{error}");
        assert!(error.problem.contains(says), "{error}");
        let place = match value.split('\n').count() {
            1 if table == "window" => line_of(&edited, "[window]"),
            1 => line_of(&edited, &format!("{key} = {value}")),
            _ => line_of(&edited, "bolt99"),
        };
        assert_eq!(error.line, place, "{error}");
    }
}

#[test]
fn the_files_own_head_is_checked() {
    for (from, to, key, says) in [
        ("version = 1", "version = 2", "version", "allowed: 1"),
        ("network = \"regtest\"", "network = \"moonnet\"", "network", "`testnet4`"),
        ("profile = \"cautious\"", "profile = \"My Policy\"", "profile", "a-z, 0-9"),
        ("profile = \"cautious\"", "profile = \"\"", "profile", "1 to 32"),
        ("version = 1", "version = 1\nversion = 1", "version", "duplicate"),
        ("version = 1", "version = ", "version", "value"),
    ] {
        let error = refused(&text().replace(from, to));
        assert_eq!(error.key, key, "{error}");
        assert!(error.problem.contains(says), "{error}");
    }
}

#[test]
fn every_key_is_required() {
    let whole = text();
    let mut now = None;
    let mut tried = 0;
    for (at, line) in whole.lines().enumerate() {
        if line.starts_with("[[") {
            break;
        }
        if let Some(table) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            now = Some(table);
            continue;
        }
        let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else {
            continue;
        };
        let without: Vec<&str> =
            whole.lines().enumerate().filter(|(n, _)| *n != at).map(|(_, l)| l).collect();
        let error = refused(&without.join("\n"));
        tried += 1;
        if now == Some("rules") {
            assert!(error.problem.contains(&format!("given no {key:?}")), "{error}");
            continue;
        }
        let named = now.map_or(key.to_owned(), |table| format!("{table}.{key}"));
        assert_eq!(error.key, named, "{error}");
        assert!(error.problem.contains("required"), "{error}");
        if let Some(table) = now {
            assert_eq!(error.line, line_of(&whole, &format!("[{table}]")), "{error}");
        }
    }
    assert!(tried > 50, "only {tried} keys");
    assert!(refused("").problem.contains("required"));
}

#[test]
fn unknown_keys_are_refused_in_every_table() {
    let whole = text();
    let tables: Vec<&str> = whole.lines().filter(|line| line.starts_with('[')).collect();
    assert!(tables.len() > 10);
    for table in tables {
        let value = if table == "[rules]" { "\"enforce\"" } else { "1" };
        let error = refused(&whole.replacen(table, &format!("{table}\nbogus = {value}"), 1));
        assert!(error.key.ends_with("bogus"), "{error}");
        assert!(error.problem.contains("bogus"), "{error}");
        assert_eq!(error.line, line_of(&whole, table) + 1, "{error}");
    }
    assert_eq!(refused(&format!("bogus = 1\n{whole}")).key, "bogus");
}

#[test]
fn rules_that_protect_money_are_observed_on_local_networks_only() {
    for rule in &crate::rules::ALL {
        for network in Network::ALL {
            let text = edited_text(Profile::Cautious.render(network), "rules", rule.tag.0, "\"observe\"");
            match Policy::from_toml(&text) {
                Ok(policy) => {
                    assert!(network.is_local() || !rule.protects_money, "{} on {network}", rule.tag);
                    assert!(rule.is_alarm() || policy.observed_rules() == [rule.tag]);
                }
                Err(error) => {
                    assert!(!network.is_local() && rule.protects_money, "{} on {network}: {error}", rule.tag);
                    assert_eq!(error.key, format!("rules.{}", rule.tag));
                    let line = format!("{} = \"observe\"", rule.tag);
                    assert_eq!(error.line, line_of(&text, &line), "{error}");
                    assert!(error.problem.contains(network.as_str()), "{error}");
                }
            }
        }
    }
}

#[test]
fn vls_reports_without_refusing_on_local_networks_only() {
    for network in Network::ALL {
        let cautious = Profile::Cautious.render(network);
        for (key, value) in [("mode", "\"observe\""), ("report_only", "[\"policy-sweep-version\"]")] {
            match Policy::from_toml(&edited_text(cautious.clone(), "vls", key, value)) {
                Ok(policy) => {
                    assert!(network.is_local(), "{network}: {key}");
                    let broken = |tag| crate::Violation::new(crate::Tag(tag), "a", "b");
                    let (refuses, reported) = policy.vls().split(vec![broken("policy-sweep-version")]);
                    assert_eq!((refuses.len(), reported.len()), (0, 1));
                }
                Err(error) => {
                    assert!(!network.is_local(), "{network}: {error}");
                    assert_eq!(error.key, format!("vls.{key}"));
                    assert!(error.problem.contains(network.as_str()), "{error}");
                }
            }
        }
        let policy = Policy::from_toml(&cautious).expect("the shipped profile is a policy");
        let broken = ["policy-sweep-version", "policy-commitment-retry-same", "vls-panic"]
            .map(|tag| crate::Violation::new(crate::Tag(tag), "a", "b"))
            .to_vec();
        let (refuses, reported) = policy.vls().split(broken.clone());
        assert_eq!(refuses, [broken[0].clone(), broken[2].clone()]);
        assert_eq!(reported, [broken[1].clone()]);
    }
}

/// The first of BIP173's examples, on mainnet and on testnet.
const MAINNET: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
const TESTNET: &str = "tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx";
const SCRIPT: &str = "0014751e76e8199196d454941c45d1b3a323f1433bd6";

fn listing(network: Network, entries: &str) -> Result<Policy, PolicyError> {
    Policy::from_toml(&(Profile::Cautious.render(network) + entries))
}

#[test]
fn allowlist_entries_are_checked_against_the_network() {
    let address = |address: &str| format!("[[allowlist]]\nlabel = \"cold\"\naddress = \"{address}\"\n");
    let script = |script: &str| format!("[[allowlist]]\nlabel = \"cold\"\nscript = \"{script}\"\n");
    let typo = MAINNET.replace("kv8", "kv9");
    for (network, entry, key, says) in [
        (Network::Mainnet, address(TESTNET), "allowlist.address", "another network"),
        (Network::Regtest, address(TESTNET), "allowlist.address", "an address of regtest"),
        (Network::Signet, address(MAINNET), "allowlist.address", "another network"),
        (Network::Simnet, address(TESTNET), "allowlist.address", "give the script"),
        (Network::Mainnet, address(&typo), "allowlist.address", "not a bitcoin address"),
        (Network::Mainnet, address(""), "allowlist.address", "not a bitcoin address"),
        (Network::Mainnet, script("0014zz"), "allowlist.script", "not hex"),
        (Network::Mainnet, script(""), "allowlist.script", "no script that coins are kept in"),
        (Network::Mainnet, script("6a0401020304"), "allowlist.script", "no script that coins are kept in"),
        (Network::Mainnet, script("51"), "allowlist.script", "no script that coins are kept in"),
        (Network::Mainnet, address(MAINNET) + &script(SCRIPT), "allowlist.script", "it is \"cold\" already"),
        (Network::Mainnet, "[[allowlist]]\nlabel = \"cold\"\n".into(), "allowlist.label", "exactly one"),
        (Network::Mainnet, address(MAINNET) + "script = \"00\"\n", "allowlist.label", "exactly one"),
        (Network::Mainnet, address(MAINNET).replace("cold", " "), "allowlist.label", "1 to 64"),
        (Network::Mainnet, address(MAINNET).replace("label = \"cold\"\n", ""), "allowlist.label", "required"),
    ] {
        let error = listing(network, &entry).expect_err(&entry);
        assert_eq!(error.key, key, "{error}");
        assert!(error.problem.contains(says), "{error}");
        assert!(error.line > Profile::Cautious.render(network).lines().count(), "{error}");
    }
    let expected = bitcoin::ScriptBuf::from_hex(SCRIPT).expect("hex");
    for (network, entry) in [
        (Network::Mainnet, address(MAINNET)),
        (Network::Testnet, address(TESTNET)),
        (Network::Testnet4, address(TESTNET)),
        (Network::Signet, address(TESTNET)),
        (Network::Simnet, script(SCRIPT)),
    ] {
        let policy = listing(network, &entry).expect(&entry);
        assert_eq!(policy.allowlist().label(&expected), Some("cold"));
        assert_eq!(policy.allowlist().len(), 1);
    }
}
