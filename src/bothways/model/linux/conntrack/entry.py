"""
One tracked connection, and what the tracker found for one packet.

``struct nf_conn`` and the ``skb->_nfct`` that points to it (``include/net/netfilter/nf_conntrack.h``). The
entry changes while a walk goes on; what was found for a packet does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bothways.facts.conntrack import Entry, Tuple
from bothways.facts.quick import quick
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.tcp import TcpState
from bothways.model.linux.conntrack.tcp_judge import Judgement
from bothways.model.linux.conntrack.tcp_memory import TcpMemory
from bothways.model.linux.conntrack.tcp_window import Side
from bothways.model.linux.conntrack.tuple import inverse

__all__ = ["CtState", "TrackedConnection", "Tracking", "as_entry", "seeded"]

_SECOND: Final = 1_000_000_000
#: Flags of ``conntrack -L`` that are status bits by another name.
_SHOWN: Final = frozenset({"ASSURED", "OFFLOAD", "HW_OFFLOAD"})
#: States that a connection enters by a FIN, after which a SYN may open it anew.
_AFTER_FIN: Final = frozenset({TcpState.FIN_WAIT, TcpState.CLOSE_WAIT, TcpState.LAST_ACK, TcpState.TIME_WAIT})
_TCP: Final = 6
_ORIGINAL: Final = Way.ORIGINAL


class CtState(StrEnum):
    """What a packet is to the tracker, as ``--ctstate`` spells it."""

    NEW = "NEW"
    ESTABLISHED = "ESTABLISHED"
    RELATED = "RELATED"
    INVALID = "INVALID"
    UNTRACKED = "UNTRACKED"


@dataclass(slots=True, eq=False)
class TrackedConnection:
    """
    One connection. Two are the same only if they are the same object.

    :param reply: what an answer looks like; carries the translation once NAT is set up.
    :param status: names of the kernel's status bits without ``IPS_``: ``SEEN_REPLY``, ``ASSURED``,
        ``CONFIRMED``, ``SRC_NAT``, ``DST_NAT``, ``SRC_NAT_DONE``, ``DST_NAT_DONE``, ``DYING`` …
    :param expires_ns: when it goes, on the clock that the table is asked with; None = not known.
    :param limit: the sysctl that set this time, "" where none did.
    :param stream_ns: UDP: from when on an answered connection counts as a stream.
    :param evidence: the line of the dump that it was read from; nothing if it was made by a walk.
    :param bindings: the NAT rules that translate it: of the source under ``SRC_NAT``, of the destination
        under ``DST_NAT``.
    :param masqueraded_at: the device whose address MASQUERADE gave it, "" without such a rule.
    :param half: the only direction for which *zone* holds, None if it holds for both.
    :param labels: ``connlabel``, 128 bits.
    """

    original: Tuple
    reply: Tuple
    zone: int = 0
    mark: int = 0
    status: set[str] = field(default_factory=set)
    tcp: TcpMemory | None = None
    expires_ns: int | None = None
    evidence: tuple[Span, ...] = ()
    limit: str = ""
    stream_ns: int = 0
    bindings: dict[str, tuple[Span, ...]] = field(default_factory=dict)
    masqueraded_at: str = ""
    half: Way | None = None
    labels: int = 0

    def tuple_of(self, way: Way) -> Tuple:
        """The tuple of one direction."""
        return self.original if way is _ORIGINAL else self.reply

    def __str__(self) -> str:
        """``192.0.2.1:1024 > 192.0.2.2:22``, as the originator names it."""
        return str(self.original)


@quick
@dataclass(frozen=True, slots=True)
class Tracking:
    """
    What ``nf_conntrack_in`` found for one packet.

    :param way: None without a connection.
    :param why: sentence for the user; for INVALID that of the cell that refused.
    :param evidence: the line of the dump that the connection was read from.
    :param log: what the kernel prints for it with ``nf_conntrack_log_invalid`` on, "" if nothing.
    :param refused_by: for INVALID: the entry that the packet met and that did not take it.
    :param dropped: True if the packet goes no further than here: the table is full.
    """

    state: CtState
    way: Way | None
    connection: TrackedConnection | None
    judgement: Judgement | None
    why: str
    evidence: tuple[Span, ...] = ()
    log: str = ""
    refused_by: TrackedConnection | None = None
    dropped: bool = False

    @property
    def cell(self) -> str:
        """``SYN_SENT/original/ACK`` for TCP, else ""."""
        return "" if self.judgement is None else self.judgement.cell


def seeded(entry: Entry, now_ns: int = 0) -> TrackedConnection:
    """
    The connection that a line of ``conntrack -L`` shows.

    Its time runs from *now_ns* on. What a line cannot show is left open: windows and sequence numbers,
    and what was seen last. A UDP connection counts as old enough to be a stream. A TCP line without a state
    is taken as ESTABLISHED; the state NONE has an entry that somebody made by hand (``conntrack -I``).
    Translations are read from the tuples.
    """
    status = {"CONFIRMED", "SRC_NAT_DONE", "DST_NAT_DONE"} | (entry.status & _SHOWN)
    if "UNREPLIED" not in entry.status:
        status.add("SEEN_REPLY")
    plain, reply = inverse(entry.original), entry.reply
    query = entry.original.icmp_type is not None  # its id stands in both directions
    if (reply.dst, reply.dport) != (plain.dst, plain.dport) or (query and reply.sport != plain.sport):
        status.add("SRC_NAT")
    if reply.src != plain.src or (not query and reply.sport != plain.sport):
        status.add("DST_NAT")
    return TrackedConnection(
        entry.original,
        entry.reply,
        zone=entry.zone,
        mark=entry.mark,
        status=status,
        tcp=_memory(entry) if entry.original.protocol == _TCP else None,
        expires_ns=None if entry.timeout is None else now_ns + entry.timeout * _SECOND,
        evidence=(entry.span,),
        stream_ns=-1,
        labels=entry.label,
    )


def _memory(entry: Entry) -> TcpMemory:
    states = {state.value: state for state in TcpState}
    state = states.get(entry.state or "", TcpState.ESTABLISHED)
    return TcpMemory(
        state,
        original=Side(closing=state in _AFTER_FIN),
        lost=True,
        simultaneous=state is TcpState.SYN_SENT2,
    )


def as_entry(connection: TrackedConnection, now_ns: int = 0) -> Entry:
    """The connection as ``conntrack -L`` would show it; one of a walk has no place in the evidence."""
    status = set(connection.status & _SHOWN)
    if "SEEN_REPLY" not in connection.status:
        status.add("UNREPLIED")
    expires = connection.expires_ns
    return Entry(
        connection.original,
        connection.reply,
        connection.evidence[0] if connection.evidence else Span("", text=f"made by the walk: {connection}"),
        state=None if connection.tcp is None else connection.tcp.state.value,
        timeout=None if expires is None else max(0, (expires - now_ns) // _SECOND),
        status=frozenset(status),
        mark=connection.mark,
        zone=connection.zone,
        label=connection.labels,
    )
