//! What README.md and deploy/ tell an operator to do is what the daemon understands.

use std::path::Path;
use std::process::Command;

use strongroom_signer::config::{Config, PinFrom};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The lines of the unit that set `key`, without it.
fn settings<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The configuration that README.md shows.
fn configuration() -> Config {
    let readme = read("README.md");
    let (_, rest) = readme.split_once("```toml").expect("README.md shows a configuration");
    let (text, _) = rest.split_once("```").expect("and where it ends");
    let text: String = text.lines().map(|line| format!("{}\n", line.trim())).collect();
    Config::parse("README.md", &text).expect("it is complete")
}

#[test]
fn the_unit_starts_the_daemon_by_flags_it_has() {
    let unit = read("deploy/strongroomd.service");
    let help = Command::new(env!("CARGO_BIN_EXE_strongroomd")).arg("--help").output().expect("it runs");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let starts = [settings(&unit, "ExecStart"), settings(&unit, "ExecStartPre")].concat();
    assert_eq!(starts.len(), 2, "{unit}");
    for start in starts {
        let mut words = start.split_whitespace();
        assert_eq!(words.next(), Some("/usr/bin/strongroomd"));
        for flag in words.filter(|word| word.starts_with('-')) {
            let known = help.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == flag);
            assert!(known, "{start}: --help does not know {flag}");
        }
    }
}

#[test]
fn readme_and_unit_mean_the_same_places() {
    let (unit, config) = (read("deploy/strongroomd.service"), configuration());
    let PinFrom::Credential(name) = &config.appliance.pin else { panic!("the PIN is a credential") };
    let credentials = settings(&unit, "LoadCredentialEncrypted");
    assert!(credentials.iter().any(|line| line.split(':').next() == Some(name)), "{credentials:?}");
    for (key, path) in [
        ("StateDirectory", config.appliance.state_dir.strip_prefix("/var/lib").expect("below /var/lib")),
        (
            "RuntimeDirectory",
            config.operator.socket.strip_prefix("/run").ok().and_then(Path::parent).expect("below /run"),
        ),
    ] {
        assert_eq!(settings(&unit, key), [path.to_str().expect("UTF-8")], "{key}");
    }
    let readme = read("README.md");
    assert!(readme.contains("deploy/strongroomd.service"), "README.md does not name the unit");
}

/// What keeps seeds out of reach is set, and to no weaker value.
#[test]
fn the_unit_is_hardened() {
    let unit = read("deploy/strongroomd.service");
    for (key, value) in [
        ("Type", "notify"),
        ("User", "strongroom"),
        ("Restart", "on-failure"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("CapabilityBoundingSet", ""),
        ("LimitCORE", "0"),
        ("UMask", "0077"),
    ] {
        assert_eq!(settings(&unit, key), [value], "{key}");
    }
    // LockedArena takes a slot of a page at most for each MuSig2 session, seeds and keys some pages more.
    assert_eq!(settings(&unit, "LimitMEMLOCK"), ["64M"]);
}
