//! Which bitcoind is followed, and how.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bitcoin::Network;

/// Address of bitcoind's JSON-RPC door: `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door(String);

/// A text that is no address of a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoorError(&'static str);

impl fmt::Display for DoorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; allowed: http://host:port", self.0)
    }
}

impl FromStr for Door {
    type Err = DoorError;

    fn from_str(text: &str) -> Result<Self, DoorError> {
        // The text is never repeated: it may hold a password written there by mistake.
        let Some(rest) = text.strip_prefix("http://") else {
            return Err(DoorError("not http (bitcoind speaks no TLS: over a network, use a tunnel)"));
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err(DoorError("a user or password in the address (see cookie_file, password_file)"));
        }
        let Some((host, port)) = authority.rsplit_once(':') else {
            return Err(DoorError("no port"));
        };
        let in_host = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        if host.is_empty() || !host.chars().all(in_host) {
            return Err(DoorError("no host"));
        }
        if port.parse::<u16>().is_ok_and(|port| port > 0) {
            Ok(Self(format!("http://{authority}/")))
        } else {
            Err(DoorError("no port"))
        }
    }
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where user and password of the door come from; read again at every round, since bitcoind makes a new cookie at every
/// start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// bitcoind's own cookie file.
    Cookie(PathBuf),
    /// A user of `rpcauth`, and a file that holds the password.
    Password {
        /// The user.
        user: String,
        /// The file.
        file: PathBuf,
    },
}

/// Which bitcoind is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// The network of the policy.
    pub network: Network,
    /// Its door.
    pub door: Door,
    /// Who asks there.
    pub source: Source,
    /// Between two rounds.
    pub poll: Duration,
}

impl Following {
    /// bitcoind counts as silent after so long: ten rounds, and never less than five seconds. It decides what is told
    /// and recorded, not what is signed: that limit is the policy's.
    pub fn silence(&self) -> Duration {
        (self.poll * 10).max(Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_used_is_refused_without_repeating_it() {
        for (text, why) in [
            ("https://127.0.0.1:8332", "TLS"),
            ("127.0.0.1:8332", "http"),
            ("http://user:s3cret@127.0.0.1:8332", "password_file"),
            ("http://127.0.0.1", "port"),
            ("http://127.0.0.1:0", "port"),
            ("http://127.0.0.1:70000", "port"),
            ("http://:8332", "host"),
            ("http://127.0.0.1/wallet:8332", "host"),
            ("http://127.0.0.1:8332/s3cret", "port"),
        ] {
            let error = text.parse::<Door>().expect_err(text).to_string();
            assert!(error.contains(why) && !error.contains("s3cret"), "{text}: {error}");
        }
    }

    #[test]
    fn addresses_are_read() {
        for text in [
            "http://127.0.0.1:8332",
            "http://127.0.0.1:8332/",
            "http://[::1]:18443",
            "http://bitcoind.internal:8332",
        ] {
            let door: Door = text.parse().expect(text);
            assert_eq!(door.to_string(), format!("{}/", text.trim_end_matches('/')));
        }
    }
}
