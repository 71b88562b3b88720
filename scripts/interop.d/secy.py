"""What both sides must agree on: channels, keys, and the counters that 802.1AE names."""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from typing import Any

from cases import Case, MkaCase
from testbed import GATEWAY_MAC, GUEST_MACS, HOST_MAC, sci


@dataclass(frozen=True)
class Channel:
    """One direction: who sends, and with which key."""

    sci: str  # 16 hex digits
    ssci: int
    sak: str
    salt: str  # 24 hex digits; XPN only


def channels(case: Case) -> tuple[Channel, Channel]:
    """The gateway's transmit channel and the kernel's, with fresh keys."""
    # Without an SCI in the frame the receiver takes the frame's source, which for ours is the protected host.
    ours = sci(HOST_MAC if case.end_station else GATEWAY_MAC)
    return _channel(case, ours, ssci=1), _channel(case, sci(GUEST_MACS[0]), ssci=2)


def _channel(case: Case, identifier: str, ssci: int) -> Channel:
    return Channel(identifier, ssci, sak=secrets.token_hex(case.sak_octets), salt=secrets.token_hex(12))


@dataclass(frozen=True)
class Association:
    """A connectivity association: what its members share, in hex."""

    cak: str
    ckn: str


def association(case: MkaCase) -> Association:
    return Association(secrets.token_hex(case.cak_octets), secrets.token_hex(case.ckn_octets))


@dataclass(frozen=True)
class Counters:
    """The counters of one SecY, with the standard's names."""

    secy: dict[str, int]  # of no channel in particular
    tx_sc: dict[str, int]
    rx_sc: dict[str, int]
    tx_sa: dict[str, int]
    rx_sa: dict[str, int]

    def __sub__(self, before: Counters) -> Counters:
        """What was added since; for the SAs that is without meaning, when there are others."""
        return Counters(**{scope: subtract(values, vars(before)[scope]) for scope, values in vars(self).items()})

    def __str__(self) -> str:
        return table(vars(self))


def table(rows: dict[str, dict[str, int]]) -> str:
    """One line for each row."""
    return "\n".join(f"{name}: " + " ".join(f"{k}={v}" for k, v in values.items()) for name, values in rows.items())


def counters_only(shown: dict[str, object]) -> dict[str, int]:
    """The members of a JSON object that are counters, told by their names."""
    prefixes = ("InPkts", "InOctets", "OutPkts", "OutOctets")
    return {name: int(str(value)) for name, value in shown.items() if name.startswith(prefixes)}


def total(shown: list[dict[str, Any]]) -> dict[str, int]:
    """The sum of the counters of several channels or associations."""
    counts: Counter[str] = Counter()
    for one in shown:
        counts.update(counters_only(one))
    return dict(counts)


def subtract(after: dict[str, int], before: dict[str, int]) -> dict[str, int]:
    return {name: value - before.get(name, 0) for name, value in after.items()}
