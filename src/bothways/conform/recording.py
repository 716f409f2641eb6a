"""
Recorded sequences on disk: ``.jsonl`` or ``.jsonl.gz``, one JSON object per line.

``{"id", "class", "nat", "sysctl": {name: number}, "segments": […], "results": […]}``. The segments of one
line are one sequence between A (10.9.1.2) and B (10.9.2.2) through a router that tracks them; ``results``
says, segment by segment, what the router's kernel made of each. With ``nat`` the router translates
192.168.111.223, an address of its own, to B and back.

A segment: ``dir`` (A or B sends), ``flags`` (letters of FSRPAUEC), ``seq``, ``ack``, ``win``, ``len`` (bytes
of payload), and where it has them ``opts`` (``mss``, ``wscale``, ``sackok``, ``ts``, ``sack``, ``raw`` as
hexadecimal octets), ``badcsum``, ``trunc`` (bytes that are left of the header), ``doff`` (a data offset that
is not the true one).

A result: ``verdict``, ``ctdir``, ``delivery`` (forwarded, local, none), ``answered`` (the RST of the
router's own stack), ``src`` and ``dst`` behind NAT, ``state`` (null without an entry), ``orig``, ``status``,
``timeout`` in seconds, ``events``, ``log`` (the kernel's words), ``wscale`` and ``tcpflags`` of the original
and the reply direction, left out where they are all zero or empty.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import orjson

__all__ = ["Case", "RecordingError", "Result", "Segment", "line_of", "read_recording", "write_recording"]

Segment = dict[str, Any]
Result = dict[str, Any]

_WORD: Final = 1 << 32
_SHORT: Final = 1 << 16
_LONGEST: Final = 65_000
_LETTERS: Final = frozenset("FSRPAUEC")


class RecordingError(Exception):
    """A line that is no sequence; the text begins with ``file:line``."""


@dataclass(frozen=True, slots=True)
class Case:
    """
    One sequence, and what a kernel made of it.

    :param kind: the class that the recorder put it in.
    :param nat: whether the router translated.
    :param sysctls: settings of the router by name without ``net.netfilter.``, sorted.
    """

    name: str
    kind: str
    nat: bool
    sysctls: tuple[tuple[str, int], ...]
    segments: tuple[Segment, ...]
    results: tuple[Result, ...]


def read_recording(path: Path) -> Iterator[Case]:
    """
    Read the sequences of a file, one by one.

    :raises RecordingError: with the place of the first line that is no sequence.
    :raises OSError: if the file cannot be read.
    """
    number = 0
    try:
        with _opened(path) as lines:
            for number, line in enumerate(lines, 1):
                if not line.isspace():
                    yield _case(line, f"{path}:{number}")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecordingError(f"{path}:{number + 1}: the compressed file is damaged: {error}") from None


def write_recording(path: Path, cases: Iterable[Case]) -> int:
    """Write sequences to a file, compressed if its name ends in ``.gz``; return how many."""
    count = 0
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as lines:
        for case in cases:
            lines.write(line_of(case).encode())
            count += 1
    return count


def line_of(case: Case) -> str:
    """Return one line of a recording, with its newline."""
    document = {
        "id": case.name,
        "class": case.kind,
        "nat": case.nat,
        "sysctl": dict(case.sysctls),
        "segments": case.segments,
        "results": case.results,
    }
    return json.dumps(document, separators=(",", ":")) + "\n"


def _opened(path: Path) -> IO[bytes]:
    """Open a file by what it begins with, not by its name."""
    with path.open("rb") as first:
        packed = first.read(2) == b"\x1f\x8b"
    return cast("IO[bytes]", gzip.GzipFile(path)) if packed else path.open("rb")


def _case(line: bytes, place: str) -> Case:
    try:
        said = orjson.loads(line)
    except ValueError as error:
        raise RecordingError(f"{place}: no JSON: {error}") from None
    try:
        segments, results = said["segments"], said["results"]
        if not segments or len(segments) != len(results):
            raise RecordingError(f"{place}: {len(segments)} segments, but {len(results)} results")
        if not all(map(_is_segment, segments)):
            index = list(map(_is_segment, segments)).index(False)
            raise RecordingError(f"{place}: segment {index} is damaged: {_shown(segments[index])}")
        if not all(map(_is_result, results)):
            index = list(map(_is_result, results)).index(False)
            raise RecordingError(f"{place}: result {index} is damaged: {_shown(results[index])}")
        sysctls = tuple(sorted(said.get("sysctl", {}).items()))
        for _, value in sysctls:
            if type(value) is not int:
                raise RecordingError(f"{place}: a sysctl is no number: {_shown(said['sysctl'])}")
        return Case(
            str(said.get("id", place)),
            str(said.get("class", "")),
            bool(said.get("nat", False)),
            sysctls,
            tuple(segments),
            tuple(results),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordingError(f"{place}: no recorded sequence: {type(error).__name__} {error}") from None


def _is_segment(said: Segment) -> bool:
    """Whether a segment can be put on a wire. Written as one expression: it runs once for every segment."""
    seq, ack, win, length = said["seq"], said["ack"], said["win"], said["len"]
    return (
        said["dir"] in _SENDERS
        and type(seq) is type(ack) is type(win) is type(length) is int
        and 0 <= seq < _WORD
        and 0 <= ack < _WORD
        and 0 <= win < _SHORT
        and 0 <= length <= _LONGEST
        and _LETTERS.issuperset(said["flags"])
        and (len(said) == _PLAIN or _are_extras(said))
    )


_SENDERS: Final = ("A", "B")
#: dir, flags, seq, ack, win, len: most segments have no more.
_PLAIN: Final = 6


def _are_extras(said: Segment) -> bool:
    opts = said.get("opts", {})
    try:
        return (
            0 <= said.get("trunc", 0) <= 20  # noqa: PLR2004 - a TCP header without options
            and 0 <= said.get("doff", 5) <= 15  # noqa: PLR2004 - four bits
            and 0 <= opts.get("mss", 0) < _SHORT
            and 0 <= opts.get("wscale", 0) < 256  # noqa: PLR2004 - one octet
            and all(0 <= each < _WORD for each in opts.get("ts", (0, 0)))
            and len(opts.get("ts", (0, 0))) == 2  # noqa: PLR2004 - value and echo
            and all(0 <= left < _WORD and 0 <= right < _WORD for left, right in opts.get("sack", ()))
            and bytes.fromhex(opts.get("raw", "")) is not None
        )
    except ValueError:
        return False


def _is_result(said: Result) -> bool:
    return isinstance(said["verdict"], str) and "delivery" in said and "state" in said


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"


_SHOWN: Final = 160
