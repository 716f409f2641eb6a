"""
Matches in the normal form: which fields are left on the wire, and how each is written.

Source: ``match_format`` of ``lib/match.c``; ovs-fields(7), prerequisites.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bothways.facts.address import mac_from_int
from bothways.facts.openflow import LOCAL, Term
from bothways.parse.openflow_fields import FIELDS
from bothways.parse.openflow_values import CT_STATE, TCP_FLAGS

__all__ = ["in_flags", "kept_fields", "port_text", "written_match", "written_value"]

Bits = tuple[int, int]
Fields = dict[str, Bits]

_REGISTER: Final = re.compile(r"(x{1,2})reg(\d+)\Z")
_PARTS: Final = {
    "dl_vlan": 0x1FFF, "vlan_vid": 0x1FFF, "dl_vlan_pcp": 0xF000, "vlan_pcp": 0xF000, "nw_tos": 0xFC,
    "ip_dscp": 0xFC, "nw_ecn": 3, "ip_ecn": 3,
}  # fmt: skip
_IP, _IP6, _ARP, _RARP, _MPLS, _MPLSM, _NSH = 0x800, 0x86DD, 0x806, 0x8035, 0x8847, 0x8848, 0x894F
_VLAN: Final = 0x1000
_UNSET: Final = 0xFFF7

_OF_IP: Final = ("ip_proto", "nw_tos", "nw_ttl", "nw_frag")
#: fields and the Ethernet types that have them
_ON_TYPE: Final[Mapping[str, tuple[int, ...]]] = {
    **dict.fromkeys(("nw_src", "nw_dst"), (_IP,)),
    **dict.fromkeys(_OF_IP, (_IP, _IP6)),
    **dict.fromkeys(("ipv6_src", "ipv6_dst", "ipv6_label"), (_IP6,)),
    **dict.fromkeys(("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"), (_ARP, _RARP)),
    **dict.fromkeys(("mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl"), (_MPLS, _MPLSM)),
}
#: fields and the protocols that have them
_ON_PROTOCOL: Final[Mapping[str, tuple[int, ...]]] = {
    **dict.fromkeys(("tp_src", "tp_dst"), (6, 17, 132)),
    "tcp_flags": (6,),
    **dict.fromkeys(("icmp_type", "icmp_code"), (1, 58)),
    **dict.fromkeys(("nd_target", "nd_sll", "nd_tll"), (58,)),
    **dict.fromkeys(("ct_tp_src", "ct_tp_dst"), (1, 6, 17, 58, 132)),
}


def kept_fields(terms: Iterable[Term]) -> Fields:
    """Every field of a match with value and mask, as a switch keeps it; double registers are two."""
    fields: Fields = {}
    for term in terms:
        if term.value is None:
            continue
        width = _width(term.field)
        mask = (1 << width) - 1 if term.mask is None else term.mask
        for name, value, bits in _single(term.field, term.value, mask):
            old = fields.get(name, (0, 0))
            kept = ~_spelt(term, name)
            fields[name] = (old[0] & kept | value & bits, old[1] & kept | bits)
    kind = _ether(fields)
    proto = fields.get("ip_proto", (None, 0))[0] if kind in (_IP, _IP6) else None
    return {
        name: bits
        for name, bits in fields.items()
        if bits[1] and kind in _ON_TYPE.get(name, (kind,)) and _spoken(name, proto, fields)
    }


def _spelt(term: Term, name: str) -> int:
    """The bits that a later term takes from an earlier one: those that its spelling stands for."""
    spelling = re.split("[=\\[]", term.text, maxsplit=1)[0]
    return _PARTS.get(spelling, (1 << _width(name)) - 1)


def _width(name: str) -> int:
    field = FIELDS.get(name)
    return 32 if field is None else field.width


def _single(name: str, value: int, mask: int) -> Iterator[tuple[str, int, int]]:
    wide = _REGISTER.match(name)
    if wide is None:
        yield name, value, mask
        return
    words = 2 ** len(wide[1])
    for place in range(words):
        shift = (words - 1 - place) * 32
        yield f"reg{words * int(wide[2]) + place}", value >> shift & 0xFFFFFFFF, mask >> shift & 0xFFFFFFFF


def _ether(fields: Fields) -> int | None:
    packet_type = fields.get("packet_type")
    if packet_type is not None and packet_type[0] >> 16 == 1:
        return packet_type[0] & 0xFFFF
    return fields.get("eth_type", (None, 0))[0]


def _spoken(name: str, proto: int | None, fields: Fields) -> bool:
    needed = _ON_PROTOCOL.get(name)
    if needed is None:
        return True
    if name.startswith("ct_tp"):
        return fields.get("ct_nw_proto", (None, 0))[0] in needed
    return proto in needed


def in_flags(names: Mapping[str, int], value: int, mask: int, full: int) -> str:
    """Flags as ``+syn-ack``, or ``syn|ack`` where every bit is matched."""
    if mask == full:
        return "|".join(name for name, bit in names.items() if value & bit) or "0"
    return "".join(f"{'+' if value & bit else '-'}{name}" for name, bit in names.items() if mask & bit)


def port_text(port: int) -> str:
    """A port by its number, reserved ones by name."""
    if port == LOCAL:
        return "LOCAL"
    return _PORTS.get(port & 0xFFFF, str(port)) if port >> 16 in (0, 0xFFFF) else str(port)


_PORTS: Final = {
    0xFFF8: "IN_PORT", 0xFFF9: "TABLE", 0xFFFA: "NORMAL", 0xFFFB: "FLOOD", 0xFFFC: "ALL",
    0xFFFD: "CONTROLLER", 0xFFFE: "LOCAL", 0xFFFF: "ANY",
}  # fmt: skip


def _hex(value: int, mask: int, full: int) -> str:
    return f"{_sharp(value)}" if mask == full else f"{_sharp(value)}/{_sharp(mask)}"


def _sharp(value: int) -> str:
    return f"{value:#x}" if value else "0"


def _decimal(value: int, mask: int, full: int) -> str:
    return str(value) if mask == full else f"{value:#x}/{mask:#x}"


def _label(value: int, mask: int, full: int) -> str:
    return _sharp(value) if mask == full else f"{_sharp(value)}/{mask:#x}"


def _mac(value: int, mask: int, full: int) -> str:
    text = mac_from_int(value)
    return text if mask == full else f"{text}/{mac_from_int(mask)}"


def _ipv4(value: int, mask: int, full: int) -> str:
    return _address(IPv4Address, value, mask, full)


def _ipv6(value: int, mask: int, full: int) -> str:
    return _address(IPv6Address, value, mask, full)


def _address(kind: type[IPv4Address | IPv6Address], value: int, mask: int, full: int) -> str:
    text = str(kind(value))
    if mask == full:
        return text
    length = mask.bit_count()
    return f"{text}/{length}" if mask == full ^ full >> length else f"{text}/{kind(mask)}"


def _flow_label(value: int, mask: int, full: int) -> str:
    return f"0x{value:05x}" if mask == full else f"0x{value:05x}/0x{mask:05x}"


def _frag(value: int, mask: int, _full: int) -> str:
    names = {(0, 3): "no", (1, 1): "yes", (1, 3): "first", (3, 3): "later", (0, 2): "not_later"}
    return names.get((value, mask & 3), f"{value:#x}/{mask:#x}")


def _port(value: int, _mask: int, _full: int) -> str:
    return port_text(value)


def _set_output(value: int, _mask: int, _full: int) -> str:
    return "UNSET" if value == _UNSET else port_text(value)


def _packet_type(value: int, _mask: int, _full: int) -> str:
    return f"({value >> 16},{_sharp(value & 0xFFFF)})"


def _tcp_flags(value: int, mask: int, full: int) -> str:
    return in_flags(TCP_FLAGS, value, mask, full)


def _ct_state(value: int, mask: int, full: int) -> str:
    return in_flags(CT_STATE, value, mask, full)


def _tun_flags(value: int, mask: int, _full: int) -> str:
    return in_flags({"oam": 1}, value, mask, -1)


Show = Callable[[int, int, int], str]
#: before the type of the packet, in the switch's order
_FIRST: Final[tuple[tuple[str, Show], ...]] = (
    ("pkt_mark", _hex), ("recirc_id", _hex), ("dp_hash", _hex), ("conj_id", _decimal), ("skb_priority", _hex),
    ("actset_output", _set_output), ("ct_state", _ct_state), ("ct_zone", _decimal), ("ct_mark", _hex),
    ("ct_label", _label), ("ct_nw_src", _ipv4), ("ct_ipv6_src", _ipv6), ("ct_nw_dst", _ipv4),
    ("ct_ipv6_dst", _ipv6), ("ct_nw_proto", _decimal), ("ct_tp_src", _decimal), ("ct_tp_dst", _decimal),
    ("packet_type", _packet_type),
)  # fmt: skip
#: behind it, up to the VLAN
_SECOND: Final[tuple[tuple[str, Show], ...]] = (
    *((f"reg{n}", _hex) for n in range(32)),
    ("tun_id", _hex), ("tun_src", _ipv4), ("tun_dst", _ipv4),
    ("tun_ipv6_src", _ipv6), ("tun_ipv6_dst", _ipv6),
    ("tun_gbp_id", _decimal), ("tun_gbp_flags", _hex),
    ("tun_erspan_ver", _decimal), ("tun_erspan_idx", _hex),
    ("tun_erspan_dir", _decimal), ("tun_erspan_hwid", _hex), ("gtpu_flags", _hex), ("gtpu_msgtype", _decimal),
    ("tun_flags", _tun_flags), *((f"tun_metadata{n}", _hex) for n in range(64)), ("metadata", _hex),
    ("in_port", _port),
)  # fmt: skip
#: behind the VLAN
_THIRD: Final[tuple[tuple[str, Show], ...]] = (("eth_src", _mac), ("eth_dst", _mac))
_ETHERNET: Final = frozenset({"eth_src", "eth_dst", "eth_type", "vlan_tci"})
_FOURTH: Final[tuple[tuple[str, Show], ...]] = (
    ("ipv6_src", _ipv6), ("ipv6_dst", _ipv6), ("ipv6_label", _flow_label),
    ("arp_spa", _ipv4), ("arp_tpa", _ipv4),
    ("nsh_flags", _decimal), ("nsh_ttl", _decimal), ("nsh_mdtype", _decimal), ("nsh_np", _decimal),
    ("nsh_spi", _hex), ("nsh_si", _decimal), ("nsh_c1", _hex), ("nsh_c2", _hex), ("nsh_c3", _hex),
    ("nsh_c4", _hex), ("nw_src", _ipv4), ("nw_dst", _ipv4),
)  # fmt: skip
_FIFTH: Final[tuple[tuple[str, Show], ...]] = (
    ("arp_op", _decimal), ("arp_sha", _mac), ("arp_tha", _mac),
)  # fmt: skip
_LAST: Final[tuple[tuple[str, Show], ...]] = (
    ("nw_ttl", _decimal), ("mpls_label", _decimal), ("mpls_tc", _decimal), ("mpls_ttl", _decimal),
    ("mpls_bos", _decimal), ("nw_frag", _frag), ("icmp_type", _decimal), ("icmp_code", _decimal),
    ("nd_target", _ipv6), ("nd_sll", _mac), ("nd_tll", _mac), ("tp_src", _decimal), ("tp_dst", _decimal),
    ("tcp_flags", _tcp_flags),
)  # fmt: skip
_PROTOCOLS: Final[Mapping[tuple[int, int], str]] = {
    (_IP, 1): "icmp", (_IP, 6): "tcp", (_IP, 17): "udp", (_IP, 132): "sctp",
    (_IP6, 58): "icmp6", (_IP6, 6): "tcp6", (_IP6, 17): "udp6", (_IP6, 132): "sctp6",
}  # fmt: skip
_TYPES: Final = {_IP: "ip", _IP6: "ipv6", _ARP: "arp", _RARP: "rarp", _MPLS: "mpls", _MPLSM: "mplsm"}


def written_value(name: str, value: int, mask: int) -> str:
    """The value of a field as a match would write it."""
    shows = dict((*_FIRST, *_SECOND, *_THIRD, *_FOURTH, *_FIFTH, *_LAST))
    return shows.get(name, _hex)(value, mask, (1 << _width(name)) - 1)


def written_match(fields: Fields, terms: Iterable[Term]) -> Iterator[str]:
    """The terms in the switch's order; what could not be read stands last, as it was printed."""
    yield from _listed(fields, _FIRST)
    if "recirc_id" in fields and "packet_type" not in fields and _ETHERNET & fields.keys():
        yield "eth"  # a match on it names the type of the packet as well
    kind, proto = fields.get("eth_type"), fields.get("ip_proto")
    named = None if kind is None or proto is None else _PROTOCOLS.get((kind[0], proto[0]))
    short = named or (None if kind is None else _TYPES.get(kind[0]))
    if short is not None:
        yield short
    yield from _listed(fields, _SECOND)
    yield from _vlan(fields.get("vlan_tci"))
    yield from _listed(fields, _THIRD, {"eth_src": "dl_src", "eth_dst": "dl_dst"})
    if kind is not None and short is None:
        yield f"dl_type=0x{kind[0]:04x}"
    yield from _listed(fields, _FOURTH)
    if proto is not None and named is None:
        yield f"nw_proto={proto[0]}"
    yield from _listed(fields, _FIFTH)
    tos = fields.get("nw_tos")
    if tos is not None:
        yield from (f"nw_tos={tos[0] & 0xFC}",) if tos[1] & 0xFC else ()
        yield from (f"nw_ecn={tos[0] & 3}",) if tos[1] & 3 else ()
    yield from _listed(fields, _LAST)
    yield from (term.text for term in terms if term.value is None)


def _listed(
    fields: Fields, shows: Iterable[tuple[str, Show]], names: Mapping[str, str] | None = None
) -> Iterator[str]:
    for key, show in shows:
        bits = fields.get(key)
        if bits is not None:
            name = key if names is None else names[key]
            yield f"{name}={show(*bits, (1 << _width(key)) - 1)}"


def _vlan(tci: Bits | None) -> Iterator[str]:
    if tci is None:
        return
    value, mask = tci
    vid, pcp = mask & 0xFFF, mask >> 13
    plain = value & mask & _VLAN and vid in (0, 0xFFF) and pcp in (0, 7) and (vid or pcp)
    if plain:
        yield from (f"dl_vlan={value & 0xFFF}",) if vid else ()
        yield from (f"dl_vlan_pcp={value >> 13}",) if pcp else ()
    else:
        yield f"vlan_tci=0x{value:04x}" + ("" if mask == 0xFFFF else f"/0x{mask:04x}")  # noqa: PLR2004 - all bits
