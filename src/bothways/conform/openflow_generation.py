"""
Random pipelines from a seed: tables, groups and conjunctions of every action that the model follows.

Flows and packets come from one small world, so most packets pass several tables. In a table no two flows that
are no parts of a conjunction have the same priority: which of two wins is left open by OpenFlow.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from bothways.conform.openflow_case import BridgeRecord
from bothways.conform.openflow_draw import Draw
from bothways.conform.openflow_drawn_actions import Context, drawn_actions, drawn_bucket
from bothways.conform.openflow_drawn_match import CT_STATES, drawn_match, drawn_packet
from bothways.conform.openflow_pipeline import DrawnFlow, DrawnGroup, DrawnPacket, Pipeline
from bothways.conform.openflow_tunnels import tunnel_pipeline
from bothways.conform.openflow_wide import wide_pipeline

__all__ = ["PACKETS", "SWITCH", "fresh_pipelines"]

#: packets for each pipeline
PACKETS: Final = 40


#: pipelines whose first bridge has mirrors
_MIRRORED: Final = 0.08


def _port(number: int, **columns: Any) -> dict[str, Any]:
    return {"name": f"p{number}", "ofport": number, "type": "dummy", **columns}


#: the switch that all pipelines run in: plain ports, each VLAN mode, and a patch port to a second bridge
SWITCH: Final = (
    BridgeRecord(
        "br0",
        (
            *(_port(number) for number in (1, 2, 3, 4)),
            _port(5, tag=10),
            _port(6, tag=20),
            _port(7, trunks=[10, 20]),
            _port(8, tag=10, trunks=[10, 20], vlan_mode="native-untagged"),
            _port(9, tag=20, vlan_mode="native-tagged"),
            {"name": "to-br1", "ofport": 11, "type": "patch", "options": {"peer": "to-br0"}},
            {"name": "br0", "ofport": 65534, "type": "internal"},
        ),
        (),
    ),
    BridgeRecord(
        "br1",
        (
            # A dummy datapath takes the number out of the name: what two bridges share is a matter of luck.
            {"name": "q21", "ofport": 1, "type": "dummy"},
            {"name": "q22", "ofport": 2, "type": "dummy", "tag": 30},
            {"name": "to-br0", "ofport": 11, "type": "patch", "options": {"peer": "to-br1"}},
            {"name": "br1", "ofport": 65534, "type": "internal"},
        ),
        (
            "priority=9,in_port=11,dl_vlan=10 actions=strip_vlan,output:1",
            "priority=8,in_port=11,arp actions=NORMAL",
            "priority=7,in_port=11,reg0=0,ip,nw_ttl=1 actions=drop",
            "priority=6,in_port=11,ip,nw_src=10.0.0.0/24 actions=dec_ttl,output:1,output:2",
            "priority=5,in_port=11,udp actions=IN_PORT",
            "priority=0 actions=output:2",
        ),
    ),
)


def fresh_pipelines(seed: int) -> Iterator[tuple[Pipeline, list[DrawnPacket]]]:
    """Draw pipelines with their packets, without end, of three kinds in turn; a seed draws the same."""
    number = 0
    while True:
        draw = Draw(f"{seed}/{number}")
        pipeline = _pipeline(draw, f"{seed}/{number}")
        yield pipeline, _packets(draw, pipeline)
        yield wide_pipeline(f"{seed}/{number}/wide")
        yield tunnel_pipeline(f"{seed}/{number}/tunnels")
        number += 1


def _pipeline(draw: Draw, name: str) -> Pipeline:
    tables, groups = draw.number(3, 9), draw.number(0, 4)
    first, *others = SWITCH
    flows: list[DrawnFlow] = []
    for table in range(tables):
        flows += _table(draw, Context(table, tables, groups))
    at = Context(0, tables, 0)
    drawn = tuple(_group(draw, number, at) for number in range(1, groups + 1))
    apart = Draw(f"{name}/mirrors")  # of its own, so that the seed goes on drawing the rest as it did
    if apart.chance(_MIRRORED):
        first = replace(first, mirrors=tuple(_mirror(apart, number) for number in range(apart.number(1, 2))))
    return Pipeline(name, (first, *others), tuple(flows), drawn)


def _mirror(draw: Draw, number: int) -> dict[str, Any]:
    """A mirror of the first bridge: of all ports or of some, for a port or a VLAN."""
    row: dict[str, Any] = {"name": f"m{number}"}
    if draw.chance(0.4):
        row["select_all"] = True
    else:
        for column in ("select_src_port", "select_dst_port"):
            row[column] = sorted({f"p{draw.number(1, 9)}" for _ in range(draw.number(0, 3))})
    if draw.chance(0.3):
        row["select_vlan"] = sorted({draw.one((0, 10, 20, 30)) for _ in range(draw.number(1, 2))})
    if draw.chance(0.25):
        row["output_vlan"] = draw.vlan()
    else:
        row["output_port"] = f"p{draw.number(1, 9)}"
        if draw.chance(0.2):
            row["snaplen"] = draw.one((14, 64, 1000))
    return row


def _table(draw: Draw, at: Context) -> Iterator[DrawnFlow]:
    priority = 100
    for _ in range(draw.number(1, 6)):
        protocol, terms = drawn_match(draw, first=at.table == 0)
        yield DrawnFlow(
            at.table, priority, tuple(terms), tuple(drawn_actions(draw, _within(at, protocol, terms)))
        )
        priority -= draw.number(1, 9)
    if draw.chance(0.2):
        yield from _conjunction(draw, at, draw.number(20, 120) * 10 + 5)
    if draw.chance(0.75):
        yield DrawnFlow(at.table, 0, (), tuple(drawn_actions(draw, at)))


def _within(at: Context, protocol: str, terms: list[str]) -> Context:
    """What a match promises to the actions of its flow."""
    tagged = any(term.startswith(("dl_vlan=", "vlan_vid=0x10")) for term in terms)
    tagged = tagged or any(term == "vlan_tci=0x1000/0x1000" or term.endswith("/0x1fff") for term in terms)
    untagged = "vlan_tci=0x0000/0x1fff" in terms
    return Context(at.table, at.tables, at.groups, protocol, tagged and not untagged, at.depth)


def _conjunction(draw: Draw, at: Context, priority: int) -> Iterator[DrawnFlow]:
    """A conjunction: flows of each clause, of one priority, and the flow that it leads to."""
    identity, clauses = draw.number(1, 3), draw.number(2, 3)
    about: list[str] = []
    for clause in range(1, clauses + 1):
        alternatives: set[str] = set()
        for _ in range(draw.number(1, 3)):
            _, terms = drawn_match(draw, first=at.table == 0, without=about)
            words = [
                term for term in terms if "=" in term and not term.startswith(("nw_", "tp_", "tcp_", "icmp_"))
            ]
            words = [term for term in words if not term.startswith(("arp_", "ipv6_"))][:1]
            alternatives.add(words[0] if words else f"in_port={draw.port()}")
        for term in sorted(alternatives):
            yield DrawnFlow(at.table, priority, (term,), (f"conjunction({identity},{clause}/{clauses})",))
        about += sorted({term.partition("=")[0] for term in alternatives})
    yield DrawnFlow(at.table, priority - 1, (f"conj_id={identity}",), tuple(drawn_actions(draw, at)))


#: how buckets of a ``select`` group are chosen, where it is said
_SELECTIONS: Final = (
    "hash",
    "hash,fields(eth_src,ip_dst)",
    "hash,selection_method_param=77,fields(ip_src,ip_dst,tcp_src,tcp_dst,udp_src)",
    "hash,fields(ip_src=255.255.255.0,ip_proto,in_port,vlan_vid)",
    "dp_hash",
)


def _group(draw: Draw, number: int, at: Context) -> DrawnGroup:
    kind = draw.weighted({"all": 4, "indirect": 2, "fast_failover": 2, "select": 2})
    buckets = []
    for index in range(1 if kind == "indirect" else draw.number(1, 3)):
        words = f"bucket_id:{index},"
        if kind == "fast_failover":
            words += f"watch_port:{draw.port()},"
        if kind == "select":
            words += f"weight:{draw.one((0, 1, 10))},"
        below = Context(at.table, at.tables, number - 1)
        buckets.append((words, tuple(drawn_bucket(draw, below))))
    head = f"type={kind}"
    if kind == "select" and draw.chance(0.7):
        head += f",selection_method={draw.one(_SELECTIONS)}"
    return DrawnGroup(number, head, tuple(buckets))


def _packets(draw: Draw, pipeline: Pipeline) -> list[DrawnPacket]:
    first = [flow.match for flow in pipeline.flows if flow.table == 0]
    tracked = any("ct(" in action for flow in pipeline.flows for action in flow.actions)
    found = []
    for _ in range(PACKETS):
        states = [draw.one(CT_STATES) for _ in range(draw.number(0, 3))] if tracked else []
        found.append(DrawnPacket(tuple(drawn_packet(draw, first)), tuple(states)))
    return found
