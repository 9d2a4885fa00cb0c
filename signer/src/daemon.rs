//! The daemon's life: read, harden, open the doors, serve, stop in good order.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use strongroom_hsm::{Pin, PinSource, harden_process};
use strongroom_policy::Policy;
use strongroom_proto::signrpc::signer_server::SignerServer;
use strongroom_proto::strongroom::v1::channels_server::ChannelsServer;
use strongroom_proto::strongroom::v1::operator_server::OperatorServer;
use strongroom_proto::strongroom::v1::payments_server::PaymentsServer;
use strongroom_proto::strongroom::v1::preflight_server::PreflightServer;
use strongroom_proto::walletrpc::wallet_kit_server::WalletKitServer;
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;

use crate::appliance::{Appliance, ApplianceError};
use crate::config::{Config, ConfigError, PinFrom};
use crate::doors::gate::Gate;
use crate::doors::listener;
use crate::metrics::Metrics;
use crate::rpc::{ChannelsDoor, OperatorDoor, PaymentsDoor, PreflightDoor, SignerDoor, WalletKitDoor};

/// Why the daemon did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The policy, with its file.
    #[error("{0}")]
    Policy(String),
    /// The appliance.
    #[error(transparent)]
    Appliance(#[from] ApplianceError),
    /// The process could not be closed to core files and debuggers.
    #[error(transparent)]
    Harden(#[from] strongroom_hsm::HardenError),
    /// The PIN's source.
    #[error("pin: {0}")]
    Pin(#[from] strongroom_hsm::PinError),
    /// A door.
    #[error("{door}: {because}")]
    Door {
        /// Which.
        door: String,
        /// What the operating system said.
        because: String,
    },
}

impl DaemonError {
    /// Whether the operator must change a file before it can start.
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Config(_) | Self::Policy(_))
    }
}

fn door<E: std::fmt::Display>(name: impl std::fmt::Display) -> impl FnOnce(E) -> DaemonError {
    let door = name.to_string();
    move |e| DaemonError::Door { door, because: e.to_string() }
}

/// Runs the daemon until it is told to stop.
pub fn run(config: &Path, check: bool, log_json: bool) -> Result<(), DaemonError> {
    let config = Config::read(config)?;
    let file = config.appliance.policy.display().to_string();
    let text = std::fs::read_to_string(&config.appliance.policy)
        .map_err(|e| DaemonError::Policy(format!("{file}: {e}")))?;
    let policy = Policy::from_toml(&text).map_err(|e| DaemonError::Policy(format!("{file}:{e}")))?;
    if check {
        return Ok(());
    }
    logs(log_json);
    // Before any thread and any secret: no core file, no debugger.
    harden_process()?;
    raise_open_files();
    let digest = Sha256::digest(policy.digest_input()).into();
    announce(&policy);
    let metrics = Arc::new(Metrics::new().map_err(door("metrics"))?);
    let appliance = Appliance::new(config, policy, text, digest, metrics)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(door("runtime"))?;
    let served = runtime.block_on(serve(&appliance));
    appliance.seal("the daemon stops");
    runtime.shutdown_timeout(Duration::from_secs(3));
    served
}

fn logs(json: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("STRONGROOM_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new("info,fjall=warn,lsm_tree=warn,lightning_signer=error")
    });
    let logs = tracing_subscriber::fmt()
        // Where a full disk takes no log line, the subscriber's own complaint about it would panic.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()));
    if json { logs.json().init() } else { logs.init() }
}

/// Says loudly what is not enforced.
fn announce(policy: &Policy) {
    tracing::info!(profile = policy.profile(), network = %policy.network(), "policy read");
    for tag in policy.observed_rules() {
        tracing::warn!(rule = %tag, "this rule only observes: what breaks it is signed all the same");
    }
}

/// As many open files as the system grants, so that idle connections do not use them up.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(e) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(error = %e, "the limit of open files stays as it is");
    }
}

/// The PIN, where the configuration has the daemon fetch it itself.
fn own_pin(from: &PinFrom) -> Result<Option<Pin>, DaemonError> {
    let source = match from {
        PinFrom::Operator => return Ok(None),
        PinFrom::Credential(name) => PinSource::Credential(name.clone()),
        PinFrom::Fd(n) => PinSource::Fd(*n),
    };
    Ok(Some(source.read()?))
}

async fn serve(appliance: &Arc<Appliance>) -> Result<(), DaemonError> {
    let (stop, stopping) = watch::channel(false);
    let config = appliance.config();

    // The LND door opens before the keys do: lnd takes a closed door for a reason to shut down.
    let lnd = TcpListener::bind(config.lnd.listen)
        .await
        .map_err(door(format!("lnd.listen {}", config.lnd.listen)))?;
    let local = lnd.local_addr().map_err(door("lnd.listen"))?;
    let socket = bind_socket(&config.operator.socket)?;
    let metrics = match &config.metrics {
        None => None,
        Some(m) => {
            Some(TcpListener::bind(m.listen).await.map_err(door(format!("metrics.listen {}", m.listen)))?)
        }
    };

    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(serve_lnd(appliance.clone(), lnd, stopping.clone()));
    tasks.spawn(serve_operator(appliance.clone(), socket, stopping.clone()));
    if let Some(listener) = metrics {
        tokio::spawn(crate::doors::metrics::serve(listener, appliance.clone()));
    }
    tokio::spawn(appliance.clone().watch_token());
    unseal_by_itself(appliance).await?;
    tracing::info!(lnd = %local, operator = %config.operator.socket.display(), state = appliance.state().0, "ready");
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Ready]);

    wait_for_signal().await;
    tracing::info!("stopping");
    let _ = sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]);
    let _ = stop.send(true);
    // New requests find the door closed, so what waits for some would wait in vain.
    if let Ok(journal) = appliance.journal() {
        journal.let_go("the daemon stops");
    }
    let ended = async {
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(door("door"))??;
        }
        Ok::<(), DaemonError>(())
    };
    // Open connections (lnd's) never end by themselves.
    let patience = Duration::from_millis(appliance.limits().deadline_ms + 500);
    let outcome = tokio::time::timeout(patience, ended).await.unwrap_or(Ok(()));
    let _ = std::fs::remove_file(&config.operator.socket);
    outcome
}

/// Unseals with the PIN that the configuration names. A refused PIN leaves the daemon sealed, and is not tried again.
async fn unseal_by_itself(appliance: &Arc<Appliance>) -> Result<(), DaemonError> {
    if appliance.state().0 != "sealed" {
        return Ok(());
    }
    let Some(pin) = own_pin(&appliance.config().appliance.pin)? else { return Ok(()) };
    let opening = appliance.clone();
    let outcome = tokio::task::spawn_blocking(move || opening.unseal(&pin)).await.map_err(door("unseal"))?;
    if let Err(e) = outcome {
        tracing::error!(error = %e, "not unsealed; requests are refused until: strongroom unseal");
    }
    Ok(())
}

async fn serve_lnd(
    appliance: Arc<Appliance>,
    listener: TcpListener,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    let limits = appliance.limits().clone();
    let incoming = listener::accept(listener, appliance.identity().server.clone(), &limits);
    let wallet = WalletKitServer::new(WalletKitDoor::new(appliance.clone()))
        .max_decoding_message_size(limits.max_request_bytes)
        .max_encoding_message_size(usize::MAX);
    let signer = SignerServer::new(SignerDoor::new(appliance.clone()))
        .max_decoding_message_size(limits.max_request_bytes);
    let preflight = PreflightServer::new(PreflightDoor::new(appliance.clone()))
        .max_decoding_message_size(limits.max_request_bytes);
    Server::builder()
        .max_concurrent_streams(Some(256))
        .max_frame_size(Some(1 << 20))
        .initial_connection_window_size(Some(1 << 20))
        .initial_stream_window_size(Some(1 << 20))
        .http2_max_header_list_size(Some(16 << 10))
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .add_service(Gate::new(wallet, appliance.clone()))
        .add_service(Gate::new(signer, appliance.clone()))
        .add_service(Gate::new(preflight, appliance.clone()))
        .serve_with_incoming_shutdown(incoming, async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        })
        .await
        .map_err(door("lnd door"))
}

async fn serve_operator(
    appliance: Arc<Appliance>,
    socket: UnixListener,
    mut stopping: watch::Receiver<bool>,
) -> Result<(), DaemonError> {
    // The socket's mode keeps others out; the kernel's word on who connects is checked all the same.
    let own = rustix::process::geteuid().as_raw();
    let incoming = UnixListenerStream::new(socket).filter(move |stream| match stream {
        Ok(stream) => stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0),
        Err(_) => true,
    });
    Server::builder()
        .add_service(ChannelsServer::new(ChannelsDoor::new(appliance.clone())))
        .add_service(PaymentsServer::new(PaymentsDoor::new(appliance.clone())))
        .add_service(OperatorServer::new(OperatorDoor::new(appliance)))
        .serve_with_incoming_shutdown(incoming, async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        })
        .await
        .map_err(door("operator door"))
}

fn bind_socket(path: &Path) -> Result<UnixListener, DaemonError> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let name = || format!("operator.socket {}", path.display());
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(DaemonError::Door { door: name(), because: "another daemon answers there".to_owned() });
    }
    if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty() && !p.exists()) {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(door(name()))?;
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(door(name())(e)),
        _ => {}
    }
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let bound = UnixListener::bind(path);
    rustix::process::umask(before);
    let bound = bound.map_err(door(name()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(door(name()))?;
    Ok(bound)
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be watched; stopping");
        return;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
