//! Two nodes on one daemon, old copies of its store, floods and torn streams.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bitcoin::{Address, Psbt};
use bytes::BufMut;
use http::HeaderMap;
use prost::Message;
use strongroom_proto::strongroom::v1::preflight_request::What;
use strongroom_proto::strongroom::v1::{PaymentIntent, PreflightRequest};
use strongroom_tests::clock::LND_WAITS;
use strongroom_tests::grpc::{Channel, OK, frame};
use strongroom_tests::lnd::SignerEndpoint;
use strongroom_tests::load::BenchChannel;
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};

use crate::attacker::{Attacker, SIGN_PSBT, sign_request};
use crate::forge::{Live, invented, pay, stranger, stranger_p2wsh};
use crate::made_up::{Coin, both, commitment_zero, fictional, funding_spent, reserve};
use crate::table::End::{Bounded, Closed, NotEnforceable};
use crate::table::{Attack, Score};

const PREFLIGHT: &str = "/strongroom.v1.Preflight/Ask";

pub const ROWS: &[Attack] = &[
    Attack {
        name: "two-nodes-hide-a-fee",
        tier: "T0",
        tag: "amount-conflict",
        end: Closed,
        line: "two nodes sign one transaction, each lying about the other's input (BIP 143)",
    },
    Attack {
        name: "nodes-allow-each-other",
        tier: "T0",
        tag: "outflow-window",
        end: Bounded("`outflow-window` of the node that pays the stranger"),
        line: "one node pays another that the allowlist names, and that one pays a stranger",
    },
    Attack {
        name: "companion-signs",
        tier: "T0",
        tag: "grant",
        end: Closed,
        line: "the companion's macaroon, or one without its right, asks for signatures, or asks what would be refused",
    },
    Attack {
        name: "closing-frees-the-total",
        tier: "T0",
        tag: "channels-total",
        end: Closed,
        line: "a close is signed, never published, and its channel's capacity opened anew",
    },
    Attack {
        name: "flood",
        tier: "T0",
        tag: "outflow-per-transaction",
        end: Bounded("one queue: honest requests beside it are answered within 1 s"),
        line: "thousands of requests to be refused, from many connections at once",
    },
    Attack {
        name: "withheld-crowd",
        tier: "T0",
        tag: "unexplained-output",
        end: Bounded(
            "the client's share of the queue (`limits.max_queue_per_client`): another node's commitment waits for its HTLC as ever",
        ),
        line: "1,500 commitments whose HTLCs never come wait at once",
    },
    Attack {
        name: "torn-and-slow-streams",
        tier: "T0",
        tag: "none",
        end: Bounded("their own connections"),
        line: "hundreds of requests that stop in the middle, and connections cut there",
    },
    Attack {
        name: "old-copy-of-the-store",
        tier: "T0",
        tag: "outflow-window",
        end: NotEnforceable(
            "once more what every window allows, for each copy restored; no counter in the token tells an old copy yet",
        ),
        line: "an old copy of the daemon's state is put back, and what was spent since is spent again",
    },
];

/// A second node's macaroon and accounts.
fn second_node(daemon: &Strongroomd) -> Result<Attacker> {
    let dir = daemon.dir().join("carol");
    daemon.cli(&["node", "add", "carol", "--out", &dir.display().to_string()], None)?;
    let endpoint = SignerEndpoint {
        address: daemon.endpoint().address,
        tls_cert: dir.join("tls.cert"),
        macaroon: dir.join("signer.macaroon"),
    };
    let accounts = serde_json::from_str(&std::fs::read_to_string(dir.join("accounts.json"))?)?;
    Attacker::at(daemon, endpoint, accounts)
}

/// A right to ask is no right to sign, and the other way round.
fn companion_signs(row: &Attack, daemon: &Strongroomd, alice: &Attacker) -> Result<()> {
    let macaroon = daemon.dir().join("companion.macaroon");
    std::fs::write(&macaroon, hex::decode(daemon.macaroon("companion")?)?)?;
    let endpoint = SignerEndpoint { macaroon, ..daemon.endpoint() };
    let companion = Attacker::at(daemon, endpoint, daemon.accounts()?)?;
    let coin = Coin::new(&companion.keys, "companion's", 1_000_000)?;
    companion.refused(row, "", &coin.pays(vec![pay(companion.keys.wallet_script(1, 0)?, 999_000)])?)?;
    let what = What::Payment(PaymentIntent { amount_msat: 1_000, ..PaymentIntent::default() });
    let question = PreflightRequest { what: Some(what) };
    alice.refused_call(row, "for preflight", PREFLIGHT, &question)?;
    let answer = companion.ask(PREFLIGHT, &question.encode_to_vec())?;
    ensure!(answer.code == OK, "the companion may not ask: {}", answer.message);
    Ok(())
}

/// Pays strangers 900,000 sat at a time until refused as the row says, and answers what went.
fn withdraw(row: &Attack, a: &Attacker, label: &str) -> Result<u64> {
    let mut taken = 0;
    for n in 0..20 {
        let coin = Coin::new(&a.keys, &format!("{label} {n}"), 1_000_000)?;
        let answer =
            a.sign(&coin.pays(vec![pay(stranger(n), 900_000), pay(a.keys.wallet_script(1, 0)?, 99_000)])?)?;
        if answer.code != OK {
            row.is_refused(&answer, "")?;
            return Ok(taken);
        }
        taken += 900_000;
    }
    anyhow::bail!("{taken} sat went to strangers and nothing was refused")
}

pub fn run(score: &mut Score, dir: &Path) -> Result<()> {
    let policy = PolicyChoice::cautious().set("channels.max_total_sat", 35_000_000);
    let mut daemon = Strongroomd::start(&dir.join("surroundings"), &policy, None)?;
    let mut alice = Attacker::of(&daemon)?;
    let mut carol = second_node(&daemon)?;
    let mut honest = fictional(&alice, 1, 5_000_000)?;

    score.case("two-nodes-hide-a-fee", |row| {
        let coins =
            [Coin::new(&alice.keys, "alice's", 2_000_000)?, Coin::new(&carol.keys, "carol's", 2_000_000)?];
        let pair = [&coins[0], &coins[1]];
        let outputs = vec![pay(alice.keys.wallet_script(1, 0)?, 2_000_000)];
        alice.signed("alice's half", &both(pair, 0, 1_000, outputs.clone())?)?;
        carol.refused(row, "", &both(pair, 1, 1_000, outputs)?)
    });
    score.case("companion-signs", |row| companion_signs(row, &daemon, &alice));
    score.case("withheld-crowd", |row| withheld_crowd(row, &alice, &carol));
    score.case("closing-frees-the-total", |row| {
        for index in [10, 11] {
            reserve(&alice, index)?;
            let zero =
                commitment_zero(&alice.keys, index, invented(&format!("total {index}")), 10_000_000, 0)?;
            alice.signed("a channel", &zero)?;
        }
        let mut close = funding_spent(&alice.keys, 10, invented("total 10"), 10_000_000)?;
        close.sequence = 0xffff_ffff;
        alice.signed("its close", &close.pays(vec![pay(stranger(9), 9_999_000)])?)?;
        reserve(&alice, 12)?;
        alice.refused(row, "", &commitment_zero(&alice.keys, 12, invented("total 12"), 10_000_000, 0)?)
    });
    score.case("flood", |row| flood(row, &alice, &mut honest));
    score.case("torn-and-slow-streams", |_| torn_streams(&alice, &mut honest));

    daemon.process().stop(10)?;
    let (state, copy) = (daemon.dir().join("state"), daemon.dir().join("state-of-yesterday"));
    let copied = |from: &Path, to: &Path| -> Result<()> {
        ensure!(Command::new("cp").arg("-a").args([from, to]).status()?.success(), "cp");
        Ok(())
    };
    copied(&state, &copy)?;
    daemon.start_again()?;
    alice.reconnect()?;
    score.case("old-copy-of-the-store", |row| {
        let first = withdraw(row, &alice, "first")?;
        daemon.process().stop(10)?;
        std::fs::rename(&state, daemon.dir().join("state-of-today"))?;
        copied(&copy, &state)?;
        daemon.start_again()?;
        alice.reconnect()?;
        let second = withdraw(row, &alice, "second")?;
        ensure!(first > 0 && second > 0, "{first} and {second} sat: the copy changed nothing");
        ensure!(first <= 5_000_000 && second <= 5_000_000, "{first} and {second} sat went to strangers");
        Ok(())
    });
    let script = carol.keys.wallet_script(0, 3)?;
    let address = Address::from_script(&script, bitcoin::Network::Regtest)?;
    daemon.restart_under(&policy.allow(&address.to_string()))?;
    alice.reconnect()?;
    carol.reconnect()?;
    score.case("nodes-allow-each-other", |row| {
        let coin = Coin::new(&alice.keys, "for carol", 20_000_000)?;
        alice.signed("a payment to carol", &coin.pays(vec![pay(script, 19_990_000)])?)?;
        let taken = withdraw(row, &carol, "carol")?;
        ensure!((900_000..=5_000_000).contains(&taken), "{taken} sat went to strangers");
        Ok(())
    });
    alice.still_signs(&mut honest)
}

fn flood(row: &Attack, a: &Attacker, honest: &mut Live) -> Result<()> {
    let coin = Coin::new(&a.keys, "flood", 4_000_000)?;
    let requests: Vec<_> = (0..2_000u64)
        .map(|n| Ok(frame(&sign_request(&coin.pays(vec![pay(stranger(1), 3_000_000 + n)])?))))
        .collect::<Result<_>>()?;
    let endpoint = a.endpoint().clone();
    let flood = a.runtime().spawn(async move {
        let mut tasks = Vec::new();
        for some in requests.chunks(100).map(<[_]>::to_vec) {
            let channel = Channel::to_signer(&endpoint).await?;
            tasks.push(tokio::spawn(async move {
                let mut answers = Vec::new();
                for request in some {
                    answers.push(channel.call_framed(SIGN_PSBT, request).await?);
                }
                Ok::<_, anyhow::Error>(answers)
            }));
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.extend(task.await??);
        }
        Ok::<_, anyhow::Error>(answers)
    });
    let (mut slowest, mut beside) = (Duration::ZERO, 0);
    while !flood.is_finished() {
        let asked = Instant::now();
        a.still_signs(honest)?;
        slowest = slowest.max(asked.elapsed());
        beside += 1;
    }
    let answers = a.runtime().block_on(flood)??;
    ensure!(answers.len() == 2_000, "{} answers", answers.len());
    answers.iter().try_for_each(|answer| row.is_refused(answer, ""))?;
    ensure!(beside > 0, "the flood was over before anything was asked beside it");
    ensure!(slowest < LND_WAITS, "an honest request waited {slowest:?}");
    Ok(())
}

fn torn_streams(a: &Attacker, honest: &mut Live) -> Result<()> {
    // A mebibyte announced, ten bytes sent.
    let mut started = bytes::BytesMut::new();
    started.put_slice(&[0, 0, 16, 0, 0]);
    started.put_slice(&[0x0a; 10]);
    let started = started.freeze();
    let endpoint = a.endpoint().clone();
    let tasks = a.runtime().block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..100 {
            let channel = Channel::to_signer(&endpoint).await?;
            for _ in 0..4 {
                let (channel, started) = (channel.clone(), started.clone());
                tasks.push(tokio::spawn(async move {
                    channel.call_endless(SIGN_PSBT, HeaderMap::new(), started).await
                }));
            }
        }
        Ok::<_, anyhow::Error>(tasks)
    })?;
    let asked = Instant::now();
    a.still_signs(honest)?;
    ensure!(asked.elapsed() < LND_WAITS, "an honest request waited {:?}", asked.elapsed());
    // Cut: half of them end in the middle, with their connections.
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    a.still_signs(honest).context("after the cut")
}

/// Carol's commitments that wait for HTLCs must not take the place of alice's that waits for a moment.
fn withheld_crowd(row: &Attack, alice: &Attacker, carol: &Attacker) -> Result<()> {
    let bench = BenchChannel::new(alice.keys.accounts(), 40)?;
    reserve(alice, 40)?;
    alice.signed("a channel's commitment 0", &Psbt::deserialize(&bench.plain_commitment(0)?)?)?;
    let update = bench.update(1, 1)?;
    let crowd = fictional(carol, 50, 5_000_000)?;
    let mut requests = Vec::new();
    for n in 0..1_500u64 {
        let mut draft = crowd.next()?;
        draft.give(n + 1)?;
        draft.add(pay(stranger_p2wsh(1), 2_000));
        requests.push(frame(&sign_request(&draft.psbt)));
    }
    let endpoint = carol.endpoint().clone();
    let waiting = carol.runtime().spawn(async move {
        let mut tasks = Vec::new();
        for some in requests.chunks(50).map(<[_]>::to_vec) {
            let channel = Channel::to_signer(&endpoint).await?;
            for request in some {
                let channel = channel.clone();
                tasks.push(tokio::spawn(async move { channel.call_framed(SIGN_PSBT, request).await }));
            }
        }
        let mut answers = Vec::new();
        for task in tasks {
            answers.push(task.await??);
        }
        Ok::<_, anyhow::Error>(answers)
    });
    std::thread::sleep(Duration::from_millis(1_200));
    let client = alice.client();
    let commitment = sign_request(&Psbt::deserialize(&update.commitment)?);
    let first = alice.runtime().spawn(async move { client.call(SIGN_PSBT, &commitment).await });
    std::thread::sleep(Duration::from_millis(150));
    alice.signed("its HTLC transaction", &Psbt::deserialize(&update.htlcs[0])?)?;
    let answer = alice.runtime().block_on(first)??;
    let crowd = carol.runtime().block_on(waiting)??;
    // Beyond the client's share of the queue they are turned away at once; all others wait in vain.
    let waited: Vec<_> = crowd.iter().filter(|answer| !answer.message.contains("busy")).collect();
    ensure!(waited.len() > 100, "{} of the crowd waited", waited.len());
    waited.iter().try_for_each(|answer| row.is_refused(answer, ""))?;
    ensure!(crowd.iter().all(|answer| answer.code != OK), "one of the crowd was signed");
    ensure!(answer.code == OK, "alice's commitment was not waited with: {}", answer.message);
    Ok(())
}
