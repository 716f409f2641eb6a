"""
How the connection would pass the taps if it worked: a walk of the model that works, as a ladder.

The walk without a culprit is taken first, with all other choices as they were: it differs from what happened
by that one fact. Else the walk of another choice that works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bothways.diagnose.case import Case
from bothways.diagnose.flip import without_flow
from bothways.diagnose.itinerary import itinerary
from bothways.facts.diagnosis import Culprit, Fate, Ladder, Rung
from bothways.facts.packet import Flag, flags_text
from bothways.facts.prediction import Journey, Walk
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Span
from bothways.facts.step import Step
from bothways.model.world import Replay, walk

__all__ = ["healthy_of"]


def healthy_of(case: Case, culprits: tuple[Culprit, ...], columns: tuple[Tap, ...]) -> Ladder:
    """
    Return the ladder of a walk that works; an empty one if the connection works, or no walk does.

    :param columns: the taps of the observed ladder, "any" taps among them stand for what they saw.
    """
    if case.fate is Fate.WORKS:
        return Ladder()
    found = _without(case, culprits) or _otherwise(case)
    if found is None:
        return Ladder()
    chosen, supposed = found
    allowed = _devices(case, columns)
    rungs = tuple(rung for rung in (_rung(j, allowed) for j in _first(chosen.journeys)) if rung is not None)
    return Ladder(columns, rungs, supposed=supposed) if rungs else Ladder()


def _first(journeys: Iterable[Journey]) -> Iterator[Journey]:
    """Tell the packets up to the first data: from then on nothing new is to be seen."""
    for journey in journeys:
        yield journey
        if journey.flags & Flag.PSH:
            return


def _without(case: Case, culprits: tuple[Culprit, ...]) -> tuple[Walk, str] | None:
    script = {c.key: c.taken for c in case.walk.choices}
    guilty = {c.evidence.span: c for c in culprits if c.evidence is not None and c.kind == "openflow"}
    for host in case.bundle.snapshot.hosts.values():
        for bridge in host.switch.bridges.values() if host.switch is not None else ():
            for flow in bridge.flows or ():
                culprit = guilty.get(flow.span)
                if culprit is None:
                    continue
                flip = without_flow(case.bundle.snapshot, host.name, bridge.name, flow)
                walked = walk(flip.snapshot, case.question, Replay(script), case.observed)
                if walked.fate is Fate.WORKS:
                    return walked, f"without the flow of {culprit.host} {culprit.where} ({flow.span})"
    return None


def _otherwise(case: Case) -> tuple[Walk, str] | None:
    walked = next((each for each in case.prediction.walks if each.fate is Fate.WORKS), None)
    if walked is None:
        return None
    taken = {choice.key: choice.taken for choice in case.walk.choices}
    other = [c.taken for c in walked.choices if taken.get(c.key) != c.taken]
    return walked, f"with another choice of the network: {'; '.join(other)}" if other else "as the dumps say"


def _devices(case: Case, columns: tuple[Tap, ...]) -> dict[tuple[str, str], Tap] | None:
    """Devices that captures watched, as taps by (host, device); None if nothing was captured."""
    if not columns:
        return None
    found = {(t.host, t.device): t for t in columns}
    for capture in case.bundle.captures:
        tap = capture.tap
        if tap.device != "any":
            found.setdefault((tap.host, tap.device), tap)
    for rung in () if case.story is None else case.story.connection.trajectories:
        for sighting in rung.sightings:
            if sighting.device and sighting.device != "any":
                tap = Tap(sighting.tap.host, sighting.tap.netns, sighting.device)
                found.setdefault((tap.host, tap.device), tap)
    return found


def _rung(journey: Journey, allowed: dict[tuple[str, str], Tap] | None) -> Rung | None:
    if journey.way is None:
        return None
    seen = tuple(_seen(journey, _passed(itinerary(journey), allowed)))
    if not seen:
        return None
    first = seen[0].packet
    name = f"{journey.name} [{flags_text(journey.flags)}] {first.source} > {first.destination}"
    return Rung(name, seen, tuple(journey.at_ns for _ in seen))


def _passed(
    steps: Iterable[Step], allowed: dict[tuple[str, str], Tap] | None
) -> Iterator[tuple[Tap, Step]]:
    """Tell the devices in order, each with the step that shows the packet as it passes there."""
    last: Tap | None = None
    for step in steps:
        place = step.place
        device = place.device if place.netns else place.port
        if allowed is not None:
            tap = allowed.get((place.host, device))
        else:
            tap = Tap(place.host, place.netns, device) if place.netns and device else None
        if tap is not None and tap != last:
            yield tap, step
            last = tap


def _seen(journey: Journey, passed: Iterable[tuple[Tap, Step]]) -> Iterator[Sighting]:
    for number, (tap, step) in enumerate(passed):
        yield Sighting(tap, tap.device, None, journey.at_ns, step.before, Span(""), number)
