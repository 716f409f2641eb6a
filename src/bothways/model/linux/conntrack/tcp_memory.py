"""
What the tracker remembers of one TCP connection, and the transitions that hang on it.

``CELLS`` in ``tcp`` decides by state, direction and flags; ``tcp_window`` by numbers. This file holds the
exceptions that need memory (``nf_conntrack_tcp_packet``): a flag combination no TCP sends, a mid-stream pick-up
(``nf_conntrack_tcp_loose``), a SYN that reopens a closed connection, a SYN/ACK that shows that tracker and
peers were out of step, a challenge ACK, and the sequence number of a RST.

A number that the evidence does not show (None) never refuses a segment: from there on the windows of this
connection are not known, and a judgement says so.
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
from bothways.model.linux.conntrack.tcp_window import TOLERATED, Side, check, end_of, numbered, open_windows, past
from bothways.model.linux.conntrack.variant import VARIANTS, Variant

__all__ = ["Judgement", "Ruling", "TcpMemory", "TcpSettings", "judge", "possible_flags"]

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
_ENDS: Final = frozenset({Segment.FIN, Segment.RST})
_TO_SYN_SENT: Final = Go(TcpState.SYN_SENT)


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
    :param be_liberal: what is outside the window is taken as if it were inside.
    """

    loose: bool = True
    ignore_invalid_rst: bool = False
    be_liberal: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
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


@dataclass(slots=True)
class TcpMemory:
    """
    The part of an entry that TCP needs (``struct ip_ct_tcp``); changed by ``judge``.

    :param last: what the last segment was, and which *last_way* it went.
    :param last_end: where the last ACK or ignored segment ended; with *last_seq*, *last_ack* and
        *last_window* what a retransmission is known by.
    :param syn: window and options of the last SYN that was ignored.
    :param lost: a number was not shown: windows are not known.
    """

    state: TcpState = TcpState.NONE
    original: Side = field(default_factory=Side)
    reply: Side = field(default_factory=Side)
    lost: bool = False
    last: Segment | None = None
    last_way: Way | None = None
    last_seq: int | None = 0
    last_ack: int | None = 0
    last_end: int | None = 0
    last_window: int | None = 0
    retransmissions: int = 0
    syn: Side = field(default_factory=Side)
    expects_challenge: bool = False
    simultaneous: bool = False

    @property
    def closing(self) -> bool:
        """True once a side sent the first FIN."""
        return self.original.closing or self.reply.closing

    @property
    def unacknowledged(self) -> bool:
        """True while data is under way that no segment acknowledged."""
        return self.original.unacknowledged or self.reply.unacknowledged

    def note_ack(self, tcp: Tcp, way: Way, end: int | None) -> None:
        """Note an ACK, and count it if it is the last one over again."""
        same = (
            self.last_way is way
            and self.last_seq == tcp.seq
            and self.last_ack == tcp.ack
            and self.last_end == end
            and self.last_window == tcp.window
        )
        if same:
            self.retransmissions += 1
            return
        self.retransmissions = 0
        self.last_seq, self.last_ack, self.last_end, self.last_window = tcp.seq, tcp.ack, end, tcp.window

    def agree(self, way: Way) -> None:
        """Take over the SYN that was ignored: the peers went on without the tracker."""
        self.syn.end = self.syn.edge = self.last_end or 0
        self.syn.window = self.last_window or 1
        if way is Way.REPLY:
            self.original, self.reply = self.syn, Side()
        else:
            self.original, self.reply = Side(), self.syn
        self.syn, self.expects_challenge = Side(), False


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
    elif before in _OVER and cell == _TO_SYN_SENT:
        if memory.closing or (memory.last is Segment.RST and memory.last_way is way):
            return Judgement(Ruling.REOPEN, before, TcpState.NONE, name)
        cell = _TOO_EARLY
    if isinstance(cell, Ignore):
        if not _in_step(memory, way, tcp, seg):
            return _ignore(memory, way, tcp, cell)
        after = TcpState.SYN_RECV
        memory.agree(way)
    else:
        after = cell.state
    if before is TcpState.LAST_ACK and after is TcpState.TIME_WAIT and _challenge(memory, way, seg):
        memory.expects_challenge = False
        return Judgement(Ruling.IGNORED, before, before, name, _CHALLENGED, _LOG_CHALLENGE)
    reset = _Reset.TAKEN
    if seg is Segment.RST:
        reset = _reset(memory, way, tcp, settings, seen_reply=seen_reply, assured=assured)
        if reset is _Reset.STALE:
            return Judgement(Ruling.INVALID, before, before, name, _STALE_RST, _LOG_STALE_RST)
        if reset is _Reset.INEXACT:
            after = before
    elif after is TcpState.SYN_SENT2:
        memory.simultaneous = True
    elif after is TcpState.SYN_RECV and seg is Segment.ACK and way is Way.REPLY and memory.simultaneous:
        after = TcpState.ESTABLISHED
    memory.lost = memory.lost or not numbered(tcp)
    if memory.lost:
        _acknowledge(memory, way, tcp, seen_reply=seen_reply)
        if seg is Segment.ACK:
            memory.note_ack(tcp, way, end_of(tcp))
            memory.retransmissions = 0
    elif reset is not _Reset.UNCHECKED:
        refused = _outside(memory, way, tcp, name, settings, variant, assured=assured)
        if refused is not None:
            return refused
    memory.last, memory.last_way, memory.state = seg, way, after
    if after is TcpState.FIN_WAIT and before is not after:
        _side(memory, way).closing = True
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
    memory: TcpMemory, way: Way, tcp: Tcp, name: str, settings: TcpSettings, variant: Variant, *, assured: bool
) -> Judgement | None:
    """Hold a segment against the windows; None if it is taken."""
    forth = way is Way.ORIGINAL
    before = memory.state
    sender, receiver = (memory.original, memory.reply) if forth else (memory.reply, memory.original)
    found = check(
        sender,
        receiver,
        tcp,
        reply=not forth,
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
    return Judgement(ruling, before, before, name, found.why, found.log, found.log, answers=answers)


def _ignore(memory: TcpMemory, way: Way, tcp: Tcp, cell: Ignore) -> Judgement:
    before, seg = memory.state, segment(tcp.flags)
    memory.last, memory.last_way = seg, way
    memory.last_seq, memory.last_end, memory.last_window = tcp.seq, end_of(tcp), tcp.window
    if seg is Segment.SYN and way is Way.ORIGINAL:
        memory.syn = Side()
        memory.syn.take_options(tcp.options)
        memory.simultaneous = False
        memory.expects_challenge = before is TcpState.LAST_ACK
    elif seg is Segment.ACK and before is TcpState.SYN_SENT:
        memory.last_ack = tcp.ack
    name = cell_name(before, way, seg)
    return Judgement(Ruling.IGNORED, before, before, name, cell.why, *_ignored_words(before, way, seg))


def _acknowledge(memory: TcpMemory, way: Way, tcp: Tcp, *, seen_reply: bool) -> None:
    """Note the highest acknowledgement where windows are not known; a pick-up's first one is of no use."""
    if tcp.relative or tcp.ack is None or not int(tcp.flags) & Flag.ACK:
        return
    side = _side(memory, way)
    trusted = way is Way.REPLY or seen_reply or not tcp.ack
    if trusted and (side.acked is None or past(tcp.ack, side.acked)):
        side.acked = tcp.ack


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
        and (tcp.ack is None or tcp.relative or memory.last_end is None or tcp.ack == memory.last_end)
    )


def _challenge(memory: TcpMemory, way: Way, seg: Segment) -> bool:
    return (
        memory.expects_challenge
        and seg is Segment.ACK
        and memory.last is Segment.SYN
        and memory.last_way is not way
    )


class _Reset(Enum):
    """How the numbers of a RST stand to what the other side acknowledged."""

    TAKEN = auto()
    STALE = auto()  # older
    INEXACT = auto()  # inside the window, not at its edge: the peer will object, so nothing ends
    UNCHECKED = auto()  # taken, whatever the windows are


def _reset(
    memory: TcpMemory, way: Way, tcp: Tcp, settings: TcpSettings, *, seen_reply: bool, assured: bool
) -> _Reset:
    if memory.state in _ENDING:
        return _Reset.UNCHECKED
    known = (memory.reply if way is Way.ORIGINAL else memory.original).acked
    reset = _Reset.TAKEN
    if known is not None and memory.last is not Segment.SYN and tcp.seq is not None and not tcp.relative:
        established = assured and memory.state is TcpState.ESTABLISHED
        if tcp.seq == 0 and not established:
            return _Reset.TAKEN  # answers a SYN that was let through before
        if past(known, tcp.seq) and not settings.ignore_invalid_rst:
            return _Reset.STALE
        train = memory.last is Segment.ACK and memory.last_way is way and tcp.seq == memory.last_end
        if not established or tcp.seq == known or train:
            return _Reset.TAKEN
        reset = _Reset.INEXACT
    answers_syn = seen_reply and memory.last is Segment.SYN and memory.last_way is not way
    let_through = answers_syn or (memory.last is Segment.ACK and not assured)
    if let_through and (tcp.ack or 0) == memory.last_end and reset is _Reset.TAKEN:
        return _Reset.UNCHECKED
    return reset


def _side(memory: TcpMemory, way: Way) -> Side:
    return memory.original if way is Way.ORIGINAL else memory.reply
