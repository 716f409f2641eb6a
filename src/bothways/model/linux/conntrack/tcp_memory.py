"""
What the tracker remembers of one TCP connection, and the transitions that hang on it.

``CELLS`` in ``tcp`` decides by state, direction and flags. This file holds the exceptions that need more:
a flag combination no TCP sends, a mid-stream pick-up (``nf_conntrack_tcp_loose``), a SYN that reopens a
closed connection, a SYN/ACK that shows that tracker and peers were out of step, a challenge ACK, and the
sequence number of a RST.

A number that the evidence does not show (None) never refuses a segment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from functools import cache
from typing import Final

from bothways.facts.packet import Flag, Tcp
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.tcp import (
    CELLS,
    Go,
    Ignore,
    Invalid,
    Segment,
    TcpState,
    cell_name,
    log_words,
    segment,
)

__all__ = ["Judgement", "Ruling", "TcpMemory", "TcpSettings", "judge", "possible_flags"]

_WORD: Final = 1 << 32
_HALF: Final = 1 << 31

#: Combinations that a segment may have besides PSH, ECE and CWR; all others are refused at once.
_POSSIBLE: Final = frozenset(
    {
        Flag.SYN,
        Flag.SYN | Flag.URG,
        Flag.SYN | Flag.ACK,
        Flag.RST,
        Flag.RST | Flag.ACK,
        Flag.FIN | Flag.ACK,
        Flag.FIN | Flag.ACK | Flag.URG,
        Flag.ACK,
        Flag.ACK | Flag.URG,
    }
)
_DECISIVE: Final = Flag.FIN | Flag.SYN | Flag.RST | Flag.ACK | Flag.URG
#: States of a connection that ends: sequence numbers may already be those of the next one.
_ENDING: Final = frozenset(
    {TcpState.FIN_WAIT, TcpState.CLOSE_WAIT, TcpState.LAST_ACK, TcpState.TIME_WAIT, TcpState.CLOSE}
)
#: States in which a SYN may open the connection anew.
_OVER: Final = frozenset({TcpState.TIME_WAIT, TcpState.CLOSE})


class Ruling(StrEnum):
    """What becomes of a segment."""

    VALID = "valid"
    IGNORED = "ignored"  # let through, the entry does not move
    INVALID = "invalid"
    REOPEN = "reopen"  # the entry is dropped and the segment judged again, as the first one


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """
    Sysctls below ``net.netfilter.nf_conntrack_tcp_``.

    :param ignore_invalid_rst: a RST that is too old is not refused; it ends nothing that is established.
    """

    loose: bool = True
    ignore_invalid_rst: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """
    One segment, judged.

    :param before: state of the entry that met the segment, *after* the state it has now.
    :param why: for refused and ignored segments, the sentence for the user; else empty.
    :param log: what the kernel prints where ``nf_conntrack_log_invalid`` is on; *log_before_5_14* earlier.
    :param destroy: the entry goes at once.
    :param assured: the entry has seen enough to be ASSURED.
    """

    ruling: Ruling
    before: TcpState
    after: TcpState
    cell: str
    why: str = ""
    log: str = ""
    log_before_5_14: str = ""
    destroy: bool = False
    assured: bool = False


@dataclass(slots=True)
class TcpMemory:
    """
    The part of an entry that TCP needs; changed by ``judge``.

    :param last: what the last segment was, which *last_way* it went, the *last_end* of its data.
    :param highest_ack: per direction the highest acknowledgement that was seen.
    """

    state: TcpState = TcpState.NONE
    last: Segment | None = None
    last_way: Way | None = None
    last_end: int | None = None
    highest_ack: dict[Way, int] = field(default_factory=dict)
    closing: bool = False
    expects_challenge: bool = False
    simultaneous: bool = False

    def remember(self, tcp: Tcp, seg: Segment, way: Way) -> None:
        """Note what was seen last."""
        self.last, self.last_way, self.last_end = seg, way, _end(tcp)

    def acknowledge(self, tcp: Tcp, way: Way) -> None:
        """Note the highest acknowledgement of a direction."""
        if tcp.flags & Flag.ACK and tcp.ack is not None:
            known = self.highest_ack.get(way)
            if known is None or _before(known, tcp.ack):
                self.highest_ack[way] = tcp.ack


@cache
def possible_flags(flags: Flag) -> bool:
    """
    True for flags that a TCP can send; the kernel refuses all others before it looks at the state.

    >>> possible_flags(Flag.FIN)
    False
    """
    return flags & _DECISIVE in _POSSIBLE


def judge(
    memory: TcpMemory,
    way: Way,
    tcp: Tcp,
    settings: TcpSettings,
    *,
    seen_reply: bool = False,
    assured: bool = False,
) -> Judgement:
    """
    Judge one segment and move *memory*.

    :param way: ORIGINAL for a segment without an entry (state NONE).
    :param seen_reply: whether a segment of the other direction was valid before this one.
    """
    before, seg = memory.state, segment(tcp.flags)
    cell = CELLS[before, way, seg]
    name = cell_name(before, way, seg)
    if isinstance(cell, Invalid):
        return Judgement(Ruling.INVALID, before, before, name, cell.why, *log_words(before, way, seg))
    if before is TcpState.NONE and seg is Segment.ACK and not settings.loose:
        return Judgement(Ruling.INVALID, before, before, name, _NOT_LOOSE)
    if before in _OVER and cell == Go(TcpState.SYN_SENT):
        if memory.closing or (memory.last is Segment.RST and memory.last_way is way):
            return Judgement(Ruling.REOPEN, before, TcpState.NONE, name)
        cell = Ignore(_TOO_EARLY)
    if isinstance(cell, Ignore) and not _in_step(memory, way, tcp, seg):
        return _ignore(memory, way, tcp, cell)
    after = TcpState.SYN_RECV if isinstance(cell, Ignore) else cell.state
    if before is TcpState.LAST_ACK and after is TcpState.TIME_WAIT and _challenge(memory, way):
        memory.expects_challenge = False
        return Judgement(Ruling.IGNORED, before, before, name, _CHALLENGED, _LOG_CHALLENGE)
    if seg is Segment.RST:
        match _reset(memory, way, tcp, settings, assured=assured):
            case _Reset.STALE:
                return Judgement(Ruling.INVALID, before, before, name, _STALE_RST, _LOG_STALE_RST)
            case _Reset.INEXACT:
                after = before
            case _:
                pass
    after = _move(memory, way, tcp, before, after, seen_reply=seen_reply)
    return Judgement(
        Ruling.VALID,
        before,
        after,
        name,
        destroy=seg is Segment.RST and not seen_reply,
        assured=seen_reply
        and not assured
        and after is TcpState.ESTABLISHED
        and before in (TcpState.SYN_RECV, TcpState.ESTABLISHED),
    )


_LOG_CHALLENGE: Final = "nf_ct_proto_6: challenge-ack ignored"
_LOG_STALE_RST: Final = "nf_ct_proto_6: invalid rst"
_NOT_LOOSE: Final = "no SYN passed here and nf_conntrack_tcp_loose=0 forbids to pick up a running connection"
_TOO_EARLY: Final = "a SYN for a closed connection that is still in the table: left to the peer to answer"
_CHALLENGED: Final = "an ACK that objects to a SYN (RFC 5961), not one that acknowledges the last FIN"
_STALE_RST: Final = "a RST whose sequence number is older than what the other side acknowledged already"


def _ignore(memory: TcpMemory, way: Way, tcp: Tcp, cell: Ignore) -> Judgement:
    before, seg = memory.state, segment(tcp.flags)
    memory.remember(tcp, seg, way)
    if seg is Segment.SYN and way is Way.ORIGINAL:
        memory.expects_challenge = before is TcpState.LAST_ACK
    name = cell_name(before, way, seg)
    return Judgement(Ruling.IGNORED, before, before, name, cell.why, *_ignored_words(before, way, seg))


def _move(
    memory: TcpMemory, way: Way, tcp: Tcp, before: TcpState, after: TcpState, *, seen_reply: bool
) -> TcpState:
    """Let a valid segment move the memory; return where it ends."""
    seg = segment(tcp.flags)
    if after is TcpState.SYN_SENT2:
        memory.simultaneous = True
    if after is TcpState.SYN_RECV and seg is Segment.ACK and way is Way.REPLY and memory.simultaneous:
        after = TcpState.ESTABLISHED
    if after is TcpState.FIN_WAIT and before is not after:
        memory.closing = True
    if way is Way.REPLY or seen_reply or not tcp.ack:
        # Picked up midway, the first side acknowledges what was not seen: not remembered.
        memory.acknowledge(tcp, way)
    memory.remember(tcp, seg, way)
    memory.state = after
    return after


def _ignored_words(state: TcpState, way: Way, seg: Segment) -> tuple[str, str]:
    """Words for an ignored segment, also where the cell itself would have let it move the entry."""
    new, old = log_words(state, way, seg)
    if new:
        return new, old
    index, direction = list(Segment).index(seg), list(Way).index(way)
    return f"nf_ct_proto_6: packet (index {index}) in dir {direction} ignored, state {state}", ""


def _in_step(memory: TcpMemory, way: Way, tcp: Tcp, seg: Segment) -> bool:
    """True for a SYN/ACK that answers a SYN which was let through: the peers agree, the tracker did not."""
    return (
        seg is Segment.SYNACK
        and memory.last is Segment.SYN
        and memory.last_way is not way
        and (tcp.ack is None or memory.last_end is None or tcp.ack == memory.last_end)
    )


def _challenge(memory: TcpMemory, way: Way) -> bool:
    return memory.expects_challenge and memory.last is Segment.SYN and memory.last_way is not way


class _Reset(Enum):
    """How the sequence number of a RST stands to what the other side acknowledged."""

    TAKEN = auto()
    STALE = auto()  # older
    INEXACT = auto()  # inside the window, not at its edge: the peer will object, so nothing ends


def _reset(memory: TcpMemory, way: Way, tcp: Tcp, settings: TcpSettings, *, assured: bool) -> _Reset:
    known = memory.highest_ack.get(_other(way))
    if memory.state in _ENDING or memory.last is Segment.SYN or known is None or tcp.seq is None:
        return _Reset.TAKEN
    established = assured and memory.state is TcpState.ESTABLISHED
    if tcp.seq == 0 and not established:
        return _Reset.TAKEN  # answers a SYN that was let through before
    if _before(tcp.seq, known) and not settings.ignore_invalid_rst:
        return _Reset.STALE
    train = memory.last is Segment.ACK and memory.last_way is way and tcp.seq == memory.last_end
    return _Reset.INEXACT if established and tcp.seq != known and not train else _Reset.TAKEN


def _other(way: Way) -> Way:
    return Way.REPLY if way is Way.ORIGINAL else Way.ORIGINAL


def _end(tcp: Tcp) -> int | None:
    if tcp.seq is None:
        return None
    phantom = bool(tcp.flags & Flag.SYN) + bool(tcp.flags & Flag.FIN)
    return (tcp.seq + (tcp.length or 0) + phantom) % _WORD


def _before(one: int, other: int) -> bool:
    return (one - other) % _WORD >= _HALF
