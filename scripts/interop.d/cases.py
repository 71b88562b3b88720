"""The table of cases."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from testbed import GATEWAY_MAC, GUEST_MACS, INNER_MTU, JUMBO_INNER_MTU, sci


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
    crypto_core: str = ""  # of the gateway, for one direction: "protect" or "verify"
    every_length: bool = True  # of short frames; else some of them, since other cases differ in nothing that matters

    @property
    def xpn(self) -> bool:
        return "xpn" in self.suite

    @property
    def sak_octets(self) -> int:
        return 32 if self.suite.endswith("256") else 16


class Course(Enum):
    """What happens in a case with key agreement, once both sides have started."""

    STEADY = auto()  # traffic and nothing else
    LASTS = auto()  # traffic, and the same again when everybody's life time is over
    REFUSED = auto()  # the two have not the same CAK or CKN, so nothing passes
    PEER_RESTARTS = auto()
    PEER_RETURNS = auto()  # as before, but only after the gateway has given it up
    GATEWAY_RESTARTS = auto()
    REKEYS = auto()  # traffic while the gateway, as the key server, makes one key after the other


@dataclass(frozen=True)
class MkaCase(Case):
    """Both sides agree upon their keys by MKA."""

    suite: str = "gcm-aes-128"  # the peer knows no other, whatever the CAK's length
    cak_octets: int = 16
    ckn_octets: int = 16
    priority: int = 16  # ours; the lowest is the key server's
    peers: tuple[int, ...] = (255,)  # the priority of every guest
    peer_port: int = 1  # in the peer's SCI
    bridged: bool = False  # through a Linux bridge
    bulk: bool = False  # iperf3 beside the pings
    delay_protect: bool = False  # ours
    course: Course = Course.STEADY
    wrong: str = ""  # what the peer has wrong: its "cak" or "ckn"

    @property
    def scis(self) -> list[str]:
        """The SCI of the gateway and those of the guests."""
        return [sci(GATEWAY_MAC), *(sci(mac, self.peer_port) for mac in GUEST_MACS[: len(self.peers)])]

    @property
    def key_server(self) -> str:
        """The SCI of the station that all must elect."""
        return min(zip((self.priority, *self.peers), self.scis))[1]


CASES: list[Case] = [
    Case("gcm-aes-128", "GCM-AES-128, replay window 0", "gcm-aes-128"),
    Case("gcm-aes-256", "GCM-AES-256, replay window 0", "gcm-aes-256", every_length=False),
    Case("gcm-aes-xpn-128", "GCM-AES-XPN-128, replay window 0", "gcm-aes-xpn-128", every_length=False),
    Case("gcm-aes-xpn-256", "GCM-AES-XPN-256, replay window 0", "gcm-aes-xpn-256"),
    Case(
        "xpn-wrap",
        "the PN crosses 2^32 both ways during traffic",
        "gcm-aes-xpn-256",
        first_pn=2**32 - 100,
        every_length=False,
    ),
    Case("integrity-only", "nothing encrypted, all authenticated", "gcm-aes-128", encrypt=False),
    Case(
        "integrity-only-xpn",
        "the same with extended packet numbers",
        "gcm-aes-xpn-256",
        encrypt=False,
        every_length=False,
    ),
    Case(
        "end-station", "ES set and no SCI: both sides infer it from the source address", "gcm-aes-128", end_station=True
    ),
    Case(
        "replay-window-64",
        "replay window 64 instead of 0",
        "gcm-aes-xpn-128",
        replay_window=64,
        every_length=False,
    ),
    Case("jumbo", "inner MTU 9000", "gcm-aes-256", inner_mtu=JUMBO_INNER_MTU, every_length=False),
    Case("vlan", "frames with a VLAN tag, which MACsec protects as it does the rest", "gcm-aes-128", vlan=True),
    Case(
        "crypto-core-protect",
        "another core encrypts",
        "gcm-aes-xpn-256",
        crypto_core="protect",
        every_length=False,
    ),
    Case(
        "crypto-core-verify",
        "another core decrypts",
        "gcm-aes-xpn-256",
        crypto_core="verify",
        every_length=False,
    ),
    # First, because it takes longest, and cases with key agreement run side by side.
    MkaCase("mka-rekey", "a key of ours every 10 s, for a minute under ping and iperf3", course=Course.REKEYS),
    MkaCase("mka-server", "MKA with 128-bit CAK and CKN, the gateway is the key server", bulk=True),
    MkaCase("mka-client", "the same, the peer is the key server", priority=32, peers=(16,), bulk=True),
    MkaCase("mka-cak-256", "CAK of 256 bits, the SAK still of 128", cak_octets=32),
    MkaCase("mka-ckn-1", "CKN of 1 octet", ckn_octets=1),
    MkaCase("mka-ckn-32", "CKN of 32 octets", ckn_octets=32),
    MkaCase("mka-integrity-only", "nothing encrypted, all authenticated", encrypt=False),
    MkaCase("mka-replay-window-64", "replay window 64 instead of 0", replay_window=64, bulk=True),
    MkaCase(
        "mka-delay-protect",
        "delay protection of ours, beyond the time in which a peer that disliked it would be lost",
        delay_protect=True,
        course=Course.LASTS,
    ),
    MkaCase(
        "mka-delay-protect-client",
        "the same, the peer is the key server",
        priority=32,
        peers=(16,),
        delay_protect=True,
        course=Course.LASTS,
    ),
    MkaCase("mka-port", "port 7 in the peer's SCI", peer_port=7),
    MkaCase("mka-wrong-cak", "the peer has another CAK: nothing passes", course=Course.REFUSED, wrong="cak"),
    MkaCase("mka-wrong-ckn", "the peer has another CKN: nothing passes", course=Course.REFUSED, wrong="ckn"),
    MkaCase("mka-peer-restart", "the peer is killed and comes back", course=Course.PEER_RESTARTS),
    MkaCase("mka-peer-lost", "the peer is killed and comes back when it was given up", course=Course.PEER_RETURNS),
    MkaCase("mka-gateway-restart", "the gateway is killed and comes back", course=Course.GATEWAY_RESTARTS),
    MkaCase("mka-bridge", "a Linux bridge between the two", bridged=True),
    MkaCase("mka-same-priority", "255 on both sides, the peer has the lower SCI", priority=255, bridged=True),
    MkaCase("mka-three", "three stations on a bridge, ours is the key server", peers=(64, 128), bridged=True),
    MkaCase(
        "mka-three-same-priority",
        "three stations of one priority, a peer has the lowest SCI",
        priority=100,
        peers=(100, 100),
        bridged=True,
    ),
]
