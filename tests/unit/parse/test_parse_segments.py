"""Segments as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bothways.facts.packet import NO_FLAGS, Flag, flags_text
from bothways.facts.trajectory import Way
from bothways.parse.segments import SegmentsError, parse_segments

C, S = Way.ORIGINAL, Way.REPLY


@pytest.mark.parametrize(
    ("text", "flags", "way", "length", "seen", "after_s"),
    [
        ("S>", Flag.SYN, C, 0, True, 0),
        ("S.<", Flag.SYN | Flag.ACK, S, 0, True, 0),
        (".>", Flag.ACK, C, 0, True, 0),
        ("P.>:21", Flag.PSH | Flag.ACK, C, 21, True, 0),
        ("FPU.<", Flag.FIN | Flag.PSH | Flag.URG | Flag.ACK, S, 0, True, 0),
        ("SEW>", Flag.SYN | Flag.ECE | Flag.CWR, C, 0, True, 0),
        ("none>", NO_FLAGS, C, 0, True, 0),
        ("(S.<)", Flag.SYN | Flag.ACK, S, 0, False, 0),
        ("(P.<:5)", Flag.PSH | Flag.ACK, S, 5, False, 0),
        ("+10 R>", Flag.RST, C, 0, True, 10),
        ("+10s +5 R<", Flag.RST, S, 0, True, 15),
    ],
)
def test_a_segment(text: str, flags: Flag, way: Way, length: int, seen: bool, after_s: int) -> None:  # noqa: FBT001 - a column
    (segment,) = parse_segments(text)

    assert (segment.flags, segment.way, segment.length) == (flags, way, length)
    assert (segment.seen, segment.after_s) == (seen, after_s)


def test_blanks_and_commas_part_segments_and_columns_count_from_1() -> None:
    segments = parse_segments("S>,  S.<\n.>")

    assert [(each.text, each.column) for each in segments] == [("S>", 1), ("S.<", 6), (".>", 10)]


@pytest.mark.parametrize(
    ("text", "column", "part", "hint"),
    [
        ("", 1, "no segment", "S> S.< .>"),
        ("+10", 1, "no segment", "S> S.< .>"),
        ("S> S.", 4, "`S.`", "FLAGS>"),
        ("S> SA<", 5, "`A`", "prints ACK as a dot"),
        ("Sx>", 2, "`x`", "F S R P . U E W"),
        ("s>", 1, "`s`", "write `S`"),
        ("S> (SA<)", 6, "`A`", "dot"),
        (">", 1, "without flags", "none>"),
        ("P.>:99999", 5, "99999 bytes", "65535"),
        ("S>S.<", 1, "`S>S.<`", "FLAGS>"),
        ("S> (S.<", 4, "`(`", "F S R P"),
        ("S>:-1", 1, "`S>:-1`", "FLAGS>"),
    ],
)
def test_what_cannot_be_read_is_answered_with_its_column(
    text: str, column: int, part: str, hint: str
) -> None:
    with pytest.raises(SegmentsError) as caught:
        parse_segments(text)

    assert caught.value.column == column
    assert part in str(caught.value)
    assert hint in caught.value.hint


def told(text: str) -> tuple[int, str]:
    """How many segments were read and "", or the column and the hint of the refusal."""
    try:
        return len(parse_segments(text)), ""
    except SegmentsError as error:
        return error.column, error.hint


@given(st.text(max_size=40) | st.text("SFRP.<>:+()1 ", max_size=40))
def test_any_text_is_read_or_answered(text: str) -> None:
    number, hint = told(text)

    assert number >= 1
    assert not hint or number <= len(text) + 1


@given(st.integers(0, 255), st.sampled_from("<>"), st.integers(0, 65535))
def test_what_tcpdump_prints_is_read_back(octet: int, way: str, length: int) -> None:
    flags = Flag(octet)

    (segment,) = parse_segments(f"{flags_text(flags)}{way}:{length}")

    assert (segment.flags, segment.length) == (flags, length)
