"""
Which packet made a kernel send a RST or an ICMP error.

Kernel parts that saw it say so (``provoked_by``). Else the numbers tell: a RST that answers a segment with
ACK bears its acknowledgment number (RFC 9293 section 3.10.7), and an ICMP error quotes the packet (RFC 792).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from bothways.correlate.kernel_identity import Ends, Translations, quoted_key
from bothways.correlate.kernel_packet import Grouped
from bothways.facts.kernel_account import Known, Provocation
from bothways.facts.kernel_event import Happening, KernelEvent, function_name
from bothways.facts.packet import ICMP, ICMP6, Flag, Packet, Tcp

__all__ = ["answers_packet", "is_error", "provocations"]

#: A stack answers at once; a timer that resets later answers nobody.
_AT_ONCE_NS: Final = 200_000_000
#: What an error is about is often freed right behind it, however long it had waited.
_FREED_NS: Final = 1_000_000
#: What a socket sends a RST with that was closed or ended: nobody asked for it.
_ACTIVE: Final = "tcp_send_active_reset"
#: ICMP types that report an error: RFC 792 (with redirect), RFC 4443 (below 128).
_ERRORS: Final = frozenset({3, 4, 5, 11, 12})
_V6_INFORMATION: Final = 128
#: Events with the same addresses that are looked at, the latest first.
_MOST_LOOKED_AT: Final = 64
_WORD: Final = 0xFFFFFFFF
_CAME_IN: Final = frozenset(
    {
        Happening.RECEIVE,
        Happening.IP_RECEIVE,
        Happening.FORWARD,
        Happening.OVS_RECEIVE,
        Happening.LOCAL_DELIVER,
    }
)


def is_error(packet: Packet) -> bool:
    """True for an ICMP or ICMPv6 error."""
    if packet.icmp is None or packet.ip is None:
        return False
    if packet.ip.protocol == ICMP6:
        return packet.icmp.type < _V6_INFORMATION
    return packet.ip.protocol == ICMP and packet.icmp.type in _ERRORS


def provocations(groups: Sequence[Grouped], names: Translations) -> list[Provocation | None]:
    """For every packet the one that provoked it, by its number (from 1)."""
    by_id = {
        (life.run, life.id): group.number for group in groups for life in group.lives if life.id is not None
    }
    found: list[Provocation | None] = []
    of_sockets = _of_sockets(groups)
    arrivals: _Arrivals | None = None
    for group in groups:
        headers = _answering(group)
        if headers is not None and _by_itself(group, headers, of_sockets):
            found.append(None)
            continue
        said = _told(group, by_id)
        if said is not None and said != group.number:
            found.append(Provocation(said, Known.KERNEL))
            continue
        if headers is None:
            found.append(None)
            continue
        arrivals = _arrivals(groups) if arrivals is None else arrivals
        found.append(_by_numbers(group, headers, arrivals, names))
    return found


#: What an answer could refer to -> the events that bear it, in the order of time: moment, packet, event.
_Arrivals = dict[tuple[object, ...], list[tuple[int, int, KernelEvent]]]


def _arrivals(groups: Sequence[Grouped]) -> _Arrivals:
    """
    Every event with headers, by what a RST or an ICMP error would repeat of it.

    :returns: keys are run, namespace, and the number or the addresses.
    """
    found: _Arrivals = {}
    for group in groups:
        for life in group.lives:
            for event in life.events:
                if event.packet is not None:
                    for key in _repeated(event.packet.carried.packet):
                        rows = found.setdefault((life.run, event.netns, *key), [])
                        rows.append((event.time_ns, group.number, event))
    for rows in found.values():
        rows.sort(key=lambda row: row[:2])
    return found


def _repeated(packet: Packet) -> Iterator[tuple[object, ...]]:
    ends = _ends(packet)
    if ends is not None:
        yield ends
    number = None if packet.tcp is None or packet.tcp.flags & Flag.RST else _wanted(packet.tcp)
    if number is not None:
        yield (number,)


def _wanted(tcp: Tcp) -> tuple[str, int] | None:
    """The number that a RST in answer to this segment bears, and where."""
    if tcp.flags & Flag.ACK:
        return None if tcp.ack is None else ("seq", tcp.ack)
    if tcp.seq is None:
        return None
    octets = (tcp.length or 0) + bool(tcp.flags & Flag.SYN) + bool(tcp.flags & Flag.FIN)
    return "ack", (tcp.seq + octets) & _WORD


def _told(group: Grouped, by_id: dict[tuple[int, int], int]) -> int | None:
    for life in group.lives:
        for event in life.events:
            # An event that tells of sending may stand among those of the packet that is answered.
            if event.provoked_by is not None and event.provoked_by != event.packet_id:
                return by_id.get((life.run, event.provoked_by))
    return None


def _answering(group: Grouped) -> Packet | None:
    """The headers of a RST or an ICMP error that began where it was first seen."""
    first = group.lives[0].first
    headers = None if first.packet is None else first.packet.carried.packet
    if headers is None or first.happening in _CAME_IN:
        return None
    reset = headers.tcp is not None and bool(headers.tcp.flags & Flag.RST)
    return headers if reset or is_error(headers) else None


#: RSTs that sockets were told to have sent, by run and addresses: when.
_OfSockets = dict[tuple[int, Ends], list[int]]


def _of_sockets(groups: Sequence[Grouped]) -> _OfSockets:
    found: _OfSockets = {}
    for group in groups:
        for life in group.lives:
            for event in life.events:
                if event.happening is Happening.RST_SENT and not event.buffer and event.packet is not None:
                    ends = _ends(event.packet.carried.packet)
                    if ends is not None:
                        found.setdefault((life.run, ends), []).append(event.time_ns)
    return found


def _by_itself(group: Grouped, headers: Packet, of_sockets: _OfSockets) -> bool:
    """
    True for a RST that a socket sent as it was closed, and that is no answer.

    Its numbers fit the last segment all the same, and by them the kernel part may have taken it for one.
    """
    life, ends = group.lives[0], _ends(headers)
    if headers.tcp is None or ends is None:
        return False
    if _ACTIVE in map(function_name, life.first.stack or ()):
        return True
    moments = of_sockets.get((life.run, ends), ())
    return any(abs(moment - life.first.time_ns) <= _AT_ONCE_NS for moment in moments)


def _by_numbers(
    group: Grouped, headers: Packet, arrivals: _Arrivals, names: Translations
) -> Provocation | None:
    """The latest packet that was where this one began, and that it answers by its numbers."""
    life = group.lives[0]
    best: tuple[int, int] | None = None
    for key in _referred(headers):
        rows = arrivals.get((life.run, life.first.netns, *key), [])
        place = bisect_right(rows, life.first.time_ns, key=lambda row: row[0])
        behind = rows[place : place + _MOST_LOOKED_AT]
        freed = _freed_behind(behind, life.first, lambda packet: answers_packet(headers, packet, names))
        if freed is not None:
            return Provocation(freed, Known.NUMBERS)
        for moment, number, event in reversed(rows[max(0, place - _MOST_LOOKED_AT) : place]):
            if life.first.time_ns - moment > _AT_ONCE_NS or event.packet is None:
                break
            if number != group.number and answers_packet(headers, event.packet.carried.packet, names):
                best = max(best or (moment, number), (moment, number))
                break
    return None if best is None else Provocation(best[1], Known.NUMBERS)


def _freed_behind(
    rows: Sequence[tuple[int, int, KernelEvent]], first: KernelEvent, answers: Callable[[Packet], bool]
) -> int | None:
    """The packet that is answered, if it was dropped at once behind the answer on the same processor."""
    for moment, number, event in rows:
        if moment - first.time_ns > _FREED_NS:
            break
        dropped = event.happening is Happening.DROP and event.cpu in (None, first.cpu)
        if dropped and event.packet is not None and answers(event.packet.carried.packet):
            return number
    return None


def _referred(answer: Packet) -> Iterator[tuple[object, ...]]:
    """Under which keys stands what an answer may refer to."""
    if answer.icmp is not None:
        ends = None if answer.icmp.inner is None else _ends(answer.icmp.inner)
        if ends is not None:
            yield ends
    elif answer.tcp is not None:
        if answer.tcp.seq is not None:
            yield (("seq", answer.tcp.seq),)
        if answer.tcp.ack is not None:
            yield (("ack", answer.tcp.ack),)


def answers_packet(answer: Packet, packet: Packet, names: Translations) -> bool:
    """True if a RST or an ICMP error may answer this packet, by what both headers say."""
    if answer.icmp is not None:
        return answer.icmp.inner is not None and quoted_key(answer.icmp.inner, packet)
    if answer.tcp is None or packet.tcp is None or packet.tcp.flags & Flag.RST:
        return False
    forth, back = _ends(packet), _ends(answer)
    if forth is None or back is None or not names.alike((forth[1], forth[0]), back):
        return False
    if not _two_ends(names, (forth[1], forth[0]), back):
        return False
    wanted = _wanted(packet.tcp)
    return wanted is not None and wanted[1] == (answer.tcp.seq if wanted[0] == "seq" else answer.tcp.ack)


def _two_ends(names: Translations, one: Ends, other: Ends) -> bool:
    """True if both are one connection: by a tracker's entry, or as all ports and one address agree."""
    ports = (one[0].port, one[1].port) == (other[0].port, other[1].port)
    return ports or names.same(one, other)


def _ends(packet: Packet) -> Ends | None:
    return (
        None if packet.source is None or packet.destination is None else (packet.source, packet.destination)
    )
