"""Time stamps that run backwards are told once for each capture, with how often and where."""

from __future__ import annotations

import pytest

from bothways.capture.order import backwards
from bothways.facts.packet import Packet
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Kind, Span


def at(*times: int, framed: bool = False) -> list[Sighting]:
    tap = Tap("host5", "root", "any")
    return [
        Sighting(
            tap,
            None,
            None,
            time,
            Packet(),
            Span("any.txt", frame=number) if framed else Span("any.txt", line=number + 10),
            number - 1,
        )
        for number, time in enumerate(times, start=1)
    ]


@pytest.mark.parametrize("times", [(), (5,), (1, 2, 3), (1, 1, 1), (0, 10**18)])
def test_what_runs_forwards_is_silent(times: tuple[int, ...]) -> None:
    assert backwards(at(*times)) == []


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((2, 1), "time stamps run backwards once: line 12"),
        ((1, 5, 4, 6, 3), "time stamps run backwards twice: lines 13 and 15"),
        ((9, 8, 7, 6), "time stamps run backwards 3 times: lines 12, 13 and 14"),
        (
            tuple(range(20, 0, -1)),
            "time stamps run backwards 19 times: lines 12, 13, 14, 15, 16, 17, 18, 19 and 11 more",
        ),
    ],
)
def test_one_problem_says_how_often_and_where(times: tuple[int, ...], said: str) -> None:
    (problem,) = backwards(at(*times))

    assert (problem.kind, problem.message) == (Kind.CONTRADICTION, said)
    assert problem.hint


def test_frames_are_named_as_frames_and_the_place_is_the_first() -> None:
    (problem,) = backwards(at(5, 6, 4, 3, framed=True))

    assert problem.message == "time stamps run backwards twice: frames 3 and 4"
    assert (problem.span.frame, problem.span.line) == (3, None)
