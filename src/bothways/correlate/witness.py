"""What one connection's packets show of its taps: who passed there, under which names, what came after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from bothways.correlate.flight import Flight
from bothways.facts.packet import Tunnel
from bothways.facts.sighting import Tap
from bothways.facts.trajectory import Way

__all__ = ["Witness", "witnesses_of"]

#: After so many packets the way past a tap is known.
_ENOUGH: Final = 50


def _by_way() -> dict[Way, set[int]]:
    return {way: set() for way in Way}


@dataclass(slots=True)
class Witness:
    """
    One tap of a connection. A spot is a tap and device with the names that a packet bore there.

    :param passed: indices of the flights that were seen there, ascending.
    :param ways: the ways these went.
    :param together: all spots of packets which passed here.
    :param earlier: for each way the spots that such a packet passed before.
    :param later: for each way the spots that such a packet passed afterwards.
    :param tunnels: the tunnel that packets are in at this tap, by way; missing where they are in none.
    :param bare: some packets are in no tunnel here.
    """

    passed: list[int] = field(default_factory=list)
    ways: set[Way] = field(default_factory=set)
    together: set[int] = field(default_factory=set)
    earlier: dict[Way, set[int]] = field(default_factory=_by_way)
    later: dict[Way, set[int]] = field(default_factory=_by_way)
    tunnels: dict[Way, Tunnel] = field(default_factory=dict)
    bare: bool = False

    def before(self, way: Way) -> set[int]:
        """Spots that surely lie before the tap."""
        return self.earlier[way] - self.later[way]

    def beyond(self, way: Way) -> set[int]:
        """Spots that surely lie behind the tap."""
        return self.later[way] - self.earlier[way]


def witnesses_of(flights: Sequence[Flight]) -> dict[Tap, Witness]:
    """Read all taps of a connection. Answers are taken to come back the way that questions went."""
    found: dict[int, tuple[Tap, Witness]] = {}
    for index, flight in enumerate(flights):
        spots = [o.spot for o in flight.observations]
        for place, observation in enumerate(flight.observations):
            sighting = observation.sighting
            known = found.get(observation.capture)
            if known is None:
                known = found[observation.capture] = (sighting.tap, Witness())
            witness = known[1]
            if not witness.passed or witness.passed[-1] != index:
                witness.passed.append(index)
            if sighting.tunnel is None:
                witness.bare = True
            else:
                witness.tunnels[flight.way] = sighting.tunnel
            if len(witness.passed) <= _ENOUGH or flight.way not in witness.ways:
                witness.ways.add(flight.way)
                witness.together.update(spots)
                _follow(witness, flight.way, spots[:place], spots[place + 1 :])
    return dict(found.values())


def _follow(witness: Witness, way: Way, before: Iterable[int], after: Iterable[int]) -> None:
    back = Way.REPLY if way is Way.ORIGINAL else Way.ORIGINAL
    witness.earlier[way].update(before)
    witness.later[way].update(after)
    witness.later[back].update(before)
    witness.earlier[back].update(after)
