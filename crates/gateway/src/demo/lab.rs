//! Namespaces, cables and processes, which all go when the [`Lab`] does.

use crate::signals::Signals;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::cell::RefCell;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// Where `ip netns` keeps its names.
const NAMESPACES: &str = "/run/netns";
/// Begins the name of each namespace; the process id follows.
const PREFIX: &str = "macsec-gw-demo-";
/// How long a program may take to end. On a busy machine the kernel takes seconds to close a packet socket.
const END_LIMIT: Duration = Duration::from_secs(60);
/// How often waits look whether Ctrl-C came.
const LOOK: Duration = Duration::from_millis(50);

/// Refuses to start when a program that is called is not there.
pub(super) fn need_tools(tools: &[(&str, &str)]) -> Result<()> {
    let found = |tool: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        // Daemons' directories are often not in a user's path.
        let extra = ["/usr/sbin", "/sbin"].map(PathBuf::from);
        std::env::split_paths(&path).chain(extra).any(|dir| dir.join(tool).is_file())
    };
    let missing: Vec<_> =
        tools.iter().filter(|(tool, _)| !found(tool)).map(|(_, package)| *package).collect();
    ensure!(missing.is_empty(), "the demo needs: apt-get install {}", missing.join(" "));
    Ok(())
}

/// A network namespace by name.
#[derive(Clone, Debug)]
pub(super) struct Namespace(String);

impl Namespace {
    pub(super) fn name(&self) -> &str {
        &self.0
    }

    /// The file that stands for it.
    pub(super) fn file(&self) -> PathBuf {
        Path::new(NAMESPACES).join(&self.0)
    }
}

/// What the demo has made on this machine.
pub(super) struct Lab {
    dir: tempfile::TempDir,
    signals: Signals,
    namespaces: RefCell<Vec<Namespace>>,
}

impl Lab {
    pub(super) fn new(signals: Signals) -> Result<Self> {
        remove_leftovers();
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let dir =
            tempfile::Builder::new().prefix(&prefix).tempdir().context("making a temporary directory")?;
        Ok(Lab { dir, signals, namespaces: RefCell::default() })
    }

    pub(super) fn signals(&self) -> &Signals {
        &self.signals
    }

    /// A file of the demo's own.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn add_namespace(&self, role: &str) -> Result<Namespace> {
        let namespace = Namespace(format!("{PREFIX}{}-{role}", std::process::id()));
        self.run(Command::new("ip").args(["netns", "add", namespace.name()]))?;
        self.namespaces.borrow_mut().push(namespace.clone());
        // The host's own stack keeps still: what crosses is what somebody sent.
        for scope in ["all", "default"] {
            let key = format!("net.ipv6.conf.{scope}.disable_ipv6");
            let file = format!("/proc/sys/{}", key.replace('.', "/"));
            let quiet = format!("[ ! -e {file} ] || echo 1 > {file}");
            self.output(&namespace, "sh", &["-c", &quiet])?;
        }
        Ok(namespace)
    }

    /// Runs `ip` in a namespace.
    pub(super) fn ip(&self, namespace: &Namespace, args: &[&str]) -> Result<()> {
        self.run(Command::new("ip").args(["-n", namespace.name()]).args(args)).map(drop)
    }

    /// Brings an interface up without the offloads that leave frames unfinished or glued together.
    pub(super) fn bring_up(&self, namespace: &Namespace, interface: &str) -> Result<()> {
        let mut args = vec!["-K", interface];
        for offload in ["rx", "tx", "sg", "tso", "gso", "gro"] {
            args.extend([offload, "off"]);
        }
        self.output(namespace, "ethtool", &args)?;
        self.ip(namespace, &["link", "set", interface, "up"])
    }

    /// Runs a program in a namespace to its end and takes what it says.
    pub(super) fn output(&self, namespace: &Namespace, program: &str, args: &[&str]) -> Result<String> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace.name(), program]).args(args);
        self.run(&mut command)
    }

    fn run(&self, command: &mut Command) -> Result<String> {
        self.unless_stopped()?;
        let out = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
        self.unless_stopped()?;
        if !out.status.success() {
            let words =
                String::from_utf8_lossy(if out.stderr.is_empty() { &out.stdout } else { &out.stderr });
            bail!("{command:?}: {}: {}", out.status, words.trim());
        }
        Ok(String::from_utf8_lossy(&out.stdout).into_owned())
    }

    pub(super) fn unless_stopped(&self) -> Result<()> {
        unless_stopped(&self.signals)
    }

    /// Starts a program in a namespace, in the demo's directory.
    pub(super) fn spawn(
        &self,
        namespace: &Namespace,
        program: &str,
        args: &[String],
        name: &'static str,
    ) -> Result<Process> {
        self.unless_stopped()?;
        // Ends with the demo even where that is killed: strictly with the thread that starts it, which is the main one.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "TERM", "ip", "netns", "exec", namespace.name(), program]);
        command.args(args).current_dir(self.dir.path());
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let (said, lines) = channel();
        if let Some(stderr) = child.stderr.take() {
            // Ends with the program: the pipe closes.
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    if said.send(line).is_err() {
                        break;
                    }
                }
            });
        }
        Ok(Process { child, lines, name, last_words: Vec::new() })
    }

    /// Captures the frames of an interface that pass a filter.
    pub(super) fn capture(&self, namespace: &Namespace, interface: &str, filter: &str) -> Result<Capture> {
        let file = self.path(&format!("{interface}.pcap"));
        let args =
            ["-i", interface, "-p", "-U", "--immediate-mode", "-s", "0", "-B", "65536", "-Z", "root", "-w"]
                .map(str::to_owned);
        let args: Vec<_> =
            args.into_iter().chain([file.to_string_lossy().into_owned(), filter.to_owned()]).collect();
        let mut process = self.spawn(namespace, "tcpdump", &args, "tcpdump")?;
        process.wait_for("listening on", Duration::from_secs(10), &self.signals)?;
        Ok(Capture { process, file })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // Interfaces and their cables go with their namespaces.
        for namespace in self.namespaces.borrow().iter() {
            let removed = Command::new("ip").args(["netns", "delete", namespace.name()]).status();
            if !removed.is_ok_and(|s| s.success()) {
                let name = namespace.name();
                let _ = writeln!(
                    io::stderr(),
                    "macsec-gw: could not remove it; do so with: ip netns delete {name}"
                );
            }
        }
    }
}

/// Removes what demos that were killed could not clean up. Best effort: it is in nobody's way.
fn remove_leftovers() {
    for name in leftovers(Path::new(NAMESPACES)) {
        // Where another rule than its parent's applies to a program, it may have outlived that.
        let pids = Command::new("ip").args(["netns", "pids", &name]).output();
        let pids = pids.map(|said| String::from_utf8_lossy(&said.stdout).into_owned()).unwrap_or_default();
        for pid in pids.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = Command::new("ip").args(["netns", "delete", &name]).status();
    }
    let dir = std::env::temp_dir();
    for name in leftovers(&dir) {
        let _ = fs::remove_dir_all(dir.join(name));
    }
}

/// Names there of what demos made that are not there any more.
fn leftovers(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten();
    let names = names.filter_map(|e| e.file_name().into_string().ok());
    let is_left = |name: &String| {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).map(|(pid, _)| pid);
        pid.is_some_and(|pid| pid.parse::<u32>().is_ok() && !Path::new("/proc").join(pid).exists())
    };
    names.filter(is_left).collect()
}

pub(super) fn unless_stopped(signals: &Signals) -> Result<()> {
    ensure!(!signals.stop(), "interrupted");
    Ok(())
}

/// A program that runs beside the demo. Killed when dropped.
pub(super) struct Process {
    child: Child,
    lines: Receiver<String>,
    name: &'static str,
    last_words: Vec<String>,
}

impl Process {
    /// Waits for a line on standard error that contains `text`.
    pub(super) fn wait_for(&mut self, text: &str, limit: Duration, signals: &Signals) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            unless_stopped(signals)?;
            match self.lines.recv_timeout(LOOK) {
                Ok(line) if line.contains(text) => return Ok(()),
                Ok(line) => self.last_words.push(line),
                Err(RecvTimeoutError::Timeout) if Instant::now() < end => {}
                Err(_) => {
                    bail!("{} did not start:\n  {}", self.name, self.last_words.join("\n  "))
                }
            }
        }
    }

    /// Asks it to end.
    pub(super) fn request_end(&self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended by itself, which its status will tell.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Asks it to end and waits until it did.
    pub(super) fn terminate(&mut self) -> Result<()> {
        self.request_end();
        let limit = END_LIMIT;
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                self.last_words.extend(self.lines.try_iter());
                ensure!(status.success(), "{}: {status}\n  {}", self.name, self.last_words.join("\n  "));
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        bail!("{} did not end within {limit:?}", self.name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(Some(_))) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A capture that runs.
pub(super) struct Capture {
    process: Process,
    file: PathBuf,
}

impl Capture {
    /// Ends all of them, together, and says where they are.
    pub(super) fn finish<const N: usize>(mut captures: [Self; N], lab: &Lab) -> Result<[PathBuf; N]> {
        lab.unless_stopped()?;
        captures.iter().for_each(|c| c.process.request_end());
        captures.iter_mut().try_for_each(|c| c.process.terminate())?;
        Ok(captures.map(|c| c.file))
    }
}
