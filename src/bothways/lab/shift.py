"""A host whose clock is ahead: its captures' times are moved, since all namespaces share one clock."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

__all__ = ["shift_clock"]

_MAGIC: Final = {b"\xd4\xc3\xb2\xa1": ("<", 1_000_000), b"\x4d\x3c\xb2\xa1": ("<", 1_000_000_000)}
_HEAD: Final = 24


def shift_clock(host: Path, seconds: float) -> None:
    """Move the times in all captures of a host (pcap as tcpdump wrote them) by *seconds*."""
    for file in host.glob("captures/*/*.pcap"):
        file.write_bytes(_shifted(file.read_bytes(), seconds))


def _shifted(packets: bytes, seconds: float) -> bytes:
    form = _MAGIC.get(packets[:4])
    if form is None:
        return packets
    order, unit = form
    out = bytearray(packets)
    at = _HEAD
    while at + 16 <= len(out):
        whole, part, length, _ = struct.unpack_from(f"{order}IIII", out, at)
        moment = whole * unit + part + round(seconds * unit)
        struct.pack_into(f"{order}II", out, at, *divmod(moment, unit))
        at += 16 + length
    return bytes(out)
