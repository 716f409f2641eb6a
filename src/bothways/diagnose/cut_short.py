"""Captures of a connection that break off, so that its end may be what is missing."""

from __future__ import annotations

from typing import Final

from bothways.diagnose.case import Case
from bothways.facts.packet import Flag
from bothways.facts.span import Kind, Problem
from bothways.facts.trajectory import Connection, Way

__all__ = ["cut_short", "ended"]

_DAMAGE: Final = frozenset({Kind.MALFORMED, Kind.UNREADABLE})


def cut_short(case: Case) -> tuple[Problem, ...]:
    """
    What is wrong with captures that saw the connection, if none of them saw it end.

    A conversation that went well up to where the file is damaged may have been reset behind it.
    """
    story = case.story
    if story is None or ended(story.connection):
        return ()
    taps = {s.tap for t in story.connection.trajectories for s in t.sightings}
    files = {capture.source for capture in case.bundle.captures if capture.tap in taps}
    return tuple(p for p in case.bundle.problems if p.kind in _DAMAGE and p.span.file in files)


def ended(connection: Connection) -> bool:
    """True if a RST, or a FIN of both sides, was seen."""
    finished = {t.way for t in connection.trajectories if t.flags & Flag.FIN}
    return finished == set(Way) or any(t.flags & Flag.RST for t in connection.trajectories)
