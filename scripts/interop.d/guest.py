"""The peer: a virtual machine whose kernel speaks MACsec, and the serial port that commands it."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from prerequisites import Kernel
from testbed import JUMBO_LINE_MTU, Failure, Testbed

MAC = "02:00:00:00:00:02"
BOOT_SECONDS = 120  # ten are usual

# By full path, because busybox has applets of these names.
IP = "/tools/ip"
PING = "/tools/ping"
IPERF = "/tools/iperf3"


class Guest:
    """A running guest. Its `eth0` is the far end of the testbed's line."""

    def __init__(self, kernel: Kernel, initramfs: Path, testbed: Testbed, directory: Path) -> None:
        self.console = directory / "console.log"
        self._next_id = 0
        address = directory / "agent.sock"
        # Software emulation: the test must run where KVM is absent or broken.
        # Checksum and segmentation offloads would hand frames to the line that no wire would carry.
        self._process = subprocess.Popen(
            testbed.in_wire(
                "qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "256",
                "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
                "-kernel", kernel.image, "-initrd", initramfs,
                "-append", "console=ttyS0 quiet panic=-1 clocksource=acpi_pm ipv6.disable=1",
                "-serial", f"file:{self.console}",
                "-device", "virtio-serial-pci",
                "-chardev", f"socket,id=agent,path={address},server=on,wait=on",
                "-device", "virtserialport,chardev=agent,name=agent",
                "-netdev", f"tap,id=line,ifname={testbed.line},script=no,downscript=no,vnet_hdr=off",
                "-device", f"virtio-net-pci,netdev=line,mac={MAC},host_mtu={JUMBO_LINE_MTU},"
                "rx_queue_size=1024,csum=off,guest_csum=off,gso=off",
            ),
            stdin=subprocess.DEVNULL,
            stderr=(directory / "qemu.log").open("wb"),
            start_new_session=True,  # Ctrl-C is for the driver, which then ends the others in order
        )  # fmt: skip
        try:
            self._agent = self._connect(address)
            self._await_answer(BOOT_SECONDS)
        except BaseException:
            self._process.kill()
            raise

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()

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
