"""
Lives: what one buffer did between being made and being freed, on one host.

The kernel part numbers lives itself (``packet_id``). Where a tier cannot, the buffer's address and the
headers tell: the same buffer with other numbers in its headers, or after it was freed, carries another
packet.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bothways.correlate.kernel_identity import Key, ends_of, key_of
from bothways.facts.kernel_event import Happening, KernelEvent, KernelPacket
from bothways.facts.kernel_trace import TraceStart

__all__ = ["Life", "LifeBook", "wall_offset"]

#: A buffer that nobody numbered and that was quiet for so long carries another packet.
_QUIET_NS: Final = 1_000_000_000
_FREED: Final = frozenset({Happening.DROP, Happening.CONSUME})


@dataclass(slots=True, eq=False)
class Life:
    """
    One life.

    :param run: which trace it is of.
    :param id: its number in the kernel part, None if it has none.
    :param start: its first event; *at* that event's place in its trace.
    """

    run: int
    host: str
    id: int | None
    events: list[KernelEvent] = field(default_factory=list)
    key: Key | None = None
    clone_of: int | None = None

    @property
    def first(self) -> KernelEvent:
        """The first event."""
        return self.events[0]

    @property
    def last(self) -> KernelEvent:
        """The last event."""
        return self.events[-1]

    def packets(self) -> Iterator[KernelPacket]:
        """Every form in which its headers were seen, tunnels taken off."""
        for event in self.events:
            if event.before is not None:
                yield event.before.carried
            if event.packet is not None:
                yield event.packet.carried


@dataclass(slots=True)
class LifeBook:
    """Sorts events into lives, one by one, in the order in which they happened."""

    _numbered: dict[tuple[int, int], Life] = field(default_factory=dict)
    _nameless: dict[tuple[int, str], Life] = field(default_factory=dict)

    def take(self, run: int, event: KernelEvent) -> Life:
        """
        Add an event to its life, which may be a new one.

        :param run: which trace it is of.
        """
        key = None if event.packet is None else key_of(event.packet)
        if event.packet_id is not None:
            life = self._numbered.get((run, event.packet_id))
            if life is None:
                life = self._numbered[run, event.packet_id] = Life(run, event.host, event.packet_id)
        else:
            buffer = event.skb or _socket(event)
            known = self._nameless.get((run, buffer))
            if known is None or _another(known, event, key):
                known = self._nameless[run, buffer] = Life(run, event.host, None)
            life = known
        life.events.append(event)
        life.key = life.key or key
        life.clone_of = event.clone_of if life.clone_of is None else life.clone_of
        return life

    def drop(self, life: Life) -> None:
        """Forget a life: an event with its number begins another one."""
        if life.id is not None:
            self._numbered.pop((life.run, life.id), None)
        else:
            buffer = life.first.skb or _socket(life.first)
            if self._nameless.get((life.run, buffer)) is life:
                del self._nameless[life.run, buffer]


def _socket(event: KernelEvent) -> str:
    """What tells sockets apart that have no buffer; the source port comes later than the rest."""
    ends = None if event.packet is None else ends_of(event.packet)
    if ends is None:
        return f"event {event.number}"
    return f"socket {event.netns} {ends[0].address} {ends[1]}"


def _another(life: Life, event: KernelEvent, key: Key | None) -> bool:
    """True if a buffer that nobody numbered carries another packet by now."""
    if not event.buffer:
        return False
    if life.last.happening in _FREED or event.time_ns - life.last.time_ns > _QUIET_NS:
        return True
    return key is not None and life.key is not None and key != life.key


def wall_offset(start: TraceStart | None, event: KernelEvent | None) -> int:
    """
    What lies between a host's monotonic clock and its wall clock, in nanoseconds: one number a run.

    The wall clock may be set while a run goes on; differences of times must not jump with it.
    """
    if start is not None and start.clock is not None:
        return start.clock.wall_ns - start.clock.monotonic_ns
    return 0 if event is None or event.wall_ns is None else event.wall_ns - event.time_ns
