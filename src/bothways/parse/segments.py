"""
Segments as people write them: ``S> S.< .> P.>:21``.

Flags are tcpdump's letters (``none`` without any), ``>`` is a segment of the client and ``<`` one of the
server, ``:LENGTH`` its payload. Brackets stand around what the tracker did not see, ``(S.<)``; ``+10`` lets
ten seconds pass.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bothways.facts.packet import NO_FLAGS, Flag
from bothways.facts.segment import WrittenSegment
from bothways.facts.trajectory import Way

__all__ = ["SegmentsError", "parse_segments"]

LETTERS: Final[Mapping[str, Flag]] = MappingProxyType(
    {
        "F": Flag.FIN,
        "S": Flag.SYN,
        "R": Flag.RST,
        "P": Flag.PSH,
        ".": Flag.ACK,
        "U": Flag.URG,
        "E": Flag.ECE,
        "W": Flag.CWR,
    }
)
_WAYS: Final = {">": Way.ORIGINAL, "<": Way.REPLY}
_NONE: Final = "none"
_WORD: Final = re.compile(r"[^\s,]+")
_PAUSE: Final = re.compile(r"\+(\d{1,9})s?\Z")
_SEGMENT: Final = re.compile(r"(?P<flags>[^<>:]*)(?P<way>[<>])(?::(?P<length>\d{1,5}))?\Z")
_LONGEST: Final = 0xFFFF
_FORM: Final = "FLAGS> for the client or FLAGS< for the server, as in 'S> S.< .>'"


class SegmentsError(ValueError):
    """
    Segments that cannot be read.

    :param column: where, from 1.
    :param hint: what to write instead.
    """

    def __init__(self, message: str, column: int, hint: str) -> None:
        super().__init__(message)
        self.column = column
        self.hint = hint


def parse_segments(text: str) -> tuple[WrittenSegment, ...]:
    """
    Read segments in their order.

    :raises SegmentsError: if one cannot be read, or if there is none.
    """
    segments: list[WrittenSegment] = []
    pause = 0
    for found in _WORD.finditer(text):
        word, column = found[0], found.start() + 1
        waits = _PAUSE.match(word)
        if waits is not None:
            pause += int(waits[1])
            continue
        segments.append(_segment(word, column, pause))
        pause = 0
    if not segments:
        raise SegmentsError("no segment is written", 1, f"write {_FORM}")
    return tuple(segments)


def _segment(word: str, column: int, pause: int) -> WrittenSegment:
    bare, shift = word, 0
    if word.startswith("(") and word.endswith(")"):
        bare, shift = word[1:-1], 1
    found = _SEGMENT.match(bare)
    if found is None:
        raise SegmentsError(f"`{word}` is not a segment", column, f"write {_FORM}; +SECONDS lets time pass")
    length = int(found["length"] or 0)
    if length > _LONGEST:
        raise SegmentsError(
            f"a segment of {length} bytes does not exist", column + bare.index(":") + 1, f"at most {_LONGEST}"
        )
    flags = _flags(found["flags"], column + shift)
    return WrittenSegment(flags, _WAYS[found["way"]], length, not shift, pause, word, column)


def _flags(letters: str, column: int) -> Flag:
    if letters == _NONE:
        return NO_FLAGS
    if not letters:
        raise SegmentsError(
            "a segment without flags", column, "write `none>` if none is set; `.>` is a bare ACK"
        )
    flags = NO_FLAGS
    for place, letter in enumerate(letters):
        flag = LETTERS.get(letter)
        if flag is None:
            known = f"tcpdump's letters are {' '.join(LETTERS)}, and the dot is ACK"
            if letter == "A":
                known = "tcpdump prints ACK as a dot: `S.` for SYN/ACK, `.` for a bare ACK"
            elif letter.upper() in LETTERS:
                known = f"write `{letter.upper()}`"
            raise SegmentsError(f"`{letter}` is no TCP flag", column + place, known)
        flags |= flag
    return flags
