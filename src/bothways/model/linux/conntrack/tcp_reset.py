"""
What a RST does to a tracked TCP connection.

RFC 5961 section 3: only the exact number resets. A tracker that believed any RST inside the window would
forget a connection that lives on, and one that refused a RST for what it let through would keep a dead one.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from bothways.facts.packet import Tcp
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.tcp import Segment, TcpState
from bothways.model.linux.conntrack.tcp_memory import TcpMemory, TcpSettings
from bothways.model.linux.conntrack.tcp_window import past
from bothways.model.linux.conntrack.variant import Variant

__all__ = ["Reset", "reset_of"]

#: States of a connection that ends: sequence numbers may already be those of the next one.
_ENDING: Final = frozenset(
    {TcpState.FIN_WAIT, TcpState.CLOSE_WAIT, TcpState.LAST_ACK, TcpState.TIME_WAIT, TcpState.CLOSE}
)


class Reset(Enum):
    """How the numbers of a RST stand to what the other side acknowledged."""

    TAKEN = auto()
    STALE = auto()  # older
    INEXACT = auto()  # inside the window, not at its edge: the peer will object, so nothing ends
    UNCHECKED = auto()  # taken, whatever the windows are


def reset_of(
    memory: TcpMemory, way: Way, tcp: Tcp, settings: TcpSettings, variant: Variant,
    *, seen_reply: bool, assured: bool,
) -> Reset:  # fmt: skip
    """
    Hold a RST against what was acknowledged and what was let through (``nf_conntrack_tcp_packet``).

    :param seen_reply: whether a segment of the other direction was valid before; *assured*: it is ASSURED.
    """
    if memory.state in _ENDING:
        return Reset.UNCHECKED
    known = memory.sides(way)[1].acked
    reset = Reset.TAKEN
    if known is not None and memory.last is not Segment.SYN and tcp.seq is not None and not tcp.relative:
        established = assured and memory.state is TcpState.ESTABLISHED
        if tcp.seq == 0 and not established:
            return Reset.TAKEN  # answers a SYN that was let through before
        if past(known, tcp.seq) and not settings.ignore_invalid_rst:
            return Reset.STALE
        train = memory.last is Segment.ACK and memory.last_way is way and tcp.seq == memory.last_end
        if not established or tcp.seq == known or train:
            return Reset.TAKEN
        reset = Reset.INEXACT
    answers_syn = seen_reply and memory.last is Segment.SYN
    answers_syn = answers_syn and (memory.last_way is not way or not variant.rst_answers_the_other_side)
    let_through = answers_syn or (memory.last is Segment.ACK and not assured)
    if let_through and (tcp.ack or 0) == memory.last_end and reset is Reset.TAKEN:
        return Reset.UNCHECKED
    if _answers_challenge(memory, tcp):
        return Reset.UNCHECKED
    return reset


def _answers_challenge(memory: TcpMemory, tcp: Tcp) -> bool:
    """True for the RST with which a client answers an ACK that came in place of the SYN/ACK."""
    return (
        memory.state is TcpState.SYN_SENT
        and memory.last is Segment.ACK
        and memory.last_way is Way.REPLY
        and tcp.seq == memory.last_ack
    )
