"""`bothways trace diff`: recorded, pasted and predicted stacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bothways.cli import main
from kernel_trace_samples import reset_story

INCIDENT = Path(__file__).resolve().parents[3] / "examples" / "incident"
SYN, ACK = (INCIDENT / "hosts/host1/trace" / name for name in ("syn.txt", "ack.txt"))


def diff(*words: object, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main, ["trace", "diff", *map(str, words)], input=stdin)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    file = tmp_path / "t.jsonl"
    file.write_text(reset_story().text)
    return file


@pytest.fixture
def predicted(tmp_path: Path) -> Path:
    file = tmp_path / "walk.txt"
    example = INCIDENT.parent / "dual-l3"
    file.write_text(CliRunner().invoke(main, ["predict", str(example), "--as", "stack"]).stdout)
    return file


PARTED = "they part after {}: A goes to {} (routed on), B goes to {} (taken for the namespace itself)"


def test_the_incidents_own_stacks_part_where_its_author_found_it() -> None:
    result = diff(SYN, ACK)

    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == PARTED.format("ip_rcv_finish", "ip_forward", "ip_local_deliver")
    assert "> ip_forward " in result.stdout


@pytest.mark.parametrize(
    ("one", "other"),
    [("#1", "#2"), ("#tcp-syn", "#tcp-ack"), ("#1@qrouter", "#dst host 192.0.2.100 and tcp[13] = 16")],
)
def test_recorded_packets_by_number_and_filter(recorded: Path, one: str, other: str) -> None:
    result = diff(f"{recorded}{one}", f"{recorded}{other}")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[-1] == PARTED.format("ip_rcv", "ip_forward", "ip_local_deliver")


def test_recorded_against_pasted(recorded: Path) -> None:
    assert diff(f"{recorded}#2", ACK).stdout.splitlines()[-1].startswith("they do not part")


def test_recorded_against_predicted(recorded: Path, predicted: Path) -> None:
    result = diff(f"{predicted}#SYN qrouter", f"{recorded}#2")

    assert result.exit_code == 0, result.stderr
    assert "A goes to ip_forward (routed on)" in result.stdout
    assert "(taken for the namespace itself)" in result.stdout


def test_ack_is_not_the_syn_ack(predicted: Path) -> None:
    named = diff(f"{predicted}#SYN qrouter", f"{predicted}#ack qrouter").stdout.splitlines()[1]

    assert ": ACK from client at host1/qrouter-" in named


def test_standard_input_and_json() -> None:
    result = diff("-", ACK, "--json", stdin=SYN.read_text())
    said = json.loads(result.stdout)

    assert said["schema"] == "bothways/stack-diff/1"
    assert said["parting"] == {
        "after": "ip_rcv_finish",
        "first": "ip_forward",
        "second": "ip_local_deliver",
        "first_means": "routed on",
        "second_means": "taken for the namespace itself",
    }
    assert said["rows"][0] == {"both": ["ip_rcv", "ip_rcv_finish"], "first": [], "second": []}


def test_what_is_the_same_does_not_part() -> None:
    assert diff(SYN, SYN).stdout.splitlines()[-1] == "they do not part: both are the same"


@pytest.mark.parametrize(
    ("operand", "said", "code"),
    [
        ("missing.txt", "`missing.txt` cannot be read: no such file", 4),
        (f"{SYN}#7", "has no stack 7", 2),
        ("{t}", "", 0),
        ("{t}#99", "has no packet `99`", 2),
        ("{t}#port porcupine", "neither a packet's number nor a filter", 2),
        ("{t}#3@vm", "no event of #3 has a call stack at a place with `vm`", 4),
        ("{e}", "holds no call stack", 4),
        ("{w}", "choose one", 2),
    ],
)
def test_operands_that_name_no_stack(
    operand: str, said: str, code: int, recorded: Path, predicted: Path, tmp_path: Path
) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("nothing to see\n")
    result = diff(operand.format(t=recorded, w=predicted, e=empty), ACK)

    assert result.exit_code == code
    assert said in result.stderr
