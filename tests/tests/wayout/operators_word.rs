//! A close by agreement where the signer does not know what is ours: an operator says it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::ChannelPoint;
use strongroom_tests::network::{pay_many, short_id};
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, number, refusals};
use crate::unknown_history::{forget_everything, lived};

/// What alice has in a channel.
fn local_balance(bed: &Bed, point: &ChannelPoint) -> Result<u64> {
    number(&bed.net.alice.channel(point)?.context("no such channel")?["local_balance"])
}

/// Alice asks for a close by agreement, which her signer refuses; lnd has written it down.
fn refused(bed: &mut Bed, point: &ChannelPoint) -> Result<()> {
    let before = bed.daemon()?.refused()?;
    let path = format!("/v1/channels/{}/{}?sat_per_vbyte=5", point.txid, point.vout);
    let _ = bed.net.alice.rest().within(10).delete_stream_first(&path);
    until_true(30, "the close refused", || Ok(bed.daemon()?.refused()? > before))?;
    let told = refusals(bed.daemon()?)?;
    let command = format!("strongroom channel allow-close NODE {point} --at-least SAT");
    ensure!(told.iter().any(|told| told.contains(&command)), "no refusal names {command}: {told:#?}");
    Ok(())
}

/// An operator says what is ours; the peers connect again, and the close comes to be.
fn closed_by_word(bed: &mut Bed, point: &ChannelPoint, at_least: u64) -> Result<()> {
    let (name, sat) = (point.to_string(), at_least.to_string());
    let word = ["channel", "allow-close", "alice", &name, "--at-least", &sat];
    let told = bed.daemon()?.cli(&word, None)?;
    ensure!(told["at_least_sat"] == at_least, "{told}");
    let net = &bed.net;
    // lnd asks again when the peer is back.
    let _ = net.alice.disconnect(&net.bob);
    until_true(30, "the close in the mempool", || {
        net.alice.connect(&net.bob)?;
        Ok(!net.bitcoind.mempool()?.is_empty())
    })?;
    net.mine(6)?;
    until_true(30, "the channel closed", || {
        let closed = net.alice.closed()?;
        Ok(closed.iter().any(|channel| {
            channel["channel_point"] == name.as_str() && channel["close_type"] == "COOPERATIVE_CLOSE"
        }))
    })
}

#[test]
fn a_channel_never_seen_closes_by_agreement_on_an_operators_word() -> Result<()> {
    Workdir::new("wayout-word")?.run(|dir| {
        let (mut bed, points) = lived(dir)?;
        let before = bed.alice_has()?;
        forget_everything(&mut bed, dir)?;
        bed.net.alice.connect(&bed.net.bob)?;
        bed.net.alice.wait_active(&points)?;
        let ours = local_balance(&bed, &points[0])?;
        refused(&mut bed, &points[0])?;
        closed_by_word(&mut bed, &points[0], ours - 5_000)?;
        bed.net.alice.close_channel(&points[1], true)?;
        bed.net.mine(1)?;
        bed.all_home(60)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        ensure!(home + 50_000 > before, "{home} of {before} sat came home");
        eprintln!("wayout figures: history unknown, by agreement: {home} of {before} sat home");
        Ok(())
    })
}

fn copied(from: &Path, to: &Path) -> Result<()> {
    let status = Command::new("cp").arg("-a").args([from, to]).status().context("run cp")?;
    ensure!(status.success(), "cp -a {} {}: {status}", from.display(), to.display());
    Ok(())
}

/// Stops both, does it, and starts both again.
fn while_stopped(bed: &mut Bed, change: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    bed.net.alice.process().stop(60)?;
    bed.daemon()?.process().stop(10)?;
    change(bed.daemon()?.dir())?;
    bed.daemon()?.start_again()?;
    bed.net.alice.start_again()?;
    bed.net.alice.connect(&bed.net.bob)
}

/// The balance of the copy is not what counts: it is three payments old.
#[test]
fn a_copy_put_back_is_noticed_and_both_channels_close() -> Result<()> {
    Workdir::new("wayout-copy")?.run(|dir| {
        let (mut bed, points) = lived(dir)?;
        while_stopped(&mut bed, |home| copied(&home.join("state"), &home.join("copy")))?;
        bed.net.alice.wait_active(&points)?;
        let net = &bed.net;
        for point in &points {
            let through = short_id(&net.alice, point)?;
            pay_many(&net.alice, &net.bob, 3, 20_000, 1, std::slice::from_ref(&through))?;
        }
        let before = bed.alice_has()?;
        while_stopped(&mut bed, |home| {
            std::fs::rename(home.join("state"), home.join("lost"))?;
            copied(&home.join("copy"), &home.join("state"))
        })?;
        bed.net.alice.wait_active(&points)?;
        // The first update shows it.
        let net = &bed.net;
        for point in &points {
            net.alice.pay_detached(net.bob.invoice(10_000)?, Some(short_id(&net.alice, point)?));
        }
        until_true(30, "both channels behind", || {
            Ok(bed.daemon()?.status()?["nodes"][0]["channels_behind"] == 2)
        })?;
        // Neither side has the payments that did not come to be.
        bed.net.alice.restart()?;
        bed.net.alice.connect(&bed.net.bob)?;
        bed.net.alice.wait_active(&points)?;
        let ours = local_balance(&bed, &points[0])?;
        refused(&mut bed, &points[0])?;
        closed_by_word(&mut bed, &points[0], ours - 5_000)?;
        bed.net.alice.close_channel(&points[1], true)?;
        bed.net.mine(1)?;
        bed.all_home(60)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        ensure!(home + 50_000 > before, "{home} of {before} sat came home");
        eprintln!(
            "wayout figures: a copy put back, one by agreement and one by force: {home} of {before} sat home"
        );
        Ok(())
    })
}
