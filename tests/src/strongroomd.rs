//! The built daemon with a SoftHSM token, driven by the built CLI as an operator would.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::clock::until_true;
use crate::lnd::SignerEndpoint;
use crate::peers::own_binary;
use crate::process::{Process, free_port};
use crate::softhsm::SoftHsm;

/// The policy a daemon is started with: a shipped profile, some limits changed.
#[derive(Clone, Debug)]
pub struct PolicyChoice {
    profile: &'static str,
    changes: Vec<(String, String)>,
    allowed: Vec<String>,
    more: String,
}

impl PolicyChoice {
    /// The profile that enforces everything.
    pub fn cautious() -> Self {
        Self { profile: "cautious", changes: Vec::new(), allowed: Vec::new(), more: String::new() }
    }

    /// The profile that only observes.
    pub fn lab() -> Self {
        Self { profile: "lab", ..Self::cautious() }
    }

    /// Sets the key `section.key` to the TOML value `value`.
    pub fn set(mut self, key: &str, value: impl ToString) -> Self {
        self.changes.push((key.to_owned(), value.to_string()));
        self
    }

    /// Puts `address` on the allowlist.
    pub fn allow(mut self, address: &str) -> Self {
        self.allowed.push(address.to_owned());
        self
    }

    /// Adds TOML to its end, as another `[[grants]]`.
    pub fn and(mut self, toml: &str) -> Self {
        self.more += &format!("\n{toml}\n");
        self
    }

    /// Writes the file that the daemon reads.
    fn write(&self, to: &Path) -> Result<()> {
        let args = ["policy", "init", "--profile", self.profile, "--network", "regtest", "--out", "-"];
        let written = run_cli(&args, None)?;
        Ok(std::fs::write(to, self.apply(&written)?)?)
    }

    /// Changes the profile's text.
    fn apply(&self, profile: &str) -> Result<String> {
        let mut text = profile.to_owned();
        for (key, value) in &self.changes {
            text = set_key(&text, key, value).with_context(|| format!("policy key {key:?}"))?;
        }
        for (n, address) in self.allowed.iter().enumerate() {
            text += &format!("\n[[allowlist]]\nlabel = \"harness {n}\"\naddress = \"{address}\"\n");
        }
        Ok(text + &self.more)
    }
}

/// Replaces the value of `section.key` in TOML text, leaving comments as they are.
fn set_key(text: &str, dotted: &str, value: &str) -> Result<String> {
    let (wanted_section, wanted_key) = dotted.rsplit_once('.').unwrap_or(("", dotted));
    let mut section = "";
    let mut found = 0;
    let lines: Vec<String> = text
        .lines()
        .map(|line| {
            if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end().trim_end_matches(']');
            }
            let key = line.split('=').next().unwrap_or_default().trim();
            if section == wanted_section && key == wanted_key && line.contains('=') {
                found += 1;
                return format!("{key} = {value}");
            }
            line.to_owned()
        })
        .collect();
    ensure!(found == 1, "found {found} times, not once");
    Ok(lines.join("\n") + "\n")
}

/// How the daemon is run; the default is the release build on SoftHSM itself.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    /// Another binary than the release build's.
    pub binary: Option<PathBuf>,
    /// Further environment.
    pub env: Vec<(String, PathBuf)>,
    /// A PKCS#11 module between the daemon and SoftHSM.
    pub module: Option<PathBuf>,
    /// Ignore SIGXFSZ, so that a file-size limit acts as a full disk does.
    pub file_size_is_an_error: bool,
    /// Further tables of the configuration.
    pub tables: String,
    /// Keys of the configuration, as `limits.max_queue`, set to these TOML values.
    pub config: Vec<(&'static str, String)>,
    /// A program and its arguments that starts the daemon, as `nsenter`.
    pub under: Vec<String>,
}

/// A running `strongroomd` with one node, `alice`.
pub struct Strongroomd {
    process: Process,
    dir: PathBuf,
    token: SoftHsm,
    launch: Launch,
    address: String,
    metrics: u16,
}

impl Strongroomd {
    /// Makes a token and an appliance in `dir`, starts the daemon, and adds the node `alice`: with
    /// the extended private key `master`, or with a seed of its own making.
    pub fn start(dir: &Path, policy: &PolicyChoice, master: Option<&str>) -> Result<Self> {
        Self::launched(dir, policy, master, Launch::default())
    }

    /// [`Self::start`], started as `launch` says.
    pub fn launched(dir: &Path, policy: &PolicyChoice, master: Option<&str>, launch: Launch) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let token = SoftHsm::create(&dir.join("token"), "strongroom")?;
        let daemon = Self::start_empty(dir, policy, token, launch)?;
        daemon.add_alice(master)?;
        Ok(daemon)
    }

    /// Adds the node `alice`.
    pub fn add_alice(&self, master: Option<&str>) -> Result<()> {
        let out = self.node_dir().display().to_string();
        let Some(master) = master else {
            return self.cli(&["node", "add", "alice", "--out", &out], None).map(drop);
        };
        let seed = self.dir.join("master.key");
        std::fs::write(&seed, master)?;
        let args = ["node", "add", "alice", "--out", &out, "--import-xprv", "--seed-fd", "0", "--yes"];
        self.cli(&args, Some(&seed)).map(drop)
    }

    /// Starts over `token` with the appliance initialised and no node yet.
    pub fn start_empty(dir: &Path, policy: &PolicyChoice, token: SoftHsm, launch: Launch) -> Result<Self> {
        std::fs::create_dir_all(dir)?;
        let (port, metrics) = (free_port()?, free_port()?);
        policy.write(&dir.join("policy.toml"))?;
        let pin_name =
            token.pin_file.file_name().and_then(|n| n.to_str()).context("the PIN file has no name")?;
        let mut config = format!(
            "[appliance]\nstate_dir = \"{state}\"\npolicy = \"{policy}\"\ntoken = \"{uri}\"\npin = \"credential:{pin_name}\"\n\
             [lnd]\nlisten = \"127.0.0.1:{port}\"\nhosts = [\"127.0.0.1\", \"localhost\"]\n\
             [operator]\nsocket = \"{socket}\"\n[metrics]\nlisten = \"127.0.0.1:{metrics}\"\n\
             [limits]\nmax_connections = 1024\nmax_connections_per_address = 256\nmax_connections_per_client = 128\n\
             max_request_bytes = 4194304\nmax_queue = 4096\nmax_queue_per_client = 512\ndeadline_ms = 3000\n\
             min_free_disk_mib = 16\nmax_musig2_sessions = 1000\nmusig2_session_seconds = 600\n{tables}",
            state = dir.join("state").display(),
            policy = dir.join("policy.toml").display(),
            uri = token.uri_through(launch.module.as_deref())?,
            socket = dir.join("operator.sock").display(),
            tables = launch.tables,
        );
        for (key, value) in &launch.config {
            config = set_key(&config, key, value).with_context(|| format!("configuration key {key:?}"))?;
        }
        std::fs::write(dir.join("strongroom.toml"), config)?;
        let mut daemon = Self {
            process: start(dir, &token, &launch)?,
            dir: dir.to_path_buf(),
            token,
            launch,
            address: format!("127.0.0.1:{port}"),
            metrics,
        };
        daemon.wait_answers()?;
        let pin = daemon.token.pin_file.clone();
        daemon.cli(&["init", "--pin-fd", "0"], Some(&pin))?;
        Ok(daemon)
    }

    fn wait_answers(&mut self) -> Result<()> {
        let socket = self.dir.join("operator.sock");
        let process = &mut self.process;
        until_true(30, "strongroomd answers", || {
            process.check_alive()?;
            let socket = socket.display().to_string();
            run_cli(&["--socket", &socket, "--json", "status"], None).map(|_| true)
        })
    }

    /// Starts a daemon that has ended again, over the same directory; it unseals itself.
    pub fn start_again(&mut self) -> Result<()> {
        self.process = start(&self.dir, &self.token, &self.launch)?;
        self.wait_answers()?;
        until_true(30, "strongroomd unsealed", || Ok(self.status()?["state"] == "open"))
    }

    /// Stops it, and starts it again under `policy`.
    pub fn restart_under(&mut self, policy: &PolicyChoice) -> Result<()> {
        self.process.stop(10)?;
        policy.write(&self.dir.join("policy.toml"))?;
        self.start_again()
    }

    /// How it is started the next time.
    pub fn launch_mut(&mut self) -> &mut Launch {
        &mut self.launch
    }

    /// Runs `strongroom ARGS` against this daemon, with JSON answers; `stdin` is a file for
    /// descriptor 0.
    pub fn cli(&self, args: &[&str], stdin: Option<&Path>) -> Result<Value> {
        let socket = self.dir.join("operator.sock").display().to_string();
        let mut all = vec!["--socket", &socket, "--json"];
        all.extend(args);
        let text = run_cli(&all, stdin)?;
        serde_json::from_str(&text).with_context(|| format!("strongroom {args:?}: not JSON: {text}"))
    }

    /// `strongroom status`.
    pub fn status(&self) -> Result<Value> {
        self.cli(&["status"], None)
    }

    /// Requests refused since the appliance was made, over all nodes.
    pub fn refused(&self) -> Result<u64> {
        let status = self.status()?;
        let nodes = status["nodes"].as_array().context("status without nodes")?;
        Ok(nodes.iter().filter_map(|n| n["refused"].as_u64()).sum())
    }

    /// The last `count` leaves of the journal, as the CLI prints them.
    pub fn journal_tail(&self, count: u32) -> Result<String> {
        let socket = self.dir.join("operator.sock").display().to_string();
        run_cli(&["--socket", &socket, "journal", "tail", "--last", &count.to_string()], None)
    }

    /// The last `count` leaves of the journal.
    pub fn journal_leaves(&self, count: u32) -> Result<Vec<Value>> {
        let socket = self.dir.join("operator.sock").display().to_string();
        let count = count.to_string();
        let text = run_cli(&["--socket", &socket, "--json", "journal", "tail", "--last", &count], None)?;
        text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
    }

    /// Mints a macaroon of node `alice` for `client`; answers it as hex.
    pub fn macaroon(&self, client: &str) -> Result<String> {
        let file = self.dir.join(format!("{client}-{:08x}.macaroon", rand::random::<u32>()));
        let out = file.display().to_string();
        self.cli(&["macaroon", "mint", "alice", "--client", client, "--out", &out], None)?;
        Ok(hex::encode(std::fs::read(&file)?))
    }

    fn node_dir(&self) -> PathBuf {
        self.dir.join("alice")
    }

    /// The LND door, as node `alice` uses it.
    pub fn endpoint(&self) -> SignerEndpoint {
        SignerEndpoint {
            address: self.address.clone(),
            tls_cert: self.node_dir().join("tls.cert"),
            macaroon: self.node_dir().join("signer.macaroon"),
        }
    }

    /// `accounts.json` of node `alice`.
    pub fn accounts(&self) -> Result<Value> {
        let text = std::fs::read_to_string(self.node_dir().join("accounts.json"))?;
        Ok(serde_json::from_str(&text)?)
    }

    /// The folder of token, configuration, policy and state.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The token.
    pub fn token(&self) -> &SoftHsm {
        &self.token
    }

    /// Port of the metrics door.
    pub fn metrics_port(&self) -> u16 {
        self.metrics
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// The process, to look at.
    pub fn process_ref(&self) -> &Process {
        &self.process
    }
}

fn start(dir: &Path, token: &SoftHsm, launch: &Launch) -> Result<Process> {
    let args = ["--config".to_owned(), dir.join("strongroom.toml").display().to_string()];
    let credentials = token.pin_file.parent().context("the PIN file lies in no folder")?;
    let mut env = vec![("CREDENTIALS_DIRECTORY", credentials)];
    if launch.module.is_none() {
        env.push(("SOFTHSM2_CONF", token.conf.as_path()));
    }
    env.extend(launch.env.iter().map(|(name, value)| (name.as_str(), value.as_path())));
    let binary = match &launch.binary {
        Some(binary) => binary.clone(),
        None => own_binary("strongroomd")?,
    };
    let log = dir.join("strongroomd.log");
    if let Some((program, before)) = launch.under.split_first() {
        let daemon = [binary.display().to_string()];
        let args: Vec<String> = before.iter().cloned().chain(daemon).chain(args).collect();
        return Process::start("strongroomd", Path::new(program), &args, &env, log);
    }
    if !launch.file_size_is_an_error {
        return Process::start("strongroomd", &binary, &args, &env, log);
    }
    let script = ["-c", "trap '' XFSZ; exec \"$@\"", "sh"].map(str::to_owned);
    let args: Vec<String> = script.into_iter().chain([binary.display().to_string()]).chain(args).collect();
    Process::start("strongroomd", Path::new("/bin/sh"), &args, &env, log)
}

/// Runs the built CLI and answers what it printed.
pub fn run_cli(args: &[&str], stdin: Option<&Path>) -> Result<String> {
    let stdin = match stdin {
        Some(path) => Stdio::from(File::open(path).with_context(|| format!("open {}", path.display()))?),
        None => Stdio::null(),
    };
    let output =
        Command::new(own_binary("strongroom")?).args(args).stdin(stdin).output().context("run strongroom")?;
    if !output.status.success() {
        bail!(
            "strongroom {}: {}: {}{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr).trim(),
            String::from_utf8_lossy(&output.stdout).trim()
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a = 1\n[x]\n# b = 0\nb = 2\n[x.y]\nb = 3\n";

    #[test]
    fn sets_only_the_key_of_its_section() -> Result<()> {
        let text = set_key(TEXT, "x.b", "7")?;
        assert_eq!(text, "a = 1\n[x]\n# b = 0\nb = 7\n[x.y]\nb = 3\n");
        Ok(())
    }

    #[test]
    fn a_key_that_is_not_there_is_an_error() {
        assert!(set_key(TEXT, "x.c", "7").is_err());
    }
}
