//! Runs a routing node behind Strongroom for thousands of payments, restarts, closes and a breach.
//!
//! `soak [--payments N] [--seed S] [--signer strongroom|lnd] [--only UPSET,UPSET,...]`

#![expect(clippy::print_stdout, reason = "its closing line is its output")]

use std::time::Instant;

use anyhow::{Context, Result, bail};
use strongroom_tests::signer::SignerKind;
use strongroom_tests::soak::{Size, run};
use strongroom_tests::workdir::Workdir;

fn main() -> Result<()> {
    let mut size = Size { payments: 150, seed: 1, signer: SignerKind::Strongroom, only: Vec::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let value = args.next().with_context(|| format!("{arg} needs a value"))?;
        match arg.as_str() {
            "--payments" => size.payments = value.parse().context("--payments: not a number")?,
            "--seed" => size.seed = value.parse().context("--seed: not a number")?,
            "--signer" => {
                size.signer = match value.as_str() {
                    "strongroom" => SignerKind::Strongroom,
                    "lnd" => SignerKind::LndSigner,
                    other => bail!("--signer {other:?}: allowed are strongroom, lnd"),
                }
            }
            "--only" => size.only = value.split(',').map(str::to_owned).collect(),
            other => bail!("{other:?}: allowed are --payments, --seed, --signer, --only"),
        }
    }
    let began = Instant::now();
    let mut say = |text: &str| eprintln!("soak: {:>4} s  {text}", began.elapsed().as_secs());
    let report = Workdir::new("soak")?.run(|dir| run(dir, &size, &mut say))?;
    println!("{report}");
    Ok(())
}
