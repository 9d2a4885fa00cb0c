//! A peer on the wire that floods alice with HTLCs too small for an output.

use anyhow::{Result, ensure};
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::network::short_id;
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, force_close_all};
use crate::hostile::{Honest, Hostile};
use crate::peer::OnPayment;

/// How many HTLCs of each way, over each channel.
const PROBES: u64 = 40;
/// Below the dust limit, with room for what a forward pays.
const SAT: u64 = 300;

/// HTLCs that nobody can take: from the peer to alice, from the peer by alice to bob, and from alice to the peer, which fails
/// them. On a channel of hers and on one of the peer's.
#[test]
fn a_peer_that_probes_with_dust() -> Result<()> {
    Workdir::new("wayout-probes")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        bed.net.fund(&bed.net.alice, 2, 5_000_000)?;
        let honest = Honest::open(&bed)?;
        let hostile = Hostile::start(dir, &bed)?;
        let (alice, peer) = (&bed.net.alice, &hostile.peer);
        let points = [
            hostile.opened_by_alice(&bed, 1_500_000, 500_000, Anchors)?,
            hostile.opened_by_peer(&bed, 1_500_000, Anchors)?,
        ];
        hostile.usable(&bed, &points)?;
        let before = bed.alice_has()?;
        let to_bob = (bed.net.bob.pubkey(), honest.short_id()?);
        let quiet = || {
            let none = |channel: &serde_json::Value| channel["pending_htlcs"] == serde_json::json!([]);
            Ok(peer.pending_htlcs() == 0 && alice.channels()?.iter().all(none))
        };
        for point in &points {
            let to_alice = (alice.pubkey(), peer.short_id(point)?);
            for _ in 0..PROBES {
                peer.send(SAT, rand::random(), rand::random(), &[to_alice])?;
                peer.send(SAT, rand::random(), rand::random(), &[to_alice, to_bob])?;
            }
            until_true(60, "no probe left", quiet)?;
            honest.pays(&bed)?;
        }
        peer.on_payment(OnPayment::Fail);
        let through = short_id(alice, &points[0])?;
        for _ in 0..PROBES {
            alice.pay_detached(peer.invoice(SAT)?, Some(through.clone()));
        }
        std::thread::sleep(std::time::Duration::from_secs(1));
        until_true(60, "no probe left", quiet)?;
        honest.pays(&bed)?;
        for channel in alice.channels()? {
            ensure!(channel["active"] == true, "a channel is not active: {channel}");
        }
        // Closed while probes are under way.
        for point in &points {
            let to_alice = (alice.pubkey(), peer.short_id(point)?);
            for _ in 0..PROBES / 4 {
                peer.send(SAT, rand::random(), rand::random(), &[to_alice, to_bob])?;
            }
        }
        force_close_all(alice, &points)?;
        hostile.all_home(&bed, &honest, &points)?;
        let home = bed.alice_has()?;
        bed.nothing_was_refused()?;
        eprintln!("wayout figures: {} dust probes: {home} of {before} sat home", 5 * PROBES + PROBES / 2);
        ensure!(home + 60_000 > before, "{home} of {before} sat came home");
        Ok(())
    })
}
