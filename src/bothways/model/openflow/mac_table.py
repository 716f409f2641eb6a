"""The MACs that bridges have learned: ``mac-learning.c`` of Open vSwitch, without its ageing."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.address import Mac, is_group
from bothways.facts.openflow import Bridge, LearnedMac
from bothways.facts.span import Span

__all__ = ["MacTable"]


@dataclass(frozen=True, slots=True)
class _Place:
    port: int
    span: Span | None
    pinned: bool = False


class MacTable:
    """What the bridges of one walk have learned: dumps first, then the walk's own frames."""

    def __init__(self) -> None:
        self._places: dict[tuple[str, str], dict[tuple[int, Mac], _Place]] = {}

    def seed(self, bridge: Bridge) -> None:
        """Take over what ``ovs-appctl fdb/show`` printed of a bridge."""
        known = self._places.setdefault((bridge.host, bridge.name), {})
        for row in bridge.fdb or ():
            known[row.vlan, row.mac] = _Place(row.port, row.span, pinned=_static(row))

    def learn(self, bridge: Bridge, vlan: int, mac: Mac, port: int) -> None:
        """Note that a station was heard at a port; a static entry stays."""
        known = self._places.setdefault((bridge.host, bridge.name), {})
        old = known.get((vlan, mac))
        if mac and not is_group(mac) and (old is None or (not old.pinned and old.port != port)):
            known[vlan, mac] = _Place(port, None)

    def look_up(self, bridge: Bridge, vlan: int, mac: Mac) -> tuple[int, Span | None] | None:
        """The port at which a station was heard, and the line that says so; None if it was not."""
        place = self._places.get((bridge.host, bridge.name), {}).get((vlan, mac))
        return None if place is None else (place.port, place.span)


def _static(row: LearnedMac) -> bool:
    return row.age is None and "static" in row.span.text
