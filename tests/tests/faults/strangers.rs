//! Who has no good macaroon, or speaks no good TLS, gets nothing, is written down, and stops no one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http::HeaderMap;
use serde_json::Value;
use strongroom_tests::clock::{until, until_true};
use strongroom_tests::grpc::{Channel, INVALID_ARGUMENT, PERMISSION_DENIED, frame};
use strongroom_tests::strongroomd::{PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

use super::{Bed, SIGN_PSBT};

/// Tallies of requests turned away in the last leaves of the journal.
pub(crate) fn turned_away(daemon: &Strongroomd) -> Result<Vec<Value>> {
    let leaves = daemon.journal_leaves(500)?;
    let tallies = leaves.iter().filter_map(|leaf| leaf["event"]["turned-away"]["tallies"].as_array());
    Ok(tallies.flatten().cloned().collect())
}

#[test]
fn bad_macaroons_get_nothing_and_are_written_down() -> Result<()> {
    Workdir::new("faults-strangers")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let endpoint = bed.daemon.endpoint();
        let macaroon = std::fs::read(&endpoint.macaroon)?;
        let mut flipped = macaroon.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        let short = dir.join("expired.macaroon");
        let path = short.display().to_string();
        bed.daemon.cli(&["macaroon", "mint", "alice", "--out", &path, "--expires-in", "1s"], None)?;
        let revoked = dir.join("revoked.macaroon");
        let path = revoked.display().to_string();
        let minted = bed.daemon.cli(&["macaroon", "mint", "alice", "--out", &path], None)?;
        let id = minted["id"].as_str().context("mint without id")?.to_owned();
        bed.daemon.cli(&["macaroon", "revoke", &id], None)?;
        let elsewhere = Strongroomd::start(&dir.join("elsewhere"), &PolicyChoice::cautious(), None)?;
        let foreign = std::fs::read(elsewhere.endpoint().macaroon)?;
        drop(elsewhere);
        std::thread::sleep(Duration::from_millis(1_100));
        let named = format!("macaroon {id}");
        let cases = [
            ("no macaroon", None, "no macaroon", ""),
            ("not hex", Some("zz".to_owned()), "as hex", ""),
            ("not a macaroon", Some("00".repeat(40)), "not a macaroon", ""),
            ("a forged macaroon", Some(hex::encode(flipped)), "does not match", "alice/lnd, macaroon "),
            ("an expired one", Some(hex::encode(std::fs::read(short)?)), "expired", "alice/lnd, macaroon "),
            (
                "a revoked one",
                Some(hex::encode(std::fs::read(revoked)?)),
                "not known here, or revoked",
                &named,
            ),
            ("another signer's", Some(hex::encode(foreign)), "not known here, or revoked", ""),
        ];
        let requests = bed.source.commitments(cases.len())?;
        for ((what, macaroon, why, who), request) in cases.into_iter().zip(requests.iter()) {
            let mut metadata = HeaderMap::new();
            if let Some(macaroon) = macaroon {
                metadata.insert("macaroon", macaroon.parse()?);
            }
            let answer = bed.runtime.block_on(bed.good.call_with(SIGN_PSBT, metadata, request.clone()))?;
            ensure!(
                answer.code == PERMISSION_DENIED && answer.message.contains(why),
                "{what}: code {} {:?}; expected {PERMISSION_DENIED} naming {why:?}",
                answer.code,
                answer.message
            );
            until_true(5, &format!("{what}: written down"), || {
                Ok(turned_away(&bed.daemon)?.iter().any(|tally| {
                    let name = tally["who"].as_str().unwrap_or_default();
                    tally["why"].as_str().is_some_and(|text| text.contains(why))
                        && if who.is_empty() { name.is_empty() } else { name.contains(who) }
                        && tally["address"] == "127.0.0.1"
                }))
            })?;
            bed.still_signs().with_context(|| format!("after {what}"))?;
        }

        // Another node's macaroon is good, for that node's keys only.
        let out = dir.join("bob").display().to_string();
        bed.daemon.cli(&["node", "add", "bob", "--out", &out], None)?;
        let mut metadata = HeaderMap::new();
        metadata.insert("macaroon", hex::encode(std::fs::read(dir.join("bob/signer.macaroon"))?).parse()?);
        let requests = bed.source.commitments(1)?;
        let answer = bed.runtime.block_on(bed.good.call_with(SIGN_PSBT, metadata, requests[0].clone()))?;
        ensure!(
            answer.code == INVALID_ARGUMENT,
            "bob asks for alice's key: {} {}",
            answer.code,
            answer.message
        );
        until_true(5, "bob's refusal in the journal", || {
            Ok(bed.daemon.journal_leaves(5)?.iter().any(|leaf| {
                let decision = &leaf["event"]["decision"];
                decision["node"] == "bob" && decision["verdict"].get("refused").is_some()
            }))
        })?;
        bed.still_signs()
    })
}

#[test]
fn a_flood_of_strangers_is_counted_and_does_not_flood_the_journal() -> Result<()> {
    const REQUESTS: u64 = 3_000;
    Workdir::new("faults-stranger-flood")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let before = bed.daemon.status()?["journal_size"].as_u64().context("status without journal_size")?;
        let began = Instant::now();
        let mut metadata = HeaderMap::new();
        metadata.insert("macaroon", "00".parse()?);
        for n in 0..REQUESTS {
            let call = bed.good.call_with(SIGN_PSBT, metadata.clone(), frame(&[]));
            let answer = bed.runtime.block_on(call)?;
            ensure!(answer.code == PERMISSION_DENIED, "{n}: code {} {}", answer.code, answer.message);
        }
        let counted = || -> Result<u64> {
            Ok(turned_away(&bed.daemon)?.iter().filter_map(|tally| tally["requests"].as_u64()).sum())
        };
        until_true(5, "every request counted", || Ok(counted()? == REQUESTS))?;
        let after = bed.daemon.status()?["journal_size"].as_u64().context("status without journal_size")?;
        let seconds = began.elapsed().as_secs();
        ensure!(after - before <= seconds + 1, "{} leaves in {seconds} s", after - before);
        eprintln!("faults figures: {REQUESTS} strangers' requests in {} leaves", after - before);
        bed.still_signs()
    })
}

#[test]
fn an_oversized_request_is_refused_in_words_on_a_connection_that_lives_on() -> Result<()> {
    Workdir::new("faults-oversized")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let answer = bed.ask(SIGN_PSBT, &[0x0a; 5 << 20])?;
        ensure!(
            answer.code == INVALID_ARGUMENT
                && answer.message.contains("5242880")
                && answer.message.contains("4194304"),
            "5 MiB: code {} {:?}; expected {INVALID_ARGUMENT} naming size and limit",
            answer.code,
            answer.message
        );
        bed.still_signs()?;
        // Bytes that are no message of this call.
        let answer = bed.ask(SIGN_PSBT, &[0xff; 40])?;
        ensure!(
            answer.code == INVALID_ARGUMENT && answer.message.contains("malformed"),
            "no protobuf: code {} {:?}",
            answer.code,
            answer.message
        );
        bed.still_signs()
    })
}

/// What `openssl s_client ARGS` says of a handshake with `address`, and whether it succeeded.
fn openssl(address: &str, args: &[&str]) -> Result<(bool, String)> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", address, "-cipher", "ALL:@SECLEVEL=0", "-brief"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .context("run openssl (package openssl)")?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
}

#[test]
fn wrong_tls_is_closed_and_stops_no_one() -> Result<()> {
    Workdir::new("faults-tls")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let endpoint = bed.daemon.endpoint();
        // The same client, speaking well: what the others are refused for is what they change.
        for good in [["-tls1_2", "-alpn", "h2"], ["-tls1_3", "-alpn", "h2"]] {
            let (ok, text) = openssl(&endpoint.address, &good)?;
            ensure!(ok && text.contains("CONNECTION ESTABLISHED"), "{good:?}: {text}");
        }
        for wrong in [
            ["-tls1", "-alpn", "h2"],
            ["-tls1_1", "-alpn", "h2"],
            ["-tls1_2", "-alpn", "http/1.1"],
            ["-tls1_3", "-alpn", "http/1.1"],
        ] {
            let (ok, text) = openssl(&endpoint.address, &wrong)?;
            ensure!(
                !ok && text.contains("SSL alert number"),
                "{wrong:?}: {text}; expected the daemon's alert"
            );
            bed.still_signs().with_context(|| format!("after {wrong:?}"))?;
        }

        // A client that trusts another certificate turns away by itself.
        let elsewhere = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
        let other = dir.join("other.cert");
        std::fs::write(&other, elsewhere.cert.pem())?;
        let trusting = Channel::connect(&endpoint.address, &other, None);
        match bed.runtime.block_on(trusting) {
            Ok(_) => bail!("a client that trusts another certificate was served"),
            Err(error) => ensure!(format!("{error:#}").contains("not the pinned"), "{error:#}"),
        }
        bed.still_signs()?;

        // Plain text where TLS is spoken: closed, with no answer.
        let mut plain = TcpStream::connect(&endpoint.address)?;
        plain.set_read_timeout(Some(Duration::from_secs(20)))?;
        plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
        let mut answer = Vec::new();
        plain.read_to_end(&mut answer)?;
        ensure!(!answer.starts_with(b"HTTP"), "plain text was answered: {answer:?}");
        bed.still_signs()
    })
}

#[test]
fn half_open_connections_are_closed_in_time() -> Result<()> {
    Workdir::new("faults-half-open")?.run(|dir| {
        let mut bed = Bed::begin(dir)?;
        let endpoint = bed.daemon.endpoint();
        // Four times what the daemon gives a handshake.
        const HELD: Duration = Duration::from_secs(20);
        let began = Instant::now();
        // Silent; a handshake begun and left; a handshake that comes a byte a second.
        let silent = TcpStream::connect(&endpoint.address)?;
        let mut begun = TcpStream::connect(&endpoint.address)?;
        begun.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01])?;
        let mut dribbling = TcpStream::connect(&endpoint.address)?;
        let sender = dribbling.try_clone()?;
        let dribble = std::thread::spawn(move || {
            let mut sender = sender;
            // A record of 512 bytes would take over eight minutes.
            while sender.write_all(&[0x16]).is_ok() && began.elapsed() < 2 * HELD {
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        // Handshake done, nothing asked: an lnd's health check that forgot to leave.
        let mut idle = Command::new("openssl")
            .args(["s_client", "-connect", &endpoint.address, "-alpn", "h2", "-quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run openssl (package openssl)")?;
        for (what, mut stream) in [("silent", silent), ("begun", begun)] {
            stream.set_read_timeout(Some(HELD))?;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).with_context(|| format!("{what}: still open after {HELD:?}"))?;
        }
        dribbling.set_read_timeout(Some(HELD))?;
        let mut rest = [0; 64];
        // Closed with unread bytes, it may say so by a reset.
        match dribbling.read(&mut rest) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => bail!("dribbling: still open"),
            _ => {}
        }
        let handshakes = began.elapsed();
        let ended = until(14, "the idle connection is closed", || Ok(idle.try_wait()?));
        if ended.is_err() {
            idle.kill()?;
        }
        ended?;
        eprintln!(
            "faults figures: half-open handshakes closed after {} s, an unauthenticated connection after {} s",
            handshakes.as_secs(),
            began.elapsed().as_secs()
        );
        dribble.join().map_err(|_| anyhow::anyhow!("the dribbling thread panicked"))?;
        bed.still_signs()
    })
}
