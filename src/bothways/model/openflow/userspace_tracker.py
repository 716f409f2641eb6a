"""
``ct()`` in the userspace datapath: Open vSwitch's own tracker.

``process_one``, ``conn_update_state``, ``conn_not_found``, ``nat_packet`` and ``write_ct_md`` of
``lib/conntrack.c``. It shares nothing with the kernel's conntrack, has one table for all bridges of the
datapath, and keeps what it found with the packet (``pkt->md``) until ``ct_clear``, also through
recirculation.

Not followed: fragments (put together before), helpers, limits of a zone, timeout policies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from bothways.facts.address import Endpoint
from bothways.facts.choice import Assumption, Oracle
from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.packet import Packet
from bothways.facts.step import Did
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.tuple import inverse, is_icmp_error, quoted, readdressed, tuple_of
from bothways.model.linux.nat.target import NatTarget
from bothways.model.openflow.tracker import CtState, Finding, Request, Tracked, masked
from bothways.model.openflow.userspace_nat import translated
from bothways.model.openflow.userspace_table import Connection, Connections, begins
from bothways.model.openflow.userspace_tcp import Ruling

__all__ = ["UserspaceTracker"]

_NAT: Final = CtState.SNAT | CtState.DNAT


@dataclass(frozen=True, slots=True)
class _Cached:
    """What stays with a packet: its connection and direction, for another ``ct()`` of the same zone."""

    connection: Connection
    way: Way
    related: bool


class UserspaceTracker:
    """
    The tracker of one userspace datapath.

    :param rows: ``ovs-appctl dpctl/dump-conntrack``.
    """

    def __init__(self, oracle: Oracle, rows: Iterable[Entry] = ()) -> None:
        self._oracle = oracle
        self._connections = Connections(rows)

    def forget(self, ours: Callable[[Entry], bool]) -> None:
        """Remove every connection for which *ours* is true."""
        self._connections.forget(ours)

    def track(self, packet: Packet, request: Request, before: Tracked | None, now_ns: int) -> Tracked:
        """``conntrack_execute`` for one packet."""
        cached = None if before is None else before.memory
        if (
            isinstance(cached, _Cached)
            and before is not None
            and cached.connection.zone == request.zone
            and not request.force
        ):
            return _Passage(self, packet, request, before, now_ns).once_more(cached)
        related = is_icmp_error(packet)
        inner = quoted(packet) if related else None
        one = (None if inner is None else inverse(inner)) if related else tuple_of(packet)
        if one is None:
            reason = f"zone {request.zone}: invalid: what it belongs to cannot be read from it"
            finding = Finding(Did.INVALID, "conn_key_extract", reason, packet, packet, request.evidence)
            return Tracked(packet, CtState.TRK | CtState.INV, request.zone, findings=(finding,))
        return _Passage(self, packet, request, before, now_ns).through(one, related=related)

    @property
    def connections(self) -> Connections:
        """The table."""
        return self._connections

    @property
    def oracle(self) -> Oracle:
        """Asked where the datapath draws."""
        return self._oracle


class _Passage:
    """One packet on its way through one ``ct()``."""

    def __init__(
        self, tracker: UserspaceTracker, packet: Packet, request: Request, before: Tracked | None, now_ns: int
    ) -> None:
        self._tracker = tracker
        self._table = tracker.connections
        self._packet = packet
        self._request = request
        self._before = before
        self._now_ns = now_ns
        self._findings: list[Finding] = []
        same = before is not None and before.zone == request.zone
        self._state = before.state & ~CtState.TRK if before is not None and same else CtState(0)

    def once_more(self, cached: _Cached) -> Tracked:
        """``process_one_fast``: the packet went through this zone already."""
        if self._request.nat is not None:
            self._re_translate(cached.connection, cached.way, related=cached.related)
        return self._done(cached.connection, cached.connection.original, cached)

    def through(self, one: Tuple, *, related: bool) -> Tracked:
        """``process_one``."""
        zone, nat = self._request.zone, self._request.nat
        found = self._find(one)
        if found is not None and self._request.force and found[1] is Way.REPLY:
            self._table.remove(found[0])
            found = None
        if found is None and nat is None and self._state & _NAT and self._before is not None:
            # ``check_orig_tuple``: a packet that was translated before is found by what it was
            original = self._before.original
            again = None if original is None else self._table.find(zone, original, self._now_ns)
            found = None if again is None else (again[0], Way.ORIGINAL)
        connection: Connection | None = None
        cached: _Cached | None = None
        fresh = found is None and not related
        if found is not None:
            connection, way = found
            fresh = self._update(connection, way, related=related)
            if not fresh:
                if nat is not None:
                    self._re_translate(connection, way, related=related)
                cached = None if nat is not None else _Cached(connection, way, related)
        elif related:
            self._state = CtState.INV
            self._note(Did.INVALID, "an ICMP error about no connection that is known here")
        if fresh:
            connection = self._begin(one)
            if connection is not None and nat is None:
                cached = _Cached(connection, Way.ORIGINAL, related=False)
        return self._done(connection, one, cached)

    # -- the parts --------------------------------------------------------------------------------

    def _find(self, one: Tuple) -> tuple[Connection, Way] | None:
        """``initial_conn_lookup``: a packet that was translated already is found by its answer."""
        zone = self._request.zone
        if not self._state & _NAT:
            return self._table.find(zone, one, self._now_ns)
        found = self._table.find(zone, inverse(one), self._now_ns)
        if found is None:
            return None
        return found[0], Way.REPLY if found[1] is Way.ORIGINAL else Way.ORIGINAL

    def _update(self, connection: Connection, way: Way, *, related: bool) -> bool:
        """``conn_update_state``. Returns True if the connection has to be made anew."""
        answer = CtState.RPL if way is Way.REPLY else CtState(0)
        if related:
            self._state |= CtState.REL | answer
            self._note(Did.TRACKED, f"related: an ICMP error about {connection}", connection)
            return False
        was = connection.state
        ruling = connection.take(self._packet, way, self._now_ns)
        moved = f"{connection}, {way}: {was}" + (
            "" if was == connection.state else f" becomes {connection.state}"
        )
        if ruling is Ruling.INVALID:
            self._state = CtState.INV
            self._note(
                Did.INVALID, f"invalid: flags or numbers do not fit the connection {moved}", connection
            )
        elif ruling is Ruling.VALID:
            self._state = self._state & ~CtState.NEW | CtState.EST | answer
            self._note(Did.TRACKED, f"established: {moved}", connection)
        elif ruling is Ruling.STILL_NEW:
            self._state |= CtState.NEW
            self._note(Did.TRACKED, f"new: no answer passed for {moved}", connection)
        else:
            self._table.remove(connection)
            if connection.nat:
                # Up to 3.1 the tuple of the old answer stays taken until it is swept.
                text = f"{connection}, which opens anew, is translated to the port that it had"
                self._tracker.oracle.assume(Assumption(text, missing="ovs-vswitchd --version"))
            return True
        return False

    def _begin(self, one: Tuple) -> Connection | None:
        """``conn_not_found``: a new connection, which stays only if it is committed."""
        request = self._request
        if not begins(self._packet):
            self._state = CtState.INV
            self._note(Did.INVALID, f"invalid: no connection {one} is known, and such a packet begins none")
            return None
        self._state = CtState.NEW
        if not request.commit:
            self._note(Did.TRACKED, f"new: no connection {one} is known")
            return None
        connection = self._table.open(self._packet, one, request.zone, self._now_ns)
        if request.nat is not None and not self._bind(connection, request.nat):
            return None
        self._table.add(connection)
        self._note(Did.TRACKED, f"new: the connection {connection} is committed", connection)
        if connection.nat:
            self._rewrite(connection, Way.ORIGINAL, related=False)
        return connection

    def _bind(self, connection: Connection, nat: NatTarget) -> bool:
        connection.nat = nat.kind
        if not nat.kind:
            return True

        def taken(reply: Tuple) -> bool:
            return self._table.find(connection.zone, reply, self._now_ns) is not None

        reply = translated(connection, nat, taken, self._tracker.oracle)
        if reply is None:
            self._note(
                Did.TRACKED, "new: no address and port is left to translate to, so it is not committed"
            )
            return False
        connection.reply = reply
        return True

    def _re_translate(self, connection: Connection, way: Way, *, related: bool) -> None:
        """``handle_nat``: once for each packet and zone."""
        if connection.nat and not self._state & _NAT:
            self._rewrite(connection, way, related=related)

    def _rewrite(self, connection: Connection, way: Way, *, related: bool) -> None:
        """``nat_packet``: the answer to a translated source has its destination rewritten, and so on."""
        source = (connection.nat == "SNAT") is (way is Way.ORIGINAL)
        self._state |= CtState.SNAT if source else CtState.DNAT
        other = connection.reply if way is Way.ORIGINAL else connection.original
        before = self._packet
        wanted = inverse(other)
        if related and before.icmp is not None and before.icmp.inner is not None:
            inner = readdressed(before.icmp.inner, other, source=not source)
            end = Endpoint(wanted.src if source else wanted.dst)
            outer = before.with_source(end) if source else before.with_destination(end)
            self._packet = replace(outer, icmp=replace(before.icmp, inner=inner))
        else:
            self._packet = readdressed(readdressed(before, wanted, source=source), wanted, source=not source)
        if self._packet == before:
            return
        side = "source" if source else "destination"
        old = before.source if source else before.destination
        new = self._packet.source if source else self._packet.destination
        reason = f"the {side} {old} becomes {new}"
        if way is Way.REPLY:
            reason += ": an answer gets its name back"
        evidence = (*connection.evidence, *self._request.evidence)
        self._findings.append(Finding(Did.TRANSLATED, "nat_packet", reason, before, self._packet, evidence))

    def _note(self, did: Did, what: str, connection: Connection | None = None) -> None:
        lines = () if connection is None else connection.evidence
        reason = f"zone {self._request.zone}: {what}"
        function = "conntrack_execute"
        self._findings.append(
            Finding(did, function, reason, self._packet, self._packet, (*lines, *self._request.evidence))
        )

    def _done(self, connection: Connection | None, one: Tuple, cached: _Cached | None) -> Tracked:
        """``write_ct_md``: without a connection the packet's own tuple stands for the original one."""
        if connection is not None:
            connection.mark = masked(connection.mark, self._request.mark)
            connection.label = masked(connection.label, self._request.label)
        return Tracked(
            self._packet,
            self._state | CtState.TRK,
            self._request.zone,
            0 if connection is None else connection.mark,
            0 if connection is None else connection.label,
            one if connection is None else connection.original,
            tuple(self._findings),
            cached,
        )
