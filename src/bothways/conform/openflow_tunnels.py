"""
Random pipelines around tunnels: keys, other ends and options that flows read, write and send.

The private switch has its own routes, so it pushes the outer headers itself (``tnl_push``) and they go out of
a second bridge, the underlay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from bothways.conform.openflow_case import BridgeRecord
from bothways.conform.openflow_draw import Draw
from bothways.conform.openflow_pipeline import DrawnFlow, DrawnGroup, DrawnPacket, Pipeline
from bothways.conform.openflow_wide_writes import At

__all__ = ["tunnel_pipeline"]

_PACKETS: Final = 40
_FAR: Final = ("172.31.0.2", "172.31.0.3", "172.31.0.4")
_HERE: Final = "172.31.0.1"
_UNDERLAY: Final = BridgeRecord(
    "under",
    (
        {"name": "u1", "ofport": 1, "type": "dummy"},
        {"name": "under", "ofport": 65534, "type": "internal"},
    ),
    ("priority=54321 actions=output:1",),
    address=f"{_HERE}/16",
    neighbours=_FAR,
)
_FLOW: Final[Mapping[str, str]] = {"remote_ip": "flow", "key": "flow"}


def _tunnel(number: int, kind: str, options: Mapping[str, str] = _FLOW) -> dict[str, Any]:
    return {"name": f"t{number}", "ofport": number, "type": kind, "options": dict(options)}


_BRIDGE: Final = BridgeRecord(
    "brt",
    (
        {"name": "p1", "ofport": 1, "type": "dummy"},
        {"name": "p2", "ofport": 2, "type": "dummy"},
        {"name": "p3", "ofport": 3, "type": "dummy", "tag": 10},
        _tunnel(4, "geneve"),
        _tunnel(5, "vxlan"),
        _tunnel(6, "geneve", {"remote_ip": _FAR[0], "key": "7"}),
        _tunnel(7, "gre"),
        _tunnel(8, "vxlan", {"remote_ip": _FAR[1], "key": "flow"}),
        _tunnel(9, "geneve", {"remote_ip": _FAR[2], "in_key": "flow", "out_key": "9"}),
        {"name": "brt", "ofport": 65534, "type": "internal"},
    ),
    (),
    tlv_map="0x102 0x80 4 tun_metadata0\n0xffff 0x1 8 tun_metadata1\n0xffff 0x82 16 tun_metadata5\n",
)
_PORTS: Final = (1, 2, 3, 4, 5, 6, 7, 8, 9)
_OPTIONS: Final[Mapping[str, int]] = {"tun_metadata0": 32, "tun_metadata1": 64, "tun_metadata5": 128}

Make = Callable[[Draw], str]


def _option(draw: Draw) -> tuple[str, int]:
    name = draw.one(tuple(_OPTIONS))
    return name, _OPTIONS[name]


def _slice(draw: Draw, width: int, bits: int) -> str:
    low = draw.one((0, 16, width - bits))
    return f"[{low}..{low + bits - 1}]"


def _matched_option(draw: Draw) -> str:
    name, width = _option(draw)
    shift = draw.one((0, 16, width - 3))
    if draw.chance(0.5):
        return f"{name}={draw.small():#x}"
    return f"{name}={draw.part(3, shift)}"


def _set_option(draw: Draw) -> str:
    name, width = _option(draw)
    value = draw.part(3, draw.one((0, 16, width - 3))) if draw.chance(0.5) else f"{draw.small():#x}"
    return f"set_field:{value}->{name}"


def _moved_option(draw: Draw) -> str:
    name, width = _option(draw)
    bits = draw.one((3, 15, 16))
    inside = f"{name}{_slice(draw, width, bits)}"
    other = draw.one(("reg0", "reg1", "metadata", "tun_id", "tun_metadata0", "tun_metadata1"))
    beside = f"{other}{_slice(draw, 32 if other != 'tun_metadata1' else 64, bits)}"
    return f"move:{inside}->{beside}" if draw.chance(0.5) else f"move:{beside}->{inside}"


def _stacked(draw: Draw) -> str:
    name, width = _option(draw)
    other = draw.one(("reg0[]", "tun_id[0..15]", "reg1[3..9]"))
    inside = f"{name}{_slice(draw, width, 16)}"
    return f"push:{inside},pop:{other}" if draw.chance(0.5) else f"push:{other},pop:{inside}"


_TERMS: Final[Mapping[Make, int]] = {
    lambda d: f"in_port={d.one(_PORTS)}": 5,
    lambda d: f"tun_id={d.masked(4)}": 4,
    lambda d: f"tun_src={d.one((*_FAR, '172.31.0.0/255.255.255.254'))}": 2,
    lambda d: f"tun_dst={d.one((_HERE, *_FAR))}": 1,
    _matched_option: 8,
    lambda d: f"reg{d.small(1)}={d.masked()}": 3,
    lambda d: f"metadata={d.masked()}": 1,
    lambda d: f"dl_dst={d.mac()}": 1,
    lambda d: f"ct_state={d.one(('+trk', '-trk'))}": 1,
}
_WRITES: Final[Mapping[Make, int]] = {
    lambda d: f"set_field:{d.one(_FAR)}->tun_dst": 6,
    lambda d: f"set_field:{d.one((0, 5, 7, 77, 0x1000005, 1 << 33))}->tun_id": 4,
    lambda d: f"load:{d.small(3)}->NXM_NX_TUN_ID[{d.one(('0..23', '8..10', '40..42'))}]": 1,
    lambda _: "move:NXM_NX_TUN_IPV4_SRC[]->NXM_NX_TUN_IPV4_DST[]": 1,
    _set_option: 7,
    _moved_option: 6,
    _stacked: 1,
    lambda d: f"set_field:{d.masked()}->reg{d.small(1)}": 2,
    lambda d: f"set_field:{d.mac()}->eth_src": 1,
    lambda _: "push_vlan:0x8100": 1,
    lambda _: "push_vlan:0x8100,pop_vlan": 1,
}
_OUTPUTS: Final[Mapping[Make, int]] = {
    lambda d: f"output:{d.one(_PORTS)}": 12,
    lambda d: f"output:{d.one((4, 4, 5, 7))}": 12,
    lambda d: d.one(("LOCAL", "IN_PORT", "FLOOD", "NORMAL", "ALL")): 2,
    lambda d: f"output:NXM_NX_REG{d.small(1)}[0..3]": 1,
}


def _further(draw: Draw, at: At) -> int:
    return draw.number(at.table + 1, at.tables - 1)


def _leads_on(at: At) -> bool:
    return at.table + 1 < at.tables


def _is_ip(at: At) -> bool:
    return at.protocol in ("ip", "ipv6")


def _cloned(draw: Draw, _at: At) -> str:
    return f"clone({draw.weighted(_WRITES)(draw)},{draw.weighted(_OUTPUTS)(draw)})"


#: how often, where it may stand, and how it is written
_ACTIONS: Final[Sequence[tuple[int, Callable[[At], bool], Callable[[Draw, At], str]]]] = (
    (10, lambda _: True, lambda d, _: d.weighted(_WRITES)(d)),
    (5, lambda _: True, lambda d, _: d.weighted(_OUTPUTS)(d)),
    (3, _leads_on, lambda d, at: f"resubmit(,{_further(d, at)})"),
    (1, lambda _: True, _cloned),
    (1, lambda at: at.groups > 0, lambda d, at: f"group:{d.number(1, at.groups)}"),
    (1, lambda at: _is_ip(at) and _leads_on(at),
     lambda d, at: f"ct({d.one(('', 'commit,'))}table={_further(d, at)})"),
    (1, _is_ip, lambda _d, _: "dec_ttl"),
)  # fmt: skip


def tunnel_pipeline(name: str) -> tuple[Pipeline, list[DrawnPacket]]:
    """Draw one pipeline with its packets; the same name draws the same."""
    draw = Draw(name)
    tables, groups = draw.number(2, 6), draw.number(0, 2)
    flows: list[DrawnFlow] = []
    for table in range(tables):
        flows += _table(draw, table, tables, groups)
    made = tuple(_group(draw, number) for number in range(1, groups + 1))
    pipeline = Pipeline(name, (_BRIDGE, _UNDERLAY), tuple(flows), made)
    return pipeline, [_packet(draw) for _ in range(_PACKETS)]


def _table(draw: Draw, table: int, tables: int, groups: int) -> Iterator[DrawnFlow]:
    priority = 1000
    for _ in range(draw.number(1, 6)):
        protocol = draw.one(("", "", "ip", "arp", "ipv6"))
        terms = {text.partition("=")[0]: text for text in (draw.weighted(_TERMS)(draw) for _ in range(2))}
        if draw.chance(0.5):
            terms.popitem()
        match = (*((protocol,) if protocol else ()), *terms.values())
        yield DrawnFlow(table, priority, match, tuple(_actions(draw, At(table, tables, groups, protocol))))
        priority -= draw.number(1, 9)
    if draw.chance(0.8):
        yield DrawnFlow(table, 0, (), tuple(_actions(draw, At(table, tables, groups))))


def _actions(draw: Draw, at: At) -> list[str]:
    """Actions, then instructions in the order that OpenFlow wants."""
    offered = {make: weight for weight, fits, make in _ACTIONS if fits(at)}
    actions = [draw.weighted(offered)(draw, at) for _ in range(draw.weighted({1: 2, 2: 3, 4: 3, 6: 2}))]
    if draw.chance(0.1):  # not into a tunnel: 3.1.0 would put a packet into a tunnel within a tunnel
        actions.append(f"write_actions({_set_option(draw)},output:{draw.one((1, 2, 3))})")
    if _leads_on(at) and draw.chance(0.5):
        actions.append(f"goto_table:{_further(draw, at)}")
    return actions


def _group(draw: Draw, number: int) -> DrawnGroup:
    buckets = [
        (f"bucket_id:{index},", (draw.weighted(_WRITES)(draw), draw.weighted(_OUTPUTS)(draw)))
        for index in range(draw.number(1, 3))
    ]
    return DrawnGroup(number, "type=all", tuple(buckets))


def _packet(draw: Draw) -> DrawnPacket:
    terms = [draw.one(("tcp", "udp", "arp", "tcp6", "icmp"))]
    port = draw.one(_PORTS)
    terms += [f"in_port={port}", f"dl_src={draw.mac()}", f"dl_dst={draw.mac(group=True)}"]
    if terms[0] in ("tcp", "udp", "icmp"):
        terms += [f"nw_src={draw.four()}", f"nw_dst={draw.four()}", f"nw_ttl={draw.one((1, 64))}"]
    terms += _outside(draw, port)
    states = tuple(draw.one(("trk,new", "trk,est", "trk,est,rpl")) for _ in range(draw.number(0, 3)))
    return DrawnPacket(tuple(terms), states)


def _outside(draw: Draw, port: int) -> Sequence[str]:
    """The outer header of a packet that came out of a tunnel."""
    row = next(row for row in _BRIDGE.ports if row["ofport"] == port)
    if row["type"] not in ("geneve", "vxlan", "gre"):
        return ()
    options = row["options"]
    remote = options["remote_ip"] if options["remote_ip"] != "flow" else draw.one(_FAR)
    key = options.get("key", "flow")
    terms = [f"tun_src={remote}", f"tun_dst={_HERE}"]
    terms.append(f"tun_id={draw.one((0, 5, 6, 77)) if key == 'flow' else key}")
    if row["type"] == "geneve":
        terms += [f"{name}={draw.small():#x}" for name in _OPTIONS if draw.chance(0.5)]
    return terms
