//! The store on sled.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::sealing::Sealer;
use super::{Batch, Store, StoreError, StoreKey};

/// Epoch salts stand under this prefix, unsealed: they are not secret.
const EPOCH: &[u8] = b"!epoch/";
/// statvfs is cheap, but not free: look at the disk once in so many batches.
const LOOK_EVERY: u32 = 32;

/// [`Store`] on one sled tree.
pub struct SledStore {
    db: sled::Db,
    sealer: Sealer,
    data: File,
    dir: PathBuf,
    reserve: u64,
    batches: AtomicU32,
}

impl SledStore {
    /// Opens or makes the store in `dir`. Appends are refused while less than `reserve` bytes are free on its disk.
    pub fn open(dir: &Path, key: &StoreKey, reserve: u64) -> Result<Self, StoreError> {
        let db = sled::Config::new()
            .path(dir)
            .cache_capacity(128 << 20)
            .mode(sled::Mode::HighThroughput)
            // The syncer flushes; a timer of sled's own would only compete with it.
            .flush_every_ms(None)
            .open()
            .map_err(|e| match e {
                sled::Error::Io(io) if io.kind() == std::io::ErrorKind::WouldBlock => {
                    StoreError::Held { path: dir.display().to_string(), because: io.to_string() }
                }
                other => StoreError::Io(other.to_string()),
            })?;
        // sled 0.34 flushes with sync_file_range(2), which neither writes file metadata nor empties the disk's own
        // cache, so a loss of power can take what it called flushed. An fdatasync on the same inode closes that.
        let data = File::open(dir.join("db")).map_err(|e| StoreError::Io(e.to_string()))?;
        let mut epochs = Vec::new();
        for entry in db.scan_prefix(EPOCH) {
            let (name, salt) = entry.map_err(io)?;
            let number = name[EPOCH.len()..].try_into().map(u32::from_be_bytes);
            match (number, <[u8; 32]>::try_from(salt.as_ref())) {
                (Ok(number), Ok(salt)) => epochs.push((number, salt)),
                _ => return Err(StoreError::Integrity { key: hex::encode(name) }),
            }
        }
        let next = epochs.last().map_or(0, |(n, _)| n + 1);
        let mut salt = [0u8; 32];
        getrandom::fill(&mut salt).map_err(|e| StoreError::Io(e.to_string()))?;
        let name = [EPOCH, &next.to_be_bytes()].concat();
        db.insert(name, &salt).map_err(io)?;
        epochs.push((next, salt));
        let sealer = Sealer::new(key, &epochs).expect("an epoch was just pushed");
        let store = Self { db, sealer, data, dir: dir.to_owned(), reserve, batches: AtomicU32::new(0) };
        store.sync()?;
        Ok(store)
    }

    fn check_disk(&self) -> Result<(), StoreError> {
        if self.batches.fetch_add(1, Ordering::Relaxed) % LOOK_EVERY != 0 {
            return Ok(());
        }
        let disk = rustix::fs::statvfs(&self.dir).map_err(|e| StoreError::Io(e.to_string()))?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < self.reserve {
            // Look again at the very next batch: space may be back.
            self.batches.store(0, Ordering::Relaxed);
            return Err(StoreError::DiskFull { free_mib: free >> 20, reserve_mib: self.reserve >> 20 });
        }
        Ok(())
    }
}

fn io(e: sled::Error) -> StoreError {
    StoreError::Io(e.to_string())
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.db.get(key).map_err(io)? {
            None => Ok(None),
            Some(sealed) => self
                .sealer
                .open(key, &sealed)
                .map(Some)
                .map_err(|_| StoreError::Integrity { key: hex::encode(key) }),
        }
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.check_disk()?;
        let mut writes = sled::Batch::default();
        for (key, value) in &batch.writes {
            match value {
                Some(value) => writes.insert(key.as_slice(), self.sealer.seal(key, value)),
                None => writes.remove(key.as_slice()),
            }
        }
        self.db.apply_batch(writes).map_err(io)
    }

    fn sync(&self) -> Result<Duration, StoreError> {
        let start = Instant::now();
        self.db.flush().map_err(io)?;
        self.data.sync_data().map_err(|e| StoreError::Io(e.to_string()))?;
        Ok(start.elapsed())
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        match self.db.scan_prefix(prefix).next_back().transpose().map_err(io)? {
            None => Ok(None),
            Some((key, sealed)) => match self.sealer.open(&key, &sealed) {
                Ok(value) => Ok(Some((key.to_vec(), value))),
                Err(_) => Err(StoreError::Integrity { key: hex::encode(&key) }),
            },
        }
    }

    fn scan<'a>(
        &'a self,
        prefix: &[u8],
        from: &[u8],
    ) -> Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + 'a> {
        let prefix = prefix.to_vec();
        Box::new(self.db.range(from.to_vec()..).map_while(move |entry| match entry {
            Err(e) => Some(Err(io(e))),
            Ok((key, _)) if !key.starts_with(&prefix) => None,
            Ok((key, sealed)) => Some(match self.sealer.open(&key, &sealed) {
                Ok(value) => Ok((key.to_vec(), value)),
                Err(_) => Err(StoreError::Integrity { key: hex::encode(&key) }),
            }),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use strongroom_hsm::LockedBytes;

    fn key(byte: u8) -> StoreKey {
        StoreKey::new(LockedBytes::take(&mut [byte; 32]).expect("locked memory is to be had"))
    }

    fn put(store: &SledStore, name: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put(name.to_vec(), value.to_vec());
        store.apply(batch)
    }

    #[test]
    fn another_key_opens_nothing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        put(&SledStore::open(dir.path(), &key(1), 0).expect("open"), b"a", b"secret").expect("put");
        let other = SledStore::open(dir.path(), &key(2), 0).expect("open");
        assert!(matches!(other.get(b"a"), Err(StoreError::Integrity { .. })));
    }

    #[test]
    fn a_value_moved_to_another_name_does_not_open() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = SledStore::open(dir.path(), &key(1), 0).expect("open");
        put(&store, b"a", b"one").expect("put");
        let stolen = store.db.get(b"a").expect("get").expect("there");
        store.db.insert(b"b", stolen).expect("insert");
        assert!(matches!(store.get(b"b"), Err(StoreError::Integrity { .. })));
        assert_eq!(store.get(b"a").expect("get"), Some(b"one".to_vec()));
    }

    #[test]
    fn values_of_earlier_openings_still_open_and_are_not_on_disk_in_the_clear() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for n in 0..3u8 {
            let store = SledStore::open(dir.path(), &key(1), 0).expect("open");
            put(&store, &[b'k', n], b"PLAINTEXT-MARKER").expect("put");
            store.sync().expect("sync");
        }
        let store = SledStore::open(dir.path(), &key(1), 0).expect("open");
        let all: Vec<_> = store.scan(b"k", b"k").collect::<Result<_, _>>().expect("scan");
        assert_eq!(all.len(), 3);
        let raw = std::fs::read(dir.path().join("db")).expect("read");
        assert!(!raw.windows(16).any(|w| w == b"PLAINTEXT-MARKER"));
    }

    #[test]
    fn a_full_disk_is_refused_with_the_value_and_the_limit() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = SledStore::open(dir.path(), &key(1), u64::MAX).expect("open");
        assert!(matches!(put(&store, b"a", b"b"), Err(StoreError::DiskFull { .. })));
        assert_eq!(store.get(b"a").expect("get"), None);
    }
}
