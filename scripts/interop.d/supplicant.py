"""The peer's key agreement: wpa_supplicant in a guest, which makes `macsec0` and gives it its keys."""

from __future__ import annotations

import re
import shlex

from cases import MkaCase
from guest import IP, Guest
from secy import Association
from testbed import MACSEC_OVERHEAD, QUEUE

SUPPLICANT = "/tools/wpa_supplicant"
CLI = "/tools/wpa_cli"
LOG = "supplicant.log"
HAPPENED = re.compile(r"KaY: |CP: ")
ROUTINE = re.compile(
    r"hexdump|RX EAPOL|Decode received|Encode and send|Ethernet header|Common EAPOL|Participant timer"
    r"|Peer's version|i_in_peerlist|My MI - received"
)


def start(guest: Guest, case: MkaCase, association: Association, priority: int) -> None:
    """Starts the supplicant; it is running when this returns."""
    lines = " ".join(map(shlex.quote, _configuration(guest, case, association, priority)))
    here = guest.directory
    guest.run(
        f"printf '%s\\n' {lines} >supplicant.conf; {IP} link delete macsec0 2>/dev/null;"
        f"{IP} link set eth0 up mtu {case.inner_mtu + MACSEC_OVERHEAD} txqueuelen {QUEUE} &&"
        f"{SUPPLICANT} -B -t -d -D macsec_linux -i eth0 -c {here}/supplicant.conf"
        f" -P {here}/supplicant.pid -f {here}/{LOG}"
    )


def give_address(guest: Guest) -> None:
    """Gives the device that the supplicant makes an address."""
    guest.run(
        f"until {IP} link show macsec0 2>/dev/null; do sleep 0.1; done &&"
        "echo 600 >/proc/sys/net/ipv4/neigh/macsec0/delay_first_probe_time &&"
        f"{IP} address add {guest.ip}/24 dev macsec0"
    )


def kill(guest: Guest) -> None:
    """Ends the supplicant as a power cut would, and removes what it left. No supplicant is no error."""
    guest.run(
        "kill -9 $(cat supplicant.pid 2>/dev/null) 2>/dev/null; rm -f supplicant.pid;"
        f"{IP} link delete macsec0 2>/dev/null; true"
    )


def status(guest: Guest) -> dict[str, str]:
    """What the supplicant says of itself: `Secured`, `Is Key Server`, `live_peers` and so on."""
    shown = guest.run(f"{CLI} -p {guest.directory}/control -i eth0 status || true")
    return dict(line.strip().split("=", 1) for line in shown.splitlines() if "=" in line)


def take_log(guest: Guest) -> str:
    """What it wrote since this was last called; its memory is the guest's."""
    return guest.run(f"cat {LOG} || true; rm -f {LOG}")


def gist(log: str) -> str:
    """Of a supplicant's log, what happened to it; not what was in the MKPDUs, nor that there was one."""
    return "\n".join(line for line in log.splitlines() if HAPPENED.search(line) and not ROUTINE.search(line))


def _configuration(guest: Guest, case: MkaCase, association: Association, priority: int) -> list[str]:
    return [
        f"ctrl_interface=DIR={guest.directory}/control",
        "eapol_version=3",
        "ap_scan=0",
        "network={",
        "key_mgmt=NONE",
        "eapol_flags=0",
        "macsec_policy=1",
        f"macsec_integ_only={int(not case.encrypt)}",
        "macsec_replay_protect=1",
        f"macsec_replay_window={case.replay_window}",
        f"macsec_port={case.peer_port}",
        f"mka_priority={priority}",
        f"mka_cak={association.cak}",
        f"mka_ckn={association.ckn}",
        "}",
    ]
