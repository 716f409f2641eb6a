"""
What a program is told where its packet goes no further: by an ICMP error, or by its own stack.

``icmp_err_convert`` of ``net/ipv4/icmp.c`` and ``icmpv6_err_convert`` of ``net/ipv6/icmp.c``. A packet that
is too big ends no attempt: the path is remembered instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from bothways.facts.packet import Packet
from bothways.facts.step import Did, Step

__all__ = ["REFUSED", "pathless", "told_by"]

REFUSED: Final = "Connection refused"
_NETWORK: Final = "Network is unreachable"
_HOST: Final = "No route to host"
_DENIED: Final = "Permission denied"
_UNREACHABLE: Final[Mapping[int, Mapping[int, str]]] = {
    4: {
        **dict.fromkeys((0, 6, 9, 11), _NETWORK), **dict.fromkeys((1, 10, 12, 13, 14, 15), _HOST), 3: REFUSED,
        2: "Protocol not available", 5: "Operation not supported", 7: "Host is down",
        8: "Machine is not on the network",
    },
    6: {0: _NETWORK, 1: _DENIED, 2: _HOST, 3: _HOST, 4: REFUSED, 5: _DENIED, 6: _DENIED},
}  # fmt: skip
#: Type of *unreachable* and of *time exceeded*, by IP version.
_TYPES: Final = {4: (3, 11), 6: (1, 3)}
#: Functions in which a packet of the namespace itself ends without a way, and how their steps end.
_ROUTED: Final = frozenset({"ip_route_output_flow", "ip6_route_output_flags"})


def told_by(packet: Packet) -> str | None:
    """The error that an ICMP packet means to who opens a connection, None if it means none."""
    ip, icmp = packet.ip, packet.icmp
    if ip is None or icmp is None or icmp.inner is None:
        return None
    unreachable, expired = _TYPES[ip.src.version]
    if icmp.type == expired:
        return _HOST
    return _UNREACHABLE[ip.src.version].get(icmp.code) if icmp.type == unreachable else None


def pathless(trails: Sequence[Sequence[Step]]) -> str | None:
    """The error of a stack that has no way for a packet of its own, None if it has one."""
    last = next((trail[-1] for trail in trails if trail), None)
    if last is None or last.did is not Did.DROPPED or last.function not in _ROUTED:
        return None
    return next(
        (error for error in (_NETWORK, _HOST, _DENIED, "Invalid argument") if f"({error})" in last.reason),
        None,
    )
