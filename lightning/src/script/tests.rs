use bitcoin::ScriptBuf;
use proptest::prelude::*;

use super::*;

const KEY: [u8; 33] = [2; 33];
const OTHER: [u8; 33] = [3; 33];

/// From a commitment that a real lnd signed for (the peer's, anchors).
const OFFERED: &str = "76a9143d6797b6f09904888bc77b414ffa503b08f998038763ac672102f6f92e7daf2634a05eb3129e3172d2d1396af9f69afbf113ea840a3a63d827217c820120876475527c21026959a7de0a9efd3f32eab85c80f59e33e16f6a3481c837c06a9a3c2f2395041652ae67a914759c76552a2fea5c19ef54175be3908665b330bc88ac6851b27568";

fn parse(bytes: &[u8]) -> Option<ChannelScript> {
    ChannelScript::parse(&ScriptBuf::from(bytes.to_vec()))
}

fn delayed(csv: &[u8]) -> Vec<u8> {
    [&[0x63, 33][..], &KEY, &[0x67], csv, &[0xb2, 0x75, 33], &OTHER, &[0x68, 0xac]].concat()
}

fn received(cltv: &[u8], anchors: bool) -> Vec<u8> {
    let tail: &[u8] = if anchors { &[0x51, 0xb2, 0x75, 0x68] } else { &[0x68] };
    [
        &[0x76, 0xa9, 20][..],
        &[7; 20],
        &[0x87, 0x63, 0xac, 0x67, 33],
        &KEY,
        &[0x7c, 0x82, 0x01, 0x20, 0x87, 0x63, 0xa9, 20],
        &[8; 20],
        &[0x88, 0x52, 0x7c, 33],
        &OTHER,
        &[0x52, 0xae, 0x67, 0x75],
        cltv,
        &[0xb1, 0x75, 0xac, 0x68],
        tail,
    ]
    .concat()
}

#[test]
fn a_byte_more_or_less_is_another_script() {
    let scripts = [
        funding_script(&KEY, &OTHER).to_bytes(),
        to_remote_script(&KEY).to_bytes(),
        anchor_script(&KEY).to_bytes(),
        delayed(&[0x02, 0x90, 0x00]),
        received(&[0x03, 0x40, 0x0d, 0x03], true),
        hex::decode(OFFERED).unwrap(),
    ];
    for script in scripts {
        assert!(parse(&script).is_some());
        assert_eq!(parse(&[&script[..], &[0x51]].concat()), None);
        assert_eq!(parse(&script[..script.len() - 1]), None);
        assert_eq!(parse(&script[1..]), None);
    }
}

#[test]
fn funding_keys_are_in_order() {
    let mut swapped = funding_script(&KEY, &OTHER).to_bytes();
    assert_eq!(funding_script(&OTHER, &KEY).as_bytes(), swapped);
    swapped[2..35].copy_from_slice(&OTHER);
    swapped[36..69].copy_from_slice(&KEY);
    assert_eq!(parse(&swapped), None);
    let funding = Funding { keys: [KEY, OTHER] };
    assert_eq!(funding.peer_of(&OTHER), Some(KEY));
    assert_eq!(funding.peer_of(&[4; 33]), None);
}

#[test]
fn delays_are_minimal_numbers() {
    let csv = |number: &[u8]| match parse(&delayed(number)) {
        Some(ChannelScript::Delayed(script)) => Some(script.csv),
        _ => None,
    };
    for refused in [
        &[0x4f][..],
        &[0x01, 0x10],
        &[0x01, 0x81],
        &[0x02, 0x11, 0x00],
        &[0x01, 0x00],
        &[0x06, 1, 1, 1, 1, 1, 1],
        &[0x05, 1, 1, 1, 1, 1],
    ] {
        assert_eq!(csv(refused), None, "{refused:02x?}");
    }
    assert_eq!(csv(&[0x51]), Some(1));
    assert_eq!(csv(&[0x60]), Some(16));
    assert_eq!(csv(&[0x01, 0x11]), Some(17));
    assert_eq!(csv(&[0x02, 0x90, 0x00]), Some(144));
    assert_eq!(csv(&[0x02, 0xe0, 0x07]), Some(2016));
}

#[test]
fn htlcs_tell_direction_keys_and_hash() {
    let Some(ChannelScript::Htlc(offered)) = parse(&hex::decode(OFFERED).unwrap()) else {
        panic!("an offered HTLC")
    };
    assert_eq!(offered.kind, HtlcKind::Offered);
    assert!(offered.anchors);
    assert_eq!(hex::encode(offered.payment_hash160), "759c76552a2fea5c19ef54175be3908665b330bc");
    assert_eq!(hex::encode(&offered.remote_key[..5]), "02f6f92e7d");
    assert_eq!(hex::encode(&offered.local_key[..5]), "026959a7de");
    for anchors in [false, true] {
        let expected = Htlc {
            revocation_hash: [7; 20],
            remote_key: KEY,
            local_key: OTHER,
            payment_hash160: [8; 20],
            kind: HtlcKind::Received { cltv_expiry: 200_000 },
            anchors,
        };
        let script = parse(&received(&[0x03, 0x40, 0x0d, 0x03], anchors));
        assert_eq!(script, Some(ChannelScript::Htlc(expected)));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn no_changed_htlc_panics(at in 0..135usize, byte: u8) {
        let mut script = hex::decode(OFFERED).unwrap();
        script[at] = byte;
        let _ = parse(&script);
    }
}
