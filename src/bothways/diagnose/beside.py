"""
The recorded captures of a connection beside the predicted ones.

Compared are the packets of the connection by their ends, flags and tunnel, in the order of each tap. Sequence
numbers and times are the walk's own. ARP is left out: a station that knows its neighbour does not ask. A walk
ends where data has passed both ways; what was recorded later is counted and not compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from bothways.bundle import Bundle
from bothways.diagnose.case import Case
from bothways.diagnose.expect import expect
from bothways.diagnose.gather import gather
from bothways.facts.diagnosis import Fate
from bothways.facts.expected import Comparison, ExpectedCapture, Row, SideBySide
from bothways.facts.packet import Packet, Tunnel, flags_text
from bothways.facts.prediction import Crossing
from bothways.facts.question import Question
from bothways.facts.sighting import Sighting, Tap

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
    recorded = _recorded(case)
    works = walk.fate is Fate.WORKS
    taps = tuple(_compare(each, recorded.get(each.tap, ()), ends=works) for each in expect(bundle, walk))
    return SideBySide(case.question, walk, taps)


def _recorded(case: Case) -> dict[Tap, list[Sighting]]:
    """Every sighting of the connection, as each capture holds them."""
    found: dict[Tap, list[Sighting]] = {}
    trajectories = () if case.story is None else case.story.connection.trajectories
    for trajectory in trajectories:
        for sighting in trajectory.sightings:
            found.setdefault(sighting.tap, []).append(sighting)
    return {tap: sorted(seen, key=lambda each: each.position) for tap, seen in found.items()}


def _compare(expected: ExpectedCapture, recorded: Sequence[Sighting], *, ends: bool) -> Comparison:
    predicted = [each for each in expected.crossings if each.packet.tcp is not None]
    rows = list(_aligned(recorded, predicted))
    covered = max((n for n, row in enumerate(rows, 1) if row.predicted is not None), default=0)
    kept = rows[:covered] if ends else rows
    return Comparison(expected.tap, tuple(kept), len(rows) - len(kept))


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
