"""The table of cases."""

from __future__ import annotations

from dataclasses import dataclass

from testbed import INNER_MTU, JUMBO_INNER_MTU


@dataclass(frozen=True)
class Case:
    """One configuration that both sides take. Replay protection is on and validation strict in all of them."""

    name: str
    about: str
    suite: str
    encrypt: bool = True
    end_station: bool = False  # and then no SCI in the SecTAG
    replay_window: int = 0
    first_pn: int = 1
    inner_mtu: int = INNER_MTU
    vlan: bool = False  # tagged frames among the others

    @property
    def xpn(self) -> bool:
        return "xpn" in self.suite

    @property
    def sak_octets(self) -> int:
        return 32 if self.suite.endswith("256") else 16


CASES = [
    Case("gcm-aes-128", "GCM-AES-128, replay window 0", "gcm-aes-128"),
    Case("gcm-aes-256", "GCM-AES-256, replay window 0", "gcm-aes-256"),
    Case("gcm-aes-xpn-128", "GCM-AES-XPN-128, replay window 0", "gcm-aes-xpn-128"),
    Case("gcm-aes-xpn-256", "GCM-AES-XPN-256, replay window 0", "gcm-aes-xpn-256"),
    Case("xpn-wrap", "the PN crosses 2^32 both ways during traffic", "gcm-aes-xpn-256", first_pn=2**32 - 100),
    Case("integrity-only", "nothing encrypted, all authenticated", "gcm-aes-128", encrypt=False),
    Case("integrity-only-xpn", "the same with extended packet numbers", "gcm-aes-xpn-256", encrypt=False),
    Case(
        "end-station", "ES set and no SCI: both sides infer it from the source address", "gcm-aes-128", end_station=True
    ),
    Case("replay-window-64", "replay window 64 instead of 0", "gcm-aes-xpn-128", replay_window=64),
    Case("jumbo", "inner MTU 9000", "gcm-aes-256", inner_mtu=JUMBO_INNER_MTU),
    Case("vlan", "frames with a VLAN tag, which MACsec protects as it does the rest", "gcm-aes-128", vlan=True),
]
