"""What the gateway says of its key agreement: `macsec-gw status --json`, and its log. No other file reads them."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed import Failure

# What the log and the last error must tell when the peer's CAK or CKN is another.
REFUSALS = {"cak": re.compile(r"wrong ICV: is the CAK right"), "ckn": re.compile(r"another CKN")}


@dataclass(frozen=True)
class Status:
    """The state of one link."""

    secured: bool
    key_server: str  # its SCI; empty when there is none
    is_key_server: bool
    live_peers: set[str]  # their SCIs
    rekeys: int
    last_error: str


def read(binary: Path, control: Path) -> Status:
    """Asks the gateway with this control socket, which has one link."""
    command = [str(binary), "status", "--json", "--socket", str(control)]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        raise Failure("`macsec-gw status` does not end") from None
    if done.returncode != 0:
        raise Failure(f"`macsec-gw status`: status {done.returncode}: {done.stderr.strip()}")
    try:
        (shown,) = (json.loads(line) for line in done.stdout.splitlines())
        return Status(
            secured=shown["secured"],
            key_server=shown["key_server"] or "",
            is_key_server=shown["is_key_server"],
            live_peers={peer["sci"] for peer in shown["peers"] if peer["live"]},
            rekeys=shown["rekeys"],
            last_error=shown["last_error"]["text"] if shown["last_error"] else "",
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Failure(f"`macsec-gw status`: {error!r} in\n{done.stdout.strip()}") from error


def tells_refusal(said: str, wrong: str) -> bool:
    """Whether what was said names what the peer has wrong."""
    return REFUSALS[wrong].search(said) is not None
