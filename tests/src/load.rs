//! A load generator for any signer: a light client, many connections, each asking one thing at a time.

mod requests;
mod shapes;

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;

pub use requests::{CHANNELS, Operation, RequestSource, reservation, sign_psbt};
pub use shapes::{BenchChannel, CommitmentPair, key, wallet_spend, xpub};

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

/// Sends `requests` (framed gRPC messages for `method`) over `connections` (which divide
/// [`CHANNELS`]) to `signer`, until they are used up or `limit` has passed. Any answer but OK is an error: a refusal is no work done.
pub fn run(
    signer: &SignerEndpoint,
    method: &'static str,
    requests: &Arc<Vec<Bytes>>,
    connections: usize,
    limit: Duration,
) -> Result<Figures> {
    // One thread for all connections: the machine is the signer's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut channels = Vec::with_capacity(connections);
        for _ in 0..connections {
            channels.push(Channel::to_signer(signer).await?);
        }
        let began = Instant::now();
        let tasks: Vec<_> = channels
            .into_iter()
            .enumerate()
            .map(|(first, channel)| {
                let requests = requests.clone();
                tokio::spawn(async move {
                    let mut latencies = Vec::new();
                    // Every so-manieth: a Lightning channel's requests stay on one connection, in order.
                    for (n, request) in requests.iter().enumerate().skip(first).step_by(connections) {
                        if began.elapsed() >= limit {
                            break;
                        }
                        let asked = Instant::now();
                        let answer = channel.call_framed(method, request.clone()).await?;
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
        let seconds = began.elapsed().as_secs_f64();
        ensure!(!latencies.is_empty(), "{method}: nothing answered within {limit:?}");
        latencies.sort_unstable();
        let at = |q: f64| latencies[((latencies.len() - 1) as f64 * q) as usize].as_secs_f64() * 1e3;
        Ok(Figures {
            answered: latencies.len(),
            per_second: latencies.len() as f64 / seconds,
            p50_ms: at(0.50),
            p99_ms: at(0.99),
        })
    })
}
