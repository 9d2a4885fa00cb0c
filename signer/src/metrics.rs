//! Prometheus metrics. Names begin with `strongroom_`; nothing here is secret, amounts included.

use bitcoin::Amount;
use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use strongroom_policy::Kind;

use crate::journal::{BooksReport, CHAIN_STATES, ChainReport};

/// All metrics of the daemon.
pub struct Metrics {
    registry: Registry,
    /// Decisions by node, operation, kind and verdict.
    pub decisions: IntCounterVec,
    /// Violations by rule and mode (`enforce`, `observe`).
    pub violations: IntCounterVec,
    /// Requests refused before a decision, by reason.
    pub turned_away: IntCounterVec,
    /// Seconds from request to decision's record.
    pub decide_seconds: Histogram,
    /// Seconds of one durable flush.
    pub flush_seconds: Histogram,
    /// Decisions made durable by one flush.
    pub flush_group: Histogram,
    /// Commitments withheld until HTLC requests explained them, or for too long.
    pub withheld: IntCounter,
    /// Questions answered beforehand, by answer: `allowed`, `turned-down`, or `refused` where the question itself was.
    pub preflights: IntCounterVec,
    /// 1 while keys are open.
    pub unsealed: IntGauge,
    /// Heartbeats of the token that failed.
    pub token_failures: IntCounter,
    /// Leaves in the journal.
    pub journal_size: IntGauge,
    /// Rules that only observe: 1 for each.
    pub observed_rules: IntGaugeVec,
    /// Paid out in the rolling window, sat, by node.
    pub outflow_sat: IntGaugeVec,
    /// Open channels, by node and tier.
    pub channels: IntGaugeVec,
    /// Known channel capacity, sat, by node: what a colluding peer could take at most.
    pub channels_sat: IntGaugeVec,
    /// Capacity of channels whose peer is not known.
    pub unnamed_sat: IntGaugeVec,
    /// What is ours in channels, by the peer that their announcement named: the largest, `other`, and `not announced`.
    pub peer_exposure_sat: IntGaugeVec,
    /// All that is ours in channels.
    pub exposure_sat: IntGaugeVec,
    /// Of that, what every commitment ever signed would pay.
    pub guaranteed_sat: IntGaugeVec,
    /// Forwards not proven settled.
    pub provisional_sat: IntGaugeVec,
    /// Incoming HTLCs whose claim is overdue: number.
    pub claims_overdue: IntGaugeVec,
    /// Claims of money in channels that were refused and not signed since, by node and kind.
    pub refused_closing: IntGaugeVec,
    /// Open channels with which lnd went on without this signer.
    pub channels_behind: IntGaugeVec,
    /// HTLCs without authorisation in the window.
    pub unauthorized_sat: IntGaugeVec,
    /// Balance gone without an HTLC in the window.
    pub unexplained_sat: IntGaugeVec,
    /// Height of the chain followed; 0 while there is none.
    pub chain_height: IntGauge,
    /// Seconds since the time in the tip.
    pub chain_tip_age: IntGauge,
    /// 1 for the state that the chain is in, 0 for all others.
    pub chain_state: IntGaugeVec,
    /// Reorganisations followed.
    pub chain_reorganisations: IntCounter,
    /// HTLC deadlines that came near with nothing signed.
    pub deadlines_near: IntCounter,
}

impl Metrics {
    /// Registers every metric.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let gauge = |name: &str, help: &str| {
            let metric = IntGauge::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let histogram = |name: &str, help: &str, buckets: Vec<f64>| {
            let metric = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets))?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        let seconds = || vec![0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 3.0];
        let counter = |name: &str, help: &str| {
            let metric = IntCounter::new(name, help)?;
            registry.register(Box::new(metric.clone()))?;
            Ok::<_, prometheus::Error>(metric)
        };
        Ok(Self {
            decisions: counters(
                "strongroom_decisions_total",
                "decisions by node, operation, kind and verdict",
                &["node", "operation", "kind", "verdict"],
            )?,
            violations: counters("strongroom_violations_total", "rules broken", &["rule", "mode"])?,
            turned_away: counters(
                "strongroom_turned_away_total",
                "requests refused before a decision",
                &["reason"],
            )?,
            decide_seconds: histogram(
                "strongroom_decide_seconds",
                "from request to recorded decision",
                seconds(),
            )?,
            flush_seconds: histogram("strongroom_flush_seconds", "one durable flush", seconds())?,
            flush_group: histogram(
                "strongroom_flush_group",
                "decisions made durable by one flush",
                vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0],
            )?,
            unsealed: gauge("strongroom_unsealed", "1 while keys are open")?,
            withheld: counter(
                "strongroom_withheld_total",
                "commitments withheld until HTLC requests explained them, or for too long",
            )?,
            preflights: counters(
                "strongroom_preflights_total",
                "questions of companions, by what they were told",
                &["node", "answer"],
            )?,
            token_failures: counter(
                "strongroom_token_failures_total",
                "heartbeats of the PKCS#11 token that failed",
            )?,
            journal_size: gauge("strongroom_journal_leaves", "leaves in the journal")?,
            observed_rules: gauges("strongroom_observed_rule", "rules that only observe", &["rule"])?,
            outflow_sat: gauges("strongroom_outflow_sat", "paid out in the rolling window", &["node"])?,
            channels: gauges(
                "strongroom_channels",
                "open channels, by what the checks on them rest on",
                &["node", "tier"],
            )?,
            channels_sat: gauges("strongroom_channels_sat", "known channel capacity", &["node"])?,
            unnamed_sat: gauges(
                "strongroom_unnamed_channels_sat",
                "capacity of channels whose peer no announcement named",
                &["node"],
            )?,
            peer_exposure_sat: gauges(
                "strongroom_peer_exposure_sat",
                "what is ours in channels, by the peer that lnd named",
                &["node", "peer"],
            )?,
            exposure_sat: gauges("strongroom_exposure_sat", "all that is ours in channels", &["node"])?,
            guaranteed_sat: gauges(
                "strongroom_guaranteed_sat",
                "what every commitment ever signed would pay us",
                &["node"],
            )?,
            provisional_sat: gauges("strongroom_provisional_sat", "forwards not proven settled", &["node"])?,
            claims_overdue: gauges("strongroom_claims_overdue", "HTLCs not claimed in time", &["node"])?,
            refused_closing: gauges(
                "strongroom_refused_closing",
                "closes, claims and sweeps that were refused and not signed since",
                &["node", "kind"],
            )?,
            channels_behind: gauges(
                "strongroom_channels_behind",
                "open channels with which lnd went on without this signer",
                &["node"],
            )?,
            unauthorized_sat: gauges(
                "strongroom_unauthorized_sat",
                "HTLCs without authorisation in the rolling window",
                &["node"],
            )?,
            unexplained_sat: gauges(
                "strongroom_unexplained_sat",
                "channel balance gone without an HTLC in the rolling window",
                &["node"],
            )?,
            chain_height: gauge("strongroom_chain_height", "height of the chain followed")?,
            chain_tip_age: gauge("strongroom_chain_tip_age_seconds", "since the time in the tip")?,
            chain_state: gauges("strongroom_chain_state", "1 for the state the chain is in", &["state"])?,
            chain_reorganisations: counter("strongroom_chain_reorganisations_total", "branches followed")?,
            deadlines_near: counter(
                "strongroom_deadlines_near_total",
                "HTLC deadlines that came near with nothing signed",
            )?,
            registry,
        })
    }

    /// Sets what is told of the chain at `now`, Unix seconds.
    pub fn set_chain(&self, chain: &ChainReport, now: u64) {
        for state in CHAIN_STATES {
            self.chain_state.with_label_values(&[state]).set(i64::from(state == chain.state));
        }
        if let Some(tip) = chain.tip {
            self.chain_height.set(i64::from(tip.height));
            let age = now.saturating_sub(u64::from(tip.time));
            self.chain_tip_age.set(i64::try_from(age).unwrap_or(i64::MAX));
        }
    }

    /// Sets what is told of the nodes' books.
    pub fn set_books(&self, all: &[BooksReport]) {
        // Peers come and go: what is no longer told of must not stand for ever.
        self.peer_exposure_sat.reset();
        for books in all {
            self.set_node(books);
            for (peer, amount) in books.largest_peers() {
                let sat = i64::try_from(amount.to_sat()).unwrap_or(i64::MAX);
                self.peer_exposure_sat.with_label_values(&[books.node.as_str(), &peer]).set(sat);
            }
        }
    }

    fn set_node(&self, books: &BooksReport) {
        let sat = |a: Amount| i64::try_from(a.to_sat()).unwrap_or(i64::MAX);
        let node = [books.node.as_str()];
        self.channels.with_label_values(&[node[0], books.tier.as_str()]).set(i64::from(books.channels));
        self.channels_behind.with_label_values(&[node[0]]).set(i64::from(books.behind));
        for kind in Kind::CLOSING {
            let count = books.refused_claims.iter().filter(|claim| claim.kind == kind.as_str()).count();
            let gauge = self.refused_closing.with_label_values(&[node[0], kind.as_str()]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.outflow_sat.with_label_values(&node).set(sat(books.outflow));
        self.channels_sat.with_label_values(&node).set(sat(books.channels_total));
        self.unnamed_sat.with_label_values(&node).set(sat(books.unnamed));
        self.exposure_sat.with_label_values(&node).set(sat(books.exposure));
        self.guaranteed_sat.with_label_values(&node).set(sat(books.guaranteed));
        self.provisional_sat.with_label_values(&node).set(sat(books.provisional.0));
        self.unauthorized_sat.with_label_values(&node).set(sat(books.unauthorized.0));
        self.unexplained_sat.with_label_values(&node).set(sat(books.unexplained.0));
    }

    /// The text format that Prometheus scrapes.
    pub fn render(&self) -> Vec<u8> {
        let mut out = Vec::new();
        if let Err(e) = TextEncoder::new().encode(&self.registry.gather(), &mut out) {
            tracing::error!(error = %e, "metrics cannot be written");
        }
        out
    }
}
