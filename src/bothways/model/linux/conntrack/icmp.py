"""
ICMP and ICMPv6: queries and their answers are connections, errors belong to another's, the rest is refused.

``nf_conntrack_icmpv4_error``, ``nf_conntrack_icmp_packet`` (``net/netfilter/nf_conntrack_proto_icmp.c``) and
their like of ``nf_conntrack_proto_icmpv6.c``. ``icmp_error`` sorts a message before any entry is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bothways.facts.packet import ICMP, ICMP6, Icmp, Packet
from bothways.model.linux.conntrack.arrival import Arrival, Ruled, refresh
from bothways.model.linux.conntrack.checksum import refused_for_checksum
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.timeouts import ICMP_TIMEOUTS
from bothways.model.linux.conntrack.tuple import ICMP_ERRORS, ICMP_QUERIES

__all__ = ["REDIRECT6", "Sort", "Sorted", "icmp_error", "icmp_packet"]

#: The highest type that IPv4's tracker knows (``NR_ICMP_TYPES``).
_HIGHEST: Final = 18
#: What IPv6's tracker takes for an error is every type below this.
_INFORMATION: Final = 128
REDIRECT6: Final = 137
#: Messages of the link itself (neighbour discovery, multicast listeners): never tracked.
_OF_THE_LINK: Final = frozenset({130, 131, 132, 133, 134, 135, 136, 143})
#: Those by which multicast routers are found, which older kernels do not know; 153 is forgotten by all.
_MULTICAST_ROUTERS: Final = frozenset({151, 152})
#: Ethernet, IPv6, and what a redirect has before its options.
_REDIRECT_LENGTH: Final = 14 + 40 + 40
_ALL_HOPS: Final = 255


class Sort(StrEnum):
    """What becomes of an ICMP message."""

    QUERY = "query"  # looked up like any packet
    ERROR = "error"  # belongs to the connection of what it quotes
    UNTRACKED = "untracked"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Sorted:
    """A message before it is looked up; *ruled* says why it is refused, or left out of tracking."""

    sort: Sort
    ruled: Ruled


def icmp_error(packet: Packet, icmp: Icmp, arrival: Arrival) -> Sorted:
    """Sort a message (``nf_conntrack_icmpv4_error``, ``nf_conntrack_icmpv6_error``)."""
    protocol = ICMP if packet.ip is None else packet.ip.protocol
    if packet.ip is not None and (packet.ip.src.version == 6) is not (protocol == ICMP6):  # noqa: PLR2004
        return _A_QUERY  # ICMP in IPv6, or the other way round: its tracker refuses it later
    if icmp.checksum_ok is False:
        damaged = refused_for_checksum(arrival, f"nf_ct_proto_{protocol}: {_BAD_CHECKSUM[protocol]}")
        if damaged is not None:
            return Sorted(Sort.INVALID, damaged)
    return _sorted(icmp) if protocol == ICMP else _sorted6(packet, icmp, arrival)


def _sorted(icmp: Icmp) -> Sorted:
    if icmp.type > _HIGHEST:
        return Sorted(Sort.INVALID, _UNKNOWN_TYPE)
    return _AN_ERROR if icmp.type in ICMP_ERRORS[ICMP] else _A_QUERY


def _sorted6(packet: Packet, icmp: Icmp, arrival: Arrival) -> Sorted:
    if icmp.type in _OF_THE_LINK:
        return _LEFT_OUT
    if icmp.type in _MULTICAST_ROUTERS and arrival.variant.multicast_routers_untracked:
        return _LEFT_OUT
    if icmp.type == REDIRECT6:
        return _redirect(packet, icmp)
    return _AN_ERROR if icmp.type < _INFORMATION else _A_QUERY


def _redirect(packet: Packet, icmp: Icmp) -> Sorted:
    """``nf_conntrack_icmpv6_redirect``: only from the link's own router, one hop away."""
    ip = packet.ip
    if packet.length is not None and packet.length < _REDIRECT_LENGTH:
        return Sorted(Sort.INVALID, _SHORT_REDIRECT)
    if icmp.code != 0 or ip is None:
        return _A_QUERY
    if ip.ttl not in (None, _ALL_HOPS) or not ip.src.is_link_local:
        return Sorted(Sort.INVALID, _FOREIGN_REDIRECT)
    return _A_QUERY if icmp.inner is None else _AN_ERROR


def icmp_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """Take a query or its answer (``nf_conntrack_icmp_packet``, ``nf_conntrack_icmpv6_packet``)."""
    original = connection.original
    if (original.src.version == 6) is not (original.protocol == ICMP6):  # noqa: PLR2004
        return Ruled(valid=False, why=_OTHER_FAMILY)
    queries = ICMP_QUERIES.get(original.protocol, {})
    if original.icmp_type not in queries:
        return Ruled(valid=False, why=_ANSWER if original.icmp_type in queries.values() else _NO_QUERY)
    refresh(connection, arrival, ICMP_TIMEOUTS[original.protocol])
    return _VALID


_VALID: Final = Ruled(valid=True)
_BAD_CHECKSUM: Final = {ICMP: "bad hw icmp checksum", ICMP6: "ICMPv6 checksum failed"}
_A_QUERY: Final = Sorted(Sort.QUERY, _VALID)
_AN_ERROR: Final = Sorted(Sort.ERROR, _VALID)
_ANSWER: Final = (
    "an ICMP answer came, but no query passed here: the query took another path or its entry is gone"
)
_NO_QUERY: Final = "an ICMP message of this type opens no connection"
_OTHER_FAMILY: Final = "a message of the other IP version's ICMP is never tracked"
_LEFT_OUT: Final = Sorted(
    Sort.UNTRACKED,
    Ruled(True, "neighbour discovery and multicast listener messages are never tracked"),  # noqa: FBT003 (valid)
)
_UNKNOWN_TYPE: Final = Ruled(
    valid=False, why="no ICMP message has this type", log="nf_ct_proto_1: invalid icmp type"
)
_SHORT_REDIRECT: Final = Ruled(
    valid=False, why="its redirect is cut short", log="nf_ct_proto_58: short redirect"
)
_FOREIGN_REDIRECT: Final = Ruled(
    valid=False,
    why="a redirect must come from a link-local address, one hop away",
    log="nf_ct_proto_58: invalid saddr or hoplimit for redirect",
)
