//! One MuSig2 nonce makes one partial signature. A client that gets more of them computes the private key.

use anyhow::{Context, Result, ensure};
use bitcoin::hashes::{Hash as _, HashEngine as _, sha256};
use prost::Message as _;
use secp256k1::constants::CURVE_ORDER;
use secp256k1::{All, Parity, PublicKey, Scalar, Secp256k1, SecretKey};
use strongroom_proto::signrpc::{
    KeyLocator, MuSig2SessionRequest, MuSig2SessionResponse, MuSig2SignRequest, MuSig2SignResponse,
};
use strongroom_tests::grpc::{Channel, INVALID_ARGUMENT, PERMISSION_DENIED, frame};
use strongroom_tests::load::BenchChannel;
use strongroom_tests::signer::TEST_MASTER_KEY;
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

use super::{Bed, CREATE_SESSION};

const SIGN: &str = "/signrpc.Signer/MuSig2Sign";

/// `SHA256(SHA256(tag) ‖ SHA256(tag) ‖ parts)` as a number (BIP 340).
fn tagged(tag: &str, parts: &[&[u8]]) -> Result<SecretKey> {
    let tag = sha256::Hash::hash(tag.as_bytes());
    let mut engine = sha256::Hash::engine();
    engine.input(&tag[..]);
    engine.input(&tag[..]);
    parts.iter().for_each(|part| engine.input(part));
    Ok(SecretKey::from_slice(&sha256::Hash::from_engine(engine)[..])?)
}

fn times(a: SecretKey, b: SecretKey) -> Result<SecretKey> {
    Ok(a.mul_tweak(&Scalar::from(b))?)
}

fn plus(a: SecretKey, b: SecretKey) -> Result<SecretKey> {
    Ok(a.add_tweak(&Scalar::from(b))?)
}

fn minus(a: SecretKey, b: SecretKey) -> Result<SecretKey> {
    plus(a, b.negate())
}

/// By Fermat: `a` to the power of the group's order less two.
fn inverse(a: SecretKey) -> Result<SecretKey> {
    let mut power = CURVE_ORDER;
    power[31] -= 2;
    let mut result: Option<SecretKey> = None;
    for bit in power.iter().flat_map(|byte| (0..8).rev().map(move |n| byte >> n & 1)) {
        result = result.map(|r| times(r, r)).transpose()?;
        if bit == 1 {
            result = Some(result.map_or(Ok(a), |r| times(r, a))?);
        }
    }
    result.context("the order is not zero")
}

/// What a session agreed on, but for the message (BIP327, two signers, no tweaks).
struct Agreed {
    combined: PublicKey,
    /// What our key is multiplied by in the combined key.
    coefficient: SecretKey,
    nonces: [PublicKey; 2],
}

/// What a message makes of it: `signature = ±(k1 + b·k2) + c·d`.
struct Asked {
    b: SecretKey,
    c: SecretKey,
    nonce: Parity,
}

impl Agreed {
    fn new(secp: &Secp256k1<All>, ours: PublicKey, theirs: PublicKey, nonces: [[u8; 66]; 2]) -> Result<Self> {
        let mut sorted = [ours.serialize(), theirs.serialize()];
        sorted.sort_unstable();
        let list = tagged("KeyAgg list", &[&sorted.concat()])?.secret_bytes();
        let of = |key: PublicKey| -> Result<Option<SecretKey>> {
            // The second key of the list counts once.
            (key.serialize() != sorted[1])
                .then(|| tagged("KeyAgg coefficient", &[&list, &key.serialize()]))
                .transpose()
        };
        let weighed = |key: PublicKey| -> Result<PublicKey> {
            Ok(match of(key)? {
                Some(by) => key.mul_tweak(secp, &Scalar::from(by))?,
                None => key,
            })
        };
        let one = SecretKey::from_slice(&[[0; 31].as_slice(), &[1]].concat())?;
        let sum = |at: usize| -> Result<PublicKey> {
            let half = |nonce: &[u8; 66]| PublicKey::from_slice(&nonce[33 * at..33 * (at + 1)]);
            Ok(half(&nonces[0])?.combine(&half(&nonces[1])?)?)
        };
        Ok(Self {
            combined: weighed(ours)?.combine(&weighed(theirs)?)?,
            coefficient: of(ours)?.unwrap_or(one),
            nonces: [sum(0)?, sum(1)?],
        })
    }

    fn asked(&self, secp: &Secp256k1<All>, message: &[u8; 32]) -> Result<Asked> {
        let (x, parity) = self.combined.x_only_public_key();
        let nonces = self.nonces.map(|nonce| nonce.serialize()).concat();
        let b = tagged("MuSig/noncecoef", &[&nonces, &x.serialize(), message])?;
        let nonce = self.nonces[0].combine(&self.nonces[1].mul_tweak(secp, &Scalar::from(b))?)?;
        let (nonce_x, nonce) = nonce.x_only_public_key();
        let e = tagged("BIP0340/challenge", &[&nonce_x.serialize(), &x.serialize(), message])?;
        let c = times(e, self.coefficient)?;
        Ok(Asked { b, c: if parity == Parity::Odd { c.negate() } else { c }, nonce })
    }
}

/// The key that made three partial signatures with one nonce: three equations, three unknowns.
fn extracted(
    agreed: [&Agreed; 3],
    secp: &Secp256k1<All>,
    signed: &[([u8; 32], SecretKey); 3],
) -> Result<SecretKey> {
    let mut rows = Vec::new();
    for (agreed, (message, signature)) in agreed.into_iter().zip(signed) {
        let Asked { b, c, nonce } = agreed.asked(secp, message)?;
        // With an odd nonce all is signed with its negative: turn the equation round.
        rows.push(if nonce == Parity::Odd {
            (signature.negate(), b, c.negate())
        } else {
            (*signature, b, c)
        });
    }
    let less = |n: usize| -> Result<_> {
        Ok((minus(rows[0].0, rows[n].0)?, minus(rows[0].1, rows[n].1)?, minus(rows[0].2, rows[n].2)?))
    };
    let ((s1, b1, c1), (s2, b2, c2)) = (less(1)?, less(2)?);
    let above = minus(times(s1, b2)?, times(s2, b1)?)?;
    let below = minus(times(c1, b2)?, times(c2, b1)?)?;
    times(above, inverse(below)?)
}

fn random() -> Result<SecretKey> {
    Ok(SecretKey::from_slice(&rand::random::<[u8; 32]>())?)
}

fn public_nonce(secp: &Secp256k1<All>, k1: &SecretKey, k2: &SecretKey) -> Result<[u8; 66]> {
    let halves = [k1, k2].map(|k| k.public_key(secp).serialize()).concat();
    halves.try_into().ok().context("two keys are 66 bytes")
}

/// The control: a signer that does reuse its nonce loses its key to the very extraction used below.
#[test]
fn a_nonce_used_three_times_gives_the_key() -> Result<()> {
    let secp = Secp256k1::new();
    for _ in 0..4 {
        let (key, k1, k2) = (random()?, random()?, random()?);
        let ours = public_nonce(&secp, &k1, &k2)?;
        let theirs = public_nonce(&secp, &random()?, &random()?)?;
        let agreed = Agreed::new(&secp, key.public_key(&secp), random()?.public_key(&secp), [ours, theirs])?;
        let sign = |message: [u8; 32]| -> Result<_> {
            let Asked { b, c, nonce } = agreed.asked(&secp, &message)?;
            let k = plus(k1, times(b, k2)?)?;
            let k = if nonce == Parity::Odd { k.negate() } else { k };
            Ok((message, plus(k, times(c, key)?)?))
        };
        let signed = [sign([1; 32])?, sign([2; 32])?, sign([3; 32])?];
        ensure!(extracted([&agreed; 3], &secp, &signed)? == key, "the extraction does not work");
    }
    Ok(())
}

#[test]
fn a_session_signs_once_and_its_key_does_not_come_out() -> Result<()> {
    Workdir::new("faults-nonces")?.run(|dir| {
        let policy = PolicyChoice::cautious()
            .set("channels.max_total_sat", 1_000_000_000)
            .set("channels.max_unnamed_sat", 1_000_000_000)
            .set("musig2.enabled", true)
            .set("musig2.max_sessions", 100)
            .and("[[grants]]\nclient = \"lnd\"\nnode = \"*\"\noperations = [\"musig2\"]\nkeys = [\"multisig\"]");
        let mut bed = Bed::over(Strongroomd::start(dir, &policy, Some(TEST_MASTER_KEY))?)?;
        let secp = Secp256k1::new();
        let our_key = BenchChannel::new(&bed.daemon.accounts()?, 1)?.multisig;
        let their_key = random()?.public_key(&secp);
        let their_nonce = public_nonce(&secp, &random()?, &random()?)?;
        let create = MuSig2SessionRequest {
            key_loc: Some(KeyLocator { key_family: 0, key_index: 1 }),
            all_signer_pubkeys: vec![our_key.serialize().to_vec(), their_key.serialize().to_vec()],
            other_signer_public_nonces: vec![their_nonce.to_vec()],
            version: 2,
            ..MuSig2SessionRequest::default()
        };
        let session = |bed: &Bed| -> Result<(Vec<u8>, Agreed)> {
            let answer = bed.ask(CREATE_SESSION, &create.encode_to_vec())?;
            ensure!(answer.code == 0, "create: code {} {}", answer.code, answer.message);
            let made = MuSig2SessionResponse::decode(answer.body)?;
            ensure!(made.have_all_nonces, "both nonces were given");
            let our_nonce = made.local_public_nonces.as_slice().try_into()?;
            let agreed = Agreed::new(&secp, our_key, their_key, [our_nonce, their_nonce])?;
            let combined = agreed.combined.x_only_public_key().0.serialize();
            ensure!(made.combined_key == combined, "this test combines keys otherwise");
            Ok((made.session_id, agreed))
        };
        let sign = |session_id: &[u8], message: [u8; 32]| MuSig2SignRequest {
            session_id: session_id.to_vec(),
            message_digest: message.to_vec(),
            cleanup: false,
        };

        // Ten at once, on connections of their own, each with another message: one gets a signature.
        let endpoint = bed.daemon.endpoint();
        let mut signed = Vec::new();
        let mut sessions = Vec::new();
        for round in 0..3u8 {
            let (id, agreed) = session(&bed)?;
            let tasks: Vec<_> = (0..10u8)
                .map(|n| {
                    let mut message = [n; 32];
                    message[0] = round;
                    let request = frame(&sign(&id, message).encode_to_vec());
                    let endpoint = endpoint.clone();
                    bed.runtime.spawn(async move {
                        let channel = Channel::to_signer(&endpoint).await?;
                        Ok::<_, anyhow::Error>((message, channel.call_framed(SIGN, request).await?))
                    })
                })
                .collect();
            let mut partial = Vec::new();
            for task in tasks {
                let (message, answer) = bed.runtime.block_on(task)??;
                if answer.code == 0 {
                    let signature = MuSig2SignResponse::decode(answer.body)?.local_partial_signature;
                    partial.push((message, SecretKey::from_slice(&signature)?));
                } else {
                    ensure!(
                        [INVALID_ARGUMENT, PERMISSION_DENIED].contains(&answer.code)
                            && answer.message.contains("signed already"),
                        "a second message: code {} {:?}; expected a refusal naming \"signed already\"",
                        answer.code,
                        answer.message
                    );
                }
            }
            ensure!(partial.len() == 1, "{} partial signatures with one nonce", partial.len());
            // Nor later, nor for the message that was signed.
            for message in [[0xaa; 32], partial[0].0] {
                let answer = bed.ask(SIGN, &sign(&id, message).encode_to_vec())?;
                ensure!(answer.code != 0, "signed again with a nonce that was used");
            }
            signed.extend(partial);
            sessions.push(agreed);
        }

        // The same request made three sessions. Had they one nonce, three signatures would give the key.
        let [first, second, third] = sessions.as_slice() else { anyhow::bail!("three sessions were made") };
        ensure!(first.nonces != second.nonces && second.nonces != third.nonces, "two sessions share a nonce");
        let signed: [_; 3] = signed.try_into().ok().context("three signatures were made")?;
        for agreed in [[first, first, first], [first, second, third]] {
            let key = extracted(agreed, &secp, &signed)?;
            ensure!(key.public_key(&secp) != our_key, "THE PRIVATE KEY CAME OUT");
        }
        eprintln!("faults figures: MuSig2: 30 messages asked for at once in 3 sessions, 3 signed, no key extracted");
        bed.still_signs()
    })
}
