"""A recording of Linux 6.18 through the model, and the comparison itself."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bothways.conform.comparison import FIELDS, compare
from bothways.conform.conformance import Conformance
from bothways.conform.recording import Case, read_recording
from bothways.conform.replay import hold, replay
from bothways.conform.words import conformance_json, conformance_text

SAMPLE = Path(__file__).parents[1] / "model" / "data" / "conntrack-6.18.jsonl.gz"
SHARED = Path(__file__).parents[4] / "shared" / "oracles" / "conntrack"
RESULT: dict[str, Any] = {
    "verdict": "INVALID",
    "delivery": "local",
    "state": "SYN_SENT",
    "status": ["CONFIRMED", "SEEN_REPLY"],
    "timeout": 120,
    "orig": "A",
    "answered": {"src": "192.0.2.1", "dst": "192.0.2.2", "flags": "R", "seq": 1, "ack": 0},
    "log": ["SEQ is over upper bound 2188204069 (over the window of the receiver)"],
}


@cache
def sample() -> tuple[Case, ...]:
    return tuple(read_recording(SAMPLE))


def test_the_sample_agrees() -> None:
    outcome = replay(sample())

    assert conformance_text(outcome).splitlines()[1] == "0 disagreements"
    assert outcome.cases > 3_000
    assert outcome.checks == sum(len(case.segments) for case in sample())


@pytest.mark.shared
@pytest.mark.parametrize("name", ["truth.jsonl.gz", "exhaustive-length-4.jsonl.gz"])
def test_a_slice_of_the_whole_recording_agrees(name: str) -> None:
    outcome = replay(case for number, case in enumerate(read_recording(SHARED / name)) if number % 7 == 3)

    assert conformance_text(outcome).splitlines()[1:] == ["0 disagreements"]
    assert outcome.cases > 1_600


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({}, None),
        ({"status": ("SEEN_REPLY", "CONFIRMED")}, None),
        ({"timeout": 121}, None),
        ({"timeout": 119}, None),
        ({"timeout": 122}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"verdict": "NEW"}, "verdict"),
        ({"ctdir": "reply"}, "ctdir"),
        ({"delivery": "forwarded"}, "delivery"),
        ({"state": None}, "state"),
        ({"status": ("CONFIRMED",)}, "status"),
        ({"orig": "B"}, "orig"),
        ({"src": "192.0.2.1"}, "src"),
        ({"dst": "192.0.2.1"}, "dst"),
        ({"answered": {**RESULT["answered"], "seq": 2}}, "answered"),
        ({"events": ["new"]}, "events"),
        ({"log": ["SEQ is over upper bound 2188204070 (over the window of the receiver)"]}, "bound"),
        ({"log": ["SEQ is under lower bound 2188204069 (already ACKed data retransmitted)"]}, "reason"),
        ({"log": ["invalid rst"]}, "reason"),
        ({"log": None}, "reason"),
    ],
)
def test_two_results_agree_or_a_field_is_named(changed: dict[str, Any], field: str | None) -> None:
    difference = compare(RESULT, RESULT | changed)

    assert (None if difference is None else difference.field) == field
    assert field is None or field in FIELDS


def test_state_and_index_in_the_words_are_no_bound() -> None:
    one = {**RESULT, "log": ["packet (index 3) in dir 0 invalid, state SYN_SENT"]}
    other = {**RESULT, "log": ["packet (index 2) in dir 0 invalid, state SYN_SENT"]}

    difference = compare(one, other)
    assert difference is not None
    assert difference.field == "reason"


@pytest.mark.parametrize(
    "field", ["verdict", "delivery", "state", "status", "timeout", "src", "answered", "log"]
)
def test_a_recording_that_is_changed_disagrees(field: str) -> None:
    case = next(
        case for case in sample() if any(field in result for result in case.results) and not hold(case)[1]
    )
    at = next(index for index, result in enumerate(case.results) if field in result)
    changed = tuple(
        {**result, field: _OTHER.get(field, ["another"])} if index == at else result
        for index, result in enumerate(case.results)
    )

    checked, disagreement = hold(replace(case, results=changed))

    assert disagreement is not None
    assert (checked, disagreement.index) == (at + 1, at)
    assert disagreement.difference.field == {"log": "reason"}.get(field, field)


_OTHER = {"timeout": 7, "verdict": "NONE", "delivery": "nowhere", "state": "OPEN"}


def test_the_first_disagreements_are_told_side_by_side() -> None:
    cases = [
        replace(case, results=({**case.results[0], "verdict": "ODD"}, *case.results[1:])) for case in sample()
    ]

    outcome = replay(cases[:20], keep=2)
    text, document = conformance_text(outcome), conformance_json(outcome)

    assert "20 disagreements (verdict 20)" in text
    assert "18 more disagree" in text
    assert "segment 0: verdict: kernel ODD, model NEW" in text
    assert json.loads(json.dumps(document))["disagreements"] == 20
    assert [each["field"] for each in document["first"]] == ["verdict"] * 2  # type: ignore[attr-defined]


def test_nothing_held_is_no_disagreement() -> None:
    assert conformance_text(Conformance()) == "conntrack: 0 sequences, 0 segments\n0 disagreements\n"
