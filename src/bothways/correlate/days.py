"""
Captures that print the time of day only, put on the day of the others.

Within one capture the reader counts midnights. A capture that started after midnight knows nothing of the
day before, so one that ran into the same midnight from the other side would be a day away from it. Where
other captures of the case have dates, packets that both show tell the day; and the time zone, since dates
are in UTC and text is printed in the host's zone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median_low
from typing import Final

from bothways.correlate.observation import Key, key_of
from bothways.facts.sighting import Capture

__all__ = ["on_one_day"]

_SECOND_NS: Final = 1_000_000_000
_DAY_NS: Final = 86_400 * _SECOND_NS
#: Time zones differ by multiples of this.
_QUARTER_NS: Final = 900 * _SECOND_NS
#: A capture belongs to the midnight that another one ran into if it begins this soon after it.
_NEAR_NS: Final = 600 * _SECOND_NS
#: Without numbers, captures are of one run if they are this close, in UTC or in a time zone.
_SAME_ZONE_NS: Final = 60 * _SECOND_NS
_OTHER_ZONE_NS: Final = 5 * _SECOND_NS

_Range = tuple[int, int]


def on_one_day(captures: Sequence[Capture]) -> tuple[Capture, ...]:
    """
    The same captures, with those that have no date put on the day that the others tell.

    One that began right after a midnight that others ran into is a day later. One that shares packets with
    dated captures, or lies beside them once the day and zone are added, gets their date; its sightings are
    dated then. What cannot be dated stays as it is. That captures without dates are of one day is assumed.
    """
    shifts = _past_midnight(captures)
    moved = [_moved(capture, shifts.get(i, 0), dated=False) for i, capture in enumerate(captures)]
    dates = _dates(moved)
    return tuple(
        _moved(capture, dates[i], dated=True) if i in dates else capture for i, capture in enumerate(moved)
    )


def _moved(capture: Capture, shift_ns: int, *, dated: bool) -> Capture:
    if not shift_ns and not dated:
        return capture
    sightings = tuple(
        replace(s, time_ns=s.time_ns + shift_ns, clock_only=s.clock_only and not dated)
        for s in capture.sightings
    )
    return replace(capture, sightings=sightings)


def _range(capture: Capture) -> _Range:
    times = [s.time_ns for s in capture.sightings]
    return min(times), max(times)


def _undated(captures: Sequence[Capture]) -> Iterator[tuple[int, Capture]]:
    for index, capture in enumerate(captures):
        if capture.sightings and all(s.clock_only for s in capture.sightings):
            yield index, capture


def _past_midnight(captures: Sequence[Capture]) -> dict[int, int]:
    ranges = {index: _range(capture) for index, capture in _undated(captures)}
    ends = [last for _, last in ranges.values() if last >= _DAY_NS - _NEAR_NS]
    if not ends:
        return {}
    horizon = max(_NEAR_NS, max(ends) - _DAY_NS + _NEAR_NS)
    return {i: _DAY_NS for i, (first, last) in ranges.items() if last < _DAY_NS // 2 and first <= horizon}


def _dates(captures: Sequence[Capture]) -> dict[int, int]:
    """What to add to the times of each capture that can be dated."""
    undated = dict(_undated(captures))
    dated = [c for i, c in enumerate(captures) if c.sightings and i not in undated]
    if not undated or not dated:
        return {}
    known = {key: time for capture in reversed(dated) for key, time in _keys(capture).items()}
    found: dict[int, int] = {}
    for index, capture in undated.items():
        differences = [known[key] - time for key, time in _keys(capture).items() if key in known]
        if differences:
            found[index] = _quarters(median_low(differences))
    for index, capture in undated.items():
        if index not in found:
            beside = [c for c in dated if c.tap.host == capture.tap.host] or dated
            shift = _beside(_range(capture), [_range(c) for c in beside], list(found.values()))
            if shift is not None:
                found[index] = shift
    return found


def _keys(capture: Capture) -> Mapping[Key, int]:
    """When each packet with numbers was first seen."""
    keys: dict[Key, int] = {}
    for sighting in capture.sightings:
        key = None if sighting.packet.tcp is None else key_of(sighting.packet.tcp)
        if key is not None:
            keys.setdefault(key, sighting.time_ns)
    return keys


def _quarters(difference_ns: int) -> int:
    return round(difference_ns / _QUARTER_NS) * _QUARTER_NS


def _beside(own: _Range, others: Sequence[_Range], known: Sequence[int]) -> int | None:
    """The shift that brings a capture beside dated ones: another text's, whole days, or another zone."""
    first, last = min(o[0] for o in others), max(o[1] for o in others)
    away = (first + last) // 2 - (own[0] + own[1]) // 2
    days = round(away / _DAY_NS) * _DAY_NS
    candidates = [*((shift, _SAME_ZONE_NS) for shift in known), (days, _SAME_ZONE_NS)]
    for shift, most in (*candidates, (_quarters(away), _OTHER_ZONE_NS)):
        if max(0, first - own[1] - shift, own[0] + shift - last) <= most:
            return shift
    return None
