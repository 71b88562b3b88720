"""Our side: a running `macsec-gw`, its configuration and its counters."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from cases import Case, Course, MkaCase
from secy import Association, Channel, Counters, subtract, table, total
from testbed import INNER_MTU, MACSEC_OVERHEAD, Failure, Testbed

READY_SECONDS = 30
WRITE_SECONDS = 5
DRAIN_SECONDS = 1.0  # that is what SIGTERM promises
REKEY_SECONDS = 10
SUSTAIN_SECONDS = 60


@dataclass(frozen=True)
class Report:
    """What the counters file says."""

    secy: Counters
    ports: dict[str, dict[str, int]]

    def __sub__(self, before: Report) -> Report:
        ports = {name: subtract(values, before.ports[name]) for name, values in self.ports.items()}
        return Report(self.secy - before.secy, ports)

    def __str__(self) -> str:
        return f"{self.secy}\n" + table({f"port {name}": values for name, values in self.ports.items()})


@dataclass(frozen=True)
class Keys:
    """Where a configuration has its keys from: lines for its `[gateway]` and its `[[link]]`."""

    link: str
    gateway: str = ""


class Gateway:
    """A gateway that forwards between the testbed's plain and line devices."""

    def __init__(self, binary: Path, testbed: Testbed, case: Case, keys: Keys, directory: Path) -> None:
        self.log = directory / "gateway.log"
        self.control = directory / "control.sock"
        self._counters = directory / "counters.json"
        config = directory / "gateway.toml"
        config.write_text(_configuration(testbed, case, keys, directory))
        self._command = testbed.in_wire(binary, "run", config, "--counters", self._counters)
        self._process = self._start()

    def __enter__(self) -> Gateway:
        try:
            self._await_ready()
        except BaseException:
            self._process.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """Ends the gateway as a power cut would."""
        self._process.kill()
        self._process.wait()

    def start_again(self) -> None:
        """Starts it anew, with the state that the killed one left."""
        self._process = self._start()
        self._await_ready()

    def _start(self) -> subprocess.Popen[bytes]:
        self._log_before = self.log.stat().st_size if self.log.exists() else 0
        return subprocess.Popen(
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log.open("ab"),
            start_new_session=True,  # Ctrl-C is for the driver, which then ends the others in order
        )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not re.search(rb"^READY", self.log.read_bytes()[self._log_before :], re.MULTILINE):
            if self._process.poll() is not None:
                raise Failure(f"the gateway ended before READY, status {self._process.returncode}")
            if time.monotonic() > deadline:
                raise Failure(f"the gateway was not READY after {READY_SECONDS} s")
            time.sleep(0.02)

    def report(self) -> Report:
        """Asks for the counters with SIGUSR1; the gateway goes on."""
        self._counters.unlink(missing_ok=True)
        self._process.send_signal(signal.SIGUSR1)
        deadline = time.monotonic() + WRITE_SECONDS
        while not self._counters.exists():
            if self._process.poll() is not None:
                raise Failure(f"the gateway ended, status {self._process.returncode}")
            if time.monotonic() > deadline:
                raise Failure(f"no counters {WRITE_SECONDS} s after SIGUSR1")
            time.sleep(0.02)
        return self._read()

    def stop(self) -> Report:
        """Ends the gateway with SIGTERM and returns its last counters."""
        self._counters.unlink(missing_ok=True)
        asked = time.monotonic()
        self._process.send_signal(signal.SIGTERM)
        try:
            status = self._process.wait(timeout=10 * DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            raise Failure("the gateway does not end on SIGTERM") from None
        took = time.monotonic() - asked
        if status != 0:
            raise Failure(f"the gateway ended on SIGTERM with status {status}")
        if took > DRAIN_SECONDS:
            raise Failure(f"the gateway took {took:.1f} s to end on SIGTERM")
        return self._read()

    def _read(self) -> Report:
        try:
            objects = [json.loads(line) for line in self._counters.read_text().splitlines()]
            scopes = {
                scope: total([o for o in objects if o["scope"] == scope])
                for scope in ("secy", "tx_sc", "rx_sc", "tx_sa", "rx_sa")
            }
            ports = [o for o in objects if o["scope"] == "port"]
            numbers = {o["port"]: {name: v for name, v in o.items() if isinstance(v, int)} for o in ports}
        except (OSError, ValueError, KeyError) as error:
            raise Failure(f"the gateway's counters: {error!r}") from error
        return Report(Counters(**scopes), numbers)


def static_keys(case: Case, ours: Channel, theirs: Channel, directory: Path) -> Keys:
    """Keys set by hand: `ours` is the gateway's transmit channel."""
    salt = 'salt = "{}"\n' if case.xpn else ""
    tx_key = _key_file(directory / "tx.key", f'sak = "{ours.sak}"\n{salt.format(ours.salt)}')
    rx_key = _key_file(directory / "rx.key", f'sak = "{theirs.sak}"\n{salt.format(theirs.salt)}')
    ssci = ", ssci = {}" if case.xpn else ""
    return Keys(
        link=f'''\
sci = "{ours.sci}"

[link.static]
tx = {{ an = 0, sak_file = "{tx_key}", next_pn = {case.first_pn}{ssci.format(ours.ssci)} }}
rx = [{{ sci = "{theirs.sci}", an = 0, sak_file = "{rx_key}", next_pn = {case.first_pn}{ssci.format(theirs.ssci)} }}]
'''
    )


def agreed_keys(case: MkaCase, association: Association, directory: Path) -> Keys:
    """Keys that MKA agrees upon."""
    cak = _key_file(directory / "cak.key", f'cak = "{association.cak}"\nckn = "{association.ckn}"\n')
    more = f"rekey_period = {REKEY_SECONDS}\n" if case.course is Course.REKEYS else ""
    more += "delay_protect = true\n" if case.delay_protect else ""
    return Keys(
        gateway=f'control_socket = "{directory}/control.sock"\n',
        link=f'''\

[link.mka]
cak_file = "{cak}"
priority = {case.priority}
{more}''',
    )


def _configuration(testbed: Testbed, case: Case, keys: Keys, directory: Path) -> str:
    state = directory / "state"
    state.mkdir()
    cpus = sorted(os.sched_getaffinity(0))
    # A slot of the ring holds a header beside the frame, and the ring must outlast a stolen time slice.
    ring = "framesz=2048,blocksz=4096,framecnt=4096"
    if case.inner_mtu > INNER_MTU:
        ring = "framesz=16384,blocksz=16384,framecnt=1024"
    # Past the queueing discipline, as is the driver's default, frames go unseen by any capture.
    ring += ",qdisc_bypass=0"
    crypto = f"crypto_cores = {{ {case.crypto_core} = [{cpus[0]}] }}\n" if case.crypto_core else ""
    return f"""\
[gateway]
worker_cores = [{cpus[-1]}]
control_core = {cpus[0]}
poll = "adaptive"
state_dir = "{state}"
{keys.gateway}
[dpdk]
hugepages = false

[[port]]
name = "plain0"
device = "net_af_packet0,iface={testbed.plain},{ring}"
mtu = {case.inner_mtu}

[[port]]
name = "line0"
device = "net_af_packet1,iface={testbed.line},{ring}"
mtu = {case.inner_mtu + MACSEC_OVERHEAD}

[[link]]
name = "interop"
plain = "plain0"
line = "line0"
policy = "must-secure"
cipher_suite = "{case.suite}"
encrypt = {_toml(case.encrypt)}
replay_protect = true
replay_window = {case.replay_window}
send_sci = {_toml(not case.end_station)}
end_station = {_toml(case.end_station)}
{crypto}{keys.link}"""


def _key_file(path: Path, content: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(content)
    return path


def _toml(value: bool) -> str:
    return str(value).lower()
