"""
How far a recorded conversation and a predicted one say the same.

Programs say what they please, and the walk cannot know it: it lets the server speak, then the client. So of
a connection that works, packets are compared up to the first that one of the two does not have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from bothways.facts.packet import Flag
from bothways.facts.prediction import Walk
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.trajectory import Trajectory, Way

__all__ = ["Shared", "shared"]

_COMPARED: Final = Flag.SYN | Flag.FIN | Flag.RST | Flag.PSH | Flag.ACK


@dataclass(frozen=True, slots=True)
class Shared:
    """
    The packets that both conversations have.

    :param frames: where they were recorded: tap and position.
    :param journeys: their numbers in the walk.
    """

    frames: frozenset[tuple[Tap, int]]
    journeys: frozenset[int]

    def holds(self, sighting: Sighting) -> bool:
        """Whether a recorded frame is one of them."""
        return (sighting.tap, sighting.position) in self.frames


def shared(trajectories: Iterable[Trajectory], walk: Walk) -> Shared:
    """Return what two conversations have in common from their first packets on, in order."""
    told = (
        (number, journey)
        for number, journey in enumerate(walk.journeys)
        if journey.way is not None and journey.packet.tcp is not None
    )
    frames: set[tuple[Tap, int]] = set()
    journeys: set[int] = set()
    for trajectory, (number, journey) in zip(trajectories, told, strict=False):
        if _said(trajectory.way, trajectory.flags) != _said(journey.way, journey.flags):
            break
        frames.update((each.tap, each.position) for each in trajectory.sightings)
        journeys.add(number)
    return Shared(frozenset(frames), frozenset(journeys))


def _said(way: Way | None, flags: Flag) -> tuple[Way | None, Flag]:
    return way, flags & _COMPARED
