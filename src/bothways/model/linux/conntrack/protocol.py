"""
What each protocol makes of a packet that belongs to a connection, or that opens one.

One function per protocol, as in ``net/netfilter/nf_conntrack_proto_*.c``: it moves the entry, sets its
time, or refuses the packet. TCP's own rules are in ``tcp`` and ``tcp_memory``. Protocols without a row in
``PROTOCOLS`` are generic: every packet is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Packet
from bothways.facts.span import Span
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.settings import Settings
from bothways.model.linux.conntrack.tcp import Segment, TcpState, segment
from bothways.model.linux.conntrack.tcp_judge import Judgement, Ruling, judge, possible_flags
from bothways.model.linux.conntrack.tcp_memory import TcpMemory
from bothways.model.linux.conntrack.timeouts import GENERIC, ICMP_TIMEOUTS, SYN_SENT2_S, tcp_limit
from bothways.model.linux.conntrack.tuple import ICMP_QUERIES
from bothways.model.linux.conntrack.variant import Variant
from bothways.model.linux.hook import Hook

__all__ = ["GRE", "PROTOCOLS", "Arrival", "Ruled", "generic_packet"]

GRE: Final = 47
_SECOND: Final = 1_000_000_000
#: Ticks of a second, in which the log gives this time: ``CONFIG_HZ`` of most distributions.
_TICKS: Final = 250
#: What lives no longer than this is not shortened.
_SHORT_S: Final = 120


class Arrival(NamedTuple):
    """A packet before a connection's tracker, with all that it may ask for."""

    packet: Packet
    way: Way
    hook: Hook
    now_ns: int
    settings: Settings
    variant: Variant


class Ruled(NamedTuple):
    """
    What a tracker decided.

    :param why: for what it refuses or ignores, a sentence; else "".
    :param log: what the kernel prints, one line or two.
    :param evidence: lines of sysctls that decided.
    """

    valid: bool
    why: str = ""
    log: str = ""
    judgement: Judgement | None = None
    evidence: tuple[Span, ...] = ()


def generic_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """Take anything (``nf_conntrack_proto_generic.c``)."""
    _refresh(connection, arrival, GENERIC)
    return _VALID


def _tcp_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    tcp, way, settings = arrival.packet.tcp, arrival.way, arrival.settings
    if tcp is None:
        return Ruled(valid=False, why=_CUT)
    modern = arrival.variant.words_of_5_14
    if tcp.header_ok is False:
        return Ruled(valid=False, why=_OFFSET, log=_WORDS["offset"][modern])
    if tcp.checksum_ok is False and arrival.hook is Hook.PREROUTING:
        lines = settings.relied_on("nf_conntrack_checksum")
        if settings.value("nf_conntrack_checksum"):
            settings.takes_for_granted(_ON_THE_WIRE, "ethtool -k DEVICE")
            return Ruled(valid=False, why=_CHECKSUM, log=_WORDS["checksum"][modern], evidence=lines)
    if not possible_flags(tcp.flags):
        return Ruled(valid=False, why=_FLAGS, log=_WORDS["flags"][modern])
    memory = connection.tcp
    if memory is None:
        memory = connection.tcp = TcpMemory()
    seen_reply = "SEEN_REPLY" in connection.status
    judgement = judge(
        memory,
        way,
        tcp,
        settings.tcp,
        seen_reply=seen_reply,
        assured="ASSURED" in connection.status,
        variant=arrival.variant,
    )
    if judgement.ruling is Ruling.VALID:
        _tcp_moved(connection, arrival, judgement, seen_reply=seen_reply)
    lines = _relied_on(judgement, settings)
    log = judgement.log if modern else judgement.log_before_5_14
    if judgement.answers is not None:
        log += _shortened(connection, arrival, judgement.answers)
    valid = judgement.ruling in (Ruling.VALID, Ruling.IGNORED)
    return Ruled(valid, judgement.why, log, judgement, lines)


def _tcp_moved(
    connection: TrackedConnection, arrival: Arrival, judgement: Judgement, *, seen_reply: bool
) -> None:
    tcp = arrival.packet.tcp
    if judgement.assured:
        connection.status.add("ASSURED")
    repeated = judgement.before is TcpState.SYN_SENT and judgement.cell.endswith("/original/SYN")
    memory = connection.tcp
    if tcp is None or memory is None or (repeated and not seen_reply):
        return  # a SYN that is sent again must not keep an entry alive that nobody answers
    value = arrival.settings.value
    name = tcp_limit(
        judgement.after,
        value,
        reset=segment(tcp.flags) is Segment.RST,
        seen_reply=seen_reply,
        retransmitted=memory.retransmissions >= value("nf_conntrack_tcp_max_retrans"),
        unacknowledged=memory.unacknowledged,
        closed=(tcp.window if memory.lost else memory.last_window) == 0,
    )
    connection.limit = name
    connection.expires_ns = arrival.now_ns + (value(name) if name else SYN_SENT2_S) * _SECOND


def _shortened(connection: TrackedConnection, arrival: Arrival, answered: Segment) -> str:
    """
    Shorten the time of a connection that ends outside its window (``nf_tcp_handle_invalid``).

    :return: one more line of the log; nothing if the time is short enough.
    """
    tcp, left = arrival.packet.tcp, (connection.expires_ns or 0) - arrival.now_ns
    name = "nf_conntrack_tcp_timeout_unacknowledged"
    limit = arrival.settings.value(name)
    if tcp is None or left < _SHORT_S * _SECOND or left <= limit * _SECOND:
        return ""
    connection.limit, connection.expires_ns = name, arrival.now_ns + limit * _SECOND
    segments = list(Segment)
    index, other = segments.index(segment(tcp.flags)), segments.index(answered)
    direction = list(Way).index(arrival.way)
    return (
        f"\nnf_ct_proto_6: packet (index {index}, dir {direction}) response for index {other} "
        f"lower timeout to {limit * _TICKS}"
    )


def _relied_on(judgement: Judgement, settings: Settings) -> tuple[Span, ...]:
    """Sysctls that decided: a pick-up midway, and a RST that is too old."""
    if judgement.before is TcpState.NONE and judgement.cell.endswith("/original/ACK"):
        return settings.relied_on("nf_conntrack_tcp_loose")
    if judgement.log == "nf_ct_proto_6: invalid rst":
        return settings.relied_on("nf_conntrack_tcp_ignore_invalid_rst")
    return ()


def _udp_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """``nf_conntrack_proto_udp.c``: answered and still active later, it is a stream, and ASSURED."""
    if "CONFIRMED" not in connection.status:
        connection.stream_ns = arrival.now_ns + arrival.variant.stream_after_ns
    if "SEEN_REPLY" in connection.status and arrival.now_ns >= connection.stream_ns:
        _refresh(connection, arrival, "nf_conntrack_udp_timeout_stream")
        connection.status.add("ASSURED")
    else:
        _refresh(connection, arrival, "nf_conntrack_udp_timeout")
    return _VALID


def _icmp_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """``nf_conntrack_proto_icmp.c``, ``…_icmpv6.c``: only a query opens a connection."""
    original = connection.original
    queries = ICMP_QUERIES.get(original.protocol, {})
    if "CONFIRMED" not in connection.status and original.icmp_type not in queries:
        return Ruled(valid=False, why=_ANSWER if original.icmp_type in queries.values() else _NO_QUERY)
    _refresh(connection, arrival, ICMP_TIMEOUTS[original.protocol])
    return _VALID


def _gre_packet(connection: TrackedConnection, arrival: Arrival) -> Ruled:
    """``nf_conntrack_proto_gre.c``: told apart by addresses alone, keys are not followed."""
    if "SEEN_REPLY" in connection.status:
        _refresh(connection, arrival, "nf_conntrack_gre_timeout_stream")
        connection.status.add("ASSURED")
    else:
        _refresh(connection, arrival, "nf_conntrack_gre_timeout")
    return _VALID


def _refresh(connection: TrackedConnection, arrival: Arrival, *limits: str) -> None:
    """Give the connection the smallest of the times that the sysctls name."""
    name = min(limits, key=arrival.settings.value)
    connection.limit = name
    connection.expires_ns = arrival.now_ns + arrival.settings.value(name) * _SECOND


_VALID: Final = Ruled(valid=True)
_CUT: Final = "its TCP header is cut short"
_OFFSET: Final = "its TCP header says that it is longer than the segment, or shorter than a TCP header is"
_CHECKSUM: Final = "its checksum is wrong: damaged on the way, or never computed where it was sent"
_ON_THE_WIRE: Final = "a checksum that was captured wrong was wrong, not left to a device to compute"
_FLAGS: Final = "no TCP sends these flags together"
#: What the log says before any state is looked at: until 5.13, and since.
_WORDS: Final = {
    "offset": ("nf_ct_tcp: truncated/malformed packet", "nf_ct_proto_6: truncated packet"),
    "checksum": ("nf_ct_tcp: bad TCP checksum", "nf_ct_proto_6: bad checksum"),
    "flags": ("nf_ct_tcp: invalid TCP flag combination", "nf_ct_proto_6: invalid tcp flag combination"),
}
_ANSWER: Final = (
    "an ICMP answer came, but no query passed here: the query took another path or its entry is gone"
)
_NO_QUERY: Final = "an ICMP message of this type opens no connection"

#: IP protocol -> its tracker.
PROTOCOLS: Final[Mapping[int, Callable[[TrackedConnection, Arrival], Ruled]]] = MappingProxyType(
    {TCP: _tcp_packet, UDP: _udp_packet, ICMP: _icmp_packet, ICMP6: _icmp_packet, GRE: _gre_packet}
)
