"""
What the tracker remembers of one TCP connection (``struct ip_ct_tcp``), and the sysctls that it obeys.

``tcp_judge`` moves it. The memory of windows is in ``tcp_window``.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bothways.facts.once import once
from bothways.facts.packet import Tcp
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.tcp import Segment, TcpState
from bothways.model.linux.conntrack.tcp_window import Side, end_of, past

__all__ = ["TcpMemory", "TcpSettings"]

_ACK = 16
_ORIGINAL = Way.ORIGINAL


@dataclass(frozen=True, slots=True)
class TcpSettings:
    """
    Sysctls below ``net.netfilter.nf_conntrack_tcp_``.

    :param ignore_invalid_rst: a RST that is too old is not refused; it ends nothing that is established.
    :param be_liberal: what is outside the window is taken as if it were inside.
    :param max_retrans: from so many retransmissions on, an entry lives a shorter time.
    """

    loose: bool = True
    ignore_invalid_rst: bool = False
    be_liberal: bool = False
    max_retrans: int = 3


@dataclass(slots=True)
class TcpMemory:
    """
    The part of an entry that TCP needs (``struct ip_ct_tcp``); changed by ``judge``.

    :param last: what the last segment was, and which *last_way* it went.
    :param last_end: where the last ACK or ignored segment ended; with *last_seq*, *last_ack* and
        *last_window* what a retransmission is known by.
    :param syn: window and options of the last SYN that was ignored; None if none was.
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
    syn: Side | None = None
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

    @property
    def shown_flags(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Flags that ctnetlink shows for the two sides, without ``IP_CT_TCP_FLAG_``."""
        one, other = self.original, self.reply
        return _flag_names(
            (one.scaling, one.sack, one.closing, one.liberal, one.unacknowledged, one.acked is not None,
             other.scaling, other.sack, other.closing, other.liberal, other.unacknowledged,
             other.acked is not None)
        )  # fmt: skip

    def sides(self, way: Way) -> tuple[Side, Side]:
        """Who sends a segment of *way*, and who receives it."""
        return (self.original, self.reply) if way is _ORIGINAL else (self.reply, self.original)

    def reopens(self, way: Way) -> bool:
        """Whether a SYN of *way* may open the connection anew, which is over."""
        return self.closing or (self.last is Segment.RST and self.last_way is way)

    def in_step(self, way: Way, tcp: Tcp, seg: Segment) -> bool:
        """True for a SYN/ACK that answers a SYN which was let through: only the tracker did not follow."""
        return (
            seg is Segment.SYNACK
            and self.last is Segment.SYN
            and self.last_way is not way
            and (tcp.ack is None or tcp.relative or self.last_end is None or tcp.ack == self.last_end)
        )

    def challenged(self, way: Way, seg: Segment) -> bool:
        """True for the ACK with which a peer objects to a SYN that was let through (RFC 5961)."""
        return (
            self.expects_challenge
            and seg is Segment.ACK
            and self.last is Segment.SYN
            and self.last_way is not way
        )

    def let_through(self, way: Way, tcp: Tcp, seg: Segment) -> None:
        """Note a segment that moves nothing; a SYN with its options, in case the peer takes it."""
        if seg is Segment.SYN and way is Way.ORIGINAL:
            self.syn = Side()
            self.syn.take_options(tcp.options)
            self.simultaneous = False
            self.expects_challenge = self.state is TcpState.LAST_ACK
        elif seg is Segment.ACK and self.state is TcpState.SYN_SENT:
            self.last_ack = tcp.ack
        self.last, self.last_way = seg, way
        self.last_seq, self.last_end, self.last_window = tcp.seq, end_of(tcp), tcp.window

    def acknowledge(self, way: Way, tcp: Tcp, *, seen_reply: bool) -> None:
        """Note the highest acknowledgement where windows are not known; a pick-up's first is of no use."""
        if tcp.relative or tcp.ack is None or not int(tcp.flags) & _ACK:
            return
        side, _ = self.sides(way)
        trusted = way is Way.REPLY or seen_reply or not tcp.ack
        if trusted and (side.acked is None or past(tcp.ack, side.acked)):
            side.acked = tcp.ack

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
        """Take over the SYN that was ignored and that a segment of *way* answers: the peers went on."""
        taken = self.syn or Side()
        taken.end = taken.edge = self.last_end or 0
        taken.window = self.last_window or 1
        if way is Way.REPLY:
            self.original, self.reply = taken, Side(liberal=self.reply.liberal)
        else:
            self.original, self.reply = Side(liberal=self.original.liberal), taken
        self.syn, self.expects_challenge = None, False


@once
def _flag_names(are_set: tuple[bool, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    count = len(_FLAGS)
    one, other = (
        tuple(name for name, is_set in zip(_FLAGS, side, strict=True) if is_set)
        for side in (are_set[:count], are_set[count:])
    )
    return one, other


_FLAGS = ("WINDOW_SCALE", "SACK_PERM", "CLOSE_INIT", "BE_LIBERAL", "DATA_UNACKNOWLEDGED", "MAXACK_SET")
