//! Memory for opened secrets: locked, left out of core files, fenced by guard pages, erased.
//!
//! memsec's `malloc` is used and not its `memfd_secret`: that descriptor is inherited across
//! `exec` (a child could map the secrets) and leaks when the mapping fails.

#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use rustix::process::{Resource, getrlimit};
use zeroize::Zeroize;

/// Locked memory could not be had.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The system refused the memory.
    #[error("{bytes} bytes of memory could not be had")]
    Refused {
        /// How many bytes were asked for.
        bytes: usize,
    },
    /// The memory could not be locked.
    #[error(
        "{bytes} bytes could not be locked into memory ({reason}): RLIMIT_MEMLOCK is {limit}; raise it (LimitMEMLOCK= in the unit, ulimit -l in a shell)"
    )]
    NotLocked {
        /// How many bytes were asked for.
        bytes: usize,
        /// What the system said.
        reason: std::io::Error,
        /// The limit in force, in words.
        limit: String,
    },
    /// A [`LockedArena`] has no free slot.
    #[error("all {0} slots of locked memory are taken")]
    Full(usize),
}

/// Bytes in locked memory, erased on drop. No `Debug`, no `Clone`.
///
/// Each costs at least one page of RLIMIT_MEMLOCK: many small secrets belong in one
/// [`LockedArena`].
pub struct LockedBytes(NonNull<[u8]>);

// SAFETY: the allocation is owned by this value alone and carries no thread affinity;
// access follows the borrow of `self` like that of a `Box<[u8]>`.
unsafe impl Send for LockedBytes {}
// SAFETY: as above; `&LockedBytes` gives `&[u8]` only.
unsafe impl Sync for LockedBytes {}

impl LockedBytes {
    /// `len` zero bytes.
    ///
    /// # Errors
    /// [`MemoryError::NotLocked`], naming RLIMIT_MEMLOCK, when the memory cannot be locked.
    pub fn zeroed(len: usize) -> Result<Self, MemoryError> {
        // At least one byte: an empty range would end in the guard page.
        let size = len.max(1);
        // SAFETY: malloc_sized has no precondition; it returns an allocation of `size` bytes,
        // all of them initialised, between guard pages.
        let memory = unsafe { memsec::malloc_sized(size) }.ok_or(MemoryError::Refused { bytes: len })?;
        // Owned from here on, so that an early return frees it.
        let mut bytes = Self(NonNull::slice_from_raw_parts(memory.cast(), len));
        // memsec locks, but drops the outcome; locking a page twice is one lock, so ask again.
        // SAFETY: the range is the allocation just made.
        let locked = unsafe { memsec::mlock(memory.as_ptr().cast(), size) };
        if !locked {
            let reason = std::io::Error::last_os_error();
            return Err(MemoryError::NotLocked { bytes: len, reason, limit: memlock_limit() });
        }
        bytes.fill(0);
        Ok(bytes)
    }

    /// Moves bytes in: the source is erased, also on failure.
    ///
    /// # Errors
    /// As [`LockedBytes::zeroed`].
    pub fn take(source: &mut [u8]) -> Result<Self, MemoryError> {
        let taken = Self::zeroed(source.len()).map(|mut bytes| {
            bytes.copy_from_slice(source);
            bytes
        });
        source.zeroize();
        taken
    }
}

impl Deref for LockedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the allocation is live, initialised and ours until drop.
        unsafe { self.0.as_ref() }
    }
}

impl DerefMut for LockedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes the access exclusive.
        unsafe { self.0.as_mut() }
    }
}

impl Drop for LockedBytes {
    fn drop(&mut self) {
        self.zeroize();
        // SAFETY: the pointer came from malloc_sized and is freed once.
        unsafe { memsec::free(self.0) }
    }
}

fn memlock_limit() -> String {
    match getrlimit(Resource::Memlock).current {
        Some(bytes) => format!("{bytes} bytes"),
        None => "unlimited".to_owned(),
    }
}

/// One locked allocation of many 64-byte slots, for derived keys. No `Debug`, no `Clone`.
pub struct LockedArena {
    bytes: LockedBytes,
    used: usize,
}

impl LockedArena {
    /// The size of a slot, in bytes: a private key and its chain code, or a key pair.
    pub const SLOT: usize = 64;

    /// An arena of `slots` slots, all zero and free.
    ///
    /// # Errors
    /// As [`LockedBytes::zeroed`].
    pub fn with_capacity(slots: usize) -> Result<Self, MemoryError> {
        let bytes = slots.checked_mul(Self::SLOT).ok_or(MemoryError::Refused { bytes: usize::MAX })?;
        Ok(Self { bytes: LockedBytes::zeroed(bytes)?, used: 0 })
    }

    /// How many slots there are.
    pub fn capacity(&self) -> usize {
        self.bytes.len() / Self::SLOT
    }

    /// How many slots are taken.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether no slot is taken.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Moves a secret into the next free slot and returns the slot's index; the source is
    /// erased, also on failure.
    ///
    /// # Errors
    /// [`MemoryError::Full`] when every slot is taken.
    pub fn push(&mut self, secret: &mut [u8; Self::SLOT]) -> Result<usize, MemoryError> {
        let index = self.used;
        let pushed = match self.slots_mut().get_mut(index) {
            Some(slot) => {
                slot.copy_from_slice(secret);
                Ok(index)
            }
            None => Err(MemoryError::Full(self.capacity())),
        };
        secret.zeroize();
        self.used += usize::from(pushed.is_ok());
        pushed
    }

    /// The secret in a taken slot.
    pub fn slot(&self, index: usize) -> Option<&[u8; Self::SLOT]> {
        let (slots, _) = self.bytes.as_chunks();
        slots[..self.used].get(index)
    }

    /// The secret in a taken slot, to be changed in place.
    pub fn slot_mut(&mut self, index: usize) -> Option<&mut [u8; Self::SLOT]> {
        let used = self.used;
        self.slots_mut()[..used].get_mut(index)
    }

    /// Erases every slot and makes all of them free again.
    pub fn clear(&mut self) {
        self.bytes.zeroize();
        self.used = 0;
    }

    fn slots_mut(&mut self) -> &mut [[u8; Self::SLOT]] {
        self.bytes.as_chunks_mut().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_arena_refuses_and_still_erases_the_source() {
        let mut arena = LockedArena::with_capacity(2).unwrap();
        assert_eq!(arena.push(&mut [1; 64]).unwrap(), 0);
        assert_eq!(arena.push(&mut [2; 64]).unwrap(), 1);
        let mut third = [3; 64];
        assert!(matches!(arena.push(&mut third), Err(MemoryError::Full(2))));
        assert_eq!(third, [0; 64]);
        assert_eq!(arena.slot(1), Some(&[2; 64]));
        assert_eq!(arena.slot(2), None);
    }

    #[test]
    fn a_cleared_arena_holds_nothing() {
        let mut arena = LockedArena::with_capacity(100).unwrap();
        for _ in 0..100 {
            arena.push(&mut [7; 64]).unwrap();
        }
        arena.clear();
        assert!(arena.is_empty() && arena.slot(0).is_none());
        assert!(arena.bytes.iter().all(|byte| *byte == 0));
        assert_eq!(arena.push(&mut [8; 64]).unwrap(), 0);
    }

    #[test]
    fn taking_erases_the_source() {
        let mut source = *b"a secret";
        let taken = LockedBytes::take(&mut source).unwrap();
        assert_eq!(&*taken, b"a secret");
        assert_eq!(source, [0; 8]);
        assert!(LockedBytes::zeroed(0).unwrap().is_empty());
    }

    #[test]
    fn the_memory_is_locked_and_left_out_of_dumps() {
        let bytes = LockedBytes::zeroed(3 * 4096).unwrap();
        let address = bytes.as_ptr() as usize;
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut flags = None;
        for line in smaps.lines() {
            if let Some((range, _)) = line.split_once(' ')
                && let Some((start, end)) = range.split_once('-')
                && let (Ok(start), Ok(end)) =
                    (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16))
            {
                inside = (start..end).contains(&address);
            }
            if inside && let Some(found) = line.strip_prefix("VmFlags:") {
                flags = Some(found.to_owned());
            }
        }
        let flags = flags.expect("the allocation has a mapping");
        let has = |flag| flags.split_whitespace().any(|seen| seen == flag);
        assert!(has("lo") && has("dd"), "VmFlags: {flags}");
    }
}
