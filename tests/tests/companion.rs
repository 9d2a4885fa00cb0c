//! The companion beside a real lnd: what the signer would refuse is turned down before lnd begins, and nothing else is.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use strongroom_tests::clock::until_true;
use strongroom_tests::companion::Companion;
use strongroom_tests::lnd::{ChannelPoint, CommitmentType, Lnd, OpenChannel};
use strongroom_tests::network::{Network, Plan, open_through_alice, pend_htlc_through, short_id};
use strongroom_tests::peers::own_binary;
use strongroom_tests::signer::SignerKind;
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

/// What every word of the companion's begins with.
const TURNED_DOWN: &str = "turned down before lnd began: ";

fn daemon(net: &mut Network) -> Result<&mut Strongroomd> {
    net.signer.as_mut().and_then(|signer| signer.strongroomd()).context("alice's signer is not Strongroom")
}

/// Alice and bob with a channel of alice's, and a companion beside alice.
fn start(dir: &Path, policy: PolicyChoice) -> Result<(Network, Companion, ChannelPoint)> {
    let plan = Plan { policy, companion: true, ..Plan::of(SignerKind::Strongroom) };
    let mut net = Network::start(dir, &plan)?;
    net.fund(&net.alice, 2, 10_000_000)?;
    net.fund(&net.bob, 1, 10_000_000)?;
    let beside = dir.join("companion");
    let signer = net.signer.as_mut().and_then(|s| s.strongroomd()).context("no Strongroom")?;
    let companion = Companion::start(&beside, &net.alice, signer, "refuse")?;
    // Opened with the companion there: it lets honest work begin.
    let point = net.open(&net.alice, &net.bob, 1, 4_000_000, 0, CommitmentType::Anchors)?[0].clone();
    net.alice.wait_active(std::slice::from_ref(&point))?;
    Ok((net, companion, point))
}

/// The caller was told by the companion, in these words.
fn told<T: std::fmt::Debug>(outcome: Result<T>, words: &[&str]) -> Result<String> {
    let error = match outcome {
        Ok(done) => bail!("lnd did it: {done:?}; expected {words:?}"),
        Err(error) => format!("{error:#}"),
    };
    for word in [TURNED_DOWN].iter().chain(words) {
        ensure!(error.contains(word), "{word:?} is missing in {error}");
    }
    Ok(error)
}

fn payments(node: &Lnd) -> Result<usize> {
    let all = node.rest().get("/v1/payments?include_incomplete=true")?;
    Ok(all["payments"].as_array().context("no payments")?.len())
}

fn quiet_and_active(node: &Lnd, point: &ChannelPoint) -> Result<bool> {
    let channel = node.channel(point)?.context("the channel is gone")?;
    let quiet = channel["pending_htlcs"].as_array().is_some_and(Vec::is_empty);
    Ok(channel["active"] == true && quiet)
}

/// A second way to ask for a close: with an address.
fn close_to(node: &Lnd, point: &ChannelPoint, address: &str) -> Result<Value> {
    let path =
        format!("/v1/channels/{}/{}?delivery_address={address}&sat_per_vbyte=5", point.txid, point.vout);
    node.rest().delete_stream_first(&path)
}

#[test]
fn what_would_be_refused_is_not_begun() -> Result<()> {
    Workdir::new("companion-refusals")?.run(|dir| {
        let (mut net, companion, point) = start(dir, PolicyChoice::cautious())?;
        let (alice, bob) = (&net.alice, &net.bob);
        let stranger = bob.new_address("p2wkh")?;
        let before = payments(alice)?;

        // A payment above what goes without leave: no HTLC, no attempt, the channel as it was.
        let invoice = bob.invoice(1_500_000)?;
        let words = told(
            alice.pay(&invoice, Some(&short_id(alice, &point)?)),
            &["refused by policy: payment-amount: HTLC of 1,500,000 sat", "at most 1,000,000 sat"],
        )?;
        ensure!(payments(alice)? == before, "lnd began the payment");
        ensure!(quiet_and_active(alice, &point)?, "the channel is not as it was");
        let keysend = json!({"dest": "", "amt": "1500000", "amp": true, "timeout_seconds": 5});
        told(alice.rest().post_stream_last("/v2/router/send", &keysend), &["payment-amount", "hash not made yet"])?;

        told(alice.send_coins(&stranger, 1_200_000), &["outflow-per-transaction", &stranger])?;
        let many = json!({"AddrToAmount": {&stranger: "600000", bob.new_address("p2tr")?: "600000"}, "sat_per_vbyte": "5"});
        told(alice.rest().post("/v1/transactions/many", &many), &["outflow-per-transaction"])?;
        let rate = json!({"addr": stranger, "amount": "10000", "sat_per_vbyte": "400"});
        told(alice.rest().post("/v1/transactions", &rate), &["fee-rate"])?;
        told(alice.psbt_round(&stranger, 1_200_000), &["outflow-per-transaction"])?;

        let format = CommitmentType::Anchors;
        let open = |capacity, push| OpenChannel { to: bob, capacity, push, format, private: false };
        let wide = told(alice.open_channel(&open(17_000_000, 0)), &["channel-capacity", "at most 16,777,215 sat"])?;
        ensure!(!wide.contains("funding-reservation"), "lnd would have made the reservation: {wide}");
        told(alice.open_channel(&open(2_000_000, 1_100_000)), &["outflow-per-transaction"])?;
        ensure!(alice.pending("pending_open_channels")?.is_empty(), "an open was begun");

        told(close_to(alice, &point, &stranger), &["mutual-close-balance"])?;
        let unknown = ChannelPoint { txid: "11".repeat(32), vout: 0 };
        told(alice.close_channel(&unknown, false), &["channel-known"])?;
        ensure!(quiet_and_active(alice, &point)?, "the close was begun");
        // What lnd itself cannot read begins nothing either.
        told(alice.send_coins("nowhere", 10_000), &["malformed request: address"])?;

        // The signer was asked for nothing that it refused, and none of the questions is a decision.
        ensure!(daemon(&mut net)?.refused()? == 0, "the signer refused something");
        let leaves = daemon(&mut net)?.journal_leaves(200)?;
        ensure!(
            !leaves.iter().any(|leaf| leaf["event"]["decision"]["operation"] == "preflight"
                && leaf["event"]["decision"]["what"]["malformed"].is_null()),
            "a question is in the journal as a decision"
        );
        let log = companion.log()?;
        ensure!(log.matches("turned down").count() >= 11, "the log does not tell of each: {log}");
        eprintln!("companion figures: 11 calls turned down, the signer refused 0; a payment: {words:.160}");
        Ok(())
    })
}

#[test]
fn honest_work_goes_on() -> Result<()> {
    Workdir::new("companion-honest")?.run(|dir| {
        let (mut net, mut companion, point) = start(dir, PolicyChoice::cautious())?;
        let stranger = net.bob.new_address("p2tr")?;
        {
            let (alice, bob) = (&net.alice, &net.bob);
            alice.pay(&bob.invoice(900_000)?, None)?;
            bob.pay(&alice.invoice(50_000)?, None)?;
            // More than one HTLC may hold, in parts that the user limits.
            let parts = json!({
                "payment_request": bob.invoice(1_200_000)?, "timeout_seconds": 60, "fee_limit_sat": "100",
                "max_shard_size_msat": "700000000", "no_inflight_updates": true,
            });
            let end = alice.rest().post_stream_last("/v2/router/send", &parts)?;
            ensure!(end["status"] == "SUCCEEDED", "in parts: {end}");
            alice.send_coins(&stranger, 500_000)?;
            alice.psbt_round(&stranger, 100_000)?;
        }
        net.mine(1)?;
        // With leave for it a payment may be as large as was allowed.
        let large = net.bob.invoice(1_100_000)?;
        told(net.alice.pay(&large, None), &["payment-amount"])?;
        daemon(&mut net)?
            .cli(&["payments", "authorize", "alice", "--invoice", &large, "--max-fee", "100"], None)?;
        net.alice.pay(&large, None)?;

        let other = net.open(&net.alice, &net.bob, 1, 2_000_000, 100_000, CommitmentType::Anchors)?;
        net.alice.wait_active(&other)?;
        let home = net.alice.new_address("p2wkh")?;
        until_true(30, "the close to our own wallet", || close_to(&net.alice, &point, &home).map(|_| true))?;
        net.alice.close_channel(&other[0], true)?;
        ensure!(daemon(&mut net)?.refused()? == 0, "the signer refused honest work");

        // It sees what it must, and may nothing else.
        let as_it = companion.lnd_as_it(&net.alice)?;
        for (path, what) in
            [("/v1/getinfo", "info"), ("/v1/channels", "channels"), ("/v1/balance/blockchain", "funds")]
        {
            match as_it.get(path) {
                Ok(_) => bail!("the companion's macaroon shows {what}"),
                Err(error) => ensure!(format!("{error:#}").contains("permission denied"), "{error:#}"),
            }
        }
        let check = |config: &Path| {
            let args = ["--config".as_ref(), config.as_os_str(), "--check".as_ref()];
            Ok::<_, anyhow::Error>(Command::new(own_binary("strongroom-companion")?).args(args).output()?)
        };
        ensure!(
            check(&companion.config())?.status.success(),
            "--check does not take a configuration that works"
        );
        ensure!(check(&dir.join("none"))?.status.code() == Some(2), "--check takes what is not there");

        // What it costs each call.
        let calls = |net: &Network| -> Result<Duration> {
            let began = Instant::now();
            (0..200).try_for_each(|_| net.alice.rest().get("/v1/getinfo").map(drop))?;
            Ok(began.elapsed() / 200)
        };
        let with = calls(&net)?;
        companion.process().stop(10)?;
        let without = calls(&net)?;
        eprintln!(
            "companion figures: a call takes {:.2} ms with it, {:.2} ms without",
            with.as_secs_f64() * 1e3,
            without.as_secs_f64() * 1e3
        );
        Ok(())
    })
}

#[test]
fn whoever_dies_comes_back() -> Result<()> {
    Workdir::new("companion-restarts")?.run(|dir| {
        let (mut net, mut companion, point) = start(dir, PolicyChoice::cautious())?;
        let stranger = net.bob.new_address("p2wkh")?;
        let too_much =
            |net: &Network| told(net.alice.send_coins(&stranger, 1_200_000), &["outflow-per-transaction"]);

        // lnd is started again.
        let before = companion.registrations()?;
        net.alice.restart()?;
        companion.wait_registered_after(before)?;
        too_much(&net)?;

        // The signer is sealed: its own words.
        daemon(&mut net)?.cli(&["seal"], None)?;
        told(net.alice.send_coins(&stranger, 10_000), &["sealed"])?;
        let pin = daemon(&mut net)?.token().pin_file.clone();
        daemon(&mut net)?.cli(&["unseal", "--pin-fd", "0"], Some(&pin))?;
        too_much(&net)?;

        // The signer is gone: refused, or passed where the configuration says so. Funding a PSBT asks no signer.
        let fund = |net: &Network| {
            let body = json!({"raw": {"outputs": {&stranger: "10000"}}, "sat_per_vbyte": "5"});
            net.alice.rest().post("/v2/wallet/psbt/fund", &body)
        };
        daemon(&mut net)?.process().stop(10)?;
        told(fund(&net), &["the signer cannot be asked"])?;
        companion.process().stop(10)?;
        companion.start_again("pass")?;
        fund(&net)?;
        daemon(&mut net)?.start_again()?;
        if net.alice.process().try_wait()?.is_some() {
            // lnd's health check came in these seconds.
            net.alice.start_again()?;
        }
        until_true(30, "the signer asked again", || Ok(too_much(&net).is_ok()))?;

        // The companion is killed: lnd goes on at once, and the signer alone decides.
        net.alice.wait_active(std::slice::from_ref(&point))?;
        companion.process().kill()?;
        let began = Instant::now();
        net.alice.rest().within(5).get("/v1/getinfo")?;
        let took = began.elapsed();
        let refused = net.alice.send_coins(&stranger, 1_200_000).expect_err("the signer refuses");
        let refused = format!("{refused:#}");
        ensure!(refused.contains("outflow-per-transaction") && !refused.contains(TURNED_DOWN), "{refused}");
        let invoice = net.bob.invoice(1_500_000)?;
        net.alice.pay_detached(invoice, Some(short_id(&net.alice, &point)?));
        until_true(30, "without a companion the channel is inactive", || {
            Ok(net.alice.channel(&point)?.is_some_and(|channel| channel["active"] == false))
        })?;

        // It comes back, and what it prevents is prevented again.
        companion.start_again("refuse")?;
        net.alice.disconnect(&net.bob)?;
        net.alice.connect(&net.bob)?;
        too_much(&net)?;
        told(net.alice.pay(&net.bob.invoice(1_500_000)?, None), &["payment-amount"])?;
        eprintln!("companion figures: killed, lnd answers after {:.1} ms", took.as_secs_f64() * 1e3);

        // Where lnd is told not to do without it, nothing is called while it is gone.
        let conf = net.alice.dir().join("lnd.conf");
        let text = std::fs::read_to_string(&conf)?;
        std::fs::write(&conf, format!("{text}rpcmiddleware.addmandatory=strongroom-companion\n"))?;
        net.alice.restart()?;
        too_much(&net)?;
        companion.process().kill()?;
        until_true(5, "lnd refuses calls without its companion", || {
            let refused = net.alice.rest().get("/v1/getinfo").err().map(|e| format!("{e:#}"));
            Ok(refused.is_some_and(|e| e.contains("mandatory middleware 'strongroom-companion'")))
        })?;
        companion.start_again("refuse")?;
        net.alice.rest().get("/v1/getinfo").map(drop)
    })
}

/// Alice between bob and carol, under a policy whose forwards are at risk for 500,000 sat at most.
fn start_between(dir: &Path, forwards: bool) -> Result<(Network, Companion, [ChannelPoint; 2])> {
    let policy = PolicyChoice::cautious().set("forwards.max_provisional_per_channel_sat", 500_000);
    let plan = Plan { policy, companion: true, carol: true, ..Plan::of(SignerKind::Strongroom) };
    let mut net = Network::start(dir, &plan)?;
    net.fund(&net.alice, 1, 10_000_000)?;
    net.fund(&net.bob, 1, 10_000_000)?;
    let points = open_through_alice(&net)?;
    let signer = net.signer.as_mut().and_then(|s| s.strongroomd()).context("no Strongroom")?;
    let companion = Companion::start_with(&dir.join("companion"), &net.alice, signer, "refuse", forwards)?;
    Ok((net, companion, points))
}

fn carol(net: &Network) -> Result<&Lnd> {
    net.carol.as_ref().context("no carol")
}

fn pay_carol(net: &Network, sat: u64) -> Result<()> {
    net.bob.pay(&carol(net)?.invoice(sat)?, None)
}

#[test]
fn a_refused_forward_fails_and_the_link_stays() -> Result<()> {
    Workdir::new("companion-forwards")?.run(|dir| {
        let (mut net, mut companion, [came, goes]) = start_between(dir, true)?;
        let quiet =
            |net: &Network| Ok(quiet_and_active(&net.alice, &came)? && quiet_and_active(&net.alice, &goes)?);

        // Nothing is left of it but the payer's failure. In one part: of halves that are alike the signer decides.
        let whole = json!({
            "payment_request": carol(&net)?.invoice(600_000)?, "timeout_seconds": 20, "fee_limit_sat": "1000",
            "no_inflight_updates": true, "max_parts": 1,
        });
        let end = net.bob.rest().post_stream_last("/v2/router/send", &whole)?;
        ensure!(end["status"] == "FAILED", "more than may be at risk: {end}");
        until_true(10, "both links up, and nothing on them", || quiet(&net))?;
        ensure!(daemon(&mut net)?.refused()? == 0, "the signer was asked to sign it");
        let log = companion.log()?;
        ensure!(log.contains("forwards failed") && log.contains("forward-exposure"), "{log}");
        pay_carol(&net, 100_000)?;

        // lnd asks anew about a forward that is out when its channel comes back, and beside it there is room for no other of
        // its size: were it failed, carol would be paid by alice.
        let before = net.alice.channel(&came)?.context("no channel")?["local_balance"].clone();
        let preimage = pend_htlc_through(&net.bob, carol(&net)?, &goes, 300_000)?;
        let held = companion.log()?.matches("a forward has its word").count();
        net.alice.disconnect(&net.bob)?;
        net.alice.connect(&net.bob)?;
        net.alice.wait_active(std::slice::from_ref(&came))?;
        until_true(30, "lnd asks about the forward again", || {
            Ok(companion.log()?.matches("a forward has its word").count() > held)
        })?;
        carol(&net)?.settle_invoice(&preimage)?;
        until_true(30, "carol's claim comes back to bob", || {
            let now = &net.alice.channel(&came)?.context("no channel")?["local_balance"];
            let sat = |value: &Value| value.as_str().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            Ok(sat(now) >= sat(&before) + 300_000)
        })?;
        until_true(10, "both links up, and nothing on them", || quiet(&net))?;

        // Without the companion forwards go on, and it comes back.
        companion.process().kill()?;
        pay_carol(&net, 100_000)?;
        companion.start_again("refuse")?;
        until_true(30, "a forward is asked about again", || {
            pay_carol(&net, 10_000)?;
            Ok(companion.log()?.contains("a forward has its word"))
        })?;
        ensure!(daemon(&mut net)?.refused()? == 0, "the signer refused something");
        Ok(())
    })
}

/// The same without: lnd makes the commitment, the signer refuses it, and the link is down.
#[test]
fn forwards_are_left_alone_unless_it_is_told_to_hold_them() -> Result<()> {
    Workdir::new("companion-no-forwards")?.run(|dir| {
        let (mut net, companion, [_, goes]) = start_between(dir, false)?;
        net.bob.pay_detached(carol(&net)?.invoice(600_000)?, None);
        until_true(30, "the link that the forward takes is down", || {
            Ok(net.alice.channel(&goes)?.is_some_and(|channel| channel["active"] == false))
        })?;
        ensure!(daemon(&mut net)?.refused()? > 0, "the signer was not asked");
        let log = companion.log()?;
        ensure!(!log.contains("forward"), "{log}");
        // Its macaroon would not open that door either.
        let as_it = companion.lnd_as_it(&net.alice)?;
        let refused = as_it.post("/v2/router/htlcinterceptor", &json!({})).expect_err("no right");
        ensure!(format!("{refused:#}").contains("permission denied"), "{refused:#}");
        Ok(())
    })
}
