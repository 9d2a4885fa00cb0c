//! The store on fjall: a log-structured tree behind a write-ahead log.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::log::Log;
use super::sealing::Sealer;
use super::{Batch, Pair, Store, StoreError, StoreKey};

/// Epoch salts stand under this prefix, unsealed: they are not secret.
const EPOCH: &[u8] = b"!epoch/";
/// statvfs is cheap, but not free: look at the disk once in so many batches.
const LOOK_EVERY: u32 = 32;
/// Bytes of blocks kept in memory.
const CACHE: u64 = 64 << 20;

/// [`Store`] in one fjall keyspace.
pub struct FjallStore {
    db: Database,
    records: Keyspace,
    log: Log,
    sealer: Sealer,
    dir: PathBuf,
    reserve: u64,
    batches: AtomicU32,
}

impl FjallStore {
    /// Opens or makes the store in `dir`. Appends are refused while less than `reserve` bytes are free on its disk.
    pub fn open(dir: &Path, key: &StoreKey, reserve: u64) -> Result<Self, StoreError> {
        let db = Database::builder(dir).cache_size(CACHE).worker_threads(1).open().map_err(|e| match e {
            fjall::Error::Locked => StoreError::Held { path: dir.display().to_string() },
            other => io(other),
        })?;
        let records = db.keyspace("journal", KeyspaceCreateOptions::default).map_err(io)?;
        let mut epochs = Vec::new();
        for entry in records.prefix(EPOCH) {
            let (name, salt) = entry.into_inner().map_err(io)?;
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
        records.insert(name, salt.as_slice()).map_err(io)?;
        epochs.push((next, salt));
        let sealer = Sealer::new(key, &epochs).expect("an epoch was just pushed");
        let log = Log::find(dir).map_err(|e| StoreError::Io(e.to_string()))?;
        let store =
            Self { db, records, log, sealer, dir: dir.to_owned(), reserve, batches: AtomicU32::new(0) };
        store.sync()?;
        Ok(store)
    }

    fn opened(&self, key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.sealer.open(key, sealed).map_err(|_| StoreError::Integrity { key: hex::encode(key) })
    }

    fn check_disk(&self) -> Result<(), StoreError> {
        if !self.batches.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOK_EVERY) {
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

fn io(e: fjall::Error) -> StoreError {
    match e {
        fjall::Error::Io(e) => StoreError::Io(e.to_string()),
        fjall::Error::Poisoned => StoreError::Io("an earlier write failed".to_owned()),
        other => StoreError::Io(other.to_string()),
    }
}

impl Store for FjallStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let found = self.records.get(key).map_err(io)?;
        found.map(|sealed| self.opened(key, &sealed)).transpose()
    }

    fn apply(&self, batch: Batch) -> Result<(), StoreError> {
        self.check_disk()?;
        // By default a batch is written to the file at once; `sync` does that too.
        let mut writes = if batch.awaits_sync { self.db.batch().durability(None) } else { self.db.batch() };
        for (key, value) in batch.writes {
            match value {
                Some(value) => {
                    let sealed = self.sealer.seal(&key, &value);
                    writes.insert(&self.records, key, sealed);
                }
                None => writes.remove(&self.records, key),
            }
        }
        writes.commit().map_err(io)
    }

    fn sync(&self) -> Result<Duration, StoreError> {
        let start = Instant::now();
        self.db.persist(PersistMode::Buffer).map_err(io)?;
        self.log.sync().map_err(|e| StoreError::Io(e.to_string()))?;
        Ok(start.elapsed())
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, StoreError> {
        let Some(entry) = self.records.prefix(prefix).next_back() else { return Ok(None) };
        let (key, sealed) = entry.into_inner().map_err(io)?;
        let value = self.opened(&key, &sealed)?;
        Ok(Some((key.to_vec(), value)))
    }

    fn scan<'a>(
        &'a self,
        prefix: &[u8],
        from: &[u8],
    ) -> Box<dyn Iterator<Item = Result<Pair, StoreError>> + 'a> {
        let prefix = prefix.to_vec();
        Box::new(self.records.range(from.to_vec()..).map_while(move |entry| match entry.into_inner() {
            Err(e) => Some(Err(io(e))),
            Ok((key, _)) if !key.starts_with(&prefix) => None,
            Ok((key, sealed)) => Some(self.opened(&key, &sealed).map(|value| (key.to_vec(), value))),
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

    fn put(store: &FjallStore, name: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.put(name.to_vec(), value.to_vec());
        store.apply(batch)
    }

    #[test]
    fn another_key_opens_nothing() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        put(&FjallStore::open(dir.path(), &key(1), 0).expect("open"), b"a", b"secret").expect("put");
        let other = FjallStore::open(dir.path(), &key(2), 0).expect("open");
        assert!(matches!(other.get(b"a"), Err(StoreError::Integrity { .. })));
    }

    #[test]
    fn a_value_moved_to_another_name_does_not_open() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = FjallStore::open(dir.path(), &key(1), 0).expect("open");
        put(&store, b"a", b"one").expect("put");
        let stolen = store.records.get(b"a").expect("get").expect("there");
        store.records.insert(b"b", stolen).expect("insert");
        assert!(matches!(store.get(b"b"), Err(StoreError::Integrity { .. })));
        assert_eq!(store.get(b"a").expect("get"), Some(b"one".to_vec()));
    }

    #[test]
    fn values_of_earlier_openings_still_open_and_are_not_on_disk_in_the_clear() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        for n in 0..3u8 {
            let store = FjallStore::open(dir.path(), &key(1), 0).expect("open");
            put(&store, &[b'k', n], b"PLAINTEXT-MARKER").expect("put");
            store.sync().expect("sync");
        }
        let store = FjallStore::open(dir.path(), &key(1), 0).expect("open");
        let all: Vec<_> = store.scan(b"k", b"k").collect::<Result<_, _>>().expect("scan");
        assert_eq!(all.len(), 3);
        store.sync().expect("sync");
        let (mut files, mut folders) = (0, vec![dir.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files += 1;
                    let raw = std::fs::read(&path).expect("read");
                    assert!(!raw.windows(16).any(|w| w == b"PLAINTEXT-MARKER"), "{}", path.display());
                }
            }
        }
        assert!(files > 0);
    }

    /// `sync` flushes a file that it finds by its name: what is written must be in it, also after fjall begins another.
    #[test]
    fn what_is_written_is_in_the_file_that_is_flushed() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = FjallStore::open(dir.path(), &key(1), 0).expect("open");
        let mut numbers = Vec::new();
        for name in [b"first-name", b"other-name"] {
            let mut batch = Batch::default();
            batch.put(name.to_vec(), b"value".to_vec());
            store.apply(batch.awaiting_sync()).expect("applied");
            store.sync().expect("synced");
            let number = store.log.newest();
            let raw = std::fs::read(dir.path().join(format!("{number}.jnl"))).expect("the log file");
            assert!(raw.windows(name.len()).any(|w| w == name), "{number}.jnl lacks what was written last");
            numbers.push(number);
            // fjall begins another file when the memtable is written out and the file has 64 MB.
            for _ in 0..17 {
                store.records.insert(b"bulk", vec![7; 4 << 20]).expect("inserted");
            }
            store.records.rotate_memtable_and_wait().expect("another file");
        }
        assert_ne!(numbers[0], numbers[1]);
    }

    #[test]
    fn a_second_opening_is_refused_by_name() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let _first = FjallStore::open(dir.path(), &key(1), 0).expect("open");
        assert!(matches!(FjallStore::open(dir.path(), &key(1), 0), Err(StoreError::Held { .. })));
    }

    #[test]
    fn a_removed_value_is_gone_and_the_last_is_the_last() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = FjallStore::open(dir.path(), &key(1), 0).expect("open");
        for n in 0..300u16 {
            put(&store, &[b"L".as_slice(), &n.to_be_bytes()].concat(), b"leaf").expect("put");
        }
        put(&store, b"M", b"other").expect("put");
        let (last, _) = store.last(b"L").expect("last").expect("there");
        assert_eq!(last, [b"L".as_slice(), &299u16.to_be_bytes()].concat());
        let mut batch = Batch::default();
        batch.remove(last);
        store.apply(batch).expect("apply");
        let (last, _) = store.last(b"L").expect("last").expect("there");
        assert_eq!(last, [b"L".as_slice(), &298u16.to_be_bytes()].concat());
    }

    #[test]
    fn a_full_disk_is_refused_with_the_value_and_the_limit() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let store = FjallStore::open(dir.path(), &key(1), u64::MAX).expect("open");
        assert!(matches!(put(&store, b"a", b"b"), Err(StoreError::DiskFull { .. })));
        assert_eq!(store.get(b"a").expect("get"), None);
    }
}
