"""
A capture file of several taps: pcapng, one interface for each.

Section header, one interface description per tap with its name and nanoseconds, one enhanced packet per
frame; the layout is that of draft-ietf-opsawg-pcapng, little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["ETHERNET", "SLL2", "Interface", "Record", "write_pcapng"]

#: Link types: LINKTYPE_ETHERNET and LINKTYPE_LINUX_SLL2.
ETHERNET: Final = 1
SLL2: Final = 276

_SECTION, _INTERFACE, _PACKET = 0x0A0D0D0A, 1, 6
_MAGIC: Final = 0x1A2B3C4D
_END, _COMMENT, _NAME, _RESOLUTION = 0, 1, 2, 9
_PACKET_FLAGS: Final = 2
_NANOSECONDS: Final = b"\x09"
_UNKNOWN_LENGTH: Final = 0xFFFFFFFFFFFFFFFF
_WAYS: Final = {"": 0, "in": 1, "out": 2}


@dataclass(frozen=True, slots=True)
class Interface:
    """One tap. *name* is shown by Wireshark; *link_type* is ``ETHERNET`` or ``SLL2``."""

    name: str
    link_type: int = ETHERNET
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """
    One frame.

    :param interface: index of its tap.
    :param time_ns: nanoseconds since the epoch.
    :param direction: ``in``, ``out``, or "" if it is not said.
    """

    interface: int
    time_ns: int
    data: bytes
    direction: str = ""
    comment: str = ""


def write_pcapng(interfaces: Sequence[Interface], records: Iterable[Record]) -> bytes:
    """Return the file; records are written in the order given."""
    blocks = [_block(_SECTION, struct.pack("<IHHQ", _MAGIC, 1, 0, _UNKNOWN_LENGTH))]
    for each in interfaces:
        options = (
            (_COMMENT, each.comment.encode()),
            (_NAME, each.name.encode()),
            (_RESOLUTION, _NANOSECONDS),
        )
        blocks.append(_block(_INTERFACE, struct.pack("<HHI", each.link_type, 0, 0) + _options(*options)))
    blocks.extend(_block(_PACKET, _packet(record)) for record in records)
    return b"".join(blocks)


def _packet(record: Record) -> bytes:
    size = len(record.data)
    moment = record.time_ns >> 32, record.time_ns & 0xFFFFFFFF
    way = _WAYS[record.direction]
    flags = struct.pack("<I", way) if way else b""
    head = struct.pack("<IIIII", record.interface, *moment, size, size)
    return head + _padded(record.data) + _options((_COMMENT, record.comment.encode()), (_PACKET_FLAGS, flags))


def _options(*options: tuple[int, bytes]) -> bytes:
    written = b"".join(
        struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options if value
    )
    return written + struct.pack("<HH", _END, 0) if written else b""


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _block(kind: int, body: bytes) -> bytes:
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size
