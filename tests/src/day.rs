//! A node's day, the acceptance scenario: many payments each way, channels opened by both sides,
//! closed cooperatively and by force with HTLCs pending both ways, everything swept.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::lnd::{ChannelPoint, CommitmentType, Lnd};
use crate::network::{Network, Plan, pay_many, pend_htlc, short_id};

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Channels opened by each side; half of all are closed cooperatively, half by force.
    pub opens_each: usize,
    /// Payments each way.
    pub payments_each: usize,
    /// Payments in flight at once.
    pub parallel: usize,
    /// Force-closed channels that hold HTLCs both ways.
    pub with_htlcs: usize,
}

impl Size {
    /// What a release must stand: 20 opens, 1,000 payments each way, 10 and 10 closes.
    pub const ACCEPTANCE: Self = Self { opens_each: 10, payments_each: 1_000, parallel: 16, with_htlcs: 6 };
}

/// What was done, for the closing line.
#[derive(Clone, Debug)]
pub struct Report {
    opens: usize,
    payments_each: usize,
    out: Duration,
    back: Duration,
    cooperative: usize,
    forced: usize,
    htlcs: usize,
    blocks: u64,
    took: Duration,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |took: Duration| self.payments_each as f64 / took.as_secs_f64();
        write!(
            f,
            "{} opens, {} payments out at {:.0}/s and {} back at {:.0}/s, {} cooperative and {} force closes with {} HTLCs pending, \
             all swept after {} blocks, {:.0} s",
            self.opens,
            self.payments_each,
            rate(self.out),
            self.payments_each,
            rate(self.back),
            self.cooperative,
            self.forced,
            self.htlcs,
            self.blocks,
            self.took.as_secs_f64()
        )
    }
}

/// Runs the day in `dir` and hands the network over for questions. `say` is told the steps.
pub fn run(dir: &Path, plan: &Plan, size: Size, say: &mut dyn FnMut(&str)) -> Result<(Network, Report)> {
    let began = Instant::now();
    let net = Network::start(dir, plan)?;
    say("nodes are up");
    net.fund(&net.alice, 5, 20_000_000)?;
    net.fund(&net.bob, 5, 20_000_000)?;
    let n = size.opens_each;
    let ours = net.open(&net.alice, &net.bob, n, 3_000_000, 0, CommitmentType::Anchors)?;
    let theirs = net.open(&net.bob, &net.alice, n, 3_000_000, 0, CommitmentType::Anchors)?;
    say(&format!("{} channels are open", 2 * n));

    // Out through our channels and back through theirs: then both sides have a balance in each.
    let sat = 1_500;
    let through = short_ids(&net.alice, &ours)?;
    let out = pay_many(&net.alice, &net.bob, size.payments_each, sat, size.parallel, &through)?;
    let through = short_ids(&net.bob, &theirs)?;
    let back = pay_many(&net.bob, &net.alice, size.payments_each, sat, size.parallel, &through)?;
    say(&format!("{} payments each way are made", size.payments_each));

    let (ours_coop, ours_forced) = ours.split_at(n / 2);
    let (theirs_coop, theirs_forced) = theirs.split_at(n - n / 2);
    let coop: Vec<_> = ours_coop.iter().chain(theirs_coop).collect();
    for (turn, point) in coop.iter().enumerate() {
        either(&net, turn).close_channel(point, false)?;
    }
    net.mine(3)?;
    say(&format!("{} channels are closed cooperatively", coop.len()));

    let forced: Vec<_> = ours_forced.iter().chain(theirs_forced).collect();
    let mut settled_by_alice = Vec::new();
    let mut settled_by_bob = Vec::new();
    // Spread over channels of either opener and either closer.
    let stride = (forced.len() / size.with_htlcs.max(1)).max(1);
    let pending: Vec<_> = forced.iter().step_by(stride).take(size.with_htlcs).collect();
    for point in &pending {
        settled_by_alice.push(pend_htlc(&net.bob, &net.alice, point, 20_000)?);
        settled_by_bob.push(pend_htlc(&net.alice, &net.bob, point, 25_000)?);
        pend_htlc(&net.alice, &net.bob, point, 15_000)?;
        pend_htlc(&net.bob, &net.alice, point, 18_000)?;
    }
    let htlcs = 4 * pending.len();
    for (turn, point) in forced.iter().enumerate() {
        either(&net, turn).close_channel(point, true)?;
    }
    net.mine(1)?;
    say(&format!("{} channels are closed by force, {htlcs} HTLCs pending", forced.len()));

    for preimage in &settled_by_alice {
        net.alice.settle_invoice(preimage)?;
    }
    for preimage in &settled_by_bob {
        net.bob.settle_invoice(preimage)?;
    }
    let height = net.bitcoind.height()?;
    net.mine_until(250, "alice's channels closed and swept", |net| Network::all_closed(&net.alice))?;
    let blocks = net.bitcoind.height()? - height;
    say("all is swept");
    let report = Report {
        opens: 2 * n,
        payments_each: size.payments_each,
        out,
        back,
        cooperative: coop.len(),
        forced: forced.len(),
        htlcs,
        blocks,
        took: began.elapsed(),
    };
    check_closes(&net.alice, coop.len(), forced.len())?;
    Ok((net, report))
}

/// Alice and bob by turns.
fn either(net: &Network, turn: usize) -> &Lnd {
    if turn.is_multiple_of(2) { &net.alice } else { &net.bob }
}

fn short_ids(node: &Lnd, points: &[ChannelPoint]) -> Result<Vec<String>> {
    points.iter().map(|p| short_id(node, p)).collect()
}

/// lnd's own account of the closes must be ours; a breach or an abandoned channel must not hide.
fn check_closes(node: &Lnd, cooperative: usize, forced: usize) -> Result<()> {
    let closed = node.closed()?;
    let count =
        |kinds: &[&str]| closed.iter().filter(|c| kinds.iter().any(|kind| c["close_type"] == *kind)).count();
    let found = (count(&["COOPERATIVE_CLOSE"]), count(&["LOCAL_FORCE_CLOSE", "REMOTE_FORCE_CLOSE"]));
    ensure!(
        found == (cooperative, forced) && closed.len() == cooperative + forced,
        "closed: {found:?} of {}, not {cooperative} cooperative and {forced} by force",
        closed.len()
    );
    Ok(())
}
