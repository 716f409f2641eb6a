"""Random lists of actions: a table of every action that the model follows, how often, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bothways.conform.openflow_draw import Draw
from bothways.conform.openflow_drawn_match import is_kind

__all__ = ["Context", "drawn_actions", "drawn_bucket", "drawn_list"]


@dataclass(frozen=True, slots=True)
class Context:
    """
    Where a list of actions stands.

    :param protocol: what the match asks for: a switch refuses to write what the match does not promise.
    :param tagged: whether the match promises a VLAN tag.
    :param tables: how many tables there are; *groups* how many groups.
    :param depth: of lists inside each other.
    """

    table: int
    tables: int
    groups: int
    protocol: str = ""
    tagged: bool = False
    depth: int = 0

    def is_(self, kind: str) -> bool:
        """Whether the match promises a kind of packet."""
        return is_kind(self.protocol, kind)


Make = Callable[[Draw, Context], str]


def _further(draw: Draw, at: Context) -> int:
    """A table behind this one, seldom the same or an earlier one."""
    if at.table + 1 >= at.tables or draw.chance(0.008):
        return draw.number(0, at.tables - 1)
    return draw.number(at.table + 1, min(at.tables - 1, at.table + 3))


def _bits(draw: Draw, width: int = 32, most: int = 16) -> tuple[int, int]:
    low = draw.number(0, width - 1)
    return low, min(width - 1, low + draw.number(0, most - 1))


def _part(name: str, low: int, high: int) -> str:
    return f"{name}[{low}]" if low == high else f"{name}[{low}..{high}]"


def _register(draw: Draw) -> str:
    return f"NXM_NX_REG{draw.number(0, 3)}"


def _is_ip(at: Context) -> bool:
    return at.is_("ip") or at.is_("ipv6")


def _has_ports(at: Context) -> str:
    return {"tcp": "tcp", "tcp6": "tcp", "udp": "udp", "udp6": "udp", "sctp": "sctp"}.get(at.protocol, "")


# -- writing fields ------------------------------------------------------------------------------------


def _written(draw: Draw, at: Context) -> str:
    """``VALUE->FIELD`` for ``set_field``."""
    offered: list[Callable[[], str]] = [
        lambda: f"{draw.mac()}->eth_src",
        lambda: f"{draw.mac(group=True)}->eth_dst",
        lambda: f"00:00:00:00:00:0{draw.small()}/00:00:00:00:00:0f->eth_dst",
        lambda: f"{draw.masked()}->reg{draw.number(0, 3)}",
        lambda: f"{draw.masked()}->reg{draw.number(0, 3)}",
        lambda: f"{draw.masked()}->metadata",
        lambda: f"{draw.small(34):#x}->xreg{draw.number(0, 1)}",
        lambda: f"{draw.small()}->tun_id",
        lambda: f"{draw.small()}->pkt_mark",
    ]
    if at.tagged:
        offered += [lambda: f"{0x1000 | draw.vlan()}->vlan_vid", lambda: f"{draw.small(3)}->vlan_pcp"] * 2
    if _is_ip(at):
        offered += [
            lambda: f"{draw.small(4)}->ip_dscp", lambda: f"{draw.small()}->nw_ecn",
            lambda: f"{draw.number(1, 64)}->nw_ttl",
        ]  # fmt: skip
    if at.is_("ip"):
        offered += [lambda: f"{draw.four_masked()}->ip_src", lambda: f"{draw.four_masked()}->ip_dst"] * 2
    if at.is_("ipv6"):
        offered += [lambda: f"{draw.six_masked()}->ipv6_src", lambda: f"{draw.six()}->ipv6_dst"]
        offered += [lambda: f"{draw.small()}->ipv6_label"]
    if at.is_("arp"):
        offered += [
            lambda: f"{draw.four()}->arp_spa", lambda: f"{draw.four()}->arp_tpa", lambda: "2->arp_op",
            lambda: f"{draw.mac()}->arp_sha", lambda: f"{draw.mac()}->arp_tha",
        ]  # fmt: skip
    if _has_ports(at):
        name = _has_ports(at)
        offered += [
            lambda: f"{draw.transport()}->{name}_src",
            lambda: f"{draw.transport_masked()}->{name}_dst",
        ]
    if at.protocol in ("icmp", "icmp6"):
        field = "icmp_type" if at.protocol == "icmp" else "icmpv6_type"
        offered += [lambda: f"{draw.one((0, 3, 8) if at.protocol == 'icmp' else (128, 129))}->{field}"]
    return draw.one(offered)()


def _load(draw: Draw, at: Context) -> str:
    low, high = _bits(draw)
    value = draw.small(min(3, high - low + 1))
    offered = [f"{value:#x}->{_part(_register(draw), low, high)}"] * 4
    offered += [
        f"{draw.port():#x}->{_register(draw)}[]",
        f"{draw.small():#x}->OXM_OF_METADATA[{low}..{high}]",
    ]
    offered += [
        f"{draw.small(3):#x}->NXM_NX_TUN_ID[0..31]",
        "0->NXM_OF_IN_PORT[]",
        "0xffff->NXM_OF_IN_PORT[]",
    ]
    offered += [f"{draw.small(8):#x}->NXM_OF_ETH_DST[{8 * draw.number(0, 4)}..47]"]
    if at.is_("ip"):
        offered += [f"{draw.small(8):#x}->NXM_OF_IP_DST[0..7]", f"{draw.small(8):#x}->NXM_OF_IP_SRC[8..15]"]
    if at.is_("arp"):
        offered += ["0x2->NXM_OF_ARP_OP[]", "0x20000000009->NXM_NX_ARP_SHA[]", "0xa000009->NXM_OF_ARP_SPA[]"]
    if at.tagged:
        offered += [f"{draw.vlan():#x}->OXM_OF_VLAN_VID[0..11]"]
    return draw.one(offered)


#: same width on both sides; the third is the kind of packet that is needed
_MOVES: Final[Sequence[tuple[str, str, str]]] = (
    ("NXM_OF_ETH_SRC[]", "NXM_OF_ETH_DST[]", ""),
    ("NXM_OF_ETH_DST[]", "NXM_OF_ETH_SRC[]", ""),
    ("NXM_OF_ETH_SRC[0..15]", "NXM_NX_REG1[0..15]", ""),
    ("NXM_NX_REG0[0..7]", "NXM_OF_ETH_DST[0..7]", ""),
    ("NXM_NX_REG0[]", "NXM_NX_REG1[]", ""),
    ("NXM_NX_REG2[0..2]", "NXM_NX_REG3[4..6]", ""),
    ("NXM_NX_REG1[]", "NXM_NX_TUN_ID[0..31]", ""),
    ("NXM_NX_TUN_ID[0..31]", "NXM_NX_REG2[]", ""),
    ("NXM_OF_IN_PORT[]", "NXM_NX_REG0[0..15]", ""),
    ("NXM_OF_VLAN_TCI[0..11]", "NXM_NX_REG1[0..11]", ""),
    ("OXM_OF_METADATA[0..15]", "NXM_NX_REG3[16..31]", ""),
    ("NXM_NX_XXREG0[0..63]", "OXM_OF_METADATA[]", ""),
    ("NXM_OF_IP_SRC[]", "NXM_OF_IP_DST[]", "ip"),
    ("NXM_OF_IP_DST[]", "NXM_NX_REG2[]", "ip"),
    ("NXM_NX_REG2[]", "NXM_OF_IP_SRC[]", "ip"),
    ("NXM_OF_IP_TOS[2..7]", "NXM_NX_REG0[0..5]", "ip"),
    ("NXM_NX_IPV6_SRC[]", "NXM_NX_IPV6_DST[]", "ipv6"),
    ("NXM_OF_TCP_SRC[]", "NXM_OF_TCP_DST[]", "tcp"),
    ("NXM_OF_UDP_SRC[]", "NXM_NX_REG1[0..15]", "udp"),
    ("NXM_NX_ARP_SHA[]", "NXM_NX_ARP_THA[]", "arp"),
    ("NXM_OF_ARP_SPA[]", "NXM_OF_ARP_TPA[]", "arp"),
    ("NXM_OF_ETH_SRC[]", "NXM_NX_ARP_SHA[]", "arp"),
)


def _move(draw: Draw, at: Context) -> str:
    source, target, _ = draw.one([move for move in _MOVES if not move[2] or at.is_(move[2])])
    return f"move:{source}->{target}"


def _old_write(draw: Draw, at: Context) -> str:
    offered = [f"mod_dl_src:{draw.mac()}", f"mod_dl_dst:{draw.mac()}"]
    if at.is_("ip"):
        offered += [
            f"mod_nw_src:{draw.four()}",
            f"mod_nw_dst:{draw.four()}",
            f"mod_nw_tos:{draw.small() << 2}",
        ]
        offered += [f"mod_nw_ttl:{draw.number(1, 9)}", f"mod_nw_ecn:{draw.small()}"]
    if at.protocol in ("tcp", "udp"):
        offered += [f"mod_tp_src:{draw.transport()}", f"mod_tp_dst:{draw.transport()}"]
    return draw.one(offered)


# -- sending -------------------------------------------------------------------------------------------


_LEARNED: Final = (
    "hard_timeout=30,priority=1,NXM_OF_VLAN_TCI[0..11],NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],output:NXM_OF_IN_PORT[]",
    "NXM_OF_ETH_SRC[],load:0x1->NXM_NX_REG0[0..7],load:NXM_OF_IN_PORT[]->NXM_NX_REG1[0..15]",
)


def _learn(draw: Draw, at: Context) -> str:
    table = _further(draw, at)
    return f"learn(table={table},{draw.one(_LEARNED)})"


def _multipath(draw: Draw, _at: Context) -> str:
    fields = draw.one(("eth_src", "symmetric_l4", "symmetric_l3l4"))
    algorithm = draw.one(("modulo_n", "hash_threshold", "hrw", "iter_hash"))
    return (
        f"multipath({fields},{draw.number(0, 99)},{algorithm},{draw.number(1, 4)},0,{_register(draw)}[0..7])"
    )


def _bundle(draw: Draw, _at: Context) -> str:
    first, second = draw.number(1, 4), draw.number(1, 8)
    algorithm = draw.one(("active_backup", "hrw"))
    given = f"{draw.one(('eth_src', 'symmetric_l4'))},{draw.number(0, 99)},{algorithm},ofport"
    if draw.chance(0.5):
        return f"bundle({given},members:{first},{second})"
    return f"bundle_load({given},{_register(draw)}[0..15],members:{first},{second})"


def _resubmit(draw: Draw, at: Context) -> str:
    port = str(draw.port()) if draw.chance(0.2) else ""
    return f"resubmit({port},{_further(draw, at)})"


_MARKS: Final = ("load:0x1->NXM_NX_CT_MARK[]", "set_field:0x3/0x7->ct_mark", "set_field:0x1->ct_label")


def _ct(draw: Draw, at: Context) -> str:
    words: list[str] = []
    if draw.chance(0.4):
        words.append("commit")
        if draw.chance(0.2):
            words.append("force")
    if draw.chance(0.7):
        zone = draw.weighted({f"{draw.number(1, 3)}": 4, f"{_register(draw)}[0..15]": 1})
        words.append(f"zone={zone}")
    if draw.chance(0.75):
        words.append(f"table={_further(draw, at)}")
    if "commit" in words and draw.chance(0.4):
        words.append(f"exec({draw.one(_MARKS)})")
    if at.is_("ip") and draw.chance(0.25):
        nat = "nat"
        if "commit" in words:
            nat = draw.one((f"nat(src={draw.four()})", f"nat(dst={draw.four()})", "nat"))
        words.append(nat)
    return f"ct({','.join(words)})"


def _clone(draw: Draw, at: Context) -> str:
    return f"clone({','.join(drawn_list(draw, replace(at, depth=at.depth + 1), draw.number(1, 3)))})"


def _push_vlan(draw: Draw, _at: Context) -> str:
    return f"push_vlan:{draw.one(('0x8100', '0x8100', '0x88a8'))}"


def _mpls(draw: Draw, at: Context) -> str:
    """Labels that go on and off again, in a copy: what the match promises is hidden under them."""
    words = ["push_mpls:0x8847"]
    labels = 1
    for _ in range(draw.number(1, 5)):
        word = draw.weighted({"set": 4, "send": 4, "ttl": 2, "push": 1, "pop": 1})
        if word == "set":
            field, value = draw.one(
                (("label", draw.small(4)), ("tc", draw.small(3)), ("ttl", draw.number(1, 9)))
            )
            words.append(f"set_field:{value}->mpls_{field}" if field != "ttl" else f"set_mpls_ttl:{value}")
        elif word == "send":
            words.append(f"output:{draw.port()}")
        elif word == "ttl":
            words.append("dec_mpls_ttl")
        elif word == "push" and labels < 3:  # a switch pushes no fourth one
            labels += 1
            words.append("push_mpls:0x8847")
        elif word == "pop" and labels > 1:
            labels -= 1
            words.append("pop_mpls:0x8847")
    if draw.chance(0.4) and labels == 1 and _is_ip(at):
        words += [f"pop_mpls:{'0x0800' if at.is_('ip') else '0x86dd'}", f"output:{draw.port()}"]
        if draw.chance(0.3):
            words.append("dec_ttl")
    return f"clone({','.join(words)},output:{draw.port()})"


def _always(_at: Context) -> bool:
    return True


def _grouped(at: Context) -> bool:
    return at.groups > 0


def _tagged(at: Context) -> bool:
    return at.tagged


def _check_larger(draw: Draw, _at: Context) -> str:
    return f"check_pkt_larger({draw.one((100, 1500))})->{_register(draw)}[{draw.small()}]"


_CONTROLLERS: Final = ("CONTROLLER:65535", "CONTROLLER:64", "controller(max_len=99,id=3)")
_PUSHED: Final = ("NXM_NX_REG0[]", "NXM_NX_REG1[]", "NXM_OF_IN_PORT[]", "NXM_OF_ETH_SRC[]")
#: name -> how often, when it may stand, and how it is written
_ACTIONS: Final[Mapping[str, tuple[int, Callable[[Context], bool], Make]]] = {
    "output": (16, _always, lambda d, _: f"output:{d.port()}"),
    "output to a register": (3, _always, lambda d, _: f"output:{_register(d)}[0..15]"),
    "output cut": (1, _always, lambda d, _: f"output(port={d.port()},max_len={d.one((20, 64, 1400))})"),
    "LOCAL": (1, _always, lambda _d, _: "LOCAL"),
    "IN_PORT": (2, _always, lambda _d, _: "IN_PORT"),
    "ALL": (1, _always, lambda _d, _: "ALL"),
    "FLOOD": (1, _always, lambda _d, _: "FLOOD"),
    "NORMAL": (4, _always, lambda _d, _: "NORMAL"),
    "CONTROLLER": (1, _always, lambda d, _: d.one(_CONTROLLERS)),
    "group": (6, _grouped, lambda d, at: f"group:{d.number(1, at.groups)}"),
    "set_field": (14, _always, lambda d, at: f"set_field:{_written(d, at)}"),
    "load": (9, _always, lambda d, at: f"load:{_load(d, at)}"),
    "move": (9, _always, _move),
    "mod": (3, _always, _old_write),
    "push": (3, _always, lambda d, _: f"push:{d.one(_PUSHED)}"),
    "pop": (3, _always, lambda d, _: f"pop:{_register(d)}{d.one(('[]', '[0..15]'))}"),
    "push_vlan": (3, _always, _push_vlan),
    "pop_vlan": (4, _tagged, lambda _d, _: "pop_vlan"),
    "mod_vlan_vid": (2, _always, lambda d, _: f"mod_vlan_vid:{d.vlan()}"),
    "mod_vlan_pcp": (1, _always, lambda d, _: f"mod_vlan_pcp:{d.small(3)}"),
    "strip_vlan": (2, _tagged, lambda _d, _: "strip_vlan"),
    "dec_ttl": (5, _is_ip, lambda _d, _: "dec_ttl"),
    "resubmit": (16, _always, _resubmit),
    "clone": (3, _always, _clone),
    "MPLS": (2, lambda at: at.depth == 0, _mpls),
    "ct": (4, _is_ip, _ct),
    "ct_clear": (1, _always, lambda _d, _: "ct_clear"),
    "check_pkt_larger": (1, _always, _check_larger),
    "learn": (1, _always, _learn),
    "multipath": (2, _always, _multipath),
    "bundle": (2, _always, _bundle),
    "set_tunnel": (1, _always, lambda d, _: f"set_tunnel:{d.small():#x}"),
    "set_queue": (1, _always, lambda d, _: d.one((f"set_queue:{d.small()}", "pop_queue"))),
    "note": (1, _always, lambda _d, _: "note:01.02.03"),
    "fin_timeout": (1, lambda at: at.protocol == "tcp", lambda _d, _: "fin_timeout(idle_timeout=5)"),
    "exit": (1, lambda at: at.depth == 0, lambda _d, _: "exit"),
}  # fmt: skip
#: what a switch takes in ``write_actions``
_IN_SET: Final = ("output", "group", "set_field", "push_vlan", "pop_vlan", "dec_ttl", "set_queue", "LOCAL")
_IN_BUCKET: Final = (
    "output", "set_field", "load", "resubmit", "push_vlan", "LOCAL", "output to a register", "group",
    "NORMAL",
)  # fmt: skip


def _one(draw: Draw, at: Context, names: Sequence[str]) -> tuple[str, str, Context]:
    offered = {name: _ACTIONS[name][0] for name in names if _ACTIONS[name][1](at)}
    name = draw.weighted(offered)
    text = _ACTIONS[name][2](draw, at)
    if name in ("push_vlan", "mod_vlan_vid", "mod_vlan_pcp"):
        at = replace(at, tagged=True)
    elif name in ("pop_vlan", "strip_vlan"):
        at = replace(at, tagged=False)
    return name, text, at


def drawn_list(draw: Draw, at: Context, count: int) -> list[str]:
    """Draw a list of actions, one after the other."""
    names = [name for name in _ACTIONS if name != "clone" or at.depth == 0]
    actions: list[str] = []
    for _ in range(count):
        _, text, at = _one(draw, at, names)
        actions.append(text)
    return actions


def drawn_actions(draw: Draw, at: Context) -> list[str]:
    """Draw what a flow does: actions, then instructions in the order that OpenFlow wants."""
    actions = drawn_list(draw, at, draw.weighted({0: 2, 1: 4, 2: 4, 3: 2, 4: 1}))
    if draw.chance(0.05):
        actions.append("clear_actions")
    if draw.chance(0.12):
        written: dict[str, str] = {}
        inside = replace(at, depth=1)
        for _ in range(draw.number(1, 3)):
            name, text, _same = _one(draw, inside, _IN_SET)
            written.setdefault(name, text)
        actions.append(f"write_actions({','.join(written.values())})")
    if draw.chance(0.12):
        actions.append(f"write_metadata:{draw.part(3)}")
    if at.table + 1 < at.tables and draw.chance(0.5):
        actions.append(f"goto_table:{draw.number(at.table + 1, min(at.tables - 1, at.table + 3))}")
    return actions or ["drop"]


def drawn_bucket(draw: Draw, at: Context) -> list[str]:
    """Draw the actions of one bucket; a group leads to groups of lower numbers only."""
    names = [name for name in _IN_BUCKET if name != "group" or at.groups]
    actions: list[str] = []
    for _ in range(draw.number(1, 3)):
        _, text, at = _one(draw, replace(at, depth=1), names)
        actions.append(text)
    return actions
