"""
Which column of the ladder each sighting stands in.

An ``any`` capture that names the device sees the same passage as a capture of that device. Both stand in the
device's column, so that a packet does not seem to jump between the two. Columns follow the way of the first
packet; what only others passed stands before the tap where they come back to that way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from bothways.facts.diagnosis import Ladder, Rung
from bothways.facts.sighting import Sighting, Tap

__all__ = ["Columns", "arrange", "follow", "passages", "seat"]

ANY: Final = "any"


@dataclass(frozen=True, slots=True)
class Columns:
    """
    The columns from left to right.

    :param devices: an ``any`` tap -> the devices that its sightings stand at.
    """

    order: tuple[Tap, ...]
    devices: Mapping[Tap, tuple[Tap, ...]] = field(default_factory=dict)

    def stands_for(self, tap: Tap) -> tuple[Tap, ...]:
        """Return the columns where a packet would have been seen by a tap."""
        return self.devices.get(tap, (tap,))


def seat(sighting: Sighting) -> Tap:
    """Return the device that saw the packet, the tap itself if the capture does not tell."""
    tap = sighting.tap
    if tap.device != ANY or sighting.device in (None, "", ANY):
        return tap
    return Tap(tap.host, tap.netns, sighting.device or ANY)


def passages(sightings: Iterable[Sighting]) -> tuple[tuple[int, ...], ...]:
    """
    Group what two captures saw of one passage; numbers are places in *sightings*.

    Only neighbours in the same column, out of different captures, that read the same.
    """
    items = tuple(sightings)
    groups: list[list[int]] = []
    for number, sighting in enumerate(items):
        taken = [items[each] for each in groups[-1]] if groups else []
        if taken and all(_same(each, sighting) for each in taken):
            groups[-1].append(number)
        else:
            groups.append([number])
    return tuple(tuple(group) for group in groups)


def arrange(ladder: Ladder) -> Columns:
    """Lay the columns out."""
    order: list[Tap] = []
    devices: dict[Tap, dict[Tap, None]] = {}
    for rung in ladder.rungs:
        _merge(order, _path(rung))
        for sighting in rung.sightings:
            devices.setdefault(sighting.tap, {})[seat(sighting)] = None
    missed = [tap for rung in ladder.rungs for tap, _ in rung.missing]
    for tap in (*ladder.taps, *missed):
        if tap not in order and tap not in devices:
            order.append(tap)
    return Columns(tuple(order), {tap: tuple(found) for tap, found in devices.items()})


def follow(leader: Columns, columns: Columns) -> Columns:
    """Return the leader's columns, with those that only *columns* has behind them."""
    rest = tuple(tap for tap in columns.order if tap not in leader.order and tap not in leader.devices)
    return Columns((*leader.order, *rest), {**columns.devices, **leader.devices})


def _same(one: Sighting, two: Sighting) -> bool:
    return (
        one.tap != two.tap
        and seat(one) == seat(two)
        and (one.packet.source, one.packet.destination) == (two.packet.source, two.packet.destination)
    )


def _path(rung: Rung) -> list[Tap]:
    return list(dict.fromkeys(seat(sighting) for sighting in rung.sightings))


def _merge(order: list[Tap], path: Sequence[Tap]) -> None:
    """Bring a path in, turned round if it runs against the columns that are there."""
    known = [order.index(tap) for tap in path if tap in order]
    backwards = sum(one > two for one, two in pairwise(known)) * 2 > len(known) - 1 > 0
    waiting: list[Tap] = []
    last = len(order)
    for tap in reversed(path) if backwards else path:
        if tap not in order:
            waiting.append(tap)
            continue
        order[order.index(tap) : order.index(tap)] = waiting
        waiting, last = [], order.index(tap) + 1
    order[last:last] = waiting
