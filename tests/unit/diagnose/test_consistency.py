"""Counters of flows that contradict what captures show, and those that only seem to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from bothways.bundle import open_bundle
from bothways.diagnose.consistency import contradictions
from bothways.diagnose.gather import gather
from bothways.facts.dump import Dump
from bothways.parse.openflow import parse_flows

ROOT: Final = Path(__file__).resolve().parents[3]
INCIDENT: Final = open_bundle(ROOT / "examples/incident")
WAY: Final = (
    "table=0, n_packets=9, priority=1,in_port=7 actions=goto_table:40",
    "table=50, n_packets=9, priority=0 actions=goto_table:100",
)
PASSED: Final = "table=40, n_packets={}, priority=36001,ip,nw_src=88.88.88.4 actions=goto_table:50"
OTHER: Final = "table=40, n_packets=9, priority={},in_port=7 actions=goto_table:50"


def said(*extra: str, partial: str | None = None, packets: int = 0, passed: str = PASSED) -> list[str]:
    """Problems of the incident, whose flows are these as well."""
    host = INCIDENT.snapshot.hosts["host5"]
    assert host.switch is not None
    bridge = host.switch.bridges["br-int"]
    added = parse_flows("\n".join((*WAY, passed.format(packets), *extra)), file="f").rows
    rows = (*(flow for flow in bridge.flows or () if flow.table != 40), *added)
    flows = Dump(rows, "f", partial=partial)
    switch = replace(host.switch, bridges={"br-int": replace(bridge, flows=flows)})
    hosts = {**INCIDENT.snapshot.hosts, "host5": replace(host, switch=switch)}
    snapshot = replace(INCIDENT.snapshot, hosts=hosts)
    case, _ = gather(INCIDENT, None)
    assert case is not None
    assert case.story is not None
    return [problem.message for problem in contradictions(snapshot, case.story.connection)]


def test_a_flow_that_the_reply_has_to_pass_counted_nothing() -> None:
    (message,) = said()

    assert "table=40 counts 0 packets where table=100 counts 2 of the same" in message
    assert "filtered view" not in message


@pytest.mark.parametrize(
    ("extra", "partial", "packets"),
    [
        ((), None, 1),
        ((OTHER.format(36001),), None, 0),
        ((OTHER.format(60000),), None, 0),
        (("table=0, n_packets=9, priority=9 actions=goto_table:100",), None, 0),
    ],
    ids=("it counted", "one of its priority", "one before it", "a way round it"),
)
def test_where_another_flow_may_have_taken_it_nothing_is_said(
    extra: tuple[str, ...], partial: str | None, packets: int
) -> None:
    assert said(*extra, partial=partial, packets=packets) == []


def test_a_flow_that_asks_for_what_captures_do_not_show_may_not_match() -> None:
    assert said(passed=PASSED.replace("priority=36001", "priority=36001,in_port=7")) == []


def test_of_a_filtered_view_it_is_said_with_a_reserve() -> None:
    case, _ = gather(INCIDENT, None)
    assert case is not None
    assert case.story is not None

    (problem,) = contradictions(INCIDENT.snapshot, case.story.connection)
    assert "table=40 counts 0 packets where table=100 counts 2 of the same" in problem.message
    assert "unless a flow that this filtered view hides took them" in problem.message
