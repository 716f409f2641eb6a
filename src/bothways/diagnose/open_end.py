"""How far a connection that went well was seen: what may have come after the last captured packet."""

from __future__ import annotations

from bothways.diagnose.case import Case
from bothways.diagnose.cut_short import ended
from bothways.facts.diagnosis import Fate
from bothways.facts.sighting import Capture

__all__ = ["open_end"]


def open_end(case: Case) -> str | None:
    """
    Say why a connection that went well as far as it was seen cannot be called healthy; None if it can.

    A conversation that closed in order is over. One that was not seen to end may have been reset in a packet
    that nobody captured; unless the model lets it live, every capture that saw it is whole, and one of them
    was taken where the client is. Captures that show everything but the connection leave it open as well.
    """
    story = case.story
    if story is None:
        shown = any(capture.sightings for capture in case.bundle.captures)
        return "the captures do not show the connection at all" if shown else None
    if story.fate is not Fate.WORKS or ended(story.connection):
        return None
    taps = {s.tap for t in story.connection.trajectories for s in t.sightings}
    captures = [c for c in case.bundle.captures if c.tap in taps]
    partial = next((c for c in captures if not _whole(c)), None)
    if partial is not None:
        return f"it went well as far as it was seen; {partial.tap} may lack what came after"
    homes = {(n.host, n.name) for n, _, _ in case.bundle.snapshot.owners_of(case.question.source)}
    if homes.isdisjoint((t.host, t.netns) for t in taps):
        return "it went well as far as it was seen; no capture shows what the client received"
    if case.walk.fate is not Fate.WORKS:
        return f"it went well as far as it was seen; the dumps predict {case.walk.fate}"
    return None


def _whole(capture: Capture) -> bool:
    """True if a capture says itself that it lost nothing, and holds as many packets as were captured."""
    return (
        capture.dropped == 0 and capture.captured is not None and capture.captured <= len(capture.sightings)
    )
