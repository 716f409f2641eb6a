"""Mirrors on a connection's way: their copies are walked, and change nothing for the connection."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bothways.bundle import open_bundle
from bothways.facts.openflow import Mirror, Port
from bothways.facts.prediction import Prediction
from bothways.facts.question import Question
from bothways.facts.snapshot import Snapshot
from bothways.facts.span import Span
from bothways.facts.step import Did, Step
from bothways.model.world import predict

EXAMPLE = Path(__file__).parents[3] / "examples" / "neutron-l3-only"
SPAN = Span("hosts/host5/ovs/ovsdb.jsonl", 4, text="a mirror")


@cache
def site() -> tuple[Snapshot, Question]:
    bundle = open_bundle(EXAMPLE)
    assert bundle.question is not None
    return bundle.snapshot, bundle.question


def mirrored(output: str, *more: Port) -> Prediction:
    """What becomes of the example's connection if host5 copies all of br-int to a port."""
    snapshot, question = site()
    host = snapshot.hosts["host5"]
    assert host.switch is not None
    bridge = host.switch.bridges["br-int"]
    ports = {**bridge.ports, **{port.name: port for port in more}}
    mirror = Mirror("m0", SPAN, select_all=True, output=output)
    bridges = {**host.switch.bridges, "br-int": replace(bridge, ports=ports, mirrors=(mirror,))}
    host = replace(host, switch=replace(host.switch, bridges=bridges))
    return predict(replace(snapshot, hosts={**snapshot.hosts, "host5": host}), question)


def steps(prediction: Prediction) -> list[Step]:
    return [
        step
        for walk in prediction.walks
        for journey in walk.journeys
        for branch in journey.branches
        for step in branch.steps
    ]


@pytest.mark.parametrize(
    ("output", "more", "ends"),
    [
        ("br-int", (), Did.DROPPED),  # the host's own device, for which the frame is not
        ("span0", (Port("span0", 77, SPAN),), Did.SENT),  # nobody knows where it leads
        ("span1", (Port("span1", 78, SPAN, kind="gre", options={"remote_ip": "192.0.2.9"}),), Did.SENT),
    ],
)
def test_copies_of_a_mirror_are_walked_and_change_nothing(
    output: str, more: tuple[Port, ...], ends: Did
) -> None:
    snapshot, question = site()
    without, prediction = predict(snapshot, question), mirrored(output, *more)
    said = [step for step in steps(prediction) if step.reason.startswith("mirror m0 copies what ")]

    assert {str(walk.fate) for walk in prediction.walks} == {str(walk.fate) for walk in without.walks}
    assert [walk.unknown for walk in prediction.walks] == [walk.unknown for walk in without.walks]
    assert said
    assert all(step.did is Did.COPIED and step.evidence == (SPAN,) for step in said)
    if ends is Did.SENT:
        left = [step for step in steps(prediction) if "leaves the evidence" in step.reason]
        assert len(left) >= len(said)
