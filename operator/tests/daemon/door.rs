//! The operator's door with fixed answers, and a record of what was asked.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use strongroom_proto::strongroom::v1::node_add_request::Seed;
use strongroom_proto::strongroom::v1::operator_server::{Operator, OperatorServer};
use strongroom_proto::strongroom::v1::*;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

pub const SEALED: &str = "sealed: token gone";
pub const WORDS: &str = "abandon a b c d e f g h i j k l m n o p q r s t u v w";
const JOURNAL: &str = include_str!("../cmd/journal.in/good.jsonl");

/// What was asked.
#[derive(Default)]
pub struct Seen {
    pub pins: Vec<Vec<u8>>,
    pub added: Vec<String>,
    pub minted: Vec<String>,
    pub accepted: Vec<String>,
    pub moved: Vec<NodeLookaheadRequest>,
    pub allowed: Vec<ChannelAllowCloseRequest>,
    pub leaves: Vec<u64>,
    refuse: bool,
    break_exports: bool,
}

/// An open door; it closes when dropped.
pub struct Door {
    seen: Arc<Mutex<Seen>>,
    socket: PathBuf,
    _runtime: Runtime,
    _dir: TempDir,
}

impl Door {
    pub fn open() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let socket = dir.path().join("operator.sock");
        let runtime = Runtime::new().expect("a runtime");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let listener = runtime.block_on(async { UnixListener::bind(&socket) }).expect("a free path");
        let server =
            tonic::transport::Server::builder().add_service(OperatorServer::new(Answers(seen.clone())));
        runtime.spawn(server.serve_with_incoming(UnixListenerStream::new(listener)));
        Self { seen, socket, _runtime: runtime, _dir: dir }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test panics with it")
    }

    pub fn refuse_everything(&self) {
        self.seen().refuse = true;
    }

    pub fn break_exports(&self) {
        self.seen().break_exports = true;
    }
}

struct Answers(Arc<Mutex<Seen>>);

impl Answers {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().expect("no answer panics with it")
    }

    fn give<A>(&self, answer: A) -> Result<Response<A>, Status> {
        if self.seen().refuse { Err(Status::failed_precondition(SEALED)) } else { Ok(Response::new(answer)) }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("tests send UTF-8")
}

fn export(name: String, seed_origin: &str, macaroon: Vec<u8>, words: &str) -> NodeExport {
    NodeExport {
        name,
        identity: "02bb".into(),
        seed_origin: seed_origin.into(),
        accounts_json: "{\"accounts\":[]}".into(),
        tls_cert_pem: "-----BEGIN".into(),
        macaroon,
        lnd_conf: "[remotesigner]\nremotesigner.enable=true\nremotesigner.tlscertpath={dir}/tls.cert\n"
            .into(),
        words: words.as_bytes().to_vec(),
    }
}

fn refused_claim(number: u64) -> RefusedClaim {
    RefusedClaim {
        output: format!("{number}b41:1"),
        kind: "sweep-delayed".into(),
        what: "a sweep of our delayed output".into(),
        sat: 8_640_000 / number,
        at: 1_767_225_600,
        because: "fee-cap: 1,200,000 sat of fee; allowed: at most 1,000,000 sat\u{1b}".into(),
        way_out: "raise fees.closing.max_share_per_mille; then start lnd again".into(),
        known: number == 1,
    }
}

fn node() -> NodeStatus {
    NodeStatus {
        name: "alice".into(),
        identity: String::new(),
        seed_origin: "generated".into(),
        approved: 1203,
        refused: 4,
        channels: 2,
        channels_sat: 4_000_000,
        outflow_sat: 120_000,
        outflow_limit_sat: 5_000_000,
        fees_sat: 3000,
        fees_limit_sat: 50_000,
        closing_fees_sat: 700_000,
        closing_fees_limit_sat: 250_000_000,
        last_request: 1_767_225_600,
        exposure_sat: 3_100_000,
        guaranteed_sat: 2_900_000,
        provisional_sat: 40_000,
        provisional_limit_sat: 50_000_000,
        unauthorized_sat: 250_000,
        unauthorized_limit_sat: 10_000_000,
        unexplained_sat: 12,
        unexplained_limit_sat: 1_000_000,
        peers: (1..=7).map(|n| PeerExposure { peer: format!("0{n}ab"), sat: 700_000 / n }).collect(),
        channels_behind: 0,
        refused_claims: (1..=6).map(refused_claim).collect(),
    }
}

type Stream<T> = tokio_stream::Iter<std::vec::IntoIter<Result<T, Status>>>;

#[tonic::async_trait]
impl Operator for Answers {
    type JournalTailStream = Stream<JournalLeaf>;
    type JournalExportStream = Stream<JournalChunk>;

    async fn version(&self, _: Request<VersionRequest>) -> Result<Response<VersionResponse>, Status> {
        self.give(VersionResponse { version: "9.9.9".into() })
    }

    async fn status(&self, _: Request<StatusRequest>) -> Result<Response<StatusResponse>, Status> {
        self.give(StatusResponse {
            state: "sealed".into(),
            sealed_because: "token gone: \x1b[31mred".into(),
            started: 1_767_225_600,
            version: "9.9.9".into(),
            token: "pkcs11:token=strongroom".into(),
            token_heartbeat_ms: Some(1234),
            policy_profile: "cautious".into(),
            policy_digest: "cdcd".into(),
            observed_rules: vec!["fee-cap".into(), "sighash".into()],
            journal_size: 1289,
            journal_head: "5e0f".into(),
            nodes: vec![node()],
            network: "regtest".into(),
            listen: "127.0.0.1:10019".into(),
            journal_fault: "disk full".into(),
            chain: Some(ChainStatus {
                state: "contradicting".into(),
                because: "reorganisation of 7 blocks\x1b[2J".into(),
                height: Some(850_000),
                block: "00ab".into(),
                tip_time: 1_767_225_600,
                agreed_ms: Some(2_345),
                reorganisations: 1,
                watched: 12,
                pending: 3,
            }),
        })
    }

    async fn init(&self, request: Request<InitRequest>) -> Result<Response<InitResponse>, Status> {
        self.seen().pins.push(request.into_inner().pin);
        let capability = |name: &str, present, micros| Capability {
            name: name.into(),
            present,
            micros,
            detail: String::new(),
        };
        self.give(InitResponse {
            capabilities: vec![capability("AES-256-GCM", true, 16), capability("HKDF", false, 0)],
            audit_key: "p256:02aa".into(),
        })
    }

    async fn unseal(&self, request: Request<UnsealRequest>) -> Result<Response<UnsealResponse>, Status> {
        self.seen().pins.push(request.into_inner().pin);
        self.give(UnsealResponse { nodes: vec!["alice".into()] })
    }

    async fn seal(&self, _: Request<SealRequest>) -> Result<Response<SealResponse>, Status> {
        self.give(SealResponse {})
    }

    async fn node_add(&self, request: Request<NodeAddRequest>) -> Result<Response<NodeExport>, Status> {
        let asked = request.into_inner();
        let (seed, origin, words) = match asked.seed.expect("a seed is always said") {
            Seed::Generate(g) => {
                let words = if g.reveal_words { WORDS } else { "" };
                (
                    format!("generate reveal={} passphrase={}", g.reveal_words, text(g.passphrase)),
                    "generated",
                    words,
                )
            }
            Seed::Aezeed(a) => {
                (format!("aezeed {} passphrase={}", text(a.words), text(a.passphrase)), "imported-hot", "")
            }
            Seed::ExtendedPrivateKey(key) => (format!("xprv {}", text(key)), "imported-hot", ""),
        };
        let limits = format!("expires={} address={}", asked.macaroon_expires_in, asked.macaroon_address);
        self.seen().added.push(format!("{} {seed} {limits}", asked.name));
        self.give(export(asked.name, origin, vec![1, 2, 0xff], words))
    }

    async fn node_list(&self, _: Request<NodeListRequest>) -> Result<Response<NodeListResponse>, Status> {
        self.give(NodeListResponse { nodes: vec![node()] })
    }

    async fn node_export_again(
        &self,
        request: Request<NodeExportRequest>,
    ) -> Result<Response<NodeExport>, Status> {
        self.give(export(request.into_inner().name, "generated", vec![], ""))
    }

    async fn macaroon_mint(
        &self,
        request: Request<MacaroonMintRequest>,
    ) -> Result<Response<MacaroonMintResponse>, Status> {
        let MacaroonMintRequest { node, client, expires_in, address } = request.into_inner();
        self.seen().minted.push(format!("{node} {client} expires={expires_in} address={address}"));
        self.give(MacaroonMintResponse { id: "5f3a".into(), macaroon: vec![1, 2, 0xff] })
    }

    async fn macaroon_list(
        &self,
        _: Request<MacaroonListRequest>,
    ) -> Result<Response<MacaroonListResponse>, Status> {
        let macaroon = MacaroonInfo {
            id: "5f3a".into(),
            node: "alice".into(),
            client: "lnd".into(),
            expires: 1_767_225_600,
            address: "10.0.0.7".into(),
            revoked: true,
        };
        self.give(MacaroonListResponse { macaroons: vec![macaroon] })
    }

    async fn macaroon_revoke(
        &self,
        _: Request<MacaroonRevokeRequest>,
    ) -> Result<Response<MacaroonRevokeResponse>, Status> {
        self.give(MacaroonRevokeResponse {})
    }

    async fn node_lookahead(
        &self,
        request: Request<NodeLookaheadRequest>,
    ) -> Result<Response<NodeLookaheadResponse>, Status> {
        self.seen().moved.push(request.into_inner());
        self.give(NodeLookaheadResponse {})
    }

    async fn channel_allow_close(
        &self,
        request: Request<ChannelAllowCloseRequest>,
    ) -> Result<Response<ChannelAllowCloseResponse>, Status> {
        let asked = request.into_inner();
        self.seen().allowed.push(asked.clone());
        let ChannelAllowCloseRequest { node, channel, at_least_sat, expires_in } = asked;
        let (created, expires) = (1_767_225_600, 1_767_225_600 + expires_in);
        let allowance = CloseAllowance { node, channel, at_least_sat, expires, created };
        self.give(ChannelAllowCloseResponse { allowance: Some(allowance), balance_sat: None })
    }

    async fn chain_accept(
        &self,
        request: Request<ChainAcceptRequest>,
    ) -> Result<Response<ChainAcceptResponse>, Status> {
        self.seen().accepted.push(request.into_inner().block);
        self.give(ChainAcceptResponse {})
    }

    async fn policy_show(
        &self,
        _: Request<PolicyShowRequest>,
    ) -> Result<Response<PolicyShowResponse>, Status> {
        self.give(PolicyShowResponse {
            toml: "version = 1\n".into(),
            digest: "cdcd".into(),
            observed_rules: vec![],
        })
    }

    async fn journal_tail(
        &self,
        _: Request<JournalTailRequest>,
    ) -> Result<Response<Self::JournalTailStream>, Status> {
        let mut leaves: Vec<String> = JOURNAL.lines().skip(1).take(6).map(str::to_owned).collect();
        leaves.push(
            leaves[5].replace("\"index\":5", "\"index\":6").replace("SIGTERM", "\\u001b]0;owned\\u0007"),
        );
        let tiered = r#""flushed","tier":"T0","checks":41}"#;
        leaves.push(leaves[2].replace("\"index\":2", "\"index\":7").replace(r#""flushed"}"#, tiered));
        leaves.push("from a newer daemon \x1b[2J".to_owned());
        let leaves: Vec<_> = (0..).zip(leaves).map(|(index, json)| Ok(JournalLeaf { index, json })).collect();
        self.give(tokio_stream::iter(leaves))
    }

    async fn journal_leaf(
        &self,
        request: Request<JournalLeafRequest>,
    ) -> Result<Response<JournalLeaf>, Status> {
        let index = request.into_inner().index;
        self.seen().leaves.push(index);
        let json = r#"{"v":1,"index":41,"time":1767225600000,"prev":"PREV","event":{"checks-in-force":{"policy":"POLICY","tier":"T0","checks":[{"class":"sign-message invoice","enforced":["grant"]},{"class":"sign-psbt onchain","enforced":["grant","sighash"],"idle":["chain-current"],"not_enforceable":["policy-onchain-no-fund-inbound"]}]}}}"#;
        let json = json.replace("PREV", &"00".repeat(32)).replace("POLICY", &"cd".repeat(32));
        self.give(JournalLeaf { index, json })
    }

    async fn journal_export(
        &self,
        _: Request<JournalExportRequest>,
    ) -> Result<Response<Self::JournalExportStream>, Status> {
        let (first, rest) = JOURNAL.split_at(1000);
        let chunk = |text: &str| Ok(JournalChunk { text: text.to_owned() });
        let second = if self.seen().break_exports {
            Err(Status::failed_precondition("token gone"))
        } else {
            chunk(rest)
        };
        self.give(tokio_stream::iter(vec![chunk(first), second]))
    }
}
