//! The daemon's configuration: one TOML file, every key known, no limit left to a default.

mod bitcoind;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use strongroom_hsm::TokenUri;

pub use bitcoind::Bitcoind;

/// `strongroom.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The appliance itself.
    pub appliance: Appliance,
    /// The door that lnd calls.
    pub lnd: LndDoor,
    /// The door that the operator's CLI calls.
    pub operator: OperatorDoor,
    /// Prometheus metrics; absent for none.
    pub metrics: Option<Metrics>,
    /// The appliance's own bitcoind; absent for none: then nothing is known of the chain.
    pub bitcoind: Option<Bitcoind>,
    /// Sizes and counts.
    pub limits: Limits,
}

/// Keys, state and policy.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Appliance {
    /// Folder of all state; mode 0700.
    pub state_dir: PathBuf,
    /// The policy file.
    pub policy: PathBuf,
    /// PKCS#11 URI of the token, without PIN.
    #[serde(deserialize_with = "from_text")]
    pub token: TokenUri,
    /// Where the PIN comes from.
    #[serde(deserialize_with = "from_text")]
    pub pin: PinFrom,
}

/// Where the daemon gets the token's PIN at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinFrom {
    /// A systemd credential of this name (`LoadCredentialEncrypted=`).
    Credential(String),
    /// An inherited file descriptor.
    Fd(i32),
    /// `strongroom unseal` brings it; the daemon starts sealed.
    Operator,
}

/// A source of the PIN that is not known.
#[derive(Debug)]
pub struct PinFromError(String);

impl fmt::Display for PinFromError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pin source {:?}: allowed are \"credential:NAME\", \"fd:N\" and \"operator\"", self.0)
    }
}

impl FromStr for PinFrom {
    type Err = PinFromError;
    fn from_str(s: &str) -> Result<Self, PinFromError> {
        // What is not a known form might be a PIN written here by mistake, so the error tells only its length.
        let unknown = || PinFromError(format!("({} characters)", s.chars().count()));
        match s.split_once(':') {
            None if s == "operator" => Ok(Self::Operator),
            Some(("credential", name)) if !name.is_empty() && !name.contains('/') => {
                Ok(Self::Credential(name.to_owned()))
            }
            Some(("fd", n)) => n.parse().ok().filter(|n| *n > 2).map(Self::Fd).ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }
}

/// The LND-compatible door.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LndDoor {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// Host names and addresses that the TLS certificate names, as lnd's `remotesigner.rpchost` writes them.
    pub hosts: Vec<String>,
}

/// The operator's door.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorDoor {
    /// Path of the Unix socket.
    pub socket: PathBuf,
}

/// Prometheus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Address and port to listen on; loopback, since metrics name amounts.
    pub listen: SocketAddr,
}

/// Sizes and counts that keep one client from stopping the others.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Connections at the LND door, authenticated or not. Above it the oldest that never authenticated is closed.
    pub max_connections: usize,
    /// Of these, connections from one address (IPv6: from one /64). Above it the address's own oldest that never
    /// authenticated is closed.
    pub max_connections_per_address: usize,
    /// Authenticated connections of one client.
    pub max_connections_per_client: usize,
    /// Bytes of one request.
    pub max_request_bytes: usize,
    /// Requests waiting for the journal; more are refused at once.
    pub max_queue: usize,
    /// Requests that one client may have under way, from their first byte to their answer.
    pub max_queue_per_client: usize,
    /// Milliseconds a request may take before it is refused; below lnd's own 5,000.
    pub deadline_ms: u64,
    /// MiB that must stay free on the state folder's disk.
    pub min_free_disk_mib: u64,
    /// MuSig2 sessions open at once, per node.
    pub max_musig2_sessions: usize,
    /// Seconds after which a MuSig2 session is dropped.
    pub musig2_session_seconds: u64,
}

/// A configuration that the daemon does not start with: file, line, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{file}: {because}")]
    Read {
        /// The file.
        file: String,
        /// What the operating system said.
        because: String,
    },
    /// The text is not a complete configuration.
    #[error("{file}:{line}: {because}")]
    Text {
        /// The file.
        file: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong and what is allowed.
        because: String,
    },
    /// A value is out of its range.
    #[error("{file}: {key} is {value}: {allowed}")]
    Range {
        /// The file.
        file: String,
        /// The key, dotted.
        key: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

fn from_text<'de, D, T>(d: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: FromStr,
    T::Err: fmt::Display,
{
    String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
}

impl Config {
    /// Reads and checks the file.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|e| ConfigError::Read { file: file.clone(), because: e.to_string() })?;
        Self::parse(&file, &text)
    }

    /// Checks a configuration's text; `file` is for messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
            ConfigError::Text { file: file.to_owned(), line, because: e.message().replace('\n', "; ") }
        })?;
        config.check(file)?;
        Ok(config)
    }

    fn check(&self, file: &str) -> Result<(), ConfigError> {
        let range = |ok: bool, key, value: String, allowed| {
            if ok { Ok(()) } else { Err(ConfigError::Range { file: file.to_owned(), key, value, allowed }) }
        };
        let l = &self.limits;
        range(
            (50..=4_500).contains(&l.deadline_ms),
            "limits.deadline_ms",
            l.deadline_ms.to_string(),
            "50 to 4500, below lnd's remotesigner.timeout of 5000",
        )?;
        range(
            (8..=65_536).contains(&l.max_connections),
            "limits.max_connections",
            l.max_connections.to_string(),
            "8 to 65536",
        )?;
        range(
            (8..=l.max_connections).contains(&l.max_connections_per_address),
            "limits.max_connections_per_address",
            l.max_connections_per_address.to_string(),
            "8 to limits.max_connections",
        )?;
        range(
            (4..=l.max_connections_per_address).contains(&l.max_connections_per_client),
            "limits.max_connections_per_client",
            l.max_connections_per_client.to_string(),
            "4 to limits.max_connections_per_address",
        )?;
        range(
            (65_536..=16_777_216).contains(&l.max_request_bytes),
            "limits.max_request_bytes",
            l.max_request_bytes.to_string(),
            "65536 to 16777216",
        )?;
        range(
            (64..=1_048_576).contains(&l.max_queue),
            "limits.max_queue",
            l.max_queue.to_string(),
            "64 to 1048576",
        )?;
        range(
            (16..=l.max_queue).contains(&l.max_queue_per_client),
            "limits.max_queue_per_client",
            l.max_queue_per_client.to_string(),
            "16 to limits.max_queue",
        )?;
        range(
            l.max_musig2_sessions <= 10_000,
            "limits.max_musig2_sessions",
            l.max_musig2_sessions.to_string(),
            "at most 10000",
        )?;
        range(
            (1..=86_400).contains(&l.musig2_session_seconds),
            "limits.musig2_session_seconds",
            l.musig2_session_seconds.to_string(),
            "1 to 86400",
        )?;
        range(
            !self.lnd.hosts.is_empty(),
            "lnd.hosts",
            "empty".to_owned(),
            "at least one host name or address that lnd dials",
        )?;
        if let Some(metrics) = &self.metrics {
            range(
                metrics.listen.ip().is_loopback(),
                "metrics.listen",
                metrics.listen.to_string(),
                "a loopback address: metrics name amounts and have no authentication",
            )?;
        }
        self.bitcoind.as_ref().map_or(Ok(()), |bitcoind| bitcoind.check(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const GOOD: &str = r#"
[appliance]
state_dir = "/var/lib/strongroom"
policy = "/etc/strongroom/policy.toml"
token = "pkcs11:token=strongroom?module-path=/usr/lib/softhsm/libsofthsm2.so"
pin = "credential:strongroom-pin"
[lnd]
listen = "127.0.0.1:10019"
hosts = ["localhost"]
[operator]
socket = "/run/strongroom/operator.sock"
[limits]
max_connections = 1024
max_connections_per_address = 256
max_connections_per_client = 64
max_request_bytes = 4194304
max_queue = 4096
max_queue_per_client = 512
deadline_ms = 3000
min_free_disk_mib = 256
max_musig2_sessions = 1000
musig2_session_seconds = 600
"#;

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let text = GOOD.replace("hosts =", "host =");
        let error = Config::parse("strongroom.toml", &text).expect_err("must be refused").to_string();
        assert!(error.starts_with("strongroom.toml:9:"), "{error}");
        assert!(error.contains("host"), "{error}");
    }

    #[test]
    fn a_missing_limit_is_refused_by_name() {
        let text = GOOD.replace("deadline_ms = 3000\n", "");
        let error = Config::parse("c", &text).expect_err("must be refused").to_string();
        assert!(error.contains("deadline_ms"), "{error}");
    }

    #[test]
    fn a_deadline_above_lnds_own_is_refused_with_the_limit() {
        let text = GOOD.replace("deadline_ms = 3000", "deadline_ms = 9000");
        let error = Config::parse("c", &text).expect_err("must be refused").to_string();
        assert!(error.contains("9000") && error.contains("4500"), "{error}");
    }

    #[test]
    fn a_share_larger_than_the_whole_is_refused_with_the_limit() {
        for (given, larger, whole) in [
            ("max_connections_per_address = 256", "max_connections_per_address = 1025", "max_connections"),
            (
                "max_connections_per_client = 64",
                "max_connections_per_client = 257",
                "max_connections_per_address",
            ),
            ("max_queue_per_client = 512", "max_queue_per_client = 4097", "max_queue"),
        ] {
            let error =
                Config::parse("c", &GOOD.replace(given, larger)).expect_err("must be refused").to_string();
            let (key, value) = larger.split_once(" = ").expect("a key and its value");
            assert!(error.contains(&format!("limits.{key} is {value}")), "{error}");
            assert!(error.ends_with(&format!("to limits.{whole}")), "{error}");
        }
    }

    #[test]
    fn a_pin_written_into_the_file_is_refused_without_repeating_it() {
        let text = GOOD.replace("credential:strongroom-pin", "s3cretpin");
        let error = Config::parse("c", &text).expect_err("must be refused").to_string();
        assert!(error.contains("credential:NAME") && !error.contains("s3cretpin"), "{error}");
    }

    #[test]
    fn metrics_listen_on_loopback_only() {
        let text = format!("{GOOD}[metrics]\nlisten = \"0.0.0.0:9464\"\n");
        assert!(Config::parse("c", &text).is_err());
    }

    #[test]
    fn a_complete_file_is_read() {
        let config = Config::parse("c", GOOD).expect("complete");
        assert_eq!(config.appliance.pin, PinFrom::Credential("strongroom-pin".to_owned()));
    }
}
