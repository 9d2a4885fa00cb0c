//! A peer that goes silent in the middle, and one that pays the fee of the close.

use anyhow::{Result, ensure};
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::network::{pay_many, pend_htlc, short_id};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, force_close_all};

/// The peer keeps an HTLC of ours and is gone; it was opened without a push.
#[test]
fn a_peer_that_keeps_an_htlc_costs_us_nothing_else() -> Result<()> {
    Workdir::new("wayout-silent")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        let net = &bed.net;
        net.fund(&net.alice, 2, 5_000_000)?;
        let points = net.open(&net.alice, &net.bob, 1, 4_000_000, 0, Anchors)?;
        let through = short_id(&net.alice, &points[0])?;
        pay_many(&net.alice, &net.bob, 5, 200, 1, std::slice::from_ref(&through))?;
        pend_htlc(&net.alice, &net.bob, &points[0], 700_000)?;
        let before = bed.alice_has()?;
        bed.net.bob.process().stop(60)?;
        force_close_all(&bed.net.alice, &points)?;
        bed.all_home(300)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        bed.nothing_was_refused()?;
        ensure!(home + 50_000 > before, "{home} of {before} sat came home");
        Ok(())
    })
}
