//! Addresses that were handed out and never paid, and closes to an address that is not ours.

use anyhow::{Result, bail, ensure};
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::Bed;

/// What anybody with lnd's right `address:write` does in seconds.
#[test]
fn addresses_never_paid_stop_no_close() -> Result<()> {
    Workdir::new("wayout-addresses")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        let net = &bed.net;
        net.fund(&net.alice, 2, 5_000_000)?;
        let points = net.open(&net.alice, &net.bob, 2, 3_000_000, 1_000_000, Anchors)?;
        let before = bed.alice_has()?;
        for _ in 0..1_010 {
            net.alice.new_address("p2tr")?;
        }
        net.alice.close_channel(&points[0], false)?;
        net.alice.close_channel(&points[1], true)?;
        net.mine(1)?;
        bed.all_home(60)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        ensure!(home + 50_000 > before, "{home} of {before} sat came home");
        bed.nothing_was_refused()
    })
}

/// The refusal names the address, and the channel closes to ourselves all the same.
#[test]
fn a_close_to_a_stranger_is_refused_and_the_channel_still_closes() -> Result<()> {
    Workdir::new("wayout-stranger")?.run(|dir| {
        let bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        let net = &bed.net;
        net.fund(&net.alice, 2, 5_000_000)?;
        let points = net.open(&net.alice, &net.bob, 1, 3_000_000, 1_000_000, Anchors)?;
        let before = bed.alice_has()?;
        let outside = net.bitcoind.new_address()?;
        match net.alice.close_to(&points[0], &outside) {
            Ok(txid) => bail!("closed to a stranger: {txid}"),
            Err(error) => {
                let text = format!("{error:#}");
                ensure!(text.contains(&outside), "the refusal does not name {outside}: {text}");
            }
        }
        net.alice.close_channel(&points[0], true)?;
        bed.all_home(60)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        ensure!(home + 50_000 > before, "{home} of {before} sat came home");
        Ok(())
    })
}
