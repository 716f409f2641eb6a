"""
What each protocol makes of a packet that belongs to a connection, or that opens one.

One function per protocol, as in ``net/netfilter/nf_conntrack_proto_*.c``: it moves the entry, sets its
time, or refuses the packet. The rules of TCP, UDP and ICMP are in ``tcp_packet``, ``udp`` and ``icmp``.
Protocols without a row in ``PROTOCOLS`` are generic: every packet is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from bothways.facts.packet import ICMP, ICMP6, TCP, UDP
from bothways.model.linux.conntrack.arrival import Arrival, Ruled, refresh
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.icmp import icmp_packet
from bothways.model.linux.conntrack.tcp_packet import tcp_packet
from bothways.model.linux.conntrack.timeouts import GENERIC
from bothways.model.linux.conntrack.udp import UDPLITE, udp_packet, udplite_packet

__all__ = ["GRE", "PROTOCOLS", "generic_packet"]

GRE: Final = 47


def generic_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """Take anything (``nf_conntrack_proto_generic.c``)."""
    refresh(connection, arrival, GENERIC)
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

#: IP protocol -> its tracker.
PROTOCOLS: Final[Mapping[int, Callable[[TrackedConnection, Arrival], Ruled]]] = MappingProxyType(
    {
        TCP: tcp_packet,
        UDP: udp_packet,
        UDPLITE: udplite_packet,
        ICMP: icmp_packet,
        ICMP6: icmp_packet,
        GRE: _gre_packet,
    }
)
