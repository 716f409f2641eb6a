"""
Divide a packet's way into legs: between two routers neither its TTL nor its names change.

A router lowers the TTL (RFC 1812 section 5.3.1) and a translator changes a name, so both tell which
sighting comes first without any clock. The order of names is the connection's: what the client's side calls
the ends comes first in its packets and last in the answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

from bothways.correlate.flight import Flight, names_of
from bothways.correlate.observation import Route
from bothways.correlate.translations import Names, Translations
from bothways.facts.trajectory import Way

__all__ = ["legs_of", "rank_names"]

#: What a vote weighs: a TTL that a router lowered, a translation that a dump names, two times on one clock.
_BY_TTL: Final = 100
_BY_DUMP: Final = 10
_BY_TIME: Final = 1
_ENOUGH: Final = 500


def rank_names(flights: Sequence[Flight], known: Translations) -> dict[Route, Names]:
    """Names of a connection's ends in order from the client's side to the server's, by their numbers."""
    seen: dict[Route, Names] = {}
    for flight in flights:
        forth = flight.way is Way.ORIGINAL
        for o in flight.observations:
            names = names_of(o, flight.way)
            if names not in seen:
                seen[names] = (o.source, o.destination) if forth else (o.destination, o.source)
    votes: Counter[tuple[Route, Route]] = Counter()
    for one, two in combinations(seen, 2):
        votes[one, two] += _BY_DUMP * known.order(seen[one], seen[two])
    telling = 0
    for flight in flights:
        if len({names_of(o, flight.way) for o in flight.observations}) > 1:
            _vote(flight, votes)
            telling += 1
            if telling >= _ENOUGH:
                break
    wins = dict.fromkeys(seen, 0)
    for (one, two), vote in votes.items():
        wins[one] += (vote > 0) - (vote < 0)
        wins[two] -= (vote > 0) - (vote < 0)
    return {names: seen[names] for names in sorted(seen, key=lambda names: -wins[names])}


def _vote(flight: Flight, votes: Counter[tuple[Route, Route]]) -> None:
    ttls: dict[Route, list[int]] = {}
    times: dict[Route, dict[str, int]] = {}
    for observation in flight.observations:
        names = names_of(observation, flight.way)
        ip = observation.sighting.packet.ip
        if ip is not None and ip.ttl is not None:
            ttls.setdefault(names, []).append(ip.ttl)
        first = times.setdefault(names, {})
        first[observation.host] = min(first.get(observation.host, observation.time_ns), observation.time_ns)
    forth = 1 if flight.way is Way.ORIGINAL else -1
    for one, two in combinations(times, 2):
        vote = _by_ttl(ttls.get(one), ttls.get(two)) + _by_time(times[one], times[two])
        if (one, two) in votes or (two, one) not in votes:
            votes[one, two] += forth * vote
        else:
            votes[two, one] -= forth * vote


def _by_ttl(one: list[int] | None, two: list[int] | None) -> int:
    if not one or not two:
        return 0
    return _BY_TTL * ((min(one) > max(two)) - (min(two) > max(one)))


def _by_time(one: dict[str, int], two: dict[str, int]) -> int:
    return sum(_BY_TIME * ((one[host] < two[host]) - (two[host] < one[host])) for host in one if host in two)


def legs_of(flight: Flight, ranks: Mapping[Route, int]) -> list[int]:
    """The leg of each observation, from 0 at the sender's side."""
    ttls = [None if o.sighting.packet.ip is None else o.sighting.packet.ip.ttl for o in flight.observations]
    whole = all(ttl is not None for ttl in ttls)
    forth = 1 if flight.way is Way.ORIGINAL else -1
    keys = [
        (-(ttl or 0) if whole else 0, forth * ranks.get(names_of(o, flight.way), 0))
        for o, ttl in zip(flight.observations, ttls, strict=True)
    ]
    dense = {key: leg for leg, key in enumerate(sorted(set(keys)))}
    return [dense[key] for key in keys]
