"""Actions of wide pipelines: what a tracker is asked, what is learned, stacks, hashes, long lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bothways.conform.openflow_draw import Draw
from bothways.conform.openflow_wide_writes import At, wide_write

__all__ = ["OF_GROUPS", "wide_actions", "wide_list"]

#: the last tables, which groups may lead to
OF_GROUPS: Final = 3
Make = Callable[[Draw, At], str]


def _further(draw: Draw, at: At) -> int:
    return draw.number(min(at.table + 1, at.tables - 1), at.tables - 1)


def _ct(draw: Draw, at: At) -> str:
    words: list[str] = []
    settled = draw.chance(0.5) and not at.invalid
    family = "ip" if at.is_("ip") else "ipv6"
    if at.protocol in ("tcp", "udp", "tcp6", "udp6"):
        family = f"ports of {family}"
    if settled:
        words += ["commit", *(["force"] if draw.chance(0.3) else [])]
    words.append(f"zone={draw.one(_ZONES)}")
    if draw.chance(0.85) and at.table + 1 < at.tables:
        words.append(f"table={_further(draw, at)}")
    if draw.chance(0.5):
        words.append(draw.one(_NAT[family]) if "commit" in words else "nat")
    if "commit" in words and draw.chance(0.5):
        words.append(f"exec({','.join(draw.one(_MARKS) for _ in range(draw.number(1, 3)))})")
    return f"ct({','.join(words)})"


_ZONES: Final = ("5", "65535", "NXM_NX_REG4[0..15]", "NXM_NX_REG0[3..18]", "OXM_OF_METADATA[8..23]")
_NAT: Final[Mapping[str, Sequence[str]]] = {
    "ip": ("nat(src=10.0.0.9)", "nat(dst=10.0.0.3)", "nat(src=10.0.0.1-10.0.0.5,hash)", "nat"),
    "ipv6": ("nat(src=fd00::9)", "nat(src=fd00::1-fd00::9)", "nat"),
    "ports of ip": (
        "nat(src=10.0.0.1-10.0.0.5:1000-2000,random)", "nat(dst=10.9.0.1:8080,persistent)",
        "nat(src=10.0.0.9:1024-65535)", "nat(dst=10.0.0.1)",
    ),
    "ports of ipv6": ("nat(dst=[fd00::2]:80)", "nat(src=[fd00::1]-[fd00::9]:4000-4999)"),
}  # fmt: skip
_MARKS: Final = (
    "set_field:0x1->ct_mark", "set_field:0x5/0xf->ct_mark", "load:0x3->NXM_NX_CT_LABEL[64..66]",
    "move:NXM_NX_REG0[0..7]->NXM_NX_CT_MARK[8..15]", "set_field:0x20000000000000001->ct_label",
    "set_field:0x0/0x3->ct_label", "move:NXM_NX_XXREG1[]->NXM_NX_CT_LABEL[]", "load:0x1->NXM_NX_CT_MARK[31]",
)  # fmt: skip

_LEARNED: Final = (
    "priority=9,idle_timeout=5,NXM_OF_ETH_TYPE[],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_NX_TUN_ID[]->NXM_NX_TUN_ID[]",
    "cookie=0x9,limit=2,result_dst=NXM_NX_REG5[3],NXM_OF_IN_PORT[],load:NXM_NX_XXREG0[0..63]->OXM_OF_METADATA[]",
    "fin_idle_timeout=2,fin_hard_timeout=3,NXM_OF_ETH_SRC[0..15],output:NXM_NX_REG4[0..15]",
)
_FIELDS: Final = (
    "eth_src",
    "symmetric_l4",
    "symmetric_l3l4",
    "symmetric_l3l4+udp",
    "symmetric_l3",
    "nw_src",
    "nw_dst",
)


_PUSHED: Final = (
    "NXM_NX_XXREG1[]", "NXM_NX_REG4[3..9]", "NXM_OF_VLAN_TCI[]", "NXM_OF_ETH_DST[8..40]", "OXM_OF_METADATA[]",
    "NXM_NX_TUN_ID[0..15]",
)  # fmt: skip
_POPPED: Final = (
    "NXM_NX_REG5[]", "NXM_NX_XXREG2[]", "NXM_NX_REG8[30..31]", "OXM_OF_METADATA[16..47]",
    "NXM_OF_ETH_SRC[0..7]", "NXM_NX_TUN_ID[0..23]",
)  # fmt: skip


def _stack(draw: Draw, _at: At) -> str:
    """What is pushed and what it is popped into need not be equally wide."""
    pushed, popped = draw.one(_PUSHED), draw.one(_POPPED)
    return draw.one((f"push:{pushed}", f"push:{pushed},pop:{popped}", f"pop:{popped}"))


def _nested(draw: Draw, at: At) -> str:
    inner = At(
        at.table, at.tables, at.groups, at.protocol, at.depth + 1, tracked=at.tracked, invalid=at.invalid
    )
    return f"clone({','.join(wide_list(draw, inner, draw.number(1, 4)))})"


def _is_ip(at: At) -> bool:
    return at.is_("ip") or at.is_("ipv6") or at.protocol.startswith("nd")


def _leads_on(at: At) -> bool:
    """Whether there is a table behind this one; round trips belong to the other pipelines."""
    return at.table + 1 < at.tables


def _grouped(at: At) -> bool:
    """Whether a group may be asked: from the tables that groups do not lead to."""
    return at.groups > 0 and (at.depth > 0 or at.table < at.tables - OF_GROUPS)


_REGISTERS: Final = (
    "NXM_NX_REG4[0..15]", "NXM_NX_REG5[]", "NXM_OF_IN_PORT[]", "OXM_OF_METADATA[8..11]",
    "NXM_NX_TUN_ID[0..3]",
)  # fmt: skip
_SPECIAL: Final = ("LOCAL", "IN_PORT", "ALL", "FLOOD", "NORMAL", "NORMAL", "FLOOD")
_CONTROLLERS: Final = ("controller(max_len=9,reason=no_match,userdata=01.02)", "CONTROLLER:0")
_PORTS: Final = ("", "", "", "3", "in_port")
_SIZES: Final = (0, 13, 60, 64, 118, 1400, 9000)
_BITS: Final = ("NXM_NX_REG0[0]", "NXM_NX_REG15[31]", "NXM_NX_XXREG1[70]")
_ALGORITHMS: Final = ("modulo_n", "hash_threshold", "hrw", "iter_hash")
_TAGS: Final = (
    "push_vlan:0x8100", "push_vlan:0x88a8,set_field:4106->vlan_vid", "push_vlan:0x8100,push_vlan:0x8100",
    "push_vlan:0x8100,pop_vlan", "push_vlan:0x8100,move:NXM_NX_REG4[0..11]->OXM_OF_VLAN_VID[]",
)  # fmt: skip
_QUIET: Final = (
    "set_queue:7,pop_queue", "note:01",
    "sample(probability=65535,collector_set_id=1,obs_domain_id=0,obs_point_id=0)",
)  # fmt: skip


def _turns(at: At) -> bool:
    """Whether the match lets the packet be looked up as its connection's first one was."""
    return at.tracked and _leads_on(at)


def _everywhere(_at: At) -> bool:
    return True


def _shallow(at: At) -> bool:
    """Whether lists are nested no deeper than sites nest them."""
    return at.depth < 2  # noqa: PLR2004 - see above


def _multipath(draw: Draw, _at: At) -> str:
    fields, basis, algorithm = draw.one(_FIELDS), draw.small(9), draw.one(_ALGORITHMS)
    links = f"{draw.number(1, 9)},{draw.small()}"
    return f"multipath({fields},{basis},{algorithm},{links},NXM_NX_REG4[{draw.small()}..15])"


def _bundle(draw: Draw, _at: At) -> str:
    kind = draw.one(("bundle", "bundle_load"))
    given = f"{draw.one(_FIELDS)},{draw.small(9)},hrw,ofport"
    target = ",NXM_NX_REG5[0..15]" if kind == "bundle_load" else ""
    members = ",".join(str(draw.port()) for _ in range(draw.number(2, 5)))
    return f"{kind}({given}{target},members:{members})"


#: name -> how often, where it may stand, and how it is written
_ACTIONS: Final[Mapping[str, tuple[int, Callable[[At], bool], Make]]] = {
    "write": (26, _everywhere, wide_write),
    "output": (8, _everywhere, lambda d, _: f"output:{d.port()}"),
    "register": (3, _everywhere, lambda d, _: f"output:{d.one(_REGISTERS)}"),
    "cut": (1, _everywhere, lambda d, _: f"output(port={d.port()},max_len={d.one((14, 15, 99, 65535))})"),
    "enqueue": (1, _everywhere, lambda d, _: f"enqueue:{d.port()}:{d.small()}"),
    "special": (4, _everywhere, lambda d, _: d.one(_SPECIAL)),
    "CONTROLLER": (1, _everywhere, lambda d, _: d.one(_CONTROLLERS)),
    "resubmit": (12, _leads_on, lambda d, at: f"resubmit({d.one(_PORTS)},{_further(d, at)})"),
    "group": (5, _grouped, lambda d, at: f"group:{d.number(1, at.groups)}"),
    "ct": (8, lambda at: _is_ip(at) and _shallow(at), _ct),
    "reversed": (2, _turns, lambda d, at: f"resubmit(,{_further(d, at)},ct)"),
    "ct_clear": (1, _everywhere, lambda _d, _: "ct_clear"),
    "dec_ttl": (6, _is_ip, lambda d, _: d.one(("dec_ttl", "dec_ttl(1,2)", "dec_ttl,dec_ttl"))),
    "larger": (2, _everywhere, lambda d, _: f"check_pkt_larger({d.one(_SIZES)})->{d.one(_BITS)}"),
    "stack": (4, _everywhere, _stack),
    "clone": (3, _shallow, _nested),
    "learn": (2, _leads_on, lambda d, at: f"learn(table={_further(d, at)},{d.one(_LEARNED)})"),
    "multipath": (2, _everywhere, _multipath),
    "bundle": (2, _everywhere, _bundle),
    "vlan": (3, _everywhere, lambda d, _: d.one(_TAGS)),
    "exit": (1, lambda at: at.depth > 0, lambda _d, _: "exit"),
    "quiet": (1, _everywhere, lambda d, _: d.one(_QUIET)),
}  # fmt: skip


def wide_list(draw: Draw, at: At, count: int) -> list[str]:
    """Draw a list of actions, one after the other."""
    offered = {name: weight for name, (weight, fits, _) in _ACTIONS.items() if fits(at)}
    return [_ACTIONS[draw.weighted(offered)][2](draw, at) for _ in range(count)]


def wide_actions(draw: Draw, at: At) -> list[str]:
    """Draw what a flow does: actions, then instructions in the order that OpenFlow wants."""
    actions = wide_list(draw, at, draw.weighted({0: 1, 1: 3, 2: 4, 3: 3, 5: 2, 8: 1}))
    if draw.chance(0.08):
        actions.append("clear_actions")
    if draw.chance(0.2):
        inside = [f"output:{draw.port()}"] if draw.chance(0.6) else []
        inside += [f"set_field:{draw.mac()}->eth_src", f"set_field:{draw.masked()}->reg5"][: draw.small()]
        if _is_ip(at) and draw.chance(0.4):
            inside.append("dec_ttl")
        if _grouped(at) and draw.chance(0.3):
            inside.append(f"group:{draw.number(1, at.groups)}")
        actions.append(f"write_actions({','.join(inside)})" if inside else "write_actions(drop)")
    if draw.chance(0.2):
        actions.append(f"write_metadata:{draw.part(8, draw.one((0, 8, 30, 56)))}")
    if at.table + 1 < at.tables and draw.chance(0.6):
        actions.append(f"goto_table:{_further(draw, at)}")
    return actions or ["drop"]
