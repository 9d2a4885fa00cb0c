//! A load generator for any signer: a light client, many connections, each asking one thing at a time.

mod requests;
mod shapes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

pub use requests::{CHANNELS, Load, Operation, RequestSource, reservation, sign_psbt};
pub use shapes::{BenchChannel, Update, key, wallet_spend, xpub};

use crate::grpc::Channel;
use crate::lnd::SignerEndpoint;

/// What one run of load came to.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Requests answered with OK.
    pub answered: usize,
    /// Requests answered per second.
    pub per_second: f64,
    /// Median latency, milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of latency, milliseconds.
    pub p99_ms: f64,
}

/// Sends to `signer` what each connection has to ask, one after another, until that is used up or `limit` has passed. Any answer
/// but OK is an error: a refusal is no work done.
pub fn run(signer: &SignerEndpoint, load: Load, limit: Duration) -> Result<Figures> {
    // One thread for all connections: the machine is the signer's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut channels = Vec::with_capacity(load.0.len());
        for _ in &load.0 {
            channels.push(Channel::to_signer(signer).await?);
        }
        let began = Instant::now();
        let tasks: Vec<_> = channels
            .into_iter()
            .zip(load.0)
            .map(|(channel, requests)| {
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    for (n, (method, request)) in requests.into_iter().enumerate() {
                        if began.elapsed() >= limit {
                            break;
                        }
                        let asked = Instant::now();
                        let answer = channel.call_framed(method, request).await?;
                        latencies.push(asked.elapsed());
                        ensure!(
                            answer.code == 0,
                            "{method}: request {n}: code {}: {}",
                            answer.code,
                            answer.message
                        );
                    }
                    Ok(latencies)
                })
            })
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await.context("a load task panicked")??);
        }
        ensure!(!latencies.is_empty(), "nothing answered within {limit:?}");
        let answered = latencies.len();
        Ok(figures(latencies, answered, began.elapsed()))
    })
}

/// lnd's workers that ask for HTLC signatures at once (`lnwallet.SigPool`).
const WORKERS: usize = 8;

/// Asks for one update of a channel after another, as lnd does: the HTLCs by [`WORKERS`] at once, the commitment, which
/// stands last among an update's requests, beside them. Latencies are those of whole updates.
pub fn run_updates(
    signer: &SignerEndpoint,
    method: &'static str,
    updates: &[Arc<Vec<Bytes>>],
) -> Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut channels = Vec::with_capacity(WORKERS + 1);
        for _ in 0..=WORKERS {
            channels.push(Channel::to_signer(signer).await?);
        }
        let began = Instant::now();
        let (mut latencies, mut answered) = (Vec::with_capacity(updates.len()), 0);
        for update in updates {
            let asked = Instant::now();
            let htlcs = update.len() - 1;
            let tasks: Vec<_> = channels
                .iter()
                .enumerate()
                .map(|(worker, channel)| {
                    let (channel, update) = (channel.clone(), update.clone());
                    // The last one asks for the commitment.
                    let mine = if worker == WORKERS { htlcs..htlcs + 1 } else { 0..htlcs };
                    let (from, step) = if worker == WORKERS { (0, 1) } else { (worker, WORKERS) };
                    tokio::spawn(async move {
                        let mut done = 0;
                        for n in mine.skip(from).step_by(step) {
                            let answer = channel.call_framed(method, update[n].clone()).await?;
                            ensure!(answer.code == 0, "{method}: code {}: {}", answer.code, answer.message);
                            done += 1;
                        }
                        Ok::<usize, anyhow::Error>(done)
                    })
                })
                .collect();
            for task in tasks {
                answered += task.await.context("a load task panicked")??;
            }
            latencies.push(asked.elapsed());
        }
        Ok(figures(latencies, answered, began.elapsed()))
    })
}

fn figures(mut latencies: Vec<Duration>, answered: usize, took: Duration) -> Figures {
    latencies.sort_unstable();
    let at = |q: f64| {
        let last = latencies.len().saturating_sub(1);
        latencies.get((last as f64 * q) as usize).map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
    };
    let per_second = answered as f64 / took.as_secs_f64();
    Figures { answered, per_second, p50_ms: at(0.50), p99_ms: at(0.99) }
}
