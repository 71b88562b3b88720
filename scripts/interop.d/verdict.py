"""Compares what every place on the path counted, frame for frame."""

from __future__ import annotations

import re
from dataclasses import dataclass

from capture import Line
from cases import Case
from devices import Statistics
from gateway import Report
from secy import Channel, Counters, table

# Both sides have these, and here each of them would be a frame lost or misjudged.
ERRORS = [
    "InPktsBadTag",
    "InPktsNoSCI",
    "InPktsNoTag",
    "InPktsOverrun",
    "InPktsUnknownSCI",
    "InPktsUntagged",
    "OutPktsTooLong",
    "OutPktsUntagged",
]
CHANNEL_ERRORS = [
    "InPktsDelayed",
    "InPktsInvalid",
    "InPktsLate",
    "InPktsNotUsingSA",
    "InPktsNotValid",
    "InPktsUnchecked",
    "InPktsUnusedSA",
]
LOSS = re.compile(r"drop|err|miss|nombuf|no_mbuf|no_buffer|over|fail|collision")


@dataclass(frozen=True)
class Observation:
    """One case, all counters, taken when nothing moved any more."""

    case: Case
    ours: Channel
    theirs: Channel
    gateway: Report
    kernel: Counters
    devices: Statistics  # what was added since the case began
    line: Line

    @property
    def to_kernel(self) -> int:
        return self.kernel.rx_sc.get("InPktsOK", 0)

    @property
    def from_kernel(self) -> int:
        return self.gateway.secy.rx_sc.get("InPktsOK", 0)

    def __str__(self) -> str:
        return f"--- gateway\n{self.gateway}\n--- kernel\n{self.kernel}\n--- devices\n{table(self.devices)}"


def problems(seen: Observation) -> list[str]:
    """Everything that is not as it must be; nothing when the case passed."""
    return (
        path("to the kernel", _toward_kernel(seen))
        + path("from the kernel", _from_kernel(seen))
        + _octets(seen)
        + errors("gateway", seen.gateway.secy)
        + errors("kernel", seen.kernel)
        + losses(seen.devices, seen.gateway)
        + seen.line.problems(seen.case, [seen.ours.sci, seen.theirs.sci])
    )


def _toward_kernel(seen: Observation) -> dict[str, int | None]:
    """The places that a frame from the host passes, and how many passed there."""
    out_packets, _, _ = _names(seen.case)
    ports, devices = seen.gateway.ports, seen.devices
    return {
        "host0 sent": devices["host0"].get("tx_packets"),
        "plain0 received": devices["plain0"].get("rx_packets"),
        "gateway plain0 rx_frames": ports.get("plain0", {}).get("rx_frames"),
        f"gateway {out_packets}": seen.gateway.secy.tx_sc.get(out_packets),
        "gateway SAs": seen.gateway.secy.tx_sa.get(out_packets),
        "gateway line0 tx_frames": ports.get("line0", {}).get("tx_frames"),
        "captured": _captured(seen, seen.ours),
        "TAP sent": devices["line0"].get("tx_packets"),
        "eth0 received": devices["eth0"].get("rx_packets"),
        "kernel InPktsOK": seen.kernel.rx_sc.get("InPktsOK"),
        "macsec0 received": devices["macsec0"].get("rx_packets"),
    }


def _from_kernel(seen: Observation) -> dict[str, int | None]:
    """The same for a frame from the guest."""
    out_packets, _, _ = _names(seen.case)
    ports, devices = seen.gateway.ports, seen.devices
    return {
        "macsec0 sent": devices["macsec0"].get("tx_packets"),
        f"kernel {out_packets}": seen.kernel.tx_sc.get(out_packets),
        "eth0 sent": devices["eth0"].get("tx_packets"),
        "TAP received": devices["line0"].get("rx_packets"),
        "captured": _captured(seen, seen.theirs),
        "gateway line0 rx_frames": ports.get("line0", {}).get("rx_frames"),
        "gateway InPktsOK": seen.gateway.secy.rx_sc.get("InPktsOK"),
        "gateway SAs": seen.gateway.secy.rx_sa.get("InPktsOK"),
        "gateway plain0 tx_frames": ports.get("plain0", {}).get("tx_frames"),
        "plain0 sent": devices["plain0"].get("tx_packets"),
        "host0 received": devices["host0"].get("rx_packets"),
    }


def path(direction: str, counts: dict[str, int | None]) -> list[str]:
    """All places must agree; if not, the whole path is shown, because the first difference is where frames went."""
    if len(set(counts.values())) == 1 and None not in counts.values() and 0 not in counts.values():
        return []
    return [f"frames {direction}: " + ", ".join(f"{place} {count}" for place, count in counts.items())]


def _octets(seen: Observation) -> list[str]:
    _, out_octets, in_octets = _names(seen.case)
    found = []
    pairs = (("to the kernel", seen.gateway.secy, seen.kernel), ("from the kernel", seen.kernel, seen.gateway.secy))
    for direction, sender, receiver in pairs:
        sent, received = sender.tx_sc.get(out_octets), receiver.rx_sc.get(in_octets)
        if sent != received or not sent:
            found.append(f"octets {direction}: {out_octets} {sent}, {in_octets} {received}")
    return found


def errors(side: str, secy: Counters, but: str = "") -> list[str]:
    """Error counters, and those of the form of protection that this case does not use."""
    unused = names_of(encrypt=not secy.tx_sc.get("OutPktsEncrypted"))
    wanted = [("secy", secy.secy, name) for name in ERRORS] + [("rx_sc", secy.rx_sc, name) for name in CHANNEL_ERRORS]
    wanted += [("tx_sc", secy.tx_sc, unused[0]), ("tx_sc", secy.tx_sc, unused[1]), ("rx_sc", secy.rx_sc, unused[2])]
    return [
        f"{side} {scope} {name}: {values.get(name, 'missing')}"
        for scope, values, name in wanted
        if values.get(name) != 0 and name != but
    ]


def losses(devices: Statistics, gateway: Report) -> list[str]:
    places = devices | {f"gateway port {name}": values for name, values in gateway.ports.items()}
    return [
        f"{place} {name}: {value}"
        for place, values in places.items()
        for name, value in values.items()
        if value and LOSS.search(name)
    ]


def _captured(seen: Observation, channel: Channel) -> int | None:
    sender = seen.line.senders.get(channel.sci)
    return len(sender.pns) if sender else None


def _names(case: Case) -> tuple[str, str, str]:
    """The counters that move: frames and octets sent, octets received."""
    return names_of(case.encrypt)


def names_of(encrypt: bool) -> tuple[str, str, str]:
    if encrypt:
        return "OutPktsEncrypted", "OutOctetsEncrypted", "InOctetsDecrypted"
    return "OutPktsProtected", "OutOctetsProtected", "InOctetsValidated"
