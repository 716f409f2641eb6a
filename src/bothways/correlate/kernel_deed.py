"""
Who ended a packet: who sent a RST or an ICMP error, who dropped what.

A tracepoint that tells of a RST stands among the events of the packet that is answered, a probe on a
function may stand among those of the RST itself; and a RST that a rule made has no tracepoint at all, only
a first event that is not an arrival. All three are one deed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bothways.correlate.kernel_identity import Ends, ends_of
from bothways.correlate.kernel_last_action import sent_copies, unsent
from bothways.correlate.kernel_provoked import is_error
from bothways.correlate.kernel_swallowed import swallowed
from bothways.correlate.kernel_watch import Watch
from bothways.facts.kernel_account import Deed, DeedKind, Known, Provocation, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent, function_name
from bothways.facts.packet import Flag, Packet

__all__ = ["came_in", "deeds_of", "maker_in", "written"]

#: Functions that make an answer, by the kind of the answer. One of them in a stack names the author.
_MAKERS: Final[Mapping[DeedKind, frozenset[str]]] = {
    DeedKind.RST: frozenset(
        {
            "tcp_v4_send_reset", "tcp_v6_send_reset", "tcp_send_active_reset", "nf_send_reset",
            "nf_send_reset6", "nf_reject_skb_v4_tcp_reset", "nf_reject_skb_v6_tcp_reset",
        }
    ),
    DeedKind.ICMP: frozenset(
        {
            "__icmp_send", "icmp_send", "icmp_ndo_send", "icmp6_send", "icmpv6_send", "nf_send_unreach",
            "nf_send_unreach6", "nf_reject_skb_v4_unreach", "nf_reject_skb_v6_unreach", "ip_send_icmp",
        }
    ),
}  # fmt: skip
#: Functions through which a process sends a packet that it made itself: a switch in user space, or a tool.
_WRITERS: Final = frozenset({"packet_sendmsg", "packet_snd", "tpacket_snd", "raw_sendmsg", "rawv6_sendmsg"})
#: Events with which a packet can begin that this kernel made, or that it was told to send.
_BEGINS: Final = frozenset(
    {Happening.QUEUE, Happening.XMIT, Happening.RST_SENT, Happening.ICMP_SENT, Happening.FIB}
)
_OUTPUT: Final = "OUTPUT"
_TOLD: Final = {Happening.RST_SENT: DeedKind.RST, Happening.ICMP_SENT: DeedKind.ICMP}
_ARRIVALS: Final = frozenset(
    {
        Happening.RECEIVE, Happening.IP_RECEIVE, Happening.OVS_RECEIVE, Happening.VXLAN_DECAP,
        Happening.BRIDGE, Happening.RST_RECEIVED,
    }
)  # fmt: skip
#: Reasons for which a packet is freed that did its work: a RST was taken, a socket was told.
_DONE: Final = frozenset({"TCP_RESET", "CONSUMED", "NOT_DROPPED_YET", "TCP_RFC7323_TW_PAWS"})
#: Reasons for which what had arrived in a socket is freed with it.
_LEFT: Final = frozenset({"QUEUE_PURGE"})
#: Functions that free it; older kernels give them no reason.
_CLOSERS: Final = frozenset({"inet_sock_destruct", "packet_sock_destruct", "skb_queue_purge"})
#: Reasons for which a station leaves alone what is another one's.
_OTHERS: Final = frozenset({"OTHERHOST"})
#: Where TCP takes segments; without a reason it frees there what TIME-WAIT has taken.
_TCP: Final = frozenset({"tcp_v4_rcv", "tcp_v6_rcv"})
_UNSAID: Final = frozenset({None, "NOT_SPECIFIED"})
#: Takes echo replies.
_PING: Final = "ping_rcv"
#: What a packet was last seen doing where it was taken.
_TAKEN: Final = frozenset(
    {Happening.RECEIVE, Happening.IP_RECEIVE, Happening.LOCAL_DELIVER, Happening.RST_RECEIVED}
)
#: How long a switch in user space may take to read a copy and to pass it on.
_TAKES_NS: Final = 50_000_000
#: An answer and what it answers lie closer together than this.
_AT_ONCE_NS: Final = 200_000_000


def came_in(event: KernelEvent) -> bool:
    """True for an event that shows a packet on its way in."""
    return event.happening in _ARRIVALS


def written(deed: Deed) -> bool:
    """True for an answer that a process wrote, and no stack made."""
    return deed.function in _WRITERS


def _begins(event: KernelEvent) -> bool:
    return event.happening in _BEGINS or (event.happening is Happening.HOOK and event.hook == _OUTPUT)


def maker_in(kind: DeedKind, stack: Sequence[str] | None) -> str | None:
    """The innermost function of a stack that makes such answers, or else that takes them from a process."""
    names = [function_name(frame) for frame in stack or ()]
    for makers in (_MAKERS.get(kind, frozenset()), _WRITERS):
        found = next((name for name in names if name in makers), None)
        if found is not None:
            return found
    return None


def deeds_of(packets: Sequence[TracedPacket], watches: Mapping[str, Watch] | None = None) -> tuple[Deed, ...]:
    """
    Every deed, in the order of time on each host.

    :param watches: what each host's trace would have shown.
    """
    told = watches or {}
    deeds = [_unsent(deed, told.get(deed.event.host, Watch())) for deed in _told(packets)]
    known = {(deed.kind, deed.packet) for deed in deeds if deed.packet is not None}
    deeds.extend(deed for deed in _unannounced(packets) if (deed.kind, deed.packet) not in known)
    answered = {d.provoked_by.number for d in deeds if d.provoked_by is not None and not d.foreign}
    deeds.extend(_drops(packets, answered, told))
    deeds.extend(swallowed(packets, told))
    deeds.extend(unsent(packets, told))
    order = {id(timed.event): timed.low_ns for packet in packets for timed in packet.events}
    return tuple(sorted(deeds, key=lambda deed: order.get(id(deed.event), deed.event.time_ns)))


def _unsent(deed: Deed, watch: Watch) -> Deed:
    """Mark what was made and went nowhere: no way back, or the kernel holds such errors back."""
    waited = watch.went_on(deed.event.time_ns, _TAKES_NS) and watch.shows(Happening.XMIT)
    return replace(deed, unsent=True) if deed.packet is None and waited else deed


def _told(packets: Sequence[TracedPacket]) -> Iterator[Deed]:
    """What probes told of as RST sent, or ICMP error sent."""
    said: dict[tuple[DeedKind, int | None, int | None], Deed] = {}
    answers: dict[int, list[TracedPacket]] = {}
    for packet in packets:
        if packet.provoked_by is not None:
            answers.setdefault(packet.provoked_by.number, []).append(packet)
    of_sockets = _made_by_sockets(packets)
    for packet in packets:
        for timed in packet.events:
            kind = _TOLD.get(timed.event.happening)
            if kind is None:
                continue
            if kind is DeedKind.RST and not timed.event.buffer:
                deed = _of_socket(timed.event, of_sockets)
            else:
                deed = _announced(kind, timed.event, packet, answers.get(packet.number, ()))
            provoker = None if deed.provoked_by is None else deed.provoked_by.number
            if deed.packet is None and provoker is None:
                yield deed
                continue
            # Two probes may tell of one answer; the one with the function says more.
            before = said.get((kind, deed.packet, provoker))
            if before is None or before.function is None:
                said[kind, deed.packet, provoker] = deed
    yield from said.values()


def _announced(
    kind: DeedKind, event: KernelEvent, packet: TracedPacket, answers: Sequence[TracedPacket]
) -> Deed:
    function, by_stack = _function(kind, event)
    headers = None if event.packet is None else event.packet.carried.packet
    if headers is not None and _is(kind, headers):
        return Deed(kind, event, packet.number, function, by_stack, packet.provoked_by)
    if headers is None and event.packet_id is None:
        return Deed(kind, event, None, function, by_stack)
    answer = _answer(kind, event, answers)
    known = Known.KERNEL if answer is None or answer.provoked_by is None else answer.provoked_by.known
    number = None if answer is None else answer.number
    if function is None and answer is not None:
        function, by_stack = _function(kind, answer.first)
    return Deed(kind, event, number, function, by_stack, Provocation(packet.number, known))


#: RSTs that answer nobody, by host and ends.
_OfSockets = dict[tuple[str, Ends], list[TracedPacket]]


def _made_by_sockets(packets: Sequence[TracedPacket]) -> _OfSockets:
    found: _OfSockets = {}
    for packet in packets:
        headers = packet.headers
        if headers is None or packet.provoked_by is not None or not _is(DeedKind.RST, headers.packet):
            continue
        ends = ends_of(headers)
        if ends is not None and _begins(packet.first):
            found.setdefault((packet.first.host, ends), []).append(packet)
    return found


def _of_socket(event: KernelEvent, resets: _OfSockets) -> Deed:
    """A RST that a socket sent by itself: the kernel tells of it when it is on its way already."""
    function, by_stack = _function(DeedKind.RST, event)
    ends = None if event.packet is None else ends_of(event.packet)
    known = () if ends is None else resets.get((event.host, ends), ())
    for packet in known:
        first = packet.first
        there = event.netns is None or first.netns is None or event.netns == first.netns
        if there and abs(first.time_ns - event.time_ns) <= _AT_ONCE_NS:
            return Deed(DeedKind.RST, event, packet.number, function, by_stack)
    return Deed(DeedKind.RST, event, None, function, by_stack)


def _answer(kind: DeedKind, event: KernelEvent, answers: Sequence[TracedPacket]) -> TracedPacket | None:
    """The RST or ICMP error that followed the event which told of it."""
    for packet in answers:
        first, headers = packet.first, packet.headers
        later = first.time_ns - event.time_ns
        at_once = first.host == event.host and -_AT_ONCE_NS <= later <= _AT_ONCE_NS
        if at_once and headers is not None and _is(kind, headers.packet):
            return packet
    return None


def _unannounced(packets: Sequence[TracedPacket]) -> Iterator[Deed]:
    """RSTs and errors that no probe told of: they began somewhere, or came in from where nobody looked."""
    for packet in packets:
        headers = packet.headers
        if headers is None:
            continue
        kind = next((each for each in (DeedKind.RST, DeedKind.ICMP) if _is(each, headers.packet)), None)
        if kind is None:
            continue
        foreign = came_in(packet.first)
        if not foreign and not _begins(packet.first):
            # It was seen on its way, or only when it was freed: where it is from, nothing tells.
            continue
        function, by_stack = (None, False) if foreign else _of_packet(kind, packet)
        yield Deed(kind, packet.first, packet.number, function, by_stack, packet.provoked_by, foreign=foreign)


def _of_packet(kind: DeedKind, packet: TracedPacket) -> tuple[str | None, bool]:
    """The maker that a stack of the packet's first life names: later ones are those who passed it on."""
    for timed in packet.events:
        if timed.event.host != packet.first.host or timed.event.netns != packet.first.netns:
            break
        function = maker_in(kind, timed.event.stack)
        if function is not None:
            return function, True
    return None, False


def _function(kind: DeedKind, event: KernelEvent) -> tuple[str | None, bool]:
    if event.function is not None and event.happening in _TOLD:
        return event.function, False
    function = maker_in(kind, event.stack)
    return function, function is not None


def _is(kind: DeedKind, packet: Packet) -> bool:
    if kind is DeedKind.RST:
        return packet.tcp is not None and bool(packet.tcp.flags & Flag.RST)
    return is_error(packet)


def _drops(
    packets: Sequence[TracedPacket], answered: set[int], watches: Mapping[str, Watch]
) -> Iterator[Deed]:
    """
    Every drop.

    Where a switch in user space reads copies of what the kernel then drops, those of the last moment are not
    read yet when the trace ends.
    """
    drops: list[Deed] = []
    copied: set[object] = set()
    for packet in packets:
        for timed in packet.events:
            event = timed.event
            if event.happening is not Happening.DROP or event.reason in _DONE:
                continue
            # What was answered is freed as dropped too; and a copy is no loss where the packet went on.
            copy = _went_on(packet, event) or _lives_elsewhere(packet, event) or sent_copies(packet, event)
            aside = copy or packet.number in answered or _is_left(event) or _for_nobody(event)
            if copy:
                copied.add((event.place, event.where))
            drops.append(Deed(DeedKind.DROP, event, packet.number, event.where, aside=aside))
    for deed in drops:
        event = deed.event
        watch = watches.get(event.host, Watch())
        ended = watch.until_ns is not None and not watch.went_on(event.time_ns, _TAKES_NS)
        late = not deed.aside and ended and (event.place, event.where) in copied
        yield replace(deed, aside=True, late=True) if late else deed


def _is_left(drop: KernelEvent) -> bool:
    """True for what had arrived, and is freed with the socket that it lay in."""
    return drop.reason in _LEFT or drop.where in _CLOSERS


def _for_nobody(drop: KernelEvent) -> bool:
    """
    True for what nobody misses.

    A RST that met no connection, or one in TIME-WAIT; an echo reply without a socket of its own
    (``ping_rcv``): raw sockets, as that of ``ping`` run by root, got their copies before.
    """
    if drop.where == _PING:
        return True
    headers = None if drop.packet is None else drop.packet.carried.packet
    met_none = drop.reason == "NO_SOCKET" or (drop.reason in _UNSAID and drop.where in _TCP)
    return met_none and headers is not None and _is(DeedKind.RST, headers)


def _went_on(packet: TracedPacket, drop: KernelEvent) -> bool:
    """True if another buffer with the same packet was seen after this one was dropped."""
    for timed in packet.events:
        other = timed.event
        if _one_life(other, drop):
            continue
        later = other.time_ns > drop.time_ns if other.host == drop.host else not came_in(drop)
        if later and other.happening is not Happening.DROP:
            return True
    return False


def _lives_elsewhere(packet: TracedPacket, drop: KernelEvent) -> bool:
    """
    True if a copy was dropped and another one came to where packets are taken without a word.

    A frame that was flooded reaches stations that it is not for. What a buffer was last seen doing there is
    an arrival; a buffer that only carried the packet on ends with what it was sent by, or read by.
    """
    last: dict[object, KernelEvent] = {}
    for timed in packet.events:
        event = timed.event
        if not _one_life(event, drop) and event.buffer:
            last[event.host, event.skb if event.packet_id is None else event.packet_id] = event
    if drop.reason in _OTHERS:
        return bool(last)
    return any(event.happening in _TAKEN for event in last.values())


def _one_life(one: KernelEvent, other: KernelEvent) -> bool:
    if one.host != other.host:
        return False
    return one.packet_id == other.packet_id if one.packet_id is not None else one.skb == other.skb
