"""
Random pipelines of what is rarer, beside those of ``openflow_generation``.

They have draws of their own, so a seed goes on drawing there what it drew. Their switch has other ports too:
protected ones, one that no flood reaches, tunnels of VLANs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from bothways.conform.openflow_case import BridgeRecord
from bothways.conform.openflow_draw import Draw
from bothways.conform.openflow_drawn_match import CT_STATES, drawn_packet
from bothways.conform.openflow_pipeline import DrawnFlow, DrawnGroup, DrawnPacket, Pipeline
from bothways.conform.openflow_wide_actions import OF_GROUPS, wide_actions, wide_list
from bothways.conform.openflow_wide_match import STATES, wide_match
from bothways.conform.openflow_wide_writes import At

__all__ = ["wide_pipeline"]

_PACKETS: Final = 40


def _port(number: int, **columns: Any) -> dict[str, Any]:
    return {"name": f"w{number}", "ofport": number, "type": "dummy", **columns}


_BRIDGE: Final = BridgeRecord(
    "br0",
    (
        _port(1),
        _port(2, protected=True),
        _port(3, protected=True, tag=10),
        _port(4, config=["NO_FLOOD"]),
        _port(5, tag=10),
        _port(6, tag=20, vlan_mode="dot1q-tunnel", cvlans=[10, 30]),
        _port(7, tag=30, vlan_mode="dot1q-tunnel"),
        _port(8, trunks=[10, 20, 30], other_config={"priority-tags": "if-nonzero"}),
        _port(9, tag=20, vlan_mode="native-untagged", other_config={"priority-tags": "always"}),
        {"name": "to-br1", "ofport": 11, "type": "patch", "options": {"peer": "to-br0"}},
        {"name": "br0", "ofport": 65534, "type": "internal"},
    ),
    (),
)
_BEHIND: Final = BridgeRecord(
    "br1",
    (
        {"name": "v21", "ofport": 1, "type": "dummy", "tag": 10},
        {"name": "v22", "ofport": 2, "type": "dummy"},
        {"name": "to-br0", "ofport": 11, "type": "patch", "options": {"peer": "to-br1"}},
        {"name": "br1", "ofport": 65534, "type": "internal"},
    ),
    (
        "priority=9,in_port=11,ip,nw_ttl=2 actions=dec_ttl,resubmit(,1)",
        "priority=8,in_port=11,ct_state=+trk actions=ct_clear,IN_PORT",
        "priority=7,in_port=11,tun_id=1 actions=output:2",
        "priority=0 actions=NORMAL",
        "table=1,priority=5,reg0=0 actions=load:0x5->NXM_NX_REG5[],output:1,IN_PORT",
    ),
)


def wide_pipeline(name: str) -> tuple[Pipeline, list[DrawnPacket]]:
    """Draw one pipeline with its packets; the same name draws the same."""
    draw = Draw(name)
    tables, groups = draw.number(4, 12), draw.number(0, 6)
    flows: list[DrawnFlow] = []
    for table in range(tables):
        flows += _table(draw, At(table, tables, groups))
    made = tuple(_group(draw, number, tables) for number in range(1, groups + 1))
    pipeline = Pipeline(name, (_BRIDGE, _BEHIND), tuple(flows), made)
    first = [tuple(term for term in flow.match if term != "nd") for flow in flows if flow.table == 0]
    # Of two branches a trace follows both, and the second of them takes states that no packet gets.
    most = 2 if any("check_pkt_larger" in action for flow in flows for action in flow.actions) else 6
    packets = []
    for _ in range(_PACKETS):
        states = [
            draw.one((*CT_STATES, "trk,est,snat", "trk,est,rpl,dnat")) for _ in range(draw.number(1, most))
        ]
        packets.append(DrawnPacket(tuple(_packet(draw, first)), tuple(states)))
    return pipeline, packets


def _packet(draw: Draw, first: Sequence[Sequence[str]]) -> list[str]:
    terms = drawn_packet(draw, first)
    if terms[0] == "icmp6" and draw.chance(0.6):
        kind = draw.one(("135", "136"))
        kept = [term for term in terms if not term.startswith(("icmpv6_", "nw_frag"))]
        option = "nd_sll" if kind == "135" else "nd_tll"
        return [
            *kept,
            f"icmpv6_type={kind}",
            "icmpv6_code=0",
            f"nd_target={draw.six()}",
            f"{option}={draw.mac()}",
        ]
    if draw.chance(0.1):
        terms = [term for term in terms if not term.startswith("in_port=")] + ["in_port=LOCAL"]
    return terms


def _table(draw: Draw, at: At) -> Iterator[DrawnFlow]:
    priority = 1000
    for _ in range(draw.number(1, 7)):
        protocol, terms = wide_match(draw, first=at.table == 0)
        tracked = any(term.startswith("ct_state=") and "-trk" not in term for term in terms)
        inside = At(
            at.table,
            at.tables,
            at.groups,
            protocol,
            tracked=tracked,
            invalid=any("+inv" in term for term in terms),
        )
        yield DrawnFlow(at.table, priority, tuple(terms), tuple(wide_actions(draw, inside)))
        priority -= draw.number(1, 9)
    if draw.chance(0.25):
        yield from _conjunctions(draw, at, draw.number(20, 120) * 10 + 5)
    if draw.chance(0.8):
        yield DrawnFlow(at.table, 0, (), tuple(wide_actions(draw, at)))


def _conjunctions(draw: Draw, at: At, priority: int) -> Iterator[DrawnFlow]:
    """Two conjunctions of three or four clauses that share flows."""
    clauses = draw.number(3, 4)
    kinds: list[Callable[[], str]] = [
        lambda: f"in_port={draw.port()}",
        lambda: f"dl_src={draw.mac()}",
        lambda: f"nw_src={draw.four_masked()}",
        lambda: f"nw_dst={draw.four_masked()}",
        lambda: f"tun_id={draw.small(1)}",
        lambda: f"reg4={draw.small(1)}",
        lambda: f"ct_state={draw.one(STATES)}",
    ]
    chosen = draw.random.sample(kinds, clauses)
    for clause, make in enumerate(chosen, 1):
        for term in sorted({make() for _ in range(draw.number(2, 4))}):
            words = [f"conjunction({identity},{clause}/{clauses})" for identity in (7, 8) if draw.chance(0.8)]
            if words:
                yield DrawnFlow(at.table, priority, ("ip", term), tuple(words))
    for identity in (7, 8):
        inside = At(at.table, at.tables, at.groups, "ip")
        yield DrawnFlow(
            at.table, priority - 1, ("ip", f"conj_id={identity}"), tuple(wide_actions(draw, inside))
        )


def _group(draw: Draw, number: int, tables: int) -> DrawnGroup:
    kind = draw.weighted({"all": 4, "indirect": 3, "fast_failover": 3, "select": 3})
    at = At(draw.number(tables - OF_GROUPS - 1, tables - 1), tables, number - 1, "", 1)
    buckets = []
    for index in range(1 if kind == "indirect" else draw.number(1, 4)):
        words = f"bucket_id:{index},"
        if kind == "fast_failover":
            group = draw.chance(0.3) and number > 1
            words += f"watch_group:{draw.number(1, number - 1)}," if group else f"watch_port:{draw.port()},"
        if kind == "select":
            words += f"weight:{draw.one((0, 1, 7, 100))},"
        actions = [text for text in wide_list(draw, at, draw.number(1, 5)) if "learn(" not in text]
        buckets.append((words, tuple(actions) or ("drop",)))
    head = f"type={kind}"
    if kind == "select":
        head += draw.one(
            ("", ",selection_method=dp_hash", ",selection_method=hash,fields(ip_src,tcp_dst,metadata,reg4)")
        )
    return DrawnGroup(number, head, tuple(buckets))
