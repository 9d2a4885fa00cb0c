//! Who signs for the lnd under test: one parameter of every scenario.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use serde_json::Value;

use crate::lnd::{Keys, Lnd, SignerEndpoint};
use crate::process::Process;
use crate::strongroomd::{Launch, PolicyChoice, Strongroomd};

/// The key all recorded and compared scenarios start from. A test key: worth nothing.
pub const TEST_MASTER_KEY: &str = "tprv8ZgxMBicQKsPeaL8VmBwjtHnXLKZVZkN29hpRhrh2NsU7cywSSBy9u8f2umfPSh6BhZtU2BukJWnLcg1TgKpBG4KM5A6A2T2uvucXzLhHmM";

/// Which signer to put behind the lnd under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignerKind {
    /// None: lnd signs with its own keys.
    Local,
    /// lnd's own remote signer, which signs whatever it is asked.
    LndSigner,
    /// The product.
    Strongroom,
}

impl fmt::Display for SignerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local keys",
            Self::LndSigner => "lnd signer",
            Self::Strongroom => "strongroom",
        })
    }
}

/// A running signer.
pub enum Signer {
    /// lnd's own.
    Lnd(Box<Lnd>),
    /// The product.
    Strongroom(Box<Strongroomd>),
}

impl Signer {
    /// Starts a signer of `kind` in `dir` under [`TEST_MASTER_KEY`]; none for local keys. `policy`
    /// is for Strongroom alone.
    pub fn start(kind: SignerKind, dir: &Path, policy: &PolicyChoice) -> Result<Option<Self>> {
        Self::start_with(kind, dir, policy, String::new())
    }

    /// [`Self::start`] with further `tables` in Strongroom's configuration.
    pub fn start_with(
        kind: SignerKind,
        dir: &Path,
        policy: &PolicyChoice,
        tables: String,
    ) -> Result<Option<Self>> {
        match kind {
            SignerKind::Local => Ok(None),
            SignerKind::LndSigner => {
                Ok(Some(Self::Lnd(Box::new(Lnd::start_signer("signer", dir, TEST_MASTER_KEY)?))))
            }
            SignerKind::Strongroom => {
                let launch = Launch { tables, ..Launch::default() };
                let daemon = Strongroomd::launched(dir, policy, Some(TEST_MASTER_KEY), launch)?;
                Ok(Some(Self::Strongroom(Box::new(daemon))))
            }
        }
    }

    /// Where it listens.
    pub fn endpoint(&self) -> SignerEndpoint {
        match self {
            Self::Lnd(lnd) => lnd.as_signer(),
            Self::Strongroom(daemon) => daemon.endpoint(),
        }
    }

    /// The accounts a watch-only lnd is made from.
    pub fn accounts(&self) -> Result<Value> {
        match self {
            Self::Lnd(lnd) => lnd.accounts(),
            Self::Strongroom(daemon) => daemon.accounts(),
        }
    }

    /// What a watch-only lnd needs to use it.
    pub fn keys(&self) -> Result<Keys> {
        Ok(Keys::Remote(self.endpoint(), self.accounts()?))
    }

    /// The process that signs.
    pub fn process(&mut self) -> &mut Process {
        match self {
            Self::Lnd(lnd) => lnd.process(),
            Self::Strongroom(daemon) => daemon.process(),
        }
    }

    /// Starts one that has ended again.
    pub fn start_again(&mut self) -> Result<()> {
        match self {
            Self::Lnd(lnd) => lnd.start_signer_again(),
            Self::Strongroom(daemon) => daemon.start_again(),
        }
    }

    /// The process that signs, to look at.
    pub fn process_ref(&self) -> &Process {
        match self {
            Self::Lnd(lnd) => lnd.process_ref(),
            Self::Strongroom(daemon) => daemon.process_ref(),
        }
    }

    /// The daemon, if Strongroom signs.
    pub fn strongroomd(&mut self) -> Option<&mut Strongroomd> {
        match self {
            Self::Lnd(_) => None,
            Self::Strongroom(daemon) => Some(daemon),
        }
    }
}
