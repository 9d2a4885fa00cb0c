//! One PKCS#11 module in this process: loaded once, initialised while somebody uses it.
//!
//! `C_Initialize`, login and object handles belong to the whole process, so everything goes
//! through one mutex per module. Each initialisation is a *generation*: when the module or its
//! token vanishes the generation ends, and whoever held on to it only ever hears "gone",
//! without his stale handles reaching the module again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error as Pkcs11Error, RvError};
use cryptoki::slot::{Slot, TokenInfo};

use crate::error::HsmError;
use crate::uri::TokenUri;

pub(crate) struct Module {
    path: PathBuf,
    pkcs11: Pkcs11,
    state: Mutex<State>,
}

/// The module, locked for one caller.
pub(crate) struct Entered<'a> {
    pub(crate) pkcs11: &'a Pkcs11,
    path: &'a Path,
    state: MutexGuard<'a, State>,
}

#[derive(Default)]
struct State {
    generation: u64,
    initialised: bool,
    open_slots: BTreeSet<u64>,
}

impl Module {
    /// The module at `path`; it stays loaded until the process ends, because modules (and the
    /// crypto libraries under them) do not survive being unloaded.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, HsmError> {
        static LOADED: Mutex<BTreeMap<PathBuf, Arc<Module>>> = Mutex::new(BTreeMap::new());
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(path) {
            return Ok(module.clone());
        }
        let pkcs11 = Pkcs11::new(path).map_err(|error| HsmError::NoModule {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        let module = Arc::new(Self { path: path.to_owned(), pkcs11, state: Mutex::default() });
        loaded.insert(path.to_owned(), module.clone());
        Ok(module)
    }

    /// Locks the module, initialising it if nobody uses it yet.
    pub(crate) fn enter(&self) -> Result<Entered<'_>, HsmError> {
        let mut entered = self.lock();
        if !entered.state.initialised {
            entered.initialise()?;
        }
        Ok(entered)
    }

    /// Locks the module for the holder of `generation`; none if that has ended.
    pub(crate) fn resume(&self, generation: u64) -> Option<Entered<'_>> {
        let entered = self.lock();
        (entered.state.initialised && entered.state.generation == generation).then_some(entered)
    }

    fn lock(&self) -> Entered<'_> {
        // A panic under the lock can only have come from a module's binding; what it left
        // behind is found out by the next call.
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Entered { pkcs11: &self.pkcs11, path: &self.path, state }
    }
}

impl Entered<'_> {
    pub(crate) fn generation(&self) -> u64 {
        self.state.generation
    }

    fn initialise(&mut self) -> Result<(), HsmError> {
        let locking = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match self.pkcs11.initialize(locking) {
            // Somebody beside us in this process uses the module: that is allowed.
            Ok(()) | Err(Pkcs11Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => {
                let error = gone_or(error);
                return Err(match error.code() {
                    Some(_) => HsmError::NoModule {
                        path: self.path.display().to_string(),
                        reason: format!("{error} (is its configuration set for this process?)"),
                    },
                    None => error,
                });
            }
        }
        self.state.generation += 1;
        self.state.initialised = true;
        Ok(())
    }

    /// The one slot that the URI names.
    pub(crate) fn find(&self, uri: &TokenUri) -> Result<(Slot, TokenInfo), HsmError> {
        let slots = self.pkcs11.get_slots_with_token().map_err(gone_or)?;
        let mut seen = Vec::new();
        let mut found = Vec::new();
        for slot in slots {
            // A slot that cannot be read, or whose token is blank, is not the one.
            let Ok(info) = self.pkcs11.get_token_info(slot) else {
                continue;
            };
            if !info.token_initialized() {
                continue;
            }
            if uri.matches(slot.id(), &info) {
                found.push((slot, info));
            } else {
                seen.push(format!("{:?}", info.label()));
            }
        }
        match found.len() {
            0 => Err(HsmError::NoToken {
                uri: uri.to_string(),
                seen: if seen.is_empty() { "none".to_owned() } else { seen.join(", ") },
            }),
            1 => Ok(found.remove(0)),
            count => Err(HsmError::Ambiguous { uri: uri.to_string(), count }),
        }
    }

    /// Notes that a token is held open.
    pub(crate) fn claim(&mut self, slot: Slot) -> Result<(), HsmError> {
        if self.state.open_slots.insert(slot.id()) { Ok(()) } else { Err(HsmError::AlreadyOpen) }
    }

    /// Gives a token back; the last one out finalises the module, so that the next to come
    /// sees the token as it then is.
    pub(crate) fn release(&mut self, slot: Slot) {
        self.state.open_slots.remove(&slot.id());
        self.leave_if_unused();
    }

    /// Finalises the module when no token is open.
    pub(crate) fn leave_if_unused(&mut self) {
        if self.state.open_slots.is_empty() {
            self.end_generation();
        }
    }

    /// Ends this generation for everybody: sessions, logins and handles are void.
    pub(crate) fn end_generation(&mut self) {
        if self.state.initialised {
            // A module that has lost its token may fail here too; there is nothing else to do.
            let _ = self.pkcs11.clone().finalize();
        }
        self.state.initialised = false;
        self.state.open_slots.clear();
    }
}

/// A module that cannot even be asked is gone.
pub(crate) fn gone_or(error: Pkcs11Error) -> HsmError {
    let error = HsmError::from(error);
    if error.says_gone() { HsmError::Gone(error.to_string()) } else { error }
}
