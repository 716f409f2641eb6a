"""
A full table: what goes, and what is refused.

``__nf_conntrack_alloc`` and ``early_drop`` (``net/netfilter/nf_conntrack_core.c``): past ``nf_conntrack_max``
a new connection needs another to go. Only entries that are not ASSURED may, and only a few places of the hash
are searched, which places has a secret. So where some may go it is open whether one does; where none may, the
packet is dropped and the log says "nf_conntrack: table full, dropping packet".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bothways.facts.choice import Freedom, Oracle
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.settings import Settings

__all__ = ["FULL", "MAX", "early_drop", "is_full"]

MAX: Final = "nf_conntrack_max"
_COUNT: Final = "nf_conntrack_count"
#: What the kernel prints.
FULL: Final = "nf_conntrack: table full, dropping packet"


def is_full(settings: Settings, entries: int, *, seeded: int) -> bool:
    """
    Tell whether another connection finds no room.

    :param entries: how many stand in the table now, *seeded* of a dump. What ``nf_conntrack_count`` said when
        it was read counts too: a dump may be filtered, and shows no entry whose time is over.
    """
    limit = settings.known(MAX)
    if not limit:
        return False  # not read, or 0: no limit
    unseen = max(0, (settings.known(_COUNT) or 0) - seeded)
    return entries + unseen >= limit


def early_drop(label: str, entries: Sequence[TrackedConnection], oracle: Oracle) -> TrackedConnection | None:
    """Choose who goes for a new connection; None if nobody does, and its packet is dropped."""
    candidates = [each for each in entries if not each.status & _STAYS]
    if not candidates:
        return None
    options = (_DROPPED, _MADE_ROOM)
    taken = oracle.choose(f"conntrack full {label}", options, freedom=Freedom.FREE)
    return candidates[0] if taken == _MADE_ROOM else None


_STAYS: Final = frozenset({"ASSURED", "OFFLOAD", "DYING"})
_DROPPED: Final = "the table is full: no entry makes room, and the packet is dropped"
_MADE_ROOM: Final = "the table is full: an entry that is not ASSURED is removed for the new one"
