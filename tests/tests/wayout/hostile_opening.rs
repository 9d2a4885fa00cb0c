//! A peer on the wire that lies at the opening.

use anyhow::{Result, ensure};
use strongroom_tests::lnd::CommitmentType::{Anchors, StaticRemoteKey};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, force_close_all};
use crate::hostile::{Honest, Hostile};

/// The peer answers with alice's own payment basepoint, which lnd does not compare. On her own commitment it is paid to her key.
#[test]
fn a_peer_that_echoes_our_payment_basepoint() -> Result<()> {
    Workdir::new("wayout-echo")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        bed.net.fund(&bed.net.alice, 2, 5_000_000)?;
        let honest = Honest::open(&bed)?;
        let hostile = Hostile::start(dir, &bed)?;
        let mut points = Vec::new();
        for format in [Anchors, StaticRemoteKey] {
            hostile.peer.echo();
            points.push(hostile.opened_by_alice(&bed, 2_000_000, 300_000, format)?);
        }
        hostile.usable(&bed, &points)?;
        honest.pays(&bed)?;
        let before = bed.alice_has()?;
        force_close_all(&bed.net.alice, &points)?;
        hostile.all_home(&bed, &honest, &points)?;
        let home = bed.alice_has()?;
        bed.nothing_was_refused()?;
        eprintln!("wayout figures: payment basepoint echoed: {home} of {before} sat home");
        ensure!(home + 60_000 > before, "{home} of {before} sat came home");
        Ok(())
    })
}
