"""
All connections of one namespace: look up, create, confirm, expire, forget.

``net/netfilter/nf_conntrack_core.c``. ``track`` is ``nf_conntrack_in``: it finds the entry of a packet or
makes one, and lets the protocol's tracker judge. A new entry stands in the table only once ``confirm``
(``nf_confirm``, the last act of the hooks INPUT and POSTROUTING) took it in, so a packet that is dropped
before leaves none. Time is passed in; an entry that is over is dropped when it is met.

Not followed: helpers and the connections that they expect, the limit of entries (``nf_conntrack_max``),
reassembly of fragments, zones that hold for one direction only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from bothways.facts.choice import Assumption, Oracle
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.packet import ICMP6, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.arrival import Arrival, Ruled
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection, Tracking, as_entry, seeded
from bothways.model.linux.conntrack.protocol import PROTOCOLS, generic_packet
from bothways.model.linux.conntrack.settings import Settings
from bothways.model.linux.conntrack.tcp_judge import Ruling
from bothways.model.linux.conntrack.tuple import (
    Key,
    inverse,
    is_icmp_error,
    key_of,
    key_of_packet,
    quoted,
    tuple_of,
)
from bothways.model.linux.conntrack.variant import variant_of
from bothways.model.linux.hook import Hook

__all__ = ["ConntrackTable"]

# Names of the module are found ten times as quickly as members of an enum, and each packet comes by here.
_ORIGINAL: Final = Way.ORIGINAL
_REPLY: Final = Way.REPLY
_NEW: Final = CtState.NEW
_ESTABLISHED: Final = CtState.ESTABLISHED
_REOPEN: Final = Ruling.REOPEN
_PREROUTING: Final = Hook.PREROUTING
#: Makes a named tuple of all its fields, in half the time: for what is made for each packet.
_made: Final = tuple.__new__
#: ICMPv6 messages of the link itself (neighbour discovery, multicast listeners): never tracked.
_LINK_LOCAL: Final = frozenset({130, 131, 132, 133, 134, 135, 136, 143})
#: Protocols that Linux follows by a state machine of their own, and this table as generic ones.
_UNMODELLED: Final = {33: "DCCP", 132: "SCTP"}


class ConntrackTable:
    """
    The entries of one namespace.

    :param netns: its ``conntrack`` rows are taken in, with their time running from 0 on; its sysctls
        are read. A default is told to *oracle* when it decides something.
    :param kernel: release, for behaviour that differs; None takes the newest.
    :param settings: its sysctls, where they were read already.
    """

    def __init__(
        self, netns: Netns, *, oracle: Oracle, kernel: str | None, settings: Settings | None = None
    ) -> None:
        self._oracle = oracle
        self._label = netns.label
        self._settings = settings or Settings(netns, oracle)
        self._variant = variant_of(kernel)
        self._now_ns = 0
        self._table: dict[Key, tuple[TrackedConnection, Way]] = {}
        for row in netns.conntrack or ():
            connection = seeded(row)
            if not self._keys(connection) & self._table.keys():
                self._insert(connection)

    # -- what the hooks call --------------------------------------------------------------------

    def track(
        self,
        packet: Packet,
        now_ns: int,
        *,
        zone: int = 0,
        hook: Hook = _PREROUTING,
        notrack: bool = False,
    ) -> Tracking:
        """
        Find what a packet is to this namespace (``nf_conntrack_in``, at PREROUTING or OUTPUT).

        :param zone: what ``-j CT --zone`` gave it.
        :param notrack: True if ``-j CT --notrack`` took it out before.
        """
        self._now_ns = now_ns
        if notrack:
            return Tracking(CtState.UNTRACKED, None, None, None, _NOTRACK)
        key = key_of_packet(zone, packet)
        if key is None:
            one = tuple_of(packet)
            if one is None:
                return self._unreadable(packet)
            if one.protocol == ICMP6 and one.icmp_type in _LINK_LOCAL:
                return Tracking(CtState.UNTRACKED, None, None, None, _LINK)
            if is_icmp_error(packet):
                return self._related(packet, zone)
            key = key_of(zone, one)
        while True:
            gone, found = self._found(key)
            fresh = found is None
            connection, way = found or (_opened(packet, zone), _ORIGINAL)
            seen = way is _REPLY or "SEEN_REPLY" in connection.status
            protocol = connection.original.protocol
            if connection.evidence or protocol in _UNMODELLED:
                self._say_what_is_not_known(connection)
            arrival = _made(Arrival, (packet, way, hook, now_ns, self._settings, self._variant))
            ruled = PROTOCOLS.get(protocol, generic_packet)(connection, arrival)
            judgement = ruled.judgement
            if judgement is None or judgement.ruling is not _REOPEN:
                break
            self._remove(connection)
        if not ruled.valid:
            return _refused(ruled, None if fresh else connection, gone)
        if way is _REPLY:
            connection.status.add("SEEN_REPLY")
        if judgement is not None and judgement.destroy:
            self._remove(connection)
        state = _ESTABLISHED if seen else _NEW
        why = ruled.why or _WHY[state, way, fresh]
        why = why if gone is _NOTHING_GONE else gone.then(why)
        evidence = connection.evidence + gone.evidence + ruled.evidence
        return _made(Tracking, (state, way, connection, judgement, why, evidence, ruled.log, None))

    def confirm(self, tracking: Tracking, now_ns: int) -> str | None:
        """
        Take a new connection into the table (``__nf_conntrack_confirm``).

        :return: why its packet is dropped here; None if it goes on.
        """
        self._now_ns = now_ns
        connection = tracking.connection
        if connection is None or tracking.way is not _ORIGINAL or "CONFIRMED" in connection.status:
            return None
        for way in (_ORIGINAL, _REPLY):
            _, found = self._lookup(connection.zone, connection.tuple_of(way))
            if found is not None:
                return (
                    f"another connection ({found[0]}) has the same addresses and ports in its {found[1]} "
                    f"direction as this one in its {way} direction: counted as insert_failed and dropped"
                )
        connection.status.add("CONFIRMED")
        self._insert(connection)
        return None

    # -- what NAT asks --------------------------------------------------------------------------

    def taken(self, reply: Tuple, ours: TrackedConnection) -> bool:
        """
        Whether another connection already answers to *reply* (``nf_conntrack_tuple_taken``).

        One with the same original tuple is the same flow and does not count.
        """
        _, found = self._lookup(ours.zone, reply)
        return found is not None and found[0] is not ours and found[0].original != ours.original

    def translated_source(self, now: Tuple, ours: TrackedConnection) -> list[Tuple]:
        """
        What other connections whose source is that of *now* have as their translated one, the newest first.

        Connections that NAT never saw (``SRC_NAT_DONE``) do not count (``nf_nat_bysource``).
        """
        wanted = (now.protocol, now.src, now.sport)
        return [
            inverse(each.reply)
            for each in reversed(self._connections())
            if (each.original.protocol, each.original.src, each.original.sport) == wanted
            and each.zone == ours.zone
            and "SRC_NAT_DONE" in each.status
            and not self._over(each)
        ]

    def answered_by(self, reply: Tuple, ours: TrackedConnection) -> TrackedConnection | None:
        """Return the connection, if any, whose answers look like *reply*."""
        _, found = self._lookup(ours.zone, reply)
        return found[0] if found is not None and found[1] is Way.REPLY and found[0] is not ours else None

    def kill(self, connection: TrackedConnection) -> None:
        """Remove a connection at once (``nf_ct_kill``)."""
        self._remove(connection)

    @property
    def label(self) -> str:
        """``host/netns``."""
        return self._label

    # -- what a walk does -----------------------------------------------------------------------

    def forget(self, ours: Callable[[Entry], bool]) -> None:
        """Remove every entry for which *ours* is true."""
        for connection in self._connections():
            if ours(as_entry(connection, self._now_ns)):
                self._remove(connection)

    def entries(self) -> tuple[Entry, ...]:
        """All entries that are not over, as ``conntrack -L`` would show them."""
        return tuple(as_entry(each, self._now_ns) for each in self._connections() if not self._over(each))

    def connections(self) -> tuple[TrackedConnection, ...]:
        """All connections that are not over."""
        return tuple(each for each in self._connections() if not self._over(each))

    # -- the table itself -----------------------------------------------------------------------

    def _say_what_is_not_known(self, connection: TrackedConnection) -> None:
        protocol = connection.original.protocol
        if protocol in _UNMODELLED:
            name = _UNMODELLED[protocol]
            text = f"{name} is tracked in {self._label} like any protocol; its states are not modelled"
            self._oracle.assume(Assumption(text))
        if "OFFLOAD" in connection.status or "HW_OFFLOAD" in connection.status:
            text = f"a packet of {connection} passes the hooks of {self._label} although it is offloaded"
            self._oracle.assume(Assumption(text, missing="nft list flowtables"))

    def _related(self, packet: Packet, zone: int) -> Tracking:
        """``nf_conntrack_inet_error``: an ICMP error belongs to the connection of the packet it quotes."""
        inner = quoted(packet)
        if inner is None or packet.ip is None:
            self._oracle.assume(
                Assumption(
                    f"an ICMP error at {self._label} whose quoted packet was not recorded is INVALID there",
                    missing="a capture of whole packets (tcpdump -s 0 -w)",
                )
            )
            return Tracking(CtState.INVALID, None, None, None, _NOT_QUOTED)
        gone, found = self._lookup(zone, inverse(inner))
        if found is None:
            why = f"an ICMP error about {inner}, which is no connection known here"
            return Tracking(CtState.INVALID, None, None, None, gone.then(why), gone.evidence)
        connection, way = found
        if packet.ip.dst != connection.tuple_of(way).dst:
            outer, ours = packet.ip.dst, connection.tuple_of(way).dst
            why = f"an ICMP error sent to {outer} about a packet of {ours}"
            log = f"nf_ct_proto_{packet.ip.protocol}: outer daddr {outer} != inner {ours}"
            return Tracking(
                CtState.INVALID, None, None, None, why, connection.evidence, log, refused_by=connection
            )
        why = f"an ICMP error about the connection {connection}"
        return Tracking(CtState.RELATED, way, connection, None, why, connection.evidence)

    def _unreadable(self, packet: Packet) -> Tracking:
        if packet.ip is not None and packet.ip.offset:
            text = f"a later fragment is INVALID in {self._label}: reassembly before it is not modelled"
            self._oracle.assume(Assumption(text))
            return Tracking(CtState.INVALID, None, None, None, _FRAGMENT)
        return Tracking(CtState.INVALID, None, None, None, _CUT)

    def _lookup(self, zone: int, one: Tuple) -> tuple[_Gone, tuple[TrackedConnection, Way] | None]:
        """Find an entry by its tuple; one that is over goes."""
        return self._found(key_of(zone, one))

    def _found(self, key: Key) -> tuple[_Gone, tuple[TrackedConnection, Way] | None]:
        found = self._table.get(key)
        if found is None:
            return _NOTHING_GONE, None
        connection = found[0]
        if connection.expires_ns is None or connection.expires_ns > self._now_ns:
            return _NOTHING_GONE, found
        self._remove(connection)
        lines = connection.evidence + self._settings.relied_on(connection.limit)
        source = f" ({connection.limit})" if connection.limit else ""
        return _Gone(f"the entry {connection} had expired{source}", lines), None

    def _over(self, connection: TrackedConnection) -> bool:
        return connection.expires_ns is not None and connection.expires_ns <= self._now_ns

    def _connections(self) -> list[TrackedConnection]:
        # Of one that talks to itself, both directions are the same and found as the reply.
        return [
            connection
            for connection, way in self._table.values()
            if way is _ORIGINAL or connection.original == connection.reply
        ]

    def _keys(self, connection: TrackedConnection) -> set[Key]:
        return {key_of(connection.zone, connection.original), key_of(connection.zone, connection.reply)}

    def _insert(self, connection: TrackedConnection) -> None:
        self._table[key_of(connection.zone, connection.original)] = (connection, _ORIGINAL)
        self._table[key_of(connection.zone, connection.reply)] = (connection, _REPLY)

    def _remove(self, connection: TrackedConnection) -> None:
        connection.status.add("DYING")
        for key in self._keys(connection):
            if key in self._table and self._table[key][0] is connection:
                del self._table[key]


def _opened(packet: Packet, zone: int) -> TrackedConnection:
    """An entry that is not in the table yet, for a packet that belongs to none there."""
    one = tuple_of(packet)
    if one is None:
        raise LookupError(packet)  # what has a key has a tuple
    return TrackedConnection(one, inverse(one), zone)


@dataclass(frozen=True, slots=True)
class _Gone:
    """An entry that was over when it was met; without a sentence, none was."""

    why: str = ""
    evidence: tuple[Span, ...] = ()

    def then(self, why: str) -> str:
        """The sentence about a packet, behind the one about the entry that was over."""
        return f"{self.why}; {why}" if self.why else why


_NOTHING_GONE: Final = _Gone()


def _refused(ruled: Ruled, met: TrackedConnection | None, gone: _Gone) -> Tracking:
    return Tracking(
        CtState.INVALID,
        None,
        None,
        ruled.judgement,
        gone.then(ruled.why),
        (() if met is None else met.evidence) + gone.evidence + ruled.evidence,
        ruled.log,
        met,
    )


_NOTRACK: Final = "a rule took it out of connection tracking (notrack)"
_LINK: Final = "neighbour discovery and multicast listener messages are never tracked"
_CUT: Final = "its transport header is missing or cut short"
_FRAGMENT: Final = "a later fragment, which has no ports of its own"
_NOT_QUOTED: Final = "an ICMP error whose quoted packet is not recorded"
_ANSWER: Final = "the answer of a known connection"
_KNOWN: Final = "belongs to a connection that was seen both ways"
#: (state, direction, made just now) -> sentence.
_WHY: Final = {
    (CtState.NEW, Way.ORIGINAL, True): "the first packet of a connection: an entry is made",
    (CtState.NEW, Way.ORIGINAL, False): "belongs to a connection that no answer has passed for yet",
    (CtState.ESTABLISHED, Way.ORIGINAL, False): _KNOWN,
    (CtState.ESTABLISHED, Way.REPLY, False): _ANSWER,
}
