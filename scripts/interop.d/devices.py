"""The counters of every network device on the path, and their difference between two times."""

from __future__ import annotations

import time

import kernel
from guest import Guest
from secy import subtract
from testbed import Failure, Testbed

SETTLE_SECONDS = 15

Statistics = dict[str, dict[str, int]]


def read(testbed: Testbed, guests: list[Guest]) -> Statistics:
    """The lane's devices, and those of its guests; with several guests each has its IP address in their names."""
    found = testbed.statistics()
    for guest in guests:
        for name, values in kernel.statistics(guest).items():
            found[name if len(guests) == 1 else f"{guest.ip} {name}"] = values
    return found


def settled(testbed: Testbed, guests: list[Guest], mka: bool = False) -> Statistics:
    """The statistics once they have stopped changing; with `mka` those apart that its frames never leave in peace."""
    deadline = time.monotonic() + SETTLE_SECONDS
    now, still = read(testbed, guests), 0
    while still < 3:
        if time.monotonic() > deadline:
            raise Failure(f"frames still come {SETTLE_SECONDS} s after the last transfer")
        time.sleep(0.2)
        earlier, now = now, read(testbed, guests)
        same = _without_mka(now) == _without_mka(earlier) if mka else now == earlier
        still = still + 1 if same else 0
    return now


def _without_mka(statistics: Statistics) -> list[tuple[int, int]]:
    """Frames in and out of the devices that no MKPDU passes."""
    ends = (Testbed.host, Testbed.plain, "macsec0")
    return [(values["rx_packets"], values["tx_packets"]) for name, values in statistics.items() if name.endswith(ends)]


def difference(after: Statistics, before: Statistics) -> Statistics:
    return {device: subtract(values, before[device]) for device, values in after.items()}
