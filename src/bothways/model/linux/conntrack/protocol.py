"""
What each protocol makes of a packet that belongs to a connection, or that opens one.

One function per protocol, as in ``net/netfilter/nf_conntrack_proto_*.c``: it moves the entry, sets its
time, or refuses the packet. TCP's own rules are in ``tcp_packet``. Protocols without a row in
``PROTOCOLS`` are generic: every packet is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bothways.facts.packet import ICMP, ICMP6, TCP, UDP
from bothways.model.linux.conntrack.arrival import Arrival, Ruled, refresh
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.tcp_packet import tcp_packet
from bothways.model.linux.conntrack.timeouts import GENERIC, ICMP_TIMEOUTS
from bothways.model.linux.conntrack.tuple import ICMP_QUERIES

__all__ = ["GRE", "PROTOCOLS", "generic_packet"]

GRE: Final = 47


def generic_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """Take anything (``nf_conntrack_proto_generic.c``)."""
    refresh(connection, arrival, GENERIC)
    return _VALID


def _udp_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """``nf_conntrack_proto_udp.c``: answered and still active later, it is a stream, and ASSURED."""
    if "CONFIRMED" not in connection.status:
        connection.stream_ns = arrival.now_ns + arrival.variant.stream_after_ns
    if "SEEN_REPLY" in connection.status and arrival.now_ns >= connection.stream_ns:
        refresh(connection, arrival, "nf_conntrack_udp_timeout_stream")
        connection.status.add("ASSURED")
    else:
        refresh(connection, arrival, "nf_conntrack_udp_timeout")
    return _VALID


def _icmp_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """``nf_conntrack_proto_icmp.c``, ``…_icmpv6.c``: only a query opens a connection."""
    original = connection.original
    queries = ICMP_QUERIES.get(original.protocol, {})
    if "CONFIRMED" not in connection.status and original.icmp_type not in queries:
        return Ruled(valid=False, why=_ANSWER if original.icmp_type in queries.values() else _NO_QUERY)
    refresh(connection, arrival, ICMP_TIMEOUTS[original.protocol])
    return _VALID


def _gre_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """``nf_conntrack_proto_gre.c``: told apart by addresses alone, keys are not followed."""
    if "SEEN_REPLY" in connection.status:
        refresh(connection, arrival, "nf_conntrack_gre_timeout_stream")
        connection.status.add("ASSURED")
    else:
        refresh(connection, arrival, "nf_conntrack_gre_timeout")
    return _VALID


_VALID: Final = Ruled(valid=True)
_ANSWER: Final = (
    "an ICMP answer came, but no query passed here: the query took another path or its entry is gone"
)
_NO_QUERY: Final = "an ICMP message of this type opens no connection"

#: IP protocol -> its tracker.
PROTOCOLS: Final[Mapping[int, Callable[[TrackedConnection, Arrival], Ruled]]] = MappingProxyType(
    {TCP: tcp_packet, UDP: _udp_packet, ICMP: _icmp_packet, ICMP6: _icmp_packet, GRE: _gre_packet}
)
