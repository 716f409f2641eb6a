"""
UDP and UDP-Lite: what is refused, and when a connection counts as a stream.

``net/netfilter/nf_conntrack_proto_udp.c``: ``udp_error`` and ``nf_conntrack_udp_packet``, and their like for
UDP-Lite, which has no two seconds to wait.
"""

from __future__ import annotations

from typing import Final

from bothways.model.linux.conntrack.arrival import Arrival, Ruled, refresh
from bothways.model.linux.conntrack.checksum import refused_for_checksum
from bothways.model.linux.conntrack.entry import TrackedConnection

__all__ = ["UDPLITE", "udp_packet", "udplite_packet"]

UDPLITE: Final = 136
_UNREPLIED: Final = "nf_conntrack_udp_timeout"
_STREAM: Final = "nf_conntrack_udp_timeout_stream"


def udp_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """
    Take a datagram, or refuse a damaged one.

    Answered and still alive two seconds after its first packet, the connection is a stream: it gets the
    longer time and is ASSURED. The answer that comes first does not count as answered yet.
    """
    damaged = _damaged(arrival)
    if damaged is not None:
        return damaged
    variant, status = arrival.variant, connection.status
    if "CONFIRMED" not in status:
        connection.stream_ns = arrival.now_ns + variant.stream_after_ns
    if "SEEN_REPLY" not in status:
        refresh(connection, arrival, _UNREPLIED)
        return _VALID
    stream = arrival.now_ns > connection.stream_ns or not variant.stream_after_ns
    refresh(connection, arrival, _STREAM if stream else _UNREPLIED)
    if "NAT_CLASH" not in status and (stream or not variant.assured_as_stream):
        status.add("ASSURED")
    return _VALID


def udplite_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """
    Take a datagram of UDP-Lite (``nf_conntrack_udplite_packet``): any answered connection is a stream.

    The kernel sums it up as if it were UDP (``udplite_error`` asks with UDP's number), so a right checksum is
    a bad one to it; seen in 6.18.
    """
    damaged = refused_for_checksum(arrival, "nf_ct_proto_136: bad checksum")
    if damaged is not None:
        return damaged
    answered = "SEEN_REPLY" in connection.status
    refresh(connection, arrival, _STREAM if answered else _UNREPLIED)
    if answered and "NAT_CLASH" not in connection.status:
        connection.status.add("ASSURED")
    return _VALID


def _damaged(arrival: Arrival) -> Ruled | None:
    """``udp_error``."""
    udp = arrival.packet.udp
    if udp is None:
        return _SHORT
    if udp.header_ok is False:
        return _SHORT if udp.length is None else _MALFORMED
    if udp.checksum_ok is False:
        return refused_for_checksum(arrival, "nf_ct_proto_17: bad checksum")
    return None


_VALID: Final = Ruled(valid=True)
_SHORT: Final = Ruled(False, "its UDP header is cut short", "nf_ct_proto_17: short packet")  # noqa: FBT003 (valid)
_MALFORMED: Final = Ruled(
    valid=False,
    why="its UDP header says that it is longer than the packet, or shorter than a UDP header is",
    log="nf_ct_proto_17: truncated/malformed packet",
)
