//! The compromised lnd: alice's macaroon, alice's accounts, any request.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bitcoin::Psbt;
use prost::Message;
use serde_json::Value;
use strongroom_proto::walletrpc::{SignPsbtRequest, SignPsbtResponse};
use strongroom_tests::clock::{LND_WAITS, until_true};
use strongroom_tests::grpc::{Answer, Channel, OK};
use strongroom_tests::lnd::SignerEndpoint;
use strongroom_tests::strongroomd::{Strongroomd, run_cli};

use crate::forge::{Draft, Keys, Live};
use crate::table::Attack;

pub const SIGN_PSBT: &str = "/walletrpc.WalletKit/SignPsbt";

pub struct Attacker {
    runtime: tokio::runtime::Runtime,
    client: Channel,
    endpoint: SignerEndpoint,
    socket: String,
    pub keys: Keys,
}

impl Attacker {
    pub fn of(daemon: &Strongroomd) -> Result<Self> {
        Self::at(daemon, daemon.endpoint(), daemon.accounts()?)
    }

    /// With another node's macaroon and accounts.
    pub fn at(daemon: &Strongroomd, endpoint: SignerEndpoint, accounts: Value) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let client = runtime.block_on(Channel::to_signer(&endpoint))?;
        let socket = daemon.dir().join("operator.sock").display().to_string();
        Ok(Self { runtime, client, endpoint, socket, keys: Keys::new(accounts) })
    }

    /// After the daemon came back.
    pub fn reconnect(&mut self) -> Result<()> {
        self.client = self.runtime.block_on(Channel::to_signer(&self.endpoint))?;
        Ok(())
    }

    pub fn runtime(&self) -> &tokio::runtime::Runtime {
        &self.runtime
    }

    pub fn client(&self) -> Channel {
        self.client.clone()
    }

    pub fn endpoint(&self) -> &SignerEndpoint {
        &self.endpoint
    }

    pub fn ask(&self, method: &str, request: &[u8]) -> Result<Answer> {
        self.runtime.block_on(async {
            tokio::time::timeout(Duration::from_secs(6), self.client.call(method, request))
                .await
                .with_context(|| format!("{method}: no answer within 6 s"))?
        })
    }

    pub fn sign(&self, psbt: &Psbt) -> Result<Answer> {
        self.ask(SIGN_PSBT, &sign_request(psbt))
    }

    /// Signed, and the answer carries a signature.
    pub fn signed(&self, what: &str, psbt: &Psbt) -> Result<Vec<u8>> {
        let answer = self.sign(psbt)?;
        ensure!(answer.code == OK, "{what}: refused: {}", answer.message);
        let response = SignPsbtResponse::decode(answer.body)?;
        ensure!(!response.signed_inputs.is_empty(), "{what}: nothing was signed");
        Ok(response.signed_psbt.to_vec())
    }

    /// Asks for `count` signatures, 64 at a time; all of them are given.
    pub fn flood(&self, count: usize, request: impl Fn(usize) -> Psbt) -> Result<()> {
        for first in (0..count).step_by(64) {
            let asked = (first..count.min(first + 64)).map(|n| {
                let (client, request) = (self.client.clone(), sign_request(&request(n)));
                self.runtime.spawn(async move { client.call(SIGN_PSBT, &request).await })
            });
            for answer in asked.collect::<Vec<_>>() {
                let answer = self.runtime.block_on(answer)??;
                ensure!(answer.code == OK, "in the flood: refused: {}", answer.message);
            }
        }
        Ok(())
    }

    /// Asks for the HTLC transactions of a commitment, then for the commitment.
    pub fn commit(&self, draft: &Draft) -> Result<Answer> {
        for (n, htlc) in draft.htlc_requests()?.iter().enumerate() {
            self.signed(&format!("HTLC transaction {n}"), htlc)?;
        }
        self.sign(&draft.psbt)
    }

    /// The same, and it is signed and the channel goes on from there.
    pub fn advance(&self, live: &mut Live, draft: &Draft) -> Result<()> {
        let answer = self.commit(draft)?;
        ensure!(answer.code == OK, "commitment {} is refused: {}", draft.number, answer.message);
        live.accept(draft)
    }

    /// Honest work goes on: the next commitment of `live` is signed.
    pub fn still_signs(&self, live: &mut Live) -> Result<()> {
        let draft = live.next()?;
        self.advance(live, &draft).context("a good request")
    }

    pub fn cli(&self, args: &[&str]) -> Result<String> {
        let mut all = vec!["--socket", &self.socket, "--json"];
        all.extend(args);
        run_cli(&all, None)
    }

    pub fn status(&self) -> Result<Value> {
        Ok(serde_json::from_str(&self.cli(&["status"])?)?)
    }

    /// Leaves of the journal so far.
    fn journal_size(&self) -> Result<u64> {
        self.status()?["journal_size"].as_u64().context("status without journal_size")
    }

    /// The request is refused as the row says, nothing is signed, and the refusal is in the journal.
    pub fn refused_with(&self, row: &Attack, says: &str, ask: impl FnOnce() -> Result<Answer>) -> Result<()> {
        let before = self.journal_size()?;
        let began = Instant::now();
        let answer = ask()?;
        ensure!(began.elapsed() < LND_WAITS, "the answer took {:?}", began.elapsed());
        row.is_refused(&answer, says)?;
        until_true(5, "the refusal in the journal", || {
            let tail = self.cli(&["journal", "tail", "--last", "4"])?;
            let leaves = tail.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
            Ok(leaves.iter().any(|leaf| {
                leaf["index"].as_u64() >= Some(before)
                    && leaf["event"]["decision"]["verdict"].get("refused").is_some()
            }))
        })
    }

    /// The last approval is in the journal with what the row's rule tells.
    pub fn told_of(&self, row: &Attack) -> Result<()> {
        until_true(5, "what is told of in the journal", || {
            let tail = self.cli(&["journal", "tail", "--last", "4"])?;
            let leaves = tail.lines().map(serde_json::from_str::<Value>).collect::<Result<Vec<_>, _>>()?;
            Ok(leaves.iter().any(|leaf| leaf["event"]["decision"]["observed"].to_string().contains(row.tag)))
        })
    }

    pub fn refused(&self, row: &Attack, says: &str, psbt: &Psbt) -> Result<()> {
        self.refused_with(row, says, || self.sign(psbt))
    }

    /// The HTLC transactions are signed, as they must be, and the commitment is refused.
    pub fn refused_commitment(&self, row: &Attack, says: &str, draft: &Draft) -> Result<()> {
        for (n, htlc) in draft.htlc_requests()?.iter().enumerate() {
            self.signed(&format!("HTLC transaction {n}"), htlc)?;
        }
        self.refused(row, says, &draft.psbt)
    }

    pub fn refused_call(&self, row: &Attack, says: &str, method: &str, request: &impl Message) -> Result<()> {
        self.refused_with(row, says, || self.ask(method, &request.encode_to_vec()))
    }
}

pub fn sign_request(psbt: &Psbt) -> Vec<u8> {
    SignPsbtRequest { funded_psbt: psbt.serialize().into() }.encode_to_vec()
}
