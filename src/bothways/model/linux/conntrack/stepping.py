"""
The tracker stepped by hand: segments that a person writes, one after the other, through one table.

The two ends behave: each numbers its bytes, acknowledges all that the other sent, and goes on whether the
tracker took its segment or not. A segment that the tracker did not see counts for the ends alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.facts.address import address
from bothways.facts.choice import FirstOption
from bothways.facts.dump import Dump
from bothways.facts.packet import TCP, Flag, Ip, Packet, Tcp, TcpOptions
from bothways.facts.segment import WrittenSegment
from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, TrackedConnection, Tracking
from bothways.model.linux.conntrack.table import ConntrackTable
from bothways.model.linux.conntrack.tcp import TcpState

__all__ = ["HandStep", "Numbering", "step_by_hand"]

_SECOND: Final = 1_000_000_000
_WORD: Final = 1 << 32
_WINDOW: Final = 64240
_NO_OPTIONS: Final = TcpOptions(size=0)
#: Documentation addresses, RFC 5737: only that they differ matters.
_CLIENT, _SERVER = address("192.0.2.1"), address("192.0.2.2")
_PORTS: Final = {Way.ORIGINAL: (49152, 22), Way.REPLY: (22, 49152)}


@dataclass(frozen=True, slots=True)
class HandStep:
    """
    What the tracker made of one segment.

    :param verdict: its ctstate; None for a segment that it did not see.
    :param way: direction as the tracker sees it, None if it refused the segment.
    :param moved: False if the entry stayed as it was although the segment is valid: it was let through only.
    :param cell: of the state table, "" where flags alone decided.
    :param why: the sentence for the user.
    :param log: what the kernel prints with ``nf_conntrack_log_invalid`` on, "" if nothing.
    :param status: status bits of the entry after it, sorted; *expires_s* seconds that it lives on.
    """

    segment: WrittenSegment
    before: TcpState
    after: TcpState
    verdict: CtState | None = None
    way: Way | None = None
    moved: bool = True
    cell: str = ""
    why: str = ""
    log: str = ""
    status: tuple[str, ...] = ()
    expires_s: int | None = None


@dataclass(slots=True)
class Numbering:
    """Sequence numbers of two ends that behave."""

    first: dict[Way, int] = field(default_factory=lambda: {Way.ORIGINAL: 1000, Way.REPLY: 5000})
    following: dict[Way, int] = field(default_factory=lambda: {Way.ORIGINAL: 1001, Way.REPLY: 5001})

    def tcp(self, segment: WrittenSegment) -> Tcp:
        """Number a segment. A SYN has the first number of its end, however often it is sent."""
        way, flags = segment.way, segment.flags
        other = Way.REPLY if way is Way.ORIGINAL else Way.ORIGINAL
        seq = self.first[way] if flags & Flag.SYN else self.following[way]
        ack = self.following[other] if flags & Flag.ACK else None
        taken = segment.length + bool(flags & Flag.SYN) + bool(flags & Flag.FIN)
        self.following[way] = (seq + taken) % _WORD
        return Tcp(*_PORTS[way], flags, seq, ack, _WINDOW, segment.length, _NO_OPTIONS, checksum_ok=True)


def step_by_hand(
    segments: Iterable[WrittenSegment], *, sysctls: Mapping[str, int], kernel: str | None = None
) -> tuple[HandStep, ...]:
    """
    Step the tracker of one namespace through segments.

    :param sysctls: values by name without ``net.netfilter.``; the others have Linux' defaults.
    :param kernel: release for behaviour that differs, None = the newest.
    """
    span = Span("sysctl")
    rows = tuple(Sysctl(f"net.netfilter.{name}", str(value), span) for name, value in sysctls.items())
    netns = Netns("host", "root", sysctls=Dump(rows, "sysctl"))
    table = ConntrackTable(netns, oracle=FirstOption(), kernel=kernel)
    numbering, now_ns = Numbering(), 0
    steps: list[HandStep] = []
    for segment in segments:
        now_ns += segment.after_s * _SECOND
        tcp = numbering.tcp(segment)
        before = _entry(table, now_ns)
        state = _state(before)
        if not segment.seen:
            steps.append(HandStep(segment, state, state, why=_UNSEEN))
            continue
        forth = segment.way is Way.ORIGINAL
        ip = Ip(_CLIENT, _SERVER, TCP) if forth else Ip(_SERVER, _CLIENT, TCP)
        tracking = table.track(Packet(ip=ip, tcp=tcp), now_ns)
        table.confirm(tracking, now_ns)
        steps.append(_step(segment, state, tracking, _entry(table, now_ns), now_ns))
    return tuple(steps)


def _step(
    segment: WrittenSegment,
    before: TcpState,
    tracking: Tracking,
    entry: TrackedConnection | None,
    now_ns: int,
) -> HandStep:
    met = None if tracking.judgement is None else tracking.judgement.before
    why = tracking.why
    if before is not TcpState.NONE and met is TcpState.NONE and tracking.state is not CtState.INVALID:
        why = f"the entry in {before} goes; {why}" if "expired" not in why else why
    ignored = tracking.judgement is not None and tracking.judgement.ruling == "ignored"
    expires = None if entry is None or entry.expires_ns is None else (entry.expires_ns - now_ns) // _SECOND
    return HandStep(
        segment,
        before,
        _state(entry),
        tracking.state,
        tracking.way,
        not ignored,
        tracking.cell,
        why,
        tracking.log,
        () if entry is None else tuple(sorted(entry.status & _SHOWN)),
        expires,
    )


_UNSEEN: Final = "its receiver got it by another way; the tracker knows nothing of it"
_SHOWN: Final = frozenset({"SEEN_REPLY", "ASSURED"})


def _entry(table: ConntrackTable, now_ns: int) -> TrackedConnection | None:
    """The entry, if there is one whose time is not over."""
    lives = (each for each in table.connections() if each.expires_ns is None or each.expires_ns > now_ns)
    return next(lives, None)


def _state(connection: TrackedConnection | None) -> TcpState:
    return TcpState.NONE if connection is None or connection.tcp is None else connection.tcp.state
