//! A bitcoind on regtest, with its wallet as the source of coins.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use base64::Engine;
use serde_json::{Value, json};

use crate::clock::until_true;
use crate::peers::program;
use crate::process::{Process, free_port};
use crate::rest::Rest;

/// A running bitcoind with mature coins in its wallet.
pub struct Bitcoind {
    process: Process,
    dir: PathBuf,
    rest: Rest,
    mining_address: String,
    /// JSON-RPC port.
    pub rpc_port: u16,
    /// JSON-RPC password; the user is `strongroom`.
    pub rpc_password: String,
    /// ZMQ publisher of raw blocks.
    pub zmq_block: u16,
    /// ZMQ publisher of raw transactions.
    pub zmq_tx: u16,
}

/// JSON-RPC user name.
pub const RPC_USER: &str = "strongroom";

impl Bitcoind {
    /// Starts in `dir` and mines 150 blocks to its own wallet.
    pub fn start(dir: &Path) -> Result<Self> {
        let mut this = Self::start_empty(dir, "regtest")?;
        this.rpc("createwallet", json!(["miner"]))?;
        this.mining_address = this.new_address()?;
        this.mine(150)?;
        Ok(this)
    }

    /// Starts in `dir` on `network` (`regtest`, `signet`, `testnet4`), with block 0 only and no wallet.
    pub fn start_empty(dir: &Path, network: &str) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (rpc_port, zmq_block, zmq_tx) = (free_port()?, free_port()?, free_port()?);
        let rpc_password = format!("{:032x}", rand::random::<u128>());
        let conf = format!(
            "{network}=1\nserver=1\ntxindex=1\nfallbackfee=0.0002\nlisten=0\nlistenonion=0\ndnsseed=0\nfixedseeds=0\n\
             rpcthreads=16\nrpcworkqueue=512\nzmqpubrawblock=tcp://127.0.0.1:{zmq_block}\nzmqpubrawtx=tcp://127.0.0.1:{zmq_tx}\n\
             [{network}]\nrpcbind=127.0.0.1\nrpcallowip=127.0.0.1\nrpcport={rpc_port}\nrpcuser={RPC_USER}\nrpcpassword={rpc_password}\n"
        );
        std::fs::write(dir.join("bitcoin.conf"), conf)?;
        let basic = base64::engine::general_purpose::STANDARD.encode(format!("{RPC_USER}:{rpc_password}"));
        let rest = Rest::new(
            format!("http://127.0.0.1:{rpc_port}"),
            Some(("Authorization".into(), format!("Basic {basic}"))),
        );
        let (process, dir) = (process(dir)?, dir.to_path_buf());
        let mut this = Self {
            process,
            dir,
            rest,
            mining_address: String::new(),
            rpc_port,
            rpc_password,
            zmq_block,
            zmq_tx,
        };
        this.wait_answers()?;
        Ok(this)
    }

    /// Starts again, after it has ended, over the same folder.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = process(&self.dir)?;
        self.wait_answers()?;
        if !self.mining_address.is_empty() {
            self.rpc("loadwallet", json!(["miner"]))?;
        }
        Ok(())
    }

    fn wait_answers(&mut self) -> Result<()> {
        until_true(60, "bitcoind answers", || {
            self.process.check_alive()?;
            Ok(self.rpc("getblockcount", json!([])).is_ok())
        })
    }

    /// The table of a daemon's configuration that follows this chain; the password goes into a file in `dir`.
    pub fn strongroom_table(&self, dir: &Path) -> Result<String> {
        let file = dir.join("bitcoind.password");
        let mut open = std::fs::File::options();
        open.write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&file)?
            .write_all(self.rpc_password.as_bytes())?;
        Ok(format!(
            "[bitcoind]\nurl = \"http://127.0.0.1:{}\"\nuser = \"{RPC_USER}\"\npassword_file = \"{}\"\npoll_ms = 200\n",
            self.rpc_port,
            file.display()
        ))
    }

    /// The best block.
    pub fn best(&self) -> Result<String> {
        text(&self.rpc("getbestblockhash", json!([]))?)
    }

    /// Undoes the last `depth` blocks and mines `blocks` others, none of which holds what was undone.
    pub fn branch(&self, depth: u64, blocks: u32) -> Result<()> {
        let first = self.rpc("getblockhash", json!([self.height()? + 1 - depth]))?;
        self.rpc("invalidateblock", json!([first]))?;
        // A block of its own is empty whatever waits in the mempool.
        let address = self.new_address()?;
        for _ in 0..blocks {
            self.rpc("generateblock", json!([address, []]))?;
        }
        Ok(())
    }

    /// Hands a transaction in, and answers its id.
    pub fn publish(&self, transaction: &bitcoin::Transaction) -> Result<String> {
        text(
            &self
                .rpc("sendrawtransaction", json!([bitcoin::consensus::encode::serialize_hex(transaction)]))?,
        )
    }

    /// One JSON-RPC call.
    pub fn rpc(&self, method: &str, params: Value) -> Result<Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut answer = self.rest.post("/", &body)?;
        if answer.get("error").is_some_and(|e| !e.is_null()) {
            bail!("bitcoind {method}: {}", answer["error"]);
        }
        Ok(answer["result"].take())
    }

    /// Mines `blocks`.
    pub fn mine(&self, blocks: u32) -> Result<()> {
        self.rpc("generatetoaddress", json!([blocks, self.mining_address]))?;
        Ok(())
    }

    /// Height of the best block.
    pub fn height(&self) -> Result<u64> {
        self.rpc("getblockcount", json!([]))?.as_u64().context("getblockcount: not a number")
    }

    /// A fresh address of bitcoind's own wallet.
    pub fn new_address(&self) -> Result<String> {
        text(&self.rpc("getnewaddress", json!(["", "bech32"]))?)
    }

    /// Pays `sat` satoshis to `address` (unconfirmed) and answers the transaction id.
    pub fn pay(&self, address: &str, sat: u64) -> Result<String> {
        let btc = format!("{}.{:08}", sat / 100_000_000, sat % 100_000_000);
        text(&self.rpc("sendtoaddress", json!([address, btc]))?)
    }

    /// Ids of unconfirmed transactions.
    pub fn mempool(&self) -> Result<Vec<String>> {
        Ok(serde_json::from_value(self.rpc("getrawmempool", json!([]))?)?)
    }

    /// Satoshis the wallet received at `address`, unconfirmed included.
    pub fn received_sat(&self, address: &str) -> Result<u64> {
        let btc = self
            .rpc("getreceivedbyaddress", json!([address, 0]))?
            .as_f64()
            .context("getreceivedbyaddress: not a number")?;
        Ok((btc * 1e8).round() as u64)
    }

    /// A transaction, decoded.
    pub fn transaction(&self, txid: &str) -> Result<Value> {
        self.rpc("getrawtransaction", json!([txid, true]))
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

fn process(dir: &Path) -> Result<Process> {
    let args = [format!("-datadir={}", dir.display()), "-printtoconsole=0".into()];
    Process::start("bitcoind", &program("bitcoind")?, &args, &[], dir.join("bitcoind.log"))
}

fn text(value: &Value) -> Result<String> {
    Ok(value.as_str().context("not a string")?.to_owned())
}
