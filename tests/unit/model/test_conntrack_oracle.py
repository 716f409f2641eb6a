"""
The tracker and its NAT, held to what a Linux 6.18 did with the same segments.

``bothways.conform`` reads the recordings, runs the model and compares: ctstate, direction, delivery, state,
time, status bits, originator, addresses behind NAT, the router's own RST, scales and flags of both windows,
and the kernel's words with their numbers. What it says of single results is tested beside it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path

import pytest

from bothways.conform.recording import Case, read_recording
from bothways.conform.replay import hold, replay
from bothways.conform.words import conformance_text

SHARED = Path(__file__).parents[4] / "shared" / "oracles" / "conntrack"
SAMPLE = Path(__file__).parent / "data" / "conntrack-6.18.jsonl.gz"


@cache
def sample() -> tuple[Case, ...]:
    return tuple(read_recording(SAMPLE))


def test_the_sample_agrees() -> None:
    outcome = replay(sample())

    assert conformance_text(outcome).splitlines()[1] == "0 disagreements"
    assert outcome.cases > 3_000
    assert outcome.checks > 15_000


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("verdict", "RELATED"),
        ("delivery", "lost"),
        ("state", "LISTEN"),
        ("src", "192.0.2.1"),
        ("dst", "192.0.2.1"),
        ("answered", {}),
        ("orig", "C"),
        ("wscale", [1, 13]),
        ("tcpflags", [["CLOSE_INIT"], ["CLOSE_INIT", "BE_LIBERAL"]]),
        ("log", ["invalid"]),
    ],
)
def test_a_field_that_is_changed_disagrees(field: str, other: object) -> None:
    case = next(case for case in sample() if any(field in result for result in case.results))
    results = tuple({**each, field: other} if field in each else each for each in case.results)

    _, disagreement = hold(replace(case, results=results))

    assert disagreement is not None
    assert disagreement.difference.model != other


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "every", "sequences", "segments"),
    [("truth.jsonl.gz", 1, 11_714, 65_796), ("exhaustive-length-4.jsonl.gz", 3, 18_525, 73_011)],
)
def test_a_whole_recording_agrees(name: str, every: int, sequences: int, segments: int) -> None:
    """Of the sequences with all flags each third stands for all: the command is run on them all by hand."""
    outcome = replay(islice(read_recording(SHARED / name), 0, None, every))

    assert conformance_text(outcome).splitlines()[1:] == ["0 disagreements"]
    assert (outcome.cases, outcome.checks) == (sequences, segments)
