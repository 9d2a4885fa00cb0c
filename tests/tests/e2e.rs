//! End to end: a real lnd whose every signature comes from the signer under test.
//!
//! `STRONGROOM_SIGNER=lnd` runs the same scenarios against lnd's own signer, to tell a fault of the
//! product from one of the scenario.

use anyhow::{Context, Result, ensure};
use strongroom_tests::day::{self, Size};
use strongroom_tests::network::{Network, Plan};
use strongroom_tests::signer::SignerKind;
use strongroom_tests::workdir::Workdir;

fn signer() -> Result<SignerKind> {
    match std::env::var("STRONGROOM_SIGNER").as_deref() {
        Err(_) | Ok("strongroom") => Ok(SignerKind::Strongroom),
        Ok("lnd") => Ok(SignerKind::LndSigner),
        Ok(other) => anyhow::bail!("STRONGROOM_SIGNER is {other:?}: allowed are strongroom, lnd"),
    }
}

/// No request was refused and lnd ran through: what "put behind Strongroom" must mean.
fn nothing_was_refused(net: &mut Network) -> Result<()> {
    net.alice.process().check_alive()?;
    let faults = net.alice.signing_faults()?;
    ensure!(faults.is_empty(), "alice's log: {}", faults.join("\n"));
    if let Some(daemon) = net.signer.as_mut().and_then(|s| s.strongroomd()) {
        let refused = daemon.refused()?;
        ensure!(refused == 0, "{refused} requests were refused:\n{}", daemon.journal_tail(20)?);
    }
    Ok(())
}

#[test]
fn a_day_of_lnd_under_the_cautious_profile() -> Result<()> {
    Workdir::new("e2e-day")?.run(|dir| {
        let plan = Plan::of(signer()?);
        let (mut net, report) = day::run(dir, &plan, Size::ACCEPTANCE, &mut |step| eprintln!("e2e: {step}"))?;
        eprintln!("e2e figures: {}: {report}", plan.signer);
        nothing_was_refused(&mut net)
    })
}

#[test]
fn coins_of_all_three_kinds_are_spent_and_messages_signed() -> Result<()> {
    Workdir::new("e2e-wallet")?.run(|dir| {
        let mut net = Network::start(dir, &Plan::of(signer()?))?;
        net.fund(&net.alice, 1, 400_000)?;
        let address = net.bitcoind.new_address()?;
        // More than two coins hold: inputs of all three kinds in one transaction.
        let txid = net.alice.send_coins(&address, 900_000)?;
        let spent = net.bitcoind.transaction(&txid)?;
        ensure!(
            spent["vin"].as_array().is_some_and(|inputs| inputs.len() == 3),
            "{txid} does not spend three coins"
        );
        net.mine(1)?;
        ensure!(net.bitcoind.received_sat(&address)? == 900_000, "{address} was not paid");
        let signature = net.alice.sign_message("hello")?;
        let verified = net.bob.verify_message("hello", &signature)?;
        ensure!(verified == net.alice.pubkey(), "the signature is {verified}'s");
        net.fund(&net.alice, 1, 400_000)?;
        let raw = net.alice.psbt_round(&address, 300_000)?;
        let accepted = net.bitcoind.rpc("testmempoolaccept", serde_json::json!([[hex::encode(raw)]]))?;
        ensure!(accepted[0]["allowed"] == true, "bitcoind says {accepted}");
        nothing_was_refused(&mut net)
    })
}

#[test]
fn lnd_and_its_signer_come_back_after_a_restart() -> Result<()> {
    use strongroom_tests::lnd::CommitmentType;
    use strongroom_tests::network::{pay_many, short_id};
    Workdir::new("e2e-restart")?.run(|dir| {
        let mut net = Network::start(dir, &Plan::of(signer()?))?;
        net.fund(&net.alice, 1, 10_000_000)?;
        let points = net.open(&net.alice, &net.bob, 1, 4_000_000, 500_000, CommitmentType::Anchors)?;
        let ours = short_id(&net.alice, &points[0])?;
        pay_many(&net.alice, &net.bob, 20, 2_000, 4, std::slice::from_ref(&ours))?;
        net.alice.process().stop(60)?;
        match net.signer.as_mut().context("no signer")? {
            strongroom_tests::signer::Signer::Lnd(lnd) => {
                lnd.process().stop(60)?;
                lnd.start_signer_again()?;
            }
            strongroom_tests::signer::Signer::Strongroom(daemon) => {
                daemon.process().stop(10)?;
                daemon.start_again()?;
            }
        }
        net.alice.start_again()?;
        net.alice.connect(&net.bob)?;
        net.alice.wait_active(&points)?;
        pay_many(&net.alice, &net.bob, 20, 2_000, 4, std::slice::from_ref(&ours))?;
        nothing_was_refused(&mut net)
    })
}
