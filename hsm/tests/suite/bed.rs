//! A fresh token in a process of its own, and what is expected of its module.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use strongroom_hsm::{Capability, Pin, Token, TokenUri, initialise, provision_token};

pub const DIR: &str = "STRONGROOM_TEST_BED";
const MODULE: &str = "STRONGROOM_TEST_MODULE";
const PIN: &str = "correct horse";
const SO_PIN: &str = "security officer";

/// The module under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SoftHsm,
    Kryoptic,
}

/// What a module is expected to do where modules differ. A change on either side fails.
pub struct Expected {
    /// What the self-test must find absent; all else must be present.
    pub absent: &'static [Capability],
    /// How many wrong PINs are refused as wrong before the token says that it is locked.
    pub tries: Option<usize>,
    /// Whether it notices that its store was moved away. (A module in another process that is
    /// killed is noticed with every module.)
    pub misses_its_store: bool,
    /// Lengths of ECDSA input, of those tried, that the module itself accepts.
    pub ecdsa_lengths: &'static [usize],
    /// Copies of an unsealed secret that the module itself keeps in memory.
    pub copies_kept: usize,
}

impl Kind {
    pub fn under_test() -> Self {
        match std::env::var(MODULE).as_deref() {
            Err(_) | Ok("softhsm") => Self::SoftHsm,
            Ok("kryoptic") => Self::Kryoptic,
            Ok(other) => panic!("{MODULE} is {other:?}; allowed are softhsm and kryoptic"),
        }
    }

    pub fn expected(self) -> Expected {
        match self {
            Self::SoftHsm => Expected {
                absent: &[],
                tries: None,
                misses_its_store: true,
                copies_kept: 0,
                ecdsa_lengths: &[0, 1, 20, 31, 32, 33, 48, 64],
            },
            // Its minimal build against Debian's OpenSSL knows NIST curves only.
            Self::Kryoptic => Expected {
                absent: &[Capability::EcdsaSecp256k1, Capability::EcdhSecp256k1],
                tries: Some(9),
                // It holds the database open, whatever its name.
                misses_its_store: false,
                copies_kept: 0,
                ecdsa_lengths: &[0, 1, 20, 31, 32, 33, 48, 64],
            },
        }
    }

    /// The module's path; a missing module fails by name.
    pub fn path(self) -> PathBuf {
        match self {
            Self::SoftHsm => {
                let usual = [
                    "/usr/lib/softhsm/libsofthsm2.so",
                    "/usr/lib64/softhsm/libsofthsm2.so",
                    "/usr/local/lib/softhsm/libsofthsm2.so",
                ];
                let found = usual.iter().map(PathBuf::from).find(|path| path.is_file());
                found.unwrap_or_else(|| {
                    panic!("SoftHSM is missing (none of {usual:?}): apt-get install softhsm2")
                })
            }
            Self::Kryoptic => peer("kryoptic", "kryoptic/libkryoptic_pkcs11.so"),
        }
    }

    /// The variable that names the module's configuration.
    pub fn variable(self) -> &'static str {
        match self {
            Self::SoftHsm => "SOFTHSM2_CONF",
            Self::Kryoptic => "KRYOPTIC_CONF",
        }
    }

    /// Writes the module's configuration for tokens under `dir`.
    fn configure(self, dir: &Path) -> PathBuf {
        let (name, text) = match self {
            Self::SoftHsm => {
                let tokens = dir.join("tokens");
                fs::create_dir(&tokens).unwrap();
                let text = format!(
                    "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
                    tokens.display()
                );
                ("softhsm2.conf", text)
            }
            Self::Kryoptic => {
                let store = dir.join("token.sql");
                let text =
                    format!("[[slots]]\nslot = 1\ndbtype = \"sqlite\"\ndbargs = \"{}\"\n", store.display());
                ("kryoptic.conf", text)
            }
        };
        let conf = dir.join(name);
        fs::write(&conf, text).unwrap();
        conf
    }
}

/// A file of a peer that `tests/peers/<script>` builds; a missing one fails by name.
pub fn peer(script: &str, path: &str) -> PathBuf {
    let peers = std::env::var_os("STRONGROOM_PEERS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../.peers"), PathBuf::from);
    let path = peers.join(path);
    let missing = |_| panic!("{script} is missing ({}): run tests/peers/{script}", path.display());
    path.canonicalize().unwrap_or_else(missing)
}

/// A blank directory with a provisioned, not yet initialised token.
pub struct Bed {
    pub kind: Kind,
    pub dir: PathBuf,
    pub uri: TokenUri,
}

/// Runs `test` on a fresh token in a process of its own. `name` is the test's full name.
pub fn isolated(name: &str, test: impl FnOnce(&Bed)) {
    isolated_with(name, |_| {}, test);
}

/// The same, with the process prepared first.
pub fn isolated_with(name: &str, prepare: impl FnOnce(&mut Command), test: impl FnOnce(&Bed)) {
    let kind = Kind::under_test();
    if let Some(dir) = std::env::var_os(DIR) {
        let dir = PathBuf::from(dir);
        let module =
            std::env::var_os("STRONGROOM_TEST_MODULE_PATH").map_or_else(|| kind.path(), PathBuf::from);
        let uri = provision_token(&module, "test", &so_pin(), &pin()).unwrap();
        test(&Bed { kind, dir: dir.clone(), uri });
        fs::write(dir.join("passed"), name).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    kind.path();
    let conf = kind.configure(dir.path());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(DIR, dir.path())
        .env("PKCS11SPY_OUTPUT", dir.path().join("spy.log"))
        .env(kind.variable(), conf);
    prepare(&mut command);
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "in its own process: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // For --nocapture: the figures that tests report.
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    // A mistyped name would run no test, and succeed.
    assert!(dir.path().join("passed").exists(), "{name} is not this test's full name");
}

pub fn pin() -> Pin {
    Pin::new(PIN.into()).unwrap()
}

pub fn so_pin() -> Pin {
    Pin::new(SO_PIN.into()).unwrap()
}

pub fn wrong_pin() -> Pin {
    Pin::new(b"wrong horse".to_vec()).unwrap()
}

/// The error of a result whose value has no `Debug`.
#[track_caller]
pub fn refused<T, E: std::fmt::Display>(result: Result<T, E>) -> E {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(error) => error,
    }
}

impl Bed {
    /// Initialises the token for appliance `vault`.
    pub fn initialise(&self) -> Token {
        initialise(&self.uri, &pin(), "vault").unwrap_or_else(|error| panic!("{error}")).token
    }

    pub fn open(&self) -> Token {
        Token::open(&self.uri, &pin()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// PKCS#11 without this crate between: what an intruder with the PIN would use.
    pub fn raw(&self) -> Raw {
        let raw = self.raw_logged_out();
        // Login is shared by the process: a token that is open has brought it.
        let _ = raw.session.login(UserType::User, Some(&AuthPin::from(PIN)));
        raw
    }

    /// The same, before login (if nobody else in this process is logged in).
    pub fn raw_logged_out(&self) -> Raw {
        let pkcs11 = Pkcs11::new(self.uri.module_path()).unwrap();
        // Already initialised is fine: it is one library per process.
        let _ = pkcs11.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
        let slots = pkcs11.get_slots_with_initialized_token().unwrap();
        let session = pkcs11.open_rw_session(slots[0]).unwrap();
        Raw { session, pkcs11 }
    }
}

/// How the module refused.
#[track_caller]
pub fn code<T>(result: Result<T, Error>) -> RvError {
    match result {
        Err(Error::Pkcs11(code, _)) => code,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was allowed"),
    }
}

pub struct Raw {
    pub session: Session,
    pkcs11: Pkcs11,
}

impl Raw {
    pub fn find(&self, class: ObjectClass, label: &str) -> Vec<ObjectHandle> {
        let wanted = [Attribute::Class(class), Attribute::Label(label.into())];
        self.session.find_objects(&wanted).unwrap()
    }

    pub fn only(&self, class: ObjectClass, label: &str) -> ObjectHandle {
        let found = self.find(class, label);
        assert_eq!(found.len(), 1, "{label}");
        found[0]
    }

    /// Leaves the module uninitialised, as a process that never used it.
    pub fn finish(self) {
        drop(self.session);
        self.pkcs11.finalize().unwrap();
    }
}

pub const SEALING: &str = "strongroom sealing key";
pub const AUDIT: &str = "strongroom audit key";
