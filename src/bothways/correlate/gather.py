"""From what each host saw of a packet to one flight per transmission over all hosts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Final

from bothways.correlate.flight import Flight
from bothways.correlate.sheaf import Passage, Sheaf

__all__ = ["flights_of"]

#: Two hosts' passages are one transmission within this, once the clocks are put beside each other.
_LASTING_NS: Final = 400_000_000
#: … and where the same flags are sent often.
_PASSING_NS: Final = 20_000_000


def flights_of(sheaves: Sequence[Sheaf], offsets: Mapping[str, int]) -> list[Flight]:
    """
    Match the hosts' passages of a connection.

    :param offsets: each host's clock less a common one, roughly.
    """
    flights: list[Flight] = []
    for sheaf in sheaves:
        if sheaf.numbered:
            flights.extend(_over_hosts(sheaf, sheaf.passages, offsets))
    for sheaf in sheaves:
        if not sheaf.numbered:
            alike = [f for f in flights if (f.way, f.flags) == (sheaf.way, sheaf.flags)]
            left = {
                host: _attach(alike, passages, offsets, _tolerance(sheaf))
                for host, passages in sheaf.passages.items()
            }
            flights.extend(_over_hosts(sheaf, left, offsets))
    return flights


def _tolerance(sheaf: Sheaf) -> int:
    return _LASTING_NS if sheaf.lasting else _PASSING_NS


def _over_hosts(
    sheaf: Sheaf, passages: Mapping[str, list[Passage]], offsets: Mapping[str, int]
) -> list[Flight]:
    """Flights begin at the host that saw most transmissions; the others' passages join the nearest."""
    hosts = sorted((h for h in passages if passages[h]), key=lambda h: (-len(passages[h]), h))
    single = sheaf.numbered and all(len(passages[h]) == 1 for h in hosts)
    if single and hosts:
        flight = _begin(sheaf, passages[hosts[0]][0])
        for host in hosts[1:]:
            flight.observations.extend(passages[host][0].observations)
        return [flight]
    flights: list[Flight] = []
    for host in hosts:
        left = _attach(flights, passages[host], offsets, _tolerance(sheaf), exact=sheaf.numbered)
        flights.extend(_begin(sheaf, passage) for passage in left)
    return flights


def _begin(sheaf: Sheaf, passage: Passage) -> Flight:
    return Flight(sheaf.way, sheaf.flags, sheaf.numbered, list(passage.observations))


def _attach(
    flights: list[Flight],
    passages: list[Passage],
    offsets: Mapping[str, int],
    tolerance: int,
    *,
    exact: bool = False,
) -> list[Passage]:
    """Add each passage to the nearest flight that lacks it; what fits nowhere is returned."""
    if not flights:
        return passages
    known = dict(offsets)
    begun = sorted((flight.start_ns(known), index) for index, flight in enumerate(flights))
    moments = [moment for moment, _ in begun]
    pairs: list[tuple[int, int, int]] = []
    for number, passage in enumerate(passages):
        moment = passage.first_ns - offsets.get(passage.host, 0)
        at = bisect_left(moments, moment)
        for near in range(max(0, at - 2), min(len(begun), at + 2)):
            distance = abs(moments[near] - moment)
            if distance <= tolerance:
                pairs.append((distance, number, begun[near][1]))
    placed: set[int] = set()
    taken: set[int] = set()
    for _, number, index in sorted(pairs):
        flight, passage = flights[index], passages[number]
        if number in placed or index in taken or not flight.places().isdisjoint(passage.places):
            continue
        placed.add(number)
        taken.add(index)
        flight.observations.extend(passage.observations)
        flight.exact = flight.exact and exact
    return [passage for number, passage in enumerate(passages) if number not in placed]
