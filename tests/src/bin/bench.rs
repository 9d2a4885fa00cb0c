//! Measures signers side by side: requests per second, latency and memory, same client, same run.
//!
//! `bench [--rounds N] [--seconds S] [--out FILE] [lnd|strongroom]...` (default: both)

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use strongroom_tests::grpc::Channel;
use strongroom_tests::load::{Figures, Operation, RequestSource, run};
use strongroom_tests::signer::{Signer, SignerKind};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

const CONNECTIONS: [usize; 3] = [1, 8, 32];

struct Options {
    rounds: usize,
    seconds: f64,
    out: Option<String>,
    signers: Vec<SignerKind>,
}

struct Cell {
    operation: Operation,
    connections: usize,
    signer: SignerKind,
    rounds: Vec<Figures>,
}

fn main() -> Result<()> {
    let options = options()?;
    Workdir::new("bench")?.run(|dir| {
        let mut signers = Vec::new();
        // Everything enforced; 64 channels of invented peers are more than the profile's total.
        let policy = PolicyChoice::cautious().set("channels.max_total_sat", 1_000_000_000);
        for kind in &options.signers {
            let signer = Signer::start(*kind, &dir.join(format!("{kind:?}")), &policy)?
                .context("local keys are no signer")?;
            signers.push((*kind, signer));
        }
        let cells = measure(&options, &signers)?;
        report(&options, &cells, &mut signers)
    })
}

fn options() -> Result<Options> {
    let mut options = Options { rounds: 3, seconds: 1.5, out: None, signers: Vec::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--rounds" => options.rounds = value()?.parse()?,
            "--seconds" => options.seconds = value()?.parse()?,
            "--out" => options.out = Some(value()?),
            "lnd" => options.signers.push(SignerKind::LndSigner),
            "strongroom" => options.signers.push(SignerKind::Strongroom),
            other => bail!("{other:?}: allowed are --rounds, --seconds, --out, lnd, strongroom"),
        }
    }
    if options.signers.is_empty() {
        options.signers = vec![SignerKind::LndSigner, SignerKind::Strongroom];
    }
    Ok(options)
}

fn measure(options: &Options, signers: &[(SignerKind, Signer)]) -> Result<Vec<Cell>> {
    let accounts = signers[0].1.accounts()?;
    let mut source = RequestSource::new(&accounts)?;
    for (_, signer) in signers {
        preface(signer, &source)?;
    }
    let mut cells = Vec::new();
    for connections in CONNECTIONS {
        // More than any signer here answers in the time given.
        let most = if connections == 1 { 6_000.0 } else { 24_000.0 };
        let count = (most * options.seconds) as usize;
        for operation in Operation::ALL {
            for (kind, _) in signers {
                cells.push(Cell { operation, connections, signer: *kind, rounds: Vec::new() });
            }
        }
        for round in 0..options.rounds {
            let (htlcs, commitments) = source.commitments(count)?;
            for operation in Operation::ALL {
                let requests = match operation {
                    Operation::SignHtlc => htlcs.clone(),
                    Operation::SignCommitment => commitments.clone(),
                    Operation::SignMessage => source.messages(count)?,
                    Operation::DeriveSharedKey => source.shared_keys(count)?,
                };
                let mut order: Vec<_> = signers.iter().collect();
                // Neither signer is always the one that finds the machine warm.
                if round % 2 == 1 {
                    order.reverse();
                }
                for (kind, signer) in order {
                    let limit = Duration::from_secs_f64(options.seconds);
                    let figures = run(&signer.endpoint(), operation.method(), &requests, connections, limit)
                        .with_context(|| format!("{kind}, {operation}, {connections} connections"))?;
                    ensure!(
                        figures.answered < requests.len(),
                        "{operation}: {} requests were too few for {limit:?}",
                        requests.len()
                    );
                    eprintln!(
                        "bench: {connections:>2} connections, {operation:<19} {kind:<10} {:>8.0} req/s  p50 {:.2} ms  p99 {:.2} ms",
                        figures.per_second, figures.p50_ms, figures.p99_ms
                    );
                    if let Some(cell) = cells.iter_mut().find(|c| {
                        c.operation == operation && c.connections == connections && c.signer == *kind
                    }) {
                        cell.rounds.push(figures);
                    }
                }
            }
        }
    }
    Ok(cells)
}

fn preface(signer: &Signer, source: &RequestSource) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = Channel::to_signer(&signer.endpoint()).await?;
        for (method, request) in source.preface()? {
            let answer = channel.call_framed(method, request).await?;
            ensure!(answer.code == 0, "preface, {method}: {}", answer.message);
        }
        Ok(())
    })
}

fn report(options: &Options, cells: &[Cell], signers: &mut [(SignerKind, Signer)]) -> Result<()> {
    let mut rows = Vec::new();
    for cell in cells {
        rows.push(json!({
            "operation": cell.operation.to_string(), "connections": cell.connections,
            "signer": cell.signer.to_string(), "rounds": cell.rounds.len(),
            "req_per_s": median(cell, |f| f.per_second), "p50_ms": median(cell, |f| f.p50_ms),
            "p99_ms": median(cell, |f| f.p99_ms),
        }));
    }
    let mut memory = serde_json::Map::new();
    for (kind, signer) in signers {
        memory.insert(kind.to_string(), json!(signer.process().peak_rss_kib()?));
    }
    let result = json!({
        "machine": machine(), "rounds": options.rounds, "seconds": options.seconds,
        "peak_rss_kib": memory, "cells": rows,
    });
    if let Some(out) = &options.out {
        std::fs::write(out, format!("{result:#}\n"))?;
    }
    println!("{}", table(cells, &result));
    Ok(())
}

fn median(cell: &Cell, of: impl Fn(&Figures) -> f64) -> f64 {
    let mut values: Vec<f64> = cell.rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn table(cells: &[Cell], result: &Value) -> String {
    let mut text = format!(
        "machine: {}\n| operation | connections | signer | req/s | p50 ms | p99 ms | ratio of req/s |\n|---|---|---|---|---|---|---|\n",
        result["machine"].as_str().unwrap_or_default()
    );
    for cell in cells {
        let base = cells.iter().find(|c| {
            c.operation == cell.operation
                && c.connections == cell.connections
                && c.signer == SignerKind::LndSigner
        });
        let ratio = base.filter(|_| cell.signer != SignerKind::LndSigner).map_or(String::new(), |base| {
            let ratio = median(cell, |f| f.per_second) / median(base, |f| f.per_second);
            format!("{ratio:.2}")
        });
        text += &format!(
            "| {} | {} | {} | {:.0} | {:.2} | {:.2} | {ratio} |\n",
            cell.operation,
            cell.connections,
            cell.signer,
            median(cell, |f| f.per_second),
            median(cell, |f| f.p50_ms),
            median(cell, |f| f.p99_ms)
        );
    }
    text + &format!("peak RSS, KiB: {}\n", result["peak_rss_kib"])
}

fn machine() -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|l| l.starts_with("model name"))?.to_owned();
            Some(line.split(':').nth(1)?.trim().to_owned())
        })
        .unwrap_or_else(|| "unknown CPU".into());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores, {model}")
}
