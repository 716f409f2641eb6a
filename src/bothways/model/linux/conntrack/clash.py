"""
Two packets of one flow, both the first: each has an entry of its own, and only one may stand in the table.

``nf_ct_resolve_clash`` and what it calls (``net/netfilter/nf_conntrack_core.c``). It happens where packets
overtake each other between PREROUTING and the last hook: two threads that send at once, a queue to userspace.
TCP and ICMP lose the later packet. Of UDP and GRE the later packet joins the entry that stands there if both
are translated alike; else its own entry is found by answers alone, and for a second only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from bothways.facts.conntrack import Tuple
from bothways.facts.packet import UDP
from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import TrackedConnection
from bothways.model.linux.conntrack.udp import UDPLITE
from bothways.model.linux.conntrack.variant import Variant
from bothways.model.linux.conntrack.zone import zone_in

__all__ = ["ALLOW_CLASH", "CLASH_NS", "Clash", "clash"]

_GRE: Final = 47
#: Protocols whose trackers say ``allow_clash``.
ALLOW_CLASH: Final = frozenset({UDP, _GRE, UDPLITE})
#: How long an entry lives that lost and is found by answers alone.
CLASH_NS: Final = 1_000_000_000
_NAT_DONE: Final = frozenset({"SRC_NAT_DONE", "DST_NAT_DONE"})


@dataclass(frozen=True, slots=True)
class Clash:
    """
    How two entries for one flow go on.

    :param joins: the entry to which the later packet belongs from now on.
    :param answers_only: True if its own entry is taken in, to be found by answers.
    :param dropped: the sentence about a packet that is lost, "" if it is not.
    """

    joins: TrackedConnection | None = None
    answers_only: bool = False
    dropped: str = ""


def clash(
    ours: TrackedConnection,
    way: Way,
    theirs: TrackedConnection,
    found: Way,
    answers: TrackedConnection | None,
    variant: Variant,
) -> Clash:
    """
    Decide between two entries.

    :param way: in which direction of ours *theirs* was met, in its direction *found*.
    :param answers: the entry, if any, that is found by the tuple of our answers.
    """
    dropped = Clash(
        dropped=f"another connection ({theirs}) has the same addresses and ports in its {found} direction as "
        f"this one in its {way} direction: counted as insert_failed and dropped"
    )
    if theirs.original.protocol not in ALLOW_CLASH:
        return dropped
    for each in (theirs, answers):
        if each is not None and "DYING" not in each.status and _merge(ours, each, variant):
            return Clash(joins=each)
    if answers is None and variant.clash_is_resolved:
        return Clash(answers_only=True)
    return dropped


def _merge(ours: TrackedConnection, theirs: TrackedConnection, variant: Variant) -> bool:
    """Both are translated alike (``nf_ct_match``); or the other way round; or there is no NAT here."""
    alike = _both_ways(ours) == _both_ways(theirs)
    if variant.reverse_clash_merges:
        return alike or _both_ways(ours) == _both_ways(theirs)[::-1]
    return alike or not theirs.status & _NAT_DONE


def _both_ways(one: TrackedConnection) -> tuple[tuple[Tuple, int], tuple[Tuple, int]]:
    return (
        (one.original, zone_in(one.zone, one.half, Way.ORIGINAL)),
        (one.reply, zone_in(one.zone, one.half, Way.REPLY)),
    )
