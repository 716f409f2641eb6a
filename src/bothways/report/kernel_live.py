"""The tracer's events as they come, below the line of their packet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from bothways.correlate.kernel_identity import with_before
from bothways.correlate.kernel_packet import Grouped, PacketBook
from bothways.facts.kernel_event import Happening, KernelEvent
from bothways.report.kernel_lines import event_line, packet_line

__all__ = ["LiveSheet"]

#: After so many events packets are forgotten that were last seen so long before: nothing grows for ever.
_OFTEN: Final = 20_000
_FORGET_NS: Final = 30_000_000_000
#: Packets whose last event is remembered; of older ones the distance to the next event is not told.
_MOST: Final = 20_000


@dataclass(slots=True)
class LiveSheet:
    """
    Sets events as lines.

    :param width: columns of the terminal, 0 = lines are never cut.
    :param unsaid: kinds of events that are not shown.
    """

    width: int = 0
    colour: bool = False
    unsaid: frozenset[Happening] = frozenset()
    _book: PacketBook = field(default_factory=PacketBook)
    _last: dict[int, KernelEvent] = field(default_factory=dict)
    _current: int = 0
    _taken: int = 0

    def lines(self, batch: Iterable[tuple[int, KernelEvent, int]]) -> Iterator[str]:
        """
        Set a batch of events; those of one packet stand together.

        :param batch: run, event and its moment on its host's wall clock, in the order of time.
        """
        grouped: dict[int, list[KernelEvent]] = {}
        latest = 0
        for run, event, moment in batch:
            latest = max(latest, moment)
            self._taken += 1
            group = self._book.take(run, event, moment)
            if event.happening not in self.unsaid:
                grouped.setdefault(group.number, []).append(event)
        for number, events in grouped.items():
            yield from self._block(self._book.groups[number - 1], events)
        if self._taken >= _OFTEN:
            self._taken = 0
            self._book.forget(latest - _FORGET_NS)

    def _block(self, group: Grouped, events: list[KernelEvent]) -> Iterator[str]:
        if group.number != self._current:
            self._current = group.number
            first = group.lives[0].first
            again = "" if group.number not in self._last else "  (again)"
            answers = self._answers(group)
            yield packet_line(group.number, first, answers, colour=self.colour) + again
        for event in events:
            before = self._last.get(group.number)
            told = with_before(event, before)
            yield event_line(told, before, width=self.width, colour=self.colour)
            self._last[group.number] = event
        if len(self._last) > _MOST:
            for old in list(self._last)[: _MOST // 2]:
                del self._last[old]

    def _answers(self, group: Grouped) -> int | None:
        """The packet that provoked this one, if the kernel said so."""
        for life in group.lives:
            for event in life.events:
                if event.provoked_by is not None and event.provoked_by != event.packet_id:
                    return self._book.number_of(life.run, event.provoked_by)
        return None
