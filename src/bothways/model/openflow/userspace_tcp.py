"""
TCP in Open vSwitch's own tracker.

``lib/conntrack-tcp.c``, which follows the packet filter of BSD: each side has a state of its own, and
sequence numbers decide what is valid, not a table of states. It knows no ``loose``: any segment but a
SYN/ACK may open a connection, also an ACK or a RST midway. A SYN/ACK that passed elsewhere stops nothing:
while the other side was never heard, what lies near the sender's own numbers is valid.

A number that the evidence does not show (None) never refuses a segment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from bothways.facts.packet import Flag, Tcp

__all__ = ["LIFE_S", "Peer", "PeerState", "Ruling", "UserspaceTcp", "may_open", "opened", "update"]

_WORD: Final = 0xFFFFFFFF
#: How far numbers may be off where a side was not heard yet, or is closed.
_NEAR: Final = 0xFFFF + 1500
#: Shift that holds for both sides of a connection that was picked up midway.
_WIDEST: Final = 14


class PeerState(IntEnum):
    """State of one side; the order counts."""

    CLOSED = 0
    LISTEN = 1
    SYN_SENT = 2
    SYN_RECV = 3
    ESTABLISHED = 4
    CLOSE_WAIT = 5
    FIN_WAIT_1 = 6
    CLOSING = 7
    LAST_ACK = 8
    FIN_WAIT_2 = 9
    TIME_WAIT = 10


class Ruling(StrEnum):
    """What a segment is to its connection."""

    VALID = "valid"
    STILL_NEW = "still new"  # a SYN sent again
    REOPEN = "reopen"  # the old connection goes, a new one begins
    INVALID = "invalid"


@dataclass(slots=True)
class Peer:
    """
    One side.

    :param low: the next number that it will send; *high*: the highest that it may send.
    :param scale: window scale of its SYN; None if it sent none, -1 if its SYN was not seen.
    :param known: False once a segment did not show its numbers.
    """

    state: PeerState = PeerState.CLOSED
    low: int = 0
    high: int = 1
    window: int = 1
    scale: int | None = None
    known: bool = True


@dataclass(slots=True)
class UserspaceTcp:
    """Both sides: who opened, and who answers. *limit* is the time that the last segment gave."""

    opener: Peer = field(default_factory=Peer)
    answerer: Peer = field(default_factory=Peer)
    limit: str = "first packet"

    @property
    def state(self) -> str:
        """``SYN_SENT/CLOSED``."""
        return f"{self.opener.state.name}/{self.answerer.state.name}"


#: Seconds that a connection lives after a segment (``lib/conntrack-tp.c``).
LIFE_S: Final = {
    "first packet": 30, "opening": 30, "established": 24 * 3600, "closing": 15 * 60, "fin wait": 45,
    "closed": 30,
}  # fmt: skip


def may_open(tcp: Tcp) -> bool:
    """Whether a segment without a connection may begin one."""
    return _possible(tcp.flags) and not (tcp.flags & Flag.SYN and tcp.flags & Flag.ACK)


def _possible(flags: Flag) -> bool:
    """False for flags that no TCP sends together."""
    if flags & Flag.SYN:
        if flags & (Flag.RST | Flag.FIN):
            return False
    elif not flags & (Flag.ACK | Flag.RST):
        return False
    return bool(flags & Flag.ACK) or not flags & (Flag.FIN | Flag.PSH | Flag.URG)


def opened(tcp: Tcp) -> UserspaceTcp:
    """The connection that a segment begins."""
    made = UserspaceTcp()
    opener, answerer = made.opener, made.answerer
    opener.state = PeerState.SYN_SENT
    opener.known = _known(tcp)
    opener.low = tcp.seq or 0
    opener.high = opener.low + (tcp.length or 0) + 1 + bool(tcp.flags & Flag.SYN) + bool(tcp.flags & Flag.FIN)
    opener.high &= _WORD
    window = max(1 if tcp.window is None else tcp.window, 1)
    if tcp.flags & Flag.SYN:
        opener.scale = tcp.options.wscale
        window = _unscaled(window, opener.scale or 0)
    else:
        opener.scale = answerer.scale = -1
    opener.window = window
    return made


def update(made: UserspaceTcp, tcp: Tcp, *, reply: bool) -> Ruling:
    """Take a segment of a known connection; its state moves."""
    flags = tcp.flags
    src, dst = (made.answerer, made.opener) if reply else (made.opener, made.answerer)
    if not _possible(flags):
        return Ruling.INVALID
    if flags & (Flag.SYN | Flag.ACK) == Flag.SYN:
        if src.state >= PeerState.FIN_WAIT_2 and dst.state >= PeerState.FIN_WAIT_2:
            src.state = dst.state = PeerState.CLOSED
            return Ruling.REOPEN
        if src.state <= PeerState.SYN_SENT:
            src.state = PeerState.SYN_SENT
            made.limit = "first packet"
            return Ruling.STILL_NEW
    fits = _numbers(src, dst, tcp)
    if fits is _Fit.OUTSIDE:
        return Ruling.INVALID
    if flags & Flag.FIN and src.state < PeerState.CLOSING:
        src.state = PeerState.CLOSING
    if fits is _Fit.INSIDE and flags & Flag.ACK:
        dst.state = _ACKNOWLEDGED.get(dst.state, dst.state)
    if flags & Flag.RST:
        src.state = dst.state = PeerState.TIME_WAIT
    if fits is _Fit.INSIDE:
        made.limit = _limit(src.state, dst.state)
    return Ruling.VALID


#: state of the side whose SYN or FIN an ACK answers -> its next state
_ACKNOWLEDGED: Final = {
    PeerState.SYN_SENT: PeerState.ESTABLISHED,
    PeerState.CLOSING: PeerState.FIN_WAIT_2,
}


def _limit(one: PeerState, other: PeerState) -> str:
    low, high = min(one, other), max(one, other)
    if low >= PeerState.FIN_WAIT_2:
        return "closed"
    if low >= PeerState.CLOSING:
        return "fin wait"
    if low < PeerState.ESTABLISHED:
        return "opening"
    return "closing" if high >= PeerState.CLOSING else "established"


# -- numbers -------------------------------------------------------------------------------------------


class _Fit(StrEnum):
    INSIDE = "inside"
    NEAR = "near"  # taken because a side was not heard yet, or is closed
    OUTSIDE = "outside"


def _known(tcp: Tcp) -> bool:
    shown = tcp.seq is not None and tcp.length is not None and not tcp.relative
    return shown and (tcp.ack is not None or not tcp.flags & Flag.ACK)


def _not_before(one: int, other: int) -> bool:
    """``SEQ_GEQ``."""
    return (one - other) & _WORD < 1 << 31


def _signed(number: int) -> int:
    number &= _WORD
    return number - (1 << 32) if number >> 31 else number


def _unscaled(window: int, scale: int) -> int:
    return -(-window // (1 << scale))


def _scales(src: Peer, dst: Peer, flags: Flag) -> tuple[int, int]:
    if flags & Flag.SYN or src.scale is None or dst.scale is None:
        return 0, 0
    if src.scale < 0 and dst.scale < 0:
        return _WIDEST, _WIDEST
    return (src.scale, dst.scale) if src.scale >= 0 and dst.scale >= 0 else (0, 0)


def _numbers(src: Peer, dst: Peer, tcp: Tcp) -> _Fit:
    """Hold a segment's numbers against both sides' memory, and remember what it shows."""
    flags = tcp.flags
    if not (_known(tcp) and src.known and dst.known):
        src.known = dst.known = False
        src.state = max(src.state, PeerState.SYN_SENT)
        return _Fit.INSIDE
    src_scale, dst_scale = _scales(src, dst, flags)
    seq, ack, window = tcp.seq or 0, tcp.ack or 0, tcp.window or 0
    first = seq
    end = (seq + (tcp.length or 0) + bool(flags & Flag.SYN) + bool(flags & Flag.FIN)) & _WORD
    strict = True
    if src.state < PeerState.SYN_SENT:
        if flags & Flag.SYN and dst.scale is not None and dst.scale >= 0:
            src.scale = tcp.options.wscale
            if src.scale is not None:
                src_scale, dst_scale = src.scale, dst.scale
                window = _unscaled(window, src_scale)
            else:
                dst.window <<= dst.scale
                dst.scale = None
        src.low, src.state = seq, PeerState.SYN_SENT
        reach = end + max(1, dst.window << dst_scale) & _WORD
        if src.high == 1 or _not_before(reach, src.high):
            src.high, strict = reach, False
        src.window = max(src.window, window)
    if not flags & Flag.ACK or (ack == 0 and flags & Flag.RST):
        ack = dst.low
    if seq == end:
        seq = end = src.low
    skew = _signed(dst.low - ack) if strict else 0
    inside = (
        _not_before(src.high, end)
        and _not_before(seq, src.low - (dst.window << dst_scale))
        and -_NEAR <= skew <= _NEAR << src_scale
        and (not flags & Flag.RST or abs(_signed(first - src.low)) <= 1)
    )
    near = not inside and (
        (
            dst.state < PeerState.SYN_SENT
            or dst.state >= PeerState.FIN_WAIT_2
            or src.state >= PeerState.FIN_WAIT_2
        )
        and _not_before(src.high + _NEAR, end)
        and _not_before(seq, src.low - _NEAR)
    )
    if not inside and not near:
        return _Fit.OUTSIDE
    src.window = max(src.window, window)
    if end != src.low and _not_before(end, src.low):
        src.low = end
    if _not_before(ack + (window << src_scale), dst.high):
        dst.high = ack + max(window << src_scale, 1) & _WORD
    return _Fit.INSIDE if inside else _Fit.NEAR
