//! The table of attacks, and the score of a run.

use std::collections::BTreeSet;
use std::sync::Mutex;

use anyhow::{Context, Result, bail, ensure};
use strongroom_tests::grpc::{Answer, INVALID_ARGUMENT, OK, PERMISSION_DENIED};

/// How an attack ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Refused.
    Closed,
    /// Succeeds up to a limit.
    Bounded(&'static str),
    /// Succeeds, and no limit of the signer's own holds it.
    NotEnforceable(&'static str),
}

/// One attack.
#[derive(Debug)]
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// What it needs to know of the channel: T0 what requests show; see design tiers in ATTACKS.md.
    pub tier: &'static str,
    /// The rules that refuse it, or bound it; `malformed` where the request is not even read.
    pub tag: &'static str,
    /// How it ends.
    pub end: End,
    /// What the attacker does.
    pub line: &'static str,
}

impl Attack {
    /// The answer is a refusal that names every tag and `says`, and carries no signature.
    pub fn is_refused(&self, answer: &Answer, says: &str) -> Result<()> {
        let malformed = self.tag == "malformed";
        let code = if malformed { INVALID_ARGUMENT } else { PERMISSION_DENIED };
        ensure!(answer.code != OK, "signed; expected a refusal naming {}", self.tag);
        ensure!(answer.code == code, "code {}: {}", answer.code, answer.message);
        ensure!(answer.body.is_empty(), "a refusal with a body of {} bytes", answer.body.len());
        for tag in self.tag.split(", ") {
            ensure!(answer.message.contains(tag), "not refused by {tag}: {}", answer.message);
        }
        ensure!(answer.message.contains(says), "does not say {says:?}: {}", answer.message);
        Ok(())
    }
}

/// Every group's rows.
pub fn groups() -> Vec<(&'static str, &'static [Attack])> {
    vec![
        ("Commitments", crate::commitments::ROWS),
        ("HTLC transactions", crate::htlcs::ROWS),
        ("Payments and forwards", crate::payments::ROWS),
        ("Closing", crate::closing::ROWS),
        ("Sweeps", crate::sweeps::ROWS),
        ("The way out as a way in", crate::way_out::ROWS),
        ("Claims and addresses", crate::claims::ROWS),
        ("Wallet and fundings", crate::wallet::ROWS),
        ("Messages and shared secrets", crate::secrets::ROWS),
        ("MuSig2", crate::musig2::ROWS),
        ("Two nodes, old copies, floods", crate::surroundings::ROWS),
        ("Peers", crate::peers::ROWS),
        ("What no check of requests can hold", crate::bounds::ROWS),
    ]
}

/// What a group's run came to.
pub struct Score {
    group: &'static str,
    rows: &'static [Attack],
    ran: BTreeSet<&'static str>,
    failures: Vec<String>,
}

/// Refused and bounded over all groups that ran to their end.
static TOTAL: Mutex<(usize, usize)> = Mutex::new((0, 0));

impl Score {
    pub fn new(group: &'static str, rows: &'static [Attack]) -> Self {
        Self { group, rows, ran: BTreeSet::new(), failures: Vec::new() }
    }

    /// Runs one attack of the table.
    pub fn case(&mut self, name: &str, run: impl FnOnce(&'static Attack) -> Result<()>) {
        let Some(row) = self.rows.iter().find(|row| row.name == name) else {
            self.failures.push(format!("{name}: not in the table of {}", self.group));
            return;
        };
        self.ran.insert(row.name);
        let began = std::time::Instant::now();
        match run(row) {
            Ok(()) => eprintln!("attacks: {name}: {:?}, {} ms", row.end, began.elapsed().as_millis()),
            Err(error) => {
                eprintln!("attacks: {name}: FAILED: {error:#}");
                self.failures.push(format!("{name}: {error:#}"));
            }
        }
    }

    /// Every row was run and ended as the table says.
    pub fn finish(mut self) -> Result<()> {
        let missing = self.rows.iter().filter(|row| !self.ran.contains(row.name));
        self.failures.extend(missing.map(|row| format!("{}: not run", row.name)));
        if !self.failures.is_empty() {
            bail!("{}:\n  {}", self.group, self.failures.join("\n  "));
        }
        let closed = self.rows.iter().filter(|row| row.end == End::Closed).count();
        let mut total = TOTAL.lock().ok().context("a group panicked")?;
        total.0 += closed;
        total.1 += self.rows.len() - closed;
        eprintln!("attacks: {}: {closed} refused by name, {} bounded", self.group, self.rows.len() - closed);
        Ok(())
    }
}

/// Refused and bounded so far.
pub fn total() -> (usize, usize) {
    TOTAL.lock().map(|total| *total).unwrap_or_default()
}
