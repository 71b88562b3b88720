"""How a case with keys set by hand goes."""

from __future__ import annotations

from pathlib import Path

import devices
import kernel
import traffic
import verdict
from capture import Capture
from cases import Case
from gateway import Gateway, static_keys
from guest import Guest
from outcome import Outcome
from secy import channels
from testbed import Failure, Testbed


def perform(case: Case, binary: Path, testbed: Testbed, guest: Guest, directory: Path, outcome: Outcome) -> None:
    """Sets both sides up, sends the traffic, lets it settle, and judges the counters."""
    ours, theirs = channels(case)
    testbed.prepare(case.inner_mtu)
    kernel.configure(guest, case, ours, theirs)
    before = devices.read(testbed, [guest])
    keys = static_keys(case, ours, theirs, directory)
    with Gateway(binary, testbed, case, keys, directory) as gateway, Capture(testbed, directory) as capture:
        try:
            rates = str(traffic.exercise(testbed, guest, case))
        except Failure as failure:  # the counters will tell where the frames went
            outcome.problems.append(str(failure))
            rates = ""
        after = devices.settled(testbed, [guest])
        verdict_of_kernel = kernel.counters(guest)
        outcome.counters = f"--- kernel\n{verdict_of_kernel}"
        report = gateway.report()
        seen = verdict.Observation(
            case, ours, theirs, report, verdict_of_kernel, devices.difference(after, before), capture.stop()
        )  # fmt: skip
        outcome.counters = str(seen)
        try:
            if gateway.stop() != report:
                outcome.problems.append("counters changed between SIGUSR1 and SIGTERM, though nothing was sent")
        except Failure as failure:
            outcome.problems.append(str(failure))
    outcome.problems += verdict.problems(seen)
    outcome.figures = f"{seen.to_kernel:6} frames to the kernel, {seen.from_kernel:6} from it, {rates}"
