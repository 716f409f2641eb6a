"""
The one copy of a predicted packet that a reader wants to follow.

A switch floods and a mirror copies; a journey holds every copy. The one that somebody took is followed from
the sender on, through every place where it split off from another.
"""

from __future__ import annotations

from typing import Final

from bothways.facts.prediction import Journey
from bothways.facts.step import Did, Step

__all__ = ["itinerary"]

#: how a copy can end, the most telling first
_ENDS: Final = (Did.DELIVERED, Did.ANSWERED, Did.UNKNOWN, Did.DROPPED)


def itinerary(journey: Journey) -> tuple[Step, ...]:
    """Return the steps of the copy that was delivered; if none was, of the one that came furthest."""
    best: tuple[int, int] | None = None
    chosen: tuple[Step, ...] = ()
    for number, branch in enumerate(journey.branches):
        last = branch.steps[-1].did
        steps = _whole(journey, number)
        rank = (-(_ENDS.index(last) if last in _ENDS else len(_ENDS)), len(steps))
        if best is None or rank > best:
            best, chosen = rank, steps
    return chosen


def _whole(journey: Journey, number: int) -> tuple[Step, ...]:
    """Return a branch with its past: a branch splits off from an earlier one, so this ends."""
    branch = journey.branches[number]
    if branch.split is None or branch.split[0] >= number:
        return branch.steps
    source, shared = branch.split
    inherited = len(_whole(journey, source)) - len(journey.branches[source].steps)
    return _whole(journey, source)[: inherited + shared] + branch.steps
