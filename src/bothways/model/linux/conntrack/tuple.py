"""
One direction of a connection as the tracker stores it, and the packet that it names.

``net/netfilter/nf_conntrack_core.c`` (``nf_ct_get_tuple``, ``nf_ct_invert_tuple``) and the protocol
files beside it: ports for TCP and UDP, id, type and code for ICMP queries, addresses alone for others.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from bothways.facts.address import Endpoint, IPAddress
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Packet

__all__ = [
    "ICMP_ERRORS",
    "ICMP_QUERIES",
    "Key",
    "inverse",
    "is_icmp_error",
    "key_of",
    "key_of_packet",
    "quoted",
    "readdressed",
    "tuple_of",
]

#: ICMP query -> its answer, per protocol. Only a query opens an entry.
ICMP_QUERIES: Final[Mapping[int, Mapping[int, int]]] = {
    ICMP: {8: 0, 13: 14, 15: 16, 17: 18},
    ICMP6: {128: 129, 139: 140},
}
#: ICMP errors, which quote the packet that they are about. Of ICMPv6 every type below 128 counts as one.
ICMP_ERRORS: Final[Mapping[int, frozenset[int]]] = {
    ICMP: frozenset({3, 4, 5, 11, 12}),
    ICMP6: frozenset({*range(128), 137}),
}
#: Protocols whose tuple needs more than addresses.
_WITH_HEADER: Final = frozenset({TCP, UDP, ICMP, ICMP6})
_ANSWERED_BY: Final = {
    protocol: {**pairs, **{answer: query for query, answer in pairs.items()}}
    for protocol, pairs in ICMP_QUERIES.items()
}


def tuple_of(packet: Packet) -> Tuple | None:
    """The tuple of a packet's own header; None without IP, for later fragments and for cut headers."""
    ip = packet.ip
    if ip is None or ip.offset:
        return None
    transport = packet.tcp or packet.udp
    if transport is not None:
        return Tuple(ip.protocol, ip.src, ip.dst, transport.sport, transport.dport)
    if packet.icmp is not None:
        icmp = packet.icmp
        return Tuple(ip.protocol, ip.src, ip.dst, icmp.id or 0, 0, icmp.type, icmp.code)
    if ip.protocol in _WITH_HEADER:
        return None
    return Tuple(ip.protocol, ip.src, ip.dst)


#: Zone, protocol, family, source, destination, ports, and what ICMP has in their place.
Key = tuple[int, int, type[IPAddress], int, int, int, int, int | None, int | None]


def key_of(zone: int, one: Tuple) -> Key:
    """What a tuple is found by: numbers, since an address takes four times as long to hash and to compare."""
    src: Any = one.src
    dst: Any = one.dst
    return (
        zone, one.protocol, type(src), src._ip, dst._ip, one.sport, one.dport,  # noqa: SLF001 (``number``, but without a call)
        one.icmp_type, one.icmp_code,
    )  # fmt: skip


def key_of_packet(zone: int, packet: Packet) -> Key | None:
    """``key_of`` the tuple of a TCP or UDP packet, which most are, without making that; None for others."""
    ip, transport = packet.ip, packet.tcp or packet.udp
    if ip is None or ip.offset or transport is None:
        return None
    src: Any = ip.src
    dst: Any = ip.dst
    return (
        zone, ip.protocol, type(src), src._ip, dst._ip, transport.sport, transport.dport,  # noqa: SLF001
        None, None,
    )  # fmt: skip


def inverse(one: Tuple) -> Tuple:
    """
    The tuple of the answer. An ICMP type without an answer keeps its type.

    >>> from bothways.facts.address import address
    >>> str(inverse(Tuple(6, address("192.0.2.1"), address("192.0.2.2"), 1024, 22)))
    '192.0.2.2:22 > 192.0.2.1:1024'
    """
    if one.icmp_type is not None:
        answer = _ANSWERED_BY.get(one.protocol, {}).get(one.icmp_type, one.icmp_type)
        return Tuple(one.protocol, one.dst, one.src, one.sport, one.dport, answer, one.icmp_code)
    return Tuple(one.protocol, one.dst, one.src, one.dport, one.sport)


def is_icmp_error(packet: Packet) -> bool:
    """True for an ICMP message that is about another packet."""
    if packet.ip is None or packet.icmp is None:
        return False
    return packet.icmp.type in ICMP_ERRORS.get(packet.ip.protocol, frozenset())


def quoted(packet: Packet) -> Tuple | None:
    """The tuple of the packet that an ICMP error quotes, None if it is not one or not recorded."""
    inner = packet.icmp.inner if packet.icmp is not None and is_icmp_error(packet) else None
    return None if inner is None else tuple_of(inner)


def readdressed(packet: Packet, wanted: Tuple, *, source: bool) -> Packet:
    """
    Rewrite one side of a packet: its source if *source*, else its destination.

    An ICMP query has no ports: its id is rewritten with the source.
    """
    if packet.tcp is not None or packet.udp is not None:
        return packet.with_source(wanted.source) if source else packet.with_destination(wanted.destination)
    if source:
        packet = packet.with_source(Endpoint(wanted.src))
    else:
        packet = packet.with_destination(Endpoint(wanted.dst))
    if packet.icmp is None or is_icmp_error(packet) or packet.icmp.id is None:
        return packet
    return replace(packet, icmp=replace(packet.icmp, id=wanted.sport))
