"""A capture file of any format that is read: pcap or pcapng, by its first bytes, also in gzip."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

from bothways.capture.pcap import read_pcap
from bothways.capture.pcapng import SECTION, read_pcapng
from bothways.facts.sighting import Capture, Tap
from bothways.facts.span import Kind, Problem, Span

__all__ = ["read_capture_file"]

_GZIP: Final = b"\x1f\x8b"
#: zlib's word for "a gzip header and trailer", with the largest window.
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS
#: Bytes that a compressed capture may unpack to; a larger one would not fit into memory as packets.
_LARGEST: Final = 1 << 30


def _unpacked(data: bytes) -> tuple[bytes, str]:
    """The content of a gzip file of one or several members, and what is wrong with it ("" = nothing)."""
    parts: list[bytes] = []
    left = _LARGEST
    while data.startswith(_GZIP):
        member = zlib.decompressobj(_GZIP_WINDOW)
        try:
            parts.append(member.decompress(data, left))
        except zlib.error as error:
            return b"".join(parts), f"it is damaged: {error}"
        left -= len(parts[-1])
        if not member.eof:
            cut = "it is cut" if left > 0 else f"it unpacks to more than {_LARGEST >> 20} MiB"
            return b"".join(parts), cut
        data = member.unused_data
    return b"".join(parts), ""


def read_capture_file(
    data: bytes,
    *,
    tap: Tap,
    file: str,
    names: Mapping[int, str] | None,
    read_at: float | None = None,
) -> tuple[tuple[Capture, ...], tuple[Problem, ...]]:
    """
    Read a capture file.

    :param tap: where it was taken.
    :param names: ifindex -> device, for a cooked capture of all devices; None if nothing names them.
    :param read_at: when it was fetched, seconds since the epoch.
    :returns: one capture of *tap*, of a pcapng file one for each interface that it names; and the problems.
    """
    problems: list[Problem] = []
    if data.startswith(_GZIP):
        data, wrong = _unpacked(data)
        if wrong:
            message = f"a gzip file that is read as far as it goes: {wrong}"
            problems.append(Problem(Kind.MALFORMED, Span(file, read_at=read_at), message))
    if data.startswith(SECTION):
        captures, faults = read_pcapng(data, tap=tap, file=file, names=names, read_at=read_at)
        captures = captures or (Capture(tap, (), file),)
    else:
        sightings, faults = read_pcap(data, tap=tap, file=file, names=names, read_at=read_at)
        captures = (Capture(tap, sightings, file),)
    return captures, (*problems, *faults)
