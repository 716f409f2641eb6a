"""
The pcapng capture file: sections, interfaces with link types of their own, and packets in blocks.

Read are section headers, interface descriptions, enhanced and obsolete packet blocks, and interface
statistics; all other blocks are passed over. Layout: draft-ietf-opsawg-pcapng. A simple packet block has no
time stamp, so its frame is counted and gives no sighting. Whatever the bytes are, reading them gives captures
and problems.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.capture.frames import Frames
from bothways.capture.pcapng_interface import Interface, read_interface, read_options, read_statistics
from bothways.facts.sighting import Capture, Direction, Tap
from bothways.facts.span import Kind, Problem, Span

__all__ = ["SECTION", "read_pcapng"]

#: Type of the section header block, which reads alike in both byte orders: the first bytes of every file.
SECTION: Final = b"\x0a\x0d\x0d\x0a"
_ORDERS: Final[Mapping[bytes, str]] = {b"\x4d\x3c\x2b\x1a": "<", b"\x1a\x2b\x3c\x4d": ">"}
_SMALLEST: Final = 12
_SECTION_SMALLEST: Final = 28
_WAYS: Final[Mapping[int, Direction]] = {1: Direction.IN, 2: Direction.OUT}
_FLAGS: Final = 2
_LOST: Final = 4
_NO_COUNT: Final = 0xFFFF


@dataclass(slots=True)
class _File:
    """Where the reading of one file stands."""

    data: bytes
    tap: Tap
    whole: Frames
    order: str = "<"
    frame: int = 0
    untimed: int = 0
    interfaces: list[Interface] = field(default_factory=list)
    known: list[Interface] = field(default_factory=list)
    frames: dict[Tap, Frames] = field(default_factory=dict)

    def section(self, at: int) -> str | None:
        """Begin a section; what is wrong with it, None if nothing."""
        order = _ORDERS.get(self.data[at + 8 : at + 12])
        if order is None:
            return "a section header without byte order"
        self.order = order
        self.interfaces = []
        if at + _SECTION_SMALLEST > len(self.data):
            return f"the file ends {len(self.data) - at} bytes into a section header"
        (major,) = struct.unpack_from(f"{order}H", self.data, at + 12)
        return None if major == 1 else f"a section of pcapng version {major}, 1 is read"

    def of_tap(self, tap: Tap) -> Frames:
        """What gathers the frames of a tap; interfaces of several sections may share it."""
        found = self.frames.get(tap)
        if found is None:
            whole = self.whole
            found = Frames(tap, whole.file, whole.names, whole.read_at, whole.unmodelled)
            self.frames[tap] = found
        return found


def _describe(file: _File, at: int, end: int) -> None:
    if end - at < 8:  # noqa: PLR2004 - the fixed part
        file.whole.problem(Kind.MALFORMED, "an interface description that is cut", file.frame + 1)
        # Its number is taken, so that the next interface keeps its own.
        file.interfaces.append(Interface(None, Tap("", "", "")))
        return
    interface = read_interface(file.data[at:end], order=file.order, tap=file.tap)
    file.interfaces.append(interface)
    file.known.append(interface)
    file.of_tap(interface.tap)
    if interface.decode is None:
        reason = f"link type {interface.link}"
        if reason not in file.whole.unmodelled:
            file.whole.unmodelled.add(reason)
            file.whole.problem(Kind.UNMODELLED, f"{reason} is not read; none of its frames is used")


def _packet(file: _File, number: int, stamp: int, room: tuple[int, int, int, int]) -> Interface | None:
    """
    One packet with a time stamp.

    :param room: where its bytes begin, how many there are and were on the wire, where the block ends.
    :returns: the interface that recorded it, None if the block cannot be used.
    """
    at, captured, wire, end = room
    if number >= len(file.interfaces):
        message = f"a packet of interface {number}, which the section does not describe"
        file.whole.problem(Kind.MALFORMED, message, file.frame)
        return None
    if captured > end - at:
        message = f"the block claims {captured} bytes, it has {end - at}"
        file.whole.problem(Kind.MALFORMED, message, file.frame)
        return None
    interface = file.interfaces[number]
    if interface.decode is None:
        return None
    time_ns = interface.time_ns(stamp)
    if time_ns < 0:
        file.whole.problem(Kind.MALFORMED, "a time stamp before the year 1970", file.frame)
        return None
    link = interface.decode(file.data[at : at + captured], max(wire, captured))
    options = at + captured + (-captured % 4)
    if link.direction is None and options < end:
        for code, value in read_options(file.data[options:end], file.order):
            if code == _FLAGS and len(value) == 4:  # noqa: PLR2004 - 32 bits
                flags = struct.unpack(f"{file.order}I", value)[0]
                link = replace(link, direction=_WAYS.get(flags & 3))
    file.of_tap(interface.tap).take(link, file.frame, time_ns, truncated=captured < wire)
    return interface


def _enhanced(file: _File, at: int, end: int) -> None:
    file.frame += 1
    if end - at < 20:  # noqa: PLR2004 - the fixed part
        file.whole.problem(Kind.MALFORMED, "a packet block that is cut", file.frame)
        return
    number, high, low, captured, wire = struct.unpack_from(f"{file.order}IIIII", file.data, at)
    _packet(file, number, high << 32 | low, (at + 20, captured, wire, end))


def _obsolete(file: _File, at: int, end: int) -> None:
    file.frame += 1
    if end - at < 20:  # noqa: PLR2004 - the fixed part
        file.whole.problem(Kind.MALFORMED, "a packet block that is cut", file.frame)
        return
    number, lost, high, low, captured, wire = struct.unpack_from(f"{file.order}HHIIII", file.data, at)
    interface = _packet(file, number, high << 32 | low, (at + 20, captured, wire, end))
    if interface is not None and lost != _NO_COUNT:
        interface.lost = (interface.lost or 0) + lost


def _simple(file: _File, _at: int, _end: int) -> None:
    file.frame += 1
    file.untimed = file.untimed or file.frame


def _statistics(file: _File, at: int, end: int) -> None:
    if end - at < 12:  # noqa: PLR2004 - the fixed part
        return
    (number,) = struct.unpack_from(f"{file.order}I", file.data, at)
    if number < len(file.interfaces):
        read_statistics(file.interfaces[number], file.data[at + 12 : end], order=file.order)


def _other_record(file: _File, _at: int, _end: int) -> None:
    """What Wireshark counts as a frame and no device saw."""
    file.frame += 1


#: Block type -> its reader, given where the block's body begins and ends.
_BLOCKS: Final[Mapping[int, Callable[[_File, int, int], None]]] = {
    1: _describe,
    2: _obsolete,
    3: _simple,
    5: _statistics,
    6: _enhanced,
    9: _other_record,  # a record of systemd's journal
    0xBAD: _other_record,  # custom blocks
    0x40000BAD: _other_record,
}


def _walk(file: _File) -> str | None:
    """Read block after block; why it stopped before the end of the file, None if it did not."""
    data, size, at = file.data, len(file.data), 0
    head = struct.Struct("<II")
    while at < size:
        left = size - at
        if left < _SMALLEST:
            return f"the file ends {left} bytes into a block header"
        begins = data.startswith(SECTION, at)
        if begins:
            wrong = file.section(at)
            if wrong is not None:
                return wrong
            head = struct.Struct(f"{file.order}II")
        kind, length = head.unpack_from(data, at)
        if length < _SMALLEST or length % 4:
            return f"a block of {length} bytes"
        if length > left:
            return f"the block claims {length} bytes, the file has {left} left"
        reader = None if begins else _BLOCKS.get(kind)
        if reader is not None:
            reader(file, at + 8, at + length - 4)
        at += length
    return None


def _captures(file: _File) -> tuple[Capture, ...]:
    """One capture for each tap, in the order in which the file describes them."""
    found = []
    for tap, frames in file.frames.items():
        of_tap = [interface for interface in file.known if interface.tap == tap]
        filters = {interface.filter for interface in of_tap}
        snaplens = {interface.snaplen for interface in of_tap}
        started = [interface.started for interface in of_tap if interface.started is not None]
        stopped = [interface.stopped for interface in of_tap if interface.stopped is not None]
        found.append(
            Capture(
                tap,
                tuple(frames.sightings),
                frames.file,
                filter=filters.pop() if len(filters) == 1 else None,
                snaplen=snaplens.pop() if len(snaplens) == 1 else None,
                started=min(started) if len(started) == len(of_tap) else None,
                stopped=max(stopped) if len(stopped) == len(of_tap) else None,
                received=_sum([interface.received for interface in of_tap]),
                dropped=_sum([interface.lost for interface in of_tap]),
            )
        )
    return tuple(found)


def _sum(counts: list[int | None]) -> int | None:
    """What all of them count; None if one does not tell."""
    told = [count for count in counts if count is not None]
    return sum(told) if told and len(told) == len(counts) else None


def read_pcapng(
    data: bytes,
    *,
    tap: Tap,
    file: str,
    names: Mapping[int, str] | None,
    read_at: float | None = None,
) -> tuple[tuple[Capture, ...], tuple[Problem, ...]]:
    """
    Read a pcapng file.

    :param tap: where it was taken; an interface that the file names is a tap of its own beside it.
    :param names: ifindex -> device, for a cooked capture of all devices; None if nothing names them.
    :param read_at: when the capture was fetched, seconds since the epoch.
    :returns: a capture for each tap, also for one that saw nothing; none if the file describes no interface.
        Frames are counted over the whole file, as Wireshark does.
    """
    whole = Frames(tap, file, names, read_at)
    reading = _File(data, tap, whole)
    wrong = _walk(reading) if data.startswith(SECTION) else "it does not begin with a section header"
    if wrong is not None:
        whole.problem(Kind.MALFORMED, f"reading stops here, {wrong}", reading.frame + 1)
    if reading.untimed:
        message = "frames without a time stamp (simple packet blocks) are not used; this is the first"
        whole.problem(Kind.UNMODELLED, message, reading.untimed, "record it anew, with tcpdump or dumpcap")
    taps = list(reading.frames)
    if len(taps) == 1 and taps[0] != tap and "any" not in {tap.device, taps[0].device}:
        message = f"the file is named after `{tap}`, and its interface is `{taps[0]}`, which is taken"
        whole.problems.append(Problem(Kind.CONTRADICTION, Span(file, read_at=read_at), message))
    problems = list(whole.problems)
    for frames in reading.frames.values():
        frames.name_the_unnamed()
        problems.extend(frames.problems)
    return _captures(reading), tuple(sorted(problems, key=lambda p: p.span.frame or 0))
