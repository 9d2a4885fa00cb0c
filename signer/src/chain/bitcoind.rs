//! bitcoind's JSON-RPC door: the five calls that following the chain needs.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bitcoin::block::Header;
use bitcoin::consensus::deserialize;
use bitcoin::{Block, BlockHash, OutPoint};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::Agent;
use zeroize::Zeroizing;

use super::following::{Door, Source};

/// A connection that is not made by then fails.
const CONNECT: Duration = Duration::from_secs(5);
/// A call that is not answered whole by then fails.
const ANSWER: Duration = Duration::from_secs(30);
/// Bytes of one answer: a block of 4 MB in hex, and its envelope.
const MAX_ANSWER: u64 = 9 << 20;

/// A call without a usable answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// No answer.
    #[error("{method}: {because}")]
    Unreachable { method: &'static str, because: String },
    /// An answer in no form that can be read.
    #[error("{method}: unreadable answer: {because}")]
    Unreadable { method: &'static str, because: String },
    /// bitcoind says no.
    #[error("{method}: bitcoind: {message} (code {code})")]
    Refused { method: &'static str, code: i64, message: String },
    /// User and password are not to be had.
    #[error("{0}")]
    Source(String),
}

/// Where bitcoind's own chain stands.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Info {
    /// `main`, `test`, `testnet4`, `signet` or `regtest`.
    pub(super) chain: String,
    /// Height of its best block.
    pub(super) blocks: u32,
    /// Its best block.
    #[serde(rename = "bestblockhash")]
    pub(super) best: BlockHash,
    /// It is still fetching the chain.
    #[serde(rename = "initialblockdownload")]
    pub(super) downloading: bool,
}

/// An unspent output.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Unspent {
    /// bitcoind's best block when it answered.
    pub(super) bestblock: BlockHash,
    /// Blocks from the output's to the best, both counted.
    pub(super) confirmations: u32,
}

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    code: i64,
    message: String,
}

/// A door, and who asks there.
pub(super) struct Bitcoind {
    agent: Agent,
    door: String,
    source: Source,
    /// The header's value; a secret.
    authorization: Zeroizing<String>,
}

impl Bitcoind {
    pub(super) fn new(door: &Door, source: Source) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // The environment's proxy is no place to send bitcoind's password to.
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .build();
        Self { agent: config.into(), door: door.to_string(), source, authorization: Zeroizing::default() }
    }

    /// Reads user and password again.
    pub(super) fn sign_in(&mut self) -> Result<(), CallError> {
        let pair = match &self.source {
            Source::Cookie(file) => read(file)?,
            Source::Password { user, file } => {
                let password = read(file)?;
                Zeroizing::new(format!("{user}:{}", *password))
            }
        };
        self.authorization = Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.trim_end())));
        Ok(())
    }

    pub(super) fn info(&self) -> Result<Info, CallError> {
        self.call("getblockchaininfo", json!([]))
    }

    pub(super) fn hash_at(&self, height: u32) -> Result<BlockHash, CallError> {
        self.call("getblockhash", json!([height]))
    }

    /// The height of a block that bitcoind knows, and whether it is on its best chain.
    pub(super) fn height_of(&self, hash: BlockHash) -> Result<(u32, bool), CallError> {
        #[derive(Deserialize)]
        struct Place {
            height: u32,
            confirmations: i64,
        }
        let place: Place = self.call("getblockheader", json!([hash, true]))?;
        Ok((place.height, place.confirmations > 0))
    }

    pub(super) fn header(&self, hash: BlockHash) -> Result<Header, CallError> {
        self.decoded("getblockheader", json!([hash, false]))
    }

    pub(super) fn block(&self, hash: BlockHash) -> Result<Block, CallError> {
        self.decoded("getblock", json!([hash, 0]))
    }

    /// The output, if it is confirmed and no block spends it.
    pub(super) fn unspent(&self, outpoint: OutPoint) -> Result<Option<Unspent>, CallError> {
        self.call("gettxout", json!([outpoint.txid, outpoint.vout, false]))
    }

    fn decoded<T: bitcoin::consensus::Decodable>(
        &self,
        method: &'static str,
        params: Value,
    ) -> Result<T, CallError> {
        let unreadable = |because: String| CallError::Unreadable { method, because };
        let text: String = self.call(method, params)?;
        let bytes = hex::decode(text).map_err(|e| unreadable(e.to_string()))?;
        deserialize(&bytes).map_err(|e| unreadable(e.to_string()))
    }

    fn call<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> Result<T, CallError> {
        let unreachable = |because: String| CallError::Unreachable { method, because };
        let unreadable = |because: String| CallError::Unreadable { method, because };
        let body = json!({ "jsonrpc": "1.0", "id": "strongroom", "method": method, "params": params });
        let answer = self
            .agent
            .post(&self.door)
            .header("authorization", self.authorization.as_str())
            .header("content-type", "application/json")
            .send(body.to_string())
            .map_err(|e| unreachable(e.to_string()))?;
        let status = answer.status();
        let bytes = answer
            .into_body()
            .into_with_config()
            .limit(MAX_ANSWER)
            .read_to_vec()
            .map_err(|e| unreachable(e.to_string()))?;
        if matches!(status.as_u16(), 401 | 403) {
            return Err(unreachable(format!("HTTP {status}: user or password refused")));
        }
        // A refused call has a status of 500 or 404 and says why in its body.
        let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|e| {
            if status.is_success() {
                unreadable(e.to_string())
            } else {
                unreachable(format!("HTTP {status}"))
            }
        })?;
        if let Some(Refusal { code, message }) = envelope.error {
            let message = message.chars().take(200).collect();
            return Err(CallError::Refused { method, code, message });
        }
        serde_json::from_value(envelope.result).map_err(|e| unreadable(e.to_string()))
    }
}

/// A file that holds a secret: not for everybody's eyes, and short.
fn read(file: &Path) -> Result<Zeroizing<String>, CallError> {
    let refused = |because: String| CallError::Source(format!("{}: {because}", file.display()));
    let about = std::fs::metadata(file).map_err(|e| refused(e.to_string()))?;
    if about.permissions().mode() & 0o007 != 0 {
        return Err(refused(format!(
            "mode {:04o}; allowed: nothing for others, it holds a password",
            about.permissions().mode() & 0o7777
        )));
    }
    if about.len() > 4_096 {
        return Err(refused(format!("{} bytes; allowed: at most 4096", about.len())));
    }
    std::fs::read_to_string(file).map(Zeroizing::new).map_err(|e| refused(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    /// Answers one call with `answer`, and gives what was asked.
    fn door(answer: String) -> (Door, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
        let address = listener.local_addr().expect("its address");
        let asked = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a call");
            let mut asked = Vec::new();
            let mut part = [0u8; 4096];
            while !asked.ends_with(b"}") {
                let n = stream.read(&mut part).expect("a question");
                asked.extend_from_slice(&part[..n]);
            }
            stream.write_all(answer.as_bytes()).expect("an answer");
            String::from_utf8(asked).expect("text")
        });
        (format!("http://{address}").parse().expect("an address"), asked)
    }

    fn secret(text: &str, mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let file = dir.path().join("secret");
        std::fs::write(&file, text).expect("write");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("mode");
        (dir, file)
    }

    fn ask(status: &str, body: &str) -> (Result<BlockHash, CallError>, String) {
        let (door, asked) =
            door(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
        let (_dir, file) = secret("__cookie__:abc\n", 0o600);
        let mut bitcoind = Bitcoind::new(&door, Source::Cookie(file));
        bitcoind.sign_in().expect("a cookie");
        let outcome = bitcoind.hash_at(7);
        (outcome, asked.join().expect("asked"))
    }

    #[test]
    fn answers_that_are_none_are_told_apart() {
        let (outcome, _) = ask("401 Unauthorized", "");
        assert!(outcome.expect_err("401").to_string().contains("user or password refused"));
        let (outcome, _) = ask("200 OK", "[]");
        assert!(matches!(outcome, Err(CallError::Unreadable { .. })), "{outcome:?}");
        let (outcome, _) = ask("200 OK", "{\"result\":12}");
        assert!(matches!(outcome, Err(CallError::Unreadable { .. })), "{outcome:?}");
        let (outcome, _) = ask("503 Service Unavailable", "Work queue depth exceeded");
        assert!(matches!(outcome, Err(CallError::Unreachable { .. })), "{outcome:?}");
        let absent =
            "{\"result\":null,\"error\":{\"code\":-8,\"message\":\"Block height out of range\"},\"id\":\"\"}";
        let (outcome, _) = ask("500 Internal Server Error", absent);
        assert!(matches!(outcome, Err(CallError::Refused { code: -8, .. })), "{outcome:?}");
        let (outcome, _) = ask("302 Found\r\nlocation: http://127.0.0.1:1/", "");
        assert!(outcome.expect_err("no redirect is followed").to_string().contains("302"));
    }

    #[test]
    fn the_cookie_is_sent_and_the_answer_read() {
        let hash = "000000000000000000000000000000000000000000000000000000000000002a";
        let (outcome, asked) =
            ask("200 OK", &format!("{{\"result\":\"{hash}\",\"error\":null,\"id\":\"a\"}}"));
        assert_eq!(outcome.expect("a hash").to_string(), hash);
        assert!(asked.contains("Basic X19jb29raWVfXzphYmM="), "{asked}");
        assert!(asked.contains("\"getblockhash\"") && asked.contains("[7]"), "{asked}");
    }

    #[test]
    fn a_password_that_everybody_may_read_is_not_read() {
        let door: Door = "http://127.0.0.1:1".parse().expect("an address");
        let (_dir, file) = secret("pw", 0o604);
        let mut bitcoind = Bitcoind::new(&door, Source::Password { user: "strongroom".into(), file });
        let error = bitcoind.sign_in().expect_err("must be refused").to_string();
        assert!(error.contains("0604"), "{error}");
    }
}
