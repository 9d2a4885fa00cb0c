//! Many channels closed at once while blocks are full and dear, their HTLCs swept together.

use anyhow::{Result, ensure};
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::network::{pend_htlc, short_id};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, force_close_all, pending_htlcs};

/// How much is closed at once.
struct Size {
    channels: usize,
    /// HTLCs that alice offers in each.
    out: usize,
    /// HTLCs that the peer offers in each, whose preimages alice knows.
    back: usize,
    sat: u64,
    /// sat/vB when the closes begin.
    rate: u64,
    /// Empty blocks before any transaction confirms.
    jam: u32,
    /// More than all fees come to, and less than they and one HTLC: what may be missing at the end, satoshis.
    fees: u64,
}

/// A hundred channels with four hundred HTLCs, blocks full for two hours.
#[test]
#[ignore = "a long form: ./test wayout --long NAME"]
fn a_hundred_channels_close_at_once() -> Result<()> {
    // What one may pay to strangers in a day under `cautious`, in pushes and in HTLCs, is not enough for so many.
    for (name, rate) in [("wayout-hundred-dear", 300), ("wayout-hundred", 1)] {
        closed_at_once(
            name,
            &Size { channels: 100, out: 2, back: 2, sat: 240_000, rate, jam: 12, fees: 12_000_000 },
        )?;
    }
    Ok(())
}

/// Opens channels by turns, fills them with HTLCs, loses the peer and closes everything by force.
fn closed_at_once(name: &str, size: &Size) -> Result<()> {
    Workdir::new(name)?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        let net = &bed.net;
        let each = u32::try_from(size.channels)?;
        net.fund(&net.alice, each.div_ceil(3) + 4, 3_000_000)?;
        net.fund(&net.bob, each.div_ceil(6) + 1, 5_000_000)?;
        let mut points = Vec::new();
        for n in 0..size.channels {
            // What alice pushes is a payment to a stranger, so she pushes less.
            let (from, to, push) =
                if n % 2 == 0 { (&net.alice, &net.bob, 900_000) } else { (&net.bob, &net.alice, 1_900_000) };
            points.extend(net.open(from, to, 1, 4_000_000, push, Anchors)?);
        }
        let mut preimages = Vec::new();
        for point in &points {
            for _ in 0..size.out {
                pend_htlc(&net.alice, &net.bob, point, size.sat)?;
            }
            for _ in 0..size.back {
                preimages.push(pend_htlc(&net.bob, &net.alice, point, size.sat)?);
            }
        }
        ensure!(pending_htlcs(&net.alice)? == size.channels * (size.out + size.back), "HTLCs are missing");
        let before = bed.alice_has()? + size.sat * preimages.len() as u64;
        bed.nothing_was_refused()?;

        bed.net.bob.process().stop(60)?;
        bed.fees.set(size.rate);
        for preimage in &preimages {
            bed.net.alice.settle_invoice(preimage)?;
        }
        force_close_all(&bed.net.alice, &points)?;
        let address = bed.net.bitcoind.new_address()?;
        for _ in 0..size.jam {
            bed.net.bitcoind.rpc("generateblock", serde_json::json!([address, []]))?;
            std::thread::sleep(std::time::Duration::from_millis(1_000));
        }
        bed.all_home(300)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        bed.nothing_was_refused()?;
        eprintln!(
            "wayout figures: {} channels with {} HTLCs closed at {} sat/vB after {} full blocks: {home} of {before} sat home, {} less",
            size.channels,
            size.channels * (size.out + size.back),
            size.rate,
            size.jam,
            before.saturating_sub(home)
        );
        let missing = before.saturating_sub(home);
        ensure!(missing < size.fees, "{missing} sat of {before} did not come home: fees are below {}", size.fees);
        Ok(())
    })
}

/// lnd sweeps HTLCs that run out in the same block in one transaction, whichever channels they are of.
#[test]
fn htlcs_of_several_channels_are_swept_together() -> Result<()> {
    closed_at_once(
        "wayout-batch",
        &Size { channels: 2, out: 2, back: 0, sat: 560_000, rate: 5, jam: 0, fees: 50_000 },
    )
}

#[test]
fn many_channels_close_at_once_in_a_fee_spike() -> Result<()> {
    closed_at_once(
        "wayout-mass",
        &Size { channels: 6, out: 1, back: 2, sat: 240_000, rate: 120, jam: 6, fees: 450_000 },
    )
}

/// A claim of ours on a channel in which we have no balance: no `to_local` on our commitment shows the delayed script.
#[test]
fn a_first_big_htlc_is_claimed_on_the_chain() -> Result<()> {
    Workdir::new("wayout-first-htlc")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &[])?;
        let net = &bed.net;
        net.fund(&net.bob, 2, 5_000_000)?;
        net.fund(&net.alice, 1, 1_000_000)?;
        let points = net.open(&net.bob, &net.alice, 1, 5_000_000, 0, Anchors)?;
        short_id(&net.alice, &points[0])?;
        let preimage = pend_htlc(&net.bob, &net.alice, &points[0], 1_500_000)?;
        let before = bed.alice_has()? + 1_500_000;
        bed.net.bob.process().stop(60)?;
        bed.net.alice.settle_invoice(&preimage)?;
        force_close_all(&bed.net.alice, &points)?;
        bed.all_home(120)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        bed.nothing_was_refused()?;
        ensure!(home + 50_000 > before, "{home} of {before} sat came home");
        Ok(())
    })
}
