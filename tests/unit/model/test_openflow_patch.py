"""Patch ports: how deep a way is goes along, and what fails behind one takes nothing back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from openflow_samples import Asked, arrival, bridge, ports, sent

from bothways.facts.openflow import Bridge, Port
from bothways.facts.span import Span
from bothways.facts.step import Did
from bothways.model.openflow.here import Here
from bothways.model.openflow.passage import Passage
from bothways.model.openflow.pipeline import MacTable, process

SPAN = Span("ports")
TCP = "in_port=1,tcp,nw_src=10.0.0.1,nw_dst=10.0.0.2"
NEAR = ports(1, 2, Port("to-far", 9, SPAN, kind="patch", options={"peer": "to-near"}))
FAR = ports(3, Port("to-near", 9, SPAN, kind="patch", options={"peer": "to-far"}))


def passed(given: Bridge, depth: int = 0) -> Passage:
    return process(given, replace(arrival(TCP), depth=depth), MacTable(), Asked())


@pytest.mark.parametrize(
    ("flows", "depth"),
    [
        ("actions=output:9", 1),
        ("actions=resubmit(,1)\ntable=1 actions=output:9", 1),
        ("in_port=1 actions=resubmit(2,0)\nin_port=2 actions=output:9", 2),
        ("actions=goto_table:3\ntable=3 actions=output:9", 1),
    ],
)
def test_the_depth_of_a_way_goes_along(flows: str, depth: int) -> None:
    (output,) = passed(bridge(flows, NEAR)).outputs

    assert output.port.name == "to-far"
    assert output.through_patch(9).depth == depth


@pytest.mark.parametrize(("depth", "out"), [(0, ["p2"]), (64, ["p2"]), (65, [])])
def test_a_way_that_is_too_deep_ends(depth: int, out: list[str]) -> None:
    passage = passed(bridge("actions=output:2", NEAR), depth)

    assert sent(passage) == out
    if not out:
        assert passage.steps[-1].did is Did.DROPPED
        assert "tables are entered again and again" in passage.steps[-1].reason


def test_what_fails_behind_a_patch_port_has_sent_what_it_has_sent() -> None:
    looping = bridge("actions=output:2,resubmit(,0)", NEAR)

    assert sent(passed(looping)) == []
    assert sent(passed(looping, depth=62)) == ["p2"] * 3


def test_a_translation_that_follows_patch_ports_goes_on_behind_them() -> None:
    near = bridge("actions=load:7->NXM_NX_REG0[],output:9,output:2", NEAR)
    far = bridge("priority=1 actions=output:3\nreg0=7 actions=drop", FAR, name="br1")
    passage = process(
        near,
        arrival(TCP),
        MacTable(),
        Asked(),
        traced=lambda _bridge, _port: Here.of(far, FAR["to-near"], None),
    )

    assert [(output.bridge, output.port.name) for output in passage.outputs] == [("br1", "p3"), ("br0", "p2")]
    assert [(name, table) for name, table, _ in passage.visited] == [("br0", 0), ("br1", 0)]


def test_a_patch_port_without_another_end_sends_nothing() -> None:
    passage = process(
        bridge("actions=output:9", NEAR),
        arrival(TCP),
        MacTable(),
        Asked(),
        traced=lambda _bridge, _port: None,
    )

    assert passage.outputs == ()
    assert "to-far of br0 has no other end" in passage.steps[-1].reason
