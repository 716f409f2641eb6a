"""
What the counters of the flows say that led a packet round a namespace.

A counter is read after the packets, and counts those of every connection: it can confirm. The age of a flow
can show that it came too late to have acted. A counter of 0 proves nothing: a flow added anew begins at 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from bothways.diagnose.bypass import Bypass, FlowAt
from bothways.diagnose.case import Case
from bothways.facts.openflow import Flow
from bothways.facts.span import Span
from bothways.facts.trajectory import Trajectory, Way

__all__ = ["added_late", "counted_by", "counted_there", "counters_shown", "too_young"]

#: reading a dump takes time, and clocks of hosts differ
_TOLERANCE_S: Final = 2.0


def counted_by(case: Case, bypass: Bypass) -> str:
    """Return the counters in words, to follow a sentence about the bypass; empty if they say nothing."""
    if len(bypass.flows) != 1:
        return ""
    (at,) = bypass.flows
    counted = at.flow.packets
    if not counted:
        return ""
    words = _words(counted, _rewritten(case, at.host, Way.REPLY), "replies")
    idle = _idle_twin(case, at)
    if idle is not None:
        words += f", while its inbound twin in table={idle} counted none"
    return words


def counted_there(case: Case, flows: Sequence[FlowAt]) -> str:
    """Return the counter of the one flow that translated the SYN, to follow a sentence about its way."""
    if len(flows) != 1 or not flows[0].flow.packets:
        return ""
    return _words(
        flows[0].flow.packets, _rewritten(case, flows[0].host, Way.ORIGINAL), "packets of the client"
    )


def _words(counted: int, seen: int, what: str) -> str:
    words = f"; that flow counted {counted} packet{'' if counted == 1 else 's'}"
    return words + (f", no fewer than the {seen} {what} that were seen" if 1 < seen <= counted else "")


def counters_shown(case: Case, bypass: Bypass) -> tuple[Span, ...]:
    """Lines whose counters the words rest on, beside those of the flows themselves."""
    if (
        len(bypass.flows) != 1
        or not bypass.flows[0].flow.packets
        or _idle_twin(case, bypass.flows[0]) is None
    ):
        return ()
    return tuple(flow.span for flow in _twins(case, bypass.flows[0]))


def too_young(case: Case, flows: Iterable[FlowAt]) -> tuple[str, ...]:
    """Say which flows were added after the packet, so that something else must have acted."""
    found = []
    for at in flows:
        late = added_late(case, at)
        if late is not None:
            told = f"{at.flow.span} shows a flow that was added {late:.0f} s after the packet"
            found.append(f"{told}; one like it must have stood there before")
    return tuple(found)


def added_late(case: Case, at: FlowAt) -> float | None:
    """How many seconds after the packet a flow was added; None if before, or if nobody knows."""
    age = case.ages.of(at.flow.span).age_s
    if age is None or at.flow.duration is None or age - at.flow.duration <= _TOLERANCE_S:
        return None
    return age - at.flow.duration


def _rewritten(case: Case, host: str, way: Way) -> int:
    """How many packets of one way were seen before and after the server's address changed on a host."""
    trajectories = () if case.story is None else case.story.connection.trajectories
    return sum(trajectory.way is way and _changes_at(trajectory, host) for trajectory in trajectories)


def _changes_at(trajectory: Trajectory, host: str) -> bool:
    """Whether a packet was seen before and after a translation of the server's address."""
    reply = trajectory.way is Way.REPLY
    return any(
        (before.packet.source != after.packet.source)
        if reply
        else (before.packet.destination != after.packet.destination)
        for before, after in pairwise(trajectory.sightings)
        if host in (before.tap.host, after.tap.host)
    )


def _idle_twin(case: Case, at: FlowAt) -> int | None:
    """Table of the flows that translate the other way in the same bridge, if none of them counted any."""
    twins = _twins(case, at)
    if not twins or any(flow.packets != 0 for flow in twins):
        return None
    return twins[0].table


def _twins(case: Case, at: FlowAt) -> tuple[Flow, ...]:
    for owner in case.owners.switches:
        if (owner.host, owner.bridge.name) == (at.host, at.bridge):
            return owner.inbound
    return ()
