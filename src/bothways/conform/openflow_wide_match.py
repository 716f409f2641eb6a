"""Matches of wide pipelines: fields of tunnels and trackers, wide registers, neighbour discovery."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bothways.conform.openflow_draw import Draw
from bothways.conform.openflow_drawn_match import is_kind

__all__ = ["STATES", "wide_match"]

STATES: Final = (
    "+trk", "-trk", "+new+trk", "+est+trk", "-new+est-rel-inv+trk", "+rel+trk", "+rpl+trk", "-rpl+trk",
    "+inv+trk", "+snat+trk", "+dnat+trk", "-snat-dnat+trk", "0x21/0x21",
)  # fmt: skip
_IPV6: Final = ("fd00::1", "fe80::4", "fd00::/16", "fe80::/10")
#: term -> how often, and the kind of packet that it asks for
_TERMS: Final[Sequence[tuple[int, str, Callable[[Draw], str]]]] = (
    (4, "", lambda d: f"in_port={d.port()}"),
    (1, "", lambda _: "in_port=LOCAL"),
    (3, "", lambda d: f"reg{d.one((0, 4, 7, 8, 15))}={d.masked()}"),
    (2, "", lambda d: f"xreg{d.one((2, 3, 7))}={d.part(3)}"),
    (2, "", lambda d: f"xxreg{d.one((1, 2, 3))}={d.part(3, d.one((0, 31, 63, 96, 120)))}"),
    (2, "", lambda d: f"metadata={d.part(8, d.one((0, 8, 30, 56)))}"),
    (2, "", lambda d: f"tun_id={d.masked(4)}"),
    (2, "", lambda d: f"tun_src={d.four_masked()}"),
    (1, "", lambda d: f"tun_dst={d.four()}"),
    (1, "", lambda d: f"tun_ipv6_dst={d.one(_IPV6)}"),
    (1, "", lambda d: d.one(("tun_flags=+oam", "tun_flags=-oam"))),
    (1, "", lambda d: f"tun_gbp_id={d.small()}"),
    (1, "", lambda d: f"pkt_mark={d.masked()}"),
    (1, "", lambda d: f"actset_output={d.one(('unset', '1', '2'))}"),
    (1, "", lambda d: f"vlan_tci={d.one(('0x0000', '0x1000/0x1000', '0x100a/0x1fff', '0xb000/0xf000'))}"),
    (1, "", lambda d: f"dl_vlan_pcp={d.small(3)}"),
    (1, "", lambda d: f"dl_src={d.mac()}/ff:ff:ff:ff:ff:f{d.one('ec8')}"),
    (5, "ip", lambda d: f"ct_state={d.one(STATES)}"),
    (1, "ip", lambda d: f"ct_zone={d.small()}"),
    (2, "ip", lambda d: f"ct_mark={d.part(4)}"),
    (2, "ip", lambda d: f"ct_label={d.part(4, d.one((0, 60, 64, 100)))}"),
    (2, "ip", lambda d: f"nw_src={d.four_masked()}"),
    (2, "ip", lambda d: f"nw_dst={d.four_masked()}"),
    (2, "ip", lambda d: f"nw_ttl={d.one((0, 1, 2, 63, 64))}"),
    (2, "ip", lambda d: f"ip_dscp={d.small(3)}"),
    (2, "ip", lambda d: f"nw_frag={d.one(('no', 'yes', 'first', 'later', 'not_later'))}"),
    (3, "ipv6", lambda d: f"ct_state={d.one(STATES)}"),
    (3, "ipv6", lambda d: f"ipv6_src={d.six_masked()}"),
    (3, "ipv6", lambda d: f"ipv6_dst={d.six_masked()}"),
    (1, "ipv6", lambda d: f"ipv6_label={d.part(4)}"),
    (1, "ipv6", lambda d: f"nw_ttl={d.one((1, 2, 255))}"),
    (3, "tcp", lambda d: f"tcp_flags={d.one(('+syn-ack', '+syn+ack', '-syn+rst', '0x10/0x17', '0x4/0x4'))}"),
    (3, "tcp", lambda d: f"tp_dst={d.transport_masked()}"),
    (3, "udp", lambda d: f"tp_src={d.transport_masked()}"),
    (3, "sctp", lambda d: f"tp_dst={d.transport_masked()}"),
    (3, "tcp6", lambda d: f"tcp_flags={d.one(('+syn', '-syn', '0x12/0x12'))}"),
    (3, "udp6", lambda d: f"tp_dst={d.transport_masked()}"),
    (3, "icmp", lambda d: f"icmp_type={d.one((0, 3, 8))}"),
    (3, "icmp6", lambda d: f"icmp_type={d.one((128, 129, 1))}"),
    (3, "arp", lambda d: f"arp_op={d.one((1, 2))}"),
    (3, "arp", lambda d: f"arp_tpa={d.four_masked()}"),
    (2, "arp", lambda d: f"arp_sha={d.mac()}"),
)  # fmt: skip
#: neighbour discovery has fields of its own
_NEIGHBOURS: Final[Mapping[str, Sequence[Callable[[Draw], str]]]] = {
    "135": (lambda d: f"nd_target={d.one(_IPV6)}", lambda d: f"nd_sll={d.mac()}"),
    "136": (lambda d: f"nd_target={d.one(_IPV6)}", lambda d: f"nd_tll={d.mac()}"),
}
_PROTOCOLS: Final[Mapping[str, int]] = {
    "": 12, "ip": 6, "tcp": 8, "udp": 4, "sctp": 2, "icmp": 3, "ipv6": 3, "tcp6": 3, "udp6": 2, "icmp6": 2,
    "nd": 3, "arp": 3,
}  # fmt: skip


def wide_match(draw: Draw, *, first: bool) -> tuple[str, list[str]]:
    """
    Draw a match.

    :param first: of the first table, which has no registers to look at yet.
    :return: what it promises to actions (``nd135``: a neighbour is asked for), and its terms.
    """
    protocol = draw.weighted(_PROTOCOLS)
    if protocol == "nd":
        kind = draw.one(("135", "136"))
        terms = ["icmp6", f"icmp_type={kind}", "icmp_code=0"]
        return f"nd{kind}", terms + [make(draw) for make in _NEIGHBOURS[kind] if draw.chance(0.4)]
    offered = {
        make: weight * (2 if kind else 1)
        for weight, kind, make in _TERMS
        if not kind or is_kind(protocol, kind)
    }
    found: dict[str, str] = {}
    for _ in range(draw.weighted({0: 2, 1: 5, 2: 4, 3: 2})):
        text = draw.weighted(offered)(draw)
        name = text.partition("=")[0]
        inside = name.startswith(("reg", "xreg", "xxreg", "metadata", "ct_", "actset", "tun_", "pkt_mark"))
        # registers overlap, and so do the two kinds of a tunnel's addresses
        kind = (
            "reg"
            if "reg" in name
            else "vlan"
            if "vlan" in name
            else "tun"
            if name.startswith("tun_")
            else name
        )
        if not (first and inside):
            found.setdefault(kind, text)
    return protocol, [protocol, *found.values()] if protocol else list(found.values())
