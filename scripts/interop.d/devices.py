"""The counters of every network device on the path, and their difference between two times."""

from __future__ import annotations

import time

import kernel
from guest import Guest
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


def settled(testbed: Testbed, guests: list[Guest]) -> Statistics:
    """The statistics once they have stopped changing."""
    deadline = time.monotonic() + SETTLE_SECONDS
    now, still = read(testbed, guests), 0
    while still < 3:
        if time.monotonic() > deadline:
            raise Failure(f"frames still come {SETTLE_SECONDS} s after the last transfer")
        time.sleep(0.2)
        earlier, now = now, read(testbed, guests)
        still = still + 1 if now == earlier else 0
    return now


def difference(after: Statistics, before: Statistics) -> Statistics:
    return {
        device: {name: value - before[device][name] for name, value in values.items()}
        for device, values in after.items()
    }
