//! A disk that takes nothing any more: refused in words, and nothing signed before is lost.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use strongroom_tests::clock::until_true;
use strongroom_tests::grpc::{Channel, PERMISSION_DENIED};
use strongroom_tests::load::Operation;
use strongroom_tests::process::Process;
use strongroom_tests::strongroomd::{Launch, Strongroomd};
use strongroom_tests::workdir::Workdir;

use super::Bed;

/// Asks for `requests` one after another while nothing can be written: from the first refusal on, all are refused.
/// Answers how many were.
fn refused_from_some_point_on(bed: &Bed, requests: &[Bytes]) -> Result<usize> {
    let mut refusals = 0;
    for request in requests {
        let answer = bed
            .ask_framed(Operation::SignCommitment.method(), request.clone())
            .context("the daemon is gone; a full disk must not end it")?;
        match answer.code {
            0 => ensure!(refusals == 0, "signed again while the disk is full"),
            PERMISSION_DENIED => refusals += 1,
            other => bail!("code {other}: {}", answer.message),
        }
    }
    ensure!(refusals > 0, "{} requests were signed though nothing could be written", requests.len());
    Ok(refusals)
}

/// Signs `requests`; the answers' bytes.
fn signed(bed: &Bed, requests: &[Bytes]) -> Result<Vec<Bytes>> {
    let mut signed = Vec::with_capacity(requests.len());
    for request in requests {
        let answer = bed.ask_framed(Operation::SignCommitment.method(), request.clone())?;
        ensure!(answer.code == 0, "code {}: {}", answer.code, answer.message);
        signed.push(answer.body);
    }
    Ok(signed)
}

/// Starts the daemon again and asks for everything: what it signed before comes in the same bytes, what it refused is
/// signed now.
fn nothing_is_lost(bed: &mut Bed, requests: &[Bytes], before: &[Bytes]) -> Result<()> {
    bed.daemon.process().stop(10)?;
    bed.daemon.start_again()?;
    let endpoint = bed.daemon.endpoint();
    bed.good = bed.runtime.block_on(Channel::to_signer(&endpoint))?;
    let all = signed(bed, requests)?;
    ensure!(all.starts_with(before), "a signature from before is lost or other");
    bed.still_signs()
}

#[test]
fn files_that_cannot_grow_refuse_and_lose_nothing() -> Result<()> {
    Workdir::new("faults-disk")?.run(|dir| {
        let mut bed = Bed::launched(dir, Launch { file_size_is_an_error: true, ..Launch::default() })?;
        let requests = bed.source.commitments(60)?;
        let before = signed(&bed, &requests[..50])?;
        // No file may grow any more: what a full disk does to a writer.
        limit_file_size(&mut bed.daemon, "0")?;
        let refusals = refused_from_some_point_on(&bed, &requests[50..])?;
        let fault = bed.daemon.status()?["journal_fault"].clone();
        limit_file_size(&mut bed.daemon, "unlimited")?;
        nothing_is_lost(&mut bed, &requests, &before)?;
        eprintln!("faults figures: files cannot grow: {refusals} of 10 refused, journal says {fault}");
        Ok(())
    })
}

/// A small filesystem of its own, in a mount namespace that only this process and the daemon see.
struct SmallDisk {
    holder: Process,
    mounted: PathBuf,
}

impl SmallDisk {
    /// Mounts `mib` MiB at `at`. Needs root (CAP_SYS_ADMIN).
    fn mount(at: &Path, mib: u32, log: PathBuf) -> Result<Self> {
        std::fs::create_dir_all(at)?;
        let script = format!(
            "mount -t tmpfs -o size={mib}m,mode=0700 strongroom-test '{}' && exec sleep infinity",
            at.display()
        );
        let args = ["--mount", "--propagation", "private", "sh", "-c", &script].map(str::to_owned);
        let holder = Process::start("unshare", Path::new("unshare"), &args, &[], log)?;
        let mut disk = Self { holder, mounted: at.to_path_buf() };
        until_true(10, "a filesystem mounted in a namespace of its own (needs root)", || {
            disk.holder.check_alive()?;
            let mounts = std::fs::read_to_string(format!("/proc/{}/mountinfo", disk.holder.pid()))?;
            Ok(mounts.contains("strongroom-test"))
        })?;
        Ok(disk)
    }

    /// What starts a program that sees it.
    fn enter(&self) -> Vec<String> {
        ["nsenter", "--target", &self.holder.pid().to_string(), "--mount", "--"].map(str::to_owned).into()
    }

    /// A file on it, as seen from here.
    fn file(&self, name: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.holder.pid()));
        root.join(self.mounted.strip_prefix("/").unwrap_or(&self.mounted)).join(name)
    }

    /// Fills it to the last byte.
    fn fill(&self) -> Result<()> {
        let mut filler = File::create(self.file("filler"))?;
        let (mut block, mut written) = (vec![0; 1 << 20], 0u64);
        loop {
            match filler.write(&block) {
                Ok(n) => written += n as u64,
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull && block.len() > 1 => {
                    block.truncate(block.len() / 2);
                }
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
        ensure!(written > 0, "the filesystem was full before");
        Ok(())
    }
}

#[test]
fn a_full_filesystem_refuses_and_loses_nothing() -> Result<()> {
    // With the reserve that the configuration asks for, and with none: then it is the disk itself that refuses.
    for reserve in ["16", "0"] {
        Workdir::new("faults-full")?.run(|dir| {
            let disk = SmallDisk::mount(&dir.join("state"), 192, dir.join("mount.log"))?;
            let launch = Launch {
                under: disk.enter(),
                config: vec![("limits.min_free_disk_mib", reserve.to_owned())],
                ..Launch::default()
            };
            let mut bed = Bed::launched(dir, launch)?;
            let requests = bed.source.commitments(450)?;
            let before = signed(&bed, &requests[..50])?;
            disk.fill()?;
            let refusals = refused_from_some_point_on(&bed, &requests[50..])?;
            std::fs::remove_file(disk.file("filler"))?;
            nothing_is_lost(&mut bed, &requests, &before)?;
            eprintln!("faults figures: filesystem full, {reserve} MiB reserved: {refusals} of 400 refused");
            Ok(())
        })?;
    }
    Ok(())
}

/// Sets the soft limit of the daemon's file sizes (util-linux `prlimit`).
fn limit_file_size(daemon: &mut Strongroomd, soft: &str) -> Result<()> {
    let pid = daemon.process().pid().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &pid, &format!("--fsize={soft}:unlimited")])
        .status()
        .context("run prlimit (package util-linux)")?;
    ensure!(status.success(), "prlimit --fsize={soft}: {status}");
    Ok(())
}
