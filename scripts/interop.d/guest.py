"""The peers: a virtual machine whose kernel speaks MACsec, and the serial ports that command it.

Each of the machine's network devices is in a namespace of its own, so that one
machine is several stations. Such a station is a guest here.
"""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from prerequisites import Kernel
from testbed import JUMBO_LINE_MTU, Failure, Namespace, Tap, Testbed, call

BOOT_SECONDS = 120  # ten are usual

# By full path, because busybox has applets of these names.
IP = "/tools/ip"
PING = "/tools/ping"
IPERF = "/tools/iperf3"


class Machine:
    """A running virtual machine, with a guest at the far end of every TAP of every lane."""

    def __init__(self, kernel: Kernel, initramfs: Path, lanes: list[Testbed], directory: Path) -> None:
        self.console = directory / "console.log"
        self._lanes = lanes
        taps = [tap for lane in lanes for tap in lane.taps]
        # Opened where the machine runs; what it has opened may move.
        with Namespace("machine") as namespace:
            for tap in taps:
                call(*namespace.wrap("ip", "tuntap", "add", "dev", tap.name, "mode", "tap"))
            addresses = [directory / f"agent{number}.sock" for number in range(len(taps))]
            self._process = subprocess.Popen(
                namespace.wrap(*_command(kernel, initramfs, self.console, taps, addresses)),
                stdin=subprocess.DEVNULL,
                stderr=(directory / "qemu.log").open("wb"),
                start_new_session=True,  # Ctrl-C is for the driver, which then ends the others in order
            )
            try:
                agents = [self._connect(address) for address in addresses]
                guests = [Guest(tap, agent, number) for number, (tap, agent) in enumerate(zip(taps, agents))]
                for lane in lanes:
                    lane.plug_in(namespace)
            except BaseException:
                self._process.kill()
                raise
        self._guests = guests

    def __enter__(self) -> Machine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        self._process.kill()

    def guests(self, lane: Testbed) -> list[Guest]:
        """Those of one lane."""
        before = sum(len(earlier.taps) for earlier in self._lanes[: self._lanes.index(lane)])
        return self._guests[before : before + len(lane.taps)]

    def _connect(self, address: Path) -> socket.socket:
        agent = socket.socket(socket.AF_UNIX)
        deadline = time.monotonic() + 10
        while True:
            try:
                agent.connect(str(address))
                return agent
            except OSError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise Failure("qemu did not start") from error
                time.sleep(0.05)


def _command(kernel: Kernel, initramfs: Path, console: Path, taps: list[Tap], addresses: list[Path]) -> list[object]:
    # Software emulation: the test must run where KVM is absent or broken.
    command: list[object] = [
        "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "256",
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        "-kernel", kernel.image, "-initrd", initramfs,
        "-append", "console=ttyS0 quiet panic=-1 clocksource=acpi_pm ipv6.disable=1",
        "-serial", f"file:{console}", "-device", "virtio-serial-pci",
    ]  # fmt: skip
    for number, (tap, address) in enumerate(zip(taps, addresses)):
        # Checksum and segmentation offloads would hand frames to the line that no wire would carry.
        command += [
            "-chardev", f"socket,id=agent{number},path={address},server=on,wait=on",
            "-device", f"virtserialport,chardev=agent{number},name=agent{number}",
            "-netdev", f"tap,id=line{number},ifname={tap.name},script=no,downscript=no,vnet_hdr=off",
            "-device", f"virtio-net-pci,netdev=line{number},mac={tap.far_mac},host_mtu={JUMBO_LINE_MTU},"
            "rx_queue_size=1024,csum=off,guest_csum=off,gso=off",
        ]  # fmt: skip
    return command


class Guest:
    """One station of the machine. Its `eth0` is the far end of a TAP."""

    def __init__(self, tap: Tap, agent: socket.socket, number: int) -> None:
        self.mac = tap.far_mac
        self.ip = tap.far_ip
        self.directory = f"/tmp/{number}"  # in the guest, where commands run
        self._agent = agent
        self._next_id = 0
        self._await_answer(BOOT_SECONDS)

    def run(self, command: str, timeout: float = 30) -> str:
        """Runs a shell command in the guest and returns what it printed.

        # Raises
        `Failure` when its status is not 0 or no answer comes in `timeout` seconds.
        """
        self._next_id += 1
        try:
            self._agent.sendall(f"{self._next_id} {command}\n".encode())
        except OSError as error:
            raise Failure("the guest is gone") from error
        status, output = self._await_answer(timeout)
        if status != 0:
            raise Failure(f"`{command}` in the guest: status {status}\n{output}")
        return output

    def _await_answer(self, timeout: float) -> tuple[int, str]:
        """The status and output of the latest command; late answers to earlier ones are passed over."""
        self._agent.settimeout(timeout)
        try:
            while True:
                header = self._receive_line().split()
                if len(header) != 4 or header[0] != b"DONE":
                    raise Failure(f"the guest's agent said {header}")
                answered, status, size = map(int, header[1:])
                output = self._receive(size)
                if answered == self._next_id:
                    return status, output.decode(errors="replace")
        except TimeoutError as error:
            raise Failure(f"no answer from the guest within {timeout} s") from error

    def _receive_line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            line += self._receive(1)
        return line

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._agent.recv(size - len(data))
            if not more:
                raise Failure("the guest is gone")
            data += more
        return data
