"""
One TCP segment judged: the transitions that hang on more than state, direction and flags.

``CELLS`` in ``tcp`` decides by state, direction and flags; ``tcp_window`` by numbers; ``tcp_reset`` what a
RST may end. This file brings them together (``nf_conntrack_tcp_packet``), with what needs memory: a flag
combination no TCP sends, a mid-stream pick-up (``nf_conntrack_tcp_loose``), a SYN that reopens a closed
connection, a SYN/ACK that shows that tracker and peers were out of step, and a challenge ACK.

A number that the evidence does not show (None) never refuses a segment: from there on the windows of this
connection are not known, and a judgement says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from bothways.facts.once import once
from bothways.facts.packet import Flag, Tcp
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.tcp import (
    CELLS,
    Go,
    Ignore,
    Invalid,
    Row,
    Segment,
    TcpState,
    cell_name,
    log_words,
    segment,
)
from bothways.model.linux.conntrack.tcp_memory import TcpMemory, TcpSettings
from bothways.model.linux.conntrack.tcp_reset import Reset, reset_of
from bothways.model.linux.conntrack.tcp_window import (
    TOLERATED,
    Outside,
    check,
    end_of,
    numbered,
    open_windows,
)
from bothways.model.linux.conntrack.variant import VARIANTS, Variant

__all__ = ["Judgement", "Ruling", "judge", "possible_flags"]

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
# Names of the module are found ten times as quickly as members of an enum, and each segment comes by here.
_NONE: Final = TcpState.NONE
_SYN_SENT: Final = TcpState.SYN_SENT
_SYN_RECV: Final = TcpState.SYN_RECV
_ESTABLISHED: Final = TcpState.ESTABLISHED
_FIN_WAIT: Final = TcpState.FIN_WAIT
_LAST_ACK: Final = TcpState.LAST_ACK
_TIME_WAIT: Final = TcpState.TIME_WAIT
_CLOSE: Final = TcpState.CLOSE
_SYN_SENT2: Final = TcpState.SYN_SENT2
_ACK: Final = Segment.ACK
_RST: Final = Segment.RST
_REPLY: Final = Way.REPLY
_WORD: Final = 0xFFFF_FFFF
_ENDS: Final = frozenset({Segment.FIN, Segment.RST})
_TO_SYN_SENT: Final = Go(TcpState.SYN_SENT)


class Ruling(StrEnum):
    """What becomes of a segment."""

    VALID = "valid"
    IGNORED = "ignored"  # let through, the entry does not move
    INVALID = "invalid"
    REOPEN = "reopen"  # the entry is dropped and the segment judged again, as the first one


@dataclass(frozen=True, slots=True, eq=False)  # each is made once: to be equal is to be the same
class Judgement:
    """
    One segment, judged.

    :param row: of the state table: state of the entry that met the segment, direction, segment.
    :param after: state that it has now.
    :param why: for refused and ignored segments, the sentence for the user; else empty.
    :param log: what the kernel prints where ``nf_conntrack_log_invalid`` is on; *log_before_5_14* earlier.
    :param destroy: the entry goes at once.
    :param assured: the entry has seen enough to be ASSURED.
    :param answers: for a refused FIN or RST of an ASSURED connection: the one of the other side that it
        answers, which shortens the entry's time.
    :param windows_known: False if a number was not shown that this judgement would need.
    """

    ruling: Ruling
    row: Row
    after: TcpState
    why: str = ""
    log: str = ""
    log_before_5_14: str = ""
    destroy: bool = False
    assured: bool = False
    answers: Segment | None = None
    windows_known: bool = True

    @property
    def before(self) -> TcpState:
        """State of the entry that met the segment."""
        return self.row[0]

    @property
    def cell(self) -> str:
        """``SYN_SENT/original/ACK``."""
        return cell_name(*self.row)


_VALID: Final = Ruling.VALID


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
    seen_reply: bool = False,  # noqa: FBT001, FBT002 (by place, as all that each segment passes: it is quicker)
    assured: bool = False,  # noqa: FBT001, FBT002
    variant: Variant = VARIANTS[0],
) -> Judgement:
    """
    Judge one segment and move *memory*.

    :param way: ORIGINAL for a segment without an entry (state NONE). An entry in the state NONE, which
        somebody made by hand, is one whose windows are lost.
    :param seen_reply: whether a segment of the other direction was valid before this one.
    """
    before, seg = memory.state, segment(tcp.flags)
    row = (before, way, seg)
    cell = CELLS[row]
    if isinstance(cell, Invalid):
        return _refused(row, cell.why)
    if before is _NONE and not memory.lost:
        if seg is _ACK and not settings.loose:
            return Judgement(Ruling.INVALID, row, before, _NOT_LOOSE)
        open_windows(memory.original, memory.reply, tcp)
    elif (before is _TIME_WAIT or before is _CLOSE) and cell == _TO_SYN_SENT:
        if memory.reopens(way):
            return Judgement(Ruling.REOPEN, row, _NONE)
        cell = _TOO_EARLY
    if isinstance(cell, Go):
        after = cell.state
        if memory.simultaneous or after is _SYN_SENT2:
            after = _simultaneous(memory, way, seg, after)
    elif memory.in_step(way, tcp, seg):
        memory.agree(way)
        after = _SYN_RECV
    else:
        memory.let_through(way, tcp, seg)
        return _ignored(row, cell.why)
    if before is _LAST_ACK and after is _TIME_WAIT and memory.challenged(way, seg):
        memory.expects_challenge = False
        return Judgement(Ruling.IGNORED, row, before, _CHALLENGED, _LOG_CHALLENGE)
    checked = True
    if seg is _RST:
        reset = reset_of(memory, way, tcp, settings, variant, seen_reply=seen_reply, assured=assured)
        if reset is Reset.STALE:
            return Judgement(Ruling.INVALID, row, before, _STALE_RST, _LOG_STALE_RST)
        checked = reset is not Reset.UNCHECKED
        after = before if reset is Reset.INEXACT else after
    return _taken(memory, row, after, tcp, settings, variant, checked, seen_reply, assured)


# There are few judgements, and many segments: each is made once.


@cache
def _refused(row: Row, why: str) -> Judgement:
    return Judgement(Ruling.INVALID, row, row[0], why, *log_words(*row))


@cache
def _ignored(row: Row, why: str) -> Judgement:
    return Judgement(Ruling.IGNORED, row, row[0], why, *log_words(*row, ignored=True))


@once
def _valid(met: tuple[Row, TcpState, bool, bool, bool]) -> Judgement:
    row, after, destroy, assured, lost = met
    return Judgement(_VALID, row, after, destroy=destroy, assured=assured, windows_known=not lost)


def _simultaneous(memory: TcpMemory, way: Way, seg: Segment, state: TcpState) -> TcpState:
    """Where a segment leads if both sides sent a SYN; *state* is what the table says."""
    if state is _SYN_SENT2:
        memory.simultaneous = True
    elif state is _SYN_RECV and seg is _ACK and way is _REPLY:
        return _ESTABLISHED
    return state


def _unchecked(memory: TcpMemory, way: Way, tcp: Tcp, seg: Segment, *, seen_reply: bool) -> None:
    """Take a segment whose numbers cannot be held against a window; the connection's are not known now."""
    memory.lost = True
    memory.acknowledge(way, tcp, seen_reply=seen_reply)
    if seg is Segment.ACK:
        memory.note_ack(tcp, way, end_of(tcp))
        memory.retransmissions = 0  # without a window, the same segment again need not be one


def _taken(  # noqa: PLR0913, PLR0917 (all that a judgement knows by then)
    memory: TcpMemory, row: Row, after: TcpState, tcp: Tcp, settings: TcpSettings, variant: Variant,
    checked: bool, seen_reply: bool, assured: bool,  # noqa: FBT001 (by place: it is quicker)
) -> Judgement:  # fmt: skip
    """Hold a segment against the windows, if they are known, and let it move the entry to *after*."""
    before, way, seg = row
    if memory.lost or not numbered(tcp):
        _unchecked(memory, way, tcp, seg, seen_reply=seen_reply)
    elif checked:
        reply, syn_sent = way is _REPLY, before is _SYN_SENT
        found = check(
            memory.reply if reply else memory.original,
            memory.original if reply else memory.reply,
            tcp,
            reply,
            syn_sent or before is _SYN_RECV,
            syn_sent,
            settings.be_liberal,
            variant,
        )
        if found is None:
            if seg is _ACK:
                memory.note_ack(tcp, way, ((tcp.seq or 0) + (tcp.length or 0)) & _WORD)
        elif found is not TOLERATED:
            return _outside(memory, row, found, variant, assured=assured)
    memory.last, memory.last_way, memory.state = seg, way, after
    if after is _FIN_WAIT and before is not after:
        memory.sides(way)[0].closing = True
    destroyed = seg is _RST and not seen_reply
    now_assured = (
        seen_reply
        and not assured
        and after is _ESTABLISHED
        and (before is _SYN_RECV or before is _ESTABLISHED)
    )
    return _valid((row, after, destroyed, now_assured, memory.lost))


_LOG_CHALLENGE: Final = "nf_ct_proto_6: challenge-ack ignored"
_LOG_STALE_RST: Final = "nf_ct_proto_6: invalid rst"
_NOT_LOOSE: Final = "no SYN passed here and nf_conntrack_tcp_loose=0 forbids to pick up a running connection"
_TOO_EARLY: Final = Ignore(
    "a SYN for a closed connection that is still in the table: left to the peer to answer"
)
_CHALLENGED: Final = "an ACK that objects to a SYN (RFC 5961), not one that acknowledges the last FIN"
_STALE_RST: Final = "a RST whose sequence number is older than what the other side acknowledged already"


def _outside(memory: TcpMemory, row: Row, found: Outside, variant: Variant, *, assured: bool) -> Judgement:
    """Refuse a segment outside the window, or let it through."""
    before, way, seg = row
    answers = None
    if found.refused and assured and seg in _ENDS and variant.late_end_shortens:
        if memory.last_way is not way and memory.last in _ENDS:
            answers = memory.last
        else:
            memory.last, memory.last_way = seg, way
    ruling = Ruling.INVALID if found.refused else Ruling.IGNORED
    return Judgement(ruling, row, before, found.why, found.log, found.log, answers=answers)
