//! Bad input and broken surroundings: each is refused in words, journaled, and harms no one else.

mod crowding;
mod disk;
mod nonces;
mod strangers;

use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::psbt::PsbtSighashType;
use bitcoin::{OutPoint, Psbt, Txid};
use bytes::Bytes;
use http::HeaderMap;
use strongroom_tests::clock::{LND_WAITS, until_true};
use strongroom_tests::grpc::{Answer, Channel, INVALID_ARGUMENT, PERMISSION_DENIED, frame};
use strongroom_tests::load::{BenchChannel, RequestSource, sign_psbt};
use strongroom_tests::recorder::read_calls;
use strongroom_tests::signer::TEST_MASTER_KEY;
use strongroom_tests::softhsm::{P11KitServer, SoftHsm};
use strongroom_tests::strongroomd::{Launch, PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

const SIGN_PSBT: &str = "/walletrpc.WalletKit/SignPsbt";
const SIGN_MESSAGE: &str = "/signrpc.Signer/SignMessage";
const CREATE_SESSION: &str = "/signrpc.Signer/MuSig2CreateSession";

/// A daemon under the cautious profile, and a good client whose every request must go through.
struct Bed {
    daemon: Strongroomd,
    source: RequestSource,
    runtime: tokio::runtime::Runtime,
    good: Channel,
}

impl Bed {
    fn begin(dir: &Path) -> Result<Self> {
        Self::launched(dir, Launch::default())
    }

    /// The same, with the daemon started as `launch` says.
    fn launched(dir: &Path, launch: Launch) -> Result<Self> {
        let policy = PolicyChoice::cautious()
            .set("channels.max_total_sat", 1_000_000_000)
            .set("channels.max_unnamed_sat", 1_000_000_000);
        let token = SoftHsm::create(&dir.join("token"), "strongroom")?;
        let daemon = Strongroomd::start_empty(dir, &policy, token, launch)?;
        daemon.add_alice(Some(TEST_MASTER_KEY))?;
        Self::over(daemon)
    }

    fn over(daemon: Strongroomd) -> Result<Self> {
        let source = RequestSource::new(&daemon.accounts()?)?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let good = runtime.block_on(Channel::to_signer(&daemon.endpoint()))?;
        let bed = Self { daemon, source, runtime, good };
        for (method, request) in bed.source.preface()? {
            let answer = bed.ask_framed(method, request)?;
            ensure!(answer.code == 0, "preface: {}", answer.message);
        }
        Ok(bed)
    }

    fn ask_framed(&self, method: &str, framed: Bytes) -> Result<Answer> {
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(6), self.good.call_framed(method, framed))
                .await
                .with_context(|| format!("{method}: no answer within 6 s"))?
        })
    }

    fn ask(&self, method: &str, request: &[u8]) -> Result<Answer> {
        self.ask_framed(method, frame(request))
    }

    /// A new commitment is signed: the daemon is well.
    fn still_signs(&mut self) -> Result<()> {
        let commitments = self.source.commitments(1)?;
        let answer = self.ask_framed(SIGN_PSBT, commitments[0].clone())?;
        ensure!(answer.code == 0, "a good request is refused: {}", answer.message);
        Ok(())
    }

    /// `framed` is refused with `code` and a text that names `word`, and the refusal is in the journal.
    fn refused(&mut self, what: &str, method: &str, framed: Bytes, code: u32, word: &str) -> Result<()> {
        let before = self.daemon.status()?["journal_size"].as_u64().context("status without journal_size")?;
        let answer = self.ask_framed(method, framed).with_context(|| what.to_owned())?;
        ensure!(
            answer.code == code && answer.message.to_lowercase().contains(word),
            "{what}: code {} {:?}; expected {code} naming {word:?}",
            answer.code,
            answer.message
        );
        // A refusal need not wait for its record; it must come all the same.
        until_true(5, &format!("{what}: a refusal in the journal"), || {
            Ok(self.daemon.journal_leaves(3)?.iter().any(|leaf| {
                leaf["index"].as_u64() >= Some(before)
                    && leaf["event"]["decision"]["verdict"].get("refused").is_some()
            }))
        })?;
        self.still_signs().with_context(|| format!("after {what}"))
    }
}

/// `good` with `count` inputs, all but one without proof.
fn widened(good: &Psbt, count: u32) -> Psbt {
    let mut wide = good.clone();
    for n in 1..count {
        let mut input = wide.unsigned_tx.input[0].clone();
        input.previous_output = OutPoint::new(Txid::from_byte_array([9; 32]), n);
        wide.unsigned_tx.input.push(input);
        wide.inputs.push(wide.inputs[0].clone());
    }
    wide
}

/// A good commitment to spoil: one the daemon would sign.
fn psbt(daemon: &Strongroomd) -> Result<Psbt> {
    let channel = BenchChannel::new(&daemon.accounts()?, 1)?;
    Ok(Psbt::deserialize(&channel.plain_commitment(1)?)?)
}

#[test]
fn malformed_requests_are_refused_in_words() -> Result<()> {
    Workdir::new("faults-input")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let good = psbt(&bed.daemon)?;
        let bytes = good.serialize();
        let spoiled = |spoil: &dyn Fn(&mut Psbt)| {
            let mut psbt = good.clone();
            spoil(&mut psbt);
            sign_psbt(&psbt.serialize())
        };
        let cases: Vec<(&str, &str, Bytes, u32, &str)> = vec![
            ("an empty PSBT", SIGN_PSBT, sign_psbt(&[]), INVALID_ARGUMENT, "psbt"),
            ("random bytes", SIGN_PSBT, sign_psbt(&[7; 300]), INVALID_ARGUMENT, "psbt"),
            ("a PSBT cut short", SIGN_PSBT, sign_psbt(&bytes[..bytes.len() - 9]), INVALID_ARGUMENT, ""),
            (
                "a script that does not hash to the output",
                SIGN_PSBT,
                spoiled(&|p| p.inputs[0].witness_script = Some(bitcoin::ScriptBuf::from_bytes(vec![0x51]))),
                INVALID_ARGUMENT,
                "script",
            ),
            (
                "a key that is not the path's",
                SIGN_PSBT,
                spoiled(&|p| {
                    let (_, source) =
                        p.inputs[0].bip32_derivation.pop_first().expect("the good PSBT has one");
                    let other = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
                    p.inputs[0]
                        .bip32_derivation
                        .insert(other.parse().expect("the generator is a point"), source);
                }),
                INVALID_ARGUMENT,
                "key",
            ),
            (
                "an unknown sighash type",
                SIGN_PSBT,
                spoiled(&|p| p.inputs[0].sighash_type = Some(PsbtSighashType::from_u32(0x44))),
                INVALID_ARGUMENT,
                "sighash",
            ),
            (
                "the same input twice",
                SIGN_PSBT,
                spoiled(&|p| {
                    p.unsigned_tx.input.push(p.unsigned_tx.input[0].clone());
                    p.inputs.push(p.inputs[0].clone());
                }),
                INVALID_ARGUMENT,
                "",
            ),
            ("an unknown key family", SIGN_MESSAGE, message(99, 0), PERMISSION_DENIED, ""),
            ("a key family out of range", SIGN_MESSAGE, message(300, 0), INVALID_ARGUMENT, "famil"),
            (
                "a message without content",
                SIGN_MESSAGE,
                frame(&[0x12, 0x02, 0x08, 0x06]),
                INVALID_ARGUMENT,
                "msg",
            ),
        ];
        let count = cases.len();
        for (what, method, framed, code, word) in cases {
            bed.refused(what, method, framed, code, word)?;
        }
        eprintln!("faults figures: {count} malformed requests refused");
        Ok(())
    })
}

/// A SignMessage request for key {family/index} over bytes of no known kind.
fn message(family: u16, index: u8) -> Bytes {
    let mut locator = vec![0x08];
    let mut rest = family;
    while rest >= 0x80 {
        locator.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    locator.push(rest as u8);
    locator.extend([0x10, index]);
    let mut request = vec![0x0a, 4, 1, 2, 3, 4, 0x12, locator.len() as u8];
    request.extend(locator);
    frame(&request)
}

#[test]
fn what_policy_forbids_is_refused_with_its_reasons() -> Result<()> {
    Workdir::new("faults-policy")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let good = psbt(&bed.daemon)?;
        // A thousand inputs that prove nothing.
        let many = widened(&good, 1_000);
        let began = Instant::now();
        let answer = bed.ask_framed(SIGN_PSBT, sign_psbt(&many.serialize()))?;
        ensure!(
            [INVALID_ARGUMENT, PERMISSION_DENIED].contains(&answer.code),
            "1,000 inputs: code {} {}",
            answer.code,
            answer.message
        );
        ensure!(began.elapsed() < LND_WAITS, "1,000 inputs took {:?}", began.elapsed());
        bed.still_signs()?;

        // An output to a stranger in the place of a commitment.
        let mut theft = good.clone();
        theft.unsigned_tx.lock_time = LockTime::ZERO;
        theft.unsigned_tx.input[0].sequence = bitcoin::Sequence::MAX;
        theft.unsigned_tx.output.truncate(1);
        theft.unsigned_tx.output[0].value = bitcoin::Amount::from_sat(9_990_000);
        theft.unsigned_tx.output[0].script_pubkey =
            bitcoin::ScriptBuf::from_hex("0014000102030405060708090a0b0c0d0e0f10111213")?;
        theft.outputs.truncate(1);
        bed.refused(
            "a close that pays a stranger",
            SIGN_PSBT,
            sign_psbt(&theft.serialize()),
            PERMISSION_DENIED,
            "refused by policy",
        )?;

        // lnd's own taproot nonces would hand it the key.
        let vectors =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/lnd-0.21.3/04-open-taproot.jsonl.gz");
        let session = read_calls(&vectors)?
            .into_iter()
            .find(|c| c.method == CREATE_SESSION)
            .context("the vectors hold no MuSig2 session")?;
        bed.refused(
            "a MuSig2 session with the caller's nonce",
            CREATE_SESSION,
            frame(&hex::decode(session.req)?),
            PERMISSION_DENIED,
            "musig2",
        )
    })
}

#[test]
fn ten_thousand_idle_connections_stop_no_one() -> Result<()> {
    Workdir::new("faults-idle")?.run(|dir| {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        ensure!(
            limit.maximum.is_none_or(|most| most > 10_500),
            "this machine allows {:?} open files; the test needs 10,500",
            limit.maximum
        );
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
        let mut bed = Bed::begin(dir)?;
        let address = bed.daemon.endpoint().address;
        let mut idle = Vec::new();
        for n in 0..10_000 {
            idle.push(TcpStream::connect(&address).with_context(|| format!("connection {n}"))?);
        }
        let began = Instant::now();
        bed.still_signs()?;
        let newcomer = bed.runtime.block_on(Channel::to_signer(&bed.daemon.endpoint()))?;
        bed.good = newcomer;
        bed.still_signs()?;
        let took = began.elapsed();
        ensure!(took < LND_WAITS, "two requests took {took:?} beside 10,000 idle connections");
        eprintln!(
            "faults figures: 10,000 idle connections, two requests beside them in {} ms",
            took.as_millis()
        );
        let held = std::fs::read_dir(format!("/proc/{}/fd", bed.daemon.process().pid()))?.count();
        ensure!(held < 600, "{held} files are open in the daemon; one address has 256 places");
        drop(idle);
        bed.daemon.process().check_alive()
    })
}

#[test]
fn a_body_that_never_ends_holds_only_its_own_stream() -> Result<()> {
    Workdir::new("faults-endless")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let endpoint = bed.daemon.endpoint();
        // The daemon's own deadline, which a client's shorter one comes before.
        const OUR_OWN: Duration = Duration::from_millis(3_400);
        // 1 MiB announced, ten bytes sent, and no end of stream.
        let mut started = bytes::BytesMut::new();
        bytes::BufMut::put_slice(&mut started, &[0, 0, 16, 0, 0]);
        bytes::BufMut::put_slice(&mut started, &[0x0a; 10]);
        let mut own = HeaderMap::new();
        own.insert("grpc-timeout", "1S".parse()?);
        for (metadata, word, most) in [(HeaderMap::new(), "3400 ms", LND_WAITS), (own, "900 ms", OUR_OWN)] {
            let (endpoint, started) = (endpoint.clone(), started.clone().freeze());
            let began = Instant::now();
            let endless = bed.runtime.spawn(async move {
                let channel = Channel::to_signer(&endpoint).await?;
                channel.call_endless(SIGN_PSBT, metadata, started).await
            });
            bed.still_signs()?;
            let limit = Duration::from_secs(10);
            let answer = bed.runtime.block_on(async { tokio::time::timeout(limit, endless).await });
            let took = began.elapsed();
            let answer = answer.with_context(|| format!("the stream is still held after {took:?}"))???;
            ensure!(
                answer.code == PERMISSION_DENIED && answer.message.contains(word),
                "a body that never ends: code {} {:?}; expected {PERMISSION_DENIED} naming {word:?}",
                answer.code,
                answer.message
            );
            ensure!(took < most, "answered after {took:?}; expected within {most:?}");
        }
        bed.still_signs()
    })
}

#[test]
fn a_killed_hsm_seals_and_can_be_unsealed() -> Result<()> {
    Workdir::new("faults-hsm")?.run(|dir| {
        let token = SoftHsm::create(&dir.join("token"), "strongroom")?;
        let socket = dir.join("p11-kit.sock");
        let server = P11KitServer::start(&token, &socket)?;
        let launch = Launch {
            module: Some(P11KitServer::client_module()?),
            env: vec![P11KitServer::environment(&socket)],
            ..Launch::default()
        };
        let policy = PolicyChoice::cautious()
            .set("channels.max_total_sat", 1_000_000_000)
            .set("channels.max_unnamed_sat", 1_000_000_000);
        let pin = token.pin_file.clone();
        let daemon = Strongroomd::start_empty(dir, &policy, token.clone(), launch)?;
        daemon.add_alice(Some(TEST_MASTER_KEY))?;
        let mut bed = Bed::over(daemon)?;
        bed.still_signs()?;
        drop(server);
        until_true(15, "sealed", || Ok(bed.daemon.status()?["state"] == "sealed"))?;
        let commitments = bed.source.commitments(1)?;
        let answer = bed.ask_framed(SIGN_PSBT, commitments[0].clone())?;
        ensure!(
            answer.code == PERMISSION_DENIED && answer.message.contains("sealed"),
            "sealed: code {} {}",
            answer.code,
            answer.message
        );
        let _server = P11KitServer::start(&token, &socket)?;
        bed.daemon.cli(&["unseal", "--pin-fd", "0"], Some(&pin))?;
        bed.still_signs()
    })
}
