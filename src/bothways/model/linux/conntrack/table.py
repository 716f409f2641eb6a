"""
All connections of one namespace: look up, create, confirm, expire, forget.

``net/netfilter/nf_conntrack_core.c``. ``track`` is ``nf_conntrack_in``: it finds the entry of a packet or
makes one, and lets the protocol's tracker judge. A new entry stands in the table only once ``confirm``
(``nf_confirm``, the last act of the hooks INPUT and POSTROUTING) took it in, so a packet that is dropped
before leaves none. Time is passed in; an entry that is over is dropped when it is met.

Not followed: helpers and the connections that they expect, and reassembly of fragments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bothways.facts.choice import Assumption, Oracle
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.packet import ICMP, ICMP6, Icmp, Packet
from bothways.facts.snapshot import Netns
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.arrival import Arrival, Ruled
from bothways.model.linux.conntrack.capacity import FULL, early_drop, is_full
from bothways.model.linux.conntrack.clash import CLASH_NS, clash
from bothways.model.linux.conntrack.entries import Entries
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection, Tracking, as_entry, seeded
from bothways.model.linux.conntrack.events import ConntrackEvents
from bothways.model.linux.conntrack.expiry import NOTHING_GONE, Found, Gone
from bothways.model.linux.conntrack.icmp import Sort, icmp_error
from bothways.model.linux.conntrack.protocol import PROTOCOLS, generic_packet
from bothways.model.linux.conntrack.related import related
from bothways.model.linux.conntrack.rule_reset import closed_by_rule
from bothways.model.linux.conntrack.settings import Settings
from bothways.model.linux.conntrack.tcp_judge import Ruling
from bothways.model.linux.conntrack.tuple import Key, inverse, key_of, key_of_packet, tuple_of
from bothways.model.linux.conntrack.variant import variant_of
from bothways.model.linux.conntrack.zone import zone_in, zones_to_try
from bothways.model.linux.hook import Hook

__all__ = ["ConntrackTable"]

# Names of the module are found ten times as quickly as members of an enum, and each packet comes by here.
_ORIGINAL: Final = Way.ORIGINAL
_REPLY: Final = Way.REPLY
_NEW: Final = CtState.NEW
_ESTABLISHED: Final = CtState.ESTABLISHED
_REOPEN: Final = Ruling.REOPEN
_PREROUTING: Final = Hook.PREROUTING
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
        self._entries = Entries()
        self._newest = self._entries.newest
        for row in netns.conntrack or ():
            connection = seeded(row)
            if not self._entries.holds(connection):
                self._entries.take_in(connection)
        self._seeded = len(self._entries.connections()) if netns.conntrack else 0
        self._limited = bool(self._settings.known("nf_conntrack_max"))
        #: Told of what goes; the hooks tell it of what comes and changes.
        self.events: ConntrackEvents | None = None

    # -- what the hooks call --------------------------------------------------------------------

    def track(
        self,
        packet: Packet,
        now_ns: int,
        *,
        zone: int = 0,
        hook: Hook = _PREROUTING,
        notrack: bool = False,
        half: Way | None = None,
    ) -> Tracking:
        """
        Find what a packet is to this namespace (``nf_conntrack_in``, at PREROUTING or OUTPUT).

        :param zone: what ``-j CT --zone`` gave it.
        :param notrack: True if ``-j CT --notrack`` took it out before.
        :param half: the only direction of connections for which the zone holds (``--zone-orig``).
        """
        self._now_ns = now_ns
        if notrack:
            return Tracking(CtState.UNTRACKED, None, None, None, _NOTRACK)
        key = key_of_packet(zone, packet)
        if key is None:
            other = self._key_of_other(packet, zone, half, hook)
            if isinstance(other, Tracking):
                return other
            key = other
        while True:
            gone, found = self._found(key) if half is None else self._sought(key, zone, half)
            fresh = found is None
            connection, way = found or (_opened(packet, zone, half), _ORIGINAL)
            if fresh and self._limited and self._no_room():
                return _NO_ROOM
            seen = way is _REPLY or "SEEN_REPLY" in connection.status
            protocol = key[1]
            if connection.evidence or protocol in _UNMODELLED:
                self._say_what_is_not_known(connection)
            arrival = Arrival(packet, way, hook, now_ns, self._settings, self._variant)
            ruled = PROTOCOLS.get(protocol, generic_packet)(connection, arrival)
            judgement = ruled.judgement
            if judgement is None or judgement.ruling is not _REOPEN:
                break
            self._remove(connection)
        if not ruled.valid:
            return _refused(ruled, None if fresh else connection, gone)
        if judgement is not None and judgement.destroy:
            self._remove(connection)
        if way is _REPLY:
            connection.status.add("SEEN_REPLY")
        state = _ESTABLISHED if seen else _NEW
        why, evidence = ruled.why or _WHY[state, way, fresh], ruled.evidence
        if gone is not NOTHING_GONE or connection.evidence:
            why, evidence = gone.then(why), connection.evidence + gone.evidence + evidence
        return Tracking(state, way, connection, judgement, why, evidence, ruled.log)

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
            _, found = self._in_zone(connection, way)
            if found is not None:
                return self._clash(connection, way, found)
        connection.status.add("CONFIRMED")
        self._entries.take_in(connection)
        return None

    def _clash(self, ours: TrackedConnection, way: Way, found: tuple[TrackedConnection, Way]) -> str | None:
        """Two first packets of one flow (``nf_ct_resolve_clash``)."""
        _, answers = self._in_zone(ours, _REPLY)
        outcome = clash(
            ours,
            way,
            *found,
            None if answers is None else answers[0],
            self._variant,
        )
        if outcome.joins is not None:
            ours.status.add("DYING")  # its packet goes on as one of the entry that stands there
            return None
        if not outcome.answers_only:
            return outcome.dropped
        ours.status |= {"CONFIRMED", "FIXED_TIMEOUT", "NAT_CLASH"}
        ours.expires_ns, ours.limit = self._now_ns + CLASH_NS, ""
        self._entries.take_in(ours, answers_only=True)
        return None

    # -- what NAT asks --------------------------------------------------------------------------

    def taken(self, reply: Tuple, ours: TrackedConnection) -> bool:
        """
        Whether another connection already answers to *reply* (``nf_conntrack_tuple_taken``).

        One with the same original tuple is the same flow and does not count.
        """
        _, found = self._lookup(zone_in(ours.zone, ours.half, _REPLY), reply)
        return found is not None and found[0] is not ours and found[0].original != ours.original

    def translated_source(self, now: Tuple, ours: TrackedConnection) -> list[Tuple]:
        """
        What other connections whose source is that of *now* have as their translated one, the newest first.

        Connections that NAT never saw (``SRC_NAT_DONE``) do not count (``nf_nat_bysource``).
        """
        wanted = (now.protocol, now.src, now.sport)
        return [
            inverse(each.reply)
            for each in reversed(self._entries.connections())
            if (each.original.protocol, each.original.src, each.original.sport) == wanted
            and each.zone == ours.zone
            and "SRC_NAT_DONE" in each.status
            and not self._over(each)
        ]

    def answered_by(self, reply: Tuple, ours: TrackedConnection) -> TrackedConnection | None:
        """Return the connection, if any, whose answers look like *reply*."""
        _, found = self._lookup(zone_in(ours.zone, ours.half, _REPLY), reply)
        return found[0] if found is not None and found[1] is Way.REPLY and found[0] is not ours else None

    def kill(self, connection: TrackedConnection) -> None:
        """Remove a connection at once (``nf_ct_kill``)."""
        self._remove(connection)

    def close_by_rule(self, connection: TrackedConnection, now_ns: int) -> None:
        """Note that a REJECT rule sent a RST to a connection; kernels before 6.3 did not."""
        if self._variant.reset_rule_closes:
            closed_by_rule(connection, now_ns, self._settings)

    @property
    def label(self) -> str:
        """``host/netns``."""
        return self._label

    def found_by(self, one: Tuple, *, zone: int = 0, half: Way | None = None) -> TrackedConnection | None:
        """Return the connection that a tuple names in one of its directions (``conntrack -G``)."""
        for number in zones_to_try(zone, half):
            _, found = self._lookup(number, one)
            if found is not None:
                return found[0]
        return None

    # -- what a walk does -----------------------------------------------------------------------

    def forget(self, ours: Callable[[Entry], bool]) -> None:
        """Remove every entry for which *ours* is true."""
        for connection in self._entries.connections():
            if ours(as_entry(connection, self._now_ns)):
                self._remove(connection)

    def entries(self) -> tuple[Entry, ...]:
        """All entries that are not over, as ``conntrack -L`` would show them."""
        return tuple(
            as_entry(each, self._now_ns) for each in self._entries.connections() if not self._over(each)
        )

    def connections(self) -> tuple[TrackedConnection, ...]:
        """All connections that are not over."""
        return tuple(each for each in self._entries.connections() if not self._over(each))

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

    def _key_of_other(self, packet: Packet, zone: int, half: Way | None, hook: Hook) -> Key | Tracking:
        """What a packet without ports is found by, or what it is without being looked up."""
        one = tuple_of(packet)
        if one is None:
            return self._unreadable(packet)
        at_once = None if packet.icmp is None else self._icmp(packet, packet.icmp, zone, half, hook)
        return key_of(zone, one) if at_once is None else at_once

    def _icmp(self, packet: Packet, icmp: Icmp, zone: int, half: Way | None, hook: Hook) -> Tracking | None:
        """``nf_conntrack_handle_icmp``: None for a query or an answer, which is looked up like any packet."""
        arrival = Arrival(packet, _ORIGINAL, hook, self._now_ns, self._settings, self._variant)
        told = icmp_error(packet, icmp, arrival)
        if told.sort is Sort.QUERY:
            return None
        if told.sort is Sort.UNTRACKED:
            return Tracking(CtState.UNTRACKED, None, None, None, told.ruled.why)
        if told.sort is Sort.INVALID:
            return _refused(told.ruled, None, NOTHING_GONE)
        return related(
            packet,
            lambda wanted: self._sought(key_of(zone, wanted), zone, half),
            oracle=self._oracle,
            label=self._label,
        )

    def _no_room(self) -> bool:
        """Whether the table is full and nobody goes for a new connection (``__nf_conntrack_alloc``)."""
        entries = self._entries.connections()
        if not is_full(self._settings, len(entries), seeded=self._seeded):
            return False
        goes = early_drop(self._label, [each for each in entries if not self._over(each)], self._oracle)
        if goes is not None:
            self._remove(goes)
        return goes is None

    def _unreadable(self, packet: Packet) -> Tracking:
        if packet.ip is not None and packet.ip.offset:
            text = f"a later fragment is INVALID in {self._label}: reassembly before it is not modelled"
            self._oracle.assume(Assumption(text))
            return Tracking(CtState.INVALID, None, None, None, _FRAGMENT)
        protocol = None if packet.ip is None else packet.ip.protocol
        log = f"nf_ct_proto_{protocol}: short packet" if protocol in _SAYS_SO else ""
        return Tracking(CtState.INVALID, None, None, None, _CUT, log=log)

    def _sought(self, key: Key, zone: int, half: Way | None) -> Found:
        """Find a packet's entry, also where its zone holds for one direction only (``resolve_normal_ct``)."""
        if half is None:
            return self._found(key)
        for number in zones_to_try(zone, half):
            gone, found = self._standing((number, *key[1:]), zone, half)
            if found is not None or gone is not NOTHING_GONE:
                return gone, found
        return NOTHING_GONE, None

    def _standing(self, key: Key, zone: int, half: Way | None) -> Found:
        """Find the newest entry under a key that stands in the zone, in the direction in which it is met."""
        gone, _ = self._found(key)
        for each in self._entries.under(key):
            if not self._over(each[0]) and zone_in(zone, half, each[1]) == key[0]:
                return gone, each
        return gone, None

    def _in_zone(self, connection: TrackedConnection, way: Way) -> Found:
        """Find what stands where one direction of a connection would."""
        zone, half = connection.zone, connection.half
        return self._standing(key_of(zone_in(zone, half, way), connection.tuple_of(way)), zone, half)

    def _lookup(self, zone: int, one: Tuple) -> Found:
        """Find an entry by its tuple; one that is over goes."""
        return self._found(key_of(zone, one))

    def _found(self, key: Key) -> Found:
        found = self._newest.get(key)
        if found is None:
            return NOTHING_GONE, None
        connection = found[0]
        if connection.expires_ns is None or connection.expires_ns > self._now_ns:
            return NOTHING_GONE, found
        self._remove(connection)
        lines = connection.evidence + self._settings.relied_on(connection.limit)
        source = f" ({connection.limit})" if connection.limit else ""
        return Gone(f"the entry {connection} had expired{source}", lines), None

    def _over(self, connection: TrackedConnection) -> bool:
        return connection.expires_ns is not None and connection.expires_ns <= self._now_ns

    def _remove(self, connection: TrackedConnection) -> None:
        connection.status.add("DYING")
        self._entries.remove(connection)
        if self.events is not None:
            self.events.removed(connection, self._now_ns)


def _opened(packet: Packet, zone: int, half: Way | None) -> TrackedConnection:
    """An entry that is not in the table yet, for a packet that belongs to none there."""
    one = tuple_of(packet)
    if one is None:
        raise LookupError(packet)  # what has a key has a tuple
    return TrackedConnection(one, inverse(one), zone, half=half)


def _refused(ruled: Ruled, met: TrackedConnection | None, gone: Gone) -> Tracking:
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
_CUT: Final = "its transport header is missing or cut short"
_FRAGMENT: Final = "a later fragment, which has no ports of its own"
#: Protocols whose tracker looks at the header before any tuple is made.
_SAYS_SO: Final = (ICMP, ICMP6)
_NO_ROOM: Final = Tracking(
    CtState.INVALID,
    None,
    None,
    None,
    'the table is full, and no entry made room: the packet is dropped ("table full" in the kernel\'s log)',
    log=FULL,
    dropped=True,
)
_ANSWER: Final = "the answer of a known connection"
_KNOWN: Final = "belongs to a connection that was seen both ways"
#: (state, direction, made just now) -> sentence.
_WHY: Final = {
    (CtState.NEW, Way.ORIGINAL, True): "the first packet of a connection: an entry is made",
    (CtState.NEW, Way.ORIGINAL, False): "belongs to a connection that no answer has passed for yet",
    (CtState.ESTABLISHED, Way.ORIGINAL, False): _KNOWN,
    (CtState.ESTABLISHED, Way.REPLY, False): _ANSWER,
}
