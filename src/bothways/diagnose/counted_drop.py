"""
What the counter of a flow says that drops a packet in the walk.

It is read after the packets and counts those of every connection: it can confirm that the flow acted. It
speaks against it where it counts fewer than were seen on their way there; a flow that was added anew counts
from then on, so its age is told as well.
"""

from __future__ import annotations

from bothways.diagnose.bypass import FlowAt
from bothways.diagnose.case import Case
from bothways.diagnose.counted import added_late
from bothways.facts.prediction import Journey
from bothways.facts.step import Did, Step

__all__ = ["counted_drop"]


def counted_drop(case: Case) -> str:
    """Return the counter in words, to follow the sentence that a flow drops the packet; else nothing."""
    for journey in reversed(case.walk.journeys):
        steps = [step for branch in journey.branches for step in branch.steps]
        found = [at for step in steps if (at := _dropping(case, step)) is not None]
        if found:
            return _words(case, found[-1], journey)
    return ""


def _dropping(case: Case, step: Step) -> FlowAt | None:
    """The flow that a step says has dropped the packet."""
    host = case.bundle.snapshot.hosts.get(step.place.host)
    # Copies of a flood end elsewhere: only the one that the walk's end is told with counts.
    if step.did is not Did.DROPPED or step.reason not in case.walk.why or host is None or host.switch is None:
        return None
    bridge = host.switch.bridges.get(step.place.device)
    if bridge is None:
        return None
    flows = (flow for flow in bridge.flows or () if flow.span in step.evidence)
    flow = next((flow for flow in flows if any(action.name == "drop" for action in flow.actions)), None)
    return None if flow is None else FlowAt(host.name, bridge.name, flow)


def _words(case: Case, at: FlowAt, journey: Journey) -> str:
    counted = at.flow.packets
    if counted is None:
        return ""
    late = added_late(case, at)
    if late is not None:
        told = f"; that flow was added {late:.0f} s after the packet"
        return f"{told}, so one like it must have stood there before"
    seen = _seen(case, journey)
    words = f"; that flow counted {counted} packet{'' if counted == 1 else 's'}"
    if seen > counted:
        times = "once" if seen == 1 else f"{seen} times"
        return f"{words}, but the {journey.name} was seen {times}: it did not take all of them"
    return words + (f", no fewer than the {seen} {journey.name}s that were seen" if seen > 1 else "")


def _seen(case: Case, journey: Journey) -> int:
    """How many packets like that of a journey captures show."""
    if case.story is None or journey.way is None:
        return 0
    return sum(
        trajectory.way is journey.way and trajectory.flags == journey.flags
        for trajectory in case.story.connection.trajectories
    )
