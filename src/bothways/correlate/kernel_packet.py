"""
Packets: lives of buffers that carried the same packet, on one host after the other.

A packet leaves its buffer where a switch in user space, a virtual machine or a wire lies between, and where
it is copied. Headers tell that it is the same one. A packet does not pass one place twice with the same
TTL, so one that does is another packet with the same headers: a retransmission, or the next of a row that
nobody numbered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bothways.correlate.kernel_identity import Ends, Key, Translations, ends_of
from bothways.correlate.kernel_life import Life, LifeBook, wall_offset
from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.facts.kernel_trace import KernelTrace

__all__ = ["Grouped", "PacketBook", "group_events"]

#: How long a packet can lie in queues between two lives; where its numbers tell less, it is taken for
#: another one.
_STRONG_NS: Final = 10_000_000_000
_WEAK_NS: Final = 500_000_000
#: Times of two hosts whose clocks nobody compared differ by as much without anything being amiss.
_SKEW_NS: Final = 5_000_000_000
_LONGEST_NS: Final = _STRONG_NS + _SKEW_NS
#: Events that say where a packet was; the others may come again at one place.
_PASSING: Final = frozenset(
    {
        Happening.RECEIVE,
        Happening.XMIT,
        Happening.IP_RECEIVE,
        Happening.FORWARD,
        Happening.LOCAL_DELIVER,
        Happening.OVS_RECEIVE,
    }
)

_Place = tuple[str, str | None, int | str | None, Happening, int | None]


@dataclass(slots=True, eq=False)
class Grouped:
    """
    One packet, while it is put together.

    :param number: from 1, in the order in which packets were first seen.
    :param lives: in the order of their first events.
    :param copies: how many of them share another's data.
    :param last_ns: when something was last seen of it, on the wall clock of that host.
    """

    number: int
    lives: list[Life] = field(default_factory=list)
    names: set[Ends] = field(default_factory=set)
    places: set[_Place] = field(default_factory=set)
    copies: int = 0
    last_ns: int = 0

    def see(self, event: KernelEvent, moment_ns: int) -> None:
        """Note names and places of an event."""
        for packet in (event.before, event.packet):
            ends = None if packet is None else ends_of(packet)
            if ends is not None:
                self.names.add(ends)
        place = _place(event)
        if place is not None:
            self.places.add(place)
        self.last_ns = max(self.last_ns, moment_ns)


def _place(event: KernelEvent) -> _Place | None:
    if event.happening not in _PASSING:
        return None
    packet = None if event.packet is None else event.packet.carried.packet
    ttl = None if packet is None or packet.ip is None else packet.ip.ttl
    device = event.device if event.device is not None else event.ifindex
    return event.host, event.netns, device, event.happening, ttl


@dataclass(slots=True)
class PacketBook:
    """
    Puts lives that carried one packet together, event by event, in the order in which they happened.

    :param names: what is known of translations so far.
    """

    names: Translations = field(default_factory=Translations)
    groups: list[Grouped] = field(default_factory=list)
    _lives: LifeBook = field(default_factory=LifeBook)
    _of_life: dict[int, Grouped] = field(default_factory=dict)
    _by_key: dict[Key, list[Grouped]] = field(default_factory=dict)
    _by_id: dict[tuple[int, int], Grouped] = field(default_factory=dict)

    def take(self, run: int, event: KernelEvent, moment_ns: int) -> Grouped:
        """
        Add an event to its packet, which may be a new one.

        :param run: which trace it is of.
        :param moment_ns: when it happened, on its host's wall clock.
        """
        life = self._lives.take(run, event)
        self.names.note(event, life.events[-2] if len(life.events) > 1 else None)
        group = self._of_life.get(id(life))
        if group is None:
            group = self._parent(life) or self._fitting(life, moment_ns)
            if group is None:
                group = Grouped(len(self.groups) + 1)
                self.groups.append(group)
            group.copies += bool(group.lives) and life.clone_of is not None
            group.lives.append(life)
            self._of_life[id(life)] = group
            if life.id is not None:
                self._by_id[run, life.id] = group
            if life.key is not None and event.buffer:
                known = self._by_key.setdefault(life.key, [])
                if group not in known:
                    known.append(group)
        group.see(event, moment_ns)
        return group

    def forget(self, before_ns: int) -> None:
        """Forget what no later event can belong to any more: packets that were last seen before a moment."""
        for group in self.groups:
            if group.lives and group.last_ns < before_ns:
                for life in group.lives:
                    self._of_life.pop(id(life), None)
                    if life.id is not None:
                        self._by_id.pop((life.run, life.id), None)
                    self._lives.drop(life)
                group.lives, group.names, group.places = [], set(), set()
        for key, known in list(self._by_key.items()):
            left = [group for group in known if group.lives]
            if left:
                self._by_key[key] = left
            else:
                del self._by_key[key]

    def number_of(self, run: int, packet_id: int) -> int | None:
        """The packet that a life is of, by the kernel part's number."""
        group = self._by_id.get((run, packet_id))
        return None if group is None else group.number

    def _parent(self, life: Life) -> Grouped | None:
        """The packet whose data a copy without headers shares."""
        if life.clone_of is None or life.key is not None:
            return None
        return self._by_id.get((life.run, life.clone_of))

    def _fitting(self, life: Life, moment_ns: int) -> Grouped | None:
        if life.key is None or not life.first.buffer:
            return None
        known = self._by_key.get(life.key)
        if not known:
            return None
        if moment_ns - known[0].last_ns > _LONGEST_NS:
            # What is too old for every window need not be looked at again.
            known[:] = [group for group in known if moment_ns - group.last_ns <= _LONGEST_NS]
        fitting = [group for group in known if self._fits(group, life, moment_ns)]
        if not fitting:
            return None
        # Of several that look alike the oldest comes first, as queues keep the order. Strong keys come again
        # only if a segment is sent again: then the latest is meant.
        return fitting[-1] if life.key.strong else fitting[0]

    def _fits(self, group: Grouped, life: Life, moment_ns: int) -> bool:
        if life.key is None or _place(life.first) in group.places or not self._related(group, life, life.key):
            return False
        window = _STRONG_NS if life.key.strong else _WEAK_NS
        if all(each.run != life.run for each in group.lives):
            window += _SKEW_NS
        return moment_ns - group.last_ns <= window

    def _related(self, group: Grouped, life: Life, key: Key) -> bool:
        """True if the ends of a life may be those of the packet, on the other side of a translation."""
        mine = {ends for packet in life.packets() if (ends := ends_of(packet)) is not None}
        pairs = [(one, other) for one in mine for other in group.names]
        fits = self.names.alike if key.strong else self.names.same
        if any(fits(one, other) for one, other in pairs):
            return True
        # Both addresses translated where nobody looked: numbers, identification and a port still say it.
        sure = key.strong and key.id is not None
        return sure and any(
            one[0].port == other[0].port or one[1].port == other[1].port for one, other in pairs
        )


def _ahead(trace: KernelTrace) -> int:
    """How far a host's clock is ahead of the one that measured it, as well as that is known."""
    clock = trace.clocks[-1] if trace.clocks else None
    if clock is None or clock.low_ns is None or clock.high_ns is None:
        return 0
    return (clock.low_ns + clock.high_ns) // 2


def group_events(traces: Sequence[KernelTrace]) -> PacketBook:
    """Put the events of all traces together."""
    offsets = [wall_offset(trace.start, next(iter(trace.events), None)) - _ahead(trace) for trace in traces]
    timed = [
        (event.time_ns + offsets[run], run, event.number, event)
        for run, trace in enumerate(traces)
        for event in trace.events
    ]
    book = PacketBook()
    for moment, run, _, event in sorted(timed, key=lambda each: each[:3]):
        book.take(run, event, moment)
    return book
