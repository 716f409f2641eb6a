"""How names, ages, clocks and hostile text are spelt."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as some

from bothways.facts.diagnosis import Author, Evidence
from bothways.facts.span import Kind, Problem, Span
from bothways.report.words import (
    age,
    author_sentence,
    author_verb,
    counted,
    milliseconds,
    plain,
    problem_line,
    question_words,
    shorten,
    shorten_name,
    tolerance,
)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, ""),
        (0.4, ""),
        (8.2, "read 8 s after the packet"),
        (-8.2, "read 8 s before the packet"),
        (2580.0, "read 43 min after the packet"),
        (9000.0, "read 2.5 h after the packet"),
        (200_000.0, "read 2.3 days after the packet"),
    ],
)
def test_an_age(seconds: float | None, said: str) -> None:
    assert age(Evidence(Span("dump.txt", line=1), seconds)) == said


def test_a_frame_has_no_age() -> None:
    assert age(Evidence(Span("a.pcap", frame=1), 90.0)) == ""


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-25_271_000, -25_063_000, "behind by 25.063 to 25.271 ms"),
        (1_000_000, 2_000_000, "ahead by 1.000 to 2.000 ms"),
        (-90_000, 40_000, "between -0.090 and +0.040 ms"),
        (None, 5_000, "off by at most +0.005 ms"),
        (5_000, None, "off by at least +0.005 ms"),
        (None, None, "unknown"),
    ],
)
def test_bounds_of_a_clock(low: int | None, high: int | None, said: str) -> None:
    assert tolerance(low, high) == said


def test_an_open_bound_is_a_question_mark() -> None:
    assert milliseconds(None) == "?"


@pytest.mark.parametrize(
    ("author", "said"),
    [
        (
            Author("rst", None, None, None, None, None, "capture"),
            "a station that the evidence does not name",
        ),
        (
            Author("rst", None, "h", "root", "eth0", None, "capture"),
            "h, root namespace, device eth0",
        ),
        (
            Author("rst", None, "h", "ns", None, "tcp_v4_send_reset", "model"),
            "h, namespace ns, device unknown, function tcp_v4_send_reset",
        ),
    ],
)
def test_an_author(author: Author, said: str) -> None:
    assert author_sentence(author) == said


def test_what_an_author_did() -> None:
    assert [author_verb(what) for what in ("rst", "icmp", "drop")] == [
        "RST sent by",
        "ICMP error sent by",
        "dropped by",
    ]


def test_a_problem_is_one_line_with_its_hint() -> None:
    problem = Problem(Kind.MALFORMED, Span("a.txt", line=3), "`x\n\x1b` is no\taddress", "look  again")

    assert problem_line(problem) == "a.txt:3: malformed: `x \\x1b` is no address (hint: look again)"


def test_numbers_agree_with_their_nouns() -> None:
    assert [counted(0, "copy", "copies"), counted(1, "copy", "copies")] == ["0 copies", "1 copy"]


def test_no_question_is_said() -> None:
    assert question_words(None) == "no connection"


@pytest.mark.parametrize(
    ("column", "kept"),
    [(None, "the-end"), (1, "the-start"), (60, "MIDDLE")],
)
def test_what_matters_survives_shortening(column: int | None, kept: str) -> None:
    line = "the-start" + "." * 50 + "MIDDLE" + "." * 50 + "the-end"

    assert kept in shorten(line, 40, column)


def harmless(text: str) -> bool:
    """Tell whether a text shows what it holds: spaces of any width may stay, nothing else that is unseen."""
    return all(letter.isprintable() or unicodedata.category(letter) == "Zs" for letter in text)


@given(some.text(), some.integers(8, 200), some.none() | some.integers(1, 300))
def test_a_shortened_line_fits_and_is_printable(text: str, width: int, column: int | None) -> None:
    short = shorten(text, width, column)

    assert len(short) <= max(width, 8)
    assert harmless(short)


@given(some.text(), some.integers(8, 60))
def test_a_shortened_name_fits(name: str, width: int) -> None:
    assert len(shorten_name(name, width)) <= width


@given(some.text())
def test_plain_text_is_printable_and_stays_so(text: str) -> None:
    once = plain(text)

    assert harmless(once)
    assert plain(once) == once
