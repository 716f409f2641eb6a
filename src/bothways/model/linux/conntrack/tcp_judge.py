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

from enum import StrEnum
from functools import cache
from typing import Final, NamedTuple

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
from bothways.model.linux.conntrack.tcp_memory import TcpMemory, TcpSettings
from bothways.model.linux.conntrack.tcp_reset import Reset, reset_of
from bothways.model.linux.conntrack.tcp_window import TOLERATED, check, end_of, numbered, open_windows
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
_ENDS: Final = frozenset({Segment.FIN, Segment.RST})
_TO_SYN_SENT: Final = Go(TcpState.SYN_SENT)


class Ruling(StrEnum):
    """What becomes of a segment."""

    VALID = "valid"
    IGNORED = "ignored"  # let through, the entry does not move
    INVALID = "invalid"
    REOPEN = "reopen"  # the entry is dropped and the segment judged again, as the first one


class Judgement(NamedTuple):
    """
    One segment, judged.

    :param before: state of the entry that met the segment, *after* the state it has now.
    :param why: for refused and ignored segments, the sentence for the user; else empty.
    :param log: what the kernel prints where ``nf_conntrack_log_invalid`` is on; *log_before_5_14* earlier.
    :param destroy: the entry goes at once.
    :param assured: the entry has seen enough to be ASSURED.
    :param answers: for a refused FIN or RST of an ASSURED connection: the one of the other side that it
        answers, which shortens the entry's time.
    :param windows_known: False if a number was not shown that this judgement would need.
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
    answers: Segment | None = None
    windows_known: bool = True


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
    variant: Variant = VARIANTS[0],
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
    if before is TcpState.NONE:
        if seg is Segment.ACK and not settings.loose:
            return Judgement(Ruling.INVALID, before, before, name, _NOT_LOOSE)
        open_windows(memory.original, memory.reply, tcp)
    elif (before is TcpState.TIME_WAIT or before is TcpState.CLOSE) and cell == _TO_SYN_SENT:
        if memory.reopens(way):
            return Judgement(Ruling.REOPEN, before, TcpState.NONE, name)
        cell = _TOO_EARLY
    if isinstance(cell, Ignore) and not memory.in_step(way, tcp, seg):
        memory.let_through(way, tcp, seg)
        return Judgement(Ruling.IGNORED, before, before, name, cell.why, *_ignored_words(before, way, seg))
    after = _destination(memory, way, seg, cell)
    if before is TcpState.LAST_ACK and after is TcpState.TIME_WAIT and memory.challenged(way, seg):
        memory.expects_challenge = False
        return Judgement(Ruling.IGNORED, before, before, name, _CHALLENGED, _LOG_CHALLENGE)
    checked = True
    if seg is Segment.RST:
        reset = reset_of(memory, way, tcp, settings, variant, seen_reply=seen_reply, assured=assured)
        if reset is Reset.STALE:
            return Judgement(Ruling.INVALID, before, before, name, _STALE_RST, _LOG_STALE_RST)
        checked = reset is not Reset.UNCHECKED
        after = before if reset is Reset.INEXACT else after
    held = _held(memory, way, tcp, settings, variant, checked=checked, seen_reply=seen_reply, assured=assured)
    if held is not None:
        return held
    return _moved(memory, way, seg, after, name, seen_reply=seen_reply, assured=assured)


def _destination(memory: TcpMemory, way: Way, seg: Segment, cell: Go | Ignore) -> TcpState:
    """Where a segment leads, as far as its numbers let it."""
    if isinstance(cell, Ignore):
        memory.agree(way)
        return TcpState.SYN_RECV
    if cell.state is TcpState.SYN_SENT2:
        memory.simultaneous = True
    elif cell.state is TcpState.SYN_RECV and seg is Segment.ACK and way is Way.REPLY and memory.simultaneous:
        return TcpState.ESTABLISHED
    return cell.state


def _held(
    memory: TcpMemory, way: Way, tcp: Tcp, settings: TcpSettings, variant: Variant,
    *, checked: bool, seen_reply: bool, assured: bool,
) -> Judgement | None:  # fmt: skip
    """Hold a segment against the windows, if they are known; None if it may move the entry."""
    if not memory.lost and numbered(tcp):
        return _outside(memory, way, tcp, settings, variant, assured=assured) if checked else None
    memory.lost = True
    memory.acknowledge(way, tcp, seen_reply=seen_reply)
    if segment(tcp.flags) is Segment.ACK:
        memory.note_ack(tcp, way, end_of(tcp))
        memory.retransmissions = 0  # without a window, the same segment again need not be one
    return None


def _moved(
    memory: TcpMemory, way: Way, seg: Segment, after: TcpState, name: str, *, seen_reply: bool, assured: bool
) -> Judgement:
    before = memory.state
    memory.last, memory.last_way, memory.state = seg, way, after
    if after is TcpState.FIN_WAIT and before is not after:
        memory.sides(way)[0].closing = True
    return Judgement(
        Ruling.VALID,
        before,
        after,
        name,
        destroy=seg is Segment.RST and not seen_reply,
        assured=seen_reply
        and not assured
        and after is TcpState.ESTABLISHED
        and (before is TcpState.SYN_RECV or before is TcpState.ESTABLISHED),
        windows_known=not memory.lost,
    )


_LOG_CHALLENGE: Final = "nf_ct_proto_6: challenge-ack ignored"
_LOG_STALE_RST: Final = "nf_ct_proto_6: invalid rst"
_NOT_LOOSE: Final = "no SYN passed here and nf_conntrack_tcp_loose=0 forbids to pick up a running connection"
_TOO_EARLY: Final = Ignore(
    "a SYN for a closed connection that is still in the table: left to the peer to answer"
)
_CHALLENGED: Final = "an ACK that objects to a SYN (RFC 5961), not one that acknowledges the last FIN"
_STALE_RST: Final = "a RST whose sequence number is older than what the other side acknowledged already"


def _outside(
    memory: TcpMemory,
    way: Way,
    tcp: Tcp,
    settings: TcpSettings,
    variant: Variant,
    *,
    assured: bool,
) -> Judgement | None:
    """Hold a segment against the windows; None if it is taken."""
    before = memory.state
    sender, receiver = memory.sides(way)
    found = check(
        sender,
        receiver,
        tcp,
        reply=way is Way.REPLY,
        opening=before is TcpState.SYN_SENT or before is TcpState.SYN_RECV,
        syn_sent=before is TcpState.SYN_SENT,
        be_liberal=settings.be_liberal,
        variant=variant,
    )
    seg = segment(tcp.flags)
    if found is None:
        if seg is Segment.ACK:
            memory.note_ack(tcp, way, end_of(tcp))
        return None
    if found is TOLERATED:
        return None
    answers = None
    if found.refused and assured and seg in _ENDS and variant.late_end_shortens:
        if memory.last_way is not way and memory.last in _ENDS:
            answers = memory.last
        else:
            memory.last, memory.last_way = seg, way
    ruling = Ruling.INVALID if found.refused else Ruling.IGNORED
    name = cell_name(before, way, seg)
    return Judgement(ruling, before, before, name, found.why, found.log, found.log, answers=answers)


def _ignored_words(state: TcpState, way: Way, seg: Segment) -> tuple[str, str]:
    """Words for an ignored segment, also where the cell itself would have let it move the entry."""
    new, old = log_words(state, way, seg)
    if new:
        return new, old
    index, direction = list(Segment).index(seg), list(Way).index(way)
    return f"nf_ct_proto_6: packet (index {index}) in dir {direction} ignored, state {state}", ""
