"""Builds the guest's initramfs: busybox, a few tools, the modules that MACsec needs.

The archive is an uncompressed `newc` cpio: the emulated guest unpacks that
faster than anything compressed.
"""

from __future__ import annotations

import gzip
import lzma
import re
import shutil
import stat
import subprocess
from pathlib import Path

from prerequisites import Kernel

# The kernel requests the algorithms behind "gcm(aes)" by name, so no `depends=` leads to them.
MODULES = ["virtio_pci", "virtio_net", "ctr", "ghash-generic", "gcm", "seqiv", "aesni-intel", "macsec", "8021q"]
TOOLS = ["ip", "ping", "iperf3", "wpa_supplicant", "wpa_cli"]
SCRIPTS = {"init": "guest-init.sh", "agent": "guest-agent.sh"}


def build(kernel: Kernel, target: Path) -> None:
    """Writes the initramfs for `kernel` to `target`."""
    files = {name: Path(__file__).with_name(script).read_bytes() for name, script in SCRIPTS.items()}
    for name in ["busybox", *TOOLS]:
        program = Path(shutil.which(name) or name).resolve()
        files["bin/busybox" if name == "busybox" else f"tools/{name}"] = program.read_bytes()
        files |= {str(library).lstrip("/"): library.read_bytes() for library in _libraries(program)}
    order: list[str] = []
    for name, code in _with_dependencies(kernel.modules, MODULES).items():
        files[f"modules/{name}.ko"] = code
        order.append(name)
    files["modules/order"] = "".join(f"{name}\n" for name in order).encode()
    target.write_bytes(_cpio(files))


def _libraries(program: Path) -> list[Path]:
    """The shared libraries and the loader that `ldd` names; none for a static program."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True).stdout
    return [Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+) \(0x", listing, re.MULTILINE)]


def _with_dependencies(tree: Path, wanted: list[str]) -> dict[str, bytes]:
    """The modules and all they depend on, in an order in which they load; built-in ones are left out."""
    available = {_module_name(path.name): path for path in tree.glob("kernel/**/*.ko*")}
    builtin = {_module_name(Path(line).name) for line in (tree / "modules.builtin").read_text().split()}
    ordered: dict[str, bytes] = {}

    def add(name: str) -> None:
        if name in builtin or name in ordered:
            return
        if name not in available:
            raise FileNotFoundError(f"kernel {tree.name} has no module {name}")
        code = _decompressed(available[name])
        depends = re.search(rb"\0depends=([^\0]*)", code)
        for dependency in depends[1].decode().split(",") if depends and depends[1] else []:
            add(_module_name(dependency))
        ordered[name] = code

    for name in wanted:
        add(_module_name(name))
    return ordered


def _module_name(file: str) -> str:
    """`ghash-generic.ko.xz` and `ghash_generic` are the same module."""
    return file.split(".ko")[0].replace("-", "_")


def _decompressed(module: Path) -> bytes:
    if module.suffix == ".xz":
        return lzma.decompress(module.read_bytes())
    if module.suffix == ".gz":
        return gzip.decompress(module.read_bytes())
    if module.suffix == ".zst":
        return subprocess.run(["zstd", "-dc", module], check=True, capture_output=True).stdout
    return module.read_bytes()


def _cpio(files: dict[str, bytes]) -> bytes:
    """A `newc` archive of the files and of every directory above them."""
    directories = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    archive = bytearray()
    for inode, name in enumerate(sorted(directories | files.keys()), start=1):
        mode = stat.S_IFREG | 0o755 if name in files else stat.S_IFDIR | 0o755
        archive += _cpio_entry(name, inode, mode, files.get(name, b""))
    return bytes(archive + _cpio_entry("TRAILER!!!", 0, 0, b""))


def _cpio_entry(name: str, inode: int, mode: int, data: bytes) -> bytes:
    path = name.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device and rdev as major and minor, length of the name, checksum
    fields = [inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0]
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return _padded(header + path) + _padded(data)


def _padded(data: bytes) -> bytes:
    """To the four-octet boundary that the format wants."""
    return data + bytes(-len(data) % 4)
