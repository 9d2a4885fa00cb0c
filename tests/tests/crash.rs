//! kill -9 under load: after every restart no signature exists without its leaf, nothing is counted
//! short, and what was signed before is signed again with the same bytes.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bitcoin::Psbt;
use bytes::Bytes;
use rand::Rng;
use serde_json::Value;
use strongroom_tests::clock::until_true;
use strongroom_tests::grpc::Channel;
use strongroom_tests::lnd::SignerEndpoint;
use strongroom_tests::load::{CHANNELS, Operation, RequestSource, sign_psbt, wallet_spend};
use strongroom_tests::signer::TEST_MASTER_KEY;
use strongroom_tests::softhsm::SoftHsm;
use strongroom_tests::strongroomd::{Launch, PolicyChoice, Strongroomd};
use strongroom_tests::workdir::Workdir;

const CONNECTIONS: usize = 8;
const KILLS_AT_RANDOM: usize = 90;
/// Steps of the line (their names are the daemon's), each killed at several passages.
const STEPS: [&str; 4] = ["recorded", "decided", "signed", "durable"];
const PASSAGES: [u64; 5] = [1, 2, 7, 40, 150];

/// Requests asked so far on each connection. Connection c asks requests c, c + 8, c + 16 …, so that a Lightning
/// channel's commitments stay in order.
type Progress = [AtomicUsize; CONNECTIONS];

/// An answered request: index in the list, and the answer's bytes.
type Answered = HashMap<usize, Bytes>;

/// One appliance, the requests it is asked, and what it answered over all its lives.
struct Trial {
    daemon: Strongroomd,
    requests: Arc<Vec<Bytes>>,
    next: Arc<Progress>,
    answered: Answered,
    kills: usize,
}

/// Every fourth request pays this much to a stranger: the allowance must not fall behind.
const PAYS_SAT: u64 = 1_000;

fn pays(index: usize) -> bool {
    index.is_multiple_of(4)
}

fn policy() -> PolicyChoice {
    PolicyChoice::cautious()
        .set("channels.max_total_sat", 1_000_000_000)
        .set("channels.max_unnamed_sat", 1_000_000_000)
        .set("outflow.max_in_window_sat", 1_000_000_000_000u64)
        .set("fees.wallet.max_in_window_sat", 1_000_000_000_000u64)
        .set("fees.closing.max_in_window_sat", 1_000_000_000_000u64)
}

impl Trial {
    fn begin(dir: &Path, launch: Launch, requests: usize) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let token = SoftHsm::create(&dir.join("token"), "strongroom")?;
        let daemon = Strongroomd::start_empty(dir, &policy(), token, launch)?;
        daemon.add_alice(Some(TEST_MASTER_KEY))?;
        let mut source = RequestSource::new(&daemon.accounts()?)?;
        let mut trial = Self {
            daemon,
            requests: Arc::default(),
            next: Arc::default(),
            answered: HashMap::new(),
            kills: 0,
        };
        let preface = source.preface()?;
        let endpoint = trial.daemon.endpoint();
        runtime()?.block_on(async {
            let channel = Channel::to_signer(&endpoint).await?;
            for (method, request) in preface {
                let answer = channel.call_framed(method, request).await?;
                ensure!(answer.code == 0, "preface: {}", answer.message);
            }
            Ok(())
        })?;
        let accounts = trial.daemon.accounts()?;
        let commitments = source.commitments(requests)?;
        trial.requests = commitments
            .iter()
            .enumerate()
            .map(|(index, commitment)| match pays(index) {
                true => Ok(sign_psbt(&wallet_spend(&accounts, u32::try_from(index)?, PAYS_SAT)?)),
                false => Ok(commitment.clone()),
            })
            .collect::<Result<Vec<_>>>()?
            .into();
        Ok(trial)
    }

    /// Loads the daemon from all connections until `stop` has passed or it is gone.
    fn load(&mut self, stop: Duration) -> Result<()> {
        let answered = Arc::new(Mutex::new(Answered::new()));
        let load = |connection| Load {
            endpoint: self.daemon.endpoint(),
            requests: self.requests.clone(),
            connection,
            next: self.next.clone(),
            answered: answered.clone(),
        };
        let loads: Vec<_> = (0..CONNECTIONS).map(load).collect();
        runtime()?.block_on(async {
            let tasks: Vec<_> = loads.into_iter().map(|load| tokio::spawn(load.run())).collect();
            tokio::time::sleep(stop).await;
            let _ = self.daemon.process().kill();
            for task in tasks {
                task.await.context("a load task panicked")??;
            }
            Ok::<_, anyhow::Error>(())
        })?;
        let answered = std::mem::take(&mut *answered.lock().map_err(|_| anyhow!("a load task panicked"))?);
        self.answered.extend(answered);
        self.kills += 1;
        Ok(())
    }

    /// Starts the daemon again and asks `sample` requests of those answered before: same bytes. What
    /// was asked and lost its answer in the kill gets one now: the same decision.
    fn come_back(&mut self, sample: usize) -> Result<()> {
        self.daemon.start_again()?;
        let paid = PAYS_SAT * self.answered.keys().filter(|index| pays(**index)).count() as u64;
        let node = self.daemon.status()?["nodes"][0].clone();
        let charged = node["outflow_sat"].as_u64().context("status without outflow_sat")?;
        ensure!(charged >= paid, "{paid} sat were signed away, {charged} sat are charged");
        ensure!(node["channels"] == CHANNELS, "{} channels are known, not {CHANNELS}", node["channels"]);
        let endpoint = self.daemon.endpoint();
        let mut asked: Vec<_> = self.answered.iter().collect();
        asked.sort_by_key(|(index, _)| std::cmp::Reverse(**index));
        runtime()?.block_on(async {
            let channel = Channel::to_signer(&endpoint).await?;
            for (index, before) in asked.into_iter().take(sample) {
                let request = self.requests[*index].clone();
                let again = channel.call_framed(Operation::SignCommitment.method(), request).await?;
                ensure!(
                    again.code == 0,
                    "request {index} was signed before the kill, now: {}",
                    again.message
                );
                ensure!(again.body == *before, "request {index} has other bytes after the kill");
            }
            Ok::<_, anyhow::Error>(())
        })?;
        // At most one of each connection's is in flight when the daemon dies.
        let lost: Vec<_> = (0..CONNECTIONS)
            .filter_map(|connection| {
                let asked = self.next[connection].load(Ordering::Relaxed);
                Some(connection + CONNECTIONS * asked.checked_sub(1)?)
            })
            .filter(|index| !self.answered.contains_key(index))
            .collect();
        runtime()?.block_on(async {
            let channel = Channel::to_signer(&endpoint).await?;
            for index in lost {
                let request = self.requests.get(index).context("too few requests were made")?.clone();
                let again = channel.call_framed(Operation::SignCommitment.method(), request).await?;
                ensure!(
                    again.code == 0,
                    "request {index}, lost in the kill, is now refused: {}",
                    again.message
                );
                self.answered.insert(index, again.body);
            }
            Ok(())
        })
    }

    /// Every signature ever given has its leaf in a journal that verifies.
    fn every_signature_has_its_leaf(&self) -> Result<usize> {
        let file = self.daemon.dir().join(format!("export-{}.jsonl", self.kills));
        let path = file.display().to_string();
        self.daemon.cli(&["journal", "export", &path], None)?;
        self.daemon.cli(&["journal", "verify", &path], None)?;
        let mut recorded = HashSet::new();
        for line in std::fs::read_to_string(&file)?.lines() {
            let leaf: Value = serde_json::from_str(line)?;
            let decision = &leaf["event"]["decision"];
            if decision["verdict"].get("approved").is_some()
                && let Some(txid) = decision["what"]["spend"]["txid"].as_str()
            {
                recorded.insert(txid.to_owned());
            }
        }
        for index in self.answered.keys() {
            let txid = txid(&self.requests[*index])?;
            ensure!(
                recorded.contains(&txid),
                "request {index} was signed, its transaction {txid} is in no leaf"
            );
        }
        Ok(recorded.len())
    }
}

struct Load {
    endpoint: SignerEndpoint,
    requests: Arc<Vec<Bytes>>,
    connection: usize,
    next: Arc<Progress>,
    answered: Arc<Mutex<Answered>>,
}

impl Load {
    /// Asks until the connection breaks; an answer that is not OK is a fault of the daemon's.
    async fn run(self) -> Result<()> {
        let Ok(channel) = Channel::to_signer(&self.endpoint).await else {
            return Ok(());
        };
        loop {
            let asked = self.next[self.connection].fetch_add(1, Ordering::Relaxed);
            let index = self.connection + CONNECTIONS * asked;
            let request = self.requests.get(index).context("too few requests were made")?.clone();
            let Ok(answer) = channel.call_framed(Operation::SignCommitment.method(), request).await else {
                return Ok(());
            };
            ensure!(answer.code == 0, "request {index}: {}", answer.message);
            self.answered.lock().map_err(|_| anyhow!("a load task panicked"))?.insert(index, answer.body);
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}

/// The transaction of a framed SignPsbt request: gRPC head (5 bytes), field tag, length, PSBT.
fn txid(framed: &Bytes) -> Result<String> {
    let start = framed.windows(5).position(|w| w == b"psbt\xff").context("a request without a PSBT")?;
    Ok(Psbt::deserialize(&framed[start..])?.unsigned_tx.compute_txid().to_string())
}

#[test]
fn killed_at_random_under_load() -> Result<()> {
    Workdir::new("crash-random")?.run(|dir| {
        let mut trial = Trial::begin(&dir.join("appliance"), Launch::default(), 60_000)?;
        let mut rng = rand::thread_rng();
        for _ in 0..KILLS_AT_RANDOM {
            trial.load(Duration::from_millis(rng.gen_range(5..120)))?;
            trial.come_back(24)?;
        }
        let leaves = trial.every_signature_has_its_leaf()?;
        ensure!(
            trial.answered.len() > KILLS_AT_RANDOM,
            "only {} requests were answered",
            trial.answered.len()
        );
        eprintln!(
            "crash figures: {} kills at random, {} signatures, {leaves} leaves, none missing",
            trial.kills,
            trial.answered.len()
        );
        Ok(())
    })
}

#[test]
fn killed_at_each_step_of_the_line() -> Result<()> {
    let binary = fault_daemon()?;
    let mut kills = 0;
    let mut signatures = 0;
    for step in STEPS {
        Workdir::new(&format!("crash-{step}"))?.run(|dir| {
            let launch = Launch { binary: Some(binary.clone()), ..Launch::default() };
            let mut trial = Trial::begin(&dir.join("appliance"), launch, 6_000)?;
            for passage in PASSAGES {
                trial.daemon.process().stop(10)?;
                trial.daemon.launch_mut().env =
                    vec![("STRONGROOM_CRASH_AT".to_owned(), PathBuf::from(format!("{step}:{passage}")))];
                trial.daemon.start_again()?;
                // Ample: it kills itself long before.
                trial.load_until_gone()?;
                trial.daemon.launch_mut().env.clear();
                trial.come_back(64)?;
            }
            trial.every_signature_has_its_leaf()?;
            kills += trial.kills;
            signatures += trial.answered.len();
            Ok(())
        })?;
    }
    eprintln!("crash figures: {kills} kills at {} steps of the line, {signatures} signatures", STEPS.len());
    Ok(())
}

impl Trial {
    /// Loads a daemon that kills itself.
    fn load_until_gone(&mut self) -> Result<()> {
        let answered = Arc::new(Mutex::new(Answered::new()));
        let load = |connection| Load {
            endpoint: self.daemon.endpoint(),
            requests: self.requests.clone(),
            connection,
            next: self.next.clone(),
            answered: answered.clone(),
        };
        let loads: Vec<_> = (0..CONNECTIONS).map(load).collect();
        runtime()?.block_on(async {
            let tasks: Vec<_> = loads.into_iter().map(|load| tokio::spawn(load.run())).collect();
            for task in tasks {
                tokio::time::timeout(Duration::from_secs(30), task)
                    .await
                    .context("the daemon did not kill itself at the step named")?
                    .context("a load task panicked")??;
            }
            Ok::<_, anyhow::Error>(())
        })?;
        let process = self.daemon.process();
        until_true(10, "the daemon gone", || Ok(process.try_wait()?.is_some()))?;
        let answered = std::mem::take(&mut *answered.lock().map_err(|_| anyhow!("a load task panicked"))?);
        self.answered.extend(answered);
        self.kills += 1;
        Ok(())
    }
}

/// The daemon of `signer/tests/dying.rs`, which the `test` script names.
fn fault_daemon() -> Result<PathBuf> {
    let path =
        std::env::var_os("STRONGROOM_DYING").context("STRONGROOM_DYING is not set; run ./test crash")?;
    Ok(PathBuf::from(path))
}
