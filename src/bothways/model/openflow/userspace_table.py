"""
The connections of Open vSwitch's own tracker.

``lib/conntrack.c``: a connection is found by its original tuple or by its reply tuple, in one zone; what
each protocol makes of a packet is in ``lib/conntrack-other.c``, ``-icmp.c`` and ``-tcp.c``. Only ``commit``
puts one into the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.packet import ICMP, ICMP6, TCP, Packet
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.tuple import ICMP_QUERIES, inverse
from bothways.model.openflow.userspace_tcp import (
    LIFE_S,
    Peer,
    PeerState,
    Ruling,
    UserspaceTcp,
    may_open,
    opened,
    update,
)

__all__ = ["Connection", "Connections", "begins"]

_SECOND: Final = 1_000_000_000
_FIRST_S, _ANSWERED_S = 60, 30
#: What a zone's rows of a dump say of TCP -> both sides.
_SEEDED: Final = {
    "SYN_SENT": (PeerState.SYN_SENT, PeerState.CLOSED),
    "SYN_RECV": (PeerState.SYN_SENT, PeerState.SYN_SENT),
    "ESTABLISHED": (PeerState.ESTABLISHED, PeerState.ESTABLISHED),
    "FIN_WAIT_1": (PeerState.CLOSING, PeerState.ESTABLISHED),
    "FIN_WAIT_2": (PeerState.FIN_WAIT_2, PeerState.ESTABLISHED),
    "CLOSE_WAIT": (PeerState.ESTABLISHED, PeerState.CLOSING),
    "CLOSING": (PeerState.CLOSING, PeerState.CLOSING),
    "LAST_ACK": (PeerState.CLOSING, PeerState.CLOSING),
    "TIME_WAIT": (PeerState.TIME_WAIT, PeerState.TIME_WAIT),
    "CLOSED": (PeerState.CLOSED, PeerState.CLOSED),
}


@dataclass(slots=True, eq=False)
class Connection:
    """
    One connection; two are the same only if they are the same object.

    :param reply: what an answer looks like; carries the translation.
    :param nat: what the connection was committed with: ``SNAT``, ``DNAT`` or "".
    :param answered: True once a reply passed. Not asked of TCP.
    """

    original: Tuple
    reply: Tuple
    zone: int
    nat: str = ""
    mark: int = 0
    label: int = 0
    tcp: UserspaceTcp | None = None
    answered: bool = False
    expires_ns: int | None = None
    evidence: tuple[Span, ...] = ()

    def __str__(self) -> str:
        """``192.0.2.1:1024 > 192.0.2.2:22``."""
        return str(self.original)

    @property
    def state(self) -> str:
        """The state in words."""
        if self.tcp is not None:
            return self.tcp.state
        return "answered" if self.answered else "not answered"

    def take(self, packet: Packet, way: Way, now_ns: int) -> Ruling:
        """Let a packet of the connection act on it."""
        reply = way is Way.REPLY
        if self.tcp is not None and packet.tcp is not None:
            ruling = update(self.tcp, packet.tcp, reply=reply)
            if ruling is not Ruling.INVALID:
                self.expires_ns = now_ns + LIFE_S[self.tcp.limit] * _SECOND
            return ruling
        self.answered = self.answered or reply
        self.expires_ns = now_ns + (_ANSWERED_S if self.answered else _FIRST_S) * _SECOND
        return Ruling.VALID if self.answered else Ruling.STILL_NEW


def begins(packet: Packet) -> bool:
    """Whether a packet without a connection may begin one."""
    if packet.tcp is not None:
        return may_open(packet.tcp)
    if packet.icmp is not None and packet.ip is not None:
        return packet.icmp.type in ICMP_QUERIES.get(packet.ip.protocol, {})
    return True


class Connections:
    """All connections of one datapath."""

    def __init__(self, rows: Iterable[Entry] = ()) -> None:
        self._table: dict[tuple[int, Tuple], tuple[Connection, Way]] = {}
        for row in rows:
            self.add(_seeded(row))

    def find(self, zone: int, one: Tuple, now_ns: int) -> tuple[Connection, Way] | None:
        """The connection of a tuple and the tuple's direction; one whose time is over is gone."""
        found = self._table.get((zone, one))
        if found is not None and found[0].expires_ns is not None and found[0].expires_ns <= now_ns:
            self.remove(found[0])
            return None
        return found

    def open(self, packet: Packet, one: Tuple, zone: int, now_ns: int) -> Connection:
        """Make a connection for its first packet; it is not in the table yet."""
        tcp = None if packet.tcp is None else opened(packet.tcp)
        life = _FIRST_S if tcp is None else LIFE_S[tcp.limit]
        return Connection(one, inverse(one), zone, tcp=tcp, expires_ns=now_ns + life * _SECOND)

    def add(self, connection: Connection) -> None:
        """Take a connection in; the original direction wins where both read the same."""
        self._table[connection.zone, connection.reply] = (connection, Way.REPLY)
        self._table[connection.zone, connection.original] = (connection, Way.ORIGINAL)

    def remove(self, connection: Connection) -> None:
        """Take a connection out."""
        for one in (connection.original, connection.reply):
            found = self._table.get((connection.zone, one))
            if found is not None and found[0] is connection:
                del self._table[connection.zone, one]

    def forget(self, ours: Callable[[Entry], bool]) -> None:
        """Remove every connection for which *ours* is true."""
        for connection, way in list(self._table.values()):
            if way is Way.ORIGINAL and ours(_entry(connection)):
                self.remove(connection)


def _entry(connection: Connection) -> Entry:
    span = connection.evidence[0] if connection.evidence else Span("", text=f"made by the walk: {connection}")
    return Entry(
        connection.original,
        connection.reply,
        span,
        connection.state,
        mark=connection.mark,
        zone=connection.zone,
    )


def _seeded(row: Entry) -> Connection:
    """
    The connection that a row of ``dpctl/dump-conntrack`` shows.

    A row shows no numbers, so those of its sides are not known. A translation is read from the tuples.
    """
    plain, reply = inverse(row.original), row.reply
    nat = ""
    if (reply.dst, reply.dport) != (plain.dst, plain.dport):
        nat = "SNAT"
    elif (reply.src, reply.sport) != (plain.src, plain.sport):
        nat = "DNAT"
    tcp = None
    if row.original.protocol == TCP:
        one, other = _SEEDED.get(row.state or "", _SEEDED["ESTABLISHED"])
        tcp = UserspaceTcp(Peer(one, known=False), Peer(other, known=False))
    # A row of another protocol tells by its time alone whether an answer passed: never more than 30 s then.
    query = row.original.protocol in (ICMP, ICMP6)
    answered = not (query and (row.timeout or 0) > _ANSWERED_S)
    return Connection(
        row.original,
        reply,
        row.zone,
        nat,
        row.mark,
        row.label,
        tcp,
        answered,
        None if row.timeout is None else row.timeout * _SECOND,
        (row.span,),
    )
