//! What the signer says of itself meanwhile: refusals in the journal, gauges at their peak.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Soak;
use crate::strongroomd::Strongroomd;

/// Figures of the whole run, over the daemon's restarts.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) approved: u64,
    pub(super) refused: u64,
    pub(super) peak_provisional: u64,
    pub(super) unexplained: u64,
    pub(super) withheld: u64,
    /// Counters of daemons that have ended, and of the one that runs.
    ended: [u64; 3],
    running: [u64; 3],
}

/// Looks at the daemon's metrics until dropped.
pub(super) struct Watch {
    figures: Arc<Mutex<Figures>>,
    stop: Arc<AtomicBool>,
    port: u16,
    /// Leaves looked at.
    seen: u64,
}

impl Watch {
    pub(super) fn start(daemon: &Strongroomd) -> Self {
        let watch =
            Self { figures: Arc::default(), stop: Arc::default(), port: daemon.metrics_port(), seen: 0 };
        let (figures, stop, port) = (watch.figures.clone(), watch.stop.clone(), watch.port);
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                // Unreachable while the daemon is stopped.
                if let Ok(text) = scrape(port) {
                    figures.lock().unwrap_or_else(PoisonError::into_inner).take(&text);
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        watch
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Figures {
    fn take(&mut self, text: &str) {
        let sum = |name: &str, label: &str| -> u64 {
            let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum::<f64>() as u64
        };
        self.peak_provisional = self.peak_provisional.max(sum("strongroom_provisional_sat{", ""));
        self.unexplained = self.unexplained.max(sum("strongroom_unexplained_sat{", ""));
        let now = [
            sum("strongroom_decisions_total{", "verdict=\"approved\""),
            sum("strongroom_decisions_total{", "verdict=\"refused\""),
            sum("strongroom_withheld_total", ""),
        ];
        if now.iter().zip(&self.running).any(|(now, before)| now < before) {
            // Another daemon, which began to count anew.
            self.ended.iter_mut().zip(self.running).for_each(|(ended, running)| *ended += running);
        }
        self.running = now;
        let all = |at: usize| self.ended[at] + self.running[at];
        (self.approved, self.refused, self.withheld) = (all(0), all(1), all(2));
    }
}

fn scrape(port: u16) -> Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

impl Soak<'_> {
    /// Reads the leaves written since it was last called; an error names the first refusals among them.
    pub(super) fn check_refusals(&mut self) -> Result<()> {
        let (Some(watch), Some(daemon)) = (&mut self.watch, super::daemon(&mut self.net)) else {
            return Ok(());
        };
        let seen = watch.seen;
        let size = daemon.status()?["journal_size"].as_u64().context("status without journal_size")?;
        let leaves = daemon.journal_leaves(u32::try_from(size - seen)?)?;
        let refused: Vec<&Value> = leaves.iter().filter(|leaf| is_refusal(&leaf["event"])).collect();
        let first: Vec<String> = refused.iter().take(3).map(|leaf| leaf.to_string()).collect();
        ensure!(refused.is_empty(), "{} refusals of honest work:\n{}", refused.len(), first.join("\n"));
        watch.seen = size;
        Ok(())
    }

    /// Approved requests of this kind among the last `leaves`, with the ids of their transactions.
    pub(super) fn approved(&mut self, kind: &str, leaves: u32) -> Result<Vec<String>> {
        let daemon = super::daemon(&mut self.net).context("lnd's signer keeps no journal")?;
        let leaves = daemon.journal_leaves(leaves)?;
        let decisions = leaves.iter().map(|leaf| &leaf["event"]["decision"]);
        let of_kind = decisions.filter(|decision| {
            decision["what"]["spend"]["kind"] == kind && decision["verdict"].get("approved").is_some()
        });
        Ok(of_kind.filter_map(|d| d["what"]["spend"]["txid"].as_str().map(str::to_owned)).collect())
    }

    pub(super) fn figures(&mut self) -> Result<Figures> {
        let Some(watch) = &self.watch else { return Ok(Figures::default()) };
        let mut figures = watch.figures.lock().unwrap_or_else(PoisonError::into_inner);
        figures.take(&scrape(watch.port)?);
        Ok(figures.clone())
    }
}

fn is_refusal(event: &Value) -> bool {
    event["decision"]["verdict"].get("refused").is_some()
        || event["gossip"]["refused"].as_array().is_some_and(|tallies| !tallies.is_empty())
}
