"""Whether the time stamps of one capture run forwards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from bothways.facts.sighting import Sighting
from bothways.facts.span import Kind, Problem

__all__ = ["backwards"]

_TIMES: Final = {1: "once", 2: "twice"}
_SHOWN: Final = 8


def _places(numbers: Sequence[int], noun: str) -> str:
    shown = [str(number) for number in numbers[:_SHOWN]]
    if len(numbers) > _SHOWN:
        return f"{noun}s {', '.join(shown)} and {len(numbers) - _SHOWN} more"
    if len(shown) == 1:
        return f"{noun} {shown[0]}"
    return f"{noun}s {', '.join(shown[:-1])} and {shown[-1]}"


def backwards(sightings: Sequence[Sighting]) -> list[Problem]:
    """
    Time stamps that are earlier than the one before, in one capture.

    A capture of all devices is filled by several CPUs, so records can change places; a clock that was
    set back looks the same. Equal stamps are in order.

    :param sightings: those of one capture in recorded order.
    :returns: nothing, or one problem that names every such line or frame.
    """
    late = [after for before, after in pairwise(sightings) if after.time_ns < before.time_ns]
    if not late:
        return []
    framed = late[0].span.frame is not None
    numbers = [(s.span.frame if framed else s.span.line) or 0 for s in late]
    often = _TIMES.get(len(late), f"{len(late)} times")
    places = _places(numbers, "frame" if framed else "line")
    message = f"time stamps run backwards {often}: {places}"
    hint = "order within the capture is taken as recorded; differences this small do not order packets"
    return [Problem(Kind.CONTRADICTION, late[0].span, message, hint)]
