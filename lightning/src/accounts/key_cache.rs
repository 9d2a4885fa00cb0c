//! Derived keys, kept so that a key in use is derived once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use strongroom_policy::KeyPath;

use super::DerivedKey;

/// Keys kept before the table is emptied; some 16 MB. A client that asks for junk keys costs only time.
const CAPACITY: usize = 100_000;

/// Bounded table of derived keys.
#[derive(Default)]
pub(super) struct KeyCache(RwLock<HashMap<KeyPath, Arc<DerivedKey>>>);

impl KeyCache {
    pub(super) fn get(&self, path: &KeyPath) -> Option<Arc<DerivedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(path).cloned()
    }

    pub(super) fn insert(&self, path: KeyPath, key: Arc<DerivedKey>) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= CAPACITY {
            keys.clear();
        }
        keys.insert(path, key);
    }
}
