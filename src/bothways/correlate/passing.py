"""
From every packet that two hosts saw, one inequality: it cannot arrive before it leaves.

Which sighting is surely before it left, and which surely after it arrived, is decided without clocks: by
the legs of its way, by what its frames say of the way (:mod:`bothways.correlate.bearing`), and, where
neither tells, because only one order of two hosts lets both a question and its answer arrive after they
left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from bothways.correlate.atlas import Atlas
from bothways.correlate.bearing import Legs, first_of
from bothways.correlate.flight import Flight
from bothways.correlate.observation import Observation
from bothways.facts.sighting import Direction
from bothways.facts.trajectory import Way

__all__ = ["Bearings", "Differences", "Passing", "compare_hosts"]

#: 1 for a pair of hosts if the client's packets pass the first before the second, -1 if after.
Bearings = dict[tuple[str, str], int]


@dataclass(slots=True)
class Passing:
    """
    Least time from leaving one host to arriving at another, each on its own clock, over many packets.

    :param last: the packet that was noted last: one may say it several times.
    """

    least_ns: int
    packets: int = 1
    last: int = -1


@dataclass(slots=True)
class Differences:
    """
    The inequalities of all packets.

    :param passed: for (from, to): *to*'s clock less *from*'s is at most ``least_ns``.
    """

    passed: dict[tuple[str, str], Passing] = field(default_factory=dict)

    def note(self, source: str, target: str, difference_ns: int, packet: int) -> None:
        """A packet left *source* and arrived at *target*."""
        known = self.passed.get((source, target))
        if known is None:
            self.passed[source, target] = Passing(difference_ns, 1, packet)
            return
        known.least_ns = min(known.least_ns, difference_ns)
        known.packets += known.last != packet
        known.last = packet


@dataclass(slots=True)
class _Open:
    """What packets of one way say of two hosts whose order is not known: if they went forth, and if back."""

    forth: list[int] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    packets: list[int] = field(default_factory=list)


def compare_hosts(
    flights: Sequence[Flight], legs: Sequence[list[int]], atlas: Atlas, differences: Differences
) -> Bearings:
    """
    Note what one connection's packets say of the hosts' clocks.

    :param legs: for each flight the leg of each observation.
    :returns: on which of two hosts' sides the client is, where that is known.
    """
    votes: dict[tuple[str, str], int] = {}
    undecided: dict[tuple[str, str], dict[Way, _Open]] = {}
    for flight, numbers in zip(flights, legs, strict=True):
        hosts = _by_host(flight, numbers)
        for one, two in combinations(sorted(hosts), 2):
            first, second = (one, hosts[one]), (two, hosts[two])
            if not _one_kind_of_time(hosts[one], hosts[two]):
                continue
            forth = 1 if flight.way is Way.ORIGINAL else -1
            for sign, going, coming in _inequalities(first, second, atlas):
                if sign:
                    votes[one, two] = votes.get((one, two), 0) + sign * forth
                    _note(differences, (one, two), sign, (going, coming, id(flight)))
                else:
                    ways = undecided.setdefault((one, two), {})
                    kept = ways.setdefault(flight.way, _Open())
                    kept.forth.append(going)
                    kept.back.append(coming)
                    kept.packets.append(id(flight))
    bearings = {pair: (vote > 0) - (vote < 0) for pair, vote in votes.items() if vote}
    for pair, ways in undecided.items():
        bearing = bearings.get(pair) or _only_order(ways)
        if bearing:
            bearings[pair] = bearing
            for way, kept in ways.items():
                sign = bearing if way is Way.ORIGINAL else -bearing
                for said in zip(kept.forth, kept.back, kept.packets, strict=True):
                    _note(differences, pair, sign, said)
    return bearings


def _note(differences: Differences, pair: tuple[str, str], sign: int, said: tuple[int, int, int]) -> None:
    going, coming, packet = said
    if sign > 0:
        differences.note(pair[0], pair[1], going, packet)
    else:
        differences.note(pair[1], pair[0], coming, packet)


def _by_host(flight: Flight, numbers: list[int]) -> dict[str, Legs]:
    hosts: dict[str, Legs] = {}
    for observation, leg in zip(flight.observations, numbers, strict=True):
        hosts.setdefault(observation.host, {}).setdefault(leg, []).append(observation)
    return hosts


def _one_kind_of_time(one: Legs, two: Legs) -> bool:
    """True if all times have a date, or none."""
    return len({o.sighting.clock_only for legs in (one, two) for seen in legs.values() for o in seen}) == 1


def _inequalities(
    one: tuple[str, Legs], two: tuple[str, Legs], atlas: Atlas
) -> Iterator[tuple[int, int, int]]:
    """
    For each pair of legs: 1, -1 or 0, and the difference if the packet went from *one* to *two*, and if back.

    On different legs the earlier leg's first sighting came before the later leg's first.
    """
    for leg, here in one[1].items():
        for other, there in two[1].items():
            if leg != other:
                start, end = _arrived(here), _arrived(there)
                yield (1 if leg < other else -1), end - start, start - end
            else:
                sign = first_of(one, two, leg, atlas)
                going = _arrived(there) - _left(here, there)
                coming = _arrived(here) - _left(there, here)
                yield sign, going, coming


def _arrived(seen: list[Observation]) -> int:
    """Any sighting is after the arrival, so the first one is nearest to it."""
    return min(o.time_ns for o in seen)


def _left(here: list[Observation], there: list[Observation]) -> int:
    """
    A time that is surely before the packet left.

    Copies that a switch made may be seen after the packet itself is gone, and a capture of all devices may
    show them in any order. So the first sighting counts; of those that are known to leave (in a tunnel that
    the other side saw, or outwards) the first of these.
    """
    if any(o.sighting.tunnel is not None for o in there):
        inside = [o.time_ns for o in here if o.sighting.tunnel is not None]
        if inside:
            return min(inside)
    outward = [o.time_ns for o in here if o.sighting.direction is Direction.OUT]
    return min(outward or [o.time_ns for o in here])


def _only_order(ways: dict[Way, _Open]) -> int:
    """1 or -1 if questions and answers can both arrive after they left in that order only, else 0."""
    asked, answered = ways.get(Way.ORIGINAL), ways.get(Way.REPLY)
    if asked is None or answered is None:
        return 0
    # The clock difference is at most what packets going forth show, and at least what those coming back do.
    forth = min(asked.forth) + min(answered.back) >= 0
    back = min(asked.back) + min(answered.forth) >= 0
    return int(forth) - int(back)
