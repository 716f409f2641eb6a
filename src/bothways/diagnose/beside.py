"""
The recorded evidence of a connection beside what is predicted: captures, and the trackers' events.

Compared are the packets of the connection by their ends, flags and tunnel, in the order of each tap. Sequence
numbers and times are the walk's own. ARP is left out: a station that knows its neighbour does not ask. A walk
ends where data has passed both ways, and in any case at its horizon; what was recorded later is counted and
not compared, nor what is predicted for after the end of a capture. Of a connection that works only that is
compared which both conversations have: what programs say is their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from bothways.bundle import Bundle
from bothways.diagnose.beside_tracker import trackers_beside
from bothways.diagnose.case import Case
from bothways.diagnose.conversation import Shared, shared
from bothways.diagnose.expect import expect
from bothways.diagnose.gather import gather
from bothways.facts.diagnosis import Fate
from bothways.facts.expected import Comparison, ExpectedCapture, Row, SideBySide
from bothways.facts.packet import Packet, Tunnel, flags_text
from bothways.facts.prediction import Crossing
from bothways.facts.question import Question
from bothways.facts.sighting import Sighting, Tap
from bothways.model.world.connection import HORIZON_NS

__all__ = ["lay_beside"]


def lay_beside(bundle: Bundle, question: Question | None = None) -> SideBySide:
    """
    Lay what was recorded of a connection beside the predicted outcome that happened.

    :param question: None takes the bundle's own, or the worst broken connection of the captures.
    """
    case, _ = gather(bundle, question)
    if case is None:
        return SideBySide(None, None, (), "no connection is named, and captures show none")
    if case.story is None:
        return SideBySide(case.question, case.walk, (), "no capture shows the connection")
    walk = case.walk
    if walk.fate is Fate.UNKNOWN and not any(crossing.packet.tcp for crossing in walk.crossings):
        return SideBySide(case.question, walk, (), f"the dumps do not say how it goes: {walk.why}")
    works = walk.fate is Fate.WORKS
    common = shared(case.story.connection.trajectories, walk) if works else None
    recorded = _recorded(case)
    stops = {capture.tap: capture.stopped for capture in bundle.captures}
    taps = tuple(
        _compare(each, recorded.get(each.tap, ()), common, stopped=stops.get(each.tap))
        for each in expect(bundle, walk)
    )
    trackers = trackers_beside(bundle.snapshot, case.question, walk, ends=works)
    return SideBySide(case.question, walk, taps, trackers=trackers)


def _recorded(case: Case) -> dict[Tap, list[Sighting]]:
    """Every sighting of the connection, as each capture holds them."""
    found: dict[Tap, list[Sighting]] = {}
    trajectories = () if case.story is None else case.story.connection.trajectories
    for trajectory in trajectories:
        for sighting in trajectory.sightings:
            found.setdefault(sighting.tap, []).append(sighting)
    return {tap: sorted(seen, key=lambda each: each.position) for tap, seen in found.items()}


def _compare(
    expected: ExpectedCapture,
    recorded: Sequence[Sighting],
    common: Shared | None,
    *,
    stopped: float | None,
) -> Comparison:
    predicted = [each for each in expected.crossings if each.packet.tcp is not None]
    if common is not None:
        later = sum(not common.holds(each) for each in recorded)
        both = [each for each in recorded if common.holds(each)]
        promised = [each for each in predicted if each.journey in common.journeys]
        return Comparison(expected.tap, tuple(_aligned(both, promised)), later)
    watched = [each for each in predicted if not _after(stopped, each, recorded, predicted)]
    rows = list(_aligned(recorded, watched))
    covered = max((n for n, row in enumerate(rows, 1) if row.predicted is not None), default=0)
    horizon = recorded[0].time_ns + HORIZON_NS if recorded else 0
    tail = [row for row in rows[covered:] if row.recorded is not None]
    within = tuple(row for row in tail if row.recorded and row.recorded.time_ns <= horizon)
    kept = (*rows[:covered], *within)
    return Comparison(expected.tap, kept, len(tail) - len(within), len(predicted) - len(watched))


def _after(
    stopped: float | None, crossing: Crossing, recorded: Sequence[Sighting], predicted: Sequence[Crossing]
) -> bool:
    """True if a capture had surely stopped when a packet would have come: counted from the first of both."""
    if stopped is None or not recorded or recorded[0].clock_only:
        return False
    since = crossing.at_ns - predicted[0].at_ns
    return recorded[0].time_ns + since > int(stopped * 1_000_000_000)


def _aligned(recorded: Sequence[Sighting], predicted: Sequence[Crossing]) -> Iterator[Row]:
    one = [_key(each.packet, each.tunnel) for each in recorded]
    two = [_key(each.packet, each.tunnel) for each in predicted]
    for _, first, last, begin, end in SequenceMatcher(None, one, two, autojunk=False).get_opcodes():
        if one[first:last] == two[begin:end]:
            yield from (Row(*pair) for pair in zip(recorded[first:last], predicted[begin:end], strict=True))
        else:
            yield from (Row(each, None) for each in recorded[first:last])
            yield from (Row(None, each) for each in predicted[begin:end])


def _key(packet: Packet, tunnel: Tunnel | None) -> tuple[object, ...]:
    flags = "" if packet.tcp is None else flags_text(packet.tcp.flags)
    return packet.source, packet.destination, flags, None if tunnel is None else tunnel.vni
