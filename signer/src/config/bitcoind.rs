//! `[bitcoind]`: where the chain is followed.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, from_text};
use crate::chain::{Door, Following, Source};

/// The appliance's own bitcoind.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bitcoind {
    /// `http://host:port` of its JSON-RPC door.
    #[serde(deserialize_with = "from_text")]
    pub url: Door,
    /// Its cookie file; or user and password file.
    pub cookie_file: Option<PathBuf>,
    /// A user of its `rpcauth`.
    pub user: Option<String>,
    /// A file that holds that user's password.
    pub password_file: Option<PathBuf>,
    /// Milliseconds between two rounds of questions.
    pub poll_ms: u64,
}

impl Bitcoind {
    fn source(&self) -> Option<Source> {
        match (&self.cookie_file, &self.user, &self.password_file) {
            (Some(file), None, None) => Some(Source::Cookie(file.clone())),
            (None, Some(user), Some(file)) => {
                Some(Source::Password { user: user.clone(), file: file.clone() })
            }
            _ => None,
        }
    }

    /// Refuses what cannot be used.
    pub(super) fn check(&self, file: &str) -> Result<(), ConfigError> {
        let range = |ok: bool, key, value: String, allowed| {
            if ok { Ok(()) } else { Err(ConfigError::Range { file: file.to_owned(), key, value, allowed }) }
        };
        let given: Vec<&str> = [
            ("cookie_file", self.cookie_file.is_some()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
        ]
        .into_iter()
        .filter_map(|(key, given)| given.then_some(key))
        .collect();
        range(
            self.source().is_some(),
            "bitcoind",
            if given.is_empty() {
                "without a sign-in".to_owned()
            } else {
                format!("given {}", given.join(", "))
            },
            "cookie_file alone, or user and password_file",
        )?;
        range(
            self.user.as_ref().is_none_or(|user| !user.is_empty() && !user.contains(':')),
            "bitcoind.user",
            self.user.clone().unwrap_or_default(),
            "a name without a colon",
        )?;
        range(
            (100..=60_000).contains(&self.poll_ms),
            "bitcoind.poll_ms",
            self.poll_ms.to_string(),
            "100 to 60000",
        )
    }

    /// What the poller needs, on the policy's network.
    pub fn following(&self, network: bitcoin::Network) -> Option<Following> {
        let source = self.source()?;
        let poll = Duration::from_millis(self.poll_ms);
        Some(Following { network, door: self.url.clone(), source, poll })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::config::tests::GOOD;

    fn parse(table: &str) -> Result<Config, ConfigError> {
        Config::parse(
            "strongroom.toml",
            &format!("{GOOD}[bitcoind]\nurl = \"http://127.0.0.1:8332\"\n{table}"),
        )
    }

    #[test]
    fn a_sign_in_that_is_none_or_two_is_refused() {
        for table in [
            "poll_ms = 1000\n",
            "poll_ms = 1000\nuser = \"a\"\n",
            "poll_ms = 1000\npassword_file = \"/p\"\n",
            "poll_ms = 1000\ncookie_file = \"/c\"\nuser = \"a\"\npassword_file = \"/p\"\n",
        ] {
            let error = parse(table).expect_err(table).to_string();
            assert!(error.contains("cookie_file alone, or user and password_file"), "{error}");
        }
        let error = parse("poll_ms = 1000\nuser = \"a:b\"\npassword_file = \"/p\"\n")
            .expect_err("a colon")
            .to_string();
        assert!(error.contains("bitcoind.user is a:b"), "{error}");
    }

    #[test]
    fn a_password_or_a_wrong_address_in_the_file_is_refused() {
        let error = parse("poll_ms = 1000\nuser = \"a\"\npassword = \"s3cret\"\n")
            .expect_err("must be refused")
            .to_string();
        assert!(error.contains("password") && !error.contains("s3cret"), "{error}");
        let text = format!(
            "{GOOD}[bitcoind]\nurl = \"http://a:s3cret@b:1\"\ncookie_file = \"/c\"\npoll_ms = 1000\n"
        );
        let error = Config::parse("c", &text).expect_err("must be refused").to_string();
        assert!(error.contains("http://host:port") && !error.contains("s3cret"), "{error}");
    }

    #[test]
    fn rounds_have_no_default_and_limits() {
        assert!(parse("cookie_file = \"/c\"\n").expect_err("missing").to_string().contains("poll_ms"));
        for ms in [0, 99, 60_001] {
            let error =
                parse(&format!("cookie_file = \"/c\"\npoll_ms = {ms}\n")).expect_err("range").to_string();
            assert!(error.contains("100 to 60000"), "{error}");
        }
    }

    #[test]
    fn a_complete_table_is_read() {
        let config = parse("cookie_file = \"/c\"\npoll_ms = 1000\n").expect("complete");
        let following =
            config.bitcoind.expect("there").following(bitcoin::Network::Regtest).expect("complete");
        assert_eq!(following.source, Source::Cookie("/c".into()));
        assert_eq!(following.silence(), Duration::from_secs(10));
        assert!(Config::parse("c", GOOD).expect("complete").bitcoind.is_none());
    }
}
