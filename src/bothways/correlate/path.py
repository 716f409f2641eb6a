"""
Put the sightings of a packet in the order of its way.

Legs come first, which need no clock. On one leg hosts stand in the order that frames, the connection's
other packets, and at last corrected clocks tell. Within a host time counts; but time stamps of taps that
lie close are known to change places, so there the frames' direction and the other packets' order decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, groupby
from typing import Final

from bothways.correlate.atlas import Atlas
from bothways.correlate.bearing import Legs, first_of
from bothways.correlate.flight import Flight
from bothways.correlate.observation import Observation
from bothways.correlate.passing import Bearings
from bothways.facts.sighting import Direction
from bothways.facts.trajectory import Way

__all__ = ["Habits", "Road", "learn_habits", "order_path"]

#: Taps of one host are stamped in the wrong order by no more than this.
_INVERSION_NS: Final = 100_000
_ENOUGH: Final = 200
#: A packet of the same way says more of the order of two taps than one of the other way.
_SAME_WAY: Final = 2

_Habit = tuple[bool, int, int]


@dataclass(frozen=True, slots=True)
class Habits:
    """In which order a connection's packets usually pass two taps of a host."""

    votes: Counter[_Habit] = field(default_factory=Counter)

    def prefer(self, way: Way, one: Observation, two: Observation) -> int:
        """Above 0 if *one*'s tap usually comes first, below if *two*'s."""
        first, second, forth = one.spot, two.spot, way is Way.ORIGINAL
        return (
            _SAME_WAY * (self.votes[forth, first, second] - self.votes[forth, second, first])
            - self.votes[not forth, first, second]
            + self.votes[not forth, second, first]
        )


@dataclass(frozen=True, slots=True)
class Road:
    """What is known of the ways of one connection's packets."""

    atlas: Atlas
    bearings: Bearings
    offsets: Mapping[str, int]
    habits: Habits


def learn_habits(flights: Sequence[Flight], legs: Sequence[list[int]]) -> Habits:
    """See how the taps of each host follow each other."""
    votes: Counter[_Habit] = Counter()
    for flight, numbers in list(zip(flights, legs, strict=True))[:_ENOUGH]:
        hosts: dict[tuple[str, int], list[Observation]] = {}
        for observation, leg in zip(flight.observations, numbers, strict=True):
            hosts.setdefault((observation.host, leg), []).append(observation)
        for seen in hosts.values():
            for one, two in combinations(seen, 2):
                if one.time_ns != two.time_ns and one.spot != two.spot:
                    first, second = (one, two) if one.time_ns < two.time_ns else (two, one)
                    votes[flight.way is Way.ORIGINAL, first.spot, second.spot] += 1
    return Habits(votes)


def order_path(flight: Flight, numbers: list[int], road: Road) -> None:
    """Sort a flight's observations, sender first."""
    hosts: dict[str, Legs] = {}
    for observation, leg in zip(flight.observations, numbers, strict=True):
        hosts.setdefault(observation.host, {}).setdefault(leg, []).append(observation)
    ordered: list[Observation] = []
    for leg in sorted(set(numbers)):
        here = [host for host, legs in hosts.items() if leg in legs]
        for host in _hosts_in_order(here, leg, hosts, flight.way, road):
            ordered.extend(_within(hosts[host][leg], flight.way, road))
    flight.observations = ordered


def _hosts_in_order(here: list[str], leg: int, hosts: Mapping[str, Legs], way: Way, road: Road) -> list[str]:
    start = {h: min(o.time_ns for o in hosts[h][leg]) - road.offsets.get(h, 0) for h in here}
    wins = dict.fromkeys(here, 0)
    for one, two in combinations(here, 2):
        sign = first_of((one, hosts[one]), (two, hosts[two]), leg, road.atlas) or _bearing(
            one, two, way, road
        )
        if not sign:
            sign = (start[two] > start[one]) - (start[one] > start[two])
        wins[one] += sign
        wins[two] -= sign
    return sorted(here, key=lambda host: (-wins[host], start[host], host))


def _bearing(one: str, two: str, way: Way, road: Road) -> int:
    sign = road.bearings.get((one, two)) or -road.bearings.get((two, one), 0)
    return sign if way is Way.ORIGINAL else -sign


def _within(seen: list[Observation], way: Way, road: Road) -> list[Observation]:
    """One host's sightings on one leg."""
    ends = _ends(seen, road.atlas)
    ordered = sorted(seen, key=lambda o: (ends[id(o)], o.time_ns, o.capture, o.sighting.position))
    result: list[Observation] = []
    for _, group in groupby(ordered, key=lambda o: ends[id(o)]):
        result.extend(_settled(list(group), way, road))
    return result


def _ends(seen: list[Observation], atlas: Atlas) -> dict[int, int]:
    """
    0 for the device that sent the frame, 2 for the one that it is for, 1 for those between.

    Only where every sighting shows the MAC: a cooked capture hides the receiver's, and its sightings would
    all seem to be in between.
    """
    frames = [o.sighting.packet.ethernet for o in seen]
    sent, received = all(f.src for f in frames), all(f.dst for f in frames)
    ends: dict[int, int] = {}
    for observation, frame in zip(seen, frames, strict=True):
        own = atlas.own_mac(observation.sighting)
        starts, stops = sent and own == frame.src, received and own == frame.dst
        ends[id(observation)] = 0 if starts else 2 if stops else 1
    return ends


def _settled(ordered: list[Observation], way: Way, road: Road) -> list[Observation]:
    """Let neighbours that are stamped close together change places where the frames or habit say so."""
    for _ in range(len(ordered)):
        swapped = False
        for index in range(len(ordered) - 1):
            one, two = ordered[index], ordered[index + 1]
            if two.time_ns - one.time_ns <= _INVERSION_NS and _later(one, two, way, road):
                ordered[index], ordered[index + 1] = two, one
                swapped = True
        if not swapped:
            break
    return ordered


def _later(one: Observation, two: Observation, way: Way, road: Road) -> bool:
    """True if *one* surely comes behind *two*."""
    by_tunnel = _tunnel_first(two, one, road.atlas) - _tunnel_first(one, two, road.atlas)
    if by_tunnel:
        return by_tunnel > 0
    first, second = one.sighting.direction, two.sighting.direction
    if first is not None and second is not None and first is not second:
        return first is Direction.OUT
    return road.habits.prefer(way, one, two) < 0


def _tunnel_first(one: Observation, two: Observation, atlas: Atlas) -> int:
    """1 if *one* is tunnelled, *two* is not, and the host is where the tunnel ends; -1 where it begins."""
    tunnel = one.sighting.tunnel
    if tunnel is None or two.sighting.tunnel is not None or tunnel.src is None or tunnel.dst is None:
        return 0
    if atlas.address_hosts.get(tunnel.dst) == one.host:
        return 1
    return -1 if atlas.address_hosts.get(tunnel.src) == one.host else 0
