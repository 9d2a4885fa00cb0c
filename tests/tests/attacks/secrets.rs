//! Messages, and shared secrets.

use anyhow::{Context, Result};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use prost::Message;
use strongroom_proto::signrpc::{KeyLocator, SharedKeyRequest, SignMessageReq};
use strongroom_tests::grpc::PERMISSION_DENIED;

use crate::attacker::Attacker;
use crate::bed::{Bed, QUIET};
use crate::made_up::{DERIVE_SHARED_KEY, peer_key, root_request};
use crate::table::End::Closed;
use crate::table::{Attack, Score};

pub const SIGN_MESSAGE: &str = "/signrpc.Signer/SignMessage";

pub const ROWS: &[Attack] = &[
    Attack {
        name: "message-is-a-bip143-preimage",
        tier: "T0",
        tag: "message-kind",
        end: Closed,
        line: "a sighash preimage as a message, hashed twice, for every key family",
    },
    Attack {
        name: "message-is-a-hashed-preimage",
        tier: "T0",
        tag: "message-kind",
        end: Closed,
        line: "SHA256 of a sighash preimage as a message, hashed once more, for every key family",
    },
    Attack {
        name: "message-is-a-bip341-preimage",
        tier: "T0",
        tag: "message-kind, message-form",
        end: Closed,
        line: "a taproot sighash as a message: two tag hashes and the rest, under Schnorr, for every key family",
    },
    Attack {
        name: "message-tagged-as-a-sighash",
        tier: "T0",
        tag: "malformed",
        end: Closed,
        line: "a taproot sighash as a message under the tag TapSighash, for every key family",
    },
    Attack {
        name: "message-with-a-tap-tweak",
        tier: "T0",
        tag: "message-form",
        end: Closed,
        line: "a message signed by a key under a taproot tweak",
    },
    Attack {
        name: "message-by-a-channel-key",
        tier: "T0",
        tag: "message-key",
        end: Closed,
        line: "a well-formed text for keys that lock coins",
    },
    Attack {
        name: "announcement-of-another-key",
        tier: "T0",
        tag: "message-kind",
        end: Closed,
        line: "a channel_announcement that does not name the multisig key asked for",
    },
    Attack {
        name: "ecdh-by-a-coin-key",
        tier: "T0",
        tag: "ecdh-key",
        end: Closed,
        line: "ECDH with each family that locks coins or opens the channel backup",
    },
    Attack {
        name: "root-for-two-keys",
        tier: "T0",
        tag: "reservation-root",
        end: Closed,
        line: "one revocation root answers a second multisig key, so that two channels share their secrets",
    },
    Attack {
        name: "two-roots-for-a-key",
        tier: "T0",
        tag: "reservation-root",
        end: Closed,
        line: "a second revocation root for a channel's multisig key",
    },
    Attack {
        name: "root-for-a-stranger",
        tier: "T0",
        tag: "reservation-root",
        end: Closed,
        line: "a revocation root answers a point of the attacker's, which gives every secret of the channel away",
    },
];

fn locator(family: u32, index: u32) -> Result<Option<KeyLocator>> {
    Ok(Some(KeyLocator { key_family: i32::try_from(family)?, key_index: i32::try_from(index)? }))
}

/// A BIP 143 preimage, to the last byte: the mutual close of a channel to a stranger.
fn preimage(live: &crate::forge::Live) -> Result<Vec<u8>> {
    let spent = live.funding_spent()?;
    let close = spent.pays(vec![crate::forge::pay(crate::forge::stranger(70), live.balance())])?;
    let script = spent.script.context("no script")?;
    let mut bytes = Vec::new();
    let mut cache = bitcoin::sighash::SighashCache::new(&close.unsigned_tx);
    let kind = bitcoin::EcdsaSighashType::All;
    cache.segwit_v0_encode_signing_data_to(&mut bytes, 0, &script, spent.utxo.value, kind)?;
    Ok(bytes)
}

fn each_family(
    row: &Attack,
    a: &Attacker,
    index: u32,
    families: impl Iterator<Item = u32>,
    request: &SignMessageReq,
) -> Result<()> {
    for family in families {
        let request = SignMessageReq { key_loc: locator(family, index)?, ..request.clone() };
        a.refused_call(row, "", SIGN_MESSAGE, &request).with_context(|| format!("family {family}"))?;
    }
    Ok(())
}

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    let (a, live) = bed.with(QUIET);
    let index = live.index;
    let preimage = preimage(live)?;
    score.case("message-is-a-bip143-preimage", |row| {
        let request = SignMessageReq { msg: preimage.clone(), double_hash: true, ..Default::default() };
        each_family(row, a, index, 0..10, &request)
    });
    score.case("message-is-a-hashed-preimage", |row| {
        let hash = sha256::Hash::hash(&preimage).to_byte_array().to_vec();
        let request = SignMessageReq { msg: hash, ..Default::default() };
        each_family(row, a, index, 0..10, &request)
    });
    // Epoch, DEFAULT, version 2, locktime 0, and five hashes.
    let taproot = [&[0, 0, 2, 0, 0, 0, 0, 0, 0, 0][..], &[3; 165]].concat();
    score.case("message-is-a-bip341-preimage", |row| {
        let tag = sha256::Hash::hash(b"TapSighash").to_byte_array();
        let whole = [&tag[..], &tag, &taproot].concat();
        let request = SignMessageReq { msg: whole, schnorr_sig: true, ..Default::default() };
        each_family(row, a, index, 0..10, &request)
    });
    score.case("message-tagged-as-a-sighash", |row| {
        let request = SignMessageReq {
            msg: taproot.clone(),
            schnorr_sig: true,
            tag: b"TapSighash".to_vec(),
            ..Default::default()
        };
        each_family(row, a, index, 0..10, &request)
    });
    let text = SignMessageReq {
        msg: b"Lightning Signed Message:hello".to_vec(),
        double_hash: true,
        compact_sig: true,
        ..Default::default()
    };
    score.case("message-with-a-tap-tweak", |row| {
        let request = SignMessageReq {
            schnorr_sig: true,
            compact_sig: false,
            schnorr_sig_tap_tweak: vec![7; 32],
            ..text.clone()
        };
        each_family(row, a, 0, 6..7, &request)
    });
    score.case("message-by-a-channel-key", |row| {
        each_family(row, a, index, (0..10).filter(|family| *family != 6), &text)
    });
    score.case("announcement-of-another-key", |row| {
        // channel_announcement without signatures: features, chain, short id, four keys.
        let keys = [6, 0, 0, 0].map(|family| a.keys.channel(family, index + 50));
        let mut msg = vec![0u8; 2];
        msg.extend([6; 32]);
        msg.extend([0, 0, 1, 0, 0, 1, 0, 0]);
        for key in keys {
            msg.extend(key?.serialize());
        }
        let request = SignMessageReq { msg, double_hash: true, ..Default::default() };
        each_family(row, a, index, 0..1, &request)
    });
    score.case("ecdh-by-a-coin-key", |row| {
        let secp = Secp256k1::new();
        for family in [0, 1, 2, 3, 4, 7, 10, 99] {
            let point = SecretKey::from_slice(&[0x31; 32])?.public_key(&secp);
            a.refused_call(row, "", DERIVE_SHARED_KEY, &shared_key(family, index, &point)?)?;
        }
        Ok(())
    });
    score.case("root-for-two-keys", |row| {
        let first = root_request(200, &a.keys.channel(0, 200)?)?;
        let answer = a.ask(DERIVE_SHARED_KEY, &first.encode_to_vec())?;
        anyhow::ensure!(answer.code != PERMISSION_DENIED, "a good reservation: {}", answer.message);
        a.refused_call(row, "", DERIVE_SHARED_KEY, &root_request(200, &a.keys.channel(0, 201)?)?)
    });
    score.case("two-roots-for-a-key", |row| {
        a.refused_call(row, "", DERIVE_SHARED_KEY, &root_request(202, &a.keys.channel(0, 200)?)?)
    });
    score.case("root-for-a-stranger", |row| {
        a.refused_call(row, "", DERIVE_SHARED_KEY, &root_request(203, &peer_key()?)?)
    });
    Ok(())
}

fn shared_key(family: u32, index: u32, point: &PublicKey) -> Result<SharedKeyRequest> {
    let ephemeral_pubkey = point.serialize().to_vec();
    Ok(SharedKeyRequest { ephemeral_pubkey, key_loc: locator(family, index)?, key_desc: None })
}
