//! The recorded day of a real lnd (`tests/vectors`), from which inputs grow.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use bitcoin::bip32::Xpub;
use flate2::read::MultiGzDecoder;
use prost::Message as _;
use serde_json::Value;
use strongroom_lightning::{AccountPath, Accounts};
use strongroom_proto::signrpc::{MuSig2SessionRequest, SharedKeyRequest, SignMessageReq};
use strongroom_proto::walletrpc::SignPsbtRequest;

/// A call that lnd made.
#[derive(Clone, Debug)]
pub enum Call {
    /// The PSBT to sign.
    SignPsbt(Vec<u8>),
    /// A shared secret.
    DeriveSharedKey(SharedKeyRequest),
    /// A message to sign.
    SignMessage(SignMessageReq),
    /// A MuSig2 session to be made.
    CreateSession(MuSig2SessionRequest),
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors/lnd-0.21.3")
}

/// The accounts that the day's lnd was made with.
pub static ACCOUNTS: LazyLock<Accounts> = LazyLock::new(|| {
    let file = File::open(folder().join("accounts.json")).expect("the recorded accounts");
    let list: Value = serde_json::from_reader(file).expect("accounts as lnd writes them");
    let accounts = list["accounts"].as_array().expect("a list of accounts").iter().map(account);
    Accounts::with_lookahead(accounts.collect(), 100).expect("lnd's accounts")
});

fn account(account: &Value) -> (AccountPath, Xpub) {
    let path = account["derivation_path"].as_str().expect("a path");
    let steps: Vec<u32> = path
        .split('/')
        .skip(1)
        .map(|step| step.trim_end_matches('\'').parse().expect("a hardened step"))
        .collect();
    let path = AccountPath { purpose: steps[0], coin: steps[1], account: steps[2] };
    // SLIP 132 prefixes (upub, vpub) say what the purpose says already.
    let key = account["extended_public_key"].as_str().expect("a key");
    let mut key = bitcoin::base58::decode_check(key).expect("a key in base58");
    key[..4].copy_from_slice(&[0x04, 0x35, 0x87, 0xcf]);
    (path, Xpub::decode(&key).expect("an extended key"))
}

/// Every call of the day that was answered, in order.
pub fn calls() -> Vec<Call> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("the recorded day")
        .map(|entry| entry.expect("a file of the day").path())
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.gz"))
        .collect();
    files.sort();
    let mut lines: Vec<Value> = files
        .iter()
        .flat_map(|path| BufReader::new(MultiGzDecoder::new(File::open(path).expect("the file"))).lines())
        .map(|line| serde_json::from_str(&line.expect("text")).expect("JSON"))
        .collect();
    lines.sort_by_key(|line| line["seq"].as_u64());
    lines.iter().filter(|line| line["code"] == 0).filter_map(call).collect()
}

fn call(line: &Value) -> Option<Call> {
    let bytes = hex::decode(line["req"].as_str()?).expect("hex");
    let bytes = bytes.as_slice();
    const REQUEST: &str = "lnd's request decodes";
    match line["method"].as_str()?.rsplit('/').next()? {
        "SignPsbt" => Some(Call::SignPsbt(SignPsbtRequest::decode(bytes).expect(REQUEST).funded_psbt.into())),
        "DeriveSharedKey" => Some(Call::DeriveSharedKey(SharedKeyRequest::decode(bytes).expect(REQUEST))),
        "SignMessage" => Some(Call::SignMessage(SignMessageReq::decode(bytes).expect(REQUEST))),
        "MuSig2CreateSession" => {
            Some(Call::CreateSession(MuSig2SessionRequest::decode(bytes).expect(REQUEST)))
        }
        _ => None,
    }
}

/// One input of each length: requests of one kind and length differ in keys and amounts, which tell a fuzzer little.
pub fn of_each_length(inputs: impl IntoIterator<Item = Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    let mut seen = HashSet::new();
    inputs.into_iter().filter(move |input| seen.insert(input.len()))
}
