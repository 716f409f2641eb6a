"""
Two packets that entered a namespace alike and went on differently.

Beside every packet that was dropped or answered with an error stands, if there is one, the packet of the same
direction of the same connection that came in at the same device and went on. What the first met and the
second did not is what a person wants to see: ``ip_forward`` against ``ip_local_deliver``.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from bothways.correlate.kernel_deed import written
from bothways.correlate.kernel_identity import Ends, ends_of
from bothways.correlate.kernel_stack_diff import compare_stacks
from bothways.facts.kernel_account import Deed, DeedKind, Parting, TracedPacket
from bothways.facts.kernel_event import Happening, KernelEvent, stack_functions

__all__ = ["partings_of"]

_ENTERS: Final = (Happening.RECEIVE, Happening.IP_RECEIVE, Happening.HOOK, Happening.OVS_RECEIVE)
_LEAVES: Final = frozenset({Happening.XMIT, Happening.OVS_ACTION, Happening.VXLAN_ENCAP})
_ENDS: Final = frozenset({Happening.DROP, Happening.RST_SENT, Happening.ICMP_SENT})


@dataclass(frozen=True, slots=True)
class _Visit:
    """One packet in one namespace: its events there, in order."""

    number: int
    events: tuple[KernelEvent, ...]
    entry: KernelEvent
    ends: Ends

    @property
    def left(self) -> KernelEvent | None:
        """The event in which it left, None if it did not."""
        after = self.events[self.events.index(self.entry) :]
        return next((e for e in after if e.happening in _LEAVES), None)

    @property
    def accepted(self) -> KernelEvent | None:
        """The event in which it was taken for good; that it was freed in peace tells nothing."""
        if any(e.happening in _ENDS for e in self.events):
            return None
        wanted = (Happening.SOCKET, Happening.LOCAL_DELIVER)
        return next((e for e in reversed(self.events) if e.happening in wanted), None)


#: Where and with what a packet came in -> those that left again, and those that were taken; by time of entry.
_Ways = dict[tuple[object, ...], tuple[list[_Visit], list[_Visit]]]


def partings_of(packets: Sequence[TracedPacket], deeds: Sequence[Deed]) -> tuple[Parting, ...]:
    """One parting at most for each packet that ended."""
    found: dict[tuple[int, str, str | None], Parting] = {}
    ways: _Ways | None = None
    for deed in deeds:
        if deed.aside or deed.foreign or deed.function is None or written(deed):
            continue
        number = deed.packet if deed.kind is DeedKind.DROP else None
        if deed.provoked_by is not None:
            number = deed.provoked_by.number
        key = (number or 0, deed.event.host, deed.event.netns)
        if number is None or key in found:
            continue
        ways = _ways(packets) if ways is None else ways
        parting = _parting(packets[number - 1], deed, ways)
        if parting is not None:
            found[key] = parting
    return tuple(found.values())


def _ways(packets: Sequence[TracedPacket]) -> _Ways:
    found: _Ways = {}
    for packet in packets:
        for host, netns in dict.fromkeys((t.event.host, t.event.netns) for t in packet.events):
            visit = _visit(packet, host, netns)
            if visit is None:
                continue
            left, taken = found.setdefault(_came(visit), ([], []))
            if visit.left is not None:
                left.append(visit)
            elif visit.accepted is not None:
                taken.append(visit)
    for left, taken in found.values():
        left.sort(key=_moment)
        taken.sort(key=_moment)
    return found


def _came(visit: _Visit) -> tuple[object, ...]:
    """Host, namespace and device at which a packet came in, its addresses there, and what kind it is of."""
    entry = visit.entry
    return entry.host, entry.netns, entry.device, entry.ifindex, visit.ends, _kind(entry)


def _moment(visit: _Visit) -> int:
    return visit.entry.time_ns


def _parting(packet: TracedPacket, deed: Deed, ways: _Ways) -> Parting | None:
    ended = _visit(packet, deed.event.host, deed.event.netns)
    if ended is None:
        return None
    left, taken = ways.get(_came(ended), ((), ()))
    went = _nearest(left, ended)
    if went is None and deed.kind is DeedKind.DROP:
        went = _nearest(taken, ended)
    went_to = None if went is None else went.left or went.accepted
    if went is None or went_to is None:
        return None
    ended_at = _end(ended, deed)
    only_went, only_ended = _apart(_functions(went), _functions(ended, ended_at))
    translated = _translated(went) and not _translated(ended)
    return Parting(
        went.number,
        packet.number,
        ended.entry,
        went_to,
        ended_at,
        only_went,
        only_ended,
        translated=translated,
    )


def _nearest(visits: Sequence[_Visit], ended: _Visit) -> _Visit | None:
    """The last one that came in before a packet; where all came later, the first of these."""
    others = bisect_right(visits, ended.entry.time_ns, key=_moment)
    before = next(
        (v for v in reversed(visits[max(0, others - 2) : others]) if v.number != ended.number), None
    )
    return before or next((v for v in visits[others : others + 2] if v.number != ended.number), None)


@lru_cache(maxsize=256)
def _apart(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Functions that only one of two packets met, outermost first. Packets of a flood meet the same ones."""
    diff = compare_stacks(tuple(reversed(one)), tuple(reversed(other)))
    return (
        tuple(name for row in diff.rows for name in row.first),
        tuple(name for row in diff.rows for name in row.second),
    )


def _visit(packet: TracedPacket, host: str, netns: str | None) -> _Visit | None:
    inside = tuple(t.event for t in packet.events if (t.event.host, t.event.netns) == (host, netns))
    entry = next((e for e in inside if e.happening in _ENTERS), None)
    if entry is None or entry.packet is None:
        return None
    # A hook that translated tells of the addresses before it as well.
    hooked = entry.before if entry.happening is Happening.HOOK else None
    ends = ends_of(hooked or entry.packet)
    return None if ends is None else _Visit(packet.number, inside, entry, ends)


def _kind(event: KernelEvent) -> tuple[int | None, int | None]:
    """Protocol, and the type of an ICMP packet: an error is treated otherwise than a question."""
    headers = None if event.packet is None else event.packet.carried.packet
    if headers is None or headers.ip is None:
        return None, None
    return headers.ip.protocol, None if headers.icmp is None else headers.icmp.type


def _end(visit: _Visit, deed: Deed) -> KernelEvent:
    told = next((e for e in visit.events if e.happening in _ENDS), None)
    return told if told is not None and deed.event.happening is Happening.XMIT else deed.event


def _functions(visit: _Visit, end: KernelEvent | None = None) -> tuple[str, ...]:
    """The functions of a packet's deepest stack in a namespace, outermost first; else those of its probes."""
    events = visit.events[visit.events.index(visit.entry) :]
    stacks = [e.stack for e in (*((end,) if end is not None else ()), *events) if e.stack]
    if end is not None and end.stack:
        stacks = [end.stack]
    if stacks:
        deepest = max(stacks, key=len)
        return tuple(reversed(stack_functions(deepest)))
    return tuple(dict.fromkeys(e.function for e in events if e.function is not None))


def _translated(visit: _Visit) -> bool:
    seen: Iterator[Ends] = (
        ends for e in visit.events if e.packet is not None and (ends := ends_of(e.packet)) is not None
    )
    return any(ends != visit.ends for ends in seen)
