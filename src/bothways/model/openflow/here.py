"""Where a packet is: a bridge, what belongs to it, and the port that the packet came in at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bothways.facts.openflow import Bridge, Group, Port
from bothways.model.openflow.tables import Tables, tables_of
from bothways.model.openflow.tracker import Tracker

__all__ = ["Here"]


@dataclass(frozen=True, slots=True)
class Here:
    """
    A bridge while one of its packets is translated.

    :param ingress: the port that the packet came in at, None if it is not known.
    :param groups: by number; None: not collected.
    :param tracker: what ``ct()`` asks; None: nobody knows.
    """

    bridge: Bridge
    ingress: Port | None
    tables: Tables
    groups: Mapping[int, Group] | None
    tracker: Tracker | None

    @classmethod
    def of(cls, bridge: Bridge, ingress: Port | None, tracker: Tracker | None) -> Here:
        """Everything of a bridge, for a packet that comes in at a port."""
        tables = {} if bridge.flows is None else tables_of(bridge.flows)
        groups = None if bridge.groups is None else {group.number: group for group in bridge.groups}
        return cls(bridge, ingress, tables, groups, tracker)
