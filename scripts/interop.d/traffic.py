"""What crosses the link in every case: ARP, pings of telling sizes, TCP and UDP both ways."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from cases import Case, MkaCase
from guest import IP, IPERF, PING, Guest
from testbed import HOST_IP, Failure, Testbed

TAGGED_ARP = Path(__file__).with_name("tagged_arp.py")
VLAN = 5
VLAN_HOST_IP, VLAN_GUEST_IP = "198.51.100.1", "198.51.100.2"
TAGGED_REQUESTS = 20

IP_AND_ICMP = 28  # octets of header above a ping's payload
_ports = itertools.count(5201)
PINGS = 50
LARGE_PINGS = 10

# Below 18 octets of payload the secure data is shorter than 48 octets, and the SecTAG's Short Length says so.
SHORT_PAYLOADS = range(0, 20)


@dataclass(frozen=True)
class Rates:
    """Megabits a second. To the kernel, and from it."""

    tcp_to: float
    tcp_from: float
    udp_to: float
    udp_from: float

    def __str__(self) -> str:
        return f"TCP {self.tcp_to:.0f}/{self.tcp_from:.0f} UDP {self.udp_to:.0f}/{self.udp_from:.0f} Mbit/s"


def exercise(testbed: Testbed, guest: Guest, case: Case) -> Rates:
    """Sends all of it.

    # Raises
    `Failure` when pings go unanswered or a transfer does not finish.
    """
    for count, payload in ((PINGS, 56), (LARGE_PINGS, case.inner_mtu - IP_AND_ICMP)):
        _host_ping(testbed, guest, count, payload)
        _guest_ping(guest, count, payload)
    for payload in SHORT_PAYLOADS if case.every_length else SHORT_PAYLOADS[::9]:
        _host_ping(testbed, guest, 2, payload)
        _guest_ping(guest, 2, payload)
    if case.vlan:
        _tagged_arp(testbed, guest)
    datagram = str(case.inner_mtu - 100)
    return Rates(
        _iperf(testbed, guest, "-t", "1"),
        _iperf(testbed, guest, "-t", "1", "-R"),
        _iperf(testbed, guest, "-t", "1", "-u", "-b", "5M", "-l", datagram),
        _iperf(testbed, guest, "-t", "1", "-u", "-b", "5M", "-l", datagram, "-R"),
    )


def exercise_agreed(testbed: Testbed, guests: list[Guest], case: MkaCase) -> str:
    """Sends less of it, to every guest, and returns the rates as text. Raises as `exercise` does.

    What guests send each other is not ours to judge: wpa_supplicant does not take the frames of a station that
    came alive to it after the key did.
    """
    for count, payload in ((20, 56), (5, case.inner_mtu - IP_AND_ICMP)):
        for guest in guests:
            _host_ping(testbed, guest, count, payload)
            _guest_ping(guest, count, payload)
    if not case.bulk:
        return ""
    to, back = (_iperf(testbed, guests[0], "-t", "1", *way) for way in ([], ["-R"]))
    return f", TCP {to:.0f}/{back:.0f} Mbit/s"


def sustain(testbed: Testbed, guest: Guest, seconds: int) -> str:
    """Pings and TCP both ways for so long. No ping may go unanswered."""
    count = seconds * 10
    pinging = subprocess.Popen(
        testbed.in_inner("ping", "-n", "-q", "-i", "0.1", "-c", count, guest.ip),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        # Slow enough for a guest that others share.
        rate = _iperf(testbed, guest, "-t", str(seconds), "-b", "5M", "--bidir", timeout=seconds + 20)
        output, _ = pinging.communicate(timeout=seconds)
    finally:
        pinging.kill()
    _judge_pings(output, count, f"{HOST_IP} to {guest.ip} for {seconds} s")
    return f", TCP {rate:.0f} Mbit/s each way"


def answers(testbed: Testbed, guest: Guest, seconds: float) -> bool:
    """Whether a ping of the host's is answered within this time."""
    command = testbed.in_inner("ping", "-n", "-q", "-i", "0.2", "-c", 1, "-w", max(1, round(seconds)), guest.ip)
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True).returncode == 0


def _host_ping(testbed: Testbed, guest: Guest, count: int, payload: int) -> None:
    command = testbed.in_inner("ping", *_ping_options(count, payload), guest.ip)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    _judge_pings(done.stdout, count, f"{HOST_IP} to {guest.ip}, {payload} octets")


def _guest_ping(guest: Guest, count: int, payload: int) -> None:
    shown = guest.run(f"{PING} {' '.join(_ping_options(count, payload))} {HOST_IP} || true")
    _judge_pings(shown, count, f"{guest.ip} to {HOST_IP}, {payload} octets")


def _ping_options(count: int, payload: int) -> list[str]:
    # With a deadline ping goes on until `count` are answered. Without, it waits two round trips for
    # the last one, which is too short on a busy machine. Whether one was lost, the counters tell.
    return ["-n", "-q", "-M", "do", "-w", "10", "-i", "0.02", "-c", str(count), "-s", str(payload)]


def _judge_pings(output: str, count: int, what: str) -> None:
    received = re.search(r"(\d+) received", output)
    if received is None or int(received[1]) < count:
        raise Failure(f"pings {what}: {received[1] if received else 'none'} of {count} answered")


def _tagged_arp(testbed: Testbed, guest: Guest) -> None:
    guest.run(
        f"{IP} link add link macsec0 name macsec0.{VLAN} type vlan id {VLAN} &&"
        f"{IP} address add {VLAN_GUEST_IP}/24 dev macsec0.{VLAN} &&"
        f"{IP} link set macsec0.{VLAN} up"
    )
    arguments = [testbed.host, VLAN, VLAN_HOST_IP, VLAN_GUEST_IP, TAGGED_REQUESTS]
    command = testbed.in_inner(sys.executable, TAGGED_ARP, *arguments)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.stdout.strip() != str(TAGGED_REQUESTS):
        raise Failure(f"tagged ARP: {done.stdout.strip()} of {TAGGED_REQUESTS} answered {done.stderr.strip()}".strip())


def _iperf(testbed: Testbed, guest: Guest, *options: str, timeout: float = 20) -> float:
    """Runs one transfer and returns the rate that the receiver saw, in Mbit/s."""
    # A server and a port for each transfer: after one, a server is busy or deaf for a while.
    port = next(_ports)
    guest.run(
        "kill -9 $(cat iperf.pid 2>/dev/null) 2>/dev/null;"
        f"{IPERF} -s -1 -D -I {guest.directory}/iperf.pid -p {port};"
        f"until netstat -ltn | grep -q :{port}; do sleep 0.05; done"
    )
    # A small window: a slow guest must not be buried in frames.
    window = [] if "-u" in options else ["-w", "256K"]
    command = testbed.in_inner("iperf3", "-J", "-c", guest.ip, "-p", port, *window, *options)
    what = f"iperf3 {' '.join(options)}"
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout)
        report = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        raise Failure(f"{what} does not finish") from None
    except ValueError:
        raise Failure(f"{what}: {done.stderr.strip()}") from None
    if "error" in report:
        raise Failure(f"{what}: {report['error']}")
    end = report["end"]
    return float((end.get("sum_received") or end["sum"])["bits_per_second"]) / 1e6
