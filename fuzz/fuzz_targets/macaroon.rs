//! A macaroon, as lnd sends it with each call, and caveats that anybody may add.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use strongroom_signer::doors::macaroon::{Macaroon, MacaroonError};

const ROOT: [u8; 32] = [7; 32];
/// Longest macaroon that is looked at.
const MOST: usize = 4096;

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let caveats: [&[&str]; 5] = [
        &[],
        &["time-before 2026-01-01T00:00:00Z"],
        &["ipaddr 10.0.0.1"],
        &["ipaddr ::ffff:10.0.0.1", "time-before 2100-12-31T23:59:59.999+01:00"],
        &["colour blue"],
    ];
    caveats.into_iter().flat_map(|caveats| {
        let caveats: Vec<String> = caveats.iter().map(|caveat| (*caveat).to_owned()).collect();
        let minted = Macaroon::mint(&ROOT, b"0123456789abcdef", caveats.clone()).to_bytes();
        [minted, caveats.join("\n").into_bytes()]
    })
}

fn run(input: &[u8]) {
    if let Ok(macaroon) = Macaroon::from_bytes(input) {
        assert_eq!(Macaroon::from_hex(&hex::encode(input)), Ok(macaroon.clone()));
        kept(&macaroon);
        let _ = held(&macaroon);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = Macaroon::from_hex(text);
    let minted =
        Macaroon::mint(&ROOT, &input[..input.len().min(16)], text.lines().map(str::to_owned).collect());
    kept(&minted);
    assert_ne!(held(&minted), Err(MacaroonError::Forged));
}

fn kept(macaroon: &Macaroon) {
    let bytes = macaroon.to_bytes();
    if bytes.len() <= MOST {
        assert_eq!(Macaroon::from_bytes(&bytes).as_ref(), Ok(macaroon));
    }
}

/// Another root key never lets it in.
fn held(macaroon: &Macaroon) -> Result<(), MacaroonError> {
    let peer = Some(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(macaroon.verify(&[8; 32], 0, peer), Err(MacaroonError::Forged));
    macaroon.verify(&ROOT, 1_767_225_600, peer)
}

strongroom_fuzz::target!(seeds, run);
