"""``bothways conform openflow`` as a user meets it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from bothways.cli import main

ROOT = Path(__file__).parents[3]
SAMPLE = Path(__file__).parent / "data" / "openflow-traces.jsonl.gz"
SHARED = ROOT.parent / "shared" / "oracles" / "openflow"


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["conform", "openflow", *words])


def altered(folder: Path, old: str, new: str) -> Path:
    """The recording, with another answer of the switch in one case that has *old* as its actions."""
    lines = gzip.decompress(SAMPLE.read_bytes()).decode().splitlines()
    for number, line in enumerate(lines):
        case = json.loads(line)
        if case["expected"]["datapath_actions"] == old:
            case["expected"]["datapath_actions"] = new
            lines[number] = json.dumps(case)
            break
    else:
        pytest.fail(f"no case has {old}")
    path = folder / "altered.jsonl"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_text_counts_and_explains_what_is_unknown() -> None:
    result = run(str(SAMPLE))

    assert result.exit_code == 0, result.output
    first, second = result.stdout.splitlines()[:2]
    assert first.startswith("openflow: ")
    assert " agree (" in second
    assert " 0 disagree, " in second


def test_a_disagreement_is_shown_side_by_side_and_fails_the_run(tmp_path: Path) -> None:
    result = run(str(altered(tmp_path, "2", "3")))

    assert result.exit_code == 1
    assert "1 disagree (outputs 1)" in result.stdout
    assert "altered.jsonl:" in result.stdout
    assert "the model lacks those to port 3" in result.stdout
    assert "the switch does not send those to port 2" in result.stdout
    assert "datapath actions: 3" in result.stdout


def test_json_has_the_form_of_its_schema(tmp_path: Path) -> None:
    schema = json.loads((ROOT / "docs" / "reference" / "conformance.schema.json").read_text())

    result = run(str(altered(tmp_path, "2", "3")), "--json", "--show", "2")

    said = json.loads(result.stdout)
    Draft202012Validator(schema).validate(said)
    assert (said["schema"], said["subject"]) == ("bothways/conformance/1", "openflow")
    assert said["cases"] == said["agree"] + said["disagreements"] + said["unknown"]
    assert (said["disagreements"], len(said["first"])) == (1, 1)
    assert sum(said["reasons"].values()) == said["unknown"]


def test_strict_counts_what_is_not_known(tmp_path: Path) -> None:
    lines = [json.loads(line) for line in gzip.decompress(SAMPLE.read_bytes()).splitlines()][:1]
    lines[0]["bridges"]["br0"]["mirrors"] = 1
    path = tmp_path / "mirrored.jsonl"
    path.write_text(json.dumps(lines[0]))

    assert run(str(path)).exit_code == 0
    assert run(str(path), "--strict").exit_code == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, "a recording is expected, or --live"),
        (("nowhere.json",), 4, "nowhere.json: "),
        (("nowhere.json", "--live"), 2, "openflow takes FILE or --live, not both"),
        (("nowhere.json", "--record", "x"), 2, "--record keeps what --live asks"),
    ],
)
def test_wrong_use_is_told_with_a_hint(words: tuple[str, ...], code: int, said: str) -> None:
    result = run(*words)

    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.shared
@pytest.mark.skipif(
    not SHARED.is_dir(), reason="the recordings of third parties are not beside the repository"
)
@pytest.mark.parametrize(
    ("name", "cases"),
    [("pipelines.json.gz", 358), ("pipeline_traces.jsonl.gz", 358), ("seed_pipeline_cases.json", 6)],
)
def test_recordings_of_third_parties_are_read_and_hold(name: str, cases: int) -> None:
    result = run(str(SHARED / name), "--json")

    said = json.loads(result.stdout)
    assert (said["cases"], said["disagreements"], result.exit_code) == (cases, 0, 0)
