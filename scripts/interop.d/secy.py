"""What both sides must agree on: channels, keys, and the counters that 802.1AE names."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from cases import Case
from testbed import GUEST_MAC, HOST_MAC

GATEWAY_SCI = "0200000000030001"  # the line device's MAC and port 1


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
    ours = _sci_of(HOST_MAC) if case.end_station else GATEWAY_SCI
    return _channel(case, ours, ssci=1), _channel(case, _sci_of(GUEST_MAC), ssci=2)


def _channel(case: Case, sci: str, ssci: int) -> Channel:
    return Channel(sci, ssci, sak=secrets.token_hex(case.sak_octets), salt=secrets.token_hex(12))


def _sci_of(mac: str) -> str:
    return mac.replace(":", "") + "0001"


@dataclass(frozen=True)
class Counters:
    """The counters of one SecY, with the standard's names."""

    secy: dict[str, int]  # of no channel in particular
    tx_sc: dict[str, int]
    rx_sc: dict[str, int]
    tx_sa: dict[str, int]
    rx_sa: dict[str, int]

    def __str__(self) -> str:
        return table(vars(self))


def table(rows: dict[str, dict[str, int]]) -> str:
    """One line for each row."""
    return "\n".join(f"{name}: " + " ".join(f"{k}={v}" for k, v in values.items()) for name, values in rows.items())


def counters_only(shown: dict[str, object]) -> dict[str, int]:
    """The members of a JSON object that are counters, told by their names."""
    prefixes = ("InPkts", "InOctets", "OutPkts", "OutOctets")
    return {name: int(str(value)) for name, value in shown.items() if name.startswith(prefixes)}
