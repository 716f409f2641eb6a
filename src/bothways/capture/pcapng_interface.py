"""
One interface of a pcapng section: where it was, how it counts time, what it lost.

Options are pairs of code and value (draft-ietf-opsawg-pcapng, sections 3.5, 4.2 and 4.6). The name becomes
the tap: a device, or ``HOST/NETNS:DEVICE`` as bothways writes it. What is no name of a Linux device (a pipe,
a Windows adapter, a remote capture tool of Wireshark) names no tap.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bothways.capture.link_layer import LINK_TYPES, Link
from bothways.facts.sighting import Tap

__all__ = ["Interface", "read_interface", "read_options", "read_statistics"]

_NANOSECONDS: Final = 1_000_000_000
_BINARY: Final = 0x80
_TAP: Final = re.compile(
    r"(?P<host>[^/:\s]{1,255})(?:/(?P<netns>[^/:\s]{1,255}))?:(?P<device>[^/:\s]{1,15})\Z"
)
_DEVICE: Final = re.compile(r"(?!-\Z|\.{1,2}\Z)[^/:\s\0\\]{1,15}\Z")
#: What Wireshark's remote capture tools write in place of a device.
_TOOLS: Final = frozenset(
    {"sshdump", "ciscodump", "wifidump", "udpdump", "randpkt", "sdjournal", "dpauxmon", "etwdump"}
)

# Options of an interface description.
_END: Final = 0
_NAME: Final = 2
_RESOLUTION: Final = 9
_FILTER: Final = 11
_OFFSET: Final = 14


@dataclass(slots=True)
class Interface:
    """
    One interface while its file is read.

    :param decode: None if its link type is not read.
    :param units: time stamp units in a second.
    :param offset: seconds to add to a time stamp.
    :param filter: capture filter, None if the file does not tell.
    :param received: packets that its filter admitted; *lost* those that were dropped. None = not told.
    """

    decode: Callable[[bytes, int], Link] | None
    tap: Tap
    link: int = 0
    snaplen: int | None = None
    units: int = 1_000_000
    offset: int = 0
    filter: str | None = None
    started: float | None = None
    stopped: float | None = None
    received: int | None = None
    lost: int | None = None

    def time_ns(self, stamp: int) -> int:
        """A time stamp as nanoseconds since the epoch."""
        return stamp * _NANOSECONDS // self.units + self.offset * _NANOSECONDS


def read_options(raw: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Code and value of each option up to the end of options; stops at the first that does not fit."""
    at, head = 0, struct.Struct(f"{order}HH")
    while at + 4 <= len(raw):
        code, size = head.unpack_from(raw, at)
        at += 4
        if code == _END or at + size > len(raw):
            return
        yield code, raw[at : at + size]
        at += size + (-size % 4)


def _units(value: bytes) -> int:
    """``if_tsresol``: a negative power of ten, or of two if the top bit is set."""
    exponent = value[0] & ~_BINARY
    return int(2**exponent) if value[0] & _BINARY else int(10**exponent)


def _filter(value: bytes) -> str | None:
    """``if_filter``: text if its first byte is 0, else code that says nothing to a reader."""
    return value[1:].decode(errors="replace").rstrip("\0") if value[:1] == b"\0" else None


def _placed(tap: Tap, name: str) -> Tap:
    """The tap that an interface's name means; *tap* if it means none."""
    told = _TAP.match(name)
    if told is not None:
        return Tap(told["host"], told["netns"] or "root", told["device"])
    return replace(tap, device=name) if _DEVICE.match(name) and name not in _TOOLS else tap


def read_interface(raw: bytes, *, order: str, tap: Tap) -> Interface:
    """
    Read the body of an interface description of at least 8 bytes.

    :param tap: where the file was taken.
    """
    link, _, snaplen = struct.unpack_from(f"{order}HHI", raw)
    interface = Interface(LINK_TYPES.get(link), tap, link, snaplen or None)
    for code, value in read_options(raw[8:], order):
        if code == _NAME:
            interface.tap = _placed(tap, value.decode(errors="replace").rstrip("\0"))
        elif code == _RESOLUTION and len(value) == 1:
            interface.units = _units(value)
        elif code == _OFFSET and len(value) == 8:  # noqa: PLR2004 - 64 bits
            interface.offset = struct.unpack(f"{order}q", value)[0]
        elif code == _FILTER:
            interface.filter = _filter(value)
    return interface


#: Option of a statistics block -> what it counts. 2 and 3 are times.
_COUNTS: Final[Mapping[int, str]] = {4: "received", 5: "missed", 6: "accepted", 7: "dropped"}
_STARTED: Final = 2
_STOPPED: Final = 3


def read_statistics(interface: Interface, raw: bytes, *, order: str) -> None:
    """
    Take over what a statistics block counts; a later block counts from the start again and replaces it.

    On Linux libpcap counts as received what the filter admitted; a file that counts both is believed.
    """
    counts: dict[str, int] = {}
    for code, value in read_options(raw, order):
        if len(value) != 8:  # noqa: PLR2004 - 64 bits
            continue
        if code in (_STARTED, _STOPPED):
            high, low = struct.unpack(f"{order}II", value)
            seconds = interface.time_ns(high << 32 | low) / _NANOSECONDS
            if code == _STARTED:
                interface.started = seconds
            else:
                interface.stopped = seconds
        elif code in _COUNTS:
            counts[_COUNTS[code]] = struct.unpack(f"{order}Q", value)[0]
    received = counts.get("accepted", counts.get("received"))
    interface.received = interface.received if received is None else received
    lost = [counts[key] for key in ("missed", "dropped") if key in counts]
    interface.lost = sum(lost) if lost else interface.lost
