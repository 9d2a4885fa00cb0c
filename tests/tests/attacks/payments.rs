//! Payments that nobody authorised, and forwards that nothing pays for. Every payment needs an authorisation here.

use anyhow::{Context, Result, ensure};
use strongroom_tests::grpc::OK;

use crate::attacker::Attacker;
use crate::bed::{Bed, PEER, QUIET, SPARE};
use crate::forge::{Draft, Live, NewHtlc, hash160};
use crate::made_up::fictional;
use crate::table::End::{Bounded, Closed};
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "hash-not-authorised",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "an HTLC to a hash that nobody authorised",
    },
    Attack {
        name: "more-than-authorised",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "an HTLC of 30,000 sat where 20,000 are authorised",
    },
    Attack {
        name: "parts-above-the-whole",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "two HTLCs of one payment, each within what is authorised, together above it",
    },
    Attack {
        name: "authorisation-on-two-channels",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "an authorised payment is in flight, and made again over another channel",
    },
    Attack {
        name: "authorisation-after-restart",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "the same once more after the daemon restarted",
    },
    Attack {
        name: "authorisation-used-twice",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "an authorised payment is said to have failed, and made again beyond its attempts",
    },
    Attack {
        name: "authorisation-in-a-version-given-up",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "an authorised payment is offered, its commitment asked for again without it, and the payment made over another channel",
    },
    Attack {
        name: "authorisation-expired",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "an HTLC after the authorisation's time",
    },
    Attack {
        name: "forward-with-too-small-a-delta",
        tier: "T0",
        tag: "forward-cltv",
        end: Closed,
        line: "a forward that times out 20 blocks before its incoming HTLC, so that the next peer can claim too late for us",
    },
    Attack {
        name: "forward-above-its-incoming",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "a forward of more than came in",
    },
    Attack {
        name: "forward-twice",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "one incoming HTLC is to pay for two outgoing ones",
    },
    Attack {
        name: "forward-back",
        tier: "T0",
        tag: "payment-authorization",
        end: Closed,
        line: "an incoming HTLC is to pay for one on its own channel",
    },
    Attack {
        name: "incoming-let-go",
        tier: "T0",
        tag: "forward-unpaid",
        end: Closed,
        line: "an incoming HTLC is let go after its outgoing one was paid",
    },
    Attack {
        name: "claims-left-to-run-out",
        tier: "T0",
        tag: "claim-overdue",
        end: Bounded("`forwards.max_claim_seconds`; what is forwarded until then by `forward-exposure`"),
        line: "incoming HTLCs are never claimed while their outgoing ones are paid, and their channel goes on to bring new ones",
    },
    Attack {
        name: "incoming-let-go-first",
        tier: "T0",
        tag: "forward-exposure",
        end: Bounded("`forward-exposure`"),
        line: "incoming HTLCs are let go before their outgoing ones are paid, when nobody knows yet that they will be",
    },
    Attack {
        name: "forward-back-in-a-version",
        tier: "T0",
        tag: "forward-exposure",
        end: Bounded("`forward-exposure`"),
        line: "outgoing HTLCs come back in one version of a commitment, so that their incoming ones may go, and are paid in another",
    },
    Attack {
        name: "fictional-channel",
        tier: "T0",
        tag: "forward-exposure",
        end: Bounded("`forward-exposure`, for each channel and in all"),
        line: "a channel on an outpoint that no chain has brings incoming HTLCs of any size",
    },
];

/// The bed's `forwards.max_claim_seconds`.
pub const CLAIM_SECONDS: u64 = 6;

fn new(n: u8, sat: u64, cltv: u32) -> NewHtlc {
    NewHtlc { hash160: hash160(&[n; 32]), sat, cltv }
}

/// `live`'s next commitment with an HTLC that we offer.
fn offering(a: &Attacker, live: &Live, htlcs: &[NewHtlc]) -> Result<Draft> {
    let template = live.offered.clone().context("no template")?;
    let mut draft = live.next()?;
    for htlc in htlcs {
        draft.htlc(&a.keys, &template, *htlc)?;
    }
    Ok(draft)
}

/// Whether an HTLC request is for that amount and hash.
fn is_for(request: &bitcoin::Psbt, sat: u64, n: u8) -> bool {
    let input = &request.inputs[0];
    let amount = input.witness_utxo.as_ref().map(|output| output.value.to_sat());
    let script = input.witness_script.as_ref().map_or(&[][..], |script| script.as_bytes());
    amount == Some(sat) && script.windows(20).any(|window| window == hash160(&[n; 32]))
}

fn authorize(a: &Attacker, n: u8, sat: u64, more: &[&str]) -> Result<()> {
    let (hash, sat) = (hex::encode([n; 32]), sat.to_string());
    let mut args = vec!["payments", "authorize", "alice", "--hash", &hash, "--amount", &sat];
    args.extend(more);
    a.cli(&args).map(drop)
}

/// The peer offers us `htlc` on `live`; `template` is an incoming HTLC's request.
fn receive(a: &Attacker, live: &mut Live, template: &bitcoin::Psbt, htlc: NewHtlc) -> Result<()> {
    let mut draft = live.next()?;
    draft.htlc(&a.keys, template, htlc)?;
    a.advance(live, &draft).context("an incoming HTLC")
}

pub fn run(score: &mut Score, bed: &mut Bed) -> Result<()> {
    let (a, live) = bed.with(QUIET);
    score.case("hash-not-authorised", |row| {
        a.refused_commitment(row, "", &offering(a, live, &[new(100, 20_000, 400)])?)
    });
    score.case("more-than-authorised", |row| {
        authorize(a, 101, 20_000, &[])?;
        a.refused_commitment(row, "30000 sat in flight", &offering(a, live, &[new(101, 30_000, 400)])?)
    });
    score.case("parts-above-the-whole", |row| {
        authorize(a, 102, 20_000, &[])?;
        let parts = [new(102, 15_000, 400), NewHtlc { sat: 15_001, ..new(102, 0, 400) }];
        a.refused_commitment(row, "30001 sat in flight", &offering(a, live, &parts)?)
    });
    score.case("authorisation-expired", |row| {
        authorize(a, 104, 20_000, &["--expires-in", "1s"])?;
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        a.refused_commitment(row, "authorised until", &offering(a, live, &[new(104, 20_000, 400)])?)
    });
    authorize(a, 103, 20_000, &["--attempts", "1"])?;
    a.advance(live, &offering(a, live, &[new(103, 20_000, 400)])?).context("an authorised payment")?;
    score.case("authorisation-on-two-channels", |row| {
        let (a, live) = bed.with(SPARE);
        a.refused_commitment(row, "40000 sat in flight", &offering(a, live, &[new(103, 20_000, 400)])?)
    });
    bed.restart(None)?;
    score.case("authorisation-after-restart", |row| {
        let (a, live) = bed.with(SPARE);
        a.refused_commitment(row, "", &offering(a, live, &[new(103, 20_000, 401)])?)
    });
    score.case("authorisation-used-twice", |row| {
        let (a, live) = bed.with(QUIET);
        let mut failed = live.next()?;
        failed.settle(0, false)?;
        a.advance(live, &failed)?;
        a.refused_commitment(row, "1 attempts", &offering(a, live, &[new(103, 20_000, 402)])?)
    });
    score.case("authorisation-in-a-version-given-up", |row| {
        authorize(bed.with(QUIET).0, 105, 20_000, &["--attempts", "1"])?;
        let (a, live) = bed.with(QUIET);
        a.advance(live, &offering(a, live, &[new(105, 20_000, 400)])?)?;
        let mut again = live.at(live.number)?;
        again.settle(again.htlcs.len() - 1, false)?;
        a.advance(live, &again)?;
        let (a, live) = bed.with(SPARE);
        a.refused_commitment(row, "1 attempts", &offering(a, live, &[new(105, 20_000, 400)])?)
    });
    forwards(score, bed)
}

fn forwards(score: &mut Score, bed: &mut Bed) -> Result<()> {
    let template = bed.lives[PEER].incoming.clone().context("no template")?;
    let (a, peer) = bed.with(PEER);
    for (hash, sat) in [(110, 60_000), (111, 60_000)] {
        receive(a, peer, &template, new(hash, sat, 500))?;
    }
    score.case("forward-back", |row| {
        a.refused_commitment(row, "", &offering(a, peer, &[new(110, 50_000, 400)])?)
    });
    let (a, live) = bed.with(QUIET);
    score.case("forward-with-too-small-a-delta", |row| {
        a.refused_commitment(row, "20", &offering(a, live, &[new(110, 59_000, 480)])?)
    });
    score.case("forward-above-its-incoming", |row| {
        a.refused_commitment(row, "", &offering(a, live, &[new(110, 60_001, 400)])?)
    });
    a.advance(live, &offering(a, live, &[new(111, 60_000, 400)])?).context("a good forward")?;
    score.case("forward-twice", |row| {
        let (a, live) = bed.with(SPARE);
        a.refused_commitment(row, "", &offering(a, live, &[new(111, 60_000, 401)])?)
    });
    score.case("incoming-let-go", |row| {
        // The forward above is paid...
        let (a, live) = bed.with(QUIET);
        let mut taken = live.next()?;
        taken.settle(taken.htlcs.len() - 1, true)?;
        a.advance(live, &taken)?;
        // ... and its incoming HTLC the peer's again; also with a part of it for us.
        let (a, peer) = bed.with(PEER);
        for part in [0, 20_000] {
            let mut gone = peer.next()?;
            gone.settle(gone.htlcs.len() - 1, true)?;
            let (ours, theirs) = (gone.to_remote.clone(), gone.to_local.clone());
            gone.take(&theirs, part)?;
            gone.output(&ours)?.value += bitcoin::Amount::from_sat(part);
            a.refused_commitment(row, "60,000", &gone)?;
        }
        Ok(())
    });
    score.case("claims-left-to-run-out", |row| {
        std::thread::sleep(std::time::Duration::from_secs(CLAIM_SECONDS + 1));
        for (n, forwarded) in [(112, true), (113, false)] {
            let (a, peer) = bed.with(PEER);
            receive(a, peer, &template, new(n, 30_000, 500))?;
            let shown = a.cli(&["channels"])?.replace(' ', "");
            ensure!(shown.contains("\"claims_overdue_sat\":60000"), "not told of: {shown}");
            let (a, live) = bed.with(QUIET);
            let out = offering(a, live, &[new(n, 30_000, 400)])?;
            if forwarded {
                a.advance(live, &out).context("lnd may claim with the next commitment")?;
            } else {
                a.refused_commitment(row, "1 HTLCs to be claimed", &out)?;
            }
        }
        // Claimed at last: the channel brings forwards again.
        let (a, peer) = bed.with(PEER);
        let mut claimed = peer.next()?;
        let at = claimed.htlcs.iter().position(|htlc| is_for(htlc, 60_000, 111)).context("no HTLC")?;
        claimed.settle(at, false)?;
        a.advance(peer, &claimed)?;
        let (a, live) = bed.with(QUIET);
        a.advance(live, &offering(a, live, &[new(113, 30_000, 400)])?)
    });
    score.case("incoming-let-go-first", |row| {
        let mut paid = 60_000;
        for n in 114..140 {
            let (a, peer) = bed.with(PEER);
            receive(a, peer, &template, new(n, 90_000, 500))?;
            let (a, live) = bed.with(QUIET);
            let out = offering(a, live, &[new(n, 90_000, 400)])?;
            let answer = a.commit(&out)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                ensure!((150_000..=400_000).contains(&paid), "{paid} sat were forwarded");
                return Ok(());
            }
            live.accept(&out)?;
            paid += 90_000;
            let (a, peer) = bed.with(PEER);
            let mut gone = peer.next()?;
            gone.settle(gone.htlcs.len() - 1, true)?;
            a.advance(peer, &gone)?;
            let (a, live) = bed.with(QUIET);
            let mut taken = live.next()?;
            taken.settle(taken.htlcs.len() - 1, true)?;
            a.advance(live, &taken)?;
        }
        anyhow::bail!("{paid} sat were forwarded and nothing was refused")
    });
    score.case("forward-back-in-a-version", |row| {
        let mut fiction = fictional(&bed.attacker, 301, 9_000_000)?;
        let mut paid = 0;
        for n in 160..190 {
            receive(&bed.attacker, &mut fiction, &template, new(n, 90_000, 500))?;
            let (a, live) = bed.with(QUIET);
            let out = offering(a, live, &[new(n, 90_000, 400)])?;
            let answer = a.commit(&out)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                ensure!((180_000..=400_000).contains(&paid), "{paid} sat were forwarded");
                return Ok(());
            }
            live.accept(&out)?;
            paid += 90_000;
            let offered = live.clone();
            let mut back = live.next()?;
            back.settle(back.htlcs.len() - 1, false)?;
            a.advance(live, &back)?;
            let mut gone = fiction.next()?;
            gone.settle(gone.htlcs.len() - 1, true)?;
            bed.attacker.advance(&mut fiction, &gone)?;
            // The peer has another version of the number, in which it was paid.
            let (a, live) = bed.with(QUIET);
            *live = offered;
            let mut taken = live.next()?;
            taken.settle(taken.htlcs.len() - 1, true)?;
            a.advance(live, &taken)?;
        }
        anyhow::bail!("{paid} sat were forwarded and nothing was refused")
    });
    score.case("fictional-channel", |row| {
        let mut fiction = fictional(&bed.attacker, 300, 9_000_000)?;
        let mut paid = 0;
        for n in 140..160 {
            receive(&bed.attacker, &mut fiction, &template, new(n, 150_000, 500))?;
            let (a, live) = bed.with(QUIET);
            let out = offering(a, live, &[new(n, 150_000, 400)])?;
            let answer = a.commit(&out)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                ensure!((150_000..=400_000).contains(&paid), "{paid} sat were forwarded");
                return Ok(());
            }
            live.accept(&out)?;
            paid += 150_000;
        }
        anyhow::bail!("{paid} sat were forwarded and nothing was refused")
    });
    Ok(())
}
