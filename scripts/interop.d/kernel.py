"""The kernel's side: `macsec0` in the guest."""

from __future__ import annotations

import json
from typing import Any

from cases import Case
from guest import IP, Guest
from secy import Channel, Counters, counters_only, total
from testbed import MACSEC_OVERHEAD, QUEUE, Failure, flatten_statistics

INTERRUPTED = "Dump was interrupted"
SHOWN_AGAIN = 20  # times at most
OF_TX_SC = ("OutPktsProtected", "OutPktsEncrypted", "OutOctets")


def configure(guest: Guest, case: Case, ours: Channel, theirs: Channel) -> None:
    """Makes `macsec0` anew; `ours` is the gateway's transmit channel, `theirs` the kernel's."""
    sci_in_frame = "send_sci off end_station on" if case.end_station else "send_sci on end_station off"
    # `port 1` and not `sci …`: the kernel takes no explicit SCI together with `send_sci off`.
    guest.run(
        f"{IP} link delete macsec0 2>/dev/null;"
        f"{IP} link set eth0 up mtu {case.inner_mtu + MACSEC_OVERHEAD} txqueuelen {QUEUE} &&"
        f"{IP} link add link eth0 name macsec0 type macsec port 1 cipher {case.suite}"
        f" encrypt {'on' if case.encrypt else 'off'} {sci_in_frame}"
        f" validate strict replay on window {case.replay_window} &&"
        f"{IP} macsec add macsec0 tx sa 0 {_sa(case, theirs)} &&"
        f"{IP} macsec add macsec0 rx sci {ours.sci} on &&"
        f"{IP} macsec add macsec0 rx sci {ours.sci} sa 0 {_sa(case, ours)} &&"
        f"{IP} link set macsec0 mtu {case.inner_mtu} &&"
        # Before the device is up: a neighbour is asked for once and no probe follows.
        "echo 600 >/proc/sys/net/ipv4/neigh/macsec0/delay_first_probe_time &&"
        f"{IP} address add {guest.ip}/24 dev macsec0 &&"
        f"{IP} link set macsec0 up"
    )


def _sa(case: Case, channel: Channel) -> str:
    if case.xpn:
        number = f"xpn {case.first_pn} salt {channel.salt} ssci {channel.ssci}"
    else:
        number = f"pn {case.first_pn}"
    return f"{number} on key 00 {channel.sak}"


def _show(guest: Guest, what: str) -> list[dict[str, Any]]:
    """What `ip` shows of the guest's devices.

    # Raises
    `Failure` when that is not JSON.
    """
    # The kernel counts what changes in all guests together, and a change in between may spoil what it shows.
    for _ in range(SHOWN_AGAIN):
        shown = guest.run(f"{IP} {what} show")
        if INTERRUPTED not in shown:
            break
    try:
        return json.loads(shown)
    except ValueError as error:
        raise Failure(f"`ip {what} show` in the guest says {shown!r}") from error


def statistics(guest: Guest) -> dict[str, dict[str, int]]:
    """Frames and errors of the guest's two devices, as `Testbed.statistics` has them."""
    shown = _show(guest, "-s -j link")
    return {device["ifname"]: flatten_statistics(device) for device in shown if device["ifname"] in ("eth0", "macsec0")}


def associations(guest: Guest) -> int:
    """How many SAs there are, both ways together."""
    shown = _show(guest, "-j macsec")
    return sum(len(channel["sa_list"]) for secy in shown for channel in (secy, *secy["rx_sc"]))


def counters(guest: Guest, sci: str = "") -> Counters:
    """The kernel's own verdict on every frame, or on those from this SCI: `ip -s macsec show`."""
    shown = _show(guest, "-s -j macsec")
    if len(shown) != 1:
        raise Failure(f"the guest has not one MACsec device, but {[secy['ifname'] for secy in shown]}")
    (secy,) = shown
    # iproute2 prints the counters of the SecY and of its transmit SC side by side.
    both = counters_only(secy)
    tx_sc = {name: both.pop(name) for name in list(both) if name.startswith(OF_TX_SC)}
    rx_scs = [rx_sc for rx_sc in secy["rx_sc"] if not sci or int(rx_sc["sci"], 16) == int(sci, 16)]
    rx_sas = [sa for rx_sc in rx_scs for sa in rx_sc["sa_list"]]
    return Counters(both, tx_sc, total(rx_scs), total(secy["sa_list"]), total(rx_sas))
