//! lnd lost its database, and is made anew on the same signer with its `channel.backup`.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::lnd::{Keys, Lnd, OpenChannel};
use strongroom_tests::network::{Network, pay_many, short_id};
use strongroom_tests::peers::checkout;
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::Bed;

/// The commands that README has for it, with the last key taken and lnd's REST port in their places.
fn commands_of_the_readme(last: &str, port: &str) -> Result<String> {
    let readme = std::fs::read_to_string(checkout().join("README.md"))?;
    let (_, part) = readme.split_once("**lnd made anew.**").context("README tells of no lnd made anew")?;
    let block = part.split("```").nth(1).context("README has no commands for an lnd made anew")?;
    let commands = block.replace("LAST=310", &format!("LAST={last}")).replace(":8080/", &format!(":{port}/"));
    ensure!(commands.contains(last) && commands.contains(port), "README's commands are others: {block}");
    Ok(commands)
}

#[test]
fn an_lnd_made_anew_brings_all_home_and_opens_channels_again() -> Result<()> {
    Workdir::new("wayout-anew")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        let net = &bed.net;
        net.fund(&net.alice, 2, 5_000_000)?;
        net.fund(&net.bob, 2, 5_000_000)?;
        let mut points = net.open(&net.alice, &net.bob, 2, 1_000_000, 300_000, Anchors)?;
        points.extend(net.open(&net.bob, &net.alice, 2, 1_000_000, 300_000, Anchors)?);
        for point in &points {
            let through = short_id(&net.alice, point)?;
            pay_many(&net.alice, &net.bob, 2, 5_000, 1, std::slice::from_ref(&through))?;
        }
        let before = bed.alice_has()?;
        let backup = net.alice.rest().get("/v1/channels/backup")?;
        let backup = json!({"multi_chan_backup": backup["multi_chan_backup"]["multi_chan_backup"]});

        bed.net.alice.process().stop(60)?;
        let keys = {
            let signer = bed.net.signer.as_ref().context("no signer")?;
            Keys::Recovered(signer.endpoint(), signer.accounts()?)
        };
        let lines = bed.fees.lines();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        bed.net.alice = Lnd::start("alice", &dir.join("alice-anew"), &bed.net.bitcoind, &keys, &lines)?;
        let net = &bed.net;
        until_true(60, "the wallet recovered", || {
            Ok(net.alice.rest().get("/v1/getrecoveryinfo")?["recovery_finished"] == true)
        })?;
        net.alice.rest().post("/v1/channels/backup/restore", &backup)?;
        net.alice.connect(&net.bob)?;
        let told = |node: &Lnd| -> Result<usize> {
            Ok(node.pending("waiting_close_channels")?.len()
                + node.pending("pending_force_closing_channels")?.len())
        };
        // Restored channels wait for the peer, which closes them by force when it is told that we lost them.
        until_true(60, "the peer closes them", || {
            net.alice.connect(&net.bob)?;
            Ok(told(&net.bob)? == points.len())
        })?;
        bed.all_home(40)?;
        bed.mine_for_alice(2)?;
        let home = bed.net.alice.total_balance()?;
        bed.nothing_was_refused()?;
        eprintln!("wayout figures: lnd made anew from channel.backup: {home} of {before} sat home");
        ensure!(home + 20_000 > before, "{home} of {before} sat came home");

        // Openings are refused, in words that say what to do.
        let net = &bed.net;
        let open = |from: &Lnd, to: &Lnd| {
            from.open_channel(&OpenChannel {
                to,
                capacity: 500_000,
                push: 0,
                format: Anchors,
                private: false,
            })
        };
        let text = match open(&net.alice, &net.bob) {
            Ok(point) => bail!("{point} has a key that is taken"),
            Err(error) => format!("{error:#}"),
        };
        let last = text.split_once("the last of them {0/").and_then(|(_, rest)| rest.split_once('}'));
        let (last, _) = last.with_context(|| format!("the refusal names no last key: {text}"))?;

        let port = net.alice.rest().base().rsplit(':').next().context("no port")?;
        let commands = commands_of_the_readme(last, port)?;
        std::fs::copy(net.alice.as_signer().macaroon, net.alice.dir().join("admin.macaroon"))?;
        let run = Command::new("bash").arg("-c").arg(&commands).current_dir(net.alice.dir()).output()?;
        ensure!(
            run.status.success() && !run.stdout.is_empty(),
            "README's commands failed: {}",
            String::from_utf8_lossy(&run.stderr)
        );
        let points = [open(&net.alice, &net.bob)?, open(&net.bob, &net.alice)?];
        net.mine(6)?;
        net.alice.wait_active(&points)?;
        net.alice.pay(&net.bob.invoice(50_000)?, Some(&short_id(&net.alice, &points[0])?))?;
        ensure!(Network::all_closed(&net.alice)?, "channels are left of the lost lnd");
        Ok(())
    })
}
