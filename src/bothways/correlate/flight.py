"""One packet of a connection, gathered from all taps, while its path is being found."""

from __future__ import annotations

from dataclasses import dataclass, field

from bothways.correlate.observation import Observation, Route
from bothways.facts.packet import Flag
from bothways.facts.trajectory import Way

__all__ = ["Flight", "names_of"]


@dataclass(slots=True)
class Flight:
    """
    One transmission of one packet.

    :param exact: True if numbers prove that its sightings are one packet.
    :param observations: in path order once :mod:`bothways.correlate.path` has put them so.
    """

    way: Way
    flags: Flag
    exact: bool
    observations: list[Observation] = field(default_factory=list)

    def start_ns(self, offsets: dict[str, int]) -> int:
        """When it was first seen, on the clock that *offsets* lead to."""
        return min(o.time_ns - offsets.get(o.host, 0) for o in self.observations)

    def hosts(self) -> set[str]:
        """Hosts that saw it."""
        return {o.host for o in self.observations}

    def places(self) -> set[int]:
        """Where it was seen."""
        return {o.place for o in self.observations}


def names_of(observation: Observation, way: Way) -> Route:
    """The numbers of the ends as client and server."""
    one, two = observation.route
    return (one, two) if way is Way.ORIGINAL else (two, one)
