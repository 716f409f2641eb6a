"""`bothways whatif`: a change walked, printed, or refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator

from bothways.cli import main
from bothways.facts.diagnosis import Fate
from bothways.facts.whatif import ChangeVerdict

ROOT = Path(__file__).resolve().parents[3]
CASE = str(ROOT / "examples" / "dual-l3")
SCHEMA = json.loads((ROOT / "docs/reference/whatif.schema.json").read_text("utf-8"))
ROUTER = "host1/qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"
HALF = "host5: ovs-ofctl del-flows br-int 'table=100,ip,tun_id=0x43e,nw_src=88.88.88.4'"


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, ["whatif", *argv], env={"COLUMNS": "100", "NO_COLOR": "1"})


def document(*changes: str) -> dict[str, object]:
    result = run(CASE, "--json", *(word for change in changes for word in ("--change", change)))
    assert result.exit_code == 0, result.stderr
    found: dict[str, object] = json.loads(result.stdout)
    assert [e.message for e in Draft202012Validator(SCHEMA).iter_errors(found)] == []
    return found


def test_the_schema_is_strict_and_its_sets_are_those_of_the_code() -> None:
    Draft202012Validator.check_schema(SCHEMA)

    assert SCHEMA["properties"]["verdict"]["enum"] == [str(each) for each in ChangeVerdict]
    assert SCHEMA["$defs"]["fate"]["enum"] == [str(each) for each in Fate]
    assert SCHEMA["additionalProperties"] is False
    assert all(each.get("additionalProperties", False) is False for each in SCHEMA["$defs"].values())


def test_the_answer_as_json() -> None:
    found = document(HALF)

    assert list(found) == ["schema", "question", "change", "before", "after", "verdict", "why", "unknown"]
    assert found["change"] == [{"host": "host5", "netns": "root", "command": HALF.removeprefix("host5: ")}]
    assert found["verdict"] == "depends"
    before, after = found["before"], found["after"]
    assert isinstance(before, list)
    assert isinstance(after, list)
    assert [(o["fate"], o["observed"]) for o in before] == [("reset", True), ("works", False)]
    assert [(o["fate"], o["observed"]) for o in after] == [("works", True), ("timeout", False)]


def test_changes_are_made_in_order() -> None:
    off, on = f"{ROUTER}: sysctl net.ipv4.ip_forward=0", f"{ROUTER}: sysctl net.ipv4.ip_forward=1"

    assert document(on, off)["before"] == document(off, on)["before"]
    assert [o["fate"] for o in document(off, on)["after"]] == ["reset", "works"]  # type: ignore[attr-defined]
    assert document(off, on)["after"] != document(on, off)["after"]


def test_a_parameter_that_nobody_models_is_not_known() -> None:
    unknown = document(f"{ROUTER}: sysctl -w net.ipv4.tcp_tw_reuse=1")["unknown"]

    assert unknown == [
        "what net.ipv4.tcp_tw_reuse does to packets: it is not modelled, the walk is as before"
    ]


def test_the_answer_as_text() -> None:
    result = run(CASE, "--change", HALF)

    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0] == "WHAT IF: depends"
    for heading in ("Change", "Before", "After", "Where the ways part"):
        assert heading in lines
    assert f"  {HALF}" in lines
    assert "  reset, as recorded: the client received a RST made by" in result.stdout
    assert max(len(line) for line in lines if HALF not in line) <= 100


def test_a_place_that_is_left_out_is_named_in_the_answer() -> None:
    found = document(HALF.removeprefix("host5: "))

    assert found["change"] == document(HALF)["change"]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        ([CASE], 2, "missing option '--change'"),
        ([CASE, "--change", "host1: reboot"], 2, "`reboot` is no command that can be walked (column 8)"),
        ([CASE, "--change", "host1: iptables -A FORWARD --dprot 22"], 2, "(column 28)"),
        ([CASE, "--change", "host9: iptables -F"], 4, "there is no host host9"),
        ([CASE, "--change", "host1: iptables -D FORWARD -j DROP"], 4, "no rule of FORWARD"),
        ([CASE, "--change", "iptables -t nat -F"], 4, "fits in several places"),
        ([CASE, "--change", "host5: ovs-ofctl del-flows br-int udp"], 4, "no flow of host5 br-int"),
        ([CASE, "nonsense", "--change", HALF], 2, "not a flow"),
        ([str(ROOT / "no-such-case"), "--change", HALF], 4, "no-such-case"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(argv: list[str], code: int, said: str) -> None:
    result = run(*argv)

    assert result.exit_code == code
    assert result.stdout == ""
    assert said in result.stderr
    assert [line.split(":")[0].strip() for line in result.stderr.splitlines()] == ["bothways", "hint"]
