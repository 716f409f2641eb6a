"""``bothways conform``: exit codes, text, JSON and its schema, what it says when it cannot run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from bothways.cli import main
from bothways.conform.comparison import FIELDS
from bothways.conform.recording import Case, read_recording, write_recording
from bothways.conform.replay import replay

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "tests" / "unit" / "model" / "data" / "conntrack-6.18.jsonl.gz"
SCHEMA = json.loads((ROOT / "docs" / "reference" / "conformance.schema.json").read_text("utf-8"))


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["conform", *words])


@pytest.fixture
def agreeing() -> list[Case]:
    """Twenty sequences on which model and recording agree."""
    return [case for case, _ in zip(read_recording(SAMPLE), range(20), strict=False)]


@pytest.fixture
def recording(tmp_path: Path, agreeing: list[Case]) -> Path:
    path = tmp_path / "seen.jsonl.gz"
    write_recording(path, agreeing)
    assert replay(agreeing).disagreements == 0
    return path


@pytest.fixture
def lying(tmp_path: Path, agreeing: list[Case]) -> Path:
    path = tmp_path / "lying.jsonl"
    for case in agreeing[:3]:
        case.results[-1]["verdict"] = "ODD"
    write_recording(path, agreeing)
    return path


def fits(document: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(document)]


def test_agreement_is_exit_code_0(recording: Path) -> None:
    result = run("conntrack", str(recording))

    assert result.exit_code == 0
    assert result.stdout.startswith("conntrack: 20 sequences, ")
    assert result.stdout.endswith("\n0 disagreements\n")


def test_a_disagreement_is_exit_code_1_and_is_shown(lying: Path) -> None:
    result = run("conntrack", str(lying), "--show", "1")

    assert result.exit_code == 1
    assert "3 disagreements (verdict 3)" in result.stdout
    assert "verdict: kernel ODD, model " in result.stdout
    assert "2 more disagree" in result.stdout


@pytest.mark.parametrize("name", ["recording", "lying"])
def test_the_json_fits_its_schema(name: str, request: pytest.FixtureRequest) -> None:
    result = run("conntrack", str(request.getfixturevalue(name)), "--json")

    document = json.loads(result.stdout)
    assert fits(document) == []
    assert (document["schema"], document["subject"], document["cases"]) == (
        "bothways/conformance/1",
        "conntrack",
        20,
    )
    assert document["disagreements"] == len(document["first"]) == (3 if name == "lying" else 0)


def test_the_schema_is_strict_and_knows_every_field() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["$defs"]["disagreement"]["properties"]["field"]["enum"] == sorted(
        FIELDS, key=SCHEMA["$defs"]["disagreement"]["properties"]["field"]["enum"].index
    )
    assert fits({"schema": "bothways/conformance/1"}) != []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "missing argument"),
        (("conntrack",), 2, "a recording is expected, or --live"),
        (("iptables", "x"), 2, "is not one of"),
        (("openflow", "x"), 4, "x: no such file"),
        (("conntrack", "x", "--record", "y"), 2, "--record keeps what --live asks"),
        (("conntrack", "--live", "--count", "0"), 2, "--count"),
        (("conntrack", "no-such-file"), 4, "no-such-file: no such file"),
        (("conntrack", str(ROOT / "README.md")), 4, "README.md:1: no JSON"),
        (("conntrack", str(ROOT)), 4, "this is a folder"),
    ],
)
def test_what_cannot_run_says_so(words: tuple[str, ...], code: int, said: str) -> None:
    result = run(*words)

    assert result.exit_code == code
    assert said in result.stderr.lower().replace("readme", "README").replace("no json", "no JSON")


def test_live_without_root_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    result = run("conntrack", "--live", "--count", "1")

    assert result.exit_code == 4
    assert "needs root" in result.stderr
    assert "sudo" in result.stderr


def test_live_without_its_programs_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)

    result = run("conntrack", "--live", "--count", "1")

    assert result.exit_code == 4
    assert "apt-get install -y iproute2 nftables" in result.stderr
