"""
The classic capture file.

A 24-byte header (magic, version, snapshot length, link type), then records: seconds, fraction, captured
length, length on the wire. The magic tells byte order and unit: ``a1b2c3d4`` microseconds, ``a1b23c4d``
nanoseconds. Layout: pcap-savefile(5). Whatever the bytes are, reading them gives sightings and problems.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

from bothways.capture.frames import Frames
from bothways.capture.link_layer import LINK_TYPES
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Kind, Problem, Span

__all__ = ["read_pcap"]

_HEADER_SIZE: Final = 24
_RECORD_SIZE: Final = 16

#: Magic as it stands in the file -> (byte order, nanoseconds per unit of the fraction).
_MAGICS: Final[Mapping[bytes, tuple[str, int]]] = {
    b"\xd4\xc3\xb2\xa1": ("<", 1000),
    b"\xa1\xb2\xc3\xd4": (">", 1000),
    b"\x4d\x3c\xb2\xa1": ("<", 1),
    b"\xa1\xb2\x3c\x4d": (">", 1),
}

#: First bytes of what people name .pcap although it is something else -> (what it is, hint).
_OTHERS: Final[tuple[tuple[bytes, str, str], ...]] = (
    (b"\x0a\x0d\x0d\x0a", "a pcapng file", "convert it: editcap -F pcap IN OUT"),
    (b"\x1f\x8b", "a gzip file", "unpack it with gunzip"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it with zstd -d"),
    (b"\xfd7zXZ", "an xz file", "unpack it with unxz"),
)


def _refused_file(tap: Tap, data: bytes, file: str, read_at: float | None) -> Problem:
    span = Span(file, read_at=read_at)
    if not data:
        return Problem(Kind.UNREADABLE, span, f"the capture of {tap} is an empty file")
    for magic, what, hint in _OTHERS:
        if data.startswith(magic):
            return Problem(Kind.UNREADABLE, span, f"this is {what}, not a classic pcap file", hint)
    start = data[:4].hex()
    return Problem(Kind.UNREADABLE, span, f"not a pcap file: it starts with `{start}`")


def read_pcap(
    data: bytes,
    *,
    tap: Tap,
    file: str,
    names: Mapping[int, str] | None,
    read_at: float | None = None,
) -> tuple[tuple[Sighting, ...], tuple[Problem, ...]]:
    """
    Read a classic pcap file.

    :param names: ifindex -> device, for a cooked capture of all devices; None if nothing names them.
    :param read_at: when the capture was fetched, seconds since the epoch.
    :returns: sightings in recorded order (``position`` counts every frame from 0, also those that give no
        sighting), and what could not be read. Frames that are not IP or ARP and are known to be harmless
        (LLDP, STP …) give neither.
    """
    magic = _MAGICS.get(data[:4])
    if magic is None or len(data) < _HEADER_SIZE:
        return (), (_refused_file(tap, data, file, read_at),)
    order, unit = magic
    # The upper half of the word holds the frame check sequence's length, not the type.
    kind = struct.unpack_from(f"{order}I", data, 20)[0] & 0xFFFF
    reading = Frames(tap, file, names, read_at)
    decode = LINK_TYPES.get(kind)
    if decode is None:
        reading.problem(Kind.UNMODELLED, f"link type {kind} is not read; none of its frames is used")
        return (), tuple(reading.problems)
    record = struct.Struct(f"{order}IIII")
    at, frame = _HEADER_SIZE, 0
    while at < len(data):
        frame += 1
        if len(data) - at < _RECORD_SIZE:
            reading.problem(
                Kind.MALFORMED, f"the file ends {len(data) - at} bytes into a record header", frame
            )
            break
        seconds, fraction, captured, wire = record.unpack_from(data, at)
        at += _RECORD_SIZE
        if captured > len(data) - at:
            left = len(data) - at
            reading.problem(
                Kind.MALFORMED, f"the record claims {captured} bytes, the file has {left} left", frame
            )
            break
        time_ns = seconds * 1_000_000_000 + fraction * unit
        link = decode(data[at : at + captured], max(wire, captured))
        reading.take(link, frame, time_ns, truncated=captured < wire)
        at += captured
    reading.name_the_unnamed()
    return tuple(reading.sightings), tuple(sorted(reading.problems, key=lambda p: p.span.frame or 0))
