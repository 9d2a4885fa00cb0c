//! How a seed comes in: words, an extended private key, its sealed form; and what it is sealed in.

#![no_main]

use strongroom_hsm::{LockedBytes, SealedBlob};
use strongroom_policy::Network;
use strongroom_signer::keyring::{Seed, SeedError};

/// A word of each is wrong, so that the checksum keeps scrypt out.
const WORDS: [&str; 2] = [
    "abandon paddle dish pattern ride review north awake census include dose base \
     sense jump episode step supply dress luxury direct tree six hub abandon",
    "1. ability 2. sing 3. mistake 4. embrace 5. burst 6. almost 7. sentence 8. desk 9. weekend 10. sniff 11. borrow \
     12. hub 13. month 14. two 15. pistol 16. keep 17. second 18. vendor 19. aunt 20. enable 21. wash 22. trick \
     23. force 24. ability",
];
const TPRV: &str = "tprv8ZgxMBicQKsPfEA1jwTzAXJM5eAUTsbHipBft7dCB7a698kEvd6Yd7cmQusrq49SDYR9xazBRk5APYNreHsUWXNXCToac5TyTDB2Sp2vDiC";

fn seeds() -> impl Iterator<Item = Vec<u8>> {
    let aezeed = [&[1, 0, 0, 1, 25, 130][..], &[9; 16]].concat();
    let extended = [&[1, 1, 1][..], &[5; 64]].concat();
    let blob = [b"SRSB".as_slice(), &[1, 12], &[0xaa; 12], &[0, 0, 0, 48], &[0xbb; 48]].concat();
    WORDS.into_iter().chain([TPRV]).map(|text| text.as_bytes().to_vec()).chain([aezeed, extended, blob])
}

fn run(input: &[u8]) {
    let mut form = input[..input.len().min(4096)].to_vec();
    let locked = LockedBytes::take(&mut form).expect("a page of locked memory");
    if let Ok(seed) = Seed::from_sealed(locked) {
        assert_eq!(seed.sealing_form()[..], *input);
        let _ = (seed.origin(), seed.birthday());
    }
    if let Ok(blob) = SealedBlob::from_bytes(input) {
        assert_eq!(blob.to_bytes(), input);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    refused(text, Seed::from_aezeed(text, b"").err());
    for network in [Network::Mainnet, Network::Regtest, Network::Simnet] {
        refused(text, Seed::from_extended_key(text, network).err());
    }
}

/// An error never repeats a secret that was typed.
fn refused(text: &str, error: Option<SeedError>) {
    let Some(said) = error.map(|error| format!("{error} {error:?}")) else { return };
    let secrets = text.split_whitespace().filter(|word| word.len() > 40);
    for word in secrets {
        assert!(!said.contains(word), "an error repeats what was typed");
    }
}

strongroom_fuzz::target!(seeds, run);
