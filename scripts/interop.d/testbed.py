"""The wires, in two network namespaces of their own:

    inner namespace          wire namespace                         guest
    host0 ---- veth ---- plain0 [gateway] line0 ---- TAP ---- eth0, macsec0

Nothing else on the machine sees these devices or speaks on them.
"""

from __future__ import annotations

import json
import os
import subprocess
from types import TracebackType
from typing import Any

HOST_IP = "192.0.2.1"
GUEST_IP = "192.0.2.2"
HOST_MAC = "02:00:00:00:00:01"
GATEWAY_MAC = "02:00:00:00:00:03"

MACSEC_OVERHEAD = 32  # octets: SecTAG with SCI, ICV
INNER_MTU = 1500
JUMBO_INNER_MTU = 9000
JUMBO_LINE_MTU = JUMBO_INNER_MTU + MACSEC_OVERHEAD

QUEUE = 20000  # frames; a slow guest must delay frames and never lose one
OFFLOADS = ["tx", "rx", "sg", "tso", "gso", "gro", "txvlan", "rxvlan"]


class Failure(Exception):
    """A step of the test went wrong; the message says which and how."""


class Testbed:
    """The namespaces and devices, named after this process so that runs do not collide."""

    host, plain, line = "host0", "plain0", "line0"

    def __init__(self) -> None:
        self._inner = f"macsec-gw-{os.getpid()}-inner"
        self._wire = f"macsec-gw-{os.getpid()}-wire"

    def __enter__(self) -> Testbed:
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def _build(self) -> None:
        for namespace in (self._inner, self._wire):
            _call("ip", "netns", "add", namespace)
            # A neighbour is asked for once; no probe may slip in while the counters are read.
            sysctls = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"]
            _call(
                *_in(
                    namespace, "sysctl", "-q", "-e", "-w", *sysctls, "net.ipv4.neigh.default.delay_first_probe_time=600"
                )
            )
        _call(
            "ip", "link", "add", self.host, "address", HOST_MAC, "netns", self._inner,
            "type", "veth", "peer", "name", self.plain, "netns", self._wire,
        )  # fmt: skip
        _call(*self.in_wire("ip", "tuntap", "add", "dev", self.line, "mode", "tap"))
        _call(*self.in_wire("ip", "link", "set", self.line, "address", GATEWAY_MAC))
        _call(*self.in_inner("ip", "address", "add", f"{HOST_IP}/24", "dev", self.host))
        for wrap, device in self._devices():
            for offload in OFFLOADS:  # one by one: not every driver has every one of them
                subprocess.run(wrap("ethtool", "-K", device, offload, "off"), capture_output=True)
            _call(*wrap("ip", "link", "set", device, "txqueuelen", QUEUE))
            _call(*wrap("ip", "link", "set", device, "up"))
            # The default discipline may drop early, as fq_codel does.
            _call(*wrap("tc", "qdisc", "replace", "dev", device, "root", "pfifo", "limit", QUEUE))

    def _remove(self) -> None:
        for namespace in (self._inner, self._wire):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True)

    def _devices(self) -> list[tuple[Any, str]]:
        return [(self.in_inner, self.host), (self.in_wire, self.plain), (self.in_wire, self.line)]

    def in_inner(self, *command: object) -> list[str]:
        """The command line that runs `command` where the protected host lives."""
        return _in(self._inner, *command)

    def in_wire(self, *command: object) -> list[str]:
        """The command line that runs `command` where the gateway lives."""
        return _in(self._wire, *command)

    def prepare(self, inner_mtu: int) -> None:
        """Sets the MTUs for a case and forgets the neighbours, so that it begins with ARP."""
        mtus = {self.host: inner_mtu, self.plain: inner_mtu, self.line: inner_mtu + MACSEC_OVERHEAD}
        for wrap, device in self._devices():
            _call(*wrap("ip", "link", "set", device, "mtu", mtus[device]))
        _call(*self.in_inner("ip", "neigh", "flush", "all"))

    def statistics(self) -> dict[str, dict[str, int]]:
        """For each device, frames and errors since it was made."""
        return {
            device: flatten_statistics(json.loads(_call(*wrap("ip", "-s", "-j", "link", "show", "dev", device)))[0])
            for wrap, device in self._devices()
        }


def flatten_statistics(device: dict[str, Any]) -> dict[str, int]:
    """One device of `ip -s -j link show` as `{"rx_packets": …, "tx_dropped": …}`."""
    return {f"{way}_{name}": value for way in ("rx", "tx") for name, value in device["stats64"][way].items()}


def _in(namespace: str, *command: object) -> list[str]:
    return ["ip", "netns", "exec", namespace, *map(str, command)]


def _call(*command: object) -> str:
    """Runs a command that must succeed and returns its standard output."""
    words = list(map(str, command))
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Failure(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout
