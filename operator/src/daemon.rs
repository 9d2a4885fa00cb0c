//! The way to the daemon.

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use strongroom_proto::strongroom::v1::operator_client::OperatorClient;
use tonic::transport::{Channel, Endpoint};

use crate::failure::{Exit, Failure};

/// Where the daemon listens unless told otherwise.
pub const SOCKET: &str = "/run/strongroom/operator.sock";

/// Opens the operator's door at `socket`.
///
/// # Errors
/// [`Exit::Unreachable`], with a hint by cause.
pub async fn connect(socket: &Path) -> Result<OperatorClient<Channel>, Failure> {
    open(socket).await.map(OperatorClient::new)
}

/// Opens the way to any service of the operator's door at `socket`.
///
/// # Errors
/// [`Exit::Unreachable`], with a hint by cause.
pub async fn open(socket: &Path) -> Result<Channel, Failure> {
    let unreachable = |why: &str| {
        Failure::new(Exit::Unreachable, format!("cannot reach the daemon at {}: {why}", socket.display()))
    };
    let path = socket.to_str().ok_or_else(|| unreachable("the path is not UTF-8"))?;
    let endpoint =
        Endpoint::from_shared(format!("unix:{path}")).map_err(|error| unreachable(&error.to_string()))?;
    match endpoint.connect_timeout(Duration::from_secs(5)).connect().await {
        Ok(channel) => Ok(channel),
        Err(error) => Err(match io_kind(&error) {
            Some(io::ErrorKind::NotFound) => unreachable("no such socket")
                .hint("is strongroomd running? another path is given by --socket or STRONGROOM_SOCKET"),
            Some(io::ErrorKind::PermissionDenied) => unreachable("permission denied")
                .hint("only root and the daemon's own user may: try sudo -u strongroom"),
            Some(io::ErrorKind::ConnectionRefused) => unreachable("nobody answers")
                .hint("strongroomd is not running; see systemctl status strongroomd"),
            _ => unreachable(&chain(&error)).hint("is strongroomd running?"),
        }),
    }
}

fn io_kind(error: &(dyn Error + 'static)) -> Option<io::ErrorKind> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => Some(error.kind()),
        None => io_kind(error.source()?),
    }
}

/// The error and its causes.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
