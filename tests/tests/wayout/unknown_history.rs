//! A signer that does not know its channels' history: the node was imported, or the store was lost or put back.

use std::path::Path;

use anyhow::{Result, ensure};
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::network::{Network, pay_many, pend_htlc, short_id};
use strongroom_tests::signer::{Signer, TEST_MASTER_KEY};
use strongroom_tests::strongroomd::{Launch, PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, force_close_all, pending_htlcs};

/// Another appliance under the same keys, which has seen none of the channels, takes the old one's place.
pub(crate) fn forget_everything(bed: &mut Bed, dir: &Path) -> Result<()> {
    bed.net.alice.process().stop(60)?;
    bed.daemon()?.process().stop(10)?;
    let tables = bed.net.bitcoind.strongroom_table(dir)?;
    let launch = Launch { tables, ..Launch::default() };
    let daemon =
        Strongroomd::launched(&dir.join("anew"), &PolicyChoice::cautious(), Some(TEST_MASTER_KEY), launch)?;
    let endpoint = daemon.endpoint();
    bed.net.signer = Some(Signer::Strongroom(Box::new(daemon)));
    bed.net.alice.use_signer(&endpoint)
}

/// Waits until no HTLC is left and none of the last commitments is owed: an lnd that still owes one signs it before its channel is
/// active again, and a signer that knows nothing of the channel refuses that.
fn quiet(net: &Network) -> Result<()> {
    let mut times = 0;
    until_true(30, "the channels quiet", || {
        let pending = pending_htlcs(&net.alice)? + pending_htlcs(&net.bob)?;
        times = if pending == 0 { times + 1 } else { 0 };
        Ok(times > 10)
    })
}

/// Channels opened by both sides, with payments behind them.
pub fn lived(dir: &Path) -> Result<(Bed, Vec<strongroom_tests::lnd::ChannelPoint>)> {
    let bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
    let net = &bed.net;
    net.fund(&net.alice, 2, 5_000_000)?;
    net.fund(&net.bob, 2, 5_000_000)?;
    let mut points = net.open(&net.alice, &net.bob, 1, 3_000_000, 1_000_000, Anchors)?;
    points.extend(net.open(&net.bob, &net.alice, 1, 3_000_000, 1_000_000, Anchors)?);
    for point in &points {
        let through = short_id(&net.alice, point)?;
        pay_many(&net.alice, &net.bob, 5, 20_000, 2, std::slice::from_ref(&through))?;
    }
    quiet(net)?;
    Ok((bed, points))
}

#[test]
fn a_channel_never_seen_closes_by_force_and_all_is_claimed() -> Result<()> {
    Workdir::new("wayout-unknown-force")?.run(|dir| {
        let (mut bed, points) = lived(dir)?;
        let preimage = pend_htlc(&bed.net.bob, &bed.net.alice, &points[0], 300_000)?;
        pend_htlc(&bed.net.alice, &bed.net.bob, &points[1], 200_000)?;
        let before = bed.alice_has()? + 300_000;
        bed.net.bob.process().stop(60)?;
        forget_everything(&mut bed, dir)?;
        bed.net.alice.settle_invoice(&preimage)?;
        force_close_all(&bed.net.alice, &points)?;
        bed.all_home(300)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        ensure!(home + 60_000 > before, "{home} of {before} sat came home");
        eprintln!("wayout figures: history unknown, by force: {home} of {before} sat home");
        Ok(())
    })
}
