"""What an answer of the stack is to the tracker, before that looks at it."""

from __future__ import annotations

from bothways.facts.trajectory import Way
from bothways.model.linux.conntrack.entry import CtState, Tracking

__all__ = ["attached"]


def attached(tracking: Tracking | None) -> Tracking | None:
    """
    What an answer to a packet is to the tracker: RELATED to the same connection, the other way.

    ``nf_conntrack_attach``: ICMP errors and the RST of a REJECT rule are not looked up again. None for a
    packet without a connection; its answer is looked up like any other.
    """
    if tracking is None or tracking.connection is None or tracking.way is None:
        return None
    way = Way.REPLY if tracking.way is Way.ORIGINAL else Way.ORIGINAL
    why = f"made in answer to a packet of {tracking.connection}"
    return Tracking(CtState.RELATED, way, tracking.connection, None, why, tracking.evidence)
