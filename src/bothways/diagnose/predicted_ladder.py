"""
Walks of the model as ladders.

One shows how the connection would pass the taps if it worked; where nothing was captured, another shows what
the dumps lead to. For the healthy ladder the walk without a culprit is taken first, with all other choices as
they were: it differs from what happened by that one fact. Else the walk of another choice that works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from bothways.diagnose.case import Case
from bothways.diagnose.flip import without_flow
from bothways.diagnose.itinerary import itinerary
from bothways.facts.diagnosis import Culprit, Fate, Ladder, Rung
from bothways.facts.packet import Flag, flags_text
from bothways.facts.prediction import Journey, Walk
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Span
from bothways.facts.step import Did, Step
from bothways.model.world import Replay, walk

__all__ = ["expected_of", "healthy_of"]


@dataclass(frozen=True, slots=True)
class _Taps:
    """
    Where packets can be seen.

    :param devices: by host and device.
    :param below: by journey and host, the devices that carry the packet inside a tunnel; steps do not name
        them.
    """

    devices: Mapping[tuple[str, str], Tap]
    below: Mapping[tuple[int, str], Tap]


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
    devices = _devices(case, columns)
    rungs = tuple(_rungs(chosen, devices, end=_data(chosen)))
    return Ladder(columns, rungs, supposed=supposed) if rungs else Ladder()


def expected_of(case: Case) -> Ladder:
    """Return the walk that the dumps lead to; an empty ladder beside captures, or without a walk."""
    if case.story is not None or case.walk.fate is Fate.UNKNOWN:
        return Ladder()
    rungs = tuple(_rungs(case.walk, None))
    return Ladder((), rungs, supposed="as the dumps say") if rungs else Ladder()


def _rungs(
    chosen: Walk, devices: Mapping[tuple[str, str], Tap] | None, end: int | None = None
) -> Iterator[Rung]:
    """Tell the packets of a walk, *devices*: where they can be seen, None = everywhere."""
    if devices is None:
        devices = {(crossing.tap.host, crossing.tap.device): crossing.tap for crossing in chosen.crossings}
    below = {
        (crossing.journey, crossing.tap.host): crossing.tap
        for crossing in chosen.crossings
        if crossing.tunnel is not None and crossing.tap in devices.values()
    }
    for number, journey in enumerate(chosen.journeys[:end]):
        rung = _rung(number, journey, _Taps(devices, below))
        if rung is not None:
            yield rung


def _data(chosen: Walk) -> int | None:
    """Return how many packets there are up to the first data: from then on nothing new is to be seen."""
    return next((n for n, journey in enumerate(chosen.journeys, 1) if journey.flags & Flag.PSH), None)


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


def _rung(number: int, journey: Journey, taps: _Taps) -> Rung | None:
    if journey.way is None:
        return None
    seen = tuple(_seen(journey, _passed(number, itinerary(journey), taps)))
    if not seen:
        return None
    first = seen[0].packet
    name = f"{journey.name} [{flags_text(journey.flags)}] {first.source} > {first.destination}"
    return Rung(name, seen, tuple(journey.at_ns for _ in seen))


def _passed(number: int, steps: Iterable[Step], taps: _Taps) -> Iterator[tuple[Tap, Step]]:
    """Tell the devices in order, each with the step that shows the packet as it passes there."""
    last: Tap | None = None
    for step in steps:
        for tap in _at(number, step, taps):
            if tap != last:
                yield tap, step
                last = tap


def _at(number: int, step: Step, taps: _Taps) -> tuple[Tap, ...]:
    place = step.place
    if step.did in (Did.ENCAPSULATED, Did.DECAPSULATED):
        below = taps.below.get((number, place.host))
        return () if below is None else (below,)
    device = place.device if place.netns else place.port
    tap = taps.devices.get((place.host, device))
    return () if tap is None else (tap,)


def _seen(journey: Journey, passed: Iterable[tuple[Tap, Step]]) -> Iterator[Sighting]:
    for number, (tap, step) in enumerate(passed):
        yield Sighting(tap, tap.device, None, journey.at_ns, step.before, Span(""), number)
