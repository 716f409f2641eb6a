"""
What ``conntrack -E`` prints while packets pass: a connection is new, changed, gone.

The kernel collects what changes while a packet is on its way and tells it once, where the packet leaves the
hooks (``nf_ct_deliver_cached_events``, called by ``nf_confirm``). So one packet gives at most one line, and
one that a rule drops gives none until the next. A line is told for a new entry, for another TCP state, for
the first answer and for ASSURED (``net/netfilter/nf_conntrack_core.c``, ``nf_conntrack_proto_tcp.c``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from bothways.facts.conntrack import Entry
from bothways.model.linux.conntrack.entry import TrackedConnection, Tracking, as_entry
from bothways.model.linux.conntrack.tcp import CELLS, Ignore
from bothways.model.linux.conntrack.tcp_judge import Ruling

__all__ = ["ConntrackEvents"]

_Face = tuple[str, bool, bool, int]


class ConntrackEvents:
    """
    Tells of the connections of one namespace.

    :param standing: those that were there before.
    :param tell: takes ``NEW``, ``UPDATE`` or ``DESTROY``, the entry as it is then, and the time.
    """

    def __init__(
        self, standing: Iterable[TrackedConnection], tell: Callable[[str, Entry, int], None]
    ) -> None:
        self._tell = tell
        self._told = {connection: _face(connection) for connection in standing}
        self._again: set[TrackedConnection] = set()

    def tracked(self, tracking: Tracking) -> None:
        """
        Note a SYN/ACK that answers a SYN which was ignored before.

        The kernel then takes the entry as if it had just left SYN_SENT, and tells the same state once more.
        """
        judged, connection = tracking.judgement, tracking.connection
        taken = judged is not None and judged.ruling is Ruling.VALID and isinstance(CELLS[judged.row], Ignore)
        if taken and connection is not None:
            self._again.add(connection)

    def confirmed(self, connection: TrackedConnection | None, now_ns: int) -> None:
        """Tell what changed, as a packet of a connection leaves the hooks."""
        if connection is None or "DYING" in connection.status or "CONFIRMED" not in connection.status:
            return
        face, before = _face(connection), self._told.get(connection)
        if face == before and connection not in self._again:
            return
        self._again.discard(connection)
        self._told[connection] = face
        fresh = before is None and not connection.evidence
        self._tell("NEW" if fresh else "UPDATE", as_entry(connection, now_ns), now_ns)

    def removed(self, connection: TrackedConnection, now_ns: int) -> None:
        """Tell that a connection is gone, if it ever was in the table."""
        if "CONFIRMED" in connection.status:
            self._told.pop(connection, None)
            self._tell("DESTROY", as_entry(connection, now_ns), now_ns)


def _face(connection: TrackedConnection) -> _Face:
    state = "" if connection.tcp is None else connection.tcp.state.value
    return state, "SEEN_REPLY" in connection.status, "ASSURED" in connection.status, connection.mark
