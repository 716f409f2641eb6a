"""
What a TCP tracker knows of the windows of both sides, and what lies outside of them.

``tcp_in_window``, ``tcp_init_sender``, ``tcp_options`` and ``tcp_sack`` of
``net/netfilter/nf_conntrack_proto_tcp.c``, which follow Guido van Rooij, "Real Stateful TCP Packet Filtering
in IP Filter". Four bounds hold for a segment: its first byte lies not past the window that the receiver gave,
its last not before the window that the receiver had; it acknowledges nothing that was not sent, and nothing
that is older than a window. What is outside stays in the connection unless a bound is an upper one.

A side whose numbers are not known has no bounds: callers do not ask then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.facts.packet import Tcp, TcpOptions
from bothways.facts.quick import quick
from bothways.model.linux.conntrack.variant import Variant

__all__ = ["TOLERATED", "Outside", "Side", "check", "end_of", "numbered", "open_windows", "past"]

_WORD: Final = 0xFFFF_FFFF
_HALF: Final = 1 << 31
#: An acknowledgement may be this old, or as old as the largest window of who sends it.
_LEAST_ACK_WINDOW: Final = 66_000
#: RFC 7323 section 2.3.
_MAX_SCALE: Final = 14
_FIN, _SYN, _RST, _ACK = 1, 2, 4, 16


@dataclass(slots=True)
class Side:
    """
    One direction (``struct ip_ct_tcp_state``): what its sender has sent and was allowed to.

    :param end: one past the last byte that it sent (``td_end``).
    :param edge: one past the last byte that it may send (``td_maxend``).
    :param window: the largest window that it gave, in bytes; 0 = nothing of it was seen (``td_maxwin``).
    :param acked: the highest that it acknowledged, None before any (``td_maxack``).
    :param scale: window scale, RFC 7323; *scaling*, *sack*: its SYN had the option.
    :param liberal: its bounds refuse nothing: it was picked up midway.
    :param unacknowledged: it sent what the other side did not acknowledge yet.
    :param closing: it sent the first FIN.
    """

    end: int = 0
    edge: int = 0
    window: int = 0
    acked: int | None = None
    scale: int = 0
    scaling: bool = False
    sack: bool = False
    liberal: bool = False
    unacknowledged: bool = False
    closing: bool = False

    def take_options(self, options: TcpOptions) -> None:
        """Read a SYN's options. Without any, what was known stays; with some, it is forgotten first."""
        if not _has_options(options):
            return
        self.scaling = options.wscale is not None
        self.scale = min(options.wscale or 0, _MAX_SCALE)
        self.sack = options.sack_ok
        self.acked = None
        self.unacknowledged = self.closing = False


@quick
@dataclass(frozen=True, slots=True)
class Outside:
    """
    A segment outside the window.

    :param refused: INVALID; else it is let through and moves nothing.
    :param log: what the kernel of the variant prints.
    """

    refused: bool
    why: str
    log: str


#: Taken, but neither counted as a retransmission nor remembered.
TOLERATED: Final = Outside(refused=False, why="", log="")


def past(one: int, other: int) -> bool:
    """Whether *one* comes after *other* in 32-bit sequence space (``after``)."""
    return ((other - one) & _WORD) >= _HALF


def numbered(tcp: Tcp) -> bool:
    """True if the evidence shows all that windows are computed from."""
    if tcp.relative or tcp.seq is None or tcp.window is None or tcp.length is None:
        return False
    options = tcp.options
    if tcp.ack is not None and options.size is not None:
        return True
    flags = int(tcp.flags)
    return not (
        (tcp.ack is None and flags & _ACK)
        or (flags & _SYN and options.size is None and not _has_options(options))
    )


def end_of(tcp: Tcp) -> int | None:
    """One past the last sequence number that a segment takes; None if it does not show its first."""
    if tcp.seq is None or tcp.relative:
        return None
    flags = int(tcp.flags)
    return (tcp.seq + (tcp.length or 0) + (flags >> 1 & 1) + (flags & 1)) & _WORD


def open_windows(sender: Side, receiver: Side, tcp: Tcp) -> None:
    """
    Take the first segment of a connection (``tcp_new``).

    Without a SYN it is picked up midway: scales are not known, so nothing is refused and SACK is read.
    """
    window = tcp.window or 0
    sender.end = end_of(tcp) or 0
    sender.window = window or 1
    if int(tcp.flags) & _SYN:
        sender.edge = sender.end
        sender.take_options(tcp.options)
        return
    sender.edge = (sender.end + sender.window) & _WORD
    sender.sack = sender.liberal = receiver.sack = receiver.liberal = True


def check(  # noqa: C901, PLR0912, PLR0915 - the kernel's order of questions, each asked once
    sender: Side, receiver: Side, tcp: Tcp, reply: bool, opening: bool, syn_sent: bool,  # noqa: FBT001
    be_liberal: bool, variant: Variant,  # noqa: FBT001 (by place, as all that each segment passes: it is quicker)
) -> Outside | None:  # fmt: skip
    """
    Hold a segment against the window and move both sides.

    :param opening: the connection is in SYN_SENT or SYN_RECV; *syn_sent*: in SYN_SENT.
    :param reply: it travels in the reply direction.
    :return: None for a segment inside, ``TOLERATED`` for one that is taken without a look at its numbers.
    """
    flags = int(tcp.flags)
    is_syn, is_ack = flags & _SYN, flags & _ACK
    seq, window = tcp.seq or 0, tcp.window or 0
    ack = sack = tcp.ack or 0
    end = (seq + (tcp.length or 0) + (flags >> 1 & 1) + (flags & 1)) & _WORD
    if receiver.sack:
        for _, right in tcp.options.sack:
            if past(right, sack):
                sack = right
    if sender.window == 0:
        if is_syn:
            _begin(sender, receiver, tcp, end, reply=reply)
            if not is_ack:
                return TOLERATED  # both opened at once
        else:
            _join(sender, receiver, end, sack, window)
    elif is_syn and opening and past(end, sender.end):
        _begin(sender, receiver, tcp, end, reply=reply)
        if reply and not is_ack:
            return TOLERATED
    received = receiver.end
    if flags & _RST:
        if ack == 0:
            ack = sack = received
        if seq == 0 and syn_sent:
            seq = end = sender.end
    if not is_ack:
        ack = sack = received

    largest = sender.window
    sent, edge, allowed = sender.end, sender.edge, receiver.window
    back = largest if largest > _LEAST_ACK_WINDOW else _LEAST_ACK_WINDOW  # noqa: FURB136 (a call takes longer)
    oldest = (received - back - 1) & _WORD
    first = (sent - allowed - 1) & _WORD
    # what ``past`` says, written out: each segment is held against all bounds
    early = allowed != 0 and (first - end) & _WORD < _HALF
    old = (oldest - sack) & _WORD < _HALF
    unseen = (received - sack) & _WORD >= _HALF
    outside = None
    if (edge - seq) & _WORD >= _HALF:
        overshot = (end - edge + 1) & _WORD
        inside = allowed and not (early or old or unseen)
        if inside and overshot <= allowed and variant.overshot_is_remembered:
            sender.end = end
            sender.unacknowledged = True
            outside = _overshot(overshot, variant)
        else:
            outside = _outside("seq over", (edge + 1) & _WORD, variant)
    elif unseen and (variant.late_is_let_through or not early):
        outside = _outside("ack over", (received + 1) & _WORD, variant)
    elif early:
        outside = _outside("seq under", first, variant)
    elif old:
        outside = _outside("ack under", oldest, variant)
    if outside is not None:
        return TOLERATED if sender.liberal or be_liberal else outside
    # inside: both sides move. The window of a SYN is never scaled (RFC 7323)
    if not is_syn:
        window <<= sender.scale
    given = (window + sack - ack) & _WORD
    if given > largest:
        sender.window = given
    if (sent - end) & _WORD >= _HALF:
        sender.end = end
        sender.unacknowledged = True
    if is_ack and (sender.acked is None or (sender.acked - ack) & _WORD >= _HALF):
        sender.acked = ack
    if allowed and (edge - end) & _WORD >= _HALF:
        receiver.window = allowed + ((end - edge) & _WORD)
    right = (sack + window) & _WORD
    if (receiver.edge - 1 - right) & _WORD >= _HALF:
        receiver.edge = right if window else (right + 1) & _WORD
    if ack == received:
        receiver.unacknowledged = False
    return None


def _begin(sender: Side, receiver: Side, tcp: Tcp, end: int, *, reply: bool) -> None:
    """The first SYN or SYN/ACK of a side, or one that opens it anew (``tcp_init_sender``)."""
    sender.end = sender.edge = end
    sender.window = tcp.window or 1
    sender.take_options(tcp.options)
    if reply and not (sender.scaling and receiver.scaling):
        sender.scale = receiver.scale = 0  # RFC 7323: both or none


def _join(sender: Side, receiver: Side, end: int, sack: int, window: int) -> None:
    """A side whose beginning was not seen: what its first segment says is believed."""
    sender.end = end
    sender.window = (window << sender.scale) or 1
    sender.edge = (end + sender.window) & _WORD
    if receiver.window == 0:
        receiver.end = receiver.edge = sack
    elif sack == (receiver.end + 1) & _WORD:
        receiver.end = sack  # it answers a keep-alive


def _has_options(options: TcpOptions) -> bool:
    if options.size is not None:
        return options.size > 0
    return (
        options.mss is not None
        or options.wscale is not None
        or options.sack_ok
        or options.timestamp is not None
        or bool(options.sack)
    )


def _outside(bound: str, number: int, variant: Variant) -> Outside:
    refused, why, log, old = _BOUNDS[bound]
    sentence = f"{why} ({number})"
    if variant.late_is_let_through:
        return Outside(refused, sentence, f"nf_ct_proto_6: {log.format(number)}")
    prefix = "nf_ct_proto_6: " if variant.words_of_5_14 else "nf_ct_tcp: "
    return Outside(refused=True, why=sentence, log=prefix + old)


def _overshot(count: int, variant: Variant) -> Outside:
    why = f"{count} bytes more than the receiver's window allows"
    log = f"nf_ct_proto_6: {count} bytes more than expected"
    return Outside(not variant.late_is_let_through, why, log)


#: Bound -> (INVALID, the sentence, the kernel's words since 6.1, and before).
_BOUNDS: Final = {
    "seq over": (
        True,
        "its data begins past the window that the receiver gave",
        "SEQ is over upper bound {} (over the window of the receiver)",
        "SEQ is over the upper bound (over the window of the receiver)",
    ),
    "ack over": (
        True,
        "it acknowledges data that did not pass here",
        "ACK is over upper bound {} (ACKed data not seen yet)",
        "ACK is over the upper bound (ACKed data not seen yet)",
    ),
    "seq under": (
        False,
        "its data was acknowledged long ago: it ends before the receiver's window",
        "SEQ is under lower bound {} (already ACKed data retransmitted)",
        "SEQ is under the lower bound (already ACKed data retransmitted)",
    ),
    "ack under": (
        False,
        "its acknowledgement is older than a window",
        "ignored ACK under lower bound {} (possible overly delayed)",
        "ACK is under the lower bound (possible overly delayed ACK)",
    ),
}
