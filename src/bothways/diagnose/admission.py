"""Whether the filter of a capture admits a packet: the text that it ran with, read once and asked often."""

from __future__ import annotations

from collections.abc import Callable

from bothways.facts.filter_tree import Node, admits
from bothways.facts.sighting import Capture, Sighting
from bothways.parse.filter import parse_filter

__all__ = ["admission"]


def admission() -> Callable[[Capture, Sighting], bool | None]:
    """
    Make the question ``(capture, sighting) -> admitted``.

    The sighting may be of another tap: it stands for the packet as it would look at the capture's. None where
    the filter is not known, or does not tell.
    """
    trees: dict[str, Node] = {}

    def ask(capture: Capture, sighting: Sighting) -> bool | None:
        if capture.filter is None:
            return None
        if capture.filter not in trees:
            trees[capture.filter] = parse_filter(capture.filter)
        return admits(trees[capture.filter], sighting.packet, sighting.tunnel)

    return ask
