"""
Hashes of a packet, by which a switch chooses links, ports and buckets.

``flow_hash_fields`` of ``lib/flow.c`` on ``lib/jhash.c`` and ``lib/hash.c``. Numbers stand in memory as a
machine keeps them that stores the least byte first; ``hash_words`` and what is built on it are those of
builds without SSE 4.2, which is what distributions ship. None: a field that is hashed is not known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from bothways.facts.packet import ETH_IP, ETH_IP6, TCP, UDP
from bothways.model.openflow.field import FIELDS
from bothways.model.openflow.key import PIPELINE, Key

__all__ = ["HASHED", "hash_of_fields", "hash_of_selection", "hash_words"]

_WORD: Final = 0xFFFFFFFF
_SCTP: Final = 132
_VID: Final = 0xFFF
_LATER_OR_FIRST: Final = 3


def _turned(value: int, bits: int) -> int:
    return (value << bits | value >> (32 - bits)) & _WORD


# -- Bob Jenkins' lookup3, as jhash.c has it -------------------------------------------------------------


def _jhash(octets: bytes, basis: int) -> int:
    start = (0xDEADBEEF + len(octets) + basis) & _WORD
    a = b = c = start
    rest = octets
    while len(rest) >= 12:  # noqa: PLR2004 - three words
        a, b, c = _mixed(*(x + y & _WORD for x, y in zip((a, b, c), _three(rest), strict=True)))
        rest = rest[12:]
    if rest:
        a, b, c = (x + y & _WORD for x, y in zip((a, b, c), _three(rest.ljust(12, b"\0")), strict=True))
        return _final(a, b, c)
    return c


def _three(octets: bytes) -> tuple[int, int, int]:
    one, two, three = (int.from_bytes(octets[i : i + 4], "little") for i in (0, 4, 8))
    return one, two, three


def _mixed(a: int, b: int, c: int) -> tuple[int, int, int]:
    for first, second, third in ((4, 6, 8), (16, 19, 4)):
        a = (a - c & _WORD) ^ _turned(c, first)
        c = c + b & _WORD
        b = (b - a & _WORD) ^ _turned(a, second)
        a = a + c & _WORD
        c = (c - b & _WORD) ^ _turned(b, third)
        b = b + a & _WORD
    return a, b, c


def _final(a: int, b: int, c: int) -> int:
    for one, two, three in ((14, 11, 25), (16, 4, 14)):
        c = (c ^ b) - _turned(b, one) & _WORD
        a = (a ^ c) - _turned(c, two) & _WORD
        b = (b ^ a) - _turned(a, three) & _WORD
    return (c ^ b) - _turned(b, 24) & _WORD


# -- MurmurHash3, as hash.h has it -----------------------------------------------------------------------


def _added(value: int, data: int) -> int:
    if data:
        data = _turned(data * 0xCC9E2D51 & _WORD, 15) * 0x1B873593 & _WORD
        value ^= data
    return _turned(value, 13) * 5 + 0xE6546B64 & _WORD


def _finished(value: int, final: int) -> int:
    value = (value ^ final) & _WORD
    value = (value ^ value >> 16) * 0x85EBCA6B & _WORD
    value = (value ^ value >> 13) * 0xC2B2AE35 & _WORD
    return value ^ value >> 16


def hash_words(words: Iterable[int]) -> int:
    """``hash_2words`` of two words."""
    one, two = words
    return _finished(_added(_added(one & _WORD, 0), two & _WORD), 8)


def _hash_octets(octets: bytes, basis: int) -> int:
    """``hash_bytes``."""
    value = basis
    for start in range(0, len(octets), 4):
        value = _added(value, int.from_bytes(octets[start : start + 4], "little"))
    return _finished(value, len(octets))


# -- which fields ----------------------------------------------------------------------------------------


class _NotKnownError(Exception):
    """A field that is hashed is not known."""


def _read(key: Key, name: str) -> int:
    value, known = key.get(name)
    width = FIELDS[name].width if name in FIELDS else PIPELINE[name]
    if ~known & ((1 << width) - 1):
        raise _NotKnownError(name)
    return value


def _octets(key: Key, name: str, size: int) -> bytes:
    return _read(key, name).to_bytes(size, "big")


def _addresses(key: Key) -> bytes:
    """Source and destination of the network layer over one another, 16 bytes; zero without one."""
    kind = _read(key, "eth_type")
    if kind == ETH_IP:
        return (_read(key, "nw_src") ^ _read(key, "nw_dst")).to_bytes(4, "big").ljust(16, b"\0")
    if kind == ETH_IP6:
        return (_read(key, "ipv6_src") ^ _read(key, "ipv6_dst")).to_bytes(16, "big")
    return bytes(16)


def _layer2(key: Key) -> tuple[bytes, bytes, bytes]:
    """Type, VLAN and MACs over one another."""
    vids = (_read(key, "vlan_tci1") ^ _vid(key)) & _VID
    macs = _read(key, "eth_src") ^ _read(key, "eth_dst")
    return _octets(key, "eth_type", 2), vids.to_bytes(2, "big"), macs.to_bytes(6, "big")


def _vid(key: Key) -> int:
    value, known = key.get("vlan_tci")
    if ~known & _VID:
        raise _NotKnownError("vlan_tci")
    return value & _VID


def _is_any_ip(key: Key) -> bool:
    return _read(key, "eth_type") in (ETH_IP, ETH_IP6)


def _ports(key: Key) -> int:
    return _read(key, "tp_src") ^ _read(key, "tp_dst")


def _symmetric_l4(key: Key, basis: int) -> int:
    kind, vlan, macs = _layer2(key)
    protocol = _read(key, "ip_proto") if _is_any_ip(key) else 0
    ports = _ports(key) if _is_any_ip(key) and protocol in (TCP, _SCTP) else 0
    octets = _addresses(key) + kind + vlan + ports.to_bytes(2, "big") + macs + bytes((protocol, 0, 0, 0))
    return _jhash(octets, basis)


def _symmetric_l3(key: Key, basis: int) -> int:
    return _jhash(_addresses(key) + _octets(key, "eth_type", 2) + bytes(2), basis)


def _symmetric_l2(key: Key, basis: int) -> int:
    octets = b"".join(_layer2(key)) + bytes(2)
    value = basis
    for word in _three(octets):
        value = _added(value, word)
    return _finished(value, basis)


def _symmetric_l3l4(key: Key, basis: int, hashed: tuple[int, ...] = (TCP, _SCTP)) -> int:
    if not _is_any_ip(key):
        return _symmetric_l2(key, basis)
    octets = _addresses(key)
    value = basis
    for start in range(0, 4 if _read(key, "eth_type") == ETH_IP else 16, 4):
        value = _added(value, int.from_bytes(octets[start : start + 4], "little"))
    protocol = _read(key, "ip_proto")
    value = _added(value, protocol)
    if not _read(key, "nw_frag") & _LATER_OR_FIRST and protocol in hashed:
        value = _added(value, int.from_bytes(_ports(key).to_bytes(2, "big"), "little"))
    return _finished(value, basis)


def _address(end: str) -> Callable[[Key, int], int]:
    def hashed(key: Key, basis: int) -> int:
        kind = _read(key, "eth_type")
        if kind == ETH_IP:
            return _jhash(_octets(key, f"nw_{end}", 4), basis)
        return _jhash(_octets(key, f"ipv6_{end}", 16), basis) if kind == ETH_IP6 else basis

    return hashed


#: what ``multipath`` and ``bundle`` may hash
HASHED: Final[Mapping[str, Callable[[Key, int], int]]] = {
    "eth_src": lambda key, basis: _jhash(_octets(key, "eth_src", 6), basis),
    "symmetric_l4": _symmetric_l4,
    "symmetric_l3l4": _symmetric_l3l4,
    "symmetric_l3l4+udp": lambda key, basis: _symmetric_l3l4(key, basis, (TCP, _SCTP, UDP)),
    "symmetric_l3": _symmetric_l3,
    "nw_src": _address("src"),
    "nw_dst": _address("dst"),
}


def hash_of_fields(key: Key, fields: str, basis: int) -> int | None:
    """Hash what *fields* names (a key of ``HASHED``); None if a part of it is not known."""
    try:
        return HASHED[fields](key, basis)
    except _NotKnownError:
        return None


def hash_of_selection(key: Key, fields: Iterable[tuple[str, int | None]], parameter: int) -> int | None:
    """
    Hash the fields of a group, in the order of the switch's own table of fields.

    ``pick_hash_fields_select_group`` of ``ofproto-dpif-xlate.c``. Fields that the packet does not have are
    left out.
    """
    basis = _finished(_added(_added(0, parameter & _WORD), parameter >> 32), 8)
    places = {name: place for place, name in enumerate(_ORDER)}
    try:
        for spelt, mask in sorted(fields, key=lambda each: places.get(each[0], len(places))):
            protocol, _, end = spelt.partition("_")
            name = spelt
            if protocol in _PROTOCOLS:
                name = f"tp_{end}"
                if _read(key, "ip_proto") != _PROTOCOLS[protocol]:
                    continue
            field = FIELDS.get(name)
            if field is not None and not field.needs(key.packet):
                continue
            width = (
                PIPELINE[name] if field is None and name in PIPELINE else 0 if field is None else field.width
            )
            if not width:
                return None
            value = _read(key, name) & ((1 << width) - 1 if mask is None else mask)
            basis = _hash_octets(value.to_bytes((width + 7) // 8, "big"), basis)
    except _NotKnownError:
        return None
    return basis


_PROTOCOLS: Final = {"tcp": TCP, "udp": UDP, "sctp": _SCTP}
#: fields in the order of ``enum mf_field_id``
_ORDER: Final = (
    "tun_id", "tun_src", "tun_dst", "tun_ipv6_src", "tun_ipv6_dst", "tun_flags", "metadata", "in_port",
    "pkt_mark", "ct_state", "ct_zone", "ct_mark", "ct_label", *(f"reg{n}" for n in range(16)),
    "eth_src", "eth_dst", "eth_type", "vlan_tci", "mpls_label", "mpls_tc", "mpls_bos", "mpls_ttl",
    "nw_src", "nw_dst", "ipv6_src", "ipv6_dst", "ipv6_label", "ip_proto", "nw_tos", "nw_ttl", "nw_frag",
    "arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha", "tcp_src", "tcp_dst", "tcp_flags", "udp_src",
    "udp_dst", "sctp_src", "sctp_dst", "icmp_type",
    "icmp_code", "nd_target", "nd_sll", "nd_tll",
)  # fmt: skip
