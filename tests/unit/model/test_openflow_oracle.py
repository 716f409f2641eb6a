"""
The tables, held to what Open vSwitch 3.1.0 said in ``ofproto/trace``.

A passage without ``unknown`` claims to be the whole truth: then every copy must go out of the same port with
the same headers as in the switch. Where the switch did what the model does not follow (conntrack, groups,
``learn``, MPLS …) the passage must say so. Outputs are compared as a set, as a flood has no order.
"""

from __future__ import annotations

import gzip
import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from openflow_datapath import Copy, NotFollowedError, cut, interpret, looks
from openflow_samples import FILE, Asked, arrival, flow_of

from bothways.facts.dump import Dump
from bothways.facts.openflow import LOCAL, Bridge, Port
from bothways.facts.span import Span
from bothways.model.openflow.passage import Arrival
from bothways.model.openflow.pipeline import MacTable, process
from bothways.parse.ovs_appctl import parse_fdb_show

pytestmark = pytest.mark.shared

SHARED = Path(__file__).parents[4] / "shared" / "oracles" / "openflow"
Case = dict[str, Any]


class NotHeldError(Exception):
    """The case needs a fact that bothways does not hold, such as a mirror."""


@dataclass
class Tally:
    agree: int = 0
    said: int = 0
    not_held: int = 0
    wrong: tuple[str, ...] = ()

    def take(self, name: str, bridges: dict[str, Bridge], start: str, flow: str, expected: list[str]) -> None:
        try:
            given = arrival(flow)
        except ValueError:
            self.not_held += 1
            return
        copies, unknown = walk(bridges, start, given)
        try:
            truth = interpret(given.packet, expected)
        except NotFollowedError as error:
            if unknown:
                self.said += 1
            else:
                self.wrong += (f"{name}: silent about {error}",)
            return
        if unknown:
            self.said += 1
        elif copies == truth:
            self.agree += 1
        else:
            self.wrong += (f"{name}: {flow}\n  model  {copies - truth}\n  switch {truth - copies}",)


def walk(bridges: dict[str, Bridge], start: str, given: Arrival) -> tuple[Counter[Copy], tuple[str, ...]]:
    """Walk a packet through bridges and patch ports until every copy left a real port."""
    macs, oracle = MacTable(), Asked()
    for bridge in bridges.values():
        macs.seed(bridge)
    unknown: dict[str, None] = {}
    copies: Counter[Copy] = Counter()
    waiting = [(start, given)]
    for _ in range(200):
        if not waiting:
            break
        name, coming = waiting.pop(0)
        passage = process(bridges[name], coming, macs, oracle)
        unknown |= dict.fromkeys(passage.unknown)
        for output in passage.outputs:
            peer = output.port.options.get("peer")
            far = [(n, b.ports[peer]) for n, b in bridges.items() if peer is not None and peer in b.ports]
            if output.port.kind != "patch":
                copies[output.port.number or 0, looks(output.packet)] += 1
            elif far and far[0][1].number is not None:
                waiting.append((far[0][0], Arrival(far[0][1].number, output.packet)))
    return copies, (*unknown, *oracle.asked)


# -- the incident's flows ------------------------------------------------------------------------------


def dump(lines: list[str]) -> Dump[Any]:
    return Dump(tuple(flow_of(text, number) for number, text in enumerate(lines, 1)), FILE)


def plain(number: int) -> Port:
    return Port(f"p{number}", number, Span("ports", number))


def seed() -> Case:
    read: Case = json.loads((SHARED / "seed_pipeline_cases.json").read_text())
    return read


@pytest.mark.parametrize("number", range(6))
def test_the_incidents_flows_do_what_they_did_in_a_switch(number: int) -> None:
    data = seed()
    lines = data["verbatim_seed_flows"] + data["default_flows"] + data["added_classifier_flows"]
    bridge = Bridge("h", "br-int", {f"p{n}": plain(n) for n in (1, 5, 7)}, dump(lines))
    case = data["cases"][number]
    tally = Tally()
    actions = [f"of:{a}" if a.isdigit() else a for a in cut(case["expected"]["datapath_actions"])]

    tally.take(case["id"], {"br-int": bridge}, "br-int", case["expected"]["flow"], actions)

    assert tally == Tally(agree=1)


# -- whole pipelines of real deployments ---------------------------------------------------------------


@cache
def pipelines() -> Tally:
    tally = Tally()
    bridges = {}
    with gzip.open(SHARED / "pipelines.json.gz", "rt", encoding="utf-8") as file:
        for given in json.load(file):
            held = {p["name"]: Port(p["name"], p["ofport"], Span("ports")) for p in given["ports"]}
            held["br0"] = Port("br0", LOCAL, Span("ports"), kind="internal")
            bridges[given["id"]] = Bridge("h", "br0", held, dump(given["flows"]))
    with gzip.open(SHARED / "pipeline_traces.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            expected = case["expected"]
            actions = expected["of_actions"]
            one = actions if not actions or isinstance(actions[0], str) else ["recirc()"]
            tally.take(case["id"], {"br0": bridges[case["pipeline"]]}, "br0", expected["flow"], one)
    return tally


def test_real_pipelines_end_as_in_a_switch() -> None:
    tally = pipelines()

    assert tally.wrong == ()
    assert (tally.agree, tally.not_held) == (309, 0)


# -- the switch's own tests ----------------------------------------------------------------------------


def core_bridges(case: Case) -> dict[str, Bridge]:
    bridges = {}
    for name, given in case["bridges"].items():
        if given["mirrors"] or given["stp"] or given["rstp"] or given["mcast_snooping"]:
            raise NotHeldError(name)
        held = {}
        for row in given["ports"]:
            (face,) = row["interfaces"] if len(row["interfaces"]) == 1 else (None,)
            if face is None or row.get("protected") or not isinstance(face["ofport"], int):
                raise NotHeldError(row["name"])
            number = LOCAL if face["ofport"] == LOCAL & 0xFFFF else face["ofport"]
            held[row["name"]] = Port(
                row["name"],
                number,
                Span("ports"),
                kind=face["type"],
                options=face.get("options") or {},
                tag=row.get("tag") if isinstance(row.get("tag"), int) else None,
                trunks=tuple(row.get("trunks") or ()),
                vlan_mode=row.get("vlan_mode") or None,
            )
        fdb = parse_fdb_show(given["fdb"], file="fdb", ports=held)
        flows = [text.replace("reset_counts", "").strip() for text in given["flows"]]
        learned: Dump[Any] = Dump(tuple(fdb.rows), "fdb")
        bridges[name] = Bridge("h", name, held, dump(flows), learned)
    return bridges


def start_of(case: Case) -> str:
    found = re.search(r'bridge\("([^"]+)"\)', case["expected"]["stdout"])
    if found is None:
        raise NotHeldError(case["id"])
    return found[1]


@cache
def core() -> Tally:
    tally = Tally()
    with gzip.open(SHARED / "ofproto_trace_core.json.gz", "rt", encoding="utf-8") as file:
        cases = json.load(file)
    for case in cases:
        actions = case["expected"].get("datapath_actions")
        of_datapath = {port: number for number, port in re.findall(r" (\d+)/(\d+):", case["dpif"])}
        one = ["recirc()"] if not isinstance(actions, str) else cut(actions)
        named = [f"of:{of_datapath[a]}" if a in of_datapath else a for a in one]
        try:
            bridges, start = core_bridges(case), start_of(case)
        except NotHeldError:
            tally.not_held += 1
            continue
        tally.take(f"{case['id']} {case['test']}", bridges, start, case["expected"]["flow"], named)
    return tally


def test_the_switchs_own_cases_end_as_in_the_switch() -> None:
    tally = core()

    assert tally.wrong == ()
    assert (tally.agree, tally.not_held) == (316, 66)
