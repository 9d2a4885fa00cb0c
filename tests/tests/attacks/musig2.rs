//! MuSig2: who chooses the nonce has the key.

use anyhow::{Context, Result, ensure};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::{Parity, PublicKey, Scalar, Secp256k1, SecretKey};
use prost::Message;
use strongroom_proto::signrpc::{
    KeyLocator, MuSig2SessionRequest, MuSig2SessionResponse, MuSig2SignRequest, MuSig2SignResponse,
};
use strongroom_tests::grpc::{Channel, OK};
use strongroom_tests::lnd::Lnd;
use strongroom_tests::signer::TEST_MASTER_KEY;

use crate::bed::Bed;
use crate::table::End::Closed;
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "nonce-of-the-attacker",
        tier: "T0",
        tag: "musig2-nonce, musig2",
        end: Closed,
        line: "a session with a secret nonce of the client's: one partial signature of lnd's own signer gives the private key of the channel, ours gives none",
    },
    Attack {
        name: "musig2-over-any-digest",
        tier: "T0",
        tag: "musig2",
        end: Closed,
        line: "a session with our nonce signs any 32 bytes with any key",
    },
];

const CREATE: &str = "/signrpc.Signer/MuSig2CreateSession";
const SIGN: &str = "/signrpc.Signer/MuSig2Sign";
/// The key that is asked for: {0/9}.
const KEY: (i32, u32) = (0, 9);
const DIGEST: [u8; 32] = [0x5a; 32];

fn tagged(tag: &str, parts: &[&[u8]]) -> Result<Scalar> {
    let tag = sha256::Hash::hash(tag.as_bytes()).to_byte_array();
    let mut engine = sha256::Hash::engine();
    for part in [&tag[..], &tag].iter().chain(parts) {
        engine.input(part);
    }
    Ok(Scalar::from_be_bytes(sha256::Hash::from_engine(engine).to_byte_array())?)
}

/// 1/x in the group's order: x to the power of the order less two.
fn inverse(x: SecretKey) -> Result<SecretKey> {
    let mut exponent = bitcoin::secp256k1::constants::CURVE_ORDER;
    exponent[31] -= 2;
    let mut power = SecretKey::from_slice(&bitcoin::secp256k1::constants::ONE)?;
    for bit in (0..256).map(|n| exponent[n / 8] >> (7 - n % 8) & 1) {
        power = power.mul_tweak(&Scalar::from(power))?;
        if bit == 1 {
            power = power.mul_tweak(&Scalar::from(x))?;
        }
    }
    Ok(power)
}

/// What the attacker knows beside the partial signature.
struct Chosen {
    ours: [SecretKey; 2],
    other: [SecretKey; 2],
    partner: SecretKey,
}

impl Chosen {
    fn new() -> Result<Self> {
        let key = |byte| SecretKey::from_slice(&[byte; 32]);
        Ok(Self { ours: [key(0x11)?, key(0x12)?], other: [key(0x13)?, key(0x14)?], partner: key(0x15)? })
    }

    fn session(&self, signer: &PublicKey, with_nonce: bool) -> MuSig2SessionRequest {
        let secp = Secp256k1::new();
        let bytes = |keys: &[SecretKey; 2]| keys.map(|key| key.secret_bytes()).concat();
        let nonce = [bytes(&self.ours), signer.serialize().to_vec()].concat();
        let other = self.other.map(|key| key.public_key(&secp).serialize()).concat();
        MuSig2SessionRequest {
            key_loc: Some(KeyLocator { key_family: KEY.0, key_index: KEY.1.cast_signed() }),
            all_signer_pubkeys: [*signer, self.partner.public_key(&secp)]
                .iter()
                .map(|key| key.serialize().to_vec())
                .collect(),
            other_signer_public_nonces: vec![other],
            version: 2,
            pregenerated_local_nonce: if with_nonce { nonce } else { Vec::new() },
            ..Default::default()
        }
    }

    /// The signer's private key, from its partial signature (BIP 327, solved for the key).
    fn private_key(&self, signer: &PublicKey, partial: [u8; 32]) -> Result<SecretKey> {
        let secp = Secp256k1::new();
        let mut keys = [*signer, self.partner.public_key(&secp)];
        keys.sort_by_key(PublicKey::serialize);
        let list = keys.map(|key| key.serialize()).concat();
        let list = tagged("KeyAgg list", &[&list])?.to_be_bytes();
        let weight = |key: &PublicKey| -> Result<Scalar> {
            if *key == keys[1] {
                Ok(Scalar::ONE)
            } else {
                tagged("KeyAgg coefficient", &[&list, &key.serialize()])
            }
        };
        let weighed = |key: &PublicKey| Ok::<_, anyhow::Error>(key.mul_tweak(&secp, &weight(key)?)?);
        let (combined, odd_key) = weighed(&keys[0])?.combine(&weighed(&keys[1])?)?.x_only_public_key();
        let nonce = |n: usize| self.ours[n].public_key(&secp).combine(&self.other[n].public_key(&secp));
        let (first, second) = (nonce(0)?, nonce(1)?);
        let shown = [&first.serialize()[..], &second.serialize(), &combined.serialize(), &DIGEST];
        let b = tagged("MuSig/noncecoef", &shown)?;
        let (r, odd_nonce) = first.combine(&second.mul_tweak(&secp, &b)?)?.x_only_public_key();
        let e = tagged("BIP0340/challenge", &[&r.serialize(), &combined.serialize(), &DIGEST])?;

        let sign = |key: SecretKey, odd| if odd == Parity::Odd { key.negate() } else { key };
        let k = self.ours[0].add_tweak(&Scalar::from(self.ours[1].mul_tweak(&b)?))?;
        let k = sign(k, odd_nonce);
        let weighed = sign(SecretKey::from_slice(&e.to_be_bytes())?.mul_tweak(&weight(signer)?)?, odd_key);
        let rest = SecretKey::from_slice(&partial)?.add_tweak(&Scalar::from(k.negate()))?;
        Ok(rest.mul_tweak(&Scalar::from(inverse(weighed)?))?)
    }
}

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    let oracle_dir = bed.net.alice.dir().with_file_name("oracle");
    let a = &bed.attacker;
    let signer = a.keys.channel(KEY.0.cast_unsigned(), KEY.1)?;
    score.case("nonce-of-the-attacker", |row| {
        let chosen = Chosen::new()?;
        let session = chosen.session(&signer, true);
        // lnd's own remote signer, with the same seed: one answer gives the key.
        let oracle = Lnd::start_signer("oracle", &oracle_dir, TEST_MASTER_KEY)?;
        let partial = a.runtime().block_on(async {
            let lnd = Channel::to_signer(&oracle.as_signer()).await?;
            let made = lnd.call(CREATE, &session.encode_to_vec()).await?;
            ensure!(made.code == OK, "lnd's signer: {}", made.message);
            let made = MuSig2SessionResponse::decode(made.body)?;
            let sign = MuSig2SignRequest {
                session_id: made.session_id,
                message_digest: DIGEST.to_vec(),
                cleanup: true,
            };
            let signed = lnd.call(SIGN, &sign.encode_to_vec()).await?;
            ensure!(signed.code == OK, "lnd's signer: {}", signed.message);
            Ok(MuSig2SignResponse::decode(signed.body)?.local_partial_signature)
        })?;
        let partial: [u8; 32] = partial[..].try_into().context("a partial signature of 32 bytes")?;
        let stolen = chosen.private_key(&signer, partial)?;
        ensure!(stolen.public_key(&Secp256k1::new()) == signer, "lnd's signer did not give its key away");
        a.refused_call(row, "", CREATE, &session)
    });
    score.case("musig2-over-any-digest", |row| {
        a.refused_call(row, "", CREATE, &Chosen::new()?.session(&signer, false))
    });
    Ok(())
}
