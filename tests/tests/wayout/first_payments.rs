//! First payments on fresh channels, of sizes about the dust limits, at several feerates: no link fails.

use anyhow::{Context, Result};
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::{Anchors, StaticRemoteKey};
use strongroom_tests::network::{close_by_agreement, short_id};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, pending_htlcs};

const AMOUNTS: [u64; 8] = [1, 100, 353, 354, 1_000, 3_000, 8_600, 10_000];

#[test]
fn first_payments_fail_no_link() -> Result<()> {
    Workdir::new("wayout-first")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        bed.net.fund(&bed.net.alice, 4, 5_000_000)?;
        bed.net.fund(&bed.net.bob, 4, 5_000_000)?;
        let mut opened = Vec::new();
        for (rate, format) in
            [(1, Anchors), (50, Anchors), (1, StaticRemoteKey), (10, StaticRemoteKey), (50, StaticRemoteKey)]
        {
            bed.fees.set(rate);
            // lnd asks its estimator once in two seconds at most.
            std::thread::sleep(std::time::Duration::from_secs(3));
            let net = &bed.net;
            for (from, to) in [(&net.alice, &net.bob), (&net.bob, &net.alice)] {
                let points = net.open(from, to, 1, 1_000_000, 0, format)?;
                let through = short_id(from, &points[0])?;
                for sat in AMOUNTS {
                    from.pay(&to.invoice(sat)?, Some(&through)).with_context(|| {
                        format!("{sat} sat, {} to {}, {format:?} at {rate} sat/vB", from.name(), to.name())
                    })?;
                }
                opened.extend(points);
            }
        }
        // Closed once all is quiet on both sides: lnd loses its peer where a close and a last HTLC's end cross.
        let net = &bed.net;
        for point in &opened {
            let quiet = || Ok(pending_htlcs(&net.alice)? + pending_htlcs(&net.bob)? == 0);
            until_true(30, "no HTLC left", quiet)?;
            close_by_agreement(&net.alice, &net.bob, point)
                .with_context(|| format!("{point} by agreement"))?;
        }
        net.mine(3)?;
        bed.nothing_was_refused()
    })
}
