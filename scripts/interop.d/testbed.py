"""The wires of a lane, in two network namespaces of their own:

    inner namespace          wire namespace                         guest
    host0 ---- veth ---- plain0 [gateway] line0 ---- TAP ---- eth0, macsec0

With two guests, `line0` is the end of a veth, whose other end is in a bridge with
both TAPs. Nothing else on the machine sees these devices or speaks on them.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from types import TracebackType
from typing import Any

HOST_IP = "192.0.2.1"
HOST_MAC = "02:00:00:00:00:01"
# A guest's SCI below ours and one above, by which stations of one priority elect their key server.
GUEST_MACS = "02:00:00:00:00:02", "02:00:00:00:00:04"
GATEWAY_MAC = "02:00:00:00:00:03"
GUEST_IPS = "192.0.2.2", "192.0.2.4"

MACSEC_OVERHEAD = 32  # octets: SecTAG with SCI, ICV
INNER_MTU = 1500
JUMBO_INNER_MTU = 9000
JUMBO_LINE_MTU = JUMBO_INNER_MTU + MACSEC_OVERHEAD

QUEUE = 20000  # frames; a slow guest must delay frames and never lose one
OFFLOADS = ["tx", "rx", "sg", "tso", "gso", "gro", "txvlan", "rxvlan"]


def sci(mac: str, port: int = 1) -> str:
    """A secure channel's identifier, as 16 hex digits."""
    return f"{mac.replace(':', '')}{port:04x}"


class Failure(Exception):
    """A step of the test went wrong; the message says which and how."""


@dataclass(frozen=True)
class Tap:
    """What a guest's network device is plugged into."""

    name: str
    far_mac: str
    far_ip: str


class Namespace:
    """A network namespace, named after this process so that runs do not collide."""

    def __init__(self, name: str) -> None:
        self.name = f"macsec-gw-{os.getpid()}-{name}"

    def __enter__(self) -> Namespace:
        call("ip", "netns", "add", self.name)
        sysctls = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
        call(*self.wrap("sysctl", "-q", "-e", "-w", *sysctls))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        subprocess.run(["ip", "netns", "delete", self.name], capture_output=True)

    def wrap(self, *command: object) -> list[str]:
        """The command line that runs `command` in here."""
        return ["ip", "netns", "exec", self.name, *map(str, command)]


class Testbed:
    """One lane: its namespaces, its devices, and the TAPs that guests come to be plugged into."""

    host, plain, line = "host0", "plain0", "line0"

    def __init__(self, lane: int, guests: int = 1) -> None:
        self._inner = Namespace(f"{lane}-inner")
        self._wire = Namespace(f"{lane}-wire")
        self._stack = contextlib.ExitStack()
        self.taps = [Tap(f"tap{lane}-{n}", GUEST_MACS[n], GUEST_IPS[n]) for n in range(guests)]

    def __enter__(self) -> Testbed:
        with contextlib.ExitStack() as stack:
            for namespace in (self._inner, self._wire):
                stack.enter_context(namespace)
            call(
                "ip", "link", "add", self.host, "address", HOST_MAC, "netns", self._inner.name,
                "type", "veth", "peer", "name", self.plain, "netns", self._wire.name,
            )  # fmt: skip
            # A neighbour is asked for once; no probe may slip in while the counters are read. Namespaces have no default.
            once = f"net.ipv4.neigh.{self.host}.delay_first_probe_time=600"
            call(*self.in_inner("sysctl", "-q", "-w", once))
            call(*self.in_inner("ip", "address", "add", f"{HOST_IP}/24", "dev", self.host))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def bridged(self) -> bool:
        return len(self.taps) > 1

    def plug_in(self, machine: Namespace) -> None:
        """Takes the TAPs from the namespace where the machine has opened them, and completes the wires."""
        if self.bridged:
            # The peers' MKPDUs are addressed as bridges keep them to themselves, if not told otherwise.
            # A bridge that looks after multicast reports itself, in the clear and some seconds later.
            how = ("group_fwd_mask", 8, "mcast_snooping", 0)
            call(*self.in_wire("ip", "link", "add", "bridge0", "type", "bridge", *how))
            call(*self.in_wire("ip", "link", "set", "bridge0", "up"))
            call(*self.in_wire("ip", "link", "add", self.line, "type", "veth", "peer", "name", "port0"))
        for tap in self.taps:
            call("ip", "-n", machine.name, "link", "set", tap.name, "netns", self._wire.name)
            if not self.bridged:
                call(*self.in_wire("ip", "link", "set", tap.name, "name", self.line))
        call(*self.in_wire("ip", "link", "set", self.line, "address", GATEWAY_MAC))
        for wrap, device in self._devices():
            for offload in OFFLOADS:  # one by one: not every driver has every one of them
                subprocess.run(wrap("ethtool", "-K", device, offload, "off"), capture_output=True)
            call(*wrap("ip", "link", "set", device, "txqueuelen", QUEUE))
            call(*wrap("ip", "link", "set", device, "up"))
            # The default discipline may drop early, as fq_codel does.
            call(*wrap("tc", "qdisc", "replace", "dev", device, "root", "pfifo", "limit", QUEUE))
        for port in self._bridge_ports():
            call(*self.in_wire("ip", "link", "set", port, "master", "bridge0"))

    def _devices(self) -> list[tuple[Any, str]]:
        ends = [(self.in_inner, self.host), (self.in_wire, self.plain), (self.in_wire, self.line)]
        return ends + [(self.in_wire, port) for port in self._bridge_ports()]

    def _bridge_ports(self) -> list[str]:
        return ["port0", *(tap.name for tap in self.taps)] if self.bridged else []

    def in_inner(self, *command: object) -> list[str]:
        """The command line that runs `command` where the protected host lives."""
        return self._inner.wrap(*command)

    def in_wire(self, *command: object) -> list[str]:
        """The command line that runs `command` where the gateway lives."""
        return self._wire.wrap(*command)

    def prepare(self, inner_mtu: int) -> None:
        """Sets the MTUs for a case and forgets the neighbours, so that it begins with ARP."""
        for wrap, device in self._devices():
            mtu = inner_mtu if device in (self.host, self.plain) else inner_mtu + MACSEC_OVERHEAD
            call(*wrap("ip", "link", "set", device, "mtu", mtu))
        call(*self.in_inner("ip", "neigh", "flush", "all"))

    def statistics(self) -> dict[str, dict[str, int]]:
        """For each device, frames and errors since it was made."""
        return {
            device: flatten_statistics(json.loads(call(*wrap("ip", "-s", "-j", "link", "show", "dev", device)))[0])
            for wrap, device in self._devices()
        }


def flatten_statistics(device: dict[str, Any]) -> dict[str, int]:
    """One device of `ip -s -j link show` as `{"rx_packets": …, "tx_dropped": …}`."""
    return {f"{way}_{name}": value for way in ("rx", "tx") for name, value in device["stats64"][way].items()}


def call(*command: object) -> str:
    """Runs a command that must succeed and returns its standard output."""
    words = list(map(str, command))
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
