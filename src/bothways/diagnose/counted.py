"""
What the counters of the flows say that led a reply round a namespace.

A counter is read after the packets, and counts those of every connection: it can confirm. The age of a flow
can show that it came too late to have acted. A counter of 0 proves nothing: a flow added anew begins at 0.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from bothways.diagnose.bypass import Bypass, FlowAt
from bothways.diagnose.case import Case
from bothways.facts.openflow import Flow
from bothways.facts.span import Span
from bothways.facts.trajectory import Trajectory, Way

__all__ = ["counted_by", "counters_shown", "too_young"]

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
    seen = _rewritten(case, at.host)
    words = f"; that flow counted {counted} packet{'' if counted == 1 else 's'}"
    if 0 < seen <= counted:
        words += f", no fewer than the {seen} replies that were seen" if seen > 1 else ""
    idle = _idle_twin(case, at)
    if idle is not None:
        words += f", while its inbound twin in table={idle} counted none"
    return words


def counters_shown(case: Case, bypass: Bypass) -> tuple[Span, ...]:
    """Lines whose counters the words rest on, beside those of the flows themselves."""
    if (
        len(bypass.flows) != 1
        or not bypass.flows[0].flow.packets
        or _idle_twin(case, bypass.flows[0]) is None
    ):
        return ()
    return tuple(flow.span for flow in _twins(case, bypass.flows[0]))


def too_young(case: Case, bypass: Bypass) -> tuple[str, ...]:
    """Say which of the flows were added after the packet, so that something else must have acted."""
    found = []
    for at in bypass.flows:
        age = case.ages.of(at.flow.span).age_s
        if age is not None and at.flow.duration is not None and age - at.flow.duration > _TOLERANCE_S:
            late = (
                f"{at.flow.span} shows a flow that was added {age - at.flow.duration:.0f} s after the packet"
            )
            found.append(f"{late}; one like it must have stood there before")
    return tuple(found)


def _rewritten(case: Case, host: str) -> int:
    """How many packets of the reply were seen before and after their source changed on a host."""
    trajectories = () if case.story is None else case.story.connection.trajectories
    return sum(trajectory.way is Way.REPLY and _changes_at(trajectory, host) for trajectory in trajectories)


def _changes_at(trajectory: Trajectory, host: str) -> bool:
    return any(
        before.packet.source != after.packet.source and host in (before.tap.host, after.tap.host)
        for before, after in pairwise(trajectory.sightings)
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
