"""A small bundle, written file by file."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bothways.bundle import Bundle, open_bundle
from bothways.facts.span import Problem

__all__ = ["ADDR", "FILES", "FORMAT", "PCAP", "SLL2", "about", "opened", "write"]

FORMAT: Final = 'format = "bothways-bundle/1"\n'
ADDR: Final = (
    '[{"ifindex":1,"ifname":"lo","link_type":"loopback","address":"00:00:00:00:00:00"},'
    '{"ifindex":2,"ifname":"eth0","link_type":"ether","address":"02:00:00:00:00:01",'
    '"addr_info":[{"family":"inet","local":"192.0.2.1","prefixlen":24}]}]'
)
#: Ethernet, one record of 60 bytes: an IPv4 header and a TCP header with SYN
_SEGMENT: Final = bytes.fromhex(
    "45000028 00010000 40060000 c0000201 c0000209 d4310016 00000001 00000000 5002faf0 00000000"
)
_FRAME: Final = bytes.fromhex("020000000002 020000000001 0800") + _SEGMENT


def _pcap(link: int, *frames: bytes) -> bytes:
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, link)
    return head + b"".join(struct.pack("<IIII", 1000, at, len(f), len(f)) + f for at, f in enumerate(frames))


PCAP: Final = _pcap(1, _FRAME)
SLL2: Final = _pcap(
    276,
    struct.pack("!HHIHBB8s", 0x0800, 0, 2, 1, 0, 6, b"\2\0\0\0\0\1\0\0") + _SEGMENT,
    struct.pack("!HHIHBB8s", 0x0800, 0, 7, 1, 4, 6, b"\2\0\0\0\0\1\0\0") + _SEGMENT,
)
FILES: Final[Mapping[str, str | bytes]] = {
    "bundle.toml": FORMAT,
    "hosts/a/kernel.txt": "6.1.0\n",
    "hosts/a/netns/root/addr.json": ADDR,
}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files below a folder; what stands there already stays."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def opened(folder: Path, files: Mapping[str, str | bytes]) -> Bundle:
    """The small bundle with these files more, opened."""
    return open_bundle(write(folder, {**FILES, **files}))


def about(bundle: Bundle, file: str) -> list[Problem]:
    """The problems of one file."""
    return [problem for problem in bundle.problems if problem.span.file == file]
