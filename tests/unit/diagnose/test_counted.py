"""Counters of flows beside what captures show: what they confirm, and what they may not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from bothways.bundle import Bundle, open_bundle
from bothways.diagnose.bypass import Bypass, bypass_of
from bothways.diagnose.case import Case
from bothways.diagnose.counted import counted_by, counted_there, counters_shown, too_young
from bothways.diagnose.gather import gather
from bothways.diagnose.mechanism import in_hop
from bothways.facts.openflow import Bridge, Flow

ROOT: Final = Path(__file__).resolve().parents[3]
INCIDENT: Final = open_bundle(ROOT / "examples/incident")
OUTBOUND, INBOUND = 100, 30


def counting(outbound: int | None, inbound: int | None) -> Bundle:
    """The incident, with other counters at its two translating flows."""

    def counted(flow: Flow) -> Flow:
        return replace(flow, packets={OUTBOUND: outbound, INBOUND: inbound}.get(flow.table, flow.packets))

    def read(bridge: Bridge) -> Bridge:
        flows = bridge.flows
        assert flows is not None
        return replace(bridge, flows=replace(flows, rows=tuple(map(counted, flows))))

    host = INCIDENT.snapshot.hosts["host5"]
    assert host.switch is not None
    switch = replace(host.switch, bridges={n: read(b) for n, b in host.switch.bridges.items()})
    hosts = {**INCIDENT.snapshot.hosts, "host5": replace(host, switch=switch)}
    return replace(INCIDENT, snapshot=replace(INCIDENT.snapshot, hosts=hosts))


def bypassed(bundle: Bundle) -> tuple[Case, Bypass]:
    case, _ = gather(bundle, None)
    assert case is not None
    assert case.hop is not None
    mechanism = in_hop(case.hop)
    assert mechanism is not None
    bypass = bypass_of(case, mechanism)
    assert bypass is not None
    return case, bypass


SEEN: Final = "no fewer than the 2 replies that were seen"
IDLE: Final = "while its inbound twin in table=30 counted none"


@pytest.mark.parametrize(
    ("outbound", "inbound", "words"),
    [
        (2, 0, f"that flow counted 2 packets, {SEEN}, {IDLE}"),
        (7, 0, f"that flow counted 7 packets, {SEEN}, {IDLE}"),
        (2, 5, f"that flow counted 2 packets, {SEEN}"),
        (2, None, f"that flow counted 2 packets, {SEEN}"),
        (1, 5, "that flow counted 1 packet"),
        (0, 0, ""),
        (None, 0, ""),
    ],
)
def test_counters_are_told_as_far_as_they_confirm(
    outbound: int | None, inbound: int | None, words: str
) -> None:
    case, bypass = bypassed(counting(outbound, inbound))

    assert counted_by(case, bypass).removeprefix("; ") == words
    shown = [span.line for span in counters_shown(case, bypass)]
    assert shown == ([2] if "twin" in words else [])


@pytest.mark.parametrize(("age", "late"), [(500.0, False), (518.0, False), (530.0, True)])
def test_a_flow_that_is_younger_than_the_packet_cannot_have_acted(age: float, *, late: bool) -> None:
    case, bypass = bypassed(INCIDENT)
    (at,) = bypass.flows
    read = replace(at, flow=replace(at.flow, span=replace(at.flow.span, read_at=1000.0 + age)))
    aged = replace(case, ages=replace(case.ages, packet_s=1000.0))

    assert bool(too_young(aged, (read,))) is late
    assert too_young(case, bypass.flows) == ()


@pytest.mark.parametrize(("packets", "words"), [(3, "; that flow counted 3 packets"), (0, ""), (None, "")])
def test_the_flow_that_led_a_request_round_is_told_with_its_counter(packets: int | None, words: str) -> None:
    case, bypass = bypassed(INCIDENT)
    (at,) = bypass.flows

    assert counted_there(case, (replace(at, flow=replace(at.flow, packets=packets)),)) == words
    assert counted_there(case, (at, at)) == ""
