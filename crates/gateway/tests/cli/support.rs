//! Directories, configurations and runs of the program.

use datapath::pcap::{CaptureReader, Captured};
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The program.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_macsec-gw");

/// A run that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// What no output may show a piece of.
pub(crate) const SECRETS: [&str; 4] = [
    "c0ffee110badf00d5eedbeefca7a5afe",
    "1dea5bad2dea6bad3dea7bad4dea8bad",
    "c0ffee110badf00d5eedbeefca7a5afe1dea5bad2dea6bad3dea7bad4dea8bad",
    "c0ffee110badf00d5eedbeefca7a5a",
];

/// Keys that were made, of which no output may show a piece either.
static MADE: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// A key of its own for every transmitter: two gateways at once with the same one are refused.
fn fresh_key() -> String {
    let key = keys::Sak::generate(false).unwrap().to_hex().to_string();
    MADE.lock().unwrap().push(key.clone());
    key
}

/// Has all runs from here on checked for `key` too.
pub(crate) fn conceal(key: &str) {
    MADE.lock().unwrap().push(key.to_owned());
}

/// A configuration that is good, and needs neither NIC, hugepages nor root.
pub(crate) const BASE: &str = r#"[gateway]
worker_cores = [0]
poll = "adaptive"
state_dir = "state"
control_socket = "socket"
[dpdk]
hugepages = false
memory_mib = 128

[[port]]
name = "plain0"
device = "net_pcap0,rx_pcap=DIR/in.pcap,tx_pcap=DIR/back.pcap"
rx_descriptors = 64

[[port]]
name = "line0"
device = "net_pcap1,rx_pcap=DIR/none.pcap,tx_pcap=DIR/out.pcap"
rx_descriptors = 64

[[link]]
name = "trial"
plain = "plain0"
line = "line0"
sci = "0200000000010001"
cipher_suite = "gcm-aes-128"

[link.static]
tx = { an = 0, sak_file = "tx.key" }
rx = [{ sci = "0200000000020001", an = 0, sak_file = "rx.key" }]
"#;

/// A KEYS file for the transmitter of [`BASE`].
pub(crate) const KEYS: &str = r#"cipher_suite = "gcm-aes-128"

[[sa]]
sci = "0200000000010001"
an = 0
sak = "c0ffee110badf00d5eedbeefca7a5afe"
"#;

/// `base` with its one `from` replaced.
pub(crate) fn edited(base: &str, from: &str, to: &str) -> String {
    assert_eq!(base.matches(from).count(), 1, "{from}");
    base.replace(from, to)
}

/// Says, past the test harness, that something was not tested.
macro_rules! skip {
    ($($why:tt)*) => {{
        use std::io::Write;
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        drop(writeln!(std::io::stderr(), "skipped: {name}: {}", format_args!($($why)*)));
        return;
    }};
}
pub(crate) use skip;

/// Whether this is root.
#[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory with key files and captures as [`BASE`] names them. Removed in the end.
pub(crate) struct Dir(TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        let dir = Dir(TempDir::new().unwrap());
        dir.key("tx.key", &format!("sak = \"{}\"\n", fresh_key()));
        dir.key("rx.key", &format!("sak = \"{}\"\n", SECRETS[1]));
        dir.capture("in.pcap", &frames(1000));
        dir.capture("none.pcap", &[]);
        dir.key("keys.toml", KEYS);
        dir
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// A file that only its owner can read.
    pub(crate) fn key(&self, name: &str, content: &str) {
        self.write(name, content);
        self.mode(name, 0o600);
    }

    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).unwrap();
    }

    /// Writes a capture of Ethernet frames.
    pub(crate) fn capture(&self, name: &str, frames: &[Vec<u8>]) {
        self.write(name, pcap(1, frames));
    }

    /// The frames of a capture, up to where it ends or breaks off.
    pub(crate) fn captured(&self, name: &str) -> Vec<Captured> {
        let mut reader = CaptureReader::open(&self.path(name)).unwrap();
        std::iter::from_fn(|| reader.next_frame().ok().flatten()).collect()
    }

    /// Installs a file here as a program. Another process writes it: were it this one, a test that starts something
    /// at that moment would hold it open, and it could not be run.
    pub(crate) fn install(&self, file: &str, name: &str) -> String {
        let status = self.command("install", &["-m", "755", file, name]).status().unwrap();
        assert!(status.success());
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes `gateway.toml`; `DIR` in it stands for this directory.
    pub(crate) fn config(&self, text: &str) {
        self.write("gateway.toml", text.replace("DIR", self.0.path().to_str().unwrap()));
    }

    /// Names of the files that are there now, sorted.
    pub(crate) fn list(&self) -> Vec<String> {
        let name = |e: std::io::Result<fs::DirEntry>| e.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(self.0.path()).unwrap().map(name).collect();
        names.sort();
        names
    }

    /// The program with these arguments, in this directory.
    pub(crate) fn program(&self, arguments: &[&str]) -> Command {
        self.command(PROGRAM, arguments)
    }

    /// Any program, in this directory.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path()).env_remove("MACSEC_GW_LOG");
        command.env("RUST_BACKTRACE", "1").env("TMPDIR", self.0.path());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Running::start(self.program(arguments)).end()
    }

    /// Starts `run` on `gateway.toml` and waits until frames pass.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        let mut running = Running::start(self.program(&[&["run", "gateway.toml"], arguments].concat()));
        running.wait_for("READY");
        running
    }
}

/// `count` frames, all different, from a station with the SCI of [`BASE`].
pub(crate) fn frames(count: u32) -> Vec<Vec<u8>> {
    let frame = |i: u32| {
        let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
        f.extend(i.to_be_bytes());
        f.resize(60 + i as usize % 200, i as u8);
        f
    };
    (0..count).map(frame).collect()
}

/// A pcap file with frames of `link_type`; 1 is Ethernet.
pub(crate) fn pcap(link_type: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let header = [0xa1b2_c3d4_u32, 0x0002_0004, 0, 0, 0x4_0000, link_type];
    let mut file: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
    for (i, octets) in frames.iter().enumerate() {
        let len = octets.len() as u32;
        file.extend([1_700_000_000, i as u32, len, len].iter().flat_map(|word| word.to_be_bytes()));
        file.extend(octets);
    }
    file
}

/// A program that runs. Killed when dropped.
pub(crate) struct Running {
    child: Child,
    outputs: [File; 2],
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

fn text(mut file: &File) -> String {
    let mut octets = Vec::new();
    // The program goes on writing where it was: it has an offset of its own.
    file.rewind().unwrap();
    file.read_to_end(&mut octets).unwrap();
    String::from_utf8(octets).unwrap()
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let files = [(); 2].map(|()| tempfile::NamedTempFile::new().unwrap());
        let append = |f: &tempfile::NamedTempFile| File::options().append(true).open(f.path()).unwrap();
        command.stdin(Stdio::null()).stdout(append(&files[0])).stderr(append(&files[1]));
        let child = command.spawn().unwrap();
        Running { child, outputs: files.map(tempfile::NamedTempFile::into_file) }
    }

    #[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stderr(&self) -> String {
        text(&self.outputs[1])
    }

    /// Waits until standard error says `word`.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
    pub(crate) fn wait_for(&mut self, word: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.stderr().contains(word) {
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none(), "ended ({ended:?}) before it said {word}: {}", self.stderr());
            assert!(Instant::now() < deadline, "{word} is not said: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.child.id()).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(id).unwrap(), signal).unwrap();
    }

    /// Waits until it listens to a signal.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
    pub(crate) fn wait_for_listening(&self, signal: rustix::process::Signal) {
        let path = format!("/proc/{}/status", self.child.id());
        let listens = |status: String| {
            let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap().trim();
            u64::from_str_radix(caught, 16).unwrap() >> (signal.as_raw() - 1) & 1 == 1
        };
        let start = Instant::now();
        while !fs::read_to_string(&path).is_ok_and(listens) {
            assert!(start.elapsed() < Duration::from_secs(20), "it does not listen to {signal:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// It has not ended.
    #[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
    pub(crate) fn goes_on(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end, and checks what holds of every run.
    pub(crate) fn end(mut self) -> Ended {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < deadline, "does not end: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        };
        let [stdout, stderr] = [&self.outputs[0], &self.outputs[1]].map(text);
        let all = format!("{stdout}{stderr}").to_lowercase();
        for word in ["panicked", "backtrace", "::unwrap", ".rs:"] {
            assert!(!all.contains(word), "{word}: {stderr}");
        }
        let made = MADE.lock().unwrap().clone();
        for secret in SECRETS.iter().copied().chain(made.iter().map(String::as_str)) {
            for piece in secret.as_bytes().windows(8) {
                let piece = std::str::from_utf8(piece).unwrap();
                assert!(!all.contains(piece), "{piece} of a key: {stdout}{stderr}");
            }
        }
        Ended { status, stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Ended {
    /// Checks the exit status, and that standard error says all of `says`.
    #[track_caller]
    pub(crate) fn assert(&self, status: i32, says: &[&str]) {
        assert_eq!((self.status.code(), self.status.signal()), (Some(status), None), "{self:#?}");
        for word in says {
            assert!(self.stderr.contains(word), "{word:?} is not said: {}", self.stderr);
        }
    }
}

/// A counter of the rows that `--counters` or `--json` wrote.
pub(crate) fn counter(rows: &str, with: &[(&str, &str)], name: &str) -> Option<u64> {
    rows.lines().find_map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        with.iter().all(|(key, value)| row[key] == *value).then(|| row[name].as_u64())?
    })
}

/// The JSON rows of a file, or nothing where it is not there yet.
#[cfg_attr(not(feature = "dpdk"), allow(dead_code))]
pub(crate) fn rows(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}
