"""What the command prints as JSON is what `docs/reference` says, for every example."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from bothways.cli import main
from bothways.diagnose.causes import CAUSES
from bothways.facts.diagnosis import Basis, Confidence, Fate, Status
from bothways.facts.step import Did
from bothways.facts.trajectory import Way

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/bundle.toml"))
SCHEMAS = ["diagnosis", "prediction"]


@cache
def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        (ROOT / "docs/reference" / f"{name}.schema.json").read_text("utf-8")
    )
    return document


def errors(name: str, document: object) -> list[str]:
    found = Draft202012Validator(schema(name)).iter_errors(document)
    return [f"{error.json_path}: {error.message}" for error in found]


def closed(node: object) -> list[str]:
    """Objects of a schema that would take any key."""
    if isinstance(node, list):
        return [each for value in node for each in closed(value)]
    if not isinstance(node, dict):
        return []
    here = [] if "required" not in node or "properties" not in node else [node]
    loose = [str(each)[:80] for each in here if each.get("additionalProperties") is not False]
    return loose + [each for value in node.values() for each in closed(value)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_a_strict_schema(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))

    assert schema(name)["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert closed(schema(name)) == []


def test_what_both_schemas_define_is_the_same() -> None:
    one, two = (schema(name)["$defs"] for name in SCHEMAS)

    shared = (one.keys() & two.keys()) - {"outcome"}
    assert shared == {"evidence", "question", "fate"}
    assert {name: one[name] for name in shared} == {name: two[name] for name in shared}


def test_the_closed_sets_are_those_of_the_code() -> None:
    diagnosis, prediction = (schema(name) for name in SCHEMAS)
    sets = diagnosis["$defs"]

    assert diagnosis["properties"]["status"]["enum"] == [str(each) for each in Status]
    assert sets["fate"]["enum"] == [str(each) for each in Fate]
    assert sets["confidence"]["enum"] == [str(each) for each in Confidence]
    assert sets["link"]["properties"]["basis"]["enum"] == [str(each) for each in Basis]
    steps, journeys = prediction["$defs"]["step"], prediction["$defs"]["journey"]
    assert steps["properties"]["did"]["enum"] == [str(each) for each in Did]
    assert journeys["properties"]["way"]["enum"] == [*(str(each) for each in Way), None]


def test_every_cause_has_a_code_and_a_name_that_fit() -> None:
    for code, name in CAUSES:
        cause = {"code": code, "name": name, "confidence": "proved", "summary": "x"}
        whole = {"$defs": schema("diagnosis")["$defs"], "$ref": "#/$defs/cause"}
        assert list(Draft202012Validator(whole).iter_errors(cause)) == []


def test_there_are_examples() -> None:
    assert EXAMPLES == ["dual-l3", "incident", "neutron-l3-only", "odl-l3-only"]


@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize(("verb", "name"), [("diagnose", "diagnosis"), ("predict", "prediction")])
def test_what_a_verb_prints_fits(example: str, verb: str, name: str) -> None:
    result = CliRunner().invoke(main, [verb, str(ROOT / "examples" / example), "--json"])

    assert errors(name, json.loads(result.stdout)) == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_with_all_every_line_fits(example: str) -> None:
    result = CliRunner().invoke(main, ["diagnose", str(ROOT / "examples" / example), "--json", "--all"])

    lines = result.stdout.splitlines()
    assert len(lines) == 1 + len(json.loads(lines[0])["others"])
    for line in lines:
        assert errors("diagnosis", json.loads(line)) == []


@pytest.mark.parametrize(
    "flow",
    [
        "tcp 203.0.113.1 > 203.0.113.2:22",
        "udp 192.168.111.210 > 192.168.111.223:53",
        "icmp 192.168.111.210 > 192.168.111.223",
        "tcp [2001:db8::1] > [2001:db8::2]:22",
        "tcp 192.168.111.210 > 88.88.88.4:22",
    ],
)
@pytest.mark.parametrize(("verb", "name"), [("diagnose", "diagnosis"), ("predict", "prediction")])
def test_a_connection_that_the_evidence_hardly_knows_fits_too(flow: str, verb: str, name: str) -> None:
    result = CliRunner().invoke(main, [verb, str(ROOT / "examples" / "incident"), flow, "--json"])

    document = json.loads(result.stdout)
    assert errors(name, document) == []
    # a name behind a translation is answered under the name that the client used
    assert document["question"]["destination"] in f"{flow} 192.168.111.223"
