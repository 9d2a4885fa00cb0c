//! Words that real lnds made of known entropy, and what must not become a seed.

use std::time::SystemTime;

use super::*;

/// Entropy, passphrase, words: made by lnd v0.21.3's GenSeed, birthday day 6530.
const SEEDS: [(&str, &str, &str); 3] = [
    (
        "75772655d419d52a00c40a83631862ce",
        "",
        "abandon paddle dish pattern ride review north awake census include dose base \
         sense jump episode step supply dress luxury direct tree six hub feature",
    ),
    (
        "75772655d419d52a00c40a83631862ce",
        "a passphrase of my own",
        "about age mobile nose ability cheap brother upper mountain spare divorce oven \
         sad drift cool clinic chicken market small kingdom dream census maple pencil",
    ),
    (
        "47e20feefc7277d5811c4fb8e32f27ad",
        "a passphrase of my own",
        "ability sing mistake embrace burst almost sentence desk weekend sniff borrow hub \
         month two pistol keep second vendor aunt enable wash trick force pool",
    ),
];

fn refusal(seed: Result<Seed, SeedError>) -> SeedError {
    seed.err().expect("the seed is refused")
}

#[test]
fn wrong_words_and_passphrases_are_told_apart() {
    let (_, passphrase, words) = SEEDS[1];
    assert!(matches!(refusal(Seed::from_aezeed(words, b"wrong")), SeedError::Passphrase));
    assert!(matches!(refusal(Seed::from_aezeed(words, b"")), SeedError::Passphrase));
    let swapped = words.replacen("about age", "age about", 1);
    assert!(matches!(refusal(Seed::from_aezeed(&swapped, passphrase.as_bytes())), SeedError::Checksum));
    let unknown = words.replacen("mobile", "mobil", 1);
    let refused = refusal(Seed::from_aezeed(&unknown, passphrase.as_bytes()));
    assert!(matches!(refused, SeedError::UnknownWord { position: 3 }));
    assert!(!refused.to_string().contains("mobil"));
    assert!(matches!(refusal(Seed::from_aezeed("about age", b"")), SeedError::WordCount(2)));
    assert!(matches!(refusal(Seed::from_aezeed("", b"")), SeedError::WordCount(0)));
}

#[test]
fn lnds_words_give_lnds_entropy() {
    for (entropy, passphrase, words) in SEEDS {
        let seed = Seed::from_aezeed(words, passphrase.as_bytes()).unwrap();
        assert_eq!(hex::encode(&seed.sealing_form()[6..]), entropy);
        assert_eq!(seed.birthday(), Some(GENESIS + 6530 * 86_400));
        assert_eq!(seed.origin(), SeedOrigin::ImportedHot);
    }
}

#[test]
fn words_are_read_as_people_write_them() {
    let (entropy, _, words) = SEEDS[0];
    let numbered: Vec<_> =
        words.split_whitespace().enumerate().map(|(at, word)| format!("{}. {word}\n", at + 1)).collect();
    for written in [numbered.concat(), words.to_uppercase(), format!("\t{}\r\n", words.replace(' ', "  "))] {
        let seed = Seed::from_aezeed(&written, b"").unwrap();
        assert_eq!(hex::encode(&seed.sealing_form()[6..]), entropy);
    }
}

#[test]
fn the_words_of_a_new_seed_restore_it() {
    let mut random = [9; 16];
    let seed = Seed::generate(&mut random, SystemTime::now()).unwrap();
    assert_eq!(random, [0; 16]);
    let words = seed.words(b"passphrase").unwrap();
    assert_eq!(words.words().count(), 24);
    let restored = Seed::from_aezeed(&words.phrase(), b"passphrase").unwrap();
    assert_eq!(restored.sealing_form()[2..], seed.sealing_form()[2..]);
    assert_eq!((seed.origin(), restored.origin()), (SeedOrigin::Generated, SeedOrigin::ImportedHot));
    // The system's random bytes count too.
    let twin = Seed::generate(&mut [9; 16], SystemTime::now()).unwrap();
    assert_ne!(twin.sealing_form()[..], seed.sealing_form()[..]);
}

#[test]
fn what_lnd_did_not_write_is_refused() {
    // The words' bits with another version, or another internal version, and a checksum that fits.
    let cipher_seed =
        |internal_version| CipherSeed { internal_version, birthday: 0, entropy: Zeroizing::new([1; 16]) };
    let strange = cipher_seed(2).encipher(b"", [0; 5]).unwrap();
    assert!(matches!(refusal(Seed::from_aezeed(&strange.phrase(), b"")), SeedError::InternalVersion(2)));
    let mut bytes = cipher_seed(1).encipher(b"", [0; 5]).unwrap().to_bytes();
    bytes[0] = 1;
    let checksum = crc::Crc::<u32>::new(&crc::CRC_32_ISCSI).checksum(&bytes[..29]).to_be_bytes();
    bytes[29..].copy_from_slice(&checksum);
    let strange = Mnemonic::from_bytes(&bytes);
    assert!(matches!(refusal(Seed::from_aezeed(&strange.phrase(), b"")), SeedError::Version(1)));
}

/// The master key of the first of [`SEEDS`].
const TPRV: &str = "tprv8ZgxMBicQKsPfEA1jwTzAXJM5eAUTsbHipBft7dCB7a698kEvd6Yd7cmQusrq49SDYR9xazBRk5APYNreHsUWXNXCToac5TyTDB2Sp2vDiC";

#[test]
fn extended_keys_that_lnd_refuses_are_refused() {
    let text = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = base58::decode_check(TPRV).unwrap();
        change(&mut bytes);
        base58::encode_check(&bytes)
    };
    let refused = |text: &str| refusal(Seed::from_extended_key(text, Network::Regtest));
    for wrong in [
        String::new(),
        TPRV[1..].to_owned(),
        TPRV.repeat(2),
        // A derived key, a public version, no leading zero, key 0, a byte less.
        text(&|bytes| bytes[4] = 1),
        text(&|bytes| bytes[..4].copy_from_slice(&0x0435_87cf_u32.to_be_bytes())),
        text(&|bytes| bytes[45] = 2),
        text(&|bytes| bytes[46..].fill(0)),
        text(&|bytes| bytes.truncate(77)),
    ] {
        assert!(matches!(refused(&wrong), SeedError::ExtendedKey(_)), "{wrong}");
    }
    let mainnet = text(&|bytes| bytes[..4].copy_from_slice(&0x0488_ade4_u32.to_be_bytes()));
    assert!(matches!(refused(&mainnet), SeedError::OtherNetwork(Network::Regtest)));
    let seed = Seed::from_extended_key(&mainnet, Network::Mainnet).unwrap();
    assert!(matches!(seed.words(b"").err(), Some(SeedError::NoWords)));
    assert_eq!(seed.birthday(), None);
}

#[test]
fn an_extended_key_and_its_words_are_one_seed() {
    let imported = Seed::from_extended_key(&format!(" {TPRV}\n"), Network::Regtest).unwrap();
    let words = Seed::from_aezeed(SEEDS[0].2, b"").unwrap();
    let [a, b] = [&imported, &words].map(|seed| seed.master().unwrap());
    assert!(*a.key == *b.key && *a.chain_code == *b.chain_code);
}

#[test]
fn a_damaged_form_is_refused() {
    let seed = Seed::generate(&mut [0; 16], SystemTime::now()).unwrap();
    let form = seed.sealing_form().to_vec();
    let open = |mut form: Vec<u8>| Seed::from_sealed(LockedBytes::take(&mut form).unwrap());
    for length in 0..form.len() {
        assert!(matches!(refusal(open(form[..length].to_vec())), SeedError::Sealed(_)));
    }
    for (at, value) in [(0, 2), (1, 2), (2, 2), (2, 1)] {
        let mut damaged = form.clone();
        damaged[at] = value;
        assert!(matches!(refusal(open(damaged)), SeedError::Sealed(_)));
    }
    assert_eq!(open(form.clone()).unwrap().sealing_form()[..], form[..]);
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(\\PC|[ \n]){0,200}") {
        let _ = Seed::from_extended_key(&text, Network::Regtest);
        let _ = Mnemonic::parse(&text);
    }

    #[test]
    fn words_keep_all_bits(bytes: [u8; 32], last: u8) {
        let mut all = [last; 33];
        all[..32].copy_from_slice(&bytes);
        let words = Mnemonic::from_bytes(&all);
        proptest::prop_assert_eq!(*Mnemonic::parse(&words.phrase()).unwrap().to_bytes(), all);
    }
}
