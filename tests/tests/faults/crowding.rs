//! A client that floods the daemon leaves room for the others.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use strongroom_tests::clock::{LND_WAITS, until_true};
use strongroom_tests::grpc::{Channel, INVALID_ARGUMENT, PERMISSION_DENIED, frame};
use strongroom_tests::lnd::SignerEndpoint;
use strongroom_tests::load::sign_psbt;
use strongroom_tests::strongroomd::Launch;
use strongroom_tests::workdir::Workdir;
use tokio::net::{TcpSocket, TcpStream};

use super::strangers::turned_away;
use super::{Bed, SIGN_MESSAGE, SIGN_PSBT, psbt, widened};

/// Where floods come from that the honest client's address is not to suffer from.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// A connection to `address` from [`ELSEWHERE`].
async fn connect_from_elsewhere(address: &str) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((ELSEWHERE, 0)))?;
    Ok(socket.connect(address.parse()?).await?)
}

/// Requests that a flood sent, by what became of them.
#[derive(Default)]
struct Tally {
    decided: AtomicUsize,
    crowded: AtomicUsize,
}

/// Sends `request` again and again over `connections` connections, `streams` at once on each, until `stop`.
async fn flood(
    endpoint: SignerEndpoint,
    macaroon: String,
    request: Bytes,
    (connections, streams): (usize, usize),
    stop: Arc<AtomicBool>,
    tally: Arc<Tally>,
) -> Result<()> {
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let channel = Channel::connect(&endpoint.address, &endpoint.tls_cert, Some(macaroon.clone())).await?;
        for _ in 0..streams {
            let (channel, request) = (channel.clone(), request.clone());
            let (stop, tally) = (stop.clone(), tally.clone());
            tasks.push(tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = channel.call_framed(SIGN_PSBT, request.clone()).await?;
                    let crowded = answer.message.contains("limits.max_queue_per_client");
                    ensure!(
                        [INVALID_ARGUMENT, PERMISSION_DENIED].contains(&answer.code),
                        "the flood: code {} {}",
                        answer.code,
                        answer.message
                    );
                    (if crowded { &tally.crowded } else { &tally.decided }).fetch_add(1, Ordering::Relaxed);
                    if crowded {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                }
                Ok(())
            }));
        }
    }
    for task in tasks {
        task.await.context("a flooding task panicked")??;
    }
    Ok(())
}

#[test]
fn a_flood_of_big_requests_delays_no_one() -> Result<()> {
    const HONEST: usize = 150;
    Workdir::new("faults-flood")?.run(|dir| {
        let launch = Launch {
            config: vec![("limits.max_queue_per_client", "64".to_owned())],
            ..Launch::default()
        };
        let mut bed = Bed::launched(dir, launch)?;
        let request = sign_psbt(&widened(&psbt(&bed.daemon)?, 1_000).serialize());
        let (stop, tally) = (Arc::new(AtomicBool::new(false)), Arc::new(Tally::default()));
        let flooding = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let flooded = flooding.spawn(flood(
            bed.daemon.endpoint(),
            bed.daemon.macaroon("flood")?,
            request,
            (8, 32),
            stop.clone(),
            tally.clone(),
        ));
        until_true(20, "the flood is on", || Ok(tally.crowded.load(Ordering::Relaxed) > 100))?;
        let commitments = bed.source.commitments(HONEST)?;
        let mut latencies = Vec::with_capacity(HONEST);
        for (n, commitment) in commitments.iter().enumerate() {
            let asked = Instant::now();
            let answer = bed.ask_framed(SIGN_PSBT, commitment.clone())?;
            ensure!(answer.code == 0, "honest request {n}: code {} {}", answer.code, answer.message);
            latencies.push(asked.elapsed());
        }
        stop.store(true, Ordering::Relaxed);
        bed.runtime.block_on(flooded).context("the flood panicked")??;
        latencies.sort_unstable();
        let (median, worst) = (latencies[HONEST / 2], latencies[HONEST - 1]);
        let decided = tally.decided.load(Ordering::Relaxed);
        ensure!(decided > 0, "the flood's own requests were all turned away");
        ensure!(worst < LND_WAITS, "an honest request took {worst:?} beside the flood");
        until_true(5, "the flood is written down", || {
            Ok(turned_away(&bed.daemon)?.iter().any(|tally| {
                tally["who"].as_str().is_some_and(|who| who.starts_with("alice/flood"))
                    && tally["why"].as_str().is_some_and(|why| {
                        why.contains("alice/flood has 64") && why.contains("limits.max_queue_per_client")
                    })
            }))
        })?;
        eprintln!(
            "faults figures: beside a flood of 1,000-input requests ({decided} decided, {} turned away): {HONEST} of \
             {HONEST} honest requests signed, median {:.1} ms, worst {:.1} ms",
            tally.crowded.load(Ordering::Relaxed),
            median.as_secs_f64() * 1e3,
            worst.as_secs_f64() * 1e3
        );
        bed.daemon.process().check_alive()
    })
}

#[test]
fn an_address_full_of_idle_connections_keeps_no_other_out() -> Result<()> {
    Workdir::new("faults-places")?.run(|dir| {
        let launch = Launch {
            config: vec![
                ("limits.max_connections", "64".to_owned()),
                ("limits.max_connections_per_address", "16".to_owned()),
                ("limits.max_connections_per_client", "8".to_owned()),
            ],
            ..Launch::default()
        };
        let mut bed = Bed::launched(dir, launch)?;
        let endpoint = bed.daemon.endpoint();
        let stop = Arc::new(AtomicBool::new(false));
        let flooding = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let made = Arc::new(AtomicUsize::new(0));
        let (address, over, count) = (endpoint.address.clone(), stop.clone(), made.clone());
        let flooded = flooding.spawn(async move {
            let mut held = std::collections::VecDeque::new();
            while !over.load(Ordering::Relaxed) {
                held.push_back(connect_from_elsewhere(&address).await?);
                count.fetch_add(1, Ordering::Relaxed);
                if held.len() > 400 {
                    held.pop_front();
                }
            }
            Ok::<(), anyhow::Error>(())
        });
        until_true(10, "more connections than the door has places for", || {
            Ok(made.load(Ordering::Relaxed) > 128)
        })?;
        let began = Instant::now();
        for n in 0..30 {
            bed.good = bed
                .runtime
                .block_on(Channel::to_signer(&endpoint))
                .with_context(|| format!("newcomer {n} beside the flood"))?;
            bed.still_signs().with_context(|| format!("newcomer {n} beside the flood"))?;
        }
        let took = began.elapsed();
        stop.store(true, Ordering::Relaxed);
        bed.runtime.block_on(flooded).context("the flood panicked")??;
        eprintln!(
            "faults figures: 30 newcomers signed in {} ms beside {} idle connections from another address",
            took.as_millis(),
            made.load(Ordering::Relaxed)
        );
        bed.daemon.process().check_alive()
    })
}

#[test]
fn a_client_has_its_share_of_connections() -> Result<()> {
    Workdir::new("faults-connections")?.run(|dir| {
        let launch = Launch {
            config: vec![
                ("limits.max_connections_per_address", "40".to_owned()),
                ("limits.max_connections_per_client", "8".to_owned()),
            ],
            ..Launch::default()
        };
        let mut bed = Bed::launched(dir, launch)?;
        let endpoint = bed.daemon.endpoint();
        // Two macaroons of one client draw on one share.
        let macaroons = [bed.daemon.macaroon("crowd")?, bed.daemon.macaroon("crowd")?];
        let (mut channels, mut turned_away) = (Vec::new(), 0);
        for n in 0..20 {
            let macaroon = macaroons[n % 2].clone();
            let connecting = Channel::connect(&endpoint.address, &endpoint.tls_cert, Some(macaroon));
            let channel = bed.runtime.block_on(connecting)?;
            // No grant names it: what is let in is refused by policy or for its form.
            let answer =
                bed.runtime.block_on(channel.call_framed(SIGN_MESSAGE, frame(&[0x12, 0x02, 0x08, 0x06])))?;
            let crowded = answer.message.contains("alice/crowd has 8 connections")
                && answer.message.contains("limits.max_connections_per_client");
            ensure!(crowded == (n >= 8), "connection {n}: code {} {}", answer.code, answer.message);
            ensure!(!crowded || answer.code == PERMISSION_DENIED, "connection {n}: code {}", answer.code);
            turned_away += usize::from(crowded);
            channels.push(channel);
        }
        ensure!(turned_away == 12, "{turned_away} of 20 connections turned away; expected 12");
        // The honest client comes from the same address.
        bed.good = bed.runtime.block_on(Channel::to_signer(&endpoint))?;
        bed.still_signs()?;
        // What is given back can be had again.
        drop(channels);
        until_true(10, "a connection given back", || {
            let connecting =
                Channel::connect(&endpoint.address, &endpoint.tls_cert, Some(macaroons[0].clone()));
            let channel = bed.runtime.block_on(connecting)?;
            let answer =
                bed.runtime.block_on(channel.call_framed(SIGN_MESSAGE, frame(&[0x12, 0x02, 0x08, 0x06])))?;
            Ok(!answer.message.contains("limits.max_connections_per_client"))
        })
    })
}
