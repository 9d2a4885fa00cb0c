//! Links libFuzzer, which brings `main`.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=STRONGROOM_PEERS");
    let peers = env::var_os("STRONGROOM_PEERS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.peers"), PathBuf::from);
    let folder = peers.join("lib");
    let library = folder.join("libFuzzer.a");
    assert!(library.exists(), "{} is missing: tests/peers/install fuzzer", library.display());
    println!("cargo:rerun-if-changed={}", library.display());
    println!("cargo:rustc-link-search=native={}", folder.display());
    println!("cargo:rustc-link-lib=static=Fuzzer");
    println!("cargo:rustc-link-lib=stdc++");
    // Debian's is not compiled to be moved.
    println!("cargo:rustc-link-arg-bins=-no-pie");
}
