"""
Recorded rulesets on disk: ``.jsonl`` or ``.jsonl.gz``, one JSON object per line.

``{"id", "kernel", "dumps": {file: text}, "packets": […]}``. *dumps* are files of a bundle's namespace, as the
router's tools printed them. A packet: ``into`` (device that it came in at, "" for one of the router's
own), ``frame`` (hexadecimal octets), ``out`` (list of device and frame), ``local`` (how many packets a
receiver of the router got), ``entries`` (the tracker's table afterwards), and where they hold ``afresh`` (the
table was emptied before it), ``limited`` (senders to whom the kernel may have sent no ICMP error: they had
got too many), ``at_ms`` (when it was sent, in milliseconds behind the first). ``quiet`` in an older recording
says that anybody may be such a sender.

An entry: ``original`` and ``reply`` (protocol, sender, receiver, two ports; for ICMP id, type, code),
``status``, ``mark``, ``zone``, ``state`` where they are not empty. ``docs/reference/netfilter-recording.md``.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

from bothways.conform.nat_table import KernelEntry
from bothways.conform.netfilter_case import Heard, NetfilterCase, Sent
from bothways.conform.netfilter_oracle import EVERYBODY
from bothways.conform.recording import RecordingError
from bothways.facts.address import address
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import ICMP, ICMP6

__all__ = [
    "NetfilterFileError",
    "is_netfilter_case",
    "netfilter_case_of",
    "netfilter_line",
    "opened_for_writing",
    "read_netfilter",
    "write_netfilter",
]

_QUERIES: Final = frozenset({ICMP, ICMP6})


class NetfilterFileError(RecordingError):
    """A line that is no recorded ruleset; the text begins with ``file:line``. *hint* says what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def netfilter_line(case: NetfilterCase) -> str:
    """One line of a recording."""
    packets = [_packet(sent, heard) for sent, heard in zip(case.sent, case.heard, strict=True)]
    said = {"id": case.name, "kernel": case.kernel, "dumps": dict(case.dumps), "packets": packets}
    return json.dumps(said, separators=(",", ":")) + "\n"


def _packet(sent: Sent, heard: Heard) -> dict[str, Any]:
    said: dict[str, Any] = {"into": sent.into, "frame": sent.frame.hex()}
    said["out"] = [[device, frame.hex()] for device, frame in heard.out]
    said["local"] = heard.local
    said["entries"] = [_entry(each) for each in heard.entries]
    said |= {"afresh": True} if heard.afresh else {}
    said |= {"limited": list(heard.limited)} if heard.limited else {}
    return said | ({"at_ms": heard.at_ms} if heard.at_ms else {})


def _entry(one: KernelEntry) -> dict[str, Any]:
    said: dict[str, Any] = {"original": _tuple(one.original), "reply": _tuple(one.reply)}
    said["status"] = sorted(one.status)
    return said | {name: value for name in ("mark", "zone", "state") if (value := getattr(one, name))}


def _tuple(one: Tuple) -> list[Any]:
    ends = [one.protocol, str(one.src), str(one.dst)]
    if one.icmp_type is not None:
        return [*ends, one.sport, one.icmp_type, one.icmp_code]
    return [*ends, one.sport, one.dport]


def read_netfilter(path: Path) -> Iterator[NetfilterCase]:
    """
    Read a recording, line by line.

    :raises NetfilterFileError: for a line that is none.
    :raises OSError: if the file cannot be read.
    """
    number = 0
    try:
        with _opened(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield netfilter_case_of(_object(line, f"{path}:{number}"), f"{path}:{number}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        message = f"{path}:{number + 1}: the gzip file is damaged or cut off"
        raise NetfilterFileError(message, "record it again, or cut it behind its last whole line") from error
    except UnicodeDecodeError as error:
        raise NetfilterFileError(f"{path}:{number + 1}: not UTF-8 text", _HINT) from error


_HINT: Final = "one JSON object is expected on each line: docs/reference/netfilter-recording.md"


def _opened(path: Path) -> IO[str]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rt", encoding="utf-8") if packed else path.open(encoding="utf-8")


def opened_for_writing(path: Path) -> IO[str]:
    """Open a recording that is to be written; ``.gz`` is packed."""
    return (
        gzip.open(path, "wt", encoding="utf-8") if path.suffix == ".gz" else path.open("w", encoding="utf-8")
    )


def _object(line: str, where: str) -> Mapping[str, Any]:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise NetfilterFileError(f"{where}: not JSON: {error}", _HINT) from error
    if not isinstance(said, dict):
        raise NetfilterFileError(f"{where}: expected an object, found {type(said).__name__}", _HINT)
    return said


def is_netfilter_case(said: object) -> bool:
    """Whether a line is of this format."""
    return isinstance(said, dict) and "dumps" in said and "packets" in said


def netfilter_case_of(said: Mapping[str, Any], where: str) -> NetfilterCase:
    """
    Make a case of one line.

    :param where: ``file:line``.
    :raises NetfilterFileError: naming the key that is missing or odd.
    """
    reader = _Reader(where)
    dumps = reader.field(said, "dumps", dict)
    for file, text in dumps.items():
        if not isinstance(text, str):
            raise reader.wrong(f"dumps.{file}", "text", text)
    packets = reader.field(said, "packets", list)
    pairs = [reader.packet(each, f"packets[{number}]") for number, each in enumerate(packets)]
    return NetfilterCase(
        str(said.get("id", where)),
        reader.field(said, "kernel", str),
        dumps,
        tuple(sent for sent, _ in pairs),
        tuple(heard for _, heard in pairs),
    )


class _Reader:
    """Reads fields of one line, and says where one is not what it should be."""

    def __init__(self, where: str) -> None:
        self.where = where

    def wrong(self, name: str, wanted: str, found: object) -> NetfilterFileError:
        """The error for a field."""
        shown = json.dumps(found, default=str)
        shown = shown if len(shown) < 60 else shown[:57] + "…"  # noqa: PLR2004 - of a terminal's line
        return NetfilterFileError(f"{self.where}: {name}: expected {wanted}, found {shown}", _HINT)

    def field(self, said: object, name: str, kind: type, place: str = "") -> Any:
        """A field of an object."""
        found = said.get(name) if isinstance(said, dict) else None
        if not isinstance(found, kind) or (kind is int and isinstance(found, bool)):
            raise self.wrong(f"{place}{name}", _WORDS[kind], found)
        return found

    def packet(self, said: object, place: str) -> tuple[Sent, Heard]:
        """One packet and what became of it."""
        dot = f"{place}."
        sent = Sent(
            self.field(said, "into", str, dot),
            self.octets(self.field(said, "frame", str, dot), f"{dot}frame"),
        )
        out = []
        for number, each in enumerate(self.field(said, "out", list, dot)):
            if not (isinstance(each, list) and [type(part) for part in each] == [str, str]):
                raise self.wrong(f"{dot}out[{number}]", "a device and a frame", each)
            out.append((each[0], self.octets(each[1], f"{dot}out[{number}]")))
        entries = [
            self.entry(each, f"{dot}entries[{number}]")
            for number, each in enumerate(self.field(said, "entries", list, dot))
        ]
        flags = said if isinstance(said, dict) else {}
        return sent, Heard(
            tuple(out),
            self.field(said, "local", int, dot),
            tuple(entries),
            flags.get("afresh") is True,
            self.limited(flags, dot),
            self.field(flags, "at_ms", int, dot) if "at_ms" in flags else 0,
        )

    def limited(self, said: Mapping[str, Any], dot: str) -> tuple[str, ...]:
        """Who may have got no error."""
        if "limited" not in said:
            return (EVERYBODY,) if said.get("quiet") is True else ()
        found = self.field(said, "limited", list, dot)
        if not all(isinstance(each, str) for each in found):
            raise self.wrong(f"{dot}limited", "a list of addresses", found)
        return tuple(found)

    def octets(self, text: str, name: str) -> bytes:
        """Hexadecimal octets."""
        try:
            return bytes.fromhex(text)
        except ValueError as error:
            raise self.wrong(name, "hexadecimal octets", text) from error

    def entry(self, said: object, place: str) -> KernelEntry:
        """One entry of the tracker."""
        dot = f"{place}."
        status = self.field(said, "status", list, dot)
        row = said if isinstance(said, dict) else {}
        mark, zone, state = row.get("mark", 0), row.get("zone", 0), row.get("state", "")
        if not (isinstance(mark, int) and isinstance(zone, int) and isinstance(state, str)):
            raise self.wrong(place, "numbers for mark and zone, text for state", said)
        return KernelEntry(
            self.tuple(self.field(said, "original", list, dot), f"{dot}original"),
            self.tuple(self.field(said, "reply", list, dot), f"{dot}reply"),
            frozenset(map(str, status)),
            mark,
            zone,
            state,
        )

    def tuple(self, said: list[Any], name: str) -> Tuple:
        """One direction of an entry."""
        try:
            protocol, src, dst, *rest = said
            if protocol in _QUERIES and len(rest) == 3:  # noqa: PLR2004 - id, type, code
                number, kind, code = map(int, rest)
                return Tuple(int(protocol), address(src), address(dst), number, 0, kind, code)
            sport, dport = map(int, rest)
            return Tuple(int(protocol), address(src), address(dst), sport, dport)
        except (ValueError, TypeError, AttributeError) as error:
            raise self.wrong(name, "protocol, two addresses, two ports", said) from error


_WORDS: Final[Mapping[type, str]] = {dict: "an object", list: "a list", str: "text", int: "a number"}


def write_netfilter(path: Path, cases: Iterable[NetfilterCase]) -> None:
    """Write a recording."""
    with opened_for_writing(path) as lines:
        lines.writelines(map(netfilter_line, cases))
