"""What was on the line: a capture of the TAP, and what its frames' headers tell."""

from __future__ import annotations

import re
import signal
import struct
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from cases import Case, MkaCase
from testbed import Failure, Testbed

ETHERTYPE_MACSEC = 0x88E5
ETHERTYPE_EAPOL = 0x888E
ETHERNET = 14  # octets
ICV = 16
SHORT = 48  # secure data below this many octets has its length in the SecTAG
TCI_ES, TCI_SC, TCI_E, TCI_C = 0x40, 0x20, 0x08, 0x04
AN = 0x03

HEADERS = 64  # octets of a frame that are enough to judge it
MKPDU = 512


@dataclass
class Sender:
    """The frames of one SCI, in the order of the line."""

    pns: list[int] = field(default_factory=list)  # the 32 bits that the SecTAG has
    tci_an: Counter[int] = field(default_factory=Counter)
    short: int = 0
    wrong_length: int = 0  # Short Length and the frame's own length disagree


@dataclass
class Line:
    """A capture, read."""

    senders: dict[str, Sender] = field(default_factory=dict)
    clear: Counter[tuple[int, str]] = field(default_factory=Counter)  # by ethertype and source

    def frames(self, sci: str) -> int:
        """How many came from this SCI."""
        return len(self.senders[sci].pns) if sci in self.senders else 0

    def keys(self, sci: str) -> int:
        """How many keys it used, told by packet numbers that begin anew."""
        return self.senders[sci].pns.count(1) if sci in self.senders else 0

    def problems(self, case: Case, scis: list[str]) -> list[str]:
        """What should not have been there."""
        found = self.in_clear(case)
        found += [f"on the line: SCI {sci}, which is nobody's" for sci in self.senders.keys() - set(scis)]
        return found + [problem for sci in scis for problem in self._of_sender(case, sci)]

    def in_clear(self, case: Case) -> list[str]:
        """Frames without a SecTAG; MKPDUs have to be."""
        return [
            f"on the line in clear: {count} × ethertype {ethertype:#06x} from {source}"
            for (ethertype, source), count in self.clear.items()
            if ethertype != ETHERTYPE_EAPOL or not isinstance(case, MkaCase)
        ]

    def _of_sender(self, case: Case, sci: str) -> list[str]:
        sender = self.senders.get(sci)
        if sender is None:
            return [f"on the line: nothing from SCI {sci}"]
        found = []
        expected = case.first_pn
        for pn in sender.pns:
            # Agreed keys change, and packet numbers begin anew with each. What two guests tell each other a bridge
            # does not show us.
            if pn != expected and not (
                isinstance(case, MkaCase) and (pn == case.first_pn or (len(case.peers) > 1 and pn > expected))
            ):
                found.append(f"on the line: PN {pn:#x} from {sci} where {expected:#x} was due")
                break
            expected = (pn + 1) % 2**32
        tci = (TCI_ES if case.end_station else TCI_SC) | (TCI_E | TCI_C if case.encrypt else 0)
        found += [
            f"on the line: {n} × TCI and AN {seen:#04x} from {sci}, not {tci:#04x}"
            for seen, n in sender.tci_an.items()
            if (seen & ~AN if isinstance(case, MkaCase) else seen) != tci
        ]
        if sender.wrong_length:
            found.append(f"on the line: {sender.wrong_length} × a Short Length from {sci} that is not the frame's")
        if not sender.short:
            found.append(f"on the line: no short frame from {sci}")
        return found


class Capture:
    """tcpdump on the line, for as long as the context lasts."""

    def __init__(self, testbed: Testbed, directory: Path, octets: int = HEADERS) -> None:
        self._file = directory / "line.pcap"
        self._log = directory / "tcpdump.log"
        self._process = subprocess.Popen(
            testbed.in_wire("tcpdump", "-i", testbed.line, "-Z", "root", "-s", octets, "-B", "16384", "-w", "-"),
            stdin=subprocess.DEVNULL,
            stdout=self._file.open("wb"),
            stderr=self._log.open("wb"),
            start_new_session=True,
        )

    def __enter__(self) -> Capture:
        deadline = time.monotonic() + 10
        while "listening on" not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise Failure(f"tcpdump did not start: {self._log.read_text().strip()}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> Line:
        """Ends the capture and reads it."""
        time.sleep(1.1)  # tcpdump gets frames a second late at the latest
        self._process.send_signal(signal.SIGINT)
        self._process.wait(timeout=10)
        dropped = re.search(r"(\d+) packets dropped by kernel", self._log.read_text())
        if dropped is None or int(dropped[1]):
            raise Failure(f"the capture is not complete: {self._log.read_text().strip()}")
        return _read(self._file.read_bytes())


def _read(pcap: bytes) -> Line:
    line = Line()
    offset = 24
    while offset < len(pcap):
        captured, length = struct.unpack_from("<II", pcap, offset + 8)
        _add(line, pcap[offset + 16 : offset + 16 + captured], length)
        offset += 16 + captured
    return line


def _add(line: Line, frame: bytes, length: int) -> None:
    """Files one frame; `length` is its own, `frame` may be its beginning only."""
    (ethertype,) = struct.unpack_from(">H", frame, 12)
    if ethertype != ETHERTYPE_MACSEC:
        line.clear[ethertype, frame[6:12].hex(":")] += 1
        return
    tci_an, short_length, pn = struct.unpack_from(">BBI", frame, ETHERNET)
    with_sci = bool(tci_an & TCI_SC)
    sci = frame[20:28].hex() if with_sci else frame[6:12].hex() + "0001"
    secure_data = length - ETHERNET - (14 if with_sci else 6) - ICV
    sender = line.senders.setdefault(sci, Sender())
    sender.pns.append(pn)
    sender.tci_an[tci_an] += 1
    sender.short += short_length != 0
    sender.wrong_length += short_length != (secure_data if secure_data < SHORT else 0)
