"""Random matches, and random packets that are aimed at them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bothways.conform.openflow_draw import PROTOCOLS, Draw

__all__ = ["CT_STATES", "drawn_match", "drawn_packet", "is_kind"]

Term = Callable[[Draw], str]

#: what ``--ct-next`` may be
CT_STATES: Final = ("trk,new", "trk,est", "trk,est,rpl", "trk,inv", "trk,rel", "trk,rel,rpl", "trk,new,rel")
_CT_MATCHES: Final = (
    "+trk", "-trk", "+trk+new", "+trk+est", "+trk-new+est", "+inv+trk", "-inv+trk", "+est+rpl+trk", "+rel",
    "-new",
)  # fmt: skip
_TCP_FLAGS: Final = ("+syn-ack", "+syn+ack", "+rst", "-rst", "+ack", "+fin", "0x2/0x12")

#: terms that every packet may meet, and how often they are drawn
_ANY: Final[Mapping[Term, int]] = {
    lambda d: f"in_port={d.port()}": 6,
    lambda _: "in_port=LOCAL": 1,
    lambda d: f"dl_src={d.mac()}": 3,
    lambda d: f"dl_dst={d.mac(group=True)}": 4,
    lambda _: "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00": 1,
    lambda _: "dl_src=00:00:00:00:00:01/00:00:00:00:00:01": 1,
    lambda d: f"dl_vlan={d.vlan()}": 2,
    lambda _: "vlan_tci=0x0000/0x1fff": 1,
    lambda _: "vlan_tci=0x1000/0x1000": 2,
    lambda d: f"vlan_tci={0x1000 | d.vlan():#x}/0x1fff": 1,
    lambda _: "vlan_vid=0x100a/0x100f": 1,
    lambda d: f"reg{d.number(0, 3)}={d.masked()}": 7,
    lambda d: f"xreg{d.number(0, 1)}={d.part(2)}": 1,
    lambda d: f"xreg{d.number(0, 1)}={d.part(3, 32)}": 1,
    lambda d: f"xxreg0={d.part(2, 33)}": 1,
    lambda d: f"metadata={d.masked()}": 4,
    lambda d: f"metadata={d.part(3, 40)}": 1,
    lambda d: f"tun_id={d.masked()}": 2,
    lambda d: f"pkt_mark={d.masked()}": 1,
    lambda d: f"ct_state={d.one(_CT_MATCHES)}": 4,
    lambda d: f"ct_zone={d.small()}": 1,
    lambda d: f"ct_mark={d.masked()}": 1,
    lambda d: f"ct_label={d.masked()}": 1,
}
#: a term for one protocol more, by protocol or the kind that it is of
_OF: Final[Mapping[str, Mapping[Term, int]]] = {
    "ip": {
        lambda d: f"nw_src={d.four_masked()}": 4,
        lambda d: f"nw_dst={d.four_masked()}": 4,
        lambda d: f"nw_tos={d.small() << 2}": 1,
        lambda d: f"nw_ecn={d.small()}": 1,
        lambda d: f"nw_ttl={d.one((1, 2, 64))}": 1,
        lambda d: f"nw_frag={d.one(('no', 'yes', 'first', 'later', 'not_later'))}": 1,
    },
    "ipv6": {
        lambda d: f"ipv6_src={d.six_masked()}": 3,
        lambda d: f"ipv6_dst={d.six_masked()}": 3,
        lambda d: f"nw_ttl={d.one((1, 64))}": 1,
        lambda d: f"ipv6_label={d.masked()}": 1,
    },
    "tcp": {
        lambda d: f"tp_src={d.transport_masked()}": 3,
        lambda d: f"tp_dst={d.transport_masked()}": 3,
        lambda d: f"tcp_flags={d.one(_TCP_FLAGS)}": 2,
    },
    "udp": {lambda d: f"tp_src={d.transport_masked()}": 1, lambda d: f"tp_dst={d.transport_masked()}": 2},
    "icmp": {lambda d: f"icmp_type={d.one((0, 3, 8))}": 2, lambda d: f"icmp_code={d.small(1)}": 1},
    "arp": {
        lambda d: f"arp_op={d.one((1, 2))}": 3,
        lambda d: f"arp_spa={d.four_masked()}": 2,
        lambda d: f"arp_tpa={d.four_masked()}": 3,
        lambda d: f"arp_sha={d.mac()}": 1,
        lambda d: f"arp_tha={d.mac()}": 1,
    },
    "icmp6": {lambda d: f"icmp_type={d.one((128, 129, 135, 136))}": 2},
}  # fmt: skip
_LIKE: Final = {"sctp": "udp", "tcp6": "tcp", "udp6": "udp"}


def is_kind(protocol: str, kind: str) -> bool:
    """Whether a protocol is another one, or a kind of it: TCP is IP."""
    return protocol == kind or PROTOCOLS.get(protocol, (0, ""))[1] == kind


def _terms_of(protocol: str) -> dict[Term, int]:
    found: dict[Term, int] = {}
    for kind in (PROTOCOLS[protocol][1], _LIKE.get(protocol, protocol)):
        found |= _OF.get(kind, {})
    return found


def _name(term: str) -> str:
    """What a term is about: two of the same would contradict each other."""
    name = term.partition("=")[0]
    if name.startswith("x"):
        return "register"
    return {"dl_vlan": "vlan", "vlan_tci": "vlan", "vlan_vid": "vlan"}.get(name, name)


def drawn_match(draw: Draw, *, first: bool, without: Sequence[str] = ()) -> tuple[str, list[str]]:
    """
    Draw a match.

    :param first: of the first table, which has no registers to look at yet.
    :param without: names of terms that are not wanted.
    :return: the protocol that it asks for, "" for any, and its terms.
    """
    protocol = draw.weighted({name: weight for name, (weight, _) in PROTOCOLS.items()} | {"": 14})
    offered = dict(_ANY) | {term: weight * 2 for term, weight in _terms_of(protocol).items()}
    terms: list[str] = []
    for _ in range(draw.weighted({0: 2, 1: 5, 2: 4, 3: 1})):
        text = draw.weighted(offered)(draw)
        name = _name(text)
        taken = [_name(each) for each in terms]
        inside = name.startswith(("reg", "metadata", "ct_")) or name == "register"
        wide = name == "register" and any(each.startswith("reg") for each in taken)
        narrow = name.startswith("reg") and "register" in taken
        if name in taken or name in without or wide or narrow or (first and inside):
            continue
        terms.append(text)
    return protocol, ([protocol] if protocol else []) + terms


# -- packets -------------------------------------------------------------------------------------------

#: what a packet of a protocol has; the first one of a name stays
_HAS: Final[Mapping[str, Sequence[Term]]] = {
    "ip": (
        lambda d: f"nw_src={d.four()}",
        lambda d: f"nw_dst={d.four()}",
        lambda d: f"nw_ttl={d.weighted({64: 8, 1: 1, 2: 1})}",
        lambda d: f"nw_tos={d.weighted({0: 6, 4: 1, 8: 1})}",
    ),
    "ipv6": (
        lambda d: f"ipv6_src={d.six()}",
        lambda d: f"ipv6_dst={d.six()}",
        lambda d: f"nw_ttl={d.weighted({64: 8, 1: 1})}",
        lambda d: f"ipv6_label={d.weighted({0: 5, 3: 1})}",
    ),
    "tcp": (
        lambda d: f"tp_src={d.transport()}",
        lambda d: f"tp_dst={d.transport()}",
        lambda d: f"tcp_flags={d.one(('syn', 'syn|ack', 'ack', 'rst', 'fin|ack'))}",
    ),
    "udp": (lambda d: f"tp_src={d.transport()}", lambda d: f"tp_dst={d.transport()}"),
    "icmp": (lambda d: f"icmp_type={d.one((0, 3, 8))}", lambda d: f"icmp_code={d.small(1)}"),
    "icmp6": (lambda d: f"icmp_type={d.one((128, 129, 135, 136))}", lambda _: "icmp_code=0"),
    "arp": (
        lambda d: f"arp_op={d.one((1, 2))}",
        lambda d: f"arp_spa={d.four()}",
        lambda d: f"arp_tpa={d.four()}",
        lambda d: f"arp_sha={d.mac()}",
        lambda d: f"arp_tha={d.mac()}",
    ),
}
_OWN: Final = frozenset({"nw_src", "nw_dst", "ipv6_src", "ipv6_dst", "tp_src", "tp_dst", "dl_src", "dl_dst",
    "in_port", "icmp_type", "icmp_code", "arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha", "nw_ttl",
    "nw_tos", "dl_vlan", "tun_id", "pkt_mark"})  # fmt: skip


#: ``ofproto/trace`` wants fields by the name of their protocol
_SPELT: Final[Mapping[tuple[str, str], str]] = {
    **{(like, f"tp_{end}"): f"{kind}_{end}" for like, kind in
       (("udp", "udp"), ("udp6", "udp"), ("sctp", "sctp"), ("tcp", "tcp"), ("tcp6", "tcp"))
       for end in ("src", "dst")},
    ("icmp6", "icmp_type"): "icmpv6_type", ("icmp6", "icmp_code"): "icmpv6_code",
}  # fmt: skip


def drawn_packet(draw: Draw, matches: Sequence[Sequence[str]]) -> list[str]:
    """
    Draw a packet: the values of a match or two, and the rest by chance.

    :param matches: matches of the first table, as terms.
    """
    protocol = ""
    terms: dict[str, str] = {}
    for _ in range(draw.weighted({0: 1, 1: 5, 2: 3})):
        aimed = draw.one(matches) if matches else ()
        asked = next((term for term in aimed if term in PROTOCOLS), "")
        if asked and protocol and asked != protocol:
            continue
        protocol = protocol or asked
        for term in aimed:
            name, _, value = term.partition("=")
            if name in _OWN and "/" not in value:
                terms.setdefault(name, value)
    if PROTOCOLS.get(protocol, (0, ""))[1] == "" and protocol != "arp":
        kinds = {
            name: weight
            for name, (weight, kind) in PROTOCOLS.items()
            if name not in ("", "ip", "ipv6") and protocol in ("", kind)
        }
        protocol = draw.weighted(kinds)
    _complete(draw, protocol, terms)
    return [protocol, *(f"{_SPELT.get((protocol, name), name)}={value}" for name, value in terms.items())]


def _complete(draw: Draw, protocol: str, terms: dict[str, str]) -> None:
    """Fill in what the packet must have, and leave out what it cannot."""
    kinds = (PROTOCOLS[protocol][1], _LIKE.get(protocol, protocol))
    has = [make(draw).split("=", 1) for kind in kinds for make in _HAS.get(kind, ())]
    able = {name for name, _ in has} | {"in_port", "dl_src", "dl_dst", "dl_vlan", "tun_id", "pkt_mark"}
    for name in [name for name in terms if name not in able]:
        del terms[name]
    terms.setdefault("in_port", str(draw.port()))
    terms.setdefault("dl_src", draw.mac())
    terms.setdefault("dl_dst", draw.mac(group=True))
    if "dl_vlan" not in terms and draw.chance(0.2):
        terms["dl_vlan"] = str(draw.vlan())
    if "dl_vlan" in terms and draw.chance(0.3):
        terms["dl_vlan_pcp"] = str(draw.small(3))
    for name, value in has:
        terms.setdefault(name, value)
    if kinds[0] and draw.chance(0.06):
        terms["nw_frag"] = draw.one(("first", "later"))
        if terms["nw_frag"] == "later":  # there is no transport header in it
            for name in [name for name in terms if name.startswith(("tp_", "tcp_", "icmp_"))]:
                del terms[name]
    if draw.chance(0.06):
        terms[f"reg{draw.number(0, 3)}"] = str(draw.small(3))
    if draw.chance(0.05):
        terms["metadata"] = str(draw.small(3))
