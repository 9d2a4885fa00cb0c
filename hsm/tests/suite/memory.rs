//! Locked memory and a hardened process, on the real system.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::process::Command;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use strongroom_hsm::{
    HsmError, LockedArena, LockedBytes, MemoryError, PinSource, SealContext, harden_process,
};

use crate::bed::{isolated, refused};

#[test]
fn a_memlock_limit_too_low_is_said_with_its_value() {
    isolated("memory::a_memlock_limit_too_low_is_said_with_its_value", |bed| {
        let token = bed.initialise();
        let context = SealContext::new("seed", "alice", 1, 0).unwrap();
        let blob = token.seal(&context, &[7; 64]).unwrap();
        let limit = Rlimit { current: Some(16 * 4096), maximum: Some(16 * 4096) };
        setrlimit(Resource::Memlock, limit).unwrap();
        without_ipc_lock();
        let error = refused(LockedArena::with_capacity(10_000));
        assert!(matches!(error, MemoryError::NotLocked { bytes: 640_000, .. }), "{error}");
        let said = error.to_string();
        assert!(said.contains("640000 bytes") && said.contains("65536 bytes"), "{said}");
        assert!(said.contains("LimitMEMLOCK"), "{said}");
        let mut source = [7; 100_000];
        assert!(LockedBytes::take(&mut source).is_err());
        assert!(source.iter().all(|byte| *byte == 0), "erased also on failure");
        // What was refused is given back: the rest of the limit still serves.
        let small: Vec<LockedBytes> = (0..8).map(|_| LockedBytes::zeroed(64).unwrap()).collect();
        drop(small);
        setrlimit(Resource::Memlock, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
        let error = refused(token.unseal(&context, &blob));
        assert!(matches!(error, HsmError::Memory(MemoryError::NotLocked { .. })), "{error}");
        token.heartbeat().unwrap();
    });
}

/// Gives up root's leave to lock more than the limit.
fn without_ipc_lock() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let mut sets = capabilities(None).unwrap();
    sets.effective.remove(CapabilitySet::IPC_LOCK);
    set_capabilities(None, sets).unwrap();
}

#[test]
fn a_hardened_process_dumps_nothing_and_still_reads_its_pin() {
    isolated("memory::a_hardened_process_dumps_nothing_and_still_reads_its_pin", |bed| {
        harden_process().unwrap();
        harden_process().unwrap();
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
        // The system shows an undumpable process's files as root's, and refuses its peers.
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"correct horse\n").unwrap();
        drop(writer);
        let pin = PinSource::Fd(reader.as_raw_fd()).read().unwrap();
        let made = strongroom_hsm::initialise(&bed.uri, &pin, "vault");
        assert!(made.is_ok());
    });
}

#[test]
fn a_credential_is_read_from_systemds_directory() {
    let name = "memory::a_credential_is_read_from_systemds_directory";
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("hsm-pin"), "correct horse\n").unwrap();
    let credentials = |command: &mut Command| {
        command.env("CREDENTIALS_DIRECTORY", directory.path());
    };
    crate::bed::isolated_with(name, credentials, |bed| {
        let pin = PinSource::Credential("hsm-pin".into()).read().unwrap();
        assert!(strongroom_hsm::initialise(&bed.uri, &pin, "vault").is_ok());
        let error = refused(PinSource::Credential("other".into()).read());
        assert!(error.to_string().contains("other"), "{error}");
    });
}

/// How often a secret is in this process's writable memory. It is given masked, so that this
/// search finds neither its own argument nor what it has itself read.
fn copies_in_memory(masked: &[u8]) -> usize {
    let mut memory = fs::File::open("/proc/self/mem").unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let mut copies = 0;
    let mut bytes = Vec::new();
    for line in maps.lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        if !rest.starts_with("rw") || memory.seek(SeekFrom::Start(start)).is_err() {
            continue;
        }
        bytes.resize((end - start) as usize, 0);
        if memory.read_exact(&mut bytes).is_ok() {
            let same = |window: &[u8]| window.iter().zip(masked).all(|(a, b)| a ^ 0xff == *b);
            copies += bytes.windows(masked.len()).filter(|window| same(window)).count();
        }
        bytes.fill(0);
    }
    copies
}

#[test]
fn a_dropped_secret_is_nowhere_in_memory() {
    isolated("memory::a_dropped_secret_is_nowhere_in_memory", |bed| {
        let token = bed.initialise();
        let context = SealContext::new("seed", "alice", 1, 0).unwrap();
        let mut secret = LockedBytes::zeroed(48).unwrap();
        token.random(&mut secret).unwrap();
        // Without the first bytes, over which an allocator may write its own.
        let masked: Vec<u8> = secret.iter().skip(16).map(|byte| byte ^ 0xff).collect();
        assert_eq!(copies_in_memory(&masked), 1, "the search finds what is there");
        let blob = token.seal(&context, &secret).unwrap();
        drop(secret);
        assert_eq!(copies_in_memory(&masked), bed.kind.expected().copies_kept, "sealed, dropped");
        let opened = token.unseal(&context, &blob).unwrap();
        assert_eq!(copies_in_memory(&masked), 1 + bed.kind.expected().copies_kept, "opened");
        drop(opened);
        assert_eq!(copies_in_memory(&masked), bed.kind.expected().copies_kept, "opened, dropped");
        token.heartbeat().unwrap();
    });
}
