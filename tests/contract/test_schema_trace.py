"""The tracer's lines are what `docs/reference/trace.schema.json` says, its words those of the code."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bothways.facts.kernel_event import Happening
from bothways.trace.profile import PROFILES, STACKS
from kernel_trace_samples import Story, headers, reset_story

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((REFERENCE / "trace.schema.json").read_text("utf-8"))
    Draft202012Validator.check_schema(document)
    return document


def other_lines() -> Story:
    story = Story(tier="fentry").start()
    outer = headers("10.1.0.1", "10.1.0.2", "none", protocol="udp", vni=9, inner=headers("::1", "::2", "S"))
    story.event(
        "hook", 1, "root", None, outer, hook="FORWARD", verdict="DROP", rule={"handle": 4}, detail={"a": 1}
    )
    story.lines += [
        {"type": "lost", "lost": 3, "total": 3},
        {"type": "problem", "text": "x", "hint": "y"},
        {"type": "clock", "host": "h", "relative_to": "g", "low_ns": -1, "high_ns": None},
    ]
    return story.stop(cost={"programs": [{"probe": "p", "runs": 1, "ns": 300}]})


@pytest.mark.parametrize("story", [reset_story(), other_lines()], ids=["reset", "other"])
def test_lines_fit(story: Story, schema: dict[str, Any]) -> None:
    for line in story.lines:
        one = {**schema, "oneOf": [{"$ref": f"#/$defs/{line['type']}"}]}
        errors = [error.message for error in Draft202012Validator(one).iter_errors(line)]
        assert errors == [], line


def test_a_member_too_many_does_not_fit(schema: dict[str, Any]) -> None:
    line = {**reset_story().lines[2], "aura": 1}

    assert list(Draft202012Validator(schema).iter_errors(line))


def test_the_words_of_events_are_those_of_the_code(schema: dict[str, Any]) -> None:
    assert schema["$defs"]["event"]["properties"]["event"]["enum"] == [str(each) for each in Happening]
    table = (REFERENCE / "trace.md").read_text("utf-8").partition("## Events")[2].partition("## Lines")[0]
    named = re.findall(
        r"`([a-z-]+)`", "\n".join(row.split("|")[1] for row in table.splitlines() if row.startswith("| `"))
    )
    assert sorted(named) == sorted(Happening)


def test_the_profiles_of_the_page_are_those_of_the_code() -> None:
    page = (REFERENCE / "trace.md").read_text("utf-8").partition("## Profiles")[2].partition("## Events")[0]

    assert re.findall(r"^\| `([a-z]+)`", page, re.MULTILINE) == list(PROFILES)
    assert ", ".join(STACKS[:-1]) + f" or {STACKS[-1]}" in page
