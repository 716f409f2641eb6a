"""
Which packet made a kernel send a RST or an ICMP error.

Kernel parts that saw it say so (``provoked_by``). Else the numbers tell: a RST that answers a segment with
ACK bears its acknowledgment number (RFC 9293 section 3.10.7), and an ICMP error quotes the packet (RFC 792).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bothways.correlate.kernel_identity import Ends, Translations, quoted_key
from bothways.correlate.kernel_packet import Grouped
from bothways.facts.kernel_account import Known, Provocation
from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.facts.packet import ICMP, ICMP6, Flag, Packet

__all__ = ["answers_packet", "is_error", "provocations"]

#: A stack answers at once; a timer that resets later answers nobody.
_AT_ONCE_NS: Final = 200_000_000
#: ICMP types that report an error: RFC 792 (with redirect), RFC 4443 (below 128).
_ERRORS: Final = frozenset({3, 4, 5, 11, 12})
_V6_INFORMATION: Final = 128
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
        (life.run, life.id): number
        for number, group in enumerate(groups, 1)
        for life in group.lives
        if life.id is not None
    }
    found: list[Provocation | None] = []
    for number, group in enumerate(groups, 1):
        said = _told(group, by_id)
        if said is None or said == number:
            found.append(_by_numbers(number, group, groups, names))
        else:
            found.append(Provocation(said, Known.KERNEL))
    return found


def _told(group: Grouped, by_id: dict[tuple[int, int], int]) -> int | None:
    for life in group.lives:
        for event in life.events:
            # An event that tells of sending may stand among those of the packet that is answered.
            if event.provoked_by is not None and event.provoked_by != event.packet_id:
                return by_id.get((life.run, event.provoked_by))
    return None


def _by_numbers(
    number: int, group: Grouped, groups: Sequence[Grouped], names: Translations
) -> Provocation | None:
    """The latest packet that came in where this one began, and that it answers by its numbers."""
    first = group.lives[0].first
    headers = None if first.packet is None else first.packet.carried.packet
    if headers is None or first.happening in _CAME_IN:
        return None
    reset = headers.tcp is not None and bool(headers.tcp.flags & Flag.RST)
    if not reset and not is_error(headers):
        return None
    best: tuple[int, int] | None = None
    for other, candidate in enumerate(groups, 1):
        if other == number:
            continue
        for life in candidate.lives:
            if life.run != group.lives[0].run:
                continue
            for event in life.events:
                if _answered(event, first, headers, names) and (best is None or event.time_ns > best[0]):
                    best = event.time_ns, other
    return None if best is None else Provocation(best[1], Known.NUMBERS)


def _answered(event: KernelEvent, answer: KernelEvent, headers: Packet, names: Translations) -> bool:
    if event.packet is None or event.netns != answer.netns:
        return False
    if not 0 <= answer.time_ns - event.time_ns <= _AT_ONCE_NS:
        return False
    return answers_packet(headers, event.packet.carried.packet, names)


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
    if packet.tcp.flags & Flag.ACK:
        return answer.tcp.seq is not None and answer.tcp.seq == packet.tcp.ack
    if packet.tcp.seq is None or answer.tcp.ack is None:
        return False
    octets = (packet.tcp.length or 0) + bool(packet.tcp.flags & Flag.SYN) + bool(packet.tcp.flags & Flag.FIN)
    return answer.tcp.ack == (packet.tcp.seq + octets) & _WORD


def _two_ends(names: Translations, one: Ends, other: Ends) -> bool:
    """True if both are one connection: by a tracker's entry, or as all ports and one address agree."""
    ports = (one[0].port, one[1].port) == (other[0].port, other[1].port)
    return ports or names.same(one, other)


def _ends(packet: Packet) -> Ends | None:
    return (
        None if packet.source is None or packet.destination is None else (packet.source, packet.destination)
    )
