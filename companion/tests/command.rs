//! The command as a user meets it before anything runs.

use std::process::{Command, Output};

fn companion(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_strongroom-companion")).args(args).output().expect("it starts")
}

#[test]
fn help_says_what_it_needs() {
    let output = companion(&["--help"]);
    let help = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{:?}", output.status);
    for needed in [
        "rpcmiddleware.enable=true",
        "RegisterRPCMiddleware",
        "macaroon mint",
        "when_unreachable",
        "intercept_forwards",
        "/routerrpc.Router/HtlcInterceptor",
        "one interceptor",
        "offchain:write",
    ] {
        assert!(help.contains(needed), "{needed:?} is missing:\n{help}");
    }
}

#[test]
fn a_configuration_that_is_not_there_is_named() {
    let output = companion(&["--check", "--config", "/nowhere/companion.toml"]);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("/nowhere/companion.toml"), "{told}");
}
