"""``bothways show`` and ``bothways explain``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bothways.cli import main
from bothways.diagnose.causes import CAUSES

ROOT = Path(__file__).resolve().parents[3]
DUAL, INCIDENT = (str(ROOT / "examples" / name) for name in ("dual-l3", "incident"))
ROUTER = "qrouter-5a367e1d-9162-4b90-af5a-ff4655c7571f"


def run(*argv: str) -> Result:
    return CliRunner().invoke(main, list(argv), env={"COLUMNS": "80"})


def test_all_that_is_in_a_bundle() -> None:
    text = run("show", DUAL).stdout

    assert "asks about tcp 192.168.111.210 > 192.168.111.223:22" in text
    assert "4 hosts, 5 namespaces, 11 captures" in text
    assert f"namespace {ROUTER}" in text
    assert "qg-5d88ef18-33 192.168.111.222/24 192.168.111.223/32" in " ".join(text.split())
    assert "bridge br-int (netdev): 4 ports, 31 flows" in text
    assert "external: host1:eth0, host5:eth0, extgw:eth0" in text
    assert "0 lost, filter: arp or" in text
    assert f"host1/{ROUTER}: ip6tables-save\n" in text


@pytest.mark.parametrize("case", [DUAL, INCIDENT])
def test_it_reads_at_80_columns(case: str) -> None:
    text = run("show", case).stdout

    long = [line for line in text.splitlines() if len(line) > 80]
    assert [line for line in long if len(line.split()) > 1] == []


def test_poor_evidence_is_told_to_be_poor() -> None:
    text = run("show", INCIDENT).stdout

    assert "filtered view: ip addr: as its author shortened it" in text
    assert "filtered view: grep 88.4" in text
    assert "losses not known" in text
    assert "no dump was collected" in text
    assert "host1: nothing of Open vSwitch" in text
    assert "tcp_v4_send_reset and 5 above" in text
    assert "time stamps run backwards" in " ".join(text.split())


def test_one_part() -> None:
    result = run("show", INCIDENT, "captures")

    assert result.stdout.startswith("captures\n")
    assert "namespace" not in result.stdout
    assert "problem: hosts/host5/captures" in result.stderr


def test_the_list_of_files_is_asked_for() -> None:
    assert "bundle.toml\n" not in run("show", DUAL).stdout
    assert "  bundle.toml\n" in run("show", DUAL, "files").stdout


def test_what_is_no_part_is_refused() -> None:
    result = run("show", DUAL, "flowz")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "`flowz` is neither a file nor a part" in result.stderr
    assert "hosts, captures, stacks, traces, missing, problems, files" in result.stderr


def test_json_for_programs() -> None:
    document = json.loads(run("show", DUAL, "--json").stdout)

    assert document["schema"] == "bothways/show/1"
    hosts = {host["name"]: host for host in document["hosts"]}
    router = next(netns for netns in hosts["host1"]["netns"] if netns["name"] == ROUTER)
    assert router["missing"] == ["ip6tables-save"]
    conntrack = next(dump for dump in router["dumps"] if dump["command"] == "conntrack -L")
    assert (conntrack["rows"], conntrack["partial"]) == (1, None)
    assert len(document["captures"]) == 11


@pytest.mark.parametrize(("code", "name"), CAUSES)
def test_the_page_of_a_cause(code: str, name: str) -> None:
    page = (ROOT / "docs" / "causes" / f"{code}.md").read_text("utf-8")

    assert run("explain", code).stdout == page
    assert run("explain", code.lower()).stdout == page
    assert run("explain", name).stdout == page


def test_causes_are_listed() -> None:
    assert run("explain").stdout == "".join(f"{code}  {name}\n" for code, name in CAUSES)


def test_an_unknown_cause() -> None:
    result = run("explain", "BW11")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "no cause `BW11` is known" in result.stderr
    assert "did you mean `BW101`?" in result.stderr


def test_flow_tables_of_one_bridge() -> None:
    result = run(
        "show", DUAL, "flows", "--bridge", "host5:br-int", "table=100,nw_src=88.88.88.4", "n_packets<5"
    )

    assert result.exit_code == 0
    assert result.stdout.startswith("host5 br-int\n  1 of 31 flows  hosts/host5/ovs/br-int.flows.txt\n")
    assert "output:patch-ext" in result.stdout


def test_with_a_filter_only_bridges_that_have_such_a_flow_are_shown() -> None:
    assert "br-ex" not in run("show", DUAL, "flows", "table=100").stdout
    assert "br-ex" in run("show", DUAL, "flows").stdout
    assert "  0 of 31 flows" in run("show", DUAL, "flows", "--bridge", "host5:br-int", "table=99").stdout


def test_flow_tables_as_json_are_those_of_the_text() -> None:
    asked = ("show", DUAL, "flows", "--bridge", "host5:br-int", "table=100")
    (bridge,) = json.loads(run(*asked, "--json").stdout)["bridges"]
    text = run(*asked).stdout

    assert (bridge["host"], bridge["name"], bridge["total"], bridge["partial"]) == (
        "host5",
        "br-int",
        31,
        None,
    )
    assert {flow["table"] for flow in bridge["flows"]} == {100}
    assert all(f"line {flow['evidence']['line']}" in text for flow in bridge["flows"])
    assert any(each["words"] == "output:patch-ext" for flow in bridge["flows"] for each in flow["actions"])


def test_flows_that_were_not_collected_are_null_in_json(tmp_path: Path) -> None:
    shown = tmp_path / "hosts" / "h" / "ovs" / "show.txt"
    shown.parent.mkdir(parents=True)
    shown.write_text(
        "    Bridge br0\n        Port br0\n            Interface br0\n                type: internal\n"
    )
    (tmp_path / "bundle.toml").write_text('format = "bothways-bundle/1"\ntitle = "t"\n')
    (bridge,) = json.loads(run("show", str(tmp_path), "flows", "--json").stdout)["bridges"]

    assert (bridge["total"], bridge["file"], bridge["flows"]) == (None, None, [])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("flows", "--bridge", "br-none"), "no host has a bridge `br-none`\n  hint: there are host1:br-ex,"),
        (("flows", "table=x"), "`table=x`: a number was expected behind `table=`\n  hint: table=20,"),
        (("--bridge", "br-int"), "--bridge goes with `flows`\n  hint: bothways show BUNDLE flows --bridge"),
    ],
)
def test_what_cannot_be_shown_of_flows_is_said_with_what_can(argv: tuple[str, ...], said: str) -> None:
    result = run("show", DUAL, *argv)

    assert result.exit_code == 2
    assert f"bothways: {said}" in result.stderr
