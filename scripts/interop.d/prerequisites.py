"""What the test needs from the machine: root, a few packages, a guest kernel.

Nothing is asked. What is missing is installed with apt, and what cannot be had
raises `Skip` with the reason.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

# A command that proves the package is there, and the package.
PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "busybox": "busybox-static",
    "ip": "iproute2",
    "ethtool": "ethtool",
    "iperf3": "iperf3",
    "ping": "iputils-ping",
    "tcpdump": "tcpdump",
    "wpa_supplicant": "wpasupplicant",
    "dpdk-devbind.py": "dpdk",
}

KERNEL_PACKAGE = re.compile(r"linux-image-\d\S*-cloud-amd64")


class Skip(Exception):
    """The machine cannot run the test; the message says why."""


@dataclass(frozen=True)
class Kernel:
    """A kernel package, unpacked but not installed."""

    root: Path

    @property
    def image(self) -> Path:
        return next((self.root / "boot").glob("vmlinuz-*"))

    @property
    def modules(self) -> Path:
        """The directory that holds `modules.builtin`."""
        return next(self.root.glob("**/modules.builtin")).parent

    @property
    def version(self) -> str:
        return self.modules.name


def prepare(cache: Path, kernel_deb: Path | None) -> Kernel:
    """Makes the machine ready and returns the guest's kernel.

    # Raises
    `Skip` when that is impossible.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise Skip("needs Linux on x86-64")
    if os.geteuid() != 0:
        raise Skip("needs root, for network namespaces and a TAP")
    if not Path("/dev/net/tun").exists():
        raise Skip("there is no /dev/net/tun")
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    _install_packages()
    if kernel_deb is not None:
        return _unpack(kernel_deb.resolve(), cache)
    return _cached_kernel(cache) or _download_kernel(cache)


def _install_packages() -> None:
    missing = [package for command, package in PACKAGES.items() if not shutil.which(command)]
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise Skip(f"no apt-get here; install by hand what these packages hold: {' '.join(missing)}")
    print(f"installing with apt: {' '.join(missing)}", flush=True)
    _apt("update")
    _apt("install", "--no-install-recommends", "-y", *missing)


def _apt(*arguments: str, cwd: Path | None = None) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        ["apt-get", "-q", *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise Skip(f"apt-get {' '.join(arguments)} failed:\n{done.stderr.strip()}")


def _cached_kernel(cache: Path) -> Kernel | None:
    """The newest kernel unpacked earlier. Remove the cache to have a newer one."""
    found = sorted(cache.glob("linux-image-*/"), key=lambda path: _natural(path.name))
    return Kernel(found[-1]) if found else None


def _download_kernel(cache: Path) -> Kernel:
    package = _newest_kernel_package()
    if package is None:
        _apt("update")
        package = _newest_kernel_package()
    if package is None:
        raise Skip("apt knows no linux-image-*-cloud-amd64; download one from Debian and pass it as --kernel-deb")
    print(f"downloading {package}", flush=True)
    with tempfile.TemporaryDirectory(prefix="macsec-gw-kernel-") as directory:
        _apt("-o", "APT::Sandbox::User=root", "download", package, cwd=Path(directory))
        return _unpack(next(Path(directory).glob("*.deb")), cache)


def _newest_kernel_package() -> str | None:
    names = subprocess.run(["apt-cache", "pkgnames", "linux-image-"], capture_output=True, text=True).stdout.split()
    candidates = [name for name in names if KERNEL_PACKAGE.fullmatch(name) and _downloadable(name)]
    return max(candidates, key=_natural, default=None)


def _downloadable(package: str) -> bool:
    """Whether a real version exists: meta packages and leftovers of old lists have no image in them."""
    shown = subprocess.run(["apt-cache", "show", "--no-all-versions", package], capture_output=True, text=True).stdout
    source = re.search(r"^Installed-Size: (\d+)$", shown, re.MULTILINE)
    return source is not None and int(source[1]) > 1000  # KiB


def _unpack(deb: Path, cache: Path) -> Kernel:
    """Unpacks beside the final place and renames, so that two runs may do so at once."""
    cache.mkdir(parents=True, exist_ok=True)
    final = cache / deb.name.split("_")[0]
    if not final.exists():
        with tempfile.TemporaryDirectory(prefix=".unpack-", dir=cache) as scratch:
            tree = Path(scratch) / "tree"
            subprocess.run(["dpkg", "-x", deb, tree], check=True)
            try:
                tree.rename(final)
            except OSError:
                if not final.exists():
                    raise
    return Kernel(final)


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts 6.12 after 6.1."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]
