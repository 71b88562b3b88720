//! `dpdk-testpmd` in io mode: a forwarder that does nothing to frames, as a process beside this one.

use crate::ports::PortArgs;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

const PROGRAM: &str = "dpdk-testpmd";
/// Frames of a burst, as the gateway has them at most.
const BURST: usize = datapath::RECEIVED_AT_ONCE;
/// Buffers of its pool.
const BUFFERS: u32 = 8192;
/// Octets of a buffer that DPDK keeps free before a frame, and what usual frames have room in, with these.
const HEADROOM: usize = 128;
const USUAL_BUFFER: usize = 2048 + HEADROOM;
/// MiB that it takes without hugepages, where nothing is said.
const MEMORY_MIB: u32 = 512;
/// How long it may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it forwards before its rate counts, and then until the rate is asked for.
const WARM_UP: Duration = Duration::from_millis(10);
const SLICE: Duration = Duration::from_millis(20);
/// Lines that are kept to say why it failed.
const LAST_LINES: usize = 6;

/// The process.
#[derive(Debug)]
pub(super) struct Forwarder {
    child: Child,
    input: ChildStdin,
    output: Receiver<String>,
    last: VecDeque<String>,
}

/// Whether there is such a program.
pub(super) fn installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(PROGRAM).is_file())
}

impl Forwarder {
    /// One that takes frames of up to `octets` from a capture, again and again, with `core` to itself while it forwards.
    ///
    /// # Errors
    /// Why there is none, in words.
    pub(super) fn start(
        capture: &Path,
        octets: usize,
        (control, core): (usize, usize),
        dpdk: &PortArgs,
    ) -> Result<Self, String> {
        // Through a pipe it would say everything at its end.
        let mut command = Command::new("stdbuf");
        command.args(["-oL", PROGRAM, "--no-pci", "--log-level=error"]);
        command.arg(format!("--lcores=0@{control},1@{core}"));
        if dpdk.no_huge {
            let memory = dpdk.memory.unwrap_or(MEMORY_MIB);
            command.args(["--no-huge", "--no-shconf", "-m", &memory.to_string()]);
        } else {
            // It takes what it needs, of what this process leaves.
            command.arg("--in-memory");
        }
        command.arg(format!("--vdev=net_pcap0,rx_pcap={},infinite_rx=1", capture.display()));
        command.args(["--vdev=net_null0,no-rx=1", "--", "-i", "--forward-mode=io", "--nb-cores=1"]);
        command.args(["--no-lsc-interrupt", &format!("--total-num-mbufs={BUFFERS}")]);
        command.arg(format!("--burst={BURST}"));
        let buffer = USUAL_BUFFER.max(octets.next_multiple_of(64) + HEADROOM);
        command.arg(format!("--mbuf-size={buffer}"));
        // A group of its own: Ctrl-C is for this program, which ends it.
        command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| format!("stdbuf, through which it is run: {e}"))?;
        let (lines, output) = channel();
        let (Some(input), Some(out), Some(err)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("it has no pipes".to_owned());
        };
        read_lines(out, lines.clone());
        read_lines(err, lines);
        let mut forwarder = Forwarder { child, input, output, last: VecDeque::new() };
        // An answer says that it is up, and begins the time that the next rate is of.
        forwarder.pps()?;
        Ok(forwarder)
    }

    /// Lets it forward for a while, and says how many frames a second it handed on.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn rate(&mut self) -> Result<f64, String> {
        self.say("start")?;
        std::thread::sleep(WARM_UP);
        self.pps()?;
        std::thread::sleep(SLICE);
        let rate = self.pps()?;
        self.say("stop")?;
        self.wait_for(|line| (line.trim() == "Done.").then_some(()))?;
        if rate > 0.0 { Ok(rate) } else { Err("it forwarded nothing".to_owned()) }
    }

    /// Its rate since it was asked for the last time.
    fn pps(&mut self) -> Result<f64, String> {
        self.say("show port stats 1")?;
        self.wait_for(transmitted)
    }

    fn say(&mut self, words: &str) -> Result<(), String> {
        let said = writeln!(self.input, "{words}").and_then(|()| self.input.flush());
        said.map_err(|_| self.ended())
    }

    fn wait_for<T>(&mut self, found: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.output.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = found(&line) {
                        return Ok(found);
                    }
                    self.keep(line);
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("no answer in {} s", PATIENCE.as_secs()));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.ended()),
            }
        }
    }

    fn keep(&mut self, line: String) {
        if !line.trim().is_empty() {
            self.last.push_back(line);
        }
        while self.last.len() > LAST_LINES {
            self.last.pop_front();
        }
    }

    /// What it said before its end.
    fn ended(&mut self) -> String {
        while let Ok(line) = self.output.recv_timeout(Duration::from_secs(1)) {
            self.keep(line);
        }
        let last: Vec<&str> = self.last.iter().map(|line| line.trim()).collect();
        format!("it ended: {}", last.join("; "))
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        // It has nothing to lose, and in memory nothing to leave behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(from: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).split(b'\n') {
            let Ok(line) = line else { break };
            if to.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
}

/// The rate in a line such as `  Tx-pps:     27628124          Tx-bps:            0`.
fn transmitted(line: &str) -> Option<f64> {
    let rest = line.trim().strip_prefix("Tx-pps:")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::transmitted;

    #[test]
    fn rates_are_found_in_what_it_says() {
        assert_eq!(transmitted("  Tx-pps:     27628124          Tx-bps:            0"), Some(27_628_124.0));
        assert_eq!(transmitted("  Rx-pps:            0          Rx-bps:            0"), None);
        assert_eq!(transmitted("testpmd> show port stats 1"), None);
    }
}
