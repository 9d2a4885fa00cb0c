//! Closes by agreement whose fee is bid up (`option_simple_close`): whoever closes pays.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::lnd::{ChannelPoint, Lnd};
use strongroom_tests::network::{pay_many, short_id};
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, pending_htlcs};

/// A close at this feerate, or the one before bid up to it.
fn close_at(node: &Lnd, point: &ChannelPoint, rate: u64) -> Result<Value> {
    let path = format!("/v1/channels/{}/{}?sat_per_vbyte={rate}", point.txid, point.vout);
    let rest = node.rest().within(60);
    rest.delete_stream_first(&path).with_context(|| format!("{} closes at {rate} sat/vB", node.name()))
}

/// Two channels of alice's and one of bob's, payments behind them, quiet.
fn opened(bed: &Bed) -> Result<Vec<ChannelPoint>> {
    let net = &bed.net;
    net.fund(&net.alice, 2, 5_000_000)?;
    net.fund(&net.bob, 2, 5_000_000)?;
    let mut points = net.open(&net.alice, &net.bob, 1, 2_000_000, 500_000, Anchors)?;
    points.extend(net.open(&net.bob, &net.alice, 1, 2_000_000, 800_000, Anchors)?);
    for point in &points {
        let through = short_id(&net.alice, point)?;
        pay_many(&net.alice, &net.bob, 2, 5_000, 1, std::slice::from_ref(&through))?;
        let through = short_id(&net.bob, point)?;
        pay_many(&net.bob, &net.alice, 2, 4_000, 1, std::slice::from_ref(&through))?;
    }
    until_true(30, "no HTLC left", || Ok(pending_htlcs(&net.alice)? + pending_htlcs(&net.bob)? == 0))?;
    Ok(points)
}

/// What the feerates of `bids` in turn leave alice with.
fn bid_up(name: &str, policy: PolicyChoice, bids: &[(bool, u64)]) -> Result<()> {
    Workdir::new(name)?.run(|dir| {
        let mut bed = Bed::begin(dir, policy, &[])?;
        let points = opened(&bed)?;
        let before = bed.alice_has()?;
        for point in &points {
            for (ours, rate) in bids {
                let node = if *ours { &bed.net.alice } else { &bed.net.bob };
                close_at(node, point, *rate)?;
            }
        }
        for point in &points {
            for node in [&bed.net.alice, &bed.net.bob] {
                until_true(30, "the close under way on both sides", || Ok(node.channel(point)?.is_none()))?;
            }
        }
        bed.nothing_was_refused()?;
        bed.net.mine(1)?;
        bed.all_home(10)?;
        let home = bed.net.alice.total_balance()?;
        let last_is_ours = bids.last().is_some_and(|(ours, _)| *ours);
        // 193 vB is the size of a close at most.
        let fees = bids.iter().map(|(_, rate)| rate * 193).max().unwrap_or_default() * points.len() as u64;
        let missing = before.saturating_sub(home);
        eprintln!("wayout figures: closes bid up to {bids:?}: {home} of {before} sat home, {missing} less");
        ensure!(
            missing <= if last_is_ours { fees } else { 0 },
            "{missing} sat of {before} did not come home"
        );
        bed.nothing_was_refused()
    })
}

/// The peer pays 57,900 sat of its own for each close: our output is whole, and no limit on our fees is touched, though they
/// are set below what the peer pays.
#[test]
fn a_peer_pays_a_large_fee_of_its_own() -> Result<()> {
    let mut policy = PolicyChoice::cautious();
    for class in ["wallet", "closing"] {
        policy = policy.set(&format!("fees.{class}.max_in_window_sat"), 50_000);
    }
    bid_up("wayout-rbf-peer", policy, &[(true, 5), (true, 20), (false, 300)])
}

/// As much as `fees.wallet` lets a wallet spend bid, whoever funded the channel.
#[test]
fn we_close_at_the_highest_feerate_ourselves() -> Result<()> {
    bid_up("wayout-rbf-ours", PolicyChoice::cautious(), &[(true, 5), (true, 300)])
}
