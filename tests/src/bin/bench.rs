//! Measures signers side by side: requests per second, latency and memory, same client, same run.
//!
//! Then end to end: payments per second of an lnd with local keys and with each signer.
//!
//! `bench [--rounds N] [--out FILE] [--no-payments] [--connections N,N,...] [--signatures] [lnd|strongroom]...`
//! (default: both signers, everything). `--signatures` leaves out messages and shared secrets.

#![expect(clippy::print_stdout, reason = "the table is its output")]

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use strongroom_tests::grpc::Channel;
use strongroom_tests::lnd::CommitmentType;
use strongroom_tests::load::{Figures, Load, Operation, RequestSource, run, run_updates};
use strongroom_tests::network::{Network, Plan, pay_many, short_id};
use strongroom_tests::signer::{Signer, SignerKind};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

struct Options {
    rounds: usize,
    connections: Vec<usize>,
    operations: Vec<Operation>,
    out: Option<String>,
    payments: bool,
    signers: Vec<SignerKind>,
}

/// Payments per second through one channel, `parallel` at a time.
struct Payments {
    signer: SignerKind,
    parallel: usize,
    out: f64,
    back: f64,
}

struct Cell {
    operation: Operation,
    connections: usize,
    signer: SignerKind,
    rounds: Vec<Round>,
}

/// One block of requests to one signer.
struct Round {
    figures: Figures,
    /// CPU time that the signer used for each request, microseconds.
    cpu_us: f64,
}

fn main() -> Result<()> {
    let options = options()?;
    Workdir::new("bench")?.run(|dir| {
        let mut signers = Vec::new();
        // Everything enforced; 64 channels of invented peers are more than the profile's total.
        // Every HTLC of the load is a payment of its own, and none ever comes back.
        let policy = PolicyChoice::cautious()
            .set("channels.max_total_sat", 1_000_000_000)
            .set("channels.max_unnamed_sat", 1_000_000_000)
            .set("payments.max_unauthorized_in_window_sat", 1_000_000_000_000_u64)
            .set("payments.max_unexplained_in_window_sat", 1_000_000_000_000_u64);
        for kind in &options.signers {
            let signer = Signer::start(*kind, &dir.join(format!("{kind:?}")), &policy)?
                .context("local keys are no signer")?;
            signers.push((*kind, signer));
        }
        let mut source = RequestSource::new(&signers[0].1.accounts()?)?;
        let cells = measure(&options, &signers, &mut source)?;
        let updates = measure_updates(&options, &signers, &mut source)?;
        let memory = peak_memory(&mut signers)?;
        // Their memory and threads are not to weigh on the payments.
        drop(signers);
        let mut payments = Vec::new();
        if options.payments {
            for kind in [SignerKind::Local].iter().chain(&options.signers) {
                payments.extend(pay(&dir.join(format!("pay-{kind:?}")), *kind)?);
            }
        }
        report(&options, &cells, &updates, memory, &payments)
    })
}

fn options() -> Result<Options> {
    let mut options = Options {
        rounds: 5,
        connections: vec![1, 8, 32],
        operations: Operation::ALL.to_vec(),
        out: None,
        payments: true,
        signers: Vec::new(),
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "--rounds" => options.rounds = value()?.parse()?,
            "--connections" => {
                let counts: Result<Vec<usize>, _> = value()?.split(',').map(str::parse).collect();
                options.connections = counts.context("--connections: not numbers with commas between")?;
            }
            "--signatures" => options.operations = vec![Operation::SignHtlc, Operation::SignCommitment],
            "--no-payments" => options.payments = false,
            "--out" => options.out = Some(value()?),
            "lnd" => options.signers.push(SignerKind::LndSigner),
            "strongroom" => options.signers.push(SignerKind::Strongroom),
            other => {
                bail!(
                    "{other:?}: allowed are --rounds, --connections, --signatures, --out, --no-payments, lnd, strongroom"
                )
            }
        }
    }
    if options.signers.is_empty() {
        options.signers = vec![SignerKind::LndSigner, SignerKind::Strongroom];
    }
    Ok(options)
}

/// Requests of one kind in one block; blocks of the two signers alternate.
const BLOCK: usize = 3_600;

/// Longest that a block may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn measure(
    options: &Options,
    signers: &[(SignerKind, Signer)],
    source: &mut RequestSource,
) -> Result<Vec<Cell>> {
    for (_, signer) in signers {
        preface(signer, source)?;
    }
    let mut cells = Vec::new();
    for &connections in &options.connections {
        // As many as a signer holds HTLC answers for before it sees their commitments, with room to spare.
        let count = if connections == 1 { BLOCK / 3 } else { BLOCK };
        for &operation in &options.operations {
            for (kind, _) in signers {
                cells.push(Cell { operation, connections, signer: *kind, rounds: Vec::new() });
            }
        }
        for round in 0..options.rounds {
            let (htlcs, commitments) = source.pairs(count)?;
            for &operation in &options.operations {
                let spread = |requests: &[_]| Load::spread(operation.method(), requests, connections);
                let load = match operation {
                    Operation::SignHtlc => spread(&htlcs),
                    Operation::SignCommitment => spread(&commitments),
                    Operation::SignMessage => spread(&source.messages(count)?),
                    // lnd takes ten times as long for it.
                    Operation::DeriveSharedKey => spread(&source.shared_keys(count / 6)?),
                    Operation::Forwarding => source.forwarding(count / 2, connections)?,
                };
                let asked = load.count();
                let mut order: Vec<_> = signers.iter().collect();
                // Neither signer is always the one that finds the machine warm.
                if round % 2 == 1 {
                    order.reverse();
                }
                for (kind, signer) in order {
                    let before = signer.process_ref().cpu_seconds()?;
                    let figures = run(&signer.endpoint(), load.clone(), PATIENCE)
                        .with_context(|| format!("{kind}, {operation}, {connections} connections"))?;
                    ensure!(figures.answered == asked, "{kind}, {operation}: not done within {PATIENCE:?}");
                    let used = signer.process_ref().cpu_seconds()? - before;
                    let cpu_us = used * 1e6 / asked as f64;
                    eprintln!(
                        "bench: {connections:>2} connections, {operation:<19} {kind:<10} {:>8.0} req/s  p50 {:.2} ms  p99 {:.2} ms  CPU {cpu_us:.0} us",
                        figures.per_second, figures.p50_ms, figures.p99_ms
                    );
                    if let Some(cell) = cells.iter_mut().find(|c| {
                        c.operation == operation && c.connections == connections && c.signer == *kind
                    }) {
                        cell.rounds.push(Round { figures, cpu_us });
                    }
                }
            }
        }
    }
    Ok(cells)
}

/// HTLCs on a commitment, and how many such updates are asked for in one round.
const UPDATES: [(u64, usize); 4] = [(0, 400), (10, 100), (100, 20), (483, 6)];

/// Whole updates of channels with `htlcs` HTLCs, one after another.
struct Updates {
    htlcs: u64,
    signer: SignerKind,
    rounds: Vec<Figures>,
}

fn measure_updates(
    options: &Options,
    signers: &[(SignerKind, Signer)],
    source: &mut RequestSource,
) -> Result<Vec<Updates>> {
    let mut rows = Vec::new();
    for (htlcs, count) in UPDATES {
        let mut of_this: Vec<Updates> = signers
            .iter()
            .map(|(signer, _)| Updates { htlcs, signer: *signer, rounds: Vec::new() })
            .collect();
        for round in 0..options.rounds {
            let updates = source.updates(count, htlcs)?;
            let mut order: Vec<_> = signers.iter().zip(&mut of_this).collect();
            if round % 2 == 1 {
                order.reverse();
            }
            for ((kind, signer), row) in order {
                let method = Operation::SignCommitment.method();
                let figures = run_updates(&signer.endpoint(), method, &updates)
                    .with_context(|| format!("{kind}, updates with {htlcs} HTLCs"))?;
                eprintln!(
                    "bench: updates with {htlcs:>3} HTLCs      {kind:<10} {:>8.0} signatures/s  p50 {:.2} ms  p99 {:.2} ms",
                    figures.per_second, figures.p50_ms, figures.p99_ms
                );
                row.rounds.push(figures);
            }
        }
        rows.extend(of_this);
    }
    Ok(rows)
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

/// (payments in flight at once, payments each way)
const PAYMENTS: [(usize, usize); 3] = [(1, 30), (8, 160), (32, 320)];

fn pay(dir: &Path, signer: SignerKind) -> Result<Vec<Payments>> {
    let net = Network::start(dir, &Plan::of(signer))?;
    net.fund(&net.alice, 1, 10_000_000)?;
    net.fund(&net.bob, 1, 10_000_000)?;
    let ours = net.open(&net.alice, &net.bob, 1, 10_000_000, 0, CommitmentType::Anchors)?;
    let theirs = net.open(&net.bob, &net.alice, 1, 10_000_000, 0, CommitmentType::Anchors)?;
    let ours = [short_id(&net.alice, &ours[0])?];
    let theirs = [short_id(&net.bob, &theirs[0])?];
    let mut rows = Vec::new();
    for (parallel, count) in PAYMENTS {
        let rate = |took: Duration| count as f64 / took.as_secs_f64();
        let out = rate(pay_many(&net.alice, &net.bob, count, 1_000, parallel, &ours)?);
        let back = rate(pay_many(&net.bob, &net.alice, count, 1_000, parallel, &theirs)?);
        eprintln!("bench: {signer}, {parallel} payments at once: {out:.1}/s out, {back:.1}/s back");
        rows.push(Payments { signer, parallel, out, back });
    }
    Ok(rows)
}

fn peak_memory(signers: &mut [(SignerKind, Signer)]) -> Result<serde_json::Map<String, Value>> {
    signers
        .iter_mut()
        .map(|(kind, signer)| Ok((kind.to_string(), json!(signer.process().peak_rss_kib()?))))
        .collect()
}

fn report(
    options: &Options,
    cells: &[Cell],
    updates: &[Updates],
    memory: serde_json::Map<String, Value>,
    payments: &[Payments],
) -> Result<()> {
    let mut rows = Vec::new();
    for cell in cells {
        rows.push(json!({
            "operation": cell.operation.to_string(), "connections": cell.connections,
            "signer": cell.signer.to_string(), "rounds": cell.rounds.len(),
            "req_per_s": median(&cell.rounds, |r| r.figures.per_second), "p50_ms": median(&cell.rounds, |r| r.figures.p50_ms),
            "p99_ms": median(&cell.rounds, |r| r.figures.p99_ms), "cpu_us": median(&cell.rounds, |r| r.cpu_us),
        }));
    }
    let result = json!({
        "machine": machine(), "rounds": options.rounds, "requests_per_round": BLOCK,
        "peak_rss_kib": memory, "cells": rows,
        "updates": updates.iter().map(|u| json!({
            "htlcs": u.htlcs, "signer": u.signer.to_string(),
            "signatures_per_s": median(&u.rounds, |f| f.per_second),
            "p50_ms": median(&u.rounds, |f| f.p50_ms), "p99_ms": median(&u.rounds, |f| f.p99_ms),
        })).collect::<Vec<_>>(),
        "payments": payments.iter().map(|p| json!({
            "signer": p.signer.to_string(), "parallel": p.parallel,
            "out_per_s": p.out, "back_per_s": p.back,
        })).collect::<Vec<_>>(),
    });
    if let Some(out) = &options.out {
        std::fs::write(out, format!("{result:#}\n"))?;
    }
    println!("{}{}{}", table(cells, &result), updates_table(updates), payments_table(payments));
    Ok(())
}

fn median<T>(rounds: &[T], of: impl Fn(&T) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn table(cells: &[Cell], result: &Value) -> String {
    let mut text = format!(
        "machine: {}\n| operation | connections | signer | req/s | p50 ms | p99 ms | signer's CPU us | ratio of req/s |\n|---|---|---|---|---|---|---|---|\n",
        result["machine"].as_str().unwrap_or_default()
    );
    for cell in cells {
        let base = cells.iter().find(|c| {
            c.operation == cell.operation
                && c.connections == cell.connections
                && c.signer == SignerKind::LndSigner
        });
        let ratio = base.filter(|_| cell.signer != SignerKind::LndSigner).map_or(String::new(), |base| {
            let ratio = median(&cell.rounds, |r| r.figures.per_second)
                / median(&base.rounds, |r| r.figures.per_second);
            format!("{ratio:.2}")
        });
        text += &format!(
            "| {} | {} | {} | {:.0} | {:.2} | {:.2} | {:.0} | {ratio} |\n",
            cell.operation,
            cell.connections,
            cell.signer,
            median(&cell.rounds, |r| r.figures.per_second),
            median(&cell.rounds, |r| r.figures.p50_ms),
            median(&cell.rounds, |r| r.figures.p99_ms),
            median(&cell.rounds, |r| r.cpu_us)
        );
    }
    text + &format!("peak RSS, KiB: {}\n", result["peak_rss_kib"])
}

fn updates_table(updates: &[Updates]) -> String {
    let mut text = "| HTLCs on the commitment | signer | signatures/s | whole update, p50 ms | p99 ms | ratio of signatures/s |\n\
        |---|---|---|---|---|---|\n"
        .to_owned();
    for row in updates {
        let rate = median(&row.rounds, |f| f.per_second);
        let base = updates.iter().find(|u| u.htlcs == row.htlcs && u.signer == SignerKind::LndSigner);
        let ratio = base
            .filter(|_| row.signer != SignerKind::LndSigner)
            .map_or(String::new(), |base| format!("{:.2}", rate / median(&base.rounds, |f| f.per_second)));
        text += &format!(
            "| {} | {} | {rate:.0} | {:.2} | {:.2} | {ratio} |\n",
            row.htlcs,
            row.signer,
            median(&row.rounds, |f| f.p50_ms),
            median(&row.rounds, |f| f.p99_ms)
        );
    }
    text
}

fn payments_table(payments: &[Payments]) -> String {
    if payments.is_empty() {
        return String::new();
    }
    let mut text = "| payments at once | signer | out, per s | back, per s |\n|---|---|---|---|\n".to_owned();
    for p in payments {
        text += &format!("| {} | {} | {:.1} | {:.1} |\n", p.parallel, p.signer, p.out, p.back);
    }
    text
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
