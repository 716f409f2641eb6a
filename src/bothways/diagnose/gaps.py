"""What keeps any cause from being proved, whichever it is: how well the case was seen and walked."""

from __future__ import annotations

from bothways.diagnose.case import Case
from bothways.facts.choice import Freedom
from bothways.facts.trajectory import Match

__all__ = ["gaps_of_sight", "gaps_of_walk"]


def gaps_of_sight(case: Case) -> list[str]:
    """Where captures are missing, or show less than numbers."""
    story = case.story
    if story is None:
        return ["no capture shows the connection: this is what the dumps predict"]
    if story.synack is not None and story.synack.match is not Match.EXACT:
        return ["the captures show no sequence numbers: packets were matched by flags, order and time"]
    return []


def gaps_of_walk(case: Case) -> list[str]:
    """What is unknown on the way that was walked, and what was taken as likely there."""
    likely = [c.taken for c in case.walk.choices if c.freedom is Freedom.UNKNOWN]
    return [
        *(f"on the walked way: {text}" for text in case.walk.unknown),
        *(f"taken as likely: {taken}" for taken in likely),
    ]
