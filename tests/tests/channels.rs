//! Channels by the signer's books against lnd's own, and what a refusal does to a running lnd.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bitcoin::hashes::{Hash, ripemd160};
use serde_json::Value;
use strongroom_tests::clock::until_true;
use strongroom_tests::lnd::{ChannelPoint, CommitmentType, Lnd, OpenChannel};
use strongroom_tests::network::{Network, Plan, pay_many, pend_htlc, short_id};
use strongroom_tests::signer::SignerKind;
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

/// How long a stuck channel is watched for refusals.
const WATCH: Duration = Duration::from_secs(20);

fn daemon(net: &mut Network) -> Result<&mut Strongroomd> {
    net.signer.as_mut().and_then(|signer| signer.strongroomd()).context("alice's signer is not Strongroom")
}

/// Alice and bob, a channel opened by each.
fn start(dir: &Path, policy: PolicyChoice) -> Result<(Network, [ChannelPoint; 2])> {
    let net = Network::start(dir, &Plan { policy, ..Plan::of(SignerKind::Strongroom) })?;
    net.fund(&net.alice, 1, 10_000_000)?;
    net.fund(&net.bob, 1, 10_000_000)?;
    let ours = net.open(&net.alice, &net.bob, 1, 4_000_000, 0, CommitmentType::Anchors)?;
    let theirs = net.open(&net.bob, &net.alice, 1, 3_000_000, 1_000_000, CommitmentType::Anchors)?;
    Ok((net, [ours[0].clone(), theirs[0].clone()]))
}

fn number(value: &Value, field: &str) -> Result<u64> {
    let found = value[field].as_u64().or_else(|| value[field].as_str()?.parse().ok());
    found.with_context(|| format!("no number {field:?} in {value}"))
}

/// Direction, amount, hash and timeout of each HTLC.
type Htlcs = BTreeSet<(bool, u64, String, u64)>;

fn booked_htlcs(channel: &Value) -> Result<Htlcs> {
    let htlcs = channel["htlcs"].as_array().context("a channel without htlcs")?;
    let read = |htlc: &Value| {
        let hash = htlc["payment_hash160"].as_str().unwrap_or_default().to_owned();
        let by_us = htlc["offered_by_us"] == true;
        Ok((by_us, number(htlc, "amount_sat")?, hash, number(htlc, "cltv_expiry")?))
    };
    htlcs.iter().map(read).collect()
}

fn lnds_htlcs(channel: &Value) -> Result<Htlcs> {
    let htlcs = channel["pending_htlcs"].as_array().context("a channel without pending_htlcs")?;
    let read = |htlc: &Value| {
        let hash = BASE64.decode(htlc["hash_lock"].as_str().unwrap_or_default())?;
        let hash = hex::encode(ripemd160::Hash::hash(&hash).to_byte_array());
        let by_us = htlc["incoming"] != true;
        Ok((by_us, number(htlc, "amount")?, hash, number(htlc, "expiration_height")?))
    };
    htlcs.iter().map(read).collect()
}

/// The signer's channels are lnd's, to the satoshi.
fn books_equal_lnds(net: &mut Network) -> Result<()> {
    let books = daemon(net)?.cli(&["channels"], None)?;
    let books = books["channels"].as_array().context("no channels")?;
    let alices = net.alice.channels()?;
    ensure!(books.len() == alices.len(), "{} channels booked, lnd has {}", books.len(), alices.len());
    for lnds in &alices {
        let point = lnds["channel_point"].as_str().context("no channel_point")?;
        let booked = books.iter().find(|b| b["channel"] == point).with_context(|| format!("no {point}"))?;
        // The books follow the peer's commitments, which bob counts as his own.
        let bobs = net.bob.channel(&point.parse()?)?.with_context(|| format!("bob has no {point}"))?;
        let pairs = [
            ("capacity", number(booked, "capacity_sat")?, number(lnds, "capacity")?),
            ("balance", number(booked, "balance_sat")?, number(lnds, "local_balance")?),
            ("bob's number", number(booked, "their_number")?, number(&bobs, "num_updates")?),
            ("our number", number(booked, "our_number")?, 0),
        ];
        for (what, booked, lnds) in pairs {
            ensure!(booked == lnds, "{what} of {point}: booked {booked}, lnd has {lnds}");
        }
        ensure!(booked["funded_by_us"] == lnds["initiator"], "who funded {point}: {booked}");
        let (ours, theirs) = (booked_htlcs(booked)?, lnds_htlcs(lnds)?);
        ensure!(ours == theirs, "HTLCs of {point}: booked {ours:?}, lnd has {theirs:?}");
        let mut shown = daemon_show(net, point)?;
        // Beside the books, what an operator said of its close: nothing.
        let word = shown.as_object_mut().and_then(|shown| shown.remove("close_allowance"));
        ensure!(word == Some(serde_json::Value::Null), "a close was allowed: {word:?}");
        ensure!(shown == *booked, "channel show says {shown}, channels {booked}");
    }
    Ok(())
}

fn daemon_show(net: &mut Network, point: &str) -> Result<Value> {
    daemon(net)?.cli(&["channel", "show", point], None)
}

/// The same, once the last updates are through.
fn books_equal_lnds_soon(net: &mut Network) -> Result<()> {
    until_true(15, "the books equal lnd's", || books_equal_lnds(net).map(|()| true))
}

#[test]
fn the_books_are_lnds_to_the_satoshi() -> Result<()> {
    Workdir::new("channels-books")?.run(|dir| {
        let (mut net, points) = start(dir, PolicyChoice::cautious())?;
        ensure!(daemon_show(&mut net, &format!("{}:0", "00".repeat(32))).is_err(), "a channel never seen");
        books_equal_lnds_soon(&mut net)?;
        for point in &points {
            let (ours, theirs) = (short_id(&net.alice, point)?, short_id(&net.bob, point)?);
            pay_many(&net.alice, &net.bob, 20, 12_345, 4, &[ours])?;
            pay_many(&net.bob, &net.alice, 10, 9_876, 4, &[theirs])?;
        }
        books_equal_lnds_soon(&mut net)?;
        let mut held = Vec::new();
        for point in &points {
            held.push((true, pend_htlc(&net.bob, &net.alice, point, 20_000)?));
            held.push((false, pend_htlc(&net.alice, &net.bob, point, 25_000)?));
            held.push((false, pend_htlc(&net.alice, &net.bob, point, 31_000)?));
        }
        books_equal_lnds_soon(&mut net)?;
        for (by_alice, preimage) in &held {
            let payee = if *by_alice { &net.alice } else { &net.bob };
            payee.settle_invoice(preimage)?;
        }
        let quiet = |node: &Lnd| {
            Ok(node.channels()?.iter().all(|c| c["pending_htlcs"].as_array().is_some_and(Vec::is_empty)))
        };
        until_true(30, "the HTLCs settled", || quiet(&net.alice))?;
        books_equal_lnds_soon(&mut net)?;
        let refused = daemon(&mut net)?.refused()?;
        ensure!(refused == 0, "{refused} requests were refused");
        eprintln!("channels figures: 2 channels equal lnd's after 60 payments and with 6 HTLCs pending");
        Ok(())
    })
}

/// A stuck channel: what lnd says of it, and the refusals of one minute.
fn stuck(net: &mut Network, point: &ChannelPoint, word: &str) -> Result<u64> {
    // An lnd that was just started again has inactive channels too: the refusal is waited for.
    until_true(30, &format!("the channel inactive, refused for {word}"), || {
        let inactive = net.alice.channel(point)?.is_some_and(|channel| channel["active"] == false);
        Ok(inactive && refused_for(net)?.iter().any(|tag| tag == word))
    })?;
    let log = std::fs::read_to_string(net.alice.process().log())?;
    ensure!(log.contains("failing link: unable to update commitment"), "lnd did not fail the link");
    let (before, began) = (daemon(net)?.refused()?, Instant::now());
    std::thread::sleep(WATCH);
    let more = daemon(net)?.refused()? - before;
    Ok(more * 60 / began.elapsed().as_secs().max(1))
}

/// The rules that refused of late.
fn refused_for(net: &mut Network) -> Result<Vec<String>> {
    let leaves = daemon(net)?.journal_leaves(60)?;
    let violations = leaves
        .iter()
        .filter_map(|leaf| leaf["event"]["decision"]["verdict"]["refused"]["enforced"].as_array())
        .flatten();
    Ok(violations.filter_map(|violation| violation["tag"].as_str()).map(str::to_owned).collect())
}

fn status_of(net: &Network, invoice: &str) -> Result<String> {
    let hash = net.alice.rest().get(&format!("/v1/payreq/{invoice}"))?["payment_hash"].clone();
    let all = net.alice.rest().get("/v1/payments?include_incomplete=true")?;
    let payments = all["payments"].as_array().context("no payments")?;
    let found = payments.iter().find(|payment| payment["payment_hash"] == hash);
    Ok(found.and_then(|payment| payment["status"].as_str()).unwrap_or("NONE").to_owned())
}

/// Disconnects and connects again; how long until the channels are active.
fn reconnect(net: &Network, points: &[ChannelPoint]) -> Result<Duration> {
    let began = Instant::now();
    net.alice.disconnect(&net.bob)?;
    net.alice.connect(&net.bob)?;
    net.alice.wait_active(points)?;
    net.bob.wait_active(points)?;
    Ok(began.elapsed())
}

fn nothing_was_forced(net: &mut Network) -> Result<()> {
    net.alice.process().check_alive()?;
    let closed = net.alice.closed()?;
    let waiting = net.alice.pending("waiting_close_channels")?;
    ensure!(closed.is_empty() && waiting.is_empty(), "a channel was closed: {closed:?} {waiting:?}");
    Ok(())
}

#[test]
fn a_payment_without_leave_waits_for_it() -> Result<()> {
    Workdir::new("channels-authorise")?.run(|dir| {
        let policy = PolicyChoice::cautious().set("payments.require_authorization", true);
        let (mut net, points) = start(dir, policy)?;
        let pid = net.alice.process().pid();
        // Nobody need authorise what comes in.
        net.alice.wait_active(&points)?;
        net.bob.pay(&net.alice.invoice(50_000)?, None)?;

        let invoice = net.bob.invoice(40_000)?;
        let by = short_id(&net.alice, &points[0])?;
        net.alice.pay_detached(invoice.clone(), Some(by.clone()));
        let per_minute = stuck(&mut net, &points[0], "payment-authorization")?;
        ensure!(per_minute <= 3, "{per_minute} refusals a minute: a loop");
        ensure!(status_of(&net, &invoice)? == "IN_FLIGHT", "{}", status_of(&net, &invoice)?);

        let authorize = ["payments", "authorize", "alice", "--invoice", &invoice, "--max-fee", "100"];
        daemon(&mut net)?.cli(&authorize, None)?;
        let took = reconnect(&net, &points)?;
        let mut end = String::new();
        until_true(60, "the payment's end", || {
            end = status_of(&net, &invoice)?;
            Ok(end != "IN_FLIGHT")
        })?;
        eprintln!(
            "channels figures: unauthorised payment: link failed, {per_minute} refusals a minute while stuck; authorised and \
             reconnected: active after {:.1} s, payment {end}",
            took.as_secs_f64()
        );
        if end != "SUCCEEDED" {
            // What lnd gave up it may be asked for again.
            net.alice.pay(&invoice, Some(&by))?;
        }
        // lnd knows of the end before its next commitment shows it.
        let mut payment = Value::Null;
        until_true(10, "the payment out of flight", || {
            payment = daemon(&mut net)?.cli(&["payments", "list"], None)?["payments"][0].clone();
            Ok(number(&payment, "in_flight_sat")? == 0)
        })
        .with_context(|| payment.to_string())?;
        ensure!(number(&payment, "amount_sat")? == 40_100, "{payment}");
        ensure!(number(&payment, "offered_sat")? >= 40_000, "{payment}");

        // With leave from the beginning nothing is in the way; the leave is for this hash and this sum.
        let second = net.bob.invoice(60_000)?;
        let refused = daemon(&mut net)?.refused()?;
        let authorize = ["payments", "authorize", "alice", "--invoice", &second, "--label", "rent"];
        daemon(&mut net)?.cli(&authorize, None)?;
        net.alice.pay(&second, Some(&by))?;
        ensure!(daemon(&mut net)?.refused()? == refused, "an authorised payment was refused");
        ensure!(net.alice.process().pid() == pid, "lnd was started again");
        nothing_was_forced(&mut net)?;
        books_equal_lnds_soon(&mut net)
    })
}

#[test]
fn without_leave_the_way_out_is_to_reconnect() -> Result<()> {
    Workdir::new("channels-refused")?.run(|dir| {
        let policy = PolicyChoice::cautious().set("payments.require_authorization", true);
        let (mut net, points) = start(dir, policy)?;
        let invoice = net.bob.invoice(40_000)?;
        net.alice.pay_detached(invoice.clone(), Some(short_id(&net.alice, &points[0])?));
        stuck(&mut net, &points[0], "payment-authorization")?;
        let (before, began) = (daemon(&mut net)?.refused()?, Instant::now());
        net.alice.disconnect(&net.bob)?;
        net.alice.connect(&net.bob)?;
        let mut end = String::new();
        let ended = until_true(60, "the payment's end", || {
            end = status_of(&net, &invoice)?;
            Ok(end != "IN_FLIGHT")
        });
        let more = daemon(&mut net)?.refused()? - before;
        eprintln!(
            "channels figures: never authorised, reconnected: {more} more refusals, payment {end} after {} s",
            began.elapsed().as_secs()
        );
        ended?;
        ensure!(end == "FAILED", "{end}");
        reconnect(&net, &points)?;
        net.bob.pay(&net.alice.invoice(10_000)?, None)?;
        nothing_was_forced(&mut net)?;
        books_equal_lnds_soon(&mut net)
    })
}

/// Changes the policy file and starts the daemon again, as an operator does.
fn change_policy(net: &mut Network, from: &str, to: &str) -> Result<()> {
    let daemon = daemon(net)?;
    let path = daemon.dir().join("policy.toml");
    let text = std::fs::read_to_string(&path)?;
    ensure!(
        text.matches(from).count() == 1,
        "{from:?} stands {} times in the policy",
        text.matches(from).count()
    );
    daemon.process().stop(10)?;
    std::fs::write(&path, text.replace(from, to))?;
    daemon.start_again()?;
    // lnd's health check ends it if it comes in this very second.
    if net.alice.process().try_wait()?.is_some() {
        net.alice.start_again()?;
    }
    Ok(())
}

#[test]
fn other_refusals_leave_the_channel_or_a_way_back() -> Result<()> {
    Workdir::new("channels-kinds")?.run(|dir| {
        let (mut net, points) = start(dir, PolicyChoice::cautious())?;
        net.alice.wait_active(&points)?;
        let active = |net: &Network| -> Result<bool> {
            Ok(net.alice.channels()?.iter().all(|channel| channel["active"] == true))
        };

        // An invoice's signature: the caller is told, nothing else happens.
        change_policy(&mut net, "\"invoice\", ", "")?;
        match net.alice.invoice(1_000) {
            Ok(invoice) => bail!("an invoice was signed: {invoice}"),
            Err(error) => ensure!(format!("{error:#}").contains("refused by policy: message-kind"), "{error:#}"),
        }
        ensure!(active(&net)?, "a refused invoice stopped a channel");
        change_policy(&mut net, "\"channel-announcement\", ", "\"channel-announcement\", \"invoice\", ")?;

        // An onion's secret: the HTLC fails, the channel stays.
        let invoice = net.alice.invoice(20_000)?;
        change_policy(&mut net, "keys = [\"node\", \"tower-session\"", "keys = [\"tower-session\"")?;
        match net.bob.pay(&invoice, None) {
            Ok(()) => bail!("a payment arrived with no onion opened"),
            Err(error) => eprintln!("channels figures: onion refused: {error:#}"),
        }
        ensure!(active(&net)?, "a refused onion stopped a channel");
        change_policy(&mut net, "keys = [\"tower-session\"", "keys = [\"node\", \"tower-session\"")?;
        net.bob.rest().post("/v2/router/mc/reset", &serde_json::json!({}))?;
        net.bob.pay(&net.alice.invoice(20_000)?, None)?;

        // The peer's HTLC transaction: the commitment waits for what explains it, in vain, and is refused too.
        change_policy(&mut net, "\"htlc-base\", ", "")?;
        let invoice = net.bob.invoice(30_000)?;
        net.alice.pay_detached(invoice.clone(), Some(short_id(&net.alice, &points[0])?));
        let per_minute = stuck(&mut net, &points[0], "grant")?;
        until_true(10, "the withheld commitment refused", || {
            let leaves = daemon(&mut net)?.journal_leaves(60)?;
            Ok(leaves.iter().any(|leaf| {
                let refused = &leaf["event"]["decision"]["verdict"]["refused"]["enforced"];
                refused.as_array().is_some_and(|all| all.iter().any(|v| v["tag"] == "unexplained-output"))
            }))
        })?;
        ensure!(per_minute <= 3, "{per_minute} refusals a minute: a loop");
        change_policy(&mut net, "\"revocation-base\", ", "\"revocation-base\", \"htlc-base\", ")?;
        let took = reconnect(&net, &points)?;
        let mut end = String::new();
        until_true(60, "the payment's end", || {
            end = status_of(&net, &invoice)?;
            Ok(end != "IN_FLIGHT")
        })?;
        eprintln!(
            "channels figures: HTLC refused, commitment withheld, then refused: {per_minute} refusals a minute while stuck; \
             policy mended and reconnected: active after {:.1} s, payment {end}",
            took.as_secs_f64()
        );
        net.alice.rest().post("/v2/router/mc/reset", &serde_json::json!({}))?;
        net.alice.pay(&net.bob.invoice(15_000)?, None)?;
        nothing_was_forced(&mut net)?;
        books_equal_lnds_soon(&mut net)
    })
}

#[test]
fn a_funding_may_be_made_to_wait_for_the_first_commitment() -> Result<()> {
    Workdir::new("channels-psbt")?.run(|dir| {
        let policy = PolicyChoice::cautious().set("channels.require_psbt_funding", true);
        let net = Network::start(dir, &Plan { policy, ..Plan::of(SignerKind::Strongroom) })?;
        // A nested coin's signature would change the funding's id.
        net.bitcoind.pay(&net.alice.new_address("p2wkh")?, 10_000_000)?;
        net.mine(1)?;
        until_true(30, "the coin confirmed", || Ok(net.alice.wallet_balance()? == 10_000_000))?;
        let open = OpenChannel {
            to: &net.bob,
            capacity: 4_000_000,
            push: 0,
            format: CommitmentType::Anchors,
            private: false,
        };
        match net.alice.open_channel(&open) {
            Ok(point) => bail!("a plain open was signed: {point}"),
            Err(error) => ensure!(format!("{error:#}").contains("psbt-funding"), "{error:#}"),
        }
        let point = net.alice.open_channel_by_psbt(&open)?;
        net.mine(6)?;
        for lnd in [&net.alice, &net.bob] {
            lnd.wait_active(std::slice::from_ref(&point))?;
        }
        net.alice.pay(&net.bob.invoice(50_000)?, Some(&short_id(&net.alice, &point)?))
    })
}

/// lnd has a channel's announcement signed that it never publishes, so its peer is known too.
#[test]
fn a_private_channel_has_its_name() -> Result<()> {
    Workdir::new("channels-private")?.run(|dir| {
        let mut net = Network::start(dir, &Plan::of(SignerKind::Strongroom))?;
        net.fund(&net.alice, 1, 10_000_000)?;
        let open = OpenChannel {
            to: &net.bob,
            capacity: 4_000_000,
            push: 0,
            format: CommitmentType::Anchors,
            private: true,
        };
        let point = net.alice.open_channel(&open)?;
        net.mine(6)?;
        net.alice.wait_active(std::slice::from_ref(&point))?;
        let (point, bob) = (point.to_string(), net.bob.pubkey().to_owned());
        until_true(30, "the private channel's peer is known", || {
            let shown = daemon_show(&mut net, &point)?;
            Ok(shown["peer"] == bob)
        })
    })
}
