"""
An ICMP error belongs to the connection of the packet that it quotes.

``nf_conntrack_inet_error`` of ``net/netfilter/nf_conntrack_proto_icmp.c``: the quoted packet is turned round
and looked up; the error must go where that connection's packets go.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Assumption, Oracle
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import Packet
from bothways.model.linux.conntrack.entry import CtState, Tracking
from bothways.model.linux.conntrack.expiry import Found
from bothways.model.linux.conntrack.tuple import ICMP_QUERIES, inverse, tuple_of

__all__ = ["related"]


def _quoted_reversed(packet: Packet) -> Tuple | str:
    """
    The tuple by which the connection of the quoted packet is found; else why there is none.

    "" means that the evidence does not hold the quoted packet.
    """
    inner = None if packet.icmp is None else packet.icmp.inner
    if inner is None or inner.ip is None:
        return ""
    if inner.ip.offset:
        return "an ICMP error about a later fragment, which has no ports"
    one = tuple_of(inner)
    if one is None:
        return ""
    if one.icmp_type is not None:
        queries = ICMP_QUERIES.get(one.protocol, {})
        if one.icmp_type not in queries and one.icmp_type not in queries.values():
            return "an ICMP error about an ICMP message that belongs to no connection"
    return inverse(one)


def related(packet: Packet, find: Callable[[Tuple], Found], *, oracle: Oracle, label: str) -> Tracking:
    """
    Find the connection that an error is about.

    :param find: looks a tuple up.
    :param label: of the namespace.
    """
    wanted = _quoted_reversed(packet)
    if isinstance(wanted, str):
        if not wanted:
            text = f"an ICMP error at {label} whose quoted packet was not recorded is INVALID there"
            oracle.assume(Assumption(text, missing="a capture of whole packets (tcpdump -s 0 -w)"))
        return Tracking(CtState.INVALID, None, None, None, wanted or _NOT_QUOTED)
    gone, found = find(wanted)
    if found is None:
        why = f"an ICMP error about {inverse(wanted)}, which is no connection known here"
        return Tracking(CtState.INVALID, None, None, None, gone.then(why), gone.evidence)
    connection, way = found
    ours = connection.tuple_of(way).dst
    ip = packet.ip
    if ip is not None and ip.dst != ours:
        why = f"an ICMP error sent to {ip.dst} about a packet of {ours}"
        log = f"nf_ct_proto_{ip.protocol}: outer daddr {_shown(ip.dst)} != inner {_shown(ours)}"
        return Tracking(
            CtState.INVALID, None, None, None, why, connection.evidence, log, refused_by=connection
        )
    why = f"an ICMP error about the connection {connection}"
    return Tracking(CtState.RELATED, way, connection, None, why, connection.evidence)


def _shown(one: IPAddress) -> str:
    """The kernel's %pI4 and %pI6: the latter writes all digits."""
    return one.exploded if isinstance(one, IPv6Address) else str(one)


_NOT_QUOTED: Final = "an ICMP error whose quoted packet is not recorded"
