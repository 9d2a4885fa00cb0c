//! Runs the built binary and uses the token it made.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use softhsm_setup::{DevToken, SetupError, create, repair};
use strongroom_hsm::{Pin, TokenUri, initialise};

fn setup(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_softhsm-setup")).args(arguments).output().unwrap()
}

/// Uses the token in a process of its own, as SoftHSM's configuration demands.
fn use_token(test: &str, token: &DevToken) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", &token.conf)
        .env("SETUP_TEST_TOKEN", serde_json::to_string(token).unwrap())
        .output()
        .unwrap()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_token_is_never_made_over_another() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().to_str().unwrap();
    assert!(setup(&[dir]).status.success());
    let pin = fs::read(Path::new(dir).join("pin")).unwrap();
    let second = setup(&[dir]);
    assert!(!second.status.success());
    assert!(String::from_utf8_lossy(&second.stderr).contains("is there already"));
    assert_eq!(fs::read(Path::new(dir).join("pin")).unwrap(), pin);
}

#[test]
fn a_missing_module_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("token");
    let output = setup(&[target.to_str().unwrap(), "--module", "/nowhere/libsofthsm2.so"]);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("/nowhere/libsofthsm2.so"));
    assert!(!target.exists());
}

#[test]
fn the_token_works_and_its_files_are_private() {
    if let Ok(token) = std::env::var("SETUP_TEST_TOKEN") {
        let token: DevToken = serde_json::from_str(&token).unwrap();
        let pin = Pin::new(fs::read(token.pin_file.unwrap()).unwrap()).ok().unwrap();
        let uri: TokenUri = token.uri.parse().unwrap();
        let made = initialise(&uri, &pin, "dev").ok().unwrap();
        made.token.heartbeat().unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let token = create(&dir.path().join("token"), "a label; with % signs").unwrap();
    assert!(token.uri.contains("token=a%20label%3B%20with%20%25%20signs"));
    for private in [token.pin_file.as_ref().unwrap(), token.so_pin_file.as_ref().unwrap(), &token.conf] {
        assert_eq!(mode(private), 0o600, "{}", private.display());
    }
    assert_eq!(mode(&dir.path().join("token")), 0o700);
    assert_eq!(mode(&dir.path().join("token/tokens")), 0o700);
    let used = use_token("the_token_works_and_its_files_are_private", &token);
    assert!(used.status.success(), "{}", String::from_utf8_lossy(&used.stdout));
}

#[test]
fn a_given_pin_is_written_nowhere() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_softhsm-setup"))
        .args([dir.path().to_str().unwrap(), "--json", "--pin-fd", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"a given PIN\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let token: DevToken = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(token.pin_file, None);
    assert!(!dir.path().join("pin").exists());
    assert_eq!(mode(&token.so_pin_file.unwrap()), 0o600);
}

#[test]
fn a_head_file_cut_to_nothing_is_restored() {
    let dir = tempfile::tempdir().unwrap();
    create(dir.path(), "dev").unwrap();
    let token = fs::read_dir(dir.path().join("tokens")).unwrap().next().unwrap().unwrap().path();
    let head = token.join("token.object");
    let whole = fs::read(&head).unwrap();
    assert_eq!(repair(dir.path()).unwrap(), 0);
    fs::write(&head, b"").unwrap();
    assert_eq!(repair(dir.path()).unwrap(), 1);
    assert_eq!(fs::read(&head).unwrap(), whole);
    assert_eq!(mode(&head), 0o600);
}

#[test]
fn without_its_environment_the_library_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let layout = softhsm_setup::Layout::new(dir.path()).unwrap();
    let refused = softhsm_setup::create_here(&layout, "dev", None, None, None);
    assert!(matches!(refused, Err(SetupError::Environment(_))));
}
