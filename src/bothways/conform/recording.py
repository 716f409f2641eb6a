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

A sequence may have ``family`` 6, and segments of any protocol, in zones, untracked, behind a pause: their
keys are told in ``datagram``. A key or a sysctl that is not known is an error: what it does is not known.

A result: ``verdict``, ``ctdir``, ``delivery`` (forwarded, local, none), ``answered`` (the RST of the
router's own stack), ``src`` and ``dst`` behind NAT, ``state`` (null without an entry, ``TRACKED`` for
protocols without states), ``orig``, ``status``, ``timeout`` in seconds, ``events``, ``log`` (the kernel's
words), ``wscale`` and ``tcpflags`` of the original and the reply direction, left out where they are all zero
or empty; ``quoted`` (source and destination that an error quotes, behind NAT).
"""

from __future__ import annotations

import gzip
import io
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, cast

import orjson

from bothways.conform.segment_keys import CASE_KEYS, fault_of, is_mixed
from bothways.facts.quick import quick
from bothways.model.linux.conntrack.settings import NAMES

__all__ = ["Case", "RecordingError", "Result", "Segment", "line_of", "read_recording", "write_recording"]

Segment = dict[str, Any]
Result = dict[str, Any]

_WORD: Final = 1 << 32
_SHORT: Final = 1 << 16
_LONGEST: Final = 65_000
_LETTERS: Final = frozenset("FSRPAUEC")


class RecordingError(Exception):
    """A line that is no sequence; the text begins with ``file:line``."""


@quick
@dataclass(frozen=True, slots=True)
class Case:
    """
    One sequence, and what a kernel made of it.

    :param kind: the class that the recorder put it in.
    :param nat: whether the router translated.
    :param sysctls: settings of the router by name without ``net.netfilter.``, sorted.
    :param family: 4 or 6.
    :param mixed: True if it is more than TCP over IPv4 without pauses: ``datagram`` makes its segments.
    """

    name: str
    kind: str
    nat: bool
    sysctls: tuple[tuple[str, int], ...]
    segments: tuple[Segment, ...]
    results: tuple[Result, ...]
    family: int = 4
    mixed: bool = False


def read_recording(
    path: Path, rulesets: Callable[[Mapping[str, Any], str], None] | None = None
) -> Iterator[Case]:
    """
    Read the sequences of a file, one by one.

    :param rulesets: takes the lines between them that are rulesets (``netfilter_recording``), with their
        place; None if there is no room for them.
    :raises RecordingError: with the place of the first line that is no sequence.
    :raises OSError: if the file cannot be read.
    """
    number, name = 0, str(path)
    try:
        with _opened(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.isspace():
                    continue
                place = f"{name}:{number}"
                if rulesets is not None and _RULESET.match(line):
                    rulesets(_ruleset(line, place), place)
                else:
                    yield _case(line, place)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise RecordingError(f"{path}:{number + 1}: the compressed file is damaged: {error}") from None


#: How the line of a ruleset begins; the line of a sequence has a ``class`` there.
_RULESET: Final = re.compile(rb'\s*\{\s*"id"\s*:\s*"[^"]*"\s*,\s*"kernel"')


def _ruleset(line: bytes, place: str) -> Mapping[str, Any]:
    try:
        said = orjson.loads(line)
    except ValueError as error:
        raise RecordingError(f"{place}: no JSON: {error}") from None
    return cast("Mapping[str, Any]", said)


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
    if case.family != _IPV4:
        document["family"] = case.family
    return json.dumps(document, separators=(",", ":")) + "\n"


def _opened(path: Path) -> IO[bytes]:
    """Open a file by what it begins with, not by its name."""
    with path.open("rb") as first:
        packed = first.read(2) == b"\x1f\x8b"
    if not packed:
        return path.open("rb")
    return cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(path)), _AT_ONCE))


#: Octets that are unpacked at once: lines are cut out of them faster than ``gzip`` itself does it.
_AT_ONCE: Final = 1 << 16


def _case(line: bytes, place: str) -> Case:
    try:
        said = orjson.loads(line)
    except ValueError as error:
        raise RecordingError(f"{place}: no JSON: {error}") from None
    try:
        segments, results = said["segments"], said["results"]
        if not segments or len(segments) != len(results):
            raise RecordingError(f"{place}: {len(segments)} segments, but {len(results)} results")
        family = said.get("family", _IPV4)
        mixed = family != _IPV4 or not _are_plain(segments)
        if mixed:
            _check(segments, family, place)
        for index, result in enumerate(results):
            if _is_result(result):
                continue
            raise RecordingError(f"{place}: result {index} is damaged: {_shown(result)}")
        sysctls = tuple(sorted(said.get("sysctl", {}).items()))
        for _, value in sysctls:
            if type(value) is not int:
                raise RecordingError(f"{place}: a sysctl is no number: {_shown(said['sysctl'])}")
        if not said.keys() <= CASE_KEYS:
            raise RecordingError(f"{place}: unknown key {min(said.keys() - CASE_KEYS)!r}")
        if not _SYSCTLS.issuperset(said.get("sysctl", ())):
            raise RecordingError(f"{place}: unknown sysctl {min(said['sysctl'].keys() - _SYSCTLS)!r}")
        return Case(
            str(said.get("id", place)),
            str(said.get("class", "")),
            bool(said.get("nat", False)),
            sysctls,
            tuple(segments),
            tuple(results),
            family,
            mixed,
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise RecordingError(f"{place}: no recorded sequence: {type(error).__name__} {error}") from None


#: What a recorder may note beside what the tracker goes by.
_SYSCTLS: Final = NAMES | {
    "nf_conntrack_acct",
    "nf_conntrack_events",
    "nf_conntrack_helper",
    "nf_conntrack_log_invalid",
    "nf_conntrack_timestamp",
}
_IPV4: Final = 4


def _are_plain(segments: Iterable[Segment]) -> bool:
    try:
        return all(map(_is_segment, segments))
    except KeyError:
        return False


def _check(segments: Iterable[Segment], family: object, place: str) -> None:
    """Look at segments of which one at least is more than plain TCP, or damaged."""
    if family not in {4, 6}:
        raise RecordingError(f"{place}: family is 4 or 6, not {_shown(family)}")
    for index, each in enumerate(segments):
        fault = fault_of(each) if is_mixed(each) else ""
        if fault:
            raise RecordingError(f"{place}: segment {index}: {fault}: {_shown(each)}")
        tcp = {key: value for key, value in each.items() if key in _OF_TCP}
        if each.get("proto", "tcp") == "tcp" and not _is_segment(tcp):
            raise RecordingError(f"{place}: segment {index} is damaged: {_shown(each)}")


_OF_TCP: Final = frozenset({"dir", "flags", "seq", "ack", "win", "len", "opts", "badcsum", "trunc", "doff"})


def _is_segment(said: Segment) -> bool:
    """Whether a segment can be put on a wire, which is how its numbers are checked: for every segment."""
    try:
        _NUMBERS(said["seq"], said["ack"], said["win"], said["len"])
    except struct.error:
        return False
    return (
        said["dir"] in _SENDERS
        and said["len"] <= _LONGEST
        and _LETTERS.issuperset(said["flags"])
        and (len(said) == _PLAIN or _are_extras(said))
    )


_SENDERS: Final = ("A", "B")
#: Sequence number, acknowledgement, window and length in their octets; an error if one does not fit.
_NUMBERS: Final = struct.Struct("!IIHH").pack
#: dir, flags, seq, ack, win, len: most segments have no more.
_PLAIN: Final = 6


def _are_extras(said: Segment) -> bool:
    opts = said.get("opts", {})
    try:
        return (
            said.keys() <= _OF_TCP
            and _OPTIONS.issuperset(opts)
            and 0 <= said.get("trunc", 0) <= 20  # noqa: PLR2004 - a TCP header without options
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


_OPTIONS: Final = frozenset({"mss", "wscale", "sackok", "ts", "sack", "raw"})


def _is_result(said: Result) -> bool:
    return type(said["verdict"]) is str and "delivery" in said and "state" in said


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + " …"


_SHOWN: Final = 160
