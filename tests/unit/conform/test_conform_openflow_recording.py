"""The three forms of recorded traces, and what is said of files that are none."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from bothways.conform.openflow_recording import TraceFileError, read_traces
from bothways.conform.openflow_replay import replay_traces

FLOW = "tcp,in_port=1,vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_src=0.0.0.0"
ARGS = ["--ct-next", "trk,est", "br0", "in_port=1,tcp"]
PORTS = [{"name": "p1", "ofport": 1, "type": "dummy"}, {"name": "p2", "ofport": 2, "type": "dummy"}]
PIPELINE = {
    "id": "pipe#1",
    "ports": PORTS,
    "flows": ["table=0,ip actions=output:2"],
    "groups": [],
    "dp_to_ofport": {"8": 2},
}


def expected(actions: str) -> dict[str, Any]:
    return {
        "rc": 0,
        "flow": FLOW,
        "final_flow": "unchanged",
        "datapath_actions": actions,
        "tables": ["0. ip, priority 32768"],
        "stdout": f'Flow: {FLOW}\n\nbridge("br0")\n',
    }


def case(actions: str = "7") -> dict[str, Any]:
    """One case; datapath port 7 is OpenFlow port 2."""
    return {
        "id": "case/1",
        "test": "a test",
        "args": ARGS,
        "bridges": {
            "br0": {
                "ports": [{"name": p["name"], "interfaces": [p]} for p in PORTS],
                "flows": ["reset_counts ip actions=output:2"],
                "groups": [],
                "mirrors": 0,
            }
        },
        "dpif": "dummy@ovs-dummy: hit:0 missed:0\n  br0:\n    p1 1/6: (dummy)\n    p2 2/7: (dummy)\n",
        "expected": expected(actions),
    }


def trace(actions: str = "8") -> dict[str, Any]:
    return {"id": "pipe#1/0", "pipeline": "pipe#1", "args": ["br0", "x"], "expected": expected(actions)}


def seed() -> dict[str, Any]:
    return {
        "first_flows": ["in_port=1,ip actions=goto_table:3"],
        "other_flows": ["table=3 actions=output:2"],
        "cases": [
            {
                "id": "one",
                "args": ["br-int", "in_port=1,tcp"],
                "expected": expected("2")
                | {"tables": ["0. ip,in_port=1, priority 32768", "3. priority 32768"], "stdout": ""},
            }
        ],
    }


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.json", json.dumps([case(), case()])),
        ("list.gz", json.dumps([case(), case()])),
        ("lines", json.dumps(case()) + "\n\n" + json.dumps(case()) + "\n"),
    ],
)
def test_cases_are_known_by_what_they_hold(tmp_path: Path, name: str, text: str) -> None:
    cases = list(read_traces(written(tmp_path, name, text)))

    assert [(each.start, each.ct_next, len(each.told)) for each in cases] == [("br0", ("trk,est",), 1)] * 2
    assert cases[0].setting is cases[1].setting
    outcome = replay_traces(cases)
    assert (outcome.cases, outcome.checks, outcome.agree) == (2, 6, 2)


@pytest.mark.parametrize("given", ["pipelines.json.gz", "traces.jsonl"])
def test_either_half_of_pipelines_finds_the_other(tmp_path: Path, given: str) -> None:
    written(tmp_path, "a-note.json", '"no trace"')
    written(tmp_path, "pipelines.json.gz", json.dumps([PIPELINE]))
    written(tmp_path, "traces.jsonl", json.dumps(trace()) + "\n" + json.dumps(trace("1")) + "\n")

    outcome = replay_traces(read_traces(tmp_path / given))

    assert (outcome.cases, outcome.agree, outcome.disagreements) == (2, 1, 1)
    assert outcome.first[0].case.place.endswith("traces.jsonl:2")


def test_pipelines_that_are_named(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    pipelines = written(elsewhere, "p.json", json.dumps([PIPELINE]))
    traces = written(tmp_path, "t.jsonl", json.dumps(trace()))

    assert replay_traces(read_traces(traces, pipelines)).agree == 1


def test_one_pipeline_with_its_cases(tmp_path: Path) -> None:
    path = written(tmp_path, "seed.json", json.dumps(seed()))

    outcome = replay_traces(read_traces(path))

    assert (outcome.agree, outcome.cases) == (1, 1)


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "x.json: the file is empty", "ofproto/trace"),
        ("{", "x.json:1: no JSON", "JSON is expected"),
        ('{"a": 1}\n7\n', "x.json:2: no object", "one JSON object"),
        ("[7]", "element 0 is no object", "JSON objects"),
        ('{"segments": []}', "its first object has segments", "expected cases"),
        (
            json.dumps([case() | {"args": 7}]),
            "x.json: case 0: no case that can be read",
            "a case is expected",
        ),
        (json.dumps([{"bridges": {"b": {}}}]), "`ports` is missing", "a case is expected"),
        (json.dumps(trace()), "no file beside them holds their pipelines", "--pipelines"),
        (json.dumps([PIPELINE]), "no file beside them holds their traces", "the traces"),
        (json.dumps([case() | {"expected": {}}]), "`expected` has no `final_flow`", "a case"),
        (
            json.dumps([case() | {"expected": expected("7") | {"datapath_actions": ["1", "2"]}}]),
            "1 final flows, but 2 lists",
            "a case",
        ),
    ],
)
def test_a_file_that_holds_no_traces_is_told_with_its_place(
    tmp_path: Path, text: str, said: str, hint: str
) -> None:
    path = written(tmp_path, "x.json", text)

    with pytest.raises(TraceFileError) as told:
        list(read_traces(path))

    assert str(told.value).startswith(str(path))
    assert said in str(told.value)
    assert hint in told.value.hint


def test_a_damaged_archive_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(json.dumps([case()]).encode())[:-9])

    with pytest.raises(TraceFileError, match="damaged"):
        list(read_traces(path))


def test_a_switch_that_refused_the_packet_is_unknown_and_no_agreement(tmp_path: Path) -> None:
    path = written(tmp_path, "x.json", json.dumps([case() | {"expected": {"rc": 2, "stderr": "no"}}]))

    outcome = replay_traces(read_traces(path))

    assert (outcome.agree, outcome.unknown) == (0, 1)


def test_a_bridge_with_a_mirror_is_unknown(tmp_path: Path) -> None:
    mirrored = case()
    mirrored["bridges"]["br0"]["mirrors"] = 1
    path = written(tmp_path, "x.json", json.dumps([mirrored]))

    outcome = replay_traces(read_traces(path))

    assert (outcome.unknown, list(outcome.reasons)) == (1, ["not in the model: br0: mirrors"])


@pytest.mark.parametrize(
    "port",
    [
        "p3",
        {"name": "p3", "options": "remote_ip=flow"},
        {"name": "p3", "trunks": ["x"]},
        {"name": "p3", "config": {"a": 1}},
        {"name": 3},
    ],
)
def test_a_port_that_is_none_is_told_with_its_place(tmp_path: Path, port: object) -> None:
    damaged = case()
    damaged["bridges"]["br0"]["ports"].append({"name": "p3", "interfaces": [port]})
    cases = written(tmp_path, "x.json", json.dumps([damaged]))
    with pytest.raises(TraceFileError, match=r"x\.json"):
        list(read_traces(cases))


@pytest.mark.parametrize(
    "actions", ["push_vlan(vid=x,pcp=0),7", "set(eth(src=fa:16)9)),7", "set(ipv4(src=:)),7"]
)
def test_datapath_actions_that_cannot_be_read_make_a_case_unknown(tmp_path: Path, actions: str) -> None:
    outcome = replay_traces(read_traces(written(tmp_path, "x.json", json.dumps([case(actions)]))))
    assert (outcome.disagreements, outcome.unknown) == (0, 1)
