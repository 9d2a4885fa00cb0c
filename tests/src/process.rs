//! One child process: its log in a file, killed by its id when dropped, also on panic.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rand::Rng;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use crate::clock::PATIENCE;

static DETACHED: AtomicBool = AtomicBool::new(false);

/// From now on children are started so that they may outlive this process. They are still killed
/// when dropped; whoever wants them to stay forgets them (`std::mem::forget`).
pub fn let_children_outlive() {
    DETACHED.store(true, Ordering::Relaxed);
}

/// A running child process.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` with `args`, both output streams appended to `log`.
    pub fn start(
        name: &str,
        program: &Path,
        args: &[String],
        env: &[(&str, &Path)],
        log: PathBuf,
    ) -> Result<Self> {
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| format!("open log {}", log.display()))?;
        let mut command = if DETACHED.load(Ordering::Relaxed) {
            Command::new(program)
        } else {
            // Should this process be killed outright, its children die with it.
            let mut command = Command::new("setpriv");
            command.args(["--pdeathsig", "KILL", "--"]).arg(program);
            command
        };
        command.args(args).stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out);
        for (key, value) in env {
            command.env(key, value);
        }
        let child = spawn(command).with_context(|| format!("start {name} ({})", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Errors with the end of the log when the process is gone.
    pub fn check_alive(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended ({status}):\n{}", self.name, self.log_tail(15));
        }
        Ok(())
    }

    /// The exit status if the process has ended.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// The last `lines` of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }

    /// Sends `signal` to this process id.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.pid())?).context("process id 0")?;
        kill_process(pid, signal).with_context(|| format!("signal {}", self.name))
    }

    /// Kills at once (SIGKILL) and reaps.
    pub fn kill(&mut self) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    /// Asks to stop (SIGTERM), waits at most `seconds`, or longer on a loaded machine, then kills. Errors if it had to kill.
    pub fn stop(&mut self, seconds: u64) -> Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        self.signal(Signal::TERM)?;
        let deadline = Instant::now() + Duration::from_secs(seconds) * PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill()?;
        bail!("{}: did not stop within {} s of SIGTERM", self.name, seconds * u64::from(PATIENCE))
    }

    /// Peak resident memory, KiB (`VmHWM`).
    pub fn peak_rss_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        status
            .lines()
            .find_map(|l| l.strip_prefix("VmHWM:"))
            .and_then(|v| v.trim().trim_end_matches(" kB").parse().ok())
            .with_context(|| format!("{}: no VmHWM", self.name))
    }

    /// CPU time used so far by all threads, seconds.
    pub fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        let fields: Vec<&str> =
            stat.rsplit_once(')').context("stat without a name")?.1.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok(ticks / rustix::param::clock_ticks_per_second() as f64)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A destructor has no one to tell; a process already gone is what we want.
        let _ = self.stop(10);
    }
}

type SpawnRequest = (Command, Sender<std::io::Result<Child>>);

/// Spawns from one thread that lives as long as this process: the parent-death signal is sent when
/// the *thread* that spawned ends, and a test's threads end before the test does.
pub(crate) fn spawn(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Mutex<Sender<SpawnRequest>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (to_spawner, requests) = channel::<SpawnRequest>();
        std::thread::spawn(move || {
            for (mut command, answer) in requests {
                // The asker may have gone; then the child's handle is dropped with the answer.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(to_spawner)
    });
    let (answer, result) = channel();
    spawner.lock().map_err(|_| anyhow!("spawner thread panicked"))?.send((command, answer))?;
    Ok(result.recv()??)
}

/// A free loopback TCP port below the range the kernel gives to outgoing connections. It is this process's until that ends:
/// harnesses that run side by side agree by locks on files, since the port itself is free until a peer listens on it.
pub fn free_port() -> Result<u16> {
    static TAKEN: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let dir = std::env::temp_dir().join(format!("strongroom-ports-{}", rustix::process::getuid().as_raw()));
    std::fs::create_dir_all(&dir).with_context(|| format!("make directory {}", dir.display()))?;
    let mut rng = rand::thread_rng();
    for _ in 0..200 {
        let port = rng.gen_range(10_000..32_000);
        let file = File::create(dir.join(port.to_string()))?;
        let ours = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if ours && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            TAKEN.lock().map_err(|_| anyhow!("a thread panicked over the ports"))?.push(file);
            return Ok(port);
        }
    }
    bail!("no free loopback port found in 200 tries")
}
