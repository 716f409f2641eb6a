"""
The entries of one table, found by what names one direction of each (``nf_conntrack_hash``).

Two may stand under one key: with zones that hold for one direction only, the original direction of one and
the answers of another look alike. The newest is met first, as in the kernel's chains.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.tuple import Key, key_of
from bothways.model.linux.conntrack.zone import zone_in

__all__ = ["Entries"]

# Names of the module are found ten times as quickly as members of an enum.
_ORIGINAL: Final = Way.ORIGINAL
_REPLY: Final = Way.REPLY


class Entries:
    """
    All entries of a table.

    :ivar newest: key -> the newest entry under it, and the direction that the key names.
    """

    def __init__(self) -> None:
        self.newest: dict[Key, tuple[TrackedConnection, Way]] = {}
        #: What stands behind another under the same key, the newest last.
        self._behind: dict[Key, list[tuple[TrackedConnection, Way]]] = {}

    def under(self, key: Key) -> Iterator[tuple[TrackedConnection, Way]]:
        """All entries under a key, the newest first."""
        if key in self.newest:
            yield self.newest[key]
            yield from reversed(self._behind.get(key, ()))

    def connections(self) -> list[TrackedConnection]:
        """Every connection once."""
        # Of one that talks to itself, both directions are the same and found as the reply. One that is found
        # by its answers alone does not show itself.
        return [
            connection
            for connection, way in chain(self.newest.values(), *self._behind.values())
            if way is _ORIGINAL or connection.original == connection.reply
        ]

    def take_in(self, connection: TrackedConnection, *, answers_only: bool = False) -> None:
        """Let an entry be found in both directions, or by its answers alone."""
        original, reply = _keys(connection)
        newest = self.newest
        if not (answers_only or original in newest or reply in newest):  # nearly always, and quick
            newest[original] = connection, _ORIGINAL
            newest[reply] = connection, _REPLY
            return
        if not answers_only:
            self._push(original, (connection, _ORIGINAL))
        self._push(reply, (connection, _REPLY))

    def _push(self, key: Key, one: tuple[TrackedConnection, Way]) -> None:
        if key in self.newest and self.newest[key][0] is not one[0]:
            self._behind.setdefault(key, []).append(self.newest[key])
        self.newest[key] = one

    def holds(self, connection: TrackedConnection) -> bool:
        """Whether another entry stands under a key of this one."""
        return any(key in self.newest for key in _keys(connection))

    def remove(self, connection: TrackedConnection) -> None:
        """Let an entry be found no more."""
        for key in _keys(connection):
            if self._behind and key in self._behind:
                rest = [each for each in self._behind.pop(key) if each[0] is not connection]
                if self.newest[key][0] is connection and rest:
                    self.newest[key] = rest.pop()
                if rest:
                    self._behind[key] = rest
            if key in self.newest and self.newest[key][0] is connection:
                del self.newest[key]


def _keys(connection: TrackedConnection) -> tuple[Key, Key]:
    zone, half = connection.zone, connection.half
    if half is None:
        return key_of(zone, connection.original), key_of(zone, connection.reply)
    return (
        key_of(zone_in(zone, half, _ORIGINAL), connection.original),
        key_of(zone_in(zone, half, _REPLY), connection.reply),
    )
