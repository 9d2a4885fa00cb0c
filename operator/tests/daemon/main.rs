//! The program against a daemon's door: what it sends, what it writes, how it ends.
//!
//! The door is a real one, a tonic server on a Unix socket; the answers behind it are fixed. The suites that run the
//! built daemon are in the crate `strongroom-tests`.

mod door;
mod program;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use door::{Door, SEALED, WORDS};
use program::{Run, run, run_with_fd, run_with_pipe};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

#[test]
fn a_refusal_is_told_with_its_own_exit_code() {
    let door = Door::open();
    door.refuse_everything();
    for command in [
        &["status"][..],
        &["seal"],
        &["node", "list"],
        &["macaroon", "revoke", "x"],
        &["chain", "accept", "x"],
        &["node", "lookahead", "x", "--account", "84", "--index", "1"],
        &["channel", "allow-close", "x", "00:0", "--at-least", "1"],
    ] {
        let Run { code, out, err } = run(&door, command);
        assert_eq!((code, out.as_str()), (4, ""), "{command:?}: {err}");
        assert_eq!(err, format!("strongroom: {SEALED}\n"));
    }
}

#[test]
fn a_pin_comes_by_file_descriptor_only() {
    let door = Door::open();
    let Run { code, err, .. } = run_with_fd(&door, &["unseal", "--pin-fd", "3"], &[(3, "12 34\n")]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(door.seen().pins, [b"12 34"]);
    let Run { code, err, .. } = run_with_pipe(&door, &["unseal", "--pin-fd", "0"], "56");
    assert_eq!(code, 0, "{err}");
    assert_eq!(door.seen().pins.pop().as_deref(), Some(&b"56"[..]));
    let Run { code, err, .. } = run_with_fd(&door, &["unseal", "--pin-fd", "3"], &[(3, "\n")]);
    assert_eq!((code, err.as_str()), (2, "strongroom: the PIN is empty\n"));
    let Run { code, err, .. } = run_with_fd(&door, &["unseal", "--pin-fd", "3"], &[(3, &"1".repeat(5000))]);
    assert_eq!((code, err.as_str()), (2, "strongroom: --pin-fd 3: more than 4096 bytes\n"));
    let Run { code, err, .. } = run(&door, &["unseal", "--pin-fd", "9"]);
    assert_eq!(code, 1, "{err}");
    // Without a terminal it says what to do instead of waiting for ever.
    let Run { code, err, .. } = run(&door, &["unseal"]);
    assert_eq!(code, 1);
    assert!(err.contains("hint: without one, give a file descriptor: --pin-fd 3"), "{err}");
    assert_eq!(door.seen().pins.len(), 1);
}

#[test]
fn init_shows_what_the_token_can_do() {
    let door = Door::open();
    let Run { code, out, err } = run_with_fd(&door, &["init", "--pin-fd", "3"], &[(3, "1234")]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("AES-256-GCM") && out.contains("p256:02aa"), "{out}");
    let json = run_with_fd(&door, &["init", "--pin-fd", "3", "--json"], &[(3, "1234")]).json();
    assert_eq!(json["audit_key"], "p256:02aa");
    assert_eq!(json["capabilities"][0]["micros"], 16);
}

#[test]
fn node_add_writes_what_lnd_needs() {
    let door = Door::open();
    let dir = folder();
    let out = dir.path().join("alice");
    let out = out.to_str().expect("UTF-8");
    let Run { code, out: text, err } = run(&door, &["node", "add", "alice", "--out", out]);
    assert_eq!(code, 0, "{err}");
    let real = fs::canonicalize(out).expect("made");
    let mode = |name: &str| fs::metadata(real.join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!(mode("signer.macaroon"), 0o600);
    assert_eq!(fs::metadata(&real).expect("made").permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read(real.join("signer.macaroon")).expect("written"), [1, 2, 0xff]);
    assert_eq!(fs::read_to_string(real.join("accounts.json")).expect("written"), "{\"accounts\":[]}");
    assert_eq!(fs::read_to_string(real.join("tls.cert")).expect("written"), "-----BEGIN");
    assert!(text.contains(&format!("remotesigner.tlscertpath={}/tls.cert", real.display())), "{text}");
    assert!(text.contains(&format!("lncli createwatchonly {}/accounts.json", real.display())), "{text}");
    assert!(!text.contains("abandon"), "{text}");

    // Files that are there are found before the daemon is asked: a node cannot be added twice.
    let Run { code, err, .. } = run(&door, &["node", "add", "bob", "--out", out]);
    assert_eq!(code, 1);
    assert!(err.contains("exists already"), "{err}");
    assert_eq!(door.seen().added, ["alice generate reveal=false passphrase= expires=0 address="]);
}

#[test]
fn words_of_a_new_seed_go_where_they_are_told_to() {
    let door = Door::open();
    let dir = folder();
    let words = dir.path().join("words");
    fs::write(&words, "").expect("a file");
    let out = dir.path().join("alice");
    let out = out.to_str().expect("UTF-8");
    let arguments =
        ["node", "add", "alice", "--out", out, "--words-fd", "4", "--passphrase-fd", "3", "--json"];
    let run = program::run_with_words_to(&door, &arguments, &[(3, "horse")], (4, &words));
    assert_eq!(run.code, 0, "{}", run.err);
    assert_eq!(fs::read_to_string(&words).expect("written"), format!("{WORDS}\n"));
    assert!(!run.out.contains("abandon") && !run.err.contains("abandon"), "{}{}", run.out, run.err);
    assert_eq!(door.seen().added, ["alice generate reveal=true passphrase=horse expires=0 address="]);

    // Shown on a terminal only: without one nothing is asked of the daemon.
    let out = dir.path().join("bob");
    let out = out.to_str().expect("UTF-8");
    let Run { code, err, .. } = program::run(&door, &["node", "add", "bob", "--out", out, "--reveal-words"]);
    assert_eq!(code, 1);
    assert!(err.contains("--words-fd"), "{err}");
    assert_eq!(door.seen().added.len(), 1);
}

#[test]
fn seeds_are_imported_by_file_descriptor() {
    let door = Door::open();
    let dir = folder();
    let out = |name: &str| dir.path().join(name).to_str().expect("UTF-8").to_owned();
    // Open channels of the node will only close: whoever imports it says that this is known.
    let unasked = ["node", "add", "bob", "--import-aezeed", "--seed-fd", "3", "--out", &out("a")];
    let Run { code, err, .. } = run_with_fd(&door, &unasked, &[(3, WORDS)]);
    assert!(code == 1 && err.contains("only close") && err.contains("--yes"), "{code}: {err}");
    assert!(door.seen().added.is_empty());
    let short = [&unasked[..], &["--yes"]].concat();
    let Run { code, err, .. } = run_with_fd(&door, &short, &[(3, "abandon ability")]);
    assert_eq!((code, err.as_str()), (2, "strongroom: 2 words; an lnd seed has 24\n"));
    assert!(door.seen().added.is_empty());

    let whole = [
        "node",
        "add",
        "bob",
        "--import-aezeed",
        "--yes",
        "--seed-fd",
        "3",
        "--passphrase-fd",
        "4",
        "--out",
        &out("b"),
    ];
    let Run { code, err, out: text } = run_with_fd(&door, &whole, &[(3, WORDS), (4, "horse")]);
    assert_eq!(code, 0, "{err}");
    assert!(text.contains("imported-hot: it was known elsewhere"), "{text}");
    let options = ["--macaroon-expires-in", "90d", "--macaroon-address", "10.0.0.7"];
    let xprv = ["node", "add", "carol", "--import-xprv", "--yes", "--seed-fd", "3", "--out", &out("c")];
    let Run { code, err, .. } =
        run_with_fd(&door, &[&xprv[..], &options].concat(), &[(3, "tprv8ZgxMBicQKsPe\n")]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(
        door.seen().added,
        [
            format!("bob aezeed {WORDS} passphrase=horse expires=0 address="),
            "carol xprv tprv8ZgxMBicQKsPe expires=7776000 address=10.0.0.7".to_owned(),
        ]
    );
}

#[test]
fn macaroons_are_minted_to_a_file_and_listed() {
    let door = Door::open();
    let dir = folder();
    let file = dir.path().join("signer.macaroon");
    let out = file.to_str().expect("UTF-8");
    let Run { code, out: text, err } = run(&door, &["macaroon", "mint", "alice", "--out", out]);
    assert_eq!(code, 0, "{err}");
    assert!(text.starts_with("macaroon 5f3a for client lnd of node alice"), "{text}");
    assert_eq!(fs::metadata(&file).expect("written").permissions().mode() & 0o777, 0o600);
    assert_eq!(run(&door, &["macaroon", "mint", "alice", "--out", out]).code, 1);
    assert_eq!(run(&door, &["macaroon", "mint", "alice", "--out", "x", "--expires-in", "1ms"]).code, 2);
    assert_eq!(door.seen().minted, ["alice lnd expires=0 address="]);
    let listed = run(&door, &["macaroon", "list"]).out;
    assert_eq!(listed, "5f3a  alice as lnd, expires 2026-01-01T00:00:00Z, from 10.0.0.7, revoked\n");
}

#[test]
fn a_chain_is_accepted_by_the_hash_of_a_block() {
    let door = Door::open();
    let Run { code, out, err } = run(&door, &["chain", "accept", "00ab"]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("followed from block 00ab"), "{out}");
    assert_eq!(door.seen().accepted, ["00ab"]);
    assert_eq!(run(&door, &["chain", "accept", "00ab", "--json"]).json()["block"], "00ab");
    assert_eq!(run(&door, &["chain", "accept"]).code, 2);
}

#[test]
fn the_lookahead_moves_on_one_branch() {
    let door = Door::open();
    let moves = ["node", "lookahead", "alice", "--account", "84", "--index", "4200", "--change"];
    let Run { code, out, err } = run(&door, &moves);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("up to index 4,200 of m/84'/0'/0'/1"), "{out}");
    let seen = door.seen().moved.pop().expect("asked");
    assert_eq!((seen.name.as_str(), seen.account, seen.change, seen.index), ("alice", 84, true, 4200));
    let json =
        run(&door, &["node", "lookahead", "alice", "--account", "86", "--index", "7", "--json"]).json();
    assert_eq!((json["account"].as_u64(), json["change"].as_bool()), (Some(86), Some(false)));
    for wrong in [
        &["node", "lookahead", "alice", "--account", "44", "--index", "7"][..],
        &["node", "lookahead", "alice", "--account", "84"],
        &["node", "lookahead", "alice", "--account", "84", "--index", "-1"],
    ] {
        assert_eq!(run(&door, wrong).code, 2, "{wrong:?}");
    }
}

#[test]
fn a_close_is_allowed_with_what_it_must_pay() {
    let door = Door::open();
    for wrong in [
        &["channel", "allow-close", "alice", "ab:0"][..],
        &["channel", "allow-close", "alice", "ab:0", "--at-least", "-1"],
        &["channel", "allow-close", "alice", "ab:0", "--at-least", "1", "--expires-in", "soon"],
        &["channel", "allow-close", "alice", "--at-least", "1"],
    ] {
        assert_eq!(run(&door, wrong).code, 2, "{wrong:?}");
    }
    assert!(door.seen().allowed.is_empty());
    let allow = ["channel", "allow-close", "alice", "ab:0", "--at-least", "1990000"];
    let Run { code, out, err } = run(&door, &allow);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.contains("at least 1,990,000 sat") && out.contains("2026-01-02T00:00:00Z"), "{out}");
    assert!(out.contains("know of nothing"), "{out}");
    let seen = door.seen().allowed.pop().expect("asked");
    assert_eq!((seen.channel.as_str(), seen.at_least_sat, seen.expires_in), ("ab:0", 1_990_000, 86_400));
    let json = run(&door, &[&allow[..], &["--expires-in", "2h", "--json"]].concat()).json();
    assert_eq!((json["at_least_sat"].as_u64(), json["balance_sat"].as_u64()), (Some(1_990_000), None));
    assert_eq!(json["expires"].as_u64(), Some(1_767_225_600 + 7_200));
}

#[test]
fn status_in_words_and_in_json() {
    let door = Door::open();
    let words = run(&door, &["status"]).out;
    assert_eq!(words, fs::read_to_string("tests/daemon/status.txt").expect("committed"));
    let json = run(&door, &["status", "--json"]).json();
    assert_eq!(json["state"], "sealed");
    assert_eq!(json["observed_rules"][0], "fee-cap");
    assert_eq!(json["nodes"][0]["outflow_limit_sat"], 5_000_000);
    assert_eq!(json["token_heartbeat_ms"], 1234);
    assert_eq!(json["nodes"][0]["refused_claims"].as_array().map(Vec::len), Some(6));
    assert_eq!(json["nodes"][0]["refused_claims"][0]["sat"], 8_640_000);
    assert_eq!(json["chain"]["state"], "contradicting");
    assert_eq!(json["chain"]["height"], 850_000);
}

#[test]
fn the_journal_is_shown_without_letting_it_speak_to_the_terminal() {
    let door = Door::open();
    let Run { code, out, err } = run(&door, &["journal", "tail"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, fs::read_to_string("tests/daemon/tail.txt").expect("committed"));
    let leaves = run(&door, &["journal", "tail", "--json"]).out;
    let first: serde_json::Value =
        serde_json::from_str(leaves.lines().next().expect("a leaf")).expect("JSON");
    assert_eq!(first["event"]["started"]["network"], "regtest");
}

#[test]
fn a_decision_says_which_rules_it_stands_on() {
    let door = Door::open();
    let Run { code, out, err } = run(&door, &["journal", "tail", "--checks"]);
    assert_eq!(code, 0, "{err}");
    let told = "at T0\n          enforced: grant, sighash\n          idle: chain-current\n          not enforceable: policy-onchain-no-fund-inbound\n";
    assert_eq!(out.matches("enforced: ").count(), 1, "{out}");
    assert!(out.contains(told), "{out}");
    let leaves = run(&door, &["journal", "tail", "--checks", "--json"]).out;
    let leaf: serde_json::Value = serde_json::from_str(leaves.lines().nth(7).expect("a leaf")).expect("JSON");
    assert_eq!(leaf["event"]["decision"]["tier"], "T0");
    assert_eq!(leaf["checks"]["enforced"], serde_json::json!(["grant", "sighash"]));
    assert_eq!(door.seen().leaves, [41, 41], "each list is asked for once");
}

#[test]
fn an_export_verifies_and_a_broken_one_leaves_no_file() {
    let door = Door::open();
    let dir = folder();
    let file = dir.path().join("day.jsonl");
    let path = file.to_str().expect("UTF-8");
    let Run { code, out, err } = run(&door, &["journal", "export", path]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("strongroom journal verify"), "{out}");
    let verified = run(&door, &["journal", "verify", path, "--json"]).json();
    assert_eq!((&verified["size"], &verified["refused"]), (&6.into(), &1.into()));
    assert_eq!(run(&door, &["journal", "export", "-"]).out, fs::read_to_string(&file).expect("written"));

    door.break_exports();
    let broken = dir.path().join("broken.jsonl");
    let Run { code, err, .. } = run(&door, &["journal", "export", broken.to_str().expect("UTF-8")]);
    assert_eq!((code, err.as_str()), (4, "strongroom: token gone\n"));
    assert!(!broken.exists());
}

#[test]
fn policy_in_force_is_shown_as_its_file() {
    let door = Door::open();
    assert_eq!(run(&door, &["policy", "show"]).out, "version = 1\n");
    assert_eq!(run(&door, &["policy", "show", "--json"]).json()["digest"], "cdcd");
}

#[test]
fn versions_of_both() {
    let door = Door::open();
    assert_eq!(run(&door, &["version", "--json"]).json()["strongroomd"], "9.9.9");
}
