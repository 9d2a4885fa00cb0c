//! Many channels closed at once while blocks are full and dear, their HTLCs swept together.

use anyhow::{Result, ensure};
use serde_json::json;
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::lnd::Lnd;
use strongroom_tests::network::{pend_htlc, short_id};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, force_close_all, number, pending_htlcs};

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
    /// Alice may pay strangers so little in a day that she offers HTLCs on her own channels only, and pushes nothing: the peer
    /// offers its HTLCs on its own.
    apart: bool,
    /// More than all fees come to, and less than they and one HTLC: what may be missing at the end, satoshis.
    fees: u64,
}

/// A hundred channels with four hundred HTLCs, blocks full for two hours, in a fee spike and in none.
#[test]
#[ignore = "a long form: ./test wayout --long NAME"]
fn a_hundred_channels_close_at_once() -> Result<()> {
    for (name, rate) in [("wayout-hundred-dear", 300), ("wayout-hundred", 1)] {
        let size = Size {
            channels: 100,
            out: 4,
            back: 4,
            sat: 45_000,
            rate,
            jam: 12,
            apart: true,
            fees: 18_000_000,
        };
        closed_at_once(name, &size)?;
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
        // What alice pushes is a payment to a stranger, so she pushes less.
        let (capacity, pushed, lot) =
            if size.apart { (900_000, [0, 300_000], 10) } else { (4_000_000, [900_000, 1_900_000], 1) };
        for n in 0..size.channels / lot {
            let (from, to) = if n % 2 == 0 { (&net.alice, &net.bob) } else { (&net.bob, &net.alice) };
            let opened = net.open(from, to, lot, capacity, pushed[n % 2], Anchors)?;
            points.extend(opened.into_iter().map(|point| (n % 2 == 0, point)));
        }
        let (mut preimages, mut offered) = (Vec::new(), 0);
        for (ours, point) in &points {
            let (out, back) = match (size.apart, ours) {
                (false, _) => (size.out, size.back),
                (true, true) => (size.out, 0),
                (true, false) => (0, size.back),
            };
            for _ in 0..out {
                pend_htlc(&net.alice, &net.bob, point, size.sat)?;
            }
            for _ in 0..back {
                preimages.push(pend_htlc(&net.bob, &net.alice, point, size.sat)?);
            }
            offered += out;
        }
        let points: Vec<_> = points.into_iter().map(|(_, point)| point).collect();
        let htlcs = offered + preimages.len();
        ensure!(pending_htlcs(&net.alice)? == htlcs, "HTLCs are missing");
        let expiry = earliest_end(&net.alice)?;
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
            bed.net.bitcoind.rpc("generateblock", json!([address, []]))?;
            std::thread::sleep(std::time::Duration::from_millis(1_000));
        }
        bed.all_home(300)?;
        bed.mine_for_alice(1)?;
        let home = bed.net.alice.total_balance()?;
        bed.nothing_was_refused()?;
        eprintln!(
            "wayout figures: {} channels with {} HTLCs closed at {} sat/vB after {} full blocks: {home} of {before} sat home, {} less",
            size.channels,
            htlcs,
            size.rate,
            size.jam,
            before.saturating_sub(home)
        );
        let missing = before.saturating_sub(home);
        ensure!(missing < size.fees, "{missing} sat of {before} did not come home: fees are below {}", size.fees);
        let claimed = claims_by(&bed, expiry)?;
        ensure!(claimed == preimages.len(), "{claimed} of {} HTLCs were claimed in time", preimages.len());
        Ok(())
    })
}

/// The height at which the first of the peer's HTLCs runs out.
fn earliest_end(node: &Lnd) -> Result<u64> {
    let channels = node.channels()?;
    let htlcs = channels.iter().flat_map(|channel| channel["pending_htlcs"].as_array().into_iter().flatten());
    let mut ends =
        htlcs.filter(|htlc| htlc["incoming"] == true).map(|htlc| number(&htlc["expiration_height"]));
    ends.try_fold(u64::MAX, |least, end| Ok(least.min(end?)))
}

/// How many of the peer's HTLCs were claimed on the chain at this height at the latest.
fn claims_by(bed: &Bed, height: u64) -> Result<usize> {
    let mut claimed = 0;
    for channel in bed.net.alice.closed()? {
        let resolutions = channel["resolutions"].as_array();
        // The first stage is the HTLC transaction; what it pays is swept later, and nobody else can have it.
        let first = resolutions.into_iter().flatten().filter(|resolution| {
            resolution["resolution_type"] == "INCOMING_HTLC" && resolution["outcome"] == "FIRST_STAGE"
        });
        for resolution in first {
            let transaction =
                bed.net.bitcoind.rpc("getrawtransaction", json!([resolution["sweep_txid"], true]))?;
            let block = bed.net.bitcoind.rpc("getblockheader", json!([transaction["blockhash"]]))?;
            claimed += usize::from(number(&block["height"])? <= height);
        }
    }
    Ok(claimed)
}

/// lnd sweeps HTLCs that run out in the same block in one transaction, whichever channels they are of.
#[test]
fn htlcs_of_several_channels_are_swept_together() -> Result<()> {
    closed_at_once(
        "wayout-batch",
        &Size { channels: 2, out: 2, back: 0, sat: 560_000, rate: 5, jam: 0, apart: false, fees: 50_000 },
    )
}

#[test]
fn many_channels_close_at_once_in_a_fee_spike() -> Result<()> {
    closed_at_once(
        "wayout-mass",
        &Size { channels: 6, out: 1, back: 2, sat: 240_000, rate: 120, jam: 6, apart: false, fees: 450_000 },
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
