//! The signer's store is replaced by an empty one in the middle of a life, the peer being there.

use anyhow::{Result, ensure};
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::{Anchors, StaticRemoteKey};
use strongroom_tests::network::{pay_many, pend_htlc, short_id};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, force_close_all};
use crate::unknown_history::forget_everything;

#[test]
fn a_store_wiped_in_the_middle_of_a_life_costs_fees_only() -> Result<()> {
    Workdir::new("wayout-wiped")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        bed.net.fund(&bed.net.alice, 3, 5_000_000)?;
        bed.net.fund(&bed.net.bob, 3, 5_000_000)?;
        let mut points = Vec::new();
        for format in [Anchors, StaticRemoteKey] {
            let net = &bed.net;
            for (from, to) in [(&net.alice, &net.bob), (&net.bob, &net.alice)] {
                points.extend(net.open(from, to, 1, 3_000_000, 900_000, format)?);
            }
        }
        let net = &bed.net;
        for point in &points {
            for (from, to) in [(&net.alice, &net.bob), (&net.bob, &net.alice)] {
                let through = short_id(from, point)?;
                pay_many(from, to, 4, 15_000, 2, std::slice::from_ref(&through))?;
            }
        }
        let (mut preimages, sat) = (Vec::new(), 200_000);
        for point in &points {
            preimages.push(pend_htlc(&net.bob, &net.alice, point, sat)?);
            pend_htlc(&net.alice, &net.bob, point, sat)?;
        }
        let before = bed.alice_has()? + sat * preimages.len() as u64;

        forget_everything(&mut bed, dir)?;
        let net = &bed.net;
        net.alice.connect(&net.bob)?;
        // What goes on meets a signer that knows nothing of it: an incoming HTLC is settled, and one more is asked for.
        net.alice.settle_invoice(&preimages[0])?;
        net.alice.pay_detached(net.bob.invoice(10_000)?, Some(short_id(&net.alice, &points[1])?));
        until_true(30, "the signer asked", || {
            let status = bed.daemon()?.status()?;
            Ok(status["nodes"][0]["refused"].as_u64().is_some_and(|refused| refused > 0))
        })?;
        // The life ends here: the peer is gone with HTLCs both ways, some known to it only.
        bed.net.bob.process().stop(60)?;
        for preimage in &preimages[1..] {
            bed.net.alice.settle_invoice(preimage)?;
        }
        force_close_all(&bed.net.alice, &points)?;
        bed.all_home(300)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        let missing = before.saturating_sub(home);
        eprintln!("wayout figures: store wiped in a life: {home} of {before} sat home, {missing} less");
        ensure!(missing < 100_000, "{missing} sat of {before} did not come home");
        let status = bed.daemon()?.status()?.to_string();
        ensure!(
            !status.contains("holder-htlc") && !status.contains("sweep-"),
            "a claim is refused: {status}"
        );
        Ok(())
    })
}
