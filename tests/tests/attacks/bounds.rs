//! What no check of requests can hold: these attacks succeed, and what they cost at most is asserted.

use anyhow::{Context, Result, ensure};
use bitcoin::Psbt;
use serde_json::Value;
use strongroom_tests::grpc::OK;

use crate::attacker::Attacker;
use crate::bed::{Bed, HONEST, PEER, QUIET, SPARE, WORK};
use crate::closing::own_commitment;
use crate::forge::{Live, invented, pay, stranger, stranger_p2wsh};
use crate::made_up::{Coin, commitment_zero, funding_script, reserve};
use crate::table::End::{Bounded, Closed, NotEnforceable};
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "own-commitment-0-is-out",
        tier: "T0 (A1)",
        tag: "channel-capacity",
        end: NotEnforceable("the whole channel; `channel-capacity`, `channels-total`"),
        line: "our signature on our own commitment 0 was given when the channel opened; with the peer it rolls everything back",
    },
    Attack {
        name: "old-states-stay-live",
        tier: "T0 (A2)",
        tag: "channel-capacity",
        end: NotEnforceable("what we gained since the worst state ever signed; shown as `guaranteed`"),
        line: "no request proves a state revoked: every commitment of the peer's ever signed may be published",
    },
    Attack {
        name: "peers-commitment-as-ours",
        tier: "T0 (C4)",
        tag: "channel-frozen",
        end: Bounded("the channel, which our own commitment 0 puts at stake already; it is frozen"),
        line: "a commitment of the peer's that pays us nothing passes for our own",
    },
    Attack {
        name: "to-local-not-revocable",
        tier: "T0 (C6)",
        tag: "forward-exposure",
        end: NotEnforceable("what is the peer's in the channel; nothing of it counts as ours"),
        line: "the peer's own output pays an address instead of a script that we could punish by",
    },
    Attack {
        name: "funding-without-a-commitment",
        tier: "T0",
        tag: "psbt-funding",
        end: Closed,
        line: "a 2-of-2 that no commitment was seen of is to be funded, where the policy has `require_psbt_funding`",
    },
    Attack {
        name: "own-commitment-of-the-peers-channel",
        tier: "T0",
        tag: "channel-frozen",
        end: Closed,
        line: "our own old commitment of a channel that the peer funded, and the channel is to go on earning",
    },
    Attack {
        name: "own-commitments-of-all-channels",
        tier: "T0",
        tag: "force-close-window",
        end: NotEnforceable(
            "what commitment 0 of each puts at stake already; told of, since a limit would keep an honest node from closing",
        ),
        line: "our own commitment of one channel after another is collected",
    },
    Attack {
        name: "approved-request-again",
        tier: "T0",
        tag: "channel-frozen",
        end: Bounded("the same bytes, charged once"),
        line: "an approved request is asked again, also on a channel that is frozen",
    },
    Attack {
        name: "number-skipped",
        tier: "T0",
        tag: "channel-frozen",
        end: Closed,
        line: "the next commitment but one; the channel then only closes",
    },
];

/// What `strongroom status` shows of the windows.
const MONEY: [&str; 5] =
    ["outflow_sat", "fees_sat", "closing_fees_sat", "unexplained_sat", "unauthorized_sat"];

/// The signature that a recorded request got is given again, byte for byte.
fn again(a: &Attacker, psbt: &Psbt) -> Result<Vec<u8>> {
    let first = a.signed("a request approved before", psbt)?;
    ensure!(first == a.signed("the same", psbt)?, "two answers to one request");
    Ok(first)
}

fn field(a: &Attacker, live: &Live, field: &str) -> Result<u64> {
    let shown: Value = serde_json::from_str(&a.cli(&["channels"])?)?;
    let list = shown.as_array().or_else(|| shown["channels"].as_array()).context("no channels")?;
    let wanted = live.funding.to_string();
    let channel =
        list.iter().find(|c| c["channel"] == wanted.as_str()).context("the channel is not shown")?;
    channel[field].as_u64().with_context(|| format!("{field} in {channel}"))
}

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    let (a, live) = bed.with(HONEST);
    let cap = 16_777_215;
    score.case("own-commitment-0-is-out", |row| {
        let zero = live.own_zero.clone().context("no own commitment 0")?;
        again(a, &zero)?;
        // What the peer takes with its secret: all that we have by now, and no more than a channel may hold.
        ensure!(live.balance() <= live.capacity && live.capacity <= cap, "above the cap");
        reserve(a, 400)?;
        let large = commitment_zero(&a.keys, 400, invented("large"), cap + 1, 0)?;
        a.refused(row, "16,777,216", &large)
    });
    score.case("old-states-stay-live", |row| {
        let worst = live.theirs.iter().map(|psbt| {
            let ours = psbt.unsigned_tx.output.iter().filter(|o| o.script_pubkey == live.to_remote);
            ours.map(|output| output.value.to_sat()).sum::<u64>()
        });
        for psbt in &live.theirs {
            again(a, psbt)?;
        }
        let worst = worst.min().context("no commitment")?;
        let (ours, guaranteed) = (live.balance(), field(a, live, "guaranteed_sat")?);
        ensure!(worst < ours, "the latest state is the worst: nothing to lose");
        ensure!(guaranteed == worst, "guaranteed {guaranteed} sat, the worst state pays {worst}");
        ensure!(ours - worst <= live.capacity && row.end != Closed, "more than the channel");
        Ok(())
    });
    score.case("to-local-not-revocable", |_| {
        let (a, live) = bed.with(QUIET);
        let before = (live.balance(), field(a, live, "guaranteed_sat")?);
        let mut plain = live.next()?;
        ensure!(plain.htlcs.iter().all(|h| h.unsigned_tx.output[0].script_pubkey == plain.to_local), "HTLCs");
        // HTLC transactions pay the same script as the peer's balance, so let them go first.
        while !plain.htlcs.is_empty() {
            plain.settle(0, true)?;
        }
        a.advance(live, &plain)?;
        let mut plain = live.next()?;
        let to_local = plain.to_local.clone();
        plain.output(&to_local)?.script_pubkey = stranger(80);
        plain.to_local = stranger(80);
        a.advance(live, &plain)?;
        let after = (live.balance(), field(a, live, "guaranteed_sat")?);
        ensure!(after.0 == before.0 && after.1 <= before.1, "{before:?} became {after:?}");
        Ok(())
    });
    score.case("funding-without-a-commitment", |row| {
        let a = &bed.attacker;
        reserve(a, 401)?;
        let coin = Coin::new(&a.keys, "no commitment", 300_000)?;
        a.refused(row, "299,000", &coin.pays(vec![pay(stranger_p2wsh(82), 299_000)])?)?;
        // Its own 2-of-2 waits for its commitment.
        let own = funding_script(&a.keys, 401)?.to_p2wsh();
        a.refused(row, "298,000", &coin.pays(vec![pay(own, 298_000)])?)
    });
    ends(score, bed)
}

/// What ends channels, last.
fn ends(score: &mut Score, bed: &mut Bed) -> Result<()> {
    score.case("peers-commitment-as-ours", |row| {
        let (a, live) = bed.with(SPARE);
        let mut draft = live.next()?;
        draft.remove(&live.to_remote.clone());
        let theirs = draft.to_local.clone();
        draft.output(&theirs)?.value += bitcoin::Amount::from_sat(live.balance());
        a.signed("a commitment of the peer's without us", &draft.psbt)?;
        a.refused_commitment(row, "", &live.next()?)
    });
    score.case("own-commitment-of-the-peers-channel", |row| {
        let (a, live) = bed.with(PEER);
        a.signed("our own commitment 2", &own_commitment(live, 2, None)?)?;
        a.refused_commitment(row, "", &live.next()?)
    });
    score.case("approved-request-again", |row| {
        let (a, live) = bed.with(PEER);
        let before = a.status()?;
        again(a, live.latest())?;
        let after = a.status()?;
        let money = |status: &Value, key: &str| {
            status["nodes"][0][key].as_u64().with_context(|| format!("no {key} in {status}"))
        };
        for key in MONEY {
            ensure!(money(&before, key)? == money(&after, key)?, "{key} is charged twice: {after}");
        }
        a.refused_commitment(row, "", &live.next()?)
    });
    // A signer that was put back could not tell what lnd had signed meanwhile: the channel does not go on, and no close of it
    // is held to the balance of before. It still ends by force, as the next case shows.
    score.case("number-skipped", |row| {
        let (a, live) = bed.with(QUIET);
        a.refused_commitment(row, "without this signer", &live.at(live.number + 2)?)?;
        a.refused_commitment(row, "without this signer", &live.next()?)
    });
    // FORCE, SPARE and PEER have ended in this window; the bed's policy tells of more than three.
    score.case("own-commitments-of-all-channels", |row| {
        let (a, live) = bed.with(QUIET);
        let outputs = vec![pay(crate::forge::stranger_p2wsh(81), live.capacity - 1_000)];
        a.signed("one more own commitment", &own_commitment(live, 4, Some(outputs))?)?;
        a.told_of(row)?;
        let (a, live) = bed.with(WORK);
        let answer = a.commit(&live.next()?)?;
        ensure!(answer.code == OK, "another channel goes on: {}", answer.message);
        live.accept(&live.next()?)
    });
    Ok(())
}
