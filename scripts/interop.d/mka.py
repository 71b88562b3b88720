"""How a case with MKA goes: both sides start, agree, and then comes what the case is about."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import agreed
import devices
import kernel
import status
import supplicant
import traffic
from agreed import Moment
from capture import MKPDU, Capture
from cases import Course, MkaCase
from gateway import SUSTAIN_SECONDS, Gateway, agreed_keys
from guest import Guest
from outcome import Outcome
from secy import association
from status import Status
from testbed import Failure, Testbed

AGREE_SECONDS = 10  # from the start of both until a ping passes; the peer takes most of it
# Two Linux peers may take each other's MKPDUs amiss for a while, whoever is the key server.
AGREE_ALL_SECONDS = 25
# Half a hello. Of two Linux peers that speak at one time, each may take itself for the key server, and the one that is not
# be left without a SAK for good: seen in one of thirty groups, whatever the third station is.
APART_SECONDS = 1
# A Linux peer that is the key server makes no SAK within 6 s of the last one, and then forgets that another station has
# joined: most of these come by one when they are taken for lost 6 s later, and some stay without for good.
SAK_AGE_SECONDS = 7
AGREE_AGAIN_SECONDS = 15  # the peer may wait until a station that was killed has aged out, which takes 6 s
PATIENCE_SECONDS = 30  # to tell what is late from what never comes
LOSE_SECONDS = 8  # a peer lives for 6 s from its last MKPDU
REFUSE_SECONDS = 8  # in which any two would have agreed


class Agreement:
    """A case, its two sides and what was seen of it."""

    def __init__(
        self, case: MkaCase, binary: Path, testbed: Testbed, guests: list[Guest], directory: Path, outcome: Outcome
    ) -> None:
        self._case = case
        self._binary = binary
        self._testbed = testbed
        self._guests = guests[: len(case.peers)]
        self._outcome = outcome
        ours, other = association(case), association(case)
        self._theirs = replace(ours, **{case.wrong: vars(other)[case.wrong]}) if case.wrong else ours
        self._keys = agreed_keys(case, ours, directory)
        self._directory = directory

    def perform(self) -> None:
        """Lets the case take its course, and judges what was counted and said."""
        self._testbed.prepare(self._case.inner_mtu)
        try:
            with (
                Gateway(self._binary, self._testbed, self._case, self._keys, self._directory) as self._gateway,
                Capture(self._testbed, self._directory, MKPDU) as self._capture,
            ):
                if self._case.course is Course.REFUSED:
                    self._be_refused()
                else:
                    self._agree()
                self._gateway.stop()
        finally:
            for guest in self._guests:
                supplicant.kill(guest)
                log = supplicant.take_log(guest)
                self._outcome.logs[f"supplicant of {guest.ip}"] = supplicant.gist(log)
                (self._directory / f"supplicant-{guest.ip}.log").write_text(log)

    def _agree(self) -> None:
        limit = AGREE_ALL_SECONDS if len(self._guests) > 1 else AGREE_SECONDS
        self._converge("up", limit, self._start_peers)
        if self._case.course in (Course.PEER_RESTARTS, Course.PEER_RETURNS):
            supplicant.kill(self._guests[0])
            if self._case.course is Course.PEER_RETURNS:
                self._await_loss()
            self._converge("again", AGREE_AGAIN_SECONDS, self._start_peers)
        elif self._case.course is Course.GATEWAY_RESTARTS:
            self._gateway.kill()
            self._converge("again", AGREE_AGAIN_SECONDS, self._start_gateway_again)
        before = self._moment()
        try:
            self._send()
        except Failure as failure:  # the counters will tell where the frames went
            self._outcome.problems.append(str(failure))
        after = self._moment()
        told = self._status()
        self._outcome.counters = f"--- in all\n{after}\n--- since all were secured\n{after - before}\n--- {told}"
        self._outcome.problems += self._peers_that_disagree()
        line = self._capture.stop()
        self._outcome.problems += agreed.problems(self._case, before, after, line, told)

    def _await_loss(self) -> None:
        deadline = time.monotonic() + LOSE_SECONDS
        while (told := self._status()).live_peers or told.secured:
            if time.monotonic() > deadline:
                raise Failure(f"{LOSE_SECONDS} s after the peer was killed: {told}")
            time.sleep(0.2)

    def _send(self) -> None:
        if self._case.course is Course.REKEYS:
            rates = traffic.sustain(self._testbed, self._guests[0], SUSTAIN_SECONDS)
        else:
            rates = traffic.exercise_agreed(self._testbed, self._guests, self._case)
            if self._case.course is Course.LASTS:
                time.sleep(2 * LOSE_SECONDS)
                traffic.exercise_agreed(self._testbed, self._guests, self._case)
        self._outcome.figures += rates

    def _be_refused(self) -> None:
        self._start_peers()
        if traffic.answers(self._testbed, self._guests[0], REFUSE_SECONDS):
            self._outcome.problems.append("a ping passes")
        told = self._status()
        after = self._moment()
        self._outcome.counters = f"{after}\n--- {told}"
        line = self._capture.stop()
        self._outcome.problems += agreed.wrongly_secured(self._case, after, line, told)
        for guest in self._guests:
            if count := kernel.associations(guest):
                self._outcome.problems.append(f"the kernel has {count} SAs")
        if not status.tells_refusal(self._gateway.log.read_text(errors="replace"), self._case.wrong):
            self._outcome.problems.append(f"the log does not tell that the peer has another {self._case.wrong.upper()}")

    def _start_peers(self) -> float:
        """Starts all of them, and returns when they had started."""
        for guest, priority in zip(self._guests, self._case.peers, strict=True):
            if guest is not self._guests[0]:
                self._await_turn()
            supplicant.start(guest, self._case, self._theirs, priority)
        started = time.monotonic()
        for guest in self._guests:
            supplicant.give_address(guest)
        return started

    def _await_turn(self) -> None:
        """Waits until another peer may start beside those that run."""
        if self._case.key_server == self._case.scis[0]:
            time.sleep(APART_SECONDS)
            return
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (told := self._status()).secured:
            if time.monotonic() > deadline:
                raise Failure(f"{PATIENCE_SECONDS} s after a peer was started: {told}")
            time.sleep(0.2)
        time.sleep(SAK_AGE_SECONDS)

    def _start_gateway_again(self) -> float:
        self._gateway.start_again()
        return time.monotonic()

    def _converge(self, what: str, limit: float, start: Callable[[], float]) -> None:
        """Starts, and waits until pings pass to every guest; adds to the figures how long that took."""
        began = start()
        for guest in self._guests:
            if not traffic.answers(self._testbed, guest, PATIENCE_SECONDS):
                raise Failure(
                    f"{what}: no ping to {guest.ip} is answered within {PATIENCE_SECONDS} s; {self._status()}"
                )
        took = time.monotonic() - began
        self._outcome.figures += f", {what} in {took:.1f} s" if self._outcome.figures else f"{what} in {took:.1f} s"
        if took > limit:
            self._outcome.problems.append(f"{what} in {took:.1f} s, later than {limit} s")

    def _moment(self) -> Moment:
        settled = devices.settled(self._testbed, self._guests, mka=True)
        ours, *_ = self._case.scis
        return Moment(self._gateway.report(), [kernel.counters(guest, ours) for guest in self._guests], settled)

    def _status(self) -> Status:
        return status.read(self._binary, self._gateway.control)

    def _peers_that_disagree(self) -> list[str]:
        """What the supplicants say of their state that is wrong, and stays so until they had the time to agree."""
        deadline = time.monotonic() + (AGREE_ALL_SECONDS if len(self._guests) > 1 else 0)
        while (found := self._disagreements()) and time.monotonic() < deadline:
            time.sleep(1)
        return found

    def _disagreements(self) -> list[str]:
        found = []
        for guest, sci in zip(self._guests, self._case.scis[1:], strict=True):
            told = supplicant.status(guest)
            expected = {
                "Secured": "Yes",
                "live_peers": str(len(self._guests)),
                "is_key_server": "Yes" if sci == self._case.key_server else "No",
            }
            found += [
                f"supplicant of {guest.ip}: {name} is {told.get(name)}, not {wanted}"
                for name, wanted in expected.items()
                if told.get(name) != wanted
            ]
        return found
