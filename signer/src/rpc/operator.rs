//! The operator's door: `strongroom.v1.Operator` over a Unix socket.

use std::sync::Arc;

use strongroom_hsm::Pin;
use strongroom_lightning::CloseAllowance;
use strongroom_policy::WalletPath;
use strongroom_proto::strongroom::v1::operator_server::Operator;
use strongroom_proto::strongroom::v1::*;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::appliance::{Appliance, ApplianceError, SeedFrom, unix_now};
use crate::journal::{ChainReport, Inquiry};

/// Answers the operator's CLI.
pub struct OperatorDoor {
    appliance: Arc<Appliance>,
}

impl OperatorDoor {
    /// The door to `appliance`.
    pub fn new(appliance: Arc<Appliance>) -> Self {
        Self { appliance }
    }

    /// Runs a blocking command off the async threads.
    async fn blocking<A: Send + 'static>(
        &self,
        command: impl FnOnce(&Appliance) -> Result<A, ApplianceError> + Send + 'static,
    ) -> Result<A, Status> {
        let appliance = self.appliance.clone();
        tokio::task::spawn_blocking(move || command(&appliance))
            .await
            .map_err(|_| Status::internal("the command panicked; see the daemon's log"))?
            .map_err(|e| Status::failed_precondition(e.to_string()))
    }

    async fn node_statuses(&self) -> Vec<NodeStatus> {
        let report = match self.appliance.journal() {
            Ok(journal) => journal.report().await,
            Err(_) => None,
        };
        let mut nodes = self.appliance.node_statuses();
        for books in report.into_iter().flat_map(|r| r.books) {
            if let Some(node) = nodes.iter_mut().find(|n| n.name == books.node.as_str()) {
                node.approved = books.approved;
                node.refused = books.refused;
                node.channels = books.channels;
                node.channels_behind = books.behind;
                node.channels_sat = books.channels_total.to_sat();
                node.outflow_sat = books.outflow.to_sat();
                node.outflow_limit_sat = books.outflow_limit.to_sat();
                (node.fees_sat, node.fees_limit_sat) = sats(books.fees);
                (node.closing_fees_sat, node.closing_fees_limit_sat) = sats(books.closing_fees);
                node.last_request = books.last_request;
                node.exposure_sat = books.exposure.to_sat();
                node.guaranteed_sat = books.guaranteed.to_sat();
                (node.provisional_sat, node.provisional_limit_sat) = sats(books.provisional);
                (node.unauthorized_sat, node.unauthorized_limit_sat) = sats(books.unauthorized);
                (node.unexplained_sat, node.unexplained_limit_sat) = sats(books.unexplained);
                let peers = books.largest_peers().into_iter();
                node.peers = peers.map(|(peer, sat)| PeerExposure { peer, sat: sat.to_sat() }).collect();
                node.refused_claims = books.refused_claims.into_iter().map(super::refused_claim).collect();
            }
        }
        nodes
    }
}

fn sats((value, limit): (bitcoin::Amount, bitcoin::Amount)) -> (u64, u64) {
    (value.to_sat(), limit.to_sat())
}

fn pin(bytes: Vec<u8>) -> Result<Pin, Status> {
    Pin::new(bytes).map_err(|e| Status::invalid_argument(e.to_string()))
}

/// Seconds that a word on a close holds where none are given.
const DAY: u64 = 24 * 3_600;

type Answer<A> = Result<Response<A>, Status>;

#[tonic::async_trait]
impl Operator for OperatorDoor {
    type JournalTailStream =
        std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<JournalLeaf, Status>> + Send>>;
    type JournalExportStream = ReceiverStream<Result<JournalChunk, Status>>;

    async fn version(&self, _: Request<VersionRequest>) -> Answer<VersionResponse> {
        Ok(Response::new(VersionResponse { version: env!("CARGO_PKG_VERSION").to_owned() }))
    }

    async fn status(&self, _: Request<StatusRequest>) -> Answer<StatusResponse> {
        let (state, sealed_because) = self.appliance.state();
        let (policy, _, digest) = self.appliance.policy();
        let report = match self.appliance.journal() {
            Ok(journal) => journal.report().await,
            Err(_) => None,
        };
        let started =
            self.appliance.started().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        Ok(Response::new(StatusResponse {
            state: state.to_owned(),
            sealed_because,
            started,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            token: self.appliance.config().appliance.token.to_string(),
            token_heartbeat_ms: self
                .appliance
                .since_heartbeat()
                .map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            policy_profile: policy.profile().to_owned(),
            policy_digest: hex::encode(digest),
            observed_rules: policy.observed_rules().iter().map(|t| t.0.to_owned()).collect(),
            journal_size: report.as_ref().map_or(0, |r| r.chain.size),
            journal_head: report.as_ref().map_or_else(String::new, |r| hex::encode(r.chain.head.0)),
            journal_fault: report.as_ref().and_then(|r| r.fault.clone()).unwrap_or_default(),
            chain: Some(chain_status(report.map(|r| r.onchain))),
            nodes: self.node_statuses().await,
            network: policy.network().to_string(),
            listen: self.appliance.config().lnd.listen.to_string(),
        }))
    }

    async fn init(&self, request: Request<InitRequest>) -> Answer<InitResponse> {
        let pin = pin(request.into_inner().pin)?;
        let (capabilities, audit_key) = self.blocking(move |appliance| appliance.init(&pin)).await?;
        Ok(Response::new(super::init_response(&capabilities, audit_key)))
    }

    async fn unseal(&self, request: Request<UnsealRequest>) -> Answer<UnsealResponse> {
        let pin = pin(request.into_inner().pin)?;
        let nodes = self.blocking(move |appliance| appliance.unseal(&pin)).await?;
        Ok(Response::new(UnsealResponse { nodes: nodes.into_iter().map(String::from).collect() }))
    }

    async fn seal(&self, request: Request<SealRequest>) -> Answer<SealResponse> {
        let reason: String = request.into_inner().reason.chars().take(200).collect();
        self.blocking(move |appliance| {
            appliance
                .seal(&format!("operator: {}", if reason.is_empty() { "strongroom seal" } else { &reason }));
            Ok(())
        })
        .await?;
        Ok(Response::new(SealResponse {}))
    }

    async fn node_add(&self, request: Request<NodeAddRequest>) -> Answer<NodeExport> {
        let asked = request.into_inner();
        let name = asked.name.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let expires =
            (asked.macaroon_expires_in > 0).then(|| unix_now().saturating_add(asked.macaroon_expires_in));
        let address = parse_address(&asked.macaroon_address)?;
        let seed = match asked.seed {
            None => {
                return Err(Status::invalid_argument("no seed: generate, aezeed or extended private key"));
            }
            Some(node_add_request::Seed::Generate(g)) => {
                SeedFrom::Generate { reveal_words: g.reveal_words, passphrase: g.passphrase.into() }
            }
            Some(node_add_request::Seed::Aezeed(a)) => {
                SeedFrom::Aezeed { words: a.words.into(), passphrase: a.passphrase.into() }
            }
            Some(node_add_request::Seed::ExtendedPrivateKey(key)) => SeedFrom::ExtendedPrivateKey(key.into()),
        };
        let added = self.blocking(move |appliance| appliance.node_add(name, seed, expires, address)).await?;
        Ok(Response::new(added.into_export(&self.appliance)))
    }

    async fn node_list(&self, _: Request<NodeListRequest>) -> Answer<NodeListResponse> {
        Ok(Response::new(NodeListResponse { nodes: self.node_statuses().await }))
    }

    async fn node_export_again(&self, request: Request<NodeExportRequest>) -> Answer<NodeExport> {
        let name = request.into_inner().name.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let again = self.blocking(move |appliance| appliance.node_export(&name)).await?;
        Ok(Response::new(again.into_export(&self.appliance)))
    }

    async fn node_lookahead(&self, request: Request<NodeLookaheadRequest>) -> Answer<NodeLookaheadResponse> {
        let NodeLookaheadRequest { name, account, change, index } = request.into_inner();
        let name = name.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        if !matches!(account, 49 | 84 | 86) {
            return Err(Status::invalid_argument(format!("account {account}; allowed: 49, 84 or 86")));
        }
        let path = WalletPath { purpose: account, branch: u32::from(change), index };
        self.blocking(move |appliance| appliance.lookahead(&name, path)).await?;
        Ok(Response::new(NodeLookaheadResponse {}))
    }

    async fn channel_allow_close(
        &self,
        request: Request<ChannelAllowCloseRequest>,
    ) -> Answer<ChannelAllowCloseResponse> {
        let asked = request.into_inner();
        let node = asked.node.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let channel = super::outpoint(&asked.channel)?;
        let expires_in = if asked.expires_in == 0 { DAY } else { asked.expires_in };
        let now = unix_now();
        let wanted = CloseAllowance {
            at_least: bitcoin::Amount::from_sat(asked.at_least_sat),
            expires: now.saturating_add(expires_in),
            created: now,
        };
        let (reply, outcome) = oneshot::channel();
        self.appliance.journal()?.ask(Inquiry::AllowClose(node, channel, wanted, reply))?;
        let outcome = outcome.await.map_err(|_| Status::failed_precondition("the journal is closing"))?;
        let allowed = outcome.map_err(Status::failed_precondition)?;
        Ok(Response::new(ChannelAllowCloseResponse {
            balance_sat: allowed.balance.map(bitcoin::Amount::to_sat),
            allowance: Some(super::close_allowance(&allowed)),
        }))
    }

    async fn macaroon_mint(&self, request: Request<MacaroonMintRequest>) -> Answer<MacaroonMintResponse> {
        let asked = request.into_inner();
        let node = asked.node.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let client = asked.client.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        let expires = (asked.expires_in > 0).then(|| unix_now().saturating_add(asked.expires_in));
        let address = parse_address(&asked.address)?;
        let (id, macaroon) =
            self.blocking(move |appliance| appliance.mint(node, client, expires, address)).await?;
        Ok(Response::new(MacaroonMintResponse { id, macaroon }))
    }

    async fn macaroon_list(&self, _: Request<MacaroonListRequest>) -> Answer<MacaroonListResponse> {
        let all = self.blocking(|appliance| appliance.with_macaroons(|m| m.list())).await?;
        let macaroons = all
            .into_iter()
            .map(|m| MacaroonInfo {
                id: m.id,
                node: m.node.into(),
                client: m.client.into(),
                expires: m.expires.unwrap_or(0),
                address: m.address.map_or_else(String::new, |a| a.to_string()),
                revoked: m.revoked,
            })
            .collect();
        Ok(Response::new(MacaroonListResponse { macaroons }))
    }

    async fn macaroon_revoke(
        &self,
        request: Request<MacaroonRevokeRequest>,
    ) -> Answer<MacaroonRevokeResponse> {
        let id = request.into_inner().id;
        self.blocking(move |appliance| appliance.revoke(&id)).await?;
        Ok(Response::new(MacaroonRevokeResponse {}))
    }

    async fn chain_accept(&self, request: Request<ChainAcceptRequest>) -> Answer<ChainAcceptResponse> {
        let block = request.into_inner().block;
        let block = block.parse().map_err(|e| Status::invalid_argument(format!("block {block:?}: {e}")))?;
        self.blocking(move |appliance| appliance.accept_block(block)).await?;
        Ok(Response::new(ChainAcceptResponse {}))
    }

    async fn policy_show(&self, _: Request<PolicyShowRequest>) -> Answer<PolicyShowResponse> {
        let (policy, toml, digest) = self.appliance.policy();
        Ok(Response::new(PolicyShowResponse {
            toml: toml.to_owned(),
            digest: hex::encode(digest),
            observed_rules: policy.observed_rules().iter().map(|t| t.0.to_owned()).collect(),
        }))
    }

    async fn journal_tail(&self, request: Request<JournalTailRequest>) -> Answer<Self::JournalTailStream> {
        let asked = request.into_inner();
        let (to, leaves) = mpsc::channel(1024);
        let journal = self.appliance.journal()?;
        let report =
            journal.report().await.ok_or_else(|| Status::failed_precondition("the journal is busy"))?;
        let from = report.chain.size.saturating_sub(u64::from(asked.last));
        journal.read(from, asked.follow, to)?;
        let leaves = ReceiverStream::new(leaves).map(|(index, leaf)| {
            Ok(JournalLeaf { index, json: String::from_utf8_lossy(&leaf).into_owned() })
        });
        Ok(Response::new(Box::pin(leaves)))
    }

    async fn journal_leaf(&self, request: Request<JournalLeafRequest>) -> Answer<JournalLeaf> {
        let index = request.into_inner().index;
        let (to, mut leaves) = mpsc::channel(1);
        self.appliance.journal()?.read(index, false, to)?;
        match leaves.recv().await {
            Some((index, leaf)) => {
                Ok(Response::new(JournalLeaf { index, json: String::from_utf8_lossy(&leaf).into_owned() }))
            }
            None => Err(Status::not_found(format!("leaf {index} is not written yet"))),
        }
    }

    async fn journal_export(
        &self,
        request: Request<JournalExportRequest>,
    ) -> Answer<Self::JournalExportStream> {
        if request.into_inner().from != 0 {
            return Err(Status::invalid_argument("an export starts at leaf 0"));
        }
        let (to, chunks) = mpsc::channel(64);
        let appliance = self.appliance.clone();
        let journal = appliance.journal()?;
        let report =
            journal.report().await.ok_or_else(|| Status::failed_precondition("the journal is busy"))?;
        let header = self.blocking(|appliance| appliance.export_header()).await?.to_line();
        tokio::spawn(async move {
            if let Err(e) = super::export::send(&appliance, &journal, report.chain, header, &to).await {
                let _ = to.send(Err(e)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(chunks)))
    }
}

/// `None` while sealed, or while the journal is too busy to say.
fn chain_status(report: Option<ChainReport>) -> ChainStatus {
    let Some(report) = report else {
        return ChainStatus { state: "unfollowed".to_owned(), ..ChainStatus::default() };
    };
    ChainStatus {
        state: report.state.to_owned(),
        because: report.because,
        height: report.tip.map(|tip| tip.height),
        block: report.tip.map_or_else(String::new, |tip| tip.hash.to_string()),
        tip_time: report.tip.map_or(0, |tip| u64::from(tip.time)),
        agreed_ms: report.agreed_ms_ago,
        reorganisations: report.reorganisations,
        watched: report.watched as u64,
        pending: report.pending as u64,
    }
}

fn parse_address(text: &str) -> Result<Option<std::net::IpAddr>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| Status::invalid_argument(format!("{text:?} is not an IP address")))
}
