"""
What TCP's tracker makes of a packet: its header, its checksum, its judgement, and the time that it gives.

``nf_conntrack_tcp_packet`` of ``net/netfilter/nf_conntrack_proto_tcp.c``. The judgement itself is in
``tcp_judge``.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.once import once
from bothways.facts.packet import Tcp
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.arrival import Arrival, Ruled
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.settings import Settings
from bothways.model.linux.conntrack.tcp import Segment, TcpState, segment
from bothways.model.linux.conntrack.tcp_judge import Judgement, Ruling, judge, possible_flags
from bothways.model.linux.conntrack.tcp_memory import TcpMemory
from bothways.model.linux.conntrack.timeouts import SYN_SENT2_S, TCP_TIMEOUTS, tcp_limit
from bothways.model.linux.hook import Hook

__all__ = ["tcp_packet"]

_SECOND: Final = 1_000_000_000
# Names of the module are found ten times as quickly as members of an enum, and each segment comes by here.
_VALID: Final = Ruling.VALID
_NONE: Final = TcpState.NONE
_SYN_SENT: Final = TcpState.SYN_SENT
_ESTABLISHED: Final = TcpState.ESTABLISHED
_SYN: Final = Segment.SYN
_RST: Final = Segment.RST
_ORIGINAL: Final = Way.ORIGINAL
_possible = once(possible_flags)
#: The sysctl of a state, where nothing about the segments shortens it.
_OF_STATE: Final = TCP_TIMEOUTS.get
#: What lives no longer than this is not shortened.
_SHORT_S: Final = 120


def tcp_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """Move the entry by one segment, set its time, or refuse the segment."""
    tcp = arrival.packet.tcp
    if tcp is None:
        return _CUT
    if tcp.header_ok is False or tcp.checksum_ok is False or not _possible(tcp.flags):
        damaged = _damaged(tcp, arrival)
        if damaged is not None:
            return damaged
    memory = connection.tcp
    if memory is None:
        memory = connection.tcp = TcpMemory()
    status = connection.status
    seen_reply = "SEEN_REPLY" in status
    judgement = judge(
        memory,
        arrival.way,
        tcp,
        arrival.settings.tcp,
        seen_reply,
        "ASSURED" in status,
        arrival.variant,
    )
    before = judgement.row[0]
    if judgement.ruling is _VALID:
        if judgement.assured:
            status.add("ASSURED")
        _set_time(connection, memory, tcp, arrival, judgement, seen_reply)
        if before is not _NONE:
            return _taken(judgement)
    lines = _relied_on(judgement, arrival.settings)
    log = judgement.log if arrival.variant.words_of_5_14 else judgement.log_before_5_14
    if judgement.answers is not None:
        log += _shortened(connection, tcp, arrival, judgement.answers)
    valid = judgement.ruling is Ruling.VALID or judgement.ruling is Ruling.IGNORED
    return Ruled(valid, judgement.why, log, judgement, lines)


@once
def _taken(judgement: Judgement) -> Ruled:
    """There are few judgements of valid segments: what is ruled by each is made once."""
    doubt = "" if judgement.windows_known or judgement.row[0] is _SYN_SENT else _NO_WINDOWS
    return Ruled(valid=True, why=doubt, judgement=judgement)


def _damaged(tcp: Tcp, arrival: Arrival) -> Ruled | None:
    """``tcp_error``: what is refused before any state is looked at; None if it may pass after all."""
    modern = arrival.variant.words_of_5_14
    if tcp.header_ok is False:
        return Ruled(valid=False, why=_OFFSET, log=_WORDS["offset"][modern])
    if tcp.checksum_ok is False and arrival.hook is Hook.PREROUTING:
        settings = arrival.settings
        lines = settings.relied_on("nf_conntrack_checksum")
        if settings.value("nf_conntrack_checksum"):
            settings.takes_for_granted(_ON_THE_WIRE, "ethtool -k DEVICE")
            return Ruled(valid=False, why=_CHECKSUM, log=_WORDS["checksum"][modern], evidence=lines)
    if not possible_flags(tcp.flags):
        return Ruled(valid=False, why=_FLAGS, log=_WORDS["flags"][modern])
    return None


def _set_time(
    connection: TrackedConnection, memory: TcpMemory, tcp: Tcp, arrival: Arrival, judgement: Judgement,
    seen_reply: bool,  # noqa: FBT001 (by place: it is quicker)
) -> None:  # fmt: skip
    """Give the entry the time of where it is now, and of how its segments fare."""
    before, way, kind = judgement.row
    if kind is _SYN and not seen_reply and before is _SYN_SENT and way is _ORIGINAL:
        return  # a SYN that is sent again must not keep an entry alive that nobody answers
    settings, after = arrival.settings, judgement.after
    value = settings.value
    reset = kind is _RST
    retransmitted = memory.retransmissions >= settings.tcp.max_retrans
    unacknowledged = memory.original.unacknowledged or memory.reply.unacknowledged
    closed = (tcp.window if memory.lost else memory.last_window) == 0
    if (seen_reply or after is not _ESTABLISHED) and not (reset or retransmitted or unacknowledged or closed):
        name = _OF_STATE(after, "")
    else:
        name = tcp_limit(
            after,
            value,
            reset,
            seen_reply,
            retransmitted,
            unacknowledged,
            closed,
        )
    connection.limit = name
    connection.expires_ns = arrival.now_ns + (value(name) if name else SYN_SENT2_S) * _SECOND


def _shortened(connection: TrackedConnection, tcp: Tcp, arrival: Arrival, answered: Segment) -> str:
    """
    Shorten the time of a connection that ends outside its window (``nf_tcp_handle_invalid``).

    :return: one more line of the log; nothing if the time is short enough.
    """
    left = (connection.expires_ns or 0) - arrival.now_ns
    name = "nf_conntrack_tcp_timeout_unacknowledged"
    limit = arrival.settings.value(name)
    if left < _SHORT_S * _SECOND or left <= limit * _SECOND:
        return ""
    connection.limit, connection.expires_ns = name, arrival.now_ns + limit * _SECOND
    segments = list(Segment)
    index, other = segments.index(segment(tcp.flags)), segments.index(answered)
    direction = list(Way).index(arrival.way)
    return (
        f"\nnf_ct_proto_6: packet (index {index}, dir {direction}) response for index {other} "
        f"lower timeout to {limit * arrival.settings.ticks}"
    )


def _relied_on(judgement: Judgement, settings: Settings) -> tuple[Span, ...]:
    """Sysctls that decided: a pick-up midway, and a RST that is too old."""
    if judgement.row == (_NONE, _ORIGINAL, Segment.ACK):
        return settings.relied_on("nf_conntrack_tcp_loose")
    if judgement.log == "nf_ct_proto_6: invalid rst":
        return settings.relied_on("nf_conntrack_tcp_ignore_invalid_rst")
    return ()


_CUT: Final = Ruled(valid=False, why="its TCP header is cut short")
_OFFSET: Final = "its TCP header says that it is longer than the segment, or shorter than a TCP header is"
_CHECKSUM: Final = "its checksum is wrong: damaged on the way, or never computed where it was sent"
_ON_THE_WIRE: Final = "a checksum that was captured wrong was wrong, not left to a device to compute"
_NO_WINDOWS: Final = (
    "belongs to this connection by its flags; whether its numbers lie inside the window is not known: "
    "not all of them are shown"
)
_FLAGS: Final = "no TCP sends these flags together"
#: What the log says before any state is looked at: until 5.13, and since.
_WORDS: Final = {
    "offset": ("nf_ct_tcp: truncated/malformed packet", "nf_ct_proto_6: truncated packet"),
    "checksum": ("nf_ct_tcp: bad TCP checksum", "nf_ct_proto_6: bad checksum"),
    "flags": ("nf_ct_tcp: invalid TCP flag combination", "nf_ct_proto_6: invalid tcp flag combination"),
}
