"""
What captures would hold of a walk, tap by tap.

Taps are those of the bundle's captures, with the filters that they ran with; without captures every device
that the walk crosses.
"""

from __future__ import annotations

from collections.abc import Iterable

from bothways.bundle import Bundle
from bothways.facts.expected import ExpectedCapture
from bothways.facts.filter_tree import admits
from bothways.facts.prediction import Crossing, Walk
from bothways.facts.sighting import Tap
from bothways.parse.filter import parse_filter

__all__ = ["expect"]

_ANY = "any"


def expect(bundle: Bundle, walk: Walk) -> tuple[ExpectedCapture, ...]:
    """Return one capture for each tap, in the order of the bundle, or of the walk; it may be empty."""
    filters: dict[Tap, str | None] = {capture.tap: capture.filter for capture in bundle.captures}
    if not filters:
        filters = dict.fromkeys(crossing.tap for crossing in walk.crossings)
    return tuple(
        ExpectedCapture(tap, _admitted(_at(tap, walk.crossings), view), view) for tap, view in filters.items()
    )


def _at(tap: Tap, crossings: Iterable[Crossing]) -> Iterable[Crossing]:
    for crossing in crossings:
        here = crossing.tap
        if (here.host, here.netns) == (tap.host, tap.netns) and tap.device in (_ANY, here.device):
            yield crossing


def _admitted(crossings: Iterable[Crossing], view: str | None) -> tuple[Crossing, ...]:
    if not view:
        return tuple(crossings)
    tree = parse_filter(view)
    return tuple(each for each in crossings if admits(tree, each.packet, each.tunnel) is not False)
