//! Channels that are used before their funding confirms, opened by either side.

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::CommitmentType::Anchors;
use strongroom_tests::lnd::{Acceptor, ChannelPoint, Lnd, OpenChannel};
use strongroom_tests::network::Network;
use strongroom_tests::strongroomd::PolicyChoice;
use strongroom_tests::workdir::Workdir;

use crate::bed::{Bed, pending_htlcs, refusals};

const LINES: [&str; 2] = ["protocol.option-scid-alias=true", "protocol.zero-conf=true"];

/// Opens a channel that both sides use at once; its funding is not mined.
fn open(from: &Lnd, to: &Lnd) -> Result<ChannelPoint> {
    let open = OpenChannel { to, capacity: 2_000_000, push: 0, format: Anchors, private: false };
    let point = from.open_channel_with(&open, json!({"zero_conf": true}))?;
    for node in [from, to] {
        usable(node, &point)?;
        let channel = node.channel(&point)?.context("the channel is gone")?;
        ensure!(channel["zero_conf"] == true, "no zero-conf channel: {channel}");
    }
    Ok(point)
}

/// The id under which lnd's router has the channel: an alias of lnd's making until it is announced.
fn routed(node: &Lnd, point: &ChannelPoint) -> Result<String> {
    let channel = node.channel(point)?.with_context(|| format!("{}: no channel {point}", node.name()))?;
    for field in ["zero_conf_confirmed_scid", "chan_id"] {
        let id = channel[field].as_str().unwrap_or_default();
        if node.rest().get(&format!("/v1/graph/edge/{id}")).is_ok() {
            return Ok(id.to_owned());
        }
    }
    bail!("{}: {point} is not in the graph", node.name())
}

/// Waits until the channel is active here and the router knows both directions.
fn usable(node: &Lnd, point: &ChannelPoint) -> Result<()> {
    until_true(30, &format!("{}: channel {point} usable", node.name()), || {
        let edge = node.rest().get(&format!("/v1/graph/edge/{}", routed(node, point)?))?;
        let active = node.channel(point)?.is_some_and(|channel| channel["active"] == true);
        Ok(active && !edge["node1_policy"].is_null() && !edge["node2_policy"].is_null())
    })
}

fn all_usable(net: &Network, points: &[ChannelPoint]) -> Result<()> {
    points.iter().try_for_each(|point| usable(&net.alice, point).and_then(|()| usable(&net.bob, point)))
}

fn pay(from: &Lnd, to: &Lnd, point: &ChannelPoint, sat: u64) -> Result<()> {
    let through = routed(from, point)?;
    from.pay(&to.invoice(sat)?, Some(&through))
        .with_context(|| format!("{sat} sat, {} to {}, over {point}", from.name(), to.name()))
}

fn quiet(net: &Network) -> Result<()> {
    until_true(30, "no HTLC left", || Ok(pending_htlcs(&net.alice)? + pending_htlcs(&net.bob)? == 0))
}

/// Ends all of them, in turn by agreement and by force, and holds what comes home against what there was.
fn closed(bed: &Bed, points: &[ChannelPoint]) -> Result<()> {
    quiet(&bed.net)?;
    let before = bed.alice_has()?;
    for (n, point) in points.iter().enumerate() {
        let force = n % 2 == 1;
        bed.net.alice.close_channel(point, force).with_context(|| format!("{point}, by force: {force}"))?;
    }
    // Not mined before both sides have the whole close; of one by force the peer hears from the chain.
    let agreed = points.iter().step_by(2);
    for point in agreed {
        until_true(30, "the close under way on both sides", || Ok(bed.net.bob.channel(point)?.is_none()))?;
    }
    bed.net.mine(1)?;
    bed.all_home(40)?;
    bed.mine_for_alice(1)?;
    let home = bed.net.alice.total_balance()?;
    ensure!(home + 50_000 > before, "{home} of {before} sat came home");
    Ok(())
}

/// The signer follows no chain: whether a funding is confirmed it does not know. When it confirms, lnd has the latest own
/// commitment signed, not number 0.
#[test]
fn a_channel_is_used_before_its_first_block_and_goes_on() -> Result<()> {
    Workdir::new("wayout-zero-conf")?.run(|dir| {
        let mut bed = Bed::without_chain(dir, PolicyChoice::cautious(), &LINES)?;
        bed.net.fund(&bed.net.alice, 2, 5_000_000)?;
        bed.net.fund(&bed.net.bob, 2, 5_000_000)?;
        let net = &bed.net;
        let (alice, bob) = (&net.alice, &net.bob);
        let _yes = (Acceptor::start(alice)?, Acceptor::start(bob)?);
        let mut points = Vec::new();
        // How often each is paid through before it confirms tells the number of the own commitment that is signed then.
        for (from, to, payments) in [(alice, bob, 0), (alice, bob, 3), (bob, alice, 1), (bob, alice, 3)] {
            let point = open(from, to)?;
            for n in 0..payments {
                let (payer, payee) = if n % 2 == 0 { (from, to) } else { (to, from) };
                pay(payer, payee, &point, if n % 2 == 0 { 40_000 } else { 10_000 })?;
            }
            points.push(point);
        }
        quiet(net)?;
        net.mine(6)?;
        all_usable(net, &points)?;
        for (n, point) in points.iter().enumerate() {
            let (from, to) = if n < 2 { (alice, bob) } else { (bob, alice) };
            pay(from, to, point, 60_000)?;
            pay(to, from, point, 15_000)?;
        }
        closed(&bed, &points)?;
        bed.nothing_was_refused()
    })
}

/// The signer follows a chain, and has the first use of an unconfirmed funding refused by name. Nothing is lost by it: the
/// payments go on when the funding is in a block and the peer is connected again.
#[test]
fn before_its_first_block_a_channel_is_refused_by_name_and_goes_on_after() -> Result<()> {
    Workdir::new("wayout-zero-conf-chain")?.run(|dir| {
        let mut bed = Bed::begin(dir, PolicyChoice::cautious(), &LINES)?;
        bed.net.fund(&bed.net.alice, 2, 5_000_000)?;
        bed.net.fund(&bed.net.bob, 2, 5_000_000)?;
        let _yes = (Acceptor::start(&bed.net.alice)?, Acceptor::start(&bed.net.bob)?);
        let mut points = Vec::new();
        for ours in [true, false] {
            let (alice, bob) = (&bed.net.alice, &bed.net.bob);
            let (from, to) = if ours { (alice, bob) } else { (bob, alice) };
            let point = open(from, to)?;
            from.pay_detached(to.invoice(40_000)?, Some(routed(from, &point)?));
            points.push(point);
            let wanted = points.len() as u64;
            until_true(30, "the first use refused", || Ok(bed.daemon()?.refused()? >= wanted))?;
        }
        let told = refusals(bed.daemon()?)?;
        ensure!(
            told.iter().all(|told| told.contains("policy-commitment-spends-active-utxo")),
            "refused for another reason: {told:#?}"
        );
        let refused = bed.daemon()?.refused()?;
        let net = &bed.net;
        net.mine(1)?;
        net.alice.disconnect(&net.bob)?;
        net.alice.connect(&net.bob)?;
        all_usable(net, &points)?;
        // lnd asks for what was refused on an HTLC of the peer's once something else changes the channel.
        for (point, (from, to)) in points.iter().zip([(&net.alice, &net.bob), (&net.bob, &net.alice)]) {
            pay(from, to, point, 30_000)?;
            pay(to, from, point, 15_000)?;
        }
        closed(&bed, &points)?;
        let more = bed.daemon()?.refused()? - refused;
        ensure!(more == 0, "{more} more refused: {:#?}", refusals(bed.daemon()?)?);
        Ok(())
    })
}
