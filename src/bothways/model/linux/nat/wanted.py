"""What is wanted for one side of one connection, and the part of a tuple that this side can change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.facts.address import IPAddress
from bothways.facts.choice import Oracle
from bothways.facts.conntrack import Tuple
from bothways.facts.packet import ICMP, ICMP6
from bothways.facts.quick import quick
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.tuple import inverse
from bothways.model.linux.nat.target import NatTarget, Side

__all__ = ["QUERIES", "Wanted", "port_of", "with_part"]

#: Protocols with an id in place of ports; it goes with either side.
QUERIES: Final = frozenset({ICMP, ICMP6})


@quick
@dataclass(frozen=True, slots=True)
class Wanted:
    """
    What is wanted for one side of one connection.

    :param target: what the rule says, None without one.
    """

    side: Side
    target: NatTarget | None
    connection: TrackedConnection
    table: ConntrackTable
    oracle: Oracle

    @property
    def sends(self) -> bool:
        """True if the port (or id) to be found is the sender's, which the kernel draws."""
        return self.side is Side.SOURCE

    @property
    def part(self) -> str:
        """``port``, or ``id`` for ICMP queries."""
        return "id" if self.connection.original.protocol in QUERIES else "port"

    def port(self, one: Tuple) -> int:
        """The port of a tuple that this side rewrites."""
        return port_of(one, self.side)

    def taken(self, one: Tuple) -> bool:
        """Whether answers to *one* are another connection's (``nf_nat_used_tuple``)."""
        return self.table.taken(inverse(one), self.connection)


def port_of(one: Tuple, side: Side) -> int:
    """The port of one side; for ICMP queries the id."""
    return one.sport if side is Side.SOURCE or one.protocol in QUERIES else one.dport


def with_part(one: Tuple, side: Side, *, ip: IPAddress | None = None, port: int | None = None) -> Tuple:
    """Rewrite address or port of one side."""
    src, dst, sport, dport = one.src, one.dst, one.sport, one.dport
    if ip is not None:
        src, dst = (ip, dst) if side is Side.SOURCE else (src, ip)
    if port is not None:
        sending = side is Side.SOURCE or one.protocol in QUERIES
        sport, dport = (port, dport) if sending else (sport, port)
    return Tuple(one.protocol, src, dst, sport, dport, one.icmp_type, one.icmp_code)
