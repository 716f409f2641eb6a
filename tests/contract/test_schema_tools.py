"""What `show`, `show … flows` and `conntrack` print as JSON is what `docs/reference` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from bothways.cli import main
from bothways.model.linux.conntrack.tcp import TcpState
from bothways.report.inventory import DUMPS

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/bundle.toml"))
SEGMENTS = ["S> S.< .> P.>:21 F.> F.< .>", "S> (S.<) .>", "S.<", "none>", "FS> +20 R<", "S> S< S.> S.<"]


def schema(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        (ROOT / "docs/reference" / f"{name}.schema.json").read_text("utf-8")
    )
    Draft202012Validator.check_schema(document)
    return document


def printed(*argv: str) -> object:
    document: object = json.loads(CliRunner().invoke(main, [*argv, "--json"]).stdout)
    return document


@pytest.mark.parametrize("example", EXAMPLES)
def test_show_fits(example: str) -> None:
    document = printed("show", str(ROOT / "examples" / example))

    assert [error.message for error in Draft202012Validator(schema("show")).iter_errors(document)] == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_flows_fit(example: str) -> None:
    bundle = ROOT / "examples" / example
    if not list(bundle.glob("hosts/*/ovs")):
        pytest.skip("nothing of Open vSwitch is in it")
    document = printed("show", str(bundle), "flows")

    assert [error.message for error in Draft202012Validator(schema("flows")).iter_errors(document)] == []


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("more", [[], ["--loose", "0", "--kernel", "4.4"]])
def test_conntrack_fits(segments: str, more: list[str]) -> None:
    document = printed("conntrack", segments, *more)

    assert [error.message for error in Draft202012Validator(schema("conntrack")).iter_errors(document)] == []


def test_a_key_too_many_does_not_fit() -> None:
    for name, argv in (
        ("show", ["show", str(ROOT / "examples/incident")]),
        ("flows", ["show", str(ROOT / "examples/incident"), "flows"]),
        ("conntrack", ["conntrack", "S>"]),
    ):
        document = printed(*argv)
        assert isinstance(document, dict)
        assert list(Draft202012Validator(schema(name)).iter_errors({**document, "more": 1}))


def test_the_closed_sets_are_those_of_the_code() -> None:
    states = schema("conntrack")["$defs"]["step"]["properties"]["before"]["enum"]

    assert states == [str(state) for state in TcpState]
    assert len(set(DUMPS.values())) == len(DUMPS)


def test_a_question_is_the_same_everywhere() -> None:
    assert schema("show")["$defs"]["question"] == schema("prediction")["$defs"]["question"]
