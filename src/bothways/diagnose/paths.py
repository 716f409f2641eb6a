"""
Where the first packet of each way went, over hosts, namespaces and bridges.

The model knows bridges between the taps, so its walk is taken where it ends as the connection did. Else the
captures tell where the packets were seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from bothways.diagnose.case import Case
from bothways.diagnose.itinerary import itinerary
from bothways.facts.diagnosis import Fate
from bothways.facts.packet import Packet
from bothways.facts.path import Path, Stop
from bothways.facts.prediction import Journey, Walk
from bothways.facts.sighting import Sighting
from bothways.facts.step import Did, Step
from bothways.facts.trajectory import Trajectory, Way

__all__ = ["paths_of"]

_TRANSMITS: Final = "dev_hard_start_xmit"
_ANY: Final = "any"
#: what a step may add to its stop
_SAID: Final = {
    Did.INVALID: "INVALID to conntrack",
    Did.DROPPED: "dropped",
    Did.NOT_TRANSLATED: "not translated",
    Did.ANSWERED: "answered",
    Did.UNKNOWN: "from here on unknown",
}


def paths_of(case: Case) -> tuple[Path, ...]:
    """Return the way there and the way back; one of them, or none, where nothing shows it."""
    story, walk = case.story, case.walk
    if walk.fate is not Fate.UNKNOWN and (story is None or walk.fate is story.fate):
        return tuple(_predicted(walk))
    if story is None:
        return ()
    trajectories = [t for t in (story.syn, story.synack) if t is not None and t.sightings]
    return tuple(_observed(trajectory) for trajectory in trajectories)


def _predicted(walk: Walk) -> Iterator[Path]:
    for way in Way:
        journey = next((j for j in walk.journeys if j.way is way and j.branches), None)
        if journey is not None and (way is Way.ORIGINAL or journey.sender == "server"):
            yield _walked(journey, way)


def _walked(journey: Journey, way: Way) -> Path:
    steps = itinerary(journey)
    arrived = steps[-1].did is Did.DELIVERED if steps else False
    return Path(journey.name, way, _stops(steps), observed=False, arrived=arrived)


def _stops(steps: Iterable[Step]) -> tuple[Stop, ...]:
    stops: list[Stop] = []
    for step in steps:
        place = step.place
        stop = Stop(place.host, place.netns, "" if place.netns else place.device)
        device = place.device if place.netns else place.port
        # A bridge lets a frame out of its port; the namespace that the port stands in takes no part.
        leaves = step.function == _TRANSMITS and bool(stops) and bool(stops[-1].bridge)
        if not (stops and (stops[-1].place == stop.place or (leaves and stops[-1].host == stop.host))):
            stops.append(stop)
        stops[-1] = _noted(stops[-1], device, _said(step))
    return tuple(stops)


def _noted(stop: Stop, device: str, note: str) -> Stop:
    devices = stop.devices if not device or device in stop.devices else (*stop.devices, device)
    notes = stop.notes if not note or note in stop.notes else (*stop.notes, note)
    return replace(stop, devices=devices, notes=notes)


def _said(step: Step) -> str:
    if step.did is Did.TRANSLATED and step.after is not None:
        by = f" by {step.function}" if step.function.startswith("table=") else ""
        return f"{_renamed(step.before, step.after)}{by}"
    return _SAID.get(step.did, "")


def _renamed(before: Packet, after: Packet) -> str:
    changes = []
    if before.source != after.source:
        changes.append(f"source becomes {after.source}")
    if before.destination != after.destination:
        changes.append(f"destination becomes {after.destination}")
    return " and ".join(changes) or "translated"


def _observed(trajectory: Trajectory) -> Path:
    stops: list[Stop] = []
    before: Sighting | None = None
    for sighting in trajectory.sightings:
        tap = sighting.tap
        stop = Stop(tap.host, tap.netns)
        if not stops or stops[-1].place != stop.place:
            stops.append(stop)
        device = sighting.device or ("" if tap.device == _ANY else tap.device)
        changed = before is not None and (before.packet.source, before.packet.destination) != (
            sighting.packet.source,
            sighting.packet.destination,
        )
        note = _renamed(before.packet, sighting.packet) if before is not None and changed else ""
        stops[-1] = _noted(stops[-1], device, note)
        before = sighting
    return Path(_packet_name(trajectory), trajectory.way, tuple(stops), observed=True)


def _packet_name(trajectory: Trajectory) -> str:
    return "SYN" if trajectory.way is Way.ORIGINAL else "SYN/ACK"
