//! Measures what it costs a forward that the companion asks about it: `forwards [N]`, N payments (default 300) from bob by alice
//! to carol with it and N without, by turns of 50, and how long each forward was held.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::time::Instant;

use anyhow::{Context, Result};
use strongroom_tests::companion::Companion;
use strongroom_tests::network::{Network, Plan, open_through_alice};
use strongroom_tests::signer::SignerKind;
use strongroom_tests::workdir::Workdir;

/// Payments in one turn.
const TURN: usize = 50;

fn main() -> Result<()> {
    let count = std::env::args().nth(1).map_or(Ok(300), |text| text.parse()).context("N is a number")?;
    Workdir::new("forwards")?.run(|dir| {
        let plan = Plan { companion: true, carol: true, ..Plan::of(SignerKind::Strongroom) };
        let mut net = Network::start(dir, &plan)?;
        net.fund(&net.alice, 1, 10_000_000)?;
        net.fund(&net.bob, 1, 10_000_000)?;
        open_through_alice(&net)?;
        let (mut with, mut without, mut held) = (Vec::new(), Vec::new(), Vec::new());
        pay(&net, 20)?;
        let mut turn = 0;
        while without.len() < count {
            let signer = net.signer.as_mut().and_then(|s| s.strongroomd()).context("no Strongroom")?;
            let beside = dir.join(format!("companion-{turn}"));
            turn += 1;
            let mut companion = Companion::start_with(&beside, &net.alice, signer, "refuse", true)?;
            with.extend(pay(&net, TURN)?);
            let log = companion.log()?;
            let words = log.lines().filter_map(|line| line.split_once("held_us=")).map(|(_, rest)| rest);
            let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
            held.extend(words.filter_map(|rest| digits(rest).parse::<f64>().ok()).map(|us| us / 1e3));
            companion.process().stop(10)?;
            without.extend(pay(&net, TURN)?);
        }
        let (a, b) = (figures("a payment with it", with), figures("a payment without", without));
        figures("a forward held by the companion", held);
        println!("added to a payment: median {:.2} ms, p99 {:.2} ms", a.0 - b.0, a.1 - b.1);
        Ok(())
    })
}

/// Milliseconds of each payment.
fn pay(net: &Network, count: usize) -> Result<Vec<f64>> {
    let carol = net.carol.as_ref().context("no carol")?;
    let one = |_| {
        let invoice = carol.invoice(1_000)?;
        let began = Instant::now();
        net.bob.pay(&invoice, None)?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    (0..count).map(one).collect()
}

fn figures(what: &str, mut all: Vec<f64>) -> (f64, f64) {
    all.sort_by(f64::total_cmp);
    let at = |share: f64| all.get((all.len() as f64 * share) as usize).copied().unwrap_or(f64::NAN);
    let (median, p99) = (at(0.5), at(0.99));
    println!(
        "{what}: median {median:.2} ms, p99 {p99:.2} ms, most {:.2} ms, of {}",
        at(1.0 - f64::EPSILON),
        all.len()
    );
    (median, p99)
}
