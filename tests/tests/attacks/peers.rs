//! Who the peer of a channel is: announcements, and the limits that rest on them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use bitcoin::secp256k1::{PublicKey, Secp256k1, SecretKey};
use prost::Message;
use strongroom_proto::signrpc::{KeyLocator, SignMessageReq};
use strongroom_tests::grpc::{Answer, OK};
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};

use crate::attacker::Attacker;
use crate::forge::invented;
use crate::made_up::{commitment_zero, fictional, peer_key, reserve};
use crate::secrets::SIGN_MESSAGE;
use crate::table::End::{Bounded, Closed};
use crate::table::{Attack, Score};

pub const ROWS: &[Attack] = &[
    Attack {
        name: "announcement-of-another-channel",
        tier: "T0",
        tag: "announced-peer",
        end: Closed,
        line: "a channel's key vouches for the keys of another channel of ours, or for a node that is not ours",
    },
    Attack {
        name: "announcement-of-no-channel",
        tier: "T0",
        tag: "announced-peer",
        end: Closed,
        line: "a multisig key of no channel signs a channel_announcement that names it",
    },
    Attack {
        name: "peer-named-anew",
        tier: "T0",
        tag: "announced-peer",
        end: Closed,
        line: "a channel that was announced with one peer is announced with another, after a restart too",
    },
    Attack {
        name: "channels-never-announced",
        tier: "T0",
        tag: "unnamed-total",
        end: Closed,
        line: "channels are opened and never announced, so that they count for no peer",
    },
    Attack {
        name: "one-peer-holds-all",
        tier: "T0",
        tag: "peer-total",
        end: Closed,
        line: "more channels are announced with one peer than it may have",
    },
    Attack {
        name: "peer-that-is-not-listed",
        tier: "T0",
        tag: "peer-listed",
        end: Closed,
        line: "a channel is announced with a node that is not on the list of peers",
    },
    Attack {
        name: "paid-through-an-unlisted-peer",
        tier: "T0",
        tag: "peer-listed",
        end: Closed,
        line: "balance goes out on a channel that was announced before its peer left the list",
    },
    Attack {
        name: "peers-made-up",
        tier: "T0",
        tag: "channels-total",
        end: Bounded(
            "`channels-total`: the names are lnd's word, and the attacker gives each channel another",
        ),
        line: "each channel is announced with a peer that nobody has heard of",
    },
];

/// A node of the attacker's choice.
fn somebody(n: u8) -> Result<PublicKey> {
    Ok(SecretKey::from_slice(&[n; 32])?.public_key(&Secp256k1::new()))
}

/// The channel_announcement of `ours`, nodes and keys in their order, for the key {0/index} to sign.
fn announcement(ours: [PublicKey; 2], theirs: [PublicKey; 2], index: u32) -> Result<SignMessageReq> {
    let mut sides = [ours, theirs].map(|side| side.map(|key| key.serialize()));
    sides.sort_unstable();
    let mut msg = vec![0, 0];
    msg.extend(hex::decode("06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f")?);
    msg.extend([0, 0, 1, 0, 0, 1, 0, 0]);
    for key in [sides[0][0], sides[1][0], sides[0][1], sides[1][1]] {
        msg.extend(key);
    }
    let key_loc = Some(KeyLocator { key_family: 0, key_index: i32::try_from(index)? });
    Ok(SignMessageReq { msg, key_loc, double_hash: true, ..Default::default() })
}

/// As lnd asks for it, for the made-up channel with our key {0/index}.
fn honest(a: &Attacker, index: u32, peer: PublicKey) -> Result<SignMessageReq> {
    announcement([a.keys.channel(6, 0)?, a.keys.channel(0, index)?], [peer, peer_key()?], index)
}

fn announce(a: &Attacker, index: u32, peer: PublicKey) -> Result<Answer> {
    a.ask(SIGN_MESSAGE, &honest(a, index, peer)?.encode_to_vec())
}

fn announced(a: &Attacker, index: u32, peer: PublicKey) -> Result<()> {
    let answer = announce(a, index, peer)?;
    ensure!(answer.code == OK, "the announcement of channel {index}: {}", answer.message);
    Ok(())
}

/// Opens a channel of the peer's making; the answer to its first commitment.
fn open(a: &Attacker, index: u32) -> Result<Answer> {
    reserve(a, index)?;
    a.sign(&commitment_zero(&a.keys, index, invented(&format!("peer {index}")), 5_000_000, 0)?)
}

pub fn run(score: &mut Score, dir: &Path) -> Result<()> {
    let policy = PolicyChoice::cautious()
        .set("channels.max_total_sat", 50_000_000)
        .set("channels.max_per_peer_sat", 12_000_000)
        .set("channels.max_unnamed_sat", 12_000_000);
    let mut daemon = Strongroomd::start(&dir.join("peers"), &policy, None)?;
    let mut a = Attacker::of(&daemon)?;
    let mut live = fictional(&a, 1, 5_000_000)?;
    let (bob, carol) = (somebody(0x0b)?, somebody(0x0c)?);

    score.case("announcement-of-another-channel", |row| {
        let (node, key) = (a.keys.channel(6, 0)?, a.keys.channel(0, 1)?);
        let wrong = [
            announcement([node, a.keys.channel(0, 2)?], [bob, key], 1)?,
            announcement([node, key], [bob, bob], 1)?,
            announcement([carol, key], [bob, peer_key()?], 1)?,
        ];
        wrong.iter().try_for_each(|request| a.refused_call(row, "", SIGN_MESSAGE, request))
    });
    score.case("announcement-of-no-channel", |row| {
        a.refused_call(row, "belongs to no channel", SIGN_MESSAGE, &honest(&a, 77, bob)?)
    });
    announced(&a, 1, bob)?;
    daemon.restart_under(&policy)?;
    a.reconnect()?;
    score.case("peer-named-anew", |row| {
        announced(&a, 1, bob)?;
        a.refused_call(row, &format!("{bob}, as before"), SIGN_MESSAGE, &honest(&a, 1, carol)?)
    });
    score.case("channels-never-announced", |row| {
        for index in [2, 3] {
            ensure!(open(&a, index)?.code == OK, "channel {index} is not opened");
        }
        a.refused_with(row, "", || open(&a, 4))
    });
    score.case("one-peer-holds-all", |row| {
        announced(&a, 2, bob)?;
        a.refused_call(row, "", SIGN_MESSAGE, &honest(&a, 3, bob)?)?;
        announced(&a, 3, carol)
    });
    let shown: serde_json::Value = serde_json::from_str(&a.cli(&["channels"])?)?;
    let peers = shown["channels"].as_array().context("no channels")?.iter().map(|c| c["peer"].as_str());
    let with_bob = peers.filter(|peer| *peer == Some(bob.to_string().as_str())).count();
    ensure!(with_bob == 2, "{with_bob} channels are shown with bob");

    let list = format!("[\"{carol}\"]");
    let listed = policy.clone().set("peers.mode", "\"listed\"").set("peers.listed", list);
    daemon.restart_under(&listed)?;
    a.reconnect()?;
    score.case("peer-that-is-not-listed", |row| {
        ensure!(open(&a, 5)?.code == OK, "channel 5 is not opened");
        a.refused_call(row, "", SIGN_MESSAGE, &honest(&a, 5, bob)?)?;
        announced(&a, 5, carol)
    });
    score.case("paid-through-an-unlisted-peer", |row| {
        let mut draft = live.next()?;
        draft.give(1_000)?;
        a.refused_commitment(row, &bob.to_string(), &draft)
    });
    daemon.restart_under(&policy)?;
    a.reconnect()?;
    score.case("peers-made-up", |row| {
        // Five million in each of 1, 2, 3 and 5 already.
        let mut total = 20_000_000;
        for index in 10..30 {
            let answer = open(&a, index)?;
            if answer.code != OK {
                row.is_refused(&answer, "")?;
                ensure!((45_000_001..=50_000_000).contains(&total), "{total} sat in channels");
                return Ok(());
            }
            announced(&a, index, somebody(u8::try_from(index)? + 0x20)?)?;
            total += 5_000_000;
        }
        anyhow::bail!("{total} sat in channels and nothing was refused")
    });
    a.still_signs(&mut live)
}
