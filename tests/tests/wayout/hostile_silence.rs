//! A peer on the wire that goes silent in the middle of an update, at each step of it, and stays gone.

use anyhow::{Result, ensure};
use strongroom_tests::clock::{LND_WAITS, until_true, within_true};
use strongroom_tests::lnd::ChannelPoint;
use strongroom_tests::lnd::CommitmentType::{self, Anchors, StaticRemoteKey};
use strongroom_tests::network::short_id;
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, force_close_all};
use crate::hostile::{Honest, Hostile};
use crate::peer::Silent;

const SAT: u64 = 100_000;

/// How far an HTLC that alice offers gets.
#[derive(Clone, Copy)]
enum Offered {
    /// Silent at this step of adding it.
    Added(Silent),
    /// Added and kept; silent at this step of its being taken.
    Taken(Silent),
    /// Added and kept; silent at this step of its being failed.
    Failed(Silent),
}

/// Channels that alice opened, without a push: one for each step.
#[test]
fn a_peer_that_goes_silent_over_an_htlc_of_ours() -> Result<()> {
    let steps: [(Offered, CommitmentType); 9] = [
        (Offered::Added(Silent::AtOnce), Anchors),
        (Offered::Added(Silent::AfterRevocation), Anchors),
        (Offered::Added(Silent::AfterRevocation), StaticRemoteKey),
        (Offered::Added(Silent::AfterCommitment), Anchors),
        (Offered::Taken(Silent::BeforeCommitment), Anchors),
        (Offered::Taken(Silent::AfterCommitment), Anchors),
        (Offered::Taken(Silent::BeforeRevocation), StaticRemoteKey),
        (Offered::Failed(Silent::AfterCommitment), Anchors),
        (Offered::Failed(Silent::BeforeRevocation), StaticRemoteKey),
    ];
    Workdir::new("wayout-silence")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        bed.net.fund(&bed.net.alice, 4, 3_000_000)?;
        let honest = Honest::open(&bed)?;
        let hostile = Hostile::start(dir, &bed)?;
        let mut points = Vec::new();
        for (n, (_, format)) in steps.into_iter().enumerate() {
            if n % 4 == 3 {
                // Its node takes four unconfirmed ones from a peer.
                hostile.mine(&bed, 1)?;
            }
            points.push(hostile.opened_by_alice(&bed, 500_000, 0, format)?);
        }
        hostile.usable(&bed, &points)?;
        for ((step, _), point) in steps.iter().zip(&points) {
            offer(&bed, &hostile, *step, point)?;
        }
        honest.pays(&bed)?;
        let before = bed.alice_has()?;
        force_close_all(&bed.net.alice, &points)?;
        hostile.all_home(&bed, &honest, &points)?;
        let home = bed.alice_has()?;
        bed.nothing_was_refused()?;
        eprintln!(
            "wayout figures: silent at {} steps of an HTLC of ours: {home} of {before} sat home",
            steps.len()
        );
        // One that was failed back on every commitment or taken is home or gone before; all others come back.
        ensure!(home + 90_000 > before, "{home} of {before} sat came home");
        Ok(())
    })
}

/// Alice pays over `point`, as far as that step.
fn offer(bed: &Bed, hostile: &Hostile, step: Offered, point: &ChannelPoint) -> Result<()> {
    let (alice, peer) = (&bed.net.alice, &hostile.peer);
    let kept = peer.kept();
    if let Offered::Added(at) = step {
        peer.fall_silent(point, at)?;
    }
    let through = short_id(alice, point)?;
    // Where the peer revokes nothing, the HTLC is on no commitment of alice's.
    let on_its_way = || {
        let all = alice.rest().get("/v1/payments?include_incomplete=true")?;
        let payments = all["payments"].as_array().into_iter().flatten();
        let mut hops = payments
            .filter(|one| one["status"] == "IN_FLIGHT")
            .map(|one| &one["htlcs"][0]["route"]["hops"][0]);
        Ok(hops.any(|hop| hop["chan_id"] == through.as_str()))
    };
    // lnd's router may not have the channel's balance yet, and fails a payment for that.
    until_true(60, "the HTLC on its way", || {
        alice.pay_detached(peer.invoice(SAT)?, Some(through.clone()));
        Ok(within_true(LND_WAITS, "pending", on_its_way).is_ok())
    })?;
    match step {
        Offered::Added(Silent::AtOnce) => Ok(()),
        Offered::Added(_) => peer.is_silent(point),
        Offered::Taken(at) | Offered::Failed(at) => {
            until_true(30, "the peer has the HTLC", || Ok(peer.kept() > kept))?;
            peer.fall_silent(point, at)?;
            if matches!(step, Offered::Taken(_)) {
                peer.take_kept()
            } else {
                peer.fail_kept()
            }
            peer.is_silent(point)
        }
    }
}

/// How far an HTLC gets that the peer offers as the first of a channel that it funded.
#[derive(Clone, Copy)]
enum Taken {
    /// Silent at this step of adding it: it is not settled.
    Added(Silent),
    /// It is locked in and alice takes it; silent at this step of that.
    Settled(Silent),
}

/// Channels that the peer opened, without a push: the first commitments pay us nothing, and the first HTLC stays.
#[test]
fn a_peer_that_goes_silent_over_the_first_htlc_of_its_own_channel() -> Result<()> {
    let steps: [(Taken, CommitmentType); 8] = [
        (Taken::Added(Silent::BeforeCommitment), Anchors),
        (Taken::Added(Silent::AfterCommitment), Anchors),
        (Taken::Added(Silent::BeforeRevocation), Anchors),
        (Taken::Settled(Silent::AtOnce), Anchors),
        (Taken::Settled(Silent::AtOnce), StaticRemoteKey),
        (Taken::Settled(Silent::BeforeRevocation), Anchors),
        (Taken::Settled(Silent::AfterRevocation), Anchors),
        (Taken::Settled(Silent::AfterRevocation), StaticRemoteKey),
    ];
    Workdir::new("wayout-first-silence")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        bed.net.fund(&bed.net.alice, 3, 3_000_000)?;
        let honest = Honest::open(&bed)?;
        let hostile = Hostile::start(dir, &bed)?;
        let mut points = Vec::new();
        for (_, format) in steps {
            points.push(hostile.opened_by_peer(&bed, 1_000_000, format)?);
        }
        hostile.usable(&bed, &points)?;
        let (alice, peer) = (&bed.net.alice, &hostile.peer);
        let mut before = bed.alice_has()?;
        for ((step, _), point) in steps.iter().zip(&points) {
            if let Taken::Added(at) = *step {
                peer.fall_silent(point, at)?;
                hostile.pays_alice(&bed, point, SAT)?;
                peer.is_silent(point)?;
                continue;
            }
            let Taken::Settled(at) = *step else { continue };
            let preimage = hostile.pays_alice(&bed, point, SAT)?;
            hostile.is_held(&bed, &preimage)?;
            peer.fall_silent(point, at)?;
            alice.settle_invoice(&preimage)?;
            before += SAT;
            if at != Silent::AtOnce {
                peer.is_silent(point)?;
            }
        }
        honest.pays(&bed)?;
        force_close_all(alice, &points)?;
        hostile.all_home(&bed, &honest, &points)?;
        let home = bed.alice_has()?;
        bed.nothing_was_refused()?;
        eprintln!(
            "wayout figures: silent at {} steps of the first HTLC of the peer's channel: {home} of {before} sat home",
            steps.len()
        );
        ensure!(home + 60_000 > before, "{home} of {before} sat came home");
        Ok(())
    })
}
