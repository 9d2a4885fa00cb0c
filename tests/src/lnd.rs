//! An lnd on regtest: an ordinary one, one that only signs, or one whose keys lie elsewhere.

mod acceptor;
mod calls;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};

pub use acceptor::Acceptor;
pub use calls::{ChannelPoint, CommitmentType, OpenChannel};

use crate::bitcoind::{Bitcoind, RPC_USER};
use crate::clock::{until, until_true};
use crate::peers::program;
use crate::process::{Process, free_port};
use crate::rest::Rest;

/// Where a signer listens and what lnd needs to talk to it.
#[derive(Clone, Debug)]
pub struct SignerEndpoint {
    /// `127.0.0.1:port`.
    pub address: String,
    /// PEM certificate lnd pins.
    pub tls_cert: PathBuf,
    /// Binary macaroon.
    pub macaroon: PathBuf,
}

/// Where an lnd's keys lie.
pub enum Keys {
    /// In its own wallet, under a seed of its own making.
    Own,
    /// In its own wallet, under this extended private key.
    Master(String),
    /// With a remote signer; the accounts are as the signer exported them.
    Remote(SignerEndpoint, Value),
    /// The same, of an lnd that had this wallet before and lost its database: it looks for its coins.
    Recovered(SignerEndpoint, Value),
}

/// A running lnd.
pub struct Lnd {
    name: String,
    process: Process,
    rest: Rest,
    dir: PathBuf,
    p2p: u16,
    rpc: u16,
    pubkey: String,
}

const WALLET_PASSWORD: &str = "regtest only";

impl Lnd {
    /// Starts an lnd named `name` in `dir` on `bitcoind`'s chain and waits until it is synced.
    /// `extra` are further lines for `lnd.conf`.
    pub fn start(name: &str, dir: &Path, bitcoind: &Bitcoind, keys: &Keys, extra: &[&str]) -> Result<Self> {
        let chain = format!(
            "bitcoin.node=bitcoind\nbitcoind.rpchost=127.0.0.1:{}\nbitcoind.rpcuser={RPC_USER}\nbitcoind.rpcpass={}\n\
             bitcoind.zmqpubrawblock=tcp://127.0.0.1:{}\nbitcoind.zmqpubrawtx=tcp://127.0.0.1:{}\n",
            bitcoind.rpc_port, bitcoind.rpc_password, bitcoind.zmq_block, bitcoind.zmq_tx
        );
        let mut lnd = Self::launch(name, dir, &chain, keys, extra)?;
        lnd.wait_synced()?;
        Ok(lnd)
    }

    /// Starts an lnd that only signs, without a chain, under the extended private key `master`.
    pub fn start_signer(name: &str, dir: &Path, master: &str) -> Result<Self> {
        let keys = Keys::Master(master.to_owned());
        let mut lnd = Self::launch(name, dir, "bitcoin.node=nochainbackend\n", &keys, &[])?;
        lnd.wait_signs()?;
        Ok(lnd)
    }

    /// Starts a signer that has ended again.
    pub fn start_signer_again(&mut self) -> Result<()> {
        self.process = run(&self.name, &self.dir)?;
        self.wait_signs()
    }

    fn wait_signs(&mut self) -> Result<()> {
        let (process, rest) = (&mut self.process, &self.rest);
        until_true(60, "the signer's accounts", || {
            process.check_alive()?;
            rest.get("/v2/wallet/accounts").map(|_| true)
        })
    }

    fn launch(name: &str, dir: &Path, chain: &str, keys: &Keys, extra: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (p2p, rpc, rest_port) = (free_port()?, free_port()?, free_port()?);
        let password_file = dir.join("wallet.password");
        std::fs::write(&password_file, WALLET_PASSWORD)?;
        let mut conf = format!(
            "[Application Options]\nalias={name}\nlisten=127.0.0.1:{p2p}\nrpclisten=127.0.0.1:{rpc}\nrestlisten=127.0.0.1:{rest_port}\n\
             nobootstrap=1\ntrickledelay=50\nmaxpendingchannels=20\nprotocol.wumbo-channels=1\nprotocol.simple-taproot-chans=1\n\
             accept-keysend=1\nmaxlogfiles=1\nbitcoin.active=1\nbitcoin.regtest=1\nbitcoin.defaultremotedelay=6\n{chain}"
        );
        match keys {
            Keys::Own => conf.push_str("noseedbackup=1\n"),
            Keys::Master(_) => conf.push_str(&unlock_lines(&password_file)),
            Keys::Remote(signer, _) | Keys::Recovered(signer, _) => {
                conf.push_str(&unlock_lines(&password_file));
                conf.push_str(&format!(
                    "remotesigner.enable=1\nremotesigner.rpchost={}\nremotesigner.tlscertpath={}\nremotesigner.macaroonpath={}\n\
                     healthcheck.remotesigner.timeout=10s\n",
                    signer.address,
                    signer.tls_cert.display(),
                    signer.macaroon.display()
                ));
            }
        }
        for line in extra {
            conf.push_str(line);
            conf.push('\n');
        }
        std::fs::write(dir.join("lnd.conf"), conf)?;
        let mut lnd = Self {
            name: name.to_owned(),
            process: run(name, dir)?,
            rest: Rest::new(format!("https://127.0.0.1:{rest_port}"), None),
            dir: dir.to_path_buf(),
            p2p,
            rpc,
            pubkey: String::new(),
        };
        match keys {
            Keys::Own => {}
            Keys::Master(master) => lnd.init_wallet(&json!({
                "extended_master_key": master,
                "extended_master_key_birthday_timestamp": "1700000000",
            }))?,
            Keys::Remote(_, accounts) => lnd.init_wallet(&json!({ "watch_only": watch_only(accounts)? }))?,
            Keys::Recovered(_, accounts) => {
                lnd.init_wallet(&json!({ "watch_only": watch_only(accounts)?, "recovery_window": 500 }))?
            }
        }
        lnd.use_admin_macaroon()?;
        Ok(lnd)
    }

    fn init_wallet(&mut self, seed: &Value) -> Result<()> {
        let mut body = seed.clone();
        body["wallet_password"] = json!(BASE64.encode(WALLET_PASSWORD));
        let (process, rest) = (&mut self.process, &self.rest);
        until_true(60, "lnd's wallet unlocker", || {
            process.check_alive()?;
            Ok(rest.get("/v1/state")?["state"] == "NON_EXISTING")
        })?;
        rest.post("/v1/initwallet", &body).with_context(|| format!("{}: make the wallet", self.name))?;
        Ok(())
    }

    fn use_admin_macaroon(&mut self) -> Result<()> {
        let path = self.macaroon();
        let process = &mut self.process;
        let macaroon = until(60, "lnd's admin macaroon", || {
            process.check_alive()?;
            Ok(std::fs::read(&path).ok().filter(|m| !m.is_empty()))
        })?;
        let header = ("Grpc-Metadata-macaroon".to_owned(), hex::encode(macaroon));
        self.rest = Rest::new(self.rest.base().to_owned(), Some(header));
        Ok(())
    }

    fn wait_synced(&mut self) -> Result<()> {
        let (process, rest) = (&mut self.process, &self.rest);
        let info = until(90, &format!("{} synced to the chain", self.name), || {
            process.check_alive()?;
            let info = rest.get("/v1/getinfo")?;
            let active = rest.get("/v1/state")?["state"] == "SERVER_ACTIVE";
            Ok((active && info["synced_to_chain"] == true).then_some(info))
        })?;
        self.pubkey = info["identity_pubkey"].as_str().context("getinfo without identity_pubkey")?.to_owned();
        Ok(())
    }

    /// Stops lnd and starts it again over the same directory and ports.
    pub fn restart(&mut self) -> Result<()> {
        self.process.stop(60)?;
        self.start_again()
    }

    /// Starts an lnd that has ended again, over the same directory and ports.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = run(&self.name, &self.dir)?;
        self.wait_synced()
    }

    /// Puts another signer in the place of the one it had; it is stopped, and started again over the same wallet.
    pub fn use_signer(&mut self, signer: &SignerEndpoint) -> Result<()> {
        self.process.stop(60)?;
        let file = self.dir.join("lnd.conf");
        let conf = std::fs::read_to_string(&file)?;
        let line = |line: &str| match line.split_once('=') {
            Some(("remotesigner.rpchost", _)) => format!("remotesigner.rpchost={}", signer.address),
            Some(("remotesigner.tlscertpath", _)) => {
                format!("remotesigner.tlscertpath={}", signer.tls_cert.display())
            }
            Some(("remotesigner.macaroonpath", _)) => {
                format!("remotesigner.macaroonpath={}", signer.macaroon.display())
            }
            _ => line.to_owned(),
        };
        let conf: Vec<String> = conf.lines().map(line).collect();
        std::fs::write(&file, conf.join("\n") + "\n")?;
        self.start_again()
    }

    /// The identity key, compressed, hex.
    pub fn pubkey(&self) -> &str {
        &self.pubkey
    }

    /// The name it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Address for peers.
    pub fn p2p_address(&self) -> String {
        format!("127.0.0.1:{}", self.p2p)
    }

    /// This lnd's gRPC door as a remote signer's.
    pub fn as_signer(&self) -> SignerEndpoint {
        SignerEndpoint {
            address: format!("127.0.0.1:{}", self.rpc),
            tls_cert: self.dir.join("tls.cert"),
            macaroon: self.macaroon(),
        }
    }

    /// Lines of its log by which its signer refused or was gone. A peer that was lost (a broken pipe, a reset, an end of
    /// file) fails a link too, and is none of the signer's doing.
    pub fn signing_faults(&self) -> Result<Vec<String>> {
        let log = std::fs::read_to_string(self.process.log())?;
        Ok(log.lines().filter(|line| is_signing_fault(line)).map(str::to_owned).collect())
    }

    fn macaroon(&self) -> PathBuf {
        self.dir.join("data/chain/bitcoin/regtest/admin.macaroon")
    }

    /// The folder with `lnd.conf`, certificates, data and logs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process, to look at.
    pub fn process_ref(&self) -> &Process {
        &self.process
    }

    /// lnd's REST door.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }
}

fn run(name: &str, dir: &Path) -> Result<Process> {
    let args = [format!("--lnddir={}", dir.display())];
    Process::start(name, &program("lnd")?, &args, &[], dir.join("lnd.log"))
}

/// lnd hands on what its signer answers as gRPC's own error; what it cannot sign fails the link's update.
fn is_signing_fault(line: &str) -> bool {
    let by_peer = ["broken pipe", "connection reset", "EOF", "use of closed network connection"];
    let of_signer = ["PermissionDenied", "InvalidArgument", "code = Unavailable", "code = DeadlineExceeded"];
    of_signer.iter().any(|sign| line.contains(sign))
        || line.contains("Shutdown requested")
        || (line.contains("failing link: unable to update commitment")
            && !by_peer.iter().any(|end| line.contains(end)))
}

fn unlock_lines(password_file: &Path) -> String {
    format!("wallet-unlock-password-file={}\nwallet-unlock-allow-create=1\n", password_file.display())
}

/// lnd's `ListAccountsResponse` as `initwallet`'s `watch_only`.
fn watch_only(accounts: &Value) -> Result<Value> {
    let list = accounts["accounts"].as_array().context("accounts: no array \"accounts\"")?;
    let accounts = list
        .iter()
        .map(|account| {
            let path = account["derivation_path"].as_str().context("account without derivation_path")?;
            let steps: Vec<u32> = path
                .trim_start_matches("m/")
                .split('/')
                .map(|step| step.trim_end_matches('\'').parse())
                .collect::<Result<_, _>>()
                .with_context(|| format!("derivation_path {path:?}"))?;
            anyhow::ensure!(steps.len() == 3, "derivation_path {path:?}: not 3 steps");
            Ok(json!({
                "purpose": steps[0], "coin_type": steps[1], "account": steps[2],
                "xpub": account["extended_public_key"],
            }))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(json!({ "master_key_birthday_timestamp": "1700000000", "accounts": accounts }))
}

#[cfg(test)]
mod tests {
    use super::is_signing_fault;

    #[test]
    fn only_the_signers_faults_count() {
        for fault in [
            "[ERR] HSWC: ChannelLink(1:2:0): failing link: unable to update commitment: rpc error: code = PermissionDenied desc = refused",
            "[ERR] HSWC: ChannelLink(1:2:0): failing link: unable to update commitment: unable to sign",
            "[ERR] RPCS: [/lnrpc.Lightning/AddInvoice]: rpc error: code = InvalidArgument desc = malformed",
            "[CRT] SRVR: remote signer: rpc error: code = Unavailable desc = connection refused",
            "[INF] LTND: Shutdown requested by the health check",
        ] {
            assert!(is_signing_fault(fault), "{fault}");
        }
        for peers in [
            "[ERR] HSWC: ChannelLink(1:2:0): failing link: unable to update commitment: write tcp 127.0.0.1:1: write: broken pipe with error: internal error",
            "[ERR] HSWC: ChannelLink(1:2:0): failing link: unable to handle upstream settle HTLC: EOF",
            "[INF] PEER: Disconnecting 02ab, reason: read handler closed: EOF",
        ] {
            assert!(!is_signing_fault(peers), "{peers}");
        }
    }
}
