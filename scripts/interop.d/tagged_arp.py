"""Asks for neighbours with VLAN-tagged ARP requests and counts the tagged replies, up to the first that is missing.

    tagged_arp.py DEVICE VLAN OUR_IP THEIR_IP COUNT

Raw frames, so that the machine needs no VLAN device; a program of its own, because it
runs inside a network namespace. Prints the number of replies.
"""

from __future__ import annotations

import socket
import struct
import sys

ETH_P_ALL = 3
BROADCAST = b"\xff" * 6
SOL_PACKET, PACKET_AUXDATA = 263, 8
VLAN_VALID = 0x10  # TP_STATUS_VLAN_VALID
PRIORITY = 5
REQUEST, REPLY = 1, 2


def main() -> None:
    device, vlan, ours, theirs, count = sys.argv[1:]
    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    line.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    line.bind((device, 0))
    line.settimeout(3)
    source = line.getsockname()[4]
    tag = struct.pack(">HH", 0x8100, PRIORITY << 13 | int(vlan))
    arp = (
        struct.pack(">HHBBH", 1, 0x0800, 6, 4, REQUEST)
        + source
        + socket.inet_aton(ours)
        + bytes(6)
        + socket.inet_aton(theirs)
    )
    replies = 0
    while replies < int(count):
        line.send(BROADCAST + source + tag + struct.pack(">H", 0x0806) + arp)
        if not await_reply(line, int(vlan), theirs):
            break
        replies += 1
    print(replies)


def await_reply(line: socket.socket, vlan: int, theirs: str) -> bool:
    """Whether `theirs` answers, in the VLAN, before the socket's time is over."""
    try:
        while True:
            frame, extra, _, address = line.recvmsg(2048, 64)
            if address[2] != socket.PACKET_OUTGOING and is_reply(frame, extra, vlan, theirs):
                return True
    except TimeoutError:
        return False


def is_reply(frame: bytes, extra: list[tuple[int, int, bytes]], vlan: int, theirs: str) -> bool:
    # The kernel takes the tag out of the frame and hands it over beside it.
    for level, kind, data in extra:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", data[:20])
            if not status & VLAN_VALID or tci & 0xFFF != vlan:
                return False
    return (
        frame[12:14] == b"\x08\x06"
        and frame[20:22] == struct.pack(">H", REPLY)
        and frame[28:32] == socket.inet_aton(theirs)
    )


main()
