"""The verdict on a case with MKA: as `verdict`, but for frames among which MKPDUs pass, and keys that change."""

from __future__ import annotations

from dataclasses import dataclass

from capture import Line
from cases import Course, MkaCase
from devices import Statistics, difference
from gateway import REKEY_SECONDS, SUSTAIN_SECONDS, Report
from secy import Counters, table
from status import Status, tells_refusal
from verdict import errors, losses, names_of, path


@dataclass(frozen=True)
class Moment:
    """All counters at one time, or what was added between two."""

    gateway: Report
    kernels: list[Counters]
    devices: Statistics

    def __sub__(self, before: Moment) -> Moment:
        kernels = [kernel - earlier for kernel, earlier in zip(self.kernels, before.kernels, strict=True)]
        return Moment(self.gateway - before.gateway, kernels, difference(self.devices, before.devices))

    def __str__(self) -> str:
        kernels = "".join(f"--- kernel\n{kernel}\n" for kernel in self.kernels)
        return f"--- gateway\n{self.gateway}\n{kernels}--- devices\n{table(self.devices)}"


def problems(case: MkaCase, before: Moment, after: Moment, line: Line, status: Status) -> list[str]:
    """Everything that is not as it must be, from a moment when all were secured to one when nothing moved any more."""
    since = after - before
    # A station that was killed leaves the other talking to nobody, and a kernel's counters begin anew with its device.
    whole = after if case.course in (Course.STEADY, Course.REKEYS) and len(case.peers) == 1 else since
    found = _paths(case, since) + losses(_without_strays(since.devices), since.gateway)
    found += errors("gateway", whole.gateway.secy)
    for kernel in whole.kernels:
        found += errors("kernel", kernel, but="InPktsNoTag")  # that is where it counts MKPDUs
    found += line.problems(case, case.scis)
    if whole is after:
        found += _against_line(case, after, line)
    if case.course is Course.REKEYS:
        found += _rekeys(case, line, status)
    return found + _misjudged(case, status)


def wrongly_secured(case: MkaCase, moment: Moment, line: Line, status: Status) -> list[str]:
    """Everything that is not as it must be where nothing may pass."""
    found = [f"on the line: {line.frames(sci)} frames from SCI {sci}" for sci in line.senders]
    found += line.in_clear(case)
    for name, said in {"secured": status.secured, "live peers": status.live_peers}.items():
        if said:
            found.append(f"status: {name} is {said}")
    if not tells_refusal(status.last_error, case.wrong):
        found.append(f"status: last_error does not tell that the {case.wrong.upper()} is another: {status.last_error}")
    secy = moment.gateway.secy
    found += [f"gateway {name}: {n}" for name, n in (secy.tx_sc | secy.rx_sc).items() if n]
    return found


def _misjudged(case: MkaCase, status: Status) -> list[str]:
    """What the gateway says of its state that is wrong when all have agreed."""
    ours, *theirs = case.scis
    expected: dict[str, tuple[object, object]] = {
        "secured": (status.secured, True),
        "key_server": (status.key_server, case.key_server),
        "is_key_server": (status.is_key_server, case.key_server == ours),
        "live peers": (status.live_peers, set(theirs)),
    }
    if case.course in (Course.STEADY, Course.REKEYS):
        expected["last_error"] = (status.last_error, "")
    return [f"status: {name} is {said}, not {wanted}" for name, (said, wanted) in expected.items() if said != wanted]


def _paths(case: MkaCase, since: Moment) -> list[str]:
    """The places on the way of a frame where MKPDUs are not counted with it."""
    out_packets, _, _ = names_of(case.encrypt)
    ports, devices, secy = since.gateway.ports, since.devices, since.gateway.secy
    out: dict[str, int | None] = {
        "host0 sent": devices["host0"].get("tx_packets"),
        "plain0 received": devices["plain0"].get("rx_packets"),
        "gateway plain0 rx_frames": ports.get("plain0", {}).get("rx_frames"),
        f"gateway {out_packets}": secy.tx_sc.get(out_packets),
    }
    back: dict[str, int | None] = {
        "gateway InPktsOK": secy.rx_sc.get("InPktsOK"),
        "gateway plain0 tx_frames": ports.get("plain0", {}).get("tx_frames"),
        "plain0 sent": devices["plain0"].get("tx_packets"),
        "host0 received": devices["host0"].get("rx_packets"),
    }
    if len(since.kernels) == 1:  # else each hears its part only
        (kernel,) = since.kernels
        out["kernel InPktsOK"] = kernel.rx_sc.get("InPktsOK")
        out["macsec0 received"] = devices["macsec0"].get("rx_packets")
        back[f"kernel {out_packets}"] = kernel.tx_sc.get(out_packets)
        back["macsec0 sent"] = devices["macsec0"].get("tx_packets")
    return path("to the kernel", out) + path("from the kernel", back)


def _against_line(case: MkaCase, after: Moment, line: Line) -> list[str]:
    """From the first frame to the last: whatever was on the line was sent by the one and taken by the other."""
    out_packets, _, _ = names_of(case.encrypt)
    ours, theirs = case.scis
    gateway, (kernel,) = after.gateway.secy, after.kernels
    return path(
        "to the kernel, in all",
        {
            f"gateway {out_packets}": gateway.tx_sc.get(out_packets),
            "captured": line.frames(ours),
            "kernel InPktsOK": kernel.rx_sc.get("InPktsOK"),
        },
    ) + path(
        "from the kernel, in all",
        {
            f"kernel {out_packets}": kernel.tx_sc.get(out_packets),
            "captured": line.frames(theirs),
            "gateway InPktsOK": gateway.rx_sc.get("InPktsOK"),
        },
    )


def _rekeys(case: MkaCase, line: Line, status: Status) -> list[str]:
    least = SUSTAIN_SECONDS // REKEY_SECONDS - 1
    keys = {sci: line.keys(sci) for sci in case.scis}
    found = [f"only {count} keys were used by {sci}" for sci, count in keys.items() if count < least]
    if status.rekeys < least:
        found.append(f"status: {status.rekeys} rekeys in {SUSTAIN_SECONDS} s")
    return found


def _without_strays(devices: Statistics) -> Statistics:
    """The kernel counts every MKPDU as dropped by `macsec0`, beside InPktsNoTag."""
    return {
        device: {name: n for name, n in values.items() if not (device.endswith("macsec0") and name == "rx_dropped")}
        for device, values in devices.items()
    }
