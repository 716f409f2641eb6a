"""Which way the reply took round a namespace, and how that is known."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from bothways.diagnose.case import Case
from bothways.diagnose.mechanism import Mechanism
from bothways.facts.diagnosis import Basis
from bothways.facts.openflow import Flow
from bothways.facts.packet import Flag
from bothways.facts.prediction import Journey
from bothways.facts.sighting import Sighting
from bothways.facts.span import Span
from bothways.facts.step import Did, Step
from bothways.facts.trajectory import Trajectory, Way

__all__ = ["Bypass", "FlowAt", "bypass_of", "translating_flows", "trunk"]


@dataclass(frozen=True, slots=True)
class FlowAt:
    """A flow with the bridge it stands in."""

    host: str
    bridge: str
    flow: Flow


@dataclass(frozen=True, slots=True)
class Bypass:
    """
    The reply's way round the namespace.

    :param way: predicate of a sentence about the SYN/ACK: "left host5 as …".
    :param certain: True if captures or events prove that it did not pass the namespace.
    :param flows: flows that rewrote the reply's source on its way.
    """

    way: str
    basis: Basis
    evidence: tuple[Span, ...]
    certain: bool
    flows: tuple[FlowAt, ...]


def bypass_of(case: Case, mechanism: Mechanism) -> Bypass | None:
    """Tell how the SYN/ACK went round the mechanism's namespace; None if it did not, or nothing shows it."""
    replies = _replies(case)
    inside = [
        s
        for t in replies
        for s in t.sightings
        if (s.tap.host, s.tap.netns) == (mechanism.host, mechanism.netns)
    ]
    if inside:
        return None
    steps = list(_predicted(case, mechanism))
    flows = tuple(translating_flows(case, steps))
    if replies:
        flows = flows or tuple(_flows_seen(case, replies))
        where = _rewritten(replies[0])
        evidence = tuple(s.span for s in where[:2]) + _arrival(replies[0]) + tuple(f.flow.span for f in flows)
        return Bypass(
            _words(where, flows), Basis.OBSERVED, evidence, _certain(case, mechanism, replies), flows
        )
    if not steps:
        return None
    translated = [s for s in steps if s.did is Did.TRANSLATED]
    where_words = (
        f"was rewritten by {translated[0].place} {translated[0].function}"
        if translated
        else "takes another way"
    )
    evidence = tuple(f.flow.span for f in flows) or tuple(e for s in translated for e in s.evidence)
    return Bypass(
        where_words + " and went straight to the client",
        Basis.PREDICTED,
        evidence,
        certain=False,
        flows=flows,
    )


def _replies(case: Case) -> list[Trajectory]:
    if case.story is None:
        return []
    wanted = Flag.SYN | Flag.ACK
    return [
        t
        for t in case.story.connection.trajectories
        if t.way is Way.REPLY and t.flags & wanted == wanted and t.sightings
    ]


def _rewritten(reply: Trajectory) -> list[Sighting]:
    """The sightings around the point where the reply's source changed; else the first two."""
    seen = list(reply.sightings)
    for before, after in pairwise(seen):
        if before.packet.source != after.packet.source:
            return [before, after]
    return seen[:2]


def _words(where: list[Sighting], flows: tuple[FlowAt, ...]) -> str:
    first, last = where[0], where[-1]
    if first.packet.source == last.packet.source:
        return f"went from {first.tap.host} to the client another way"
    by = f", rewritten by {flows[0].bridge} table={flows[0].flow.table}" if flows else ""
    return f"left {last.tap.host} already as {last.packet.source}{by}, and went straight to the client"


def _arrival(reply: Trajectory) -> tuple[Span, ...]:
    last = reply.sightings[-1]
    return (last.span,)


def _certain(case: Case, mechanism: Mechanism, replies: list[Trajectory]) -> bool:
    here = [u for u in replies[0].unseen if (u.tap.host, u.tap.netns) == (mechanism.host, mechanism.netns)]
    if here and all(u.certain for u in here):
        return True
    netns = case.bundle.snapshot.netns(mechanism.host, mechanism.netns)
    question = case.question
    events = () if netns is None else netns.conntrack_events or ()
    ours = [
        e
        for e in events
        if e.entry.original.src == question.source
        and e.entry.original.dst == question.destination
        and (question.source_port is None or e.entry.original.sport == question.source_port)
    ]
    return bool(ours) and all("UNREPLIED" in e.entry.status for e in ours)


def _predicted(case: Case, mechanism: Mechanism) -> Iterator[Step]:
    for journey in case.walk.journeys:
        if journey.way is Way.REPLY and journey.name == "SYN/ACK":
            steps = trunk(journey)
            if any((s.place.host, s.place.netns) == (mechanism.host, mechanism.netns) for s in steps):
                continue
            yield from steps
            return


def trunk(journey: Journey) -> list[Step]:
    """Steps of every copy of a packet that somebody took."""
    return [s for branch in journey.branches for s in branch.steps if branch.steps[-1].did is not Did.IGNORED]


def translating_flows(case: Case, steps: list[Step]) -> Iterator[FlowAt]:
    """The flows that translated in these steps."""
    spans = {span for s in steps if s.did is Did.TRANSLATED and not s.place.netns for span in s.evidence}
    for host in case.bundle.snapshot.hosts.values():
        for bridge in host.switch.bridges.values() if host.switch is not None else ():
            for flow in bridge.flows or ():
                if flow.span in spans:
                    yield FlowAt(host.name, bridge.name, flow)


def _flows_seen(case: Case, replies: list[Trajectory]) -> Iterator[FlowAt]:
    """Flows of the host where the reply's source was seen to change that write just this source."""
    before, after = (_rewritten(replies[0]) * 2)[:2]
    if before.packet.source == after.packet.source:
        return
    for owner in case.owners.switches:
        if owner.host == after.tap.host:
            for flow in owner.outbound:
                yield FlowAt(owner.host, owner.bridge.name, flow)
